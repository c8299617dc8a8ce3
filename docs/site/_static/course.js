// Where a lesson shows a picture of its glass box, puts the live one. Without JavaScript the picture stays.
document.addEventListener("DOMContentLoaded", () => {
  for (const output of document.querySelectorAll(".cell.tag_live-glass-box .cell_output")) {
    const box = document.createElement("iframe");
    box.className = "glass";
    box.title = "Glass box: draw a digit and look inside the network";
    box.loading = "lazy";
    box.src = new URL("../live/glass-box.html", document.baseURI);
    output.replaceChildren(box);
  }
  // What is too wide is scrolled with the arrow keys, too.
  for (const wide of document.querySelectorAll("pre, .table-wrapper, .math-wrapper")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
});
