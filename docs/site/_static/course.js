// Where a page shows a picture of the glass box, puts the live one. Without JavaScript, and on paper, the picture stays.
document.addEventListener("DOMContentLoaded", () => {
  for (const still of document.querySelectorAll(".tag_live-glass-box .cell_output, .live-glass-box")) {
    const box = document.createElement("iframe");
    box.className = "glass";
    box.title = "Glass box: draw a digit and look inside the network";
    box.loading = "lazy";
    box.src = new URL(`${document.documentElement.dataset.content_root}live/glass-box.html`, document.baseURI);
    still.classList.add("live");
    still.prepend(box);
    if (still.matches(".cell_output")) { // of a lesson, whose text is about another network
      const note = document.createElement("p");
      note.className = "which";
      note.textContent = "This box is live. Its network was trained for drawings, so its numbers are not those of the text.";
      box.after(note);
    }
  }
  // What is too wide is scrolled with the arrow keys, too.
  for (const wide of document.querySelectorAll("pre, .table-wrapper, .math-wrapper")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
});
