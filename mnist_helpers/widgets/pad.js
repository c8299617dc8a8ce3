// A sheet to draw on. The pen is drawn here, in the browser, so a slow kernel never makes it lag. The strokes are the
// truth (`drawing`); what the network makes of them comes back (`answer`), with its pictures as grey values.

const HEIGHT = 280; // CSS pixels of the sheet
const NO_ANSWER_AFTER = 4000; // milliseconds
const NEAREST_POINTS = 0.004; // of the sheet's height

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// A picture of grey values (or red, green, blue), each pixel a square.
function picture({ caption, width, height, pixels }) {
  const canvas = element("canvas", { width, height, role: "img", "aria-label": caption });
  const bytes = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  const coloured = bytes.length === 3 * width * height;
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      image.data[4 * pixel + channel] = coloured ? bytes[3 * pixel + channel] : bytes[pixel];
    }
    image.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return element("figure", {}, canvas, element("figcaption", {}, caption));
}

function gallery(title, pictures) {
  if (!pictures?.length) return [];
  return [element("section", {}, element("h4", {}, title), element("div", { class: "pictures" }, ...pictures.map(picture)))];
}

// The pen's way as a smooth curve through the middles between its points.
function ink(context, stroke, scale) {
  const points = stroke.points.map(([x, y]) => [x * scale, y * scale]);
  context.lineWidth = stroke.width * scale;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(...points[0]);
  for (let i = 1; i < points.length - 1; i++) {
    const [x, y] = points[i];
    const [nextX, nextY] = points[i + 1];
    context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  context.lineTo(...points[points.length - 1]);
  context.stroke();
}

function bars(classes, probabilities) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  const rows = classes.map((name, index) => {
    const share = probabilities[index];
    const bar = element("span", { class: "bar" });
    bar.style.width = `${100 * share}%`;
    return element("li", { class: index === best ? "best" : undefined },
      element("span", { class: "name" }, name), element("span", { class: "track" }, bar),
      element("span", { class: "share" }, `${(100 * share).toFixed(1)}%`));
  });
  return element("ol", { class: "bars", "aria-label": "Probability of each class" }, ...rows);
}

function render({ model, el }) {
  let strokes = copy(model.get("drawing").strokes);
  let pen = null; // the stroke being drawn
  let waitingFor = 0; // the number of the drawing that has not been answered
  let again = false; // drawn on in the meantime: only the newest is sent
  let chosen = -1; // which digit is looked at; the last
  let sentAt, timer;

  const aspect = model.get("aspect");
  const sheet = element("canvas", {
    class: "sheet", width: 2 * HEIGHT * aspect, height: 2 * HEIGHT, tabindex: 0, role: "img",
    "aria-label": "Sheet to draw on with a mouse, a pen or a finger. Ctrl+Z takes back the last stroke.",
  });
  sheet.style.width = `${HEIGHT * aspect}px`;
  const width = element("input", { type: "range", min: 0.03, max: 0.16, step: 0.01, value: model.get("pen") });
  const state = element("p", { class: "state", role: "status" });
  const reading = element("p", { class: "reading", "aria-live": "polite" });
  const choice = element("fieldset", { class: "choice", "aria-label": "Which digit to look into" });
  const chart = element("div");
  const insight = element("div", { class: "insight" });
  const name = element("select", { "aria-label": "What it really is" },
    ...model.get("classes").map((label, index) => element("option", { value: index }, label)));
  const kept = element("span", { class: "kept", role: "status" }, model.get("kept"));
  const keeping = element("div", { class: "tools" }, element("label", {}, "This is a ", name),
    element("button", { type: "button", onclick: () => model.send({ keep: Number(name.value) }) }, "Keep it"), kept);
  keeping.hidden = !model.get("keeps");

  el.classList.add("drawing-pad");
  el.replaceChildren(
    element("div", { class: "desk" }, sheet,
      element("div", { class: "tools" },
        element("button", { type: "button", onclick: undo }, "Undo"),
        element("button", { type: "button", onclick: clear }, "Clear"),
        element("label", {}, "Pen ", width)),
      keeping, state),
    element("div", { class: "answer" }, reading, choice, chart), insight);

  function copy(list) {
    return list.map((stroke) => ({ points: stroke.points.map((point) => [...point]), width: stroke.width }));
  }

  function show() {
    const context = sheet.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.strokeStyle = "black";
    for (const stroke of strokes) ink(context, stroke, sheet.height);
  }

  function place(event) {
    const box = sheet.getBoundingClientRect();
    return [(event.clientX - box.left) / box.height, (event.clientY - box.top) / box.height];
  }

  function add(event) {
    for (const one of event.getCoalescedEvents?.() ?? [event]) {
      const [x, y] = place(one);
      const [lastX, lastY] = pen.points[pen.points.length - 1];
      const inside = x >= 0 && x <= aspect && y >= 0 && y <= 1;
      if (inside && Math.hypot(x - lastX, y - lastY) > NEAREST_POINTS) pen.points.push([x, y]);
    }
  }

  function send() {
    if (waitingFor) {
      again = true;
      return;
    }
    again = false;
    waitingFor = model.get("drawing").number + 1;
    sentAt = performance.now();
    model.set("drawing", { number: waitingFor, strokes: copy(strokes), lifted: !pen, chosen });
    model.save_changes();
    clearTimeout(timer);
    timer = setTimeout(disconnected, NO_ANSWER_AFTER);
  }

  function disconnected() {
    state.textContent = "The kernel does not answer. It is busy, or it was restarted: then run this cell again.";
    el.classList.add("disconnected");
    waitingFor = 0; // what is drawn next is tried again
  }

  function undo() {
    strokes.pop();
    chosen = -1;
    show();
    send();
  }

  function clear() {
    strokes = [];
    chosen = -1;
    show();
    send();
  }

  sheet.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    sheet.setPointerCapture(event.pointerId);
    pen = { points: [place(event)], width: Number(width.value) };
    chosen = -1;
    strokes.push(pen);
    show();
    send();
  });
  sheet.addEventListener("pointermove", (event) => {
    if (!pen) return;
    add(event);
    show();
    send();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    sheet.addEventListener(end, () => {
      if (!pen) return;
      pen = null;
      send();
    });
  }
  sheet.addEventListener("keydown", (event) => {
    if (!(event.key === "z" && (event.ctrlKey || event.metaKey))) return;
    event.preventDefault();
    event.stopPropagation();
    undo();
  });

  function answered() {
    const answer = model.get("answer");
    if (answer.number === waitingFor) {
      clearTimeout(timer);
      waitingFor = 0;
      el.classList.remove("disconnected");
      state.textContent = answer.milliseconds === undefined ? ""
        : `Answered in ${Math.round(performance.now() - sentAt)} ms (${answer.milliseconds} in the kernel).`;
      if (again) send();
    }
    tell(answer);
  }

  function tell(answer) {
    const classes = model.get("classes");
    const many = answer.probabilities?.length ?? 0;
    reading.textContent = many ? answer.reading : answer.message;
    reading.classList.toggle("read", many > 0);
    choice.hidden = many < 2;
    chart.replaceChildren();
    insight.replaceChildren();
    if (!many) return;
    choice.replaceChildren(...answer.probabilities.map((shares, index) => {
      const button = element("input", { type: "radio", name: model.model_id ?? "digit", value: index,
        onchange: () => { chosen = index; send(); } });
      button.checked = index === answer.chosen;
      return element("label", {}, button, ` ${classes[shares.indexOf(Math.max(...shares))]}`);
    }));
    chart.replaceChildren(bars(classes, answer.probabilities[answer.chosen]));
    insight.replaceChildren(...gallery("From your drawing to what the network sees", answer.steps),
      ...gallery("Why?", answer.why), ...gallery("What its layers see", answer.maps));
  }

  function redrawn() {
    const drawing = model.get("drawing");
    if (drawing.number === waitingFor) return; // it is ours
    strokes = copy(drawing.strokes);
    show();
  }

  const keptChanged = () => { kept.textContent = model.get("kept"); };
  const lost = () => { if (model.comm_live === false) disconnected(); };
  model.on("change:answer", answered);
  model.on("change:drawing", redrawn);
  model.on("change:kept", keptChanged);
  model.on("comm_live_update", lost);
  show();
  tell(model.get("answer"));
  return () => {
    clearTimeout(timer);
    model.off("change:answer", answered);
    model.off("change:drawing", redrawn);
    model.off("change:kept", keptChanged);
    model.off("comm_live_update", lost);
  };
}

export default { render };
