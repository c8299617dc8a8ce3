// What a glass box is made of: elements of a page, colours, rows of maps, small tables, and the sheet to draw on.

const SHEET = 224; // CSS pixels of the sheet
const PEN_WIDTH = 0.08; // of the sheet's height
const TILE = 52, GAP = 4; // CSS pixels of a map, and between two of them
const PURPLE = [84, 39, 136], ORANGE = [200, 90, 0], PAPER = [250, 250, 248], INK = [16, 36, 84];

const FOCUSABLE = ["button", "canvas", "input", "select", "summary"];

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  // Keys pressed here are not meant for JupyterLab, which asks the element that has the focus, and none around it.
  if (FOCUSABLE.includes(tag)) made.dataset.lmSuppressShortcuts = "true";
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// 256 colours from paper to each of the three.
const [PURPLES, ORANGES, INKS] = [PURPLE, ORANGE, INK].map((end) => Array.from({ length: 256 },
  (_, step) => PAPER.map((value, at) => Math.round(value + (end[at] - value) * (step / 255) ** 0.7))));

/** The colour of a number: from paper to ink for what is never below 0, else orange, paper, purple around 0, as in the figures. */
function colour(value, largest, signed) {
  const step = largest ? Math.min(255, Math.round((255 * Math.abs(value)) / largest)) : 0;
  return (signed ? (value < 0 ? ORANGES : PURPLES) : INKS)[step];
}

/** The colour of a pixel between paper, 0, and ink, 255. */
export const inked = (grey) => INKS[grey];

/** A number with two decimals, or none where it is large. */
export const written = (number) => (Math.abs(number) >= 100 ? number.toFixed(0) : number.toFixed(2)).replace("-", "−");

/** A share as a percentage. */
export const shared = (share) => `${(100 * share).toFixed(1)}%`;

/** Maps of a layer side by side on one canvas, and which number of which map lies under a point of it. */
export class Row {
  constructor(map, kind, signed, { hovered, clicked, moved }) {
    const [channels, height, width] = map.shape.length === 3 ? map.shape : [1, 1, map.shape[0]];
    Object.assign(this, { map, kind, signed, channels, height, width, flat: map.shape.length === 1, place: null, off: new Set() });
    this.cell = this.flat ? 12 : Math.max(2, Math.floor((kind === "image" ? 3 : 1) * TILE / width)); // pixels of a number
    this.pixels = element("canvas", { width, height: channels * height }); // a pixel for each number, map below map
    // Screen readers pass arrow keys to an application, but not to an image.
    this.canvas = element("canvas", { tabindex: 0, role: "application", class: "maps" });
    this.canvas.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") hovered(this, this.placeAt(event)); });
    this.canvas.addEventListener("click", (event) => clicked(this, this.placeAt(event)));
    this.canvas.addEventListener("keydown", (event) => moved(this, event));
  }

  /** Lay the maps out for so many CSS pixels. */
  fit(room) {
    if (this.flat) this.cell = Math.max(4, Math.min(12, Math.floor((room - GAP) / this.width)));
    this.across = Math.max(1, Math.min(this.channels, Math.floor(room / (this.width * this.cell + GAP))));
  }

  placeAt(event) {
    const box = this.canvas.getBoundingClientRect(), zoom = box.width / this.canvas.width;
    const x = (event.clientX - box.left) / zoom, y = (event.clientY - box.top) / zoom;
    const tileX = Math.floor(x / (this.width * this.cell + GAP)), tileY = Math.floor(y / (this.height * this.cell + GAP));
    const column = Math.floor((x - tileX * (this.width * this.cell + GAP)) / this.cell);
    const row = Math.floor((y - tileY * (this.height * this.cell + GAP)) / this.cell);
    const channel = tileY * this.across + tileX;
    const inside = channel < this.channels && row >= 0 && row < this.height && column >= 0 && column < this.width && tileX < this.across;
    return inside ? this.named(channel, row, column) : null;
  }

  named(channel, row, column) { return this.flat ? [column, 0, 0] : [channel, row, column]; }

  corner(channel) {
    return [(channel % this.across) * (this.width * this.cell + GAP), Math.floor(channel / this.across) * (this.height * this.cell + GAP)];
  }

  draw(frame = null) {
    const { canvas, cell, width, height, channels } = this;
    canvas.width = this.across * (width * cell + GAP);
    canvas.height = Math.ceil(channels / this.across) * (height * cell + GAP);
    this.paint();
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    for (let channel = 0; channel < channels; channel++) {
      const [left, top] = this.corner(channel);
      context.drawImage(this.pixels, 0, channel * height, width, height, left, top, width * cell, height * cell);
      if (this.off.has(channel)) this.cross(context, left, top);
    }
    if (frame) this.outline(context, frame);
  }

  paint() {
    const { map: { values }, pixels } = this, image = new ImageData(pixels.width, pixels.height);
    let largest = 0;
    for (const value of values) largest = Math.max(largest, Math.abs(value));
    for (let at = 0; at < values.length; at++) {
      const [red, green, blue] = colour(values[at], largest, this.signed);
      image.data.set([red, green, blue, 255], 4 * at);
    }
    pixels.getContext("2d").putImageData(image, 0, 0);
  }

  cross(context, left, top) {
    context.strokeStyle = "#b00020";
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(left, top);
    context.lineTo(left + this.width * this.cell, top + this.height * this.cell);
    context.moveTo(left + this.width * this.cell, top);
    context.lineTo(left, top + this.height * this.cell);
    context.stroke();
  }

  // White within black: seen on paper and on ink.
  outline(context, { channels, top, left, size }) {
    for (const channel of channels) {
      const [x, y] = this.corner(channel), { cell } = this;
      for (const [color, wider] of [["#000", 2], ["#fff", 1]]) {
        context.strokeStyle = color;
        context.lineWidth = 1;
        context.strokeRect(x + left * cell - wider + 0.5, y + top * cell - wider + 0.5, size * cell + 2 * wider - 1, size * cell + 2 * wider - 1);
      }
    }
  }
}

/** A small table of numbers, each on its colour. */
export function matrix(numbers, side, caption, signed, largest, edit) {
  const body = element("tbody");
  for (let row = 0; row < numbers.length / side; row++) {
    body.append(element("tr", {}, ...numbers.slice(row * side, (row + 1) * side).map((number, column) => {
      const ground = colour(number, largest, signed);
      const dark = 0.3 * ground[0] + 0.59 * ground[1] + 0.11 * ground[2] < 140;
      const style = `background: rgb(${ground}); color: ${dark ? "#fff" : "#111"}`;
      if (!edit) return element("td", { style }, written(number));
      const at = row * side + column;
      const field = element("input", { type: "number", step: 0.1, value: number.toFixed(2), style,
        "data-place": `${edit.channel} ${at}`,
        "aria-label": `row ${row + 1}, column ${column + 1} of the kernel` });
      field.addEventListener("change", () => edit.change(at, Number(field.value)));
      field.addEventListener("focus", () => edit.chosen(at));
      return element("td", {}, field);
    })));
  }
  return element("table", { class: "matrix" }, element("caption", {}, caption), body);
}

/** A sheet to draw one digit on; `drawn` gets its strokes. */
export function sheetFor(drawn) {
  const canvas = element("canvas", { class: "sheet", width: 2 * SHEET, height: 2 * SHEET, tabindex: 0, role: "img",
    "aria-label": "Sheet to draw a digit on with a mouse, a pen or a finger. Test images can be shown without drawing." });
  let strokes = [], pointer = null;
  const place = ({ clientX, clientY }) => {
    const box = canvas.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height].map((at) => Math.min(Math.max(at, 0), 1));
  };
  const show = () => {
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.lineCap = context.lineJoin = "round";
    for (const { points, width } of strokes) {
      context.lineWidth = width * canvas.height;
      context.beginPath();
      points.forEach(([x, y], at) => context[at ? "lineTo" : "moveTo"](x * canvas.width, y * canvas.height));
      context.lineTo(...points[points.length - 1].map((at) => at * canvas.width + 0.01));
      context.stroke();
    }
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return; // a palm, or a second finger
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    strokes.push({ points: [place(event)], width: PEN_WIDTH });
    show();
    drawn(strokes);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    strokes[strokes.length - 1].points.push(...(event.getCoalescedEvents?.() ?? [event]).map(place));
    show();
    drawn(strokes);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => { if (event.pointerId === pointer) pointer = null; });
  }
  show();
  return { canvas, clear() { strokes = []; show(); } };
}
