// Whether a network can know an image: how near it is to known digits, by the angle between its last maps of the two, and
// how strongly anything in it speaks for any digit. Where an image is far from all of them, or weak, the network is asked
// about something that it was not trained on, however sure it sounds.

/** The share of known digits that are within each of the two limits. */
export const SHARE = 0.98;

/** The logarithm of the sum of e to the logits: low where no class finds its marks (minus the energy of Liu and others, 2020). */
export function strength(logits) {
  const largest = Math.max(...logits);
  return largest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
}

/** The strength that SHARE of the known ones have at least. */
export function leastOf(strengths) {
  return Float64Array.from(strengths).sort()[Math.round((1 - SHARE) * strengths.length)];
}

/** The values that enter the first dense layer, as a vector of length 1. */
export function features(network, maps) {
  const { values } = maps[Math.max(0, network.layers.findIndex(({ kind }) => kind === "dense"))];
  const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)) || 1;
  return values.map((value) => value / length);
}

/** How far a vector is from each of many (0: the same direction, 1: nothing in common), in a row each. */
export function distances(one, many) {
  return Float32Array.from({ length: many.length / one.length }, (_, row) => {
    let product = 0;
    for (let at = 0, from = row * one.length; at < one.length; at++) product += one[at] * many[from + at];
    return Math.max(0, 1 - product); // rounding must not make it less than nothing
  });
}

/** The places of the `count` smallest distances, the smallest first. */
export function nearest(all, count) {
  return [...all.keys()].sort((one, other) => all[one] - all[other]).slice(0, count);
}

/** The distance within which SHARE of the known ones have another. */
export function limitOf(many, size) {
  const closest = Array.from({ length: many.length / size }, (_, row) => {
    const all = distances(many.subarray(row * size, (row + 1) * size), many);
    all[row] = Infinity; // itself
    return Math.min(...all);
  });
  return closest.sort((one, other) => one - other)[Math.floor(SHARE * closest.length)];
}
