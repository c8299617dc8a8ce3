// Images for the network. From the strokes of a pen, the 28×28 grey values that MNIST's makers would have made of them, as
// `strokes.digit_of` in Python does: the pen's way is known, so the digit is not looked for in a picture, but drawn at the
// size of the network's. And an image turned, moved, or with noise.

const SIDE = 28, FITTED = 20; // MNIST's digits were fitted into 20×20 pixels
const PEN = [2.0, 3.5]; // thinnest and thickest stroke, in pixels of the 28
const SOFT = 1.5; // pixels from black to white at a stroke's edge

/** A digit of strokes [{ points: [[x, y], …], width }, …], 784 whole numbers from 0 to 255; null where there is no ink. */
export function digitOf(strokes) {
  const drawn = strokes.filter(({ points }) => points.length);
  if (!drawn.length) return null;
  const points = drawn.flatMap((stroke) => stroke.points);
  const pen = drawn.reduce((sum, { width }) => sum + width, 0) / drawn.length;
  const [left, right] = ends(points.map(([x]) => x)), [top, bottom] = ends(points.map(([, y]) => y));
  const extent = Math.max(right - left, bottom - top);
  const width = Math.min(Math.max((FITTED * pen) / (extent + pen), PEN[0]), PEN[1]);
  const scale = extent ? (FITTED - width) / extent : 1;
  const middle = [(left + right) / 2, (top + bottom) / 2];
  const placed = drawn.map((stroke) => stroke.points.map(([x, y]) => [
    (x - middle[0]) * scale + SIDE / 2, (y - middle[1]) * scale + SIDE / 2,
  ]));
  const values = new Float64Array(SIDE * SIDE);
  for (let at = 0; at < values.length; at++) {
    const distance = nearest((at % SIDE) + 0.5, Math.floor(at / SIDE) + 0.5, placed);
    values[at] = Math.min(Math.max((width / 2 - distance) / SOFT + 0.5, 0), 1);
  }
  return centred(values);
}

function ends(numbers) {
  return numbers.reduce(([low, high], number) => [Math.min(low, number), Math.max(high, number)], [Infinity, -Infinity]);
}

/** The distance of a point from the nearest stroke. */
function nearest(x, y, lines) {
  let least = Infinity;
  for (const line of lines) {
    for (let at = 0; at < line.length; at++) {
      const [fromX, fromY] = line[at], [toX, toY] = line[Math.min(at + 1, line.length - 1)];
      const alongX = toX - fromX, alongY = toY - fromY, long = alongX * alongX + alongY * alongY;
      const share = long ? Math.min(Math.max(((x - fromX) * alongX + (y - fromY) * alongY) / long, 0), 1) : 0;
      const awayX = x - fromX - share * alongX, awayY = y - fromY - share * alongY;
      least = Math.min(least, awayX * awayX + awayY * awayY);
    }
  }
  return Math.sqrt(least);
}

/** Values moved by whole pixels, so that their centre of mass is in the middle, as grey values. */
function centred(values) {
  let mass = 0, across = 0, down = 0;
  values.forEach((value, at) => {
    mass += value;
    across += value * (at % SIDE);
    down += value * Math.floor(at / SIDE);
  });
  const [right, lower] = [across, down].map((sum) => Math.floor((SIDE - 1) / 2 - sum / mass + 0.5));
  const moved = new Uint8Array(SIDE * SIDE);
  values.forEach((value, at) => {
    const column = (at % SIDE) + right, row = Math.floor(at / SIDE) + lower;
    if (row >= 0 && row < SIDE && column >= 0 && column < SIDE) moved[row * SIDE + column] = Math.floor(255 * value + 0.5);
  });
  return moved;
}

/** Grey values from 0 to 255 as the numbers from 0 to 1 that a network takes. */
export const asImage = (bytes) => Float32Array.from(bytes, (value) => value / 255);

/** An image turned (in degrees, clockwise), moved (in pixels) and with noise, which is the same each time; bilinear. */
export function disturbed(image, { turn, across, down, noise }) {
  if (!(turn || across || down || noise)) return image;
  const angle = (turn * Math.PI) / 180, cosine = Math.cos(angle), sine = Math.sin(angle), middle = 13.5;
  const pixel = (row, column) => (row >= 0 && row < 28 && column >= 0 && column < 28 ? image[28 * row + column] : 0);
  let seed = 1;
  return Float32Array.from({ length: 784 }, (_, at) => {
    const x = (at % 28) - middle - across, y = Math.floor(at / 28) - middle - down;
    const column = cosine * x + sine * y + middle, row = cosine * y - sine * x + middle;
    const [left, top] = [Math.floor(column), Math.floor(row)], [right, lower] = [column - left, row - top];
    const value = (1 - lower) * ((1 - right) * pixel(top, left) + right * pixel(top, left + 1))
      + lower * ((1 - right) * pixel(top + 1, left) + right * pixel(top + 1, left + 1));
    seed = (seed * 48271) % 2147483647; // Park and Miller, 1988
    return Math.min(1, Math.max(0, value + noise * (seed / 2147483647 - 0.5)));
  });
}
