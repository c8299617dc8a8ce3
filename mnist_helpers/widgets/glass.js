// The glass box: a digit, every map that the network makes of it, and the arithmetic behind each number. Filters can be
// switched off and kernels edited; all is computed in the page. `mount` puts it into an element; a widget and a still
// page both call it.
import * as network from "./network.js";
import * as pen from "./strokes.js";
import * as neighbours from "./neighbours.js";

const SHEET = 224; // CSS pixels of the sheet
const PEN_WIDTH = 0.08; // of the sheet's height
const TILE = 52, GAP = 4; // CSS pixels of a map, and between two of them
const BLUE = [0, 90, 160], ORANGE = [200, 90, 0], PAPER = [250, 250, 248], INK = [16, 36, 84];
const PLAY = 80, MOMENT = 400; // milliseconds from one place of the sliding window to the next; of the training
const UNSURE = 0.99; // below it the network's answer is called unsure, as everywhere in the course
const SHOWN = 5; // known digits that are set beside the reader's
const CHANNELS = 4; // whose products are written out; the others are summed

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// 256 colours from paper to each of the three.
const [BLUES, ORANGES, INKS] = [BLUE, ORANGE, INK].map((end) => Array.from({ length: 256 },
  (_, step) => PAPER.map((value, at) => Math.round(value + (end[at] - value) * (step / 255) ** 0.7))));

/** The colour of a number: from paper to ink for what is never below 0, else blue, paper, orange around 0. */
function colour(value, largest, signed) {
  const step = largest ? Math.min(255, Math.round((255 * Math.abs(value)) / largest)) : 0;
  return (signed ? (value < 0 ? BLUES : ORANGES) : INKS)[step];
}

const written = (number) => (Math.abs(number) >= 100 ? number.toFixed(0) : number.toFixed(2)).replace("-", "−");
const shared = (share) => `${(100 * share).toFixed(1)}%`;

/** Maps of a layer side by side on one canvas, and which number of which map lies under a point of it. */
class Row {
  constructor(map, kind, signed, { hovered, clicked, moved }) {
    const [channels, height, width] = map.shape.length === 3 ? map.shape : [1, 1, map.shape[0]];
    Object.assign(this, { map, kind, signed, channels, height, width, flat: map.shape.length === 1, place: null, off: new Set() });
    this.cell = this.flat ? 12 : Math.max(2, Math.floor((kind === "image" ? 3 : 1) * TILE / width)); // pixels of a number
    this.pixels = element("canvas", { width, height: channels * height }); // a pixel for each number, map below map
    this.canvas = element("canvas", { tabindex: 0, role: "img", class: "maps" });
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
function matrix(numbers, side, caption, signed, largest, edit) {
  const body = element("tbody");
  for (let row = 0; row < numbers.length / side; row++) {
    body.append(element("tr", {}, ...numbers.slice(row * side, (row + 1) * side).map((number, column) => {
      const ground = colour(number, largest, signed);
      const dark = 0.3 * ground[0] + 0.59 * ground[1] + 0.11 * ground[2] < 140;
      const style = `background: rgb(${ground}); color: ${dark ? "#fff" : "#111"}`;
      if (!edit) return element("td", { style }, written(number));
      const field = element("input", { type: "number", step: 0.1, value: number.toFixed(2), style,
        "aria-label": `row ${row + 1}, column ${column + 1} of the kernel` });
      field.addEventListener("change", () => edit(row * side + column, Number(field.value)));
      return element("td", {}, field);
    })));
  }
  return element("table", { class: "matrix" }, element("caption", {}, caption), body);
}

const sign = (text) => element("span", { class: "sign", "aria-hidden": "true" }, text);

function arithmeticOfConvolution(found, edit, below) {
  const byWeight = [...found.channels].sort((one, other) => Math.abs(other.sum) - Math.abs(one.sum));
  const shown = byWeight.slice(0, CHANNELS), rest = byWeight.slice(CHANNELS);
  const side = Math.sqrt(shown[0].patch.length);
  const largest = (lists) => Math.max(...lists.flat().map(Math.abs));
  const patches = largest(shown.map(({ patch }) => patch)), kernels = largest(shown.map(({ kernel }) => kernel));
  const lines = shown.map(({ channel, patch, kernel, sum }) => {
    const products = patch.map((value, at) => value * kernel[at]);
    const one = found.channels.length === 1;
    return element("div", { class: "line" },
      matrix(patch, side, one ? below : `map ${channel}`, true, patches), sign("×"),
      matrix(kernel, side, "kernel", true, kernels, edit && ((at, value) => edit(channel, at, value))), sign("="),
      matrix(products, side, "products", true, largest([products])), sign("→"), element("strong", {}, `sum ${written(sum)}`));
  });
  const others = rest.reduce((sum, one) => sum + one.sum, 0);
  const total = [...shown.map(({ sum }) => written(sum)), ...(rest.length ? [`${written(others)} (${rest.length} other maps)`] : []),
    `${written(found.bias)} (bias)`].join(" + ");
  return [...lines, element("p", { class: "total" }, `${total} = `, element("strong", {}, written(found.result)))];
}

function arithmeticOfPool(found) {
  const side = Math.sqrt(found.square.length), largest = Math.max(...found.square.map(Math.abs));
  return [element("div", { class: "line" }, matrix(found.square, side, `map ${found.channel}`, true, largest), sign("→"),
    element("strong", {}, `the largest: ${written(found.result)}`))];
}

/** Where a value stood before its maps were laid out in one row. */
function placeOf(input, shape) {
  if (!shape) return `value ${input}`;
  const [, height, width] = shape, within = input % (height * width);
  return `map ${Math.floor(input / (height * width))}, row ${Math.floor(within / width)}, column ${within % width}`;
}

function arithmeticOfDense(found, shape) {
  const list = (title, items) => element("div", {}, element("h5", {}, title), element("ul", {}, ...items.map(
    ({ input, value, weight, product }) => element("li", {}, `${placeOf(input, shape)}: ${written(value)} × ${written(weight)} = ${written(product)}`))));
  return [element("div", { class: "line" }, list("most for it", found.strongest), list("most against it", found.against)),
    element("p", { class: "total" }, `all products ${written(found.sum)} + ${written(found.bias)} (bias) = `,
      element("strong", {}, written(found.result)))];
}

function arithmeticOf(found, name, edit, shape, standardised) {
  if (found.kind === "convolution") return arithmeticOfConvolution(found, edit, standardised ? "pixels, standardised" : "what lies below it");
  if (found.kind === "pool") return arithmeticOfPool(found);
  if (found.kind === "dense") return arithmeticOfDense(found, shape);
  if (found.kind === "relu") return [element("p", {}, `ReLU: the larger of 0 and ${written(found.before)} is `, element("strong", {}, written(found.result)))];
  if (found.kind === "standardise") {
    return [element("p", {}, `(${written(found.before)} − ${written(found.mean)}) / ${written(found.std)} = `, element("strong", {}, written(found.result)))];
  }
  return [element("p", {}, `${name}: `, element("strong", {}, written(found.result)))];
}

/** Softmax with its exponentials, a row a class. */
function answers(classes, logits) {
  const shares = network.softmax(logits), best = shares.indexOf(Math.max(...shares));
  const rows = classes.map((label, at) => {
    const bar = element("span", { class: "bar" });
    bar.style.width = `${100 * shares[at]}%`;
    return element("tr", { class: at === best ? "best" : undefined }, element("th", { scope: "row" }, label),
      element("td", {}, written(logits[at])), element("td", {}, Math.exp(logits[at]).toPrecision(3)),
      element("td", { class: "track" }, bar), element("td", {}, shared(shares[at])));
  });
  const head = element("thead", {}, element("tr", {}, ...["class", "logit", "e to the logit"].map(
    (title) => element("th", { scope: "col" }, title)), element("th", { scope: "col", colspan: 2 }, "share of the sum")));
  return element("table", { class: "answers" }, head, element("tbody", {}, ...rows));
}

/** In words, what the network makes of the image, and whether to believe it. */
function verdict(classes, logits) {
  const shares = network.softmax(logits), order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]);
  const [first, second] = order.map((at) => classes[at]);
  const undecided = `entropy ${network.entropy(shares).toFixed(2)} of at most ${Math.log(classes.length).toFixed(2)}`;
  if (shares[order[0]] >= UNSURE) return `${first}, ${shared(shares[order[0]])} sure (${undecided}).`;
  return `Unsure: ${first} (${shared(shares[order[0]])}) or ${second} (${shared(shares[order[1]])}; ${undecided}).`;
}

/** The known digits that are nearest, and in words whether the image is one that the network can know about. */
function company(all, limit, images, labels) {
  const places = neighbours.nearest(all, SHOWN), distance = all[places[0]];
  const figures = `distance ${distance.toFixed(2)}, limit ${limit.toFixed(2)}`;
  const pictures = places.map((at) => {
    const canvas = element("canvas", { width: 28, height: 28, class: "known", role: "img", "aria-label": `image ${at}, a ${labels[at]}` });
    const picture = new ImageData(28, 28);
    for (let pixel = 0; pixel < 784; pixel++) picture.data.set([...INKS[images[784 * at + pixel]], 255], 4 * pixel);
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return element("figure", {}, canvas, element("figcaption", {}, labels[at]));
  });
  const words = distance > limit
    ? `Unlike anything it knows (${figures}). Whatever it says about this image, it was not trained on such images.`
    : `Like digits that it knows (${figures}).`;
  return [element("p", { class: distance > limit ? "stranger" : "familiar" }, words), element("div", { class: "company" }, ...pictures),
    element("details", {}, element("summary", {}, "How this is measured"),
      element("p", {}, `Of the ${labels.length} images that came with this page, these ${SHOWN} are nearest: their last maps point most nearly the `
        + `same way (the distance is one minus the cosine of the angle). The limit is the distance within which ${100 * neighbours.SHARE} in `
        + "100 of these images have another of them. So a few true digits are called strangers, too."))];
}

/** A sheet to draw one digit on; `drawn` gets its strokes. */
function sheetFor(drawn) {
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

/** Loss and accuracy at all moments as a small chart, and a marker to move. */
function curveOf(moments) {
  const [wide, high] = [360, 90], svg = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const x = (at) => 4 + ((wide - 8) * at) / Math.max(1, moments.length - 1);
  const worst = Math.max(...moments.map(({ loss }) => loss));
  const lines = { accuracy: ({ accuracy }) => 4 + (high - 8) * (1 - accuracy), loss: ({ loss }) => 4 + (high - 8) * (1 - loss / worst) };
  const drawing = svg("svg", { viewBox: `0 0 ${wide} ${high}`, class: "curve", role: "img",
    "aria-label": "Accuracy, rising, and loss, falling, at the moments of the training" });
  for (const [name, y] of Object.entries(lines)) {
    drawing.append(svg("polyline", { class: name, points: moments.map((one, at) => `${x(at)},${y(one)}`).join(" ") }));
  }
  const marker = svg("line", { y1: 0, y2: high, class: "marker" });
  drawing.append(marker);
  const words = element("p", { class: "legend" }, "accuracy ", element("span", { class: "accuracy" }, "━━"), "  loss ", element("span", { class: "loss" }, "┅┅"));
  return { drawing: element("div", {}, drawing, words), mark(at) { marker.setAttribute("x1", x(at)); marker.setAttribute("x2", x(at)); } };
}

/**
 * Put a glass box into an element: a network's `header` and `weights` (an ArrayBuffer), images to show it (a Uint8Array,
 * 784 each) with their labels, and, where there are some, `moments` of its training ({ step, accuracy, loss }) with the
 * weights that it had then, `packed` (`scales` tell how). Returns, when all is unpacked, a function that takes it down.
 */
export async function mount(el, content) {
  const { header, weights, labels, moments = [], scales = [], packed = null } = content;
  let net, images, earlier;
  try {
    if (header.message) throw new Error(header.message);
    net = network.readNetwork(header, weights);
    images = await content.images;
    earlier = moments.length ? await network.unpacked(header, scales, packed, moments.length) : [];
  } catch (error) {
    el.replaceChildren(element("p", { role: "alert" }, error.message));
    return () => {};
  }
  let picture = pen.asImage(images.subarray(0, 784)), shown = 0, strokes = [];
  const disturbance = { turn: 0, across: 0, down: 0, noise: 0 };
  let maps = [], rows = [], known = null, pointed = null, held = false, playing = null, moving = null, judging = null;

  const reading = element("p", { class: "reading", role: "status" });
  const score = element("output", { class: "score" }, "–");
  const layers = element("div", { class: "layers" });
  const sums = element("section", { class: "arithmetic", "aria-live": "polite" });
  let due = 0; // the next picture of the screen, for which what was drawn is computed once
  const sheet = sheetFor((drawn) => {
    strokes = drawn;
    cancelAnimationFrame(due);
    due = requestAnimationFrame(() => take(pen.asImage(pen.digitOf(strokes))));
  });
  const which = element("input", { type: "number", min: 0, max: labels.length - 1, value: 0 });
  which.addEventListener("change", () => choose(Number(which.value)));
  const sliders = { turn: [-90, 90, 5, "turned by", "°"], across: [-10, 10, 1, "moved right by", " pixels"],
    down: [-10, 10, 1, "moved down by", " pixels"], noise: [0, 1, 0.05, "noise", ""] };
  const fields = Object.entries(sliders).map(([name, [min, max, step, words, unit]]) => {
    const value = element("output", {}, `0${unit}`);
    const input = element("input", { type: "range", min, max, step, value: 0 });
    input.addEventListener("input", () => {
      value.textContent = `${input.value}${unit}`.replace("-", "−");
      change(name, Number(input.value));
    });
    return { input, value, unit, label: element("label", {}, `${words} `, input, value) };
  });
  const play = element("button", { type: "button", onclick: () => (playing ? stop() : start()) }, "Slide the window");
  const back = element("button", { type: "button", onclick: restore, disabled: true }, "Take the changes back");
  const curve = curveOf(moments);
  const time = element("input", { type: "range", min: 0, max: moments.length - 1, value: moments.length - 1, "aria-label": "moment of the training" });
  time.addEventListener("input", () => { stopTime(); restore(); });
  const run = element("button", { type: "button", onclick: () => (moving ? stopTime() : startTime()) }, "Play the training");
  const moment = element("output");
  const training = element("section", { class: "training", hidden: !moments.length }, element("h4", {}, "Through the training"),
    element("div", { class: "tools" }, run, time, moment), curve.drawing);

  el.classList.add("glass-box");
  el.dataset.lmSuppressShortcuts = "true"; // keys pressed here are not meant for JupyterLab
  el.replaceChildren(
    element("div", { class: "top" },
      element("div", { class: "desk" }, sheet.canvas,
        element("div", { class: "tools" },
          element("button", { type: "button", onclick: () => choose(shown) }, "Clear"),
          element("label", {}, "Image ", which),
          element("button", { type: "button", onclick: () => choose((shown + 1) % labels.length) }, "Next")),
        element("div", { class: "tools" }, ...fields.map(({ label }) => label))),
      element("div", { class: "answer" }, reading, element("div", { class: "shares" }),
        element("p", {}, "Read rightly, with the network as it is now: ", score), element("div", { class: "neighbours" }))),
    training, element("div", { class: "tools" }, play, back),
    layers, sums);

  function choose(number) {
    shown = Math.min(Math.max(Math.round(number) || 0, 0), labels.length - 1);
    which.value = shown;
    sheet.clear();
    strokes = [];
    take(pen.asImage(images.subarray(784 * shown, 784 * (shown + 1))));
  }

  function take(image) {
    picture = image;
    compute();
  }

  function change(name, value) {
    disturbance[name] = value;
    compute();
    judge();
  }

  const off = () => Object.fromEntries(rows.map((row) => [row.at, [...row.off]]));

  /** Count, in a worker, how many of all images are read rightly with what was changed; what was being counted is given up. */
  function judge() {
    judging?.terminate();
    judging = worker((event) => {
      const { right, seen, many, limit } = event.data;
      if (many) {
        known = { many, limit };
        compare();
        return;
      }
      score.textContent = `${shared(right / seen)} of ${seen} images`;
      score.toggleAttribute("aria-busy", seen < labels.length);
    });
    judging?.postMessage({ net, images, labels, off: off(), disturbance });
  }

  function compute() {
    maps = network.forward(net, pen.disturbed(picture, disturbance), off());
    if (rows.length) rows.forEach((row) => { row.map = maps[row.at]; });
    else build();
    show();
    tell();
    if (pointed) point(pointed.row, pointed.place);
  }

  function show() {
    const room = layers.clientWidth || 320;
    for (const row of rows) {
      row.fit(room);
      row.draw();
    }
  }

  function build() {
    maps.forEach((map, at) => {
      const kind = at ? net.layers[at - 1].kind : "image";
      if (["standardise", "flatten", "scale"].includes(kind)) return;
      const signed = ["convolution", "dense"].includes(kind);
      const row = new Row(map, kind, signed, { hovered, clicked, moved });
      row.at = at;
      const count = row.flat ? `${row.width} numbers` : `${row.channels} × ${row.height} × ${row.width}`;
      const title = element("h4", {}, `${map.name} `, element("small", {}, count));
      row.canvas.setAttribute("aria-label", `${map.name}: ${count}. Arrow keys point at a number, Page Up and Page Down at another map.`);
      row.toggle = element("button", { type: "button", class: "off", hidden: true, onclick: () => flip(row) });
      layers.append(element("section", {}, title, row.canvas, row.toggle));
      rows.push(row);
    });
  }

  function tell() {
    const logits = maps[maps.length - 1].values;
    const truth = strokes.length ? "" : ` The label is ${net.classes[labels[shown]]}.`;
    reading.textContent = verdict(net.classes, logits) + truth;
    el.querySelector(".shares").replaceChildren(answers(net.classes, logits));
    compare();
  }

  function compare() {
    if (!known) return;
    const all = neighbours.distances(neighbours.features(net, maps), known.many);
    if (!strokes.length) all[shown] = Infinity; // an image is no company for itself
    const place = el.querySelector(".neighbours"), open = place.querySelector("details")?.open;
    place.replaceChildren(...company(all, known.limit, images, labels));
    place.querySelector("details").open = Boolean(open);
  }

  function hovered(row, place) {
    if (!held) point(row, place);
  }

  // What was clicked on stays, so that the mouse can go to its kernel past other maps; until the next click.
  function clicked(row, place) {
    held = Boolean(place) && !(held && pointed.row === row && String(pointed.place) === String(place));
    point(row, place);
  }

  function point(row, place) {
    if (!place) return;
    pointed = { row, place };
    show();
    const [channel, y, x] = place, at = row.at;
    row.draw({ channels: [row.flat ? 0 : channel], top: row.flat ? 0 : y, left: row.flat ? channel : x, size: 1 });
    const value = written(row.flat ? row.map.values[channel] : row.map.values[(channel * row.height + y) * row.width + x]);
    const where = (row.flat ? `${row.map.name}, number ${channel}` : `${row.map.name}, map ${channel}, row ${y}, column ${x}`)
      + (held ? " (held; another click lets go)" : "");
    row.toggle.hidden = row.flat || row.kind === "image";
    rows.forEach((one) => { if (one !== row) one.toggle.hidden = true; });
    row.toggle.textContent = row.off.has(channel) ? `Switch map ${channel} on` : `Switch map ${channel} off`;
    if (!at) {
      sums.replaceChildren(element("h4", {}, `${where}: ${value}`), element("p", {}, "A pixel: 0 is paper, 1 is ink."));
      return;
    }
    const found = network.explain(net, maps, at, place);
    frame(at, found);
    const edit = found.kind === "convolution" ? (of, index, number) => editKernel(at, channel, of, index, number) : null;
    const flattened = maps[at - 1].shape.length === 1 && net.layers[at - 2]?.kind === "flatten" ? maps[at - 2].shape : null;
    sums.replaceChildren(element("h4", {}, `${where}: ${value}`), ...arithmeticOf(found, row.map.name, edit, flattened, net.layers[at - 2]?.kind === "standardise"));
  }

  /** Frame the patch in the row of maps that a number came from. */
  function frame(at, found) {
    if (!found.place) return;
    const before = [...rows].reverse().find((row) => row.at < at && !row.flat);
    if (!before) return;
    const channels = found.kind === "pool" ? [found.channel] : Array.from({ length: before.channels }, (_, channel) => channel);
    before.draw({ channels, ...found.place });
  }

  function moved(row, event) {
    const steps = { ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], PageUp: [-1, 0, 0], PageDown: [1, 0, 0] };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    stop();
    const [channel, y, x] = pointed?.row === row ? pointed.place : [0, 0, 0];
    const within = (value, size) => Math.min(Math.max(value, 0), size - 1);
    if (row.flat) point(row, [within(channel + step[1] + step[2], row.width), 0, 0]);
    else point(row, [within(channel + step[0], row.channels), within(y + step[1], row.height), within(x + step[2], row.width)]);
  }

  function start() {
    const row = pointed && !pointed.row.flat && pointed.row.at ? pointed.row : rows[1];
    const channel = pointed?.row === row ? pointed.place[0] : 0;
    let at = 0;
    play.textContent = "Stop the window";
    sums.setAttribute("aria-live", "off"); // nobody could listen so fast
    playing = setInterval(() => {
      point(row, [channel, Math.floor(at / row.width), at % row.width]);
      at += 1;
      if (at === row.width * row.height) stop();
    }, PLAY);
  }

  function stop() {
    clearInterval(playing);
    playing = null;
    play.textContent = "Slide the window";
    sums.setAttribute("aria-live", "polite");
  }

  function flip(row) {
    const channel = pointed.place[0];
    if (!row.off.delete(channel)) row.off.add(channel);
    changed();
  }

  /** The network is another one now. */
  function changed() {
    back.disabled = false;
    forget();
    compute();
    judge();
  }

  /** What the images were to another network says nothing about this one. */
  function forget() {
    judging?.terminate();
    known = null;
    score.textContent = "–";
    el.querySelector(".neighbours").replaceChildren();
  }

  function editKernel(at, filter, channel, index, number) {
    if (!Number.isFinite(number)) return;
    const { weight, channels, kernel } = net.layers[at - 1];
    weight[(filter * channels + channel) * kernel * kernel + index] = number;
    changed();
  }

  /** The weights as they were trained, up to the moment that is chosen. */
  function restore() {
    const at = Number(time.value), atTheEnd = at >= moments.length - 1; // there the network stands with all its digits
    net = atTheEnd ? network.readNetwork(header, weights) : network.readNetwork({ ...header, dtype: "float32" }, earlier[at].buffer);
    rows.forEach((row) => row.off.clear());
    back.disabled = true;
    if (moments.length) {
      const { step, accuracy } = moments[at];
      moment.textContent = `${atTheEnd ? "at the end" : `step ${step.toLocaleString("en")}`}: ${shared(accuracy)} of ${labels.length} images read rightly`;
      curve.mark(at);
    }
    forget();
    compute();
    if (!moving) judge();
  }

  function startTime() {
    if (Number(time.value) === moments.length - 1) time.value = 0;
    run.textContent = "Stop the training";
    moving = setInterval(() => {
      restore();
      if (Number(time.value) === moments.length - 1) stopTime();
      else time.value = Number(time.value) + 1;
    }, MOMENT);
  }

  function stopTime() {
    if (moving) judge();
    clearInterval(moving);
    moving = null;
    run.textContent = "Play the training";
  }

  sums.append(element("p", {}, "Point at a number in one of the maps: here stands where it comes from. A click holds it; arrow keys work, too."));
  choose(0);
  restore();
  let room = layers.clientWidth;
  const resized = new ResizeObserver(() => { // a button that takes its place below a row changes the height only
    if (layers.clientWidth === room) return;
    room = layers.clientWidth;
    show();
    if (pointed) point(pointed.row, pointed.place);
  });
  resized.observe(layers);
  return () => {
    stop();
    stopTime();
    judging?.terminate();
    resized.disconnect();
    cancelAnimationFrame(due);
  };
}

/** A widget of Jupyter's: the same box, with what the kernel has sent. */
export function render({ model, el }) {
  const bytes = (name) => {
    const { buffer, byteOffset, byteLength } = model.get(name);
    return buffer.slice(byteOffset, byteOffset + byteLength);
  };
  const [header, labels] = [model.get("header"), model.get("labels")];
  const [moments, scales] = [model.get("moments"), model.get("scales")];
  const [weights, packed, images] = ["weights", "packed", "images"].map(bytes);
  return mount(el, { header, labels, weights, moments, scales, packed: new Uint8Array(packed), images: new Uint8Array(images) });
}

/** A worker that counts what is read rightly: `told` hears of it now and then. Null where a page may have none. */
function worker(told) {
  const source = `${SOURCES}
onmessage = ({ data: { net, images, labels, off, disturbance } }) => {
  const changed = Object.values(disturbance).some(Boolean);
  let right = 0, many = null;
  labels.forEach((label, at) => {
    const image = pen.asImage(images.subarray(784 * at, 784 * (at + 1)));
    const maps = network.forward(net, pen.disturbed(image, disturbance), off), logits = maps[maps.length - 1].values;
    right += logits.indexOf(Math.max(...logits)) === label;
    if (at % 50 === 49 || at === labels.length - 1) postMessage({ right, seen: at + 1 });
    const row = neighbours.features(net, changed ? network.forward(net, image, off) : maps); // as they are known
    many ??= new Float32Array(row.length * labels.length);
    many.set(row, at * row.length);
  });
  postMessage({ many, limit: neighbours.limitOf(many, many.length / labels.length) });
};`;
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    const made = new Worker(address);
    made.onmessage = told;
    return made;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(address);
  }
}
