// The glass box: a digit, every map that the network makes of it, and the arithmetic behind each number. Filters can be
// switched off and kernels edited; all is computed in the page. `mount` puts it into an element; a widget and a still
// page both call it.
import * as network from "./network.js";
import * as pen from "./strokes.js";
import * as neighbours from "./neighbours.js";
import * as tiles from "./tiles.js";
import * as arithmetic from "./arithmetic.js";
import * as training from "./training.js";

const { element, shared, written, Row, sheetFor } = tiles;
const PLAY = 80; // milliseconds from one place of the sliding window to the next
const REST = 300; // milliseconds without a stroke, after which what drawing broke off is begun again

/**
 * Put a glass box into an element: a network's `header` and `weights` (an ArrayBuffer), images to show it (a Uint8Array,
 * 784 each) with their labels, and, where there are some, `moments` of its training ({ step, accuracy, loss }) with the
 * weights that it had then, `packed` (`scales` tell how), and of its first convolution the weights, their gradients and
 * their changes in the steps of all moments (`followed`, a Float32Array). Returns, when all is unpacked, a function that
 * takes it down.
 */
export async function mount(el, content) {
  const { header, weights, labels, moments = [], scales = [], packed = null, followed = [] } = content;
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
  let maps = [], rows = [], kernels = null, known = null, pointed = null, held = false, playing = null, judging = [], again = 0;

  const reading = element("p", { class: "reading", role: "status" });
  const score = element("output", { class: "score" }, "–");
  const layers = element("div", { class: "layers" });
  const sums = element("section", { class: "arithmetic", "aria-live": "polite" });
  let due = 0; // the next picture of the screen, for which what was drawn is computed once
  const sheet = sheetFor((drawn) => {
    strokes = drawn;
    wait();
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
  const time = training.panelOf(moments, labels.length, { moved: restore, stopped: judge });
  const company = element("div"), measured = arithmetic.measured(labels.length); // apart: what is open stays open
  measured.hidden = true;

  el.classList.add("glass-box");
  el.replaceChildren(
    element("div", { class: "top" },
      element("div", { class: "desk" }, sheet.canvas,
        element("div", { class: "tools" },
          element("button", { type: "button", onclick: () => choose(shown) }, "Clear"),
          element("label", {}, "Image ", which),
          element("button", { type: "button", onclick: () => choose((shown + 1) % labels.length) }, "Next")),
        element("div", { class: "tools" }, ...fields.map(({ label }) => label))),
      element("div", { class: "answer" }, reading, element("div", { class: "shares" }),
        element("p", {}, "Read correctly, with the network as it is now: ", score), element("div", { class: "neighbours" }, company, measured))),
    time.panel, element("div", { class: "tools" }, play, back,
      element("p", { class: "legend" }, "Convolutions and dense layers: purple is above zero, orange below. All others: the darker, the larger.")),
    element("div", {}, layers, sums)); // within it the sums keep to the window's edge, so they never cover the sheet

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

  /**
   * Count, in two workers, how many of all images are read correctly with what was changed, and then learn how near they
   * are to each other; what was being counted is given up.
   */
  function judge() {
    clearTimeout(again);
    again = 0;
    dismiss();
    const half = Math.ceil(labels.length / 2);
    const parts = [0, half].filter((from) => from < labels.length).map((from) => ({ right: 0, seen: 0, many: null, strengths: null,
      labels: labels.slice(from, from + half), images: images.slice(784 * from, 784 * (from + half)) }));
    judging = parts.map((part) => worker(({ data }) => {
      Object.assign(part, data);
      const sum = (name) => parts.reduce((total, one) => total + one[name], 0);
      if (data.seen) score.textContent = `${shared(sum("right") / sum("seen"))} of ${sum("seen")} images`;
      score.toggleAttribute("aria-busy", sum("seen") < labels.length);
      if (data.many && parts.every(({ many }) => many)) {
        const size = part.many.length / part.labels.length, many = new Float32Array(size * labels.length);
        parts.forEach((one, at) => many.set(one.many, at * half * size));
        judging[0].postMessage({ many, size });
      } else if (data.limit !== undefined) {
        known = { many: data.all, limit: data.limit, least: neighbours.leastOf(parts.flatMap(({ strengths }) => strengths)) };
        dismiss();
        compare();
      }
    })).filter(Boolean);
    judging.forEach((one, at) => one.postMessage({ ...parts[at], net, off: off(), disturbance }));
  }

  function dismiss() {
    judging.forEach((one) => one.terminate());
    judging = [];
  }

  /** Nothing is counted while somebody draws: the hand comes first. */
  function wait() {
    clearTimeout(again);
    if (judging.length) dismiss();
    else if (!again) return;
    again = setTimeout(judge, REST);
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
    if (kernels) kernels.map.values = net.layers[kernels.at - 1].weight;
    for (const row of kernels ? [kernels, ...rows] : rows) {
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
      if (kind === "convolution" && !kernels && net.layers[at - 1].channels === 1) showKernels(at);
      const count = row.flat ? `${row.width} numbers` : `${row.channels} × ${row.height} × ${row.width}`;
      const title = element("h2", {}, `${map.name} `, element("small", {}, count));
      row.canvas.setAttribute("aria-label", `${map.name}: ${count}. Arrow keys point at a number, Page Up and Page Down at another map.`);
      row.toggle = element("button", { type: "button", class: "off", hidden: true, onclick: () => flip(row) });
      layers.append(element("section", {}, title, row.canvas, row.toggle));
      rows.push(row);
    });
  }

  /** Show the kernels of a layer that has one a map, each above its map, to be watched through the training. */
  function showKernels(at) {
    const { name, filters, kernel, weight } = net.layers[at - 1], shape = [filters, kernel, kernel];
    const chosen = (row, place) => { ofKernel(place); if (place) follow(at, place[0], 0, place[1] * kernel + place[2]); };
    const hovered = (row, place) => { if (!held) ofKernel(place); };
    const moved = (row, event) => step(row, row.place, event, (place) => chosen(row, place));
    kernels = new Row({ name, shape, values: weight }, "kernels", true, { hovered, clicked: chosen, moved });
    kernels.at = at;
    const count = `${filters} × ${kernel} × ${kernel}`;
    kernels.canvas.setAttribute("aria-label", `kernels of ${name}: ${count}. Arrow keys choose a weight, Page Up and Page Down another kernel.`);
    layers.append(element("section", {}, element("h2", {}, `kernels of ${name} `, element("small", {}, count)), kernels.canvas));
  }

  /** Point at a weight of a kernel, and at a number of its map. */
  function ofKernel(place) {
    if (!place) return;
    const row = rows.find(({ at }) => at === kernels.at);
    point(row, [place[0], ...(pointed?.row === row ? pointed.place.slice(1) : [row.height >> 1, row.width >> 1])]);
    kernels.place = place;
    kernels.draw({ channels: [place[0]], top: place[1], left: place[2], size: 1 });
  }

  function tell() {
    const logits = network.logitsOf(maps);
    const truth = strokes.length ? "" : ` The label is ${net.classes[labels[shown]]}.`;
    reading.textContent = arithmetic.verdict(net.classes, logits) + truth;
    el.querySelector(".shares").replaceChildren(arithmetic.answers(net.classes, logits));
    compare();
  }

  function compare() {
    if (!known) return;
    const all = neighbours.distances(neighbours.features(net, maps), known.many), logits = network.logitsOf(maps);
    if (!strokes.length) all[shown] = Infinity; // an image is no company for itself
    company.replaceChildren(...arithmetic.company(all, neighbours.strength(logits), known, images, labels));
    measured.hidden = false;
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
      sums.replaceChildren(element("h2", {}, `${where}: ${value}`), element("p", {}, "A pixel: 0 is paper, 1 is ink."));
      return;
    }
    const found = network.explain(net, maps, at, place);
    const focused = sums.contains(el.getRootNode().activeElement) && el.getRootNode().activeElement.dataset.place; // is kept
    frame(at, found);
    const edit = found.kind === "convolution" ? {
      change: (of, index, number) => editKernel(at, channel, of, index, number),
      chosen: (of, index) => follow(at, channel, of, index),
    } : null;
    const flattened = maps[at - 1].shape.length === 1 && net.layers[at - 2]?.kind === "flatten" ? maps[at - 2].shape : null;
    sums.replaceChildren(element("h2", {}, `${where}: ${value}`), ...arithmetic.arithmeticOf(found, row.map.name, edit, flattened, net.layers[at - 2]?.kind === "standardise"));
    if (focused) sums.querySelector(`[data-place="${focused}"]`)?.focus();
  }

  /** Frame the patch in the row of maps that a number came from. */
  function frame(at, found) {
    if (!found.place) return;
    const before = [...rows].reverse().find((row) => row.at < at && !row.flat);
    if (!before) return;
    const channels = found.channel === undefined ? Array.from({ length: before.channels }, (_, channel) => channel) : [found.channel];
    before.draw({ channels, ...found.place });
  }

  function moved(row, event) {
    step(row, pointed?.row === row ? pointed.place : null, event, (place) => point(row, place));
  }

  /** Go with a key from one place of a row to the next. */
  function step(row, place, event, reached) {
    const steps = { ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], PageUp: [-1, 0, 0], PageDown: [1, 0, 0] };
    const by = steps[event.key];
    if (!by) return;
    event.preventDefault();
    stop();
    const [channel, y, x] = place ?? [0, 0, 0];
    const within = (value, size) => Math.min(Math.max(value, 0), size - 1);
    if (row.flat) reached([within(channel + by[1] + by[2], row.width), 0, 0]);
    else reached([within(channel + by[0], row.channels), within(y + by[1], row.height), within(x + by[2], row.width)]);
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
    dismiss();
    known = null;
    score.textContent = "–";
    company.replaceChildren();
    measured.hidden = true;
  }

  function editKernel(at, filter, channel, index, number) {
    if (!Number.isFinite(Math.fround(number))) return;
    const { weight, channels, kernel } = net.layers[at - 1];
    weight[(filter * channels + channel) * kernel * kernel + index] = number;
    changed();
  }

  /** The weights as they were trained, up to the moment that is chosen. */
  function restore() {
    net = time.atTheEnd() ? network.readNetwork(header, weights) // there the network stands with all its digits
      : network.readNetwork({ ...header, dtype: "float32" }, earlier[time.at()].buffer);
    rows.forEach((row) => row.off.clear());
    back.disabled = true;
    time.tell();
    forget();
    compute();
    if (!time.plays()) judge();
  }

  /** Follow a weight of a kernel through the training. */
  function follow(at, filter, channel, index) {
    const { channels, kernel, name } = net.layers[at - 1], side = kernel * kernel;
    const before = net.layers.slice(0, at - 1).flatMap(network.tensorsOf).reduce((sum, { size }) => sum + size, 0);
    const own = (filter * channels + channel) * side + index, all = net.layers[at - 1].filters * channels * side;
    const kept = !net.layers.slice(0, at - 1).some(({ kind }) => kind === "convolution") && followed.length === 3 * moments.length * all;
    const row = (which) => (kept ? moments.map((_, moment) => followed[(which * moments.length + moment) * all + own]) : null);
    time.follow({
      name: `${name}, kernel ${filter}${channels > 1 ? ` for map ${channel}` : ""}, row ${1 + Math.floor(index / kernel)}, column ${1 + (index % kernel)}`,
      values: row(0) ?? earlier.map((numbers) => numbers[before + own]), gradients: row(1), changes: row(2),
    });
  }

  sums.append(element("p", {}, "Point at a number in one of the maps: its arithmetic appears here. A click holds it; arrow keys work, too."));
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
    time.stop();
    clearTimeout(again);
    dismiss();
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
  const [weights, packed, followed, images] = ["weights", "packed", "followed", "images"].map(bytes);
  return mount(el, { header, labels, weights, moments, scales, packed: new Uint8Array(packed),
    followed: new Float32Array(followed), images: new Uint8Array(images) });
}

/** A worker that counts what is read correctly and measures distances: `told` hears of it. Null where a page may have none. */
function worker(told) {
  const source = `${SOURCES}
// Between two images a worker listens: one that does not is ended by Chromium two seconds after it was dismissed.
const { port1, port2 } = new MessageChannel();
const listen = () => new Promise((heard) => {
  port1.onmessage = heard;
  port2.postMessage(null);
});
onmessage = async ({ data: { net, images, labels, off, disturbance, many, size } }) => {
  if (many) {
    postMessage({ all: many, limit: neighbours.limitOf(many, size) });
    return;
  }
  const rows = [], strengths = [], changed = Object.values(disturbance).some(Boolean);
  const image = (at) => pen.asImage(images.subarray(784 * at, 784 * (at + 1)));
  const know = (maps) => {
    rows.push(neighbours.features(net, maps));
    strengths.push(neighbours.strength(network.logitsOf(maps)));
  };
  let right = 0;
  for (const [at, label] of labels.entries()) {
    await listen();
    const maps = network.forward(net, pen.disturbed(image(at), disturbance), off), logits = network.logitsOf(maps);
    right += logits.indexOf(Math.max(...logits)) === label;
    if (!changed) know(maps);
    if (at % 25 === 24 || at === labels.length - 1) postMessage({ right, seen: at + 1 });
  }
  for (let at = 0; changed && at < labels.length; at++) { // as they are known
    await listen();
    know(network.forward(net, image(at), off));
  }
  const together = new Float32Array(rows.length * rows[0].length);
  rows.forEach((row, at) => together.set(row, at * row.length));
  postMessage({ many: together, strengths });
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
