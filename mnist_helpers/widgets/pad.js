// A sheet to draw on. The pen is drawn here, in the browser, so a slow kernel never makes it lag; and while a digit is being
// drawn, a network reads it here, too, where the pad came with one. The strokes, or a photo laid on the sheet, are the truth
// (`drawing`); what the kernel makes of them when the pen is lifted comes back (`answer`), with its pictures as grey values.
import * as network from "./network.js";
import * as pen from "./strokes.js";
import * as tiles from "./tiles.js";

const { asImage, digitOf } = pen;
const { element } = tiles;

const HEIGHT = 280; // CSS pixels of the sheet
const PATIENCE = 4000; // milliseconds without an answer before the pad says so
const NEAREST_POINTS = 0.004; // of the sheet's height
const LONGEST_SIDE = 1000; // pixels of a photo: more are not looked at
let pads = 0; // on this page

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

function gallery(title, kind, pictures) {
  if (!pictures?.length) return [];
  const row = element("div", { class: "pictures" }, ...pictures.map(picture));
  return [element("section", { class: kind }, element("h4", {}, title), row)];
}

// The pen's way as a smooth curve through the middles between its points.
function ink(context, stroke, scale) {
  const points = stroke.points.map(([x, y]) => [x * scale, y * scale]);
  if (!points.length) return;
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

const likeliest = (shares) => shares.indexOf(Math.max(...shares));

function bars(classes, probabilities) {
  const best = likeliest(probabilities);
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

// Of what is no list, nothing: the kernel says what is wrong with it.
const list = (value) => (Array.isArray(value) ? value : []);

/** The network that came with a pad, or null. */
function networkOf(model) {
  const header = model.get("header"), { buffer, byteOffset, byteLength } = model.get("weights");
  return header.layers ? network.readNetwork(header, buffer.slice(byteOffset, byteOffset + byteLength)) : null;
}

/** Whether strokes lie beside each other without touching, as those of several digits do. */
function several(strokes) {
  const parts = strokes.map(({ points, width }) => [Math.min(...points.map(([x]) => x)) - width / 2, Math.max(...points.map(([x]) => x)) + width / 2]);
  parts.sort(([one], [other]) => one - other);
  let [[, end]] = parts;
  return parts.slice(1).some(([left, right]) => {
    const apart = left > end;
    end = Math.max(end, right);
    return apart;
  });
}

function copy(strokes) {
  return list(strokes).map((stroke) => ({ points: list(stroke?.points).map((point) => [...list(point)]), width: stroke?.width }));
}

// A picture file, upright and no larger than needed, as a canvas and as the bytes of a JPEG file.
async function photograph(file) {
  const bitmap = await createImageBitmap(file);
  const factor = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = element("canvas", {
    width: Math.max(1, Math.round(bitmap.width * factor)), height: Math.max(1, Math.round(bitmap.height * factor)),
  });
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // behind what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => { canvas.toBlob(done, "image/jpeg", 0.92); });
  return { canvas, bytes: new Uint8Array(await blob.arrayBuffer()) };
}

export function render({ model, el }) {
  const aspect = model.get("aspect");
  const group = `digit-${++pads}`;
  const net = networkOf(model);
  let strokes = copy(model.get("drawing").strokes);
  let photo = null; // a picture in place of strokes
  let pen = null; // the stroke being drawn, and the pointer that draws it
  let sent = null; // the number of the newest drawing that was sent, until it is answered
  let late = false; // its answer is overdue
  let again = false; // drawn on in the meantime: only the newest is sent
  let chosen = -1; // which digit is looked into; the last
  let sentAt, timer;
  let due = 0; // the next picture of the screen, for which what was drawn is read once

  const sheet = element("canvas", {
    class: "sheet", width: 2 * HEIGHT * aspect, height: 2 * HEIGHT, tabindex: 0, role: "img",
    "aria-label": "Sheet to draw on with a mouse, a pen or a finger. Ctrl+Z takes back the last stroke. "
      + "A picture can be dropped or pasted here.",
  });
  sheet.style.width = `${HEIGHT * aspect}px`;
  const width = element("input", { type: "range", min: 0.03, max: 0.16, step: 0.01, value: model.get("pen") });
  const file = element("input", { type: "file", accept: "image/*", onchange: () => { lay(file.files[0]); file.value = ""; } });
  const state = element("p", { class: "state" });
  const trouble = element("p", { class: "trouble", role: "alert" });
  const reading = element("p", { class: "reading" });
  const spoken = element("p", { class: "spoken", role: "status" }); // once a stroke, for who cannot see it
  const choice = element("fieldset", { class: "choice", "aria-label": "Which digit to look into" });
  const chart = element("div");
  const insight = element("div", { class: "insight" });
  const name = element("select", {},
    ...model.get("classes").map((label, index) => element("option", { value: index }, label)));
  const keep = element("button", { type: "button", onclick: keepIt }, "Keep it");
  const kept = element("span", { class: "kept", role: "status" }, model.get("kept"));
  const keeping = element("div", { class: "tools" }, element("label", {}, "This is a ", name), keep, kept);
  keeping.hidden = !model.get("keeps");

  el.classList.add("drawing-pad");
  el.replaceChildren(
    element("div", { class: "desk" }, sheet,
      element("div", { class: "tools" },
        element("button", { type: "button", onclick: undo }, "Undo"),
        element("button", { type: "button", onclick: clear }, "Clear"),
        element("label", {}, "Pen ", width),
        element("label", { class: "file" }, "Photo", file)),
      keeping, state, trouble),
    element("div", { class: "answer" }, reading, choice, chart, spoken), insight);

  function show() {
    const context = sheet.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.strokeStyle = "black";
    if (photo) {
      const { width: wide, height: high } = photo.canvas;
      const scale = Math.min(sheet.width / wide, sheet.height / high);
      context.drawImage(photo.canvas, (sheet.width - scale * wide) / 2, (sheet.height - scale * high) / 2, scale * wide, scale * high);
    }
    for (const stroke of strokes) ink(context, stroke, sheet.height);
  }

  function place(event) {
    const box = sheet.getBoundingClientRect(); // with its border, which has no ink
    const x = (event.clientX - box.left - sheet.clientLeft) / sheet.clientHeight;
    const y = (event.clientY - box.top - sheet.clientTop) / sheet.clientHeight;
    return [x, y].map((value) => Number(value.toFixed(4))); // finer than a pixel, and short to send
  }

  function busy(is) {
    if (is) el.setAttribute("aria-busy", "true");
    else el.removeAttribute("aria-busy");
    keep.disabled = is; // what is kept must be what was read
  }

  // One drawing at a time is on its way, so none queue up. One that is overdue does not hold up the next.
  function send() {
    busy(true);
    if (sent !== null && !late) {
      again = true;
      return;
    }
    again = late = false;
    sent = (model.get("drawing").number || 0) + 1;
    sentAt = performance.now();
    const laid = photo ? { photo: photo.bytes } : {};
    model.set("drawing", { number: sent, strokes: copy(strokes), lifted: !pen, chosen, ...laid });
    model.save_changes();
    clearTimeout(timer);
    timer = setTimeout(overdue, PATIENCE);
  }

  function overdue() {
    late = true;
    el.classList.add("disconnected");
    trouble.textContent = "The kernel does not answer. It is busy, or it was stopped or restarted: "
      + "then run this cell again, or reload the page.";
  }

  function answered() {
    const answer = model.get("answer");
    if (answer.number === sent) {
      clearTimeout(timer);
      sent = null;
      late = false;
      el.classList.remove("disconnected");
      trouble.textContent = "";
      state.textContent = `Answered in ${Math.round(performance.now() - sentAt)} ms (${answer.milliseconds} in the kernel).`;
      busy(pen !== null);
      if (again) send();
    }
    tell(answer);
  }

  /** Read, here, the one digit that is being drawn. The kernel has the last word, when the pen is lifted. */
  function readHere() {
    const started = performance.now(), digit = several(strokes) ? null : digitOf(strokes);
    if (!digit || !pen) return;
    const maps = network.forward(net, asImage(digit)), shares = network.softmax(network.logitsOf(maps));
    const best = likeliest(shares);
    reading.textContent = `${net.classes[best]} so far (${Math.round(100 * shares[best])}% sure)`;
    reading.classList.add("read");
    choose({ probabilities: [] });
    chart.replaceChildren(bars(net.classes, shares));
    state.textContent = `Read in ${Math.round(performance.now() - started)} ms, by the browser.`;
  }

  function tell(answer) {
    const many = answer.probabilities?.length ?? 0;
    reading.textContent = many ? answer.reading : answer.message;
    reading.classList.toggle("read", many > 0);
    if (!pen) spoken.textContent = reading.textContent;
    choose(many > 1 ? answer : { probabilities: [] });
    chart.replaceChildren(...(many ? [bars(model.get("classes"), answer.probabilities[answer.chosen])] : []));
    insight.replaceChildren(...gallery("From your drawing to what the network sees", "steps", answer.steps),
      ...gallery("Why?", "why", answer.why), ...gallery("What its layers see", "maps", answer.maps));
  }

  // The buttons stay, so that the one with the keyboard's focus keeps it.
  function choose({ probabilities, chosen: current }) {
    choice.hidden = !probabilities.length;
    while (choice.children.length > probabilities.length) choice.lastChild.remove();
    probabilities.forEach((shares, index) => {
      if (!choice.children[index]) {
        const button = element("input", { type: "radio", name: group, onchange: () => { chosen = index; send(); } });
        choice.append(element("label", {}, button, element("span")));
      }
      const [button, label] = choice.children[index].children;
      button.checked = index === current;
      label.textContent = model.get("classes")[likeliest(shares)];
    });
  }

  function changed() {
    chosen = -1;
    show();
    if (!(net && pen)) send();
    else {
      busy(true);
      cancelAnimationFrame(due);
      due = requestAnimationFrame(readHere);
    }
  }

  // A photo takes the place of the strokes, and strokes that of a photo.
  async function lay(chosenFile) {
    if (!chosenFile) return;
    try {
      photo = await photograph(chosenFile);
    } catch {
      trouble.textContent = `${chosenFile.name || "This"} is no picture that a browser can show. Use a PNG or JPEG file.`;
      return;
    }
    trouble.textContent = "";
    pen = null;
    strokes = [];
    changed();
  }

  function begun(point) {
    photo = null;
    const stroke = { points: [point], width: Number(width.value) };
    strokes.push(stroke);
    return stroke;
  }

  // A pen that leaves the sheet draws nothing until it is back, and then another stroke.
  function drawTo(event) {
    const [x, y] = place(event);
    if (x < 0 || x > aspect || y < 0 || y > 1) {
      pen.stroke = null;
      return false;
    }
    if (!pen.stroke) {
      pen.stroke = begun([x, y]);
      return true;
    }
    const { points } = pen.stroke;
    const [lastX, lastY] = points[points.length - 1];
    const far = Math.hypot(x - lastX, y - lastY) > NEAREST_POINTS;
    if (far) points.push([x, y]);
    return far;
  }

  function undo() {
    pen = null;
    if (photo) photo = null;
    else strokes.pop();
    changed();
  }

  function clear() {
    pen = null;
    photo = null;
    strokes = [];
    changed();
  }

  function keepIt() {
    model.send({ keep: Number(name.value), number: model.get("answer").number });
  }

  sheet.addEventListener("pointerdown", (event) => {
    if (pen || event.button !== 0) return; // a palm, or a second finger
    sheet.setPointerCapture(event.pointerId);
    pen = { pointer: event.pointerId, stroke: begun(place(event)) };
    changed();
  });
  sheet.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pen?.pointer) return;
    const moved = (event.getCoalescedEvents?.() ?? [event]).map(drawTo);
    if (moved.includes(true)) changed();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    sheet.addEventListener(end, (event) => {
      if (event.pointerId !== pen?.pointer) return;
      pen = null;
      send();
    });
  }
  sheet.addEventListener("keydown", (event) => {
    if (event.key !== "z" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    undo();
  });

  el.addEventListener("dragover", (event) => event.preventDefault());
  el.addEventListener("drop", (event) => {
    event.preventDefault();
    lay(event.dataTransfer.files[0]);
  });
  el.addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    lay(event.clipboardData.files[0]);
  });

  function drawnElsewhere() {
    const drawing = model.get("drawing");
    if (sent !== null && drawing.number === sent) return; // it is ours
    pen = photo = null;
    strokes = copy(drawing.strokes);
    show();
  }

  const listeners = {
    "change:answer": answered,
    "change:drawing": drawnElsewhere,
    "change:kept": () => { kept.textContent = model.get("kept"); },
    comm_live_update: overdue, // the kernel is gone
  };
  for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
  show();
  tell(model.get("answer"));
  return () => {
    clearTimeout(timer);
    cancelAnimationFrame(due);
    for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
  };
}
