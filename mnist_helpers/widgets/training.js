// The training of the network in a glass box: a slider over its moments, loss and accuracy there, and one weight that is
// followed: its value, what the batch of a step said of it (its gradient), and what the step did to it.
import * as tiles from "./tiles.js";

const { element, shared } = tiles;
const MOMENT = 400; // milliseconds from one moment of the training to the next
const [WIDE, HIGH, EDGE] = [360, 90, 4];

const fine = (number) => (number ? number.toPrecision(3) : "0").replace("-", "−");

function svg(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** A small chart of lines over the moments, { name: [numbers from 0 to 1] }, and a marker to move. */
function chart(lines, label) {
  const count = Object.values(lines)[0].length;
  const x = (at) => EDGE + ((WIDE - 2 * EDGE) * at) / Math.max(1, count - 1), y = (share) => EDGE + (HIGH - 2 * EDGE) * (1 - share);
  const drawing = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "curve", role: "img", "aria-label": label });
  for (const [name, shares] of Object.entries(lines)) {
    drawing.append(svg("polyline", { class: name, points: shares.map((share, at) => `${x(at)},${y(share)}`).join(" ") }));
  }
  const marker = svg("line", { y1: 0, y2: HIGH, class: "marker" });
  drawing.append(marker);
  const mark = (at) => ["x1", "x2"].forEach((end) => marker.setAttribute(end, x(at)));
  return { drawing, mark };
}

/** What happened to a weight in the step of a moment, in words. */
function told({ values, gradients, changes }, at) {
  if (!gradients) return "No gradients were kept of this weight.";
  if (!at) return "This is before the first step.";
  const [gradient, change] = [gradients[at], changes[at]];
  const [slope, words] = [`The gradient of this step's batch: ${fine(gradient)}. `, `The step changed the weight by ${fine(change)}`];
  if (!gradient) return `${slope}${words}.`;
  const wish = gradient > 0 ? "smaller" : "larger";
  const follows = change * gradient < 0 ? "" : ", the other way: the optimizer also remembers the batches before";
  return `${slope}A ${wish} weight would have made the loss of this batch smaller. ${words}${follows}.`;
}

/**
 * The panel of a training: `moments` ({ step, accuracy, loss }) of a network that was tried on `many` images. `moved` is
 * called when another moment is shown, `stopped` when it no longer plays. Without moments it is hidden.
 */
export function panelOf(moments, many, { moved, stopped }) {
  const last = moments.length - 1;
  let playing = null, followed = null, weight = null;
  const time = element("input", { type: "range", min: 0, max: last, value: last, "aria-label": "moment of the training" });
  const run = element("button", { type: "button", onclick: () => (playing ? stop() : start()) }, "Play the training");
  const moment = element("output");
  const worst = Math.max(...moments.map(({ loss }) => loss));
  const curve = moments.length ? chart({ accuracy: moments.map(({ accuracy }) => accuracy), loss: moments.map(({ loss }) => loss / worst) },
    "Accuracy, rising, and loss, falling, at the moments of the training") : null;
  const legend = element("p", { class: "legend" }, "accuracy ", element("span", { class: "accuracy" }, "━━"), "  loss ",
    element("span", { class: "loss" }, "┅┅"), " (as a share of its highest). The moments lie closest together at the beginning.");
  const weights = element("div", { class: "followed" }, element("p", {}, "Click on a weight of a kernel, below, to follow it through the training."));
  const panel = element("section", { class: "training", hidden: !moments.length }, element("h2", {}, "Through the training"),
    element("div", { class: "tools" }, run, time, moment),
    element("div", { class: "charts" }, element("div", {}, curve?.drawing ?? null, legend), weights));
  time.addEventListener("input", () => { stop(); moved(); });

  const at = () => Number(time.value);

  /** Say which moment is shown. */
  function tell() {
    if (!moments.length) return;
    const { step, accuracy } = moments[at()];
    const when = at() === last ? "at the end" : `step ${step.toLocaleString("en")}`;
    moment.textContent = `${when}: ${shared(accuracy)} of ${many} images read correctly`;
    curve.mark(at());
    if (!weight) return;
    weight.mark(at());
    weights.querySelector("p").replaceChildren(`${followed.name}: `, element("strong", {}, fine(followed.values[at()])), `. ${told(followed, at())}`);
  }

  /** Follow a weight: its `name`, its `values` at all moments and, where they are kept, `gradients` and `changes`. */
  function follow(one) {
    if (!moments.length) return;
    followed = one;
    const low = Math.min(0, ...one.values), high = Math.max(0, ...one.values), range = high - low || 1;
    const place = (value) => (value - low) / range;
    weight = chart({ zero: one.values.map(() => place(0)), weight: one.values.map(place) },
      `${one.name} at the moments of the training: from ${fine(one.values[0])} to ${fine(one.values[last])}; the dotted line is 0`);
    weights.replaceChildren(weight.drawing, element("p", { role: "status" }));
    tell();
  }

  function start() {
    if (at() === last) time.value = 0;
    run.textContent = "Stop the training";
    playing = setInterval(() => {
      moved();
      if (at() === last) stop();
      else time.value = at() + 1;
    }, MOMENT);
  }

  function stop() {
    if (playing) stopped();
    clearInterval(playing);
    playing = null;
    run.textContent = "Play the training";
  }

  return { panel, at, tell, follow, stop, atTheEnd: () => at() >= last, plays: () => playing !== null };
}
