// The arithmetic behind one number of a network, and what the network says, as tables and sentences.
import * as network from "./network.js";
import * as neighbours from "./neighbours.js";
import * as tiles from "./tiles.js";

const { element, inked, matrix, shared, written } = tiles;
const UNSURE = 0.99; // below it the network's answer is called unsure, as everywhere in the course
const SHOWN = 5; // known digits that are set beside the reader's
const CHANNELS = 4; // whose products are written out; the others are summed

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
      matrix(kernel, side, "kernel", true, kernels, edit && { channel, change: (at, value) => edit.change(channel, at, value), chosen: (at) => edit.chosen(channel, at) }), sign("="),
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
  const list = (title, items) => element("div", {}, element("h3", {}, title), element("ul", {}, ...items.map(
    ({ input, value, weight, product }) => element("li", {}, `${placeOf(input, shape)}: ${written(value)} × ${written(weight)} = ${written(product)}`))));
  return [element("div", { class: "line" }, list("most for it", found.strongest), list("most against it", found.against)),
    element("p", { class: "total" }, `all products ${written(found.sum)} + ${written(found.bias)} (bias) = `,
      element("strong", {}, written(found.result)))];
}

export function arithmeticOf(found, name, edit, shape, standardised) {
  if (found.kind === "convolution") return arithmeticOfConvolution(found, edit, standardised ? "pixels, standardised" : "what lies below it");
  if (found.kind === "pool") return arithmeticOfPool(found);
  if (found.kind === "dense") return arithmeticOfDense(found, shape);
  if (found.kind === "relu") return [element("p", {}, `ReLU: the larger of 0 and ${written(found.before)} is `, element("strong", {}, written(found.result)))];
  if (found.kind === "standardise") {
    return [element("p", {}, `(${written(found.before)} − ${written(found.mean)}) / ${written(found.std)} = `, element("strong", {}, written(found.result)))];
  }
  if (found.kind === "pad") {
    const { place } = found, from = place ? `Copied from row ${place.top}, column ${place.left} of map ${found.channel}: ` : "A zero of the border: ";
    return [element("p", {}, from, element("strong", {}, written(found.result)))];
  }
  if (found.kind === "largest") {
    return [element("p", {}, `The largest of the ${found.count} values of map ${found.channel}: `, element("strong", {}, written(found.result)))];
  }
  return [element("p", {}, `${name}: `, element("strong", {}, written(found.result)))];
}

/** Softmax with its exponentials, a row a class. */
export function answers(classes, logits) {
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
export function verdict(classes, logits) {
  const shares = network.softmax(logits), order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]);
  const [first, second] = order.map((at) => classes[at]);
  const undecided = `entropy ${network.entropy(shares).toFixed(2)} of at most ${Math.log(classes.length).toFixed(2)}`;
  if (shares[order[0]] >= UNSURE) return `${first}, ${shared(shares[order[0]])} sure (${undecided}).`;
  return `Unsure: ${first} (${shared(shares[order[0]])}) or ${second} (${shared(shares[order[1]])}; ${undecided}).`;
}

/** The known digits that are nearest, and in words whether the image is one that the network can know about. */
export function company(all, strength, { limit, least }, images, labels) {
  const places = neighbours.nearest(all, SHOWN), distance = all[places[0]];
  const far = !(distance <= limit), weak = !(strength >= least); // what is no number is neither near nor strong
  const figures = `distance ${distance.toFixed(2)}, limit ${limit.toFixed(2)}; strength ${strength.toFixed(2)}, at least ${least.toFixed(2)}`;
  const pictures = places.map((at) => {
    const canvas = element("canvas", { width: 28, height: 28, class: "known", role: "img", "aria-label": `image ${at}, a ${labels[at]}` });
    const picture = new ImageData(28, 28);
    for (let pixel = 0; pixel < 784; pixel++) picture.data.set([...inked(images[784 * at + pixel]), 255], 4 * pixel);
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return element("figure", {}, canvas, element("figcaption", {}, labels[at]));
  });
  const why = [far && "far from all", weak && "weak"].filter(Boolean).join(" and ");
  const words = far || weak
    ? `Unlike anything it knows: ${why} (${figures}). Whatever it says about this image, it was not trained on such images.`
    : `Like digits that it knows (${figures}).`;
  return [element("p", { class: far || weak ? "stranger" : "familiar" }, words), element("div", { class: "company" }, ...pictures)];
}

/** How it is found out whether a network knows an image, of so many that came with the page. */
export function measured(count) {
  return element("details", {}, element("summary", {}, "How this is measured"),
    element("p", {}, `Of the ${count} images that came with this page, these ${SHOWN} are nearest: their last maps point most nearly the `
      + `same way (the distance is one minus the cosine of the angle). The limit is the distance within which ${100 * neighbours.SHARE} in `
      + "100 of these images have another of them. The strength is the logarithm of the sum of e to the logits: low where nothing in "
      + `the image speaks for any digit; ${100 * neighbours.SHARE} in 100 have at least the second limit. So a few true digits are called strangers, too.`));
}
