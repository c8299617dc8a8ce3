// A number to be chosen by sliding: a browser's own control, with its words as its name, for who cannot see it, too.

export function render({ model, el }) {
  const input = document.createElement("input"), label = document.createElement("label"), output = document.createElement("output");
  input.type = "range";
  label.append(model.get("description"), input);
  el.classList.add("slider");
  input.dataset.lmSuppressShortcuts = "true"; // keys pressed here are not meant for JupyterLab
  el.replaceChildren(label, output);

  function show() {
    for (const name of ["min", "max", "step", "value"]) input[name] = model.get(name); // the limits before the value
    tell();
  }

  function tell() {
    output.textContent = model.get("percent") ? `${(100 * input.value).toFixed(1)}%` : input.value;
    input.setAttribute("aria-valuetext", output.textContent);
  }

  input.addEventListener("input", () => {
    tell();
    model.set("value", Number(input.value));
    model.save_changes();
  });
  const changes = ["change:min", "change:max", "change:value"];
  changes.forEach((change) => model.on(change, show));
  show();
  return () => changes.forEach((change) => model.off(change, show));
}

export default { render };
