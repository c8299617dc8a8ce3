// A convolutional network in plain JavaScript: what a layer computes, and nothing else. It reads the two files that
// `mnist-helpers export --format web` writes and returns every map between the image and the logits.
//
// A map is { shape, values }: shape [channels, height, width] or [numbers], values a Float32Array, row after row.
// No page, no drawing, no library; it runs in a page, in a worker and in Node.

const FORMAT = "mnist-helpers-network";

/** The network of a header (parsed JSON) and its weights (an ArrayBuffer). Throws an Error that says what is wrong. */
export function readNetwork(header, buffer) {
  if (header?.format !== FORMAT || header.version !== 1) {
    throw new Error(`This is not the header of a network (format ${header?.format}, version ${header?.version}).`);
  }
  const bytes = header.dtype === "float32" ? 4 : 2;
  const wanted = bytes * header.layers.flatMap(tensorsOf).reduce((sum, { size }) => sum + size, 0);
  if (buffer.byteLength !== wanted) {
    throw new Error(`The file of weights has ${buffer.byteLength} bytes and must have ${wanted}. Was it cut off?`);
  }
  const numbers = header.dtype === "float32" ? new Float32Array(buffer) : fromFloat16(new Uint16Array(buffer));
  if (!numbers.every(Number.isFinite)) throw new Error("A weight in the file is not a number.");
  let at = 0;
  const layers = header.layers.map((layer) => {
    const own = { ...layer };
    for (const { name, size } of tensorsOf(layer)) own[name] = numbers.slice(at, at += size);
    return own;
  });
  return { input: header.input, classes: header.classes, layers };
}

/** The tensors that a layer has in the file of weights, in their order there. */
export function tensorsOf(layer) {
  if (layer.kind === "convolution") {
    const { filters, channels, kernel } = layer;
    return [{ name: "weight", size: filters * channels * kernel * kernel }, { name: "bias", size: filters }];
  }
  if (layer.kind === "dense") {
    return [{ name: "weight", size: layer.outputs * layer.inputs }, { name: "bias", size: layer.outputs }];
  }
  if (layer.kind === "scale") return [{ name: "weight", size: layer.channels }, { name: "bias", size: layer.channels }];
  return [];
}

/** 16-bit floating-point numbers as 32-bit ones (IEEE 754-2008, binary16). */
export function fromFloat16(halves) {
  return Float32Array.from(halves, (half) => {
    const sign = half & 0x8000 ? -1 : 1, exponent = (half >> 10) & 31, fraction = half & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  });
}

/** What zlib compressed. Rejects with an Error that says so if the bytes are cut off. */
export async function inflated(bytes) {
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Error("A part of this page cannot be unpacked. Was its file cut off?");
  }
}

/**
 * A network's weights (Float32Arrays) at `count` moments of its training, from what `pack` in moments.py wrote: each
 * tensor in 8 bits, times its scale, as differences from the moment before.
 */
export async function unpacked(header, scales, packed, count) {
  const sizes = header.layers.flatMap(tensorsOf).map(({ size }) => size);
  const total = sizes.reduce((sum, size) => sum + size, 0), changes = new Int8Array((await inflated(packed)).buffer);
  if (changes.length !== total * count) throw new Error("The moments of the training are those of another network.");
  const moments = Array.from({ length: count }, () => new Float32Array(total));
  let from = 0, at = 0;
  sizes.forEach((size, tensor) => {
    const levels = new Int8Array(size); // which wrap around, as the differences did
    for (const weights of moments) {
      for (let index = 0; index < size; index++) {
        levels[index] += changes[from++];
        weights[at + index] = levels[index] * scales[tensor];
      }
    }
    at += size;
  });
  return moments;
}

/**
 * All maps of an image (784 values from 0 to 1): the image itself, then what each layer gives; the last are the logits.
 * Maps that are switched `off`, { place of the layer from 1: [numbers of its maps] }, are zero for the next layer.
 */
export function forward(network, image, off = {}) {
  const maps = [{ name: "image", shape: network.input, values: Float32Array.from(image) }];
  network.layers.forEach((layer, before) => {
    const map = step(layer, maps[before]), area = map.values.length / map.shape[0];
    for (const channel of off[before + 1] ?? []) map.values.fill(0, channel * area, (channel + 1) * area);
    maps.push({ name: layer.name, ...map });
  });
  return maps;
}

/** What one layer makes of a map. */
export function step(layer, map) {
  return LAYERS[layer.kind](layer, map);
}

const LAYERS = { standardise, pad, convolution, scale, relu, pool, largest, flatten, dense };

function standardise({ mean, std }, { shape, values }) {
  return { shape, values: values.map((value) => (value - mean) / std) };
}

function relu(_layer, { shape, values }) {
  const result = new Float32Array(values.length);
  for (let at = 0; at < values.length; at++) if (values[at] > 0) result[at] = values[at];
  return { shape, values: result };
}

function flatten(_layer, { values }) {
  return { shape: [values.length], values };
}

/** Each output is the bias and, over all channels, the sum of kernel × patch. `stride` and `padding` as in torch. */
function convolution(layer, map) {
  const { filters, channels, kernel, stride, padding, weight, bias } = layer;
  const whole = padding ? pad({ border: padding }, map) : map;
  const [, rows, columns] = whole.shape.map((side) => Math.floor((side - kernel) / stride) + 1);
  const patches = patchesOf(whole, kernel, stride, rows, columns);
  const places = rows * columns, size = channels * kernel * kernel;
  // Four filters at a time, so that each number of a patch is fetched once for four products: twice as fast. Where their
  // number is no multiple of four, filters of zeros are added.
  const fours = 4 * Math.ceil(filters / 4), kernels = new Float32Array(fours * size);
  kernels.set(weight);
  const result = new Float32Array(fours * places);
  for (let filter = 0; filter < filters; filter += 4) {
    const first = filter * size, second = first + size, third = second + size, fourth = third + size;
    for (let place = 0; place < places; place++) {
      let one = bias[filter], two = bias[filter + 1], three = bias[filter + 2], four = bias[filter + 3];
      const patch = place * size;
      for (let at = 0; at < size; at++) {
        const value = patches[patch + at];
        one += value * kernels[first + at];
        two += value * kernels[second + at];
        three += value * kernels[third + at];
        four += value * kernels[fourth + at];
      }
      result[filter * places + place] = one;
      result[(filter + 1) * places + place] = two;
      result[(filter + 2) * places + place] = three;
      result[(filter + 3) * places + place] = four;
    }
  }
  return { shape: [filters, rows, columns], values: result.slice(0, filters * places) };
}

/** What lies below a kernel, one place after the other; of each place all channels, row by row. */
function patchesOf({ shape: [channels, height, width], values }, kernel, stride, rows, columns) {
  const patches = new Float64Array(rows * columns * channels * kernel * kernel);
  let to = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let channel = 0; channel < channels; channel++) {
        for (let y = 0; y < kernel; y++) {
          const from = (channel * height + row * stride + y) * width + column * stride;
          for (let x = 0; x < kernel; x++) patches[to++] = values[from + x];
        }
      }
    }
  }
  return patches;
}

/** A border of zeros on all sides; a negative one cuts the map. */
function pad({ border }, { shape: [channels, height, width], values }) {
  const rows = height + 2 * border, columns = width + 2 * border;
  const result = new Float32Array(channels * rows * columns);
  const cut = Math.max(0, -border), kept = width - 2 * cut;
  for (let channel = 0; channel < channels; channel++) {
    for (let row = cut; row < height - cut; row++) {
      const from = (channel * height + row) * width + cut;
      const to = (channel * rows + row + border) * columns + Math.max(0, border);
      result.set(values.subarray(from, from + kept), to);
    }
  }
  return { shape: [channels, rows, columns], values: result };
}

/** Each map times a number, plus a number: batch normalisation as it is in use. */
function scale({ weight, bias }, { shape, values }) {
  const area = values.length / shape[0];
  return { shape, values: values.map((value, at) => value * weight[Math.floor(at / area)] + bias[Math.floor(at / area)]) };
}

/** The largest value of each square; a square that would reach over the edge is left out. */
function pool({ size, stride }, { shape: [channels, height, width], values }) {
  const rows = Math.floor((height - size) / stride) + 1, columns = Math.floor((width - size) / stride) + 1;
  const result = new Float32Array(channels * rows * columns);
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        let largest = -Infinity;
        for (let y = 0; y < size; y++) {
          const from = (channel * height + row * stride + y) * width + column * stride;
          for (let x = 0; x < size; x++) if (values[from + x] > largest) largest = values[from + x];
        }
        result[at++] = largest;
      }
    }
  }
  return { shape: [channels, rows, columns], values: result };
}

/** The largest value of each map. */
function largest(_layer, { shape: [channels, height, width], values }) {
  const area = height * width;
  const result = Float32Array.from({ length: channels }, (_, at) => Math.max(...values.subarray(at * area, (at + 1) * area)));
  return { shape: [channels, 1, 1], values: result };
}

function dense({ inputs, outputs, weight, bias }, { values }) {
  const result = new Float32Array(outputs);
  for (let output = 0; output < outputs; output++) {
    let sum = bias[output];
    for (let input = 0; input < inputs; input++) sum += weight[output * inputs + input] * values[input];
    result[output] = sum;
  }
  return { shape: [outputs], values: result };
}

/** The last of all that `forward` returns. */
export const logitsOf = (maps) => maps[maps.length - 1].values;

/** Probabilities of logits. */
export function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** How undecided probabilities are, in nats: 0 for one certain class, ln 10 for ten equal ones. */
export function entropy(probabilities) {
  return probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
}

/**
 * The arithmetic behind one value of a map: what was multiplied with what and added. For a convolution
 * { channels: [{ patch, kernel, sum }], bias, result, place: { top, left, size } }; for pooling the square and its
 * largest value; for a dense layer the inputs that count most, for and against; for a value that is only copied, from where.
 */
export function explain(network, maps, index, place) {
  const layer = network.layers[index - 1], before = maps[index - 1], after = maps[index];
  if (layer.kind === "convolution") return explainConvolution(layer, before, after, place);
  if (layer.kind === "pool") return explainPool(layer, before, after, place);
  if (layer.kind === "dense") return explainDense(layer, before, after, place[0]);
  if (layer.kind === "pad") return explainPad(layer, before, after, place);
  if (layer.kind === "largest") return explainLargest(before, after, place[0]);
  const value = valueAt(before, place);
  return { kind: layer.kind, before: value, result: valueAt(after, place), mean: layer.mean, std: layer.std };
}

function valueAt({ shape, values }, [channel, row, column]) {
  return shape.length === 1 ? values[channel] : values[(channel * shape[1] + row) * shape[2] + column];
}

function patchOf(map, channel, top, left, size) {
  const [, height, width] = map.shape, inside = (at, side) => at >= 0 && at < side;
  return Array.from({ length: size * size }, (_, at) => {
    const row = top + Math.floor(at / size), column = left + (at % size);
    return inside(row, height) && inside(column, width) ? valueAt(map, [channel, row, column]) : 0;
  });
}

function explainConvolution({ kind, channels, kernel, stride, padding, weight, bias }, before, after, place) {
  const [filter, row, column] = place, size = kernel * kernel;
  const top = row * stride - padding, left = column * stride - padding;
  const parts = Array.from({ length: channels }, (_, channel) => {
    const patch = patchOf(before, channel, top, left, kernel);
    const from = (filter * channels + channel) * size;
    const own = Array.from(weight.subarray(from, from + size));
    return { channel, patch, kernel: own, sum: patch.reduce((sum, value, at) => sum + value * own[at], 0) };
  });
  return { kind, channels: parts, bias: bias[filter], result: valueAt(after, place), place: { top, left, size: kernel } };
}

function explainPool({ kind, size, stride }, before, after, place) {
  const [channel, row, column] = place, top = row * stride, left = column * stride;
  const square = patchOf(before, channel, top, left, size);
  return { kind, channel, square, result: valueAt(after, place), place: { top, left, size } };
}

/** Where a value stood before the map got a border, or lost one; nowhere, if it is one of the border's zeros. */
function explainPad({ kind, border }, before, after, place) {
  const [channel, row, column] = place, [, height, width] = before.shape, top = row - border, left = column - border;
  const copied = top >= 0 && top < height && left >= 0 && left < width;
  return { kind, channel, result: valueAt(after, place), place: copied ? { top, left, size: 1 } : null };
}

function explainLargest(before, after, channel) {
  const [, height, width] = before.shape, area = height * width;
  const at = before.values.subarray(channel * area, (channel + 1) * area).indexOf(after.values[channel]);
  return { kind: "largest", channel, count: area, result: after.values[channel],
    place: { top: Math.floor(at / width), left: at % width, size: 1 } };
}

function explainDense({ kind, inputs, weight, bias }, before, after, output) {
  const shares = Array.from({ length: inputs }, (_, input) => {
    const factor = weight[output * inputs + input];
    return { input, value: before.values[input], weight: factor, product: factor * before.values[input] };
  });
  shares.sort((one, other) => other.product - one.product);
  return { kind, bias: bias[output], result: after.values[output], strongest: shares.slice(0, 5), against: shares.slice(-5).reverse(),
    sum: shares.reduce((sum, { product }) => sum + product, 0) };
}
