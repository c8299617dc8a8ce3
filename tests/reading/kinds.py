"""Pictures of digits as people make them, kind by kind: paper, pens, light and cameras, each drawn by rule.

No picture here is anybody's photo, and none is trained on. Each generator imitates one kind that readers stumble over;
`python tests/reading/kinds.py FOLDER EACH SEED` writes so many of each, to be looked at and read.
"""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent.parent / "browser"))
from strokes import drawings

FONT = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
Digits = Callable[[Generator, int | None], tuple[np.ndarray, int]]  # → ink (h, w) in [0, 1], cut out, and its label


@dataclass(frozen=True)
class Sample:
    """A picture, the digits in it (a string a row), and its kind; no rows for a picture without a digit."""

    picture: Image.Image
    rows: tuple[str, ...]
    kind: str


# Ink


def from_images(images: np.ndarray, labels: np.ndarray) -> Digits:
    """Return what draws digits from images (N, 28, 28) uint8, enlarged to smooth, sharp strokes."""

    def draw(rng: Generator, height: int | None = None) -> tuple[np.ndarray, int]:
        at = int(rng.integers(len(images)))
        grey = images[at]
        rows, columns = np.nonzero(grey.max(1) > 60)[0], np.nonzero(grey.max(0) > 60)[0]
        cut = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
        height = height or int(rng.integers(90, 200))
        factor = height / max(cut.shape)
        large = ndimage.zoom(np.pad(cut, 1), factor, order=3)
        soft = ndimage.gaussian_filter(large, factor / 3)
        return trimmed(((soft - 110) / 30).clip(0, 1)), int(labels[at])

    return draw


def by_hand(rng: Generator, height: int | None = None) -> tuple[np.ndarray, int]:
    """Draw one of the shapes that were written down by hand, with a pen of its own width."""
    shapes = drawings()
    drawing = shapes[int(rng.integers(len(shapes)))]
    height = height or int(rng.integers(90, 200))
    side = round(height / 0.8)
    pen = drawing.pen * rng.uniform(0.6, 1.3) * side
    ink = np.zeros((side, side), np.float32)
    for stroke in drawing.strokes:
        _trace(ink, np.array(stroke) * side, pen)
    return trimmed(ink), drawing.digit


def _trace(ink: np.ndarray, points: np.ndarray, pen: float) -> None:
    rows, columns = np.mgrid[: ink.shape[0], : ink.shape[1]]
    for (x0, y0), (x1, y1) in pairwise(points):
        along = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9)
        t = (((columns - x0) * (x1 - x0) + (rows - y0) * (y1 - y0)) / along).clip(0, 1)
        distance = np.hypot(columns - x0 - t * (x1 - x0), rows - y0 - t * (y1 - y0))
        np.maximum(ink, (pen / 2 - distance + 0.5).clip(0, 1), out=ink)


def trimmed(ink: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(ink.max(1) > 0.2)[0], np.nonzero(ink.max(0) > 0.2)[0]
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def thicker(ink: np.ndarray, by: int) -> np.ndarray:
    return ndimage.gaussian_filter(ndimage.grey_dilation(np.pad(ink, by), size=(2 * by + 1,) * 2), 0.7)


def placed(ink: np.ndarray, height: int, width: int, top: int, left: int) -> np.ndarray:
    sheet = np.zeros((height, width), np.float32)
    rows, columns = min(ink.shape[0], height - top), min(ink.shape[1], width - left)
    sheet[top : top + rows, left : left + columns] = ink[:rows, :columns]
    return sheet


def alone(ink: np.ndarray, rng: Generator, least: float = 1.3, most: float = 3.0) -> np.ndarray:
    """Put a digit somewhere on a sheet of its own, `least` to `most` times its size."""
    side = max(ink.shape)
    height, width = (max(int(side * rng.uniform(least, most)), s + 4) for s in ink.shape)
    edge = max(2, round(0.04 * side))
    top = int(rng.integers(min(edge, height - ink.shape[0]), max(height - ink.shape[0] - edge, edge) + 1))
    left = int(rng.integers(min(edge, width - ink.shape[1]), max(width - ink.shape[1] - edge, edge) + 1))
    return placed(ink, height, width, min(top, height - ink.shape[0]), min(left, width - ink.shape[1]))


# Paper, light, camera


def smooth_noise(rng: Generator, shape: tuple[int, int], size: float) -> np.ndarray:
    """Return noise of mean 0 and deviation 1 whose grains are about `size` pixels wide."""
    small = rng.normal(size=[max(2, int(side / size) + 2) for side in shape])
    large = ndimage.zoom(small, [side / part for side, part in zip(shape, small.shape, strict=True)], order=1)
    large = large[: shape[0], : shape[1]]
    return (large - large.mean()) / max(large.std(), 1e-6)


def paper(rng: Generator, shape: tuple[int, int], texture: str = "smooth") -> np.ndarray:
    """Return the brightness of paper, about 1: `smooth`, `rough` (recycled, cloth), `ribbed`, or `spotted`."""
    sheet = 1 + 0.01 * smooth_noise(rng, shape, max(shape) / 4)
    if texture == "rough":
        for size in (1.5, 4, 12):
            sheet += rng.uniform(0.01, 0.03) * smooth_noise(rng, shape, size)
    if texture == "ribbed":
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        turn, period = rng.uniform(-0.1, 0.1) + rng.choice([0, np.pi / 2]), rng.uniform(3, 12)
        wave = np.sin(2 * np.pi * (rows * np.cos(turn) + columns * np.sin(turn)) / period)
        sheet += rng.uniform(0.015, 0.05) * wave * (1 + 0.3 * smooth_noise(rng, shape, 20))
        sheet += 0.01 * smooth_noise(rng, shape, 2)
    if texture == "spotted":
        spots = smooth_noise(rng, shape, rng.uniform(2, 5))
        sheet -= rng.uniform(0.04, 0.1) * (spots > 2.2)
    return sheet


def light(rng: Generator, shape: tuple[int, int], fall: float = 0.4) -> np.ndarray:
    """Return light that falls off to one side and to the corners."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] / max(shape)
    turn = rng.uniform(0, 2 * np.pi)
    slope = (columns - 0.5) * np.cos(turn) + (rows - 0.5) * np.sin(turn) + 0.5
    corners = (rows - 0.5) ** 2 + (columns - 0.5) ** 2
    return 1 - rng.uniform(0, fall) * slope - rng.uniform(0, 0.3) * corners


def shadow(rng: Generator, shape: tuple[int, int], depth: float) -> np.ndarray:
    """Return the light that a hand or a phone leaves: a wavy edge, hard or soft, somewhere across the picture."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] / max(shape)
    turn = rng.uniform(0, 2 * np.pi)
    edge = (columns - rng.uniform(0.2, 0.8)) * np.cos(turn) + (rows - rng.uniform(0.2, 0.8)) * np.sin(turn)
    edge = edge + 0.03 * smooth_noise(rng, shape, max(shape) / 3)
    return 1 - depth / (1 + np.exp(-edge / rng.choice([0.004, 0.01, 0.04])))


def taken(
    seen: np.ndarray, rng: Generator, noise: tuple[float, float] = (1, 4), blur: tuple[float, float] = (0.3, 1.2)
) -> Image.Image:
    """Take a picture of a scene, brightness in [0, 1]: blur, grain that grows with light, JPEG."""
    seen = ndimage.gaussian_filter(seen, rng.uniform(*blur)) * 255
    grain = rng.normal(size=seen.shape) * rng.uniform(*noise) * np.sqrt(seen.clip(10, 255) / 128)
    picture = Image.fromarray((seen + grain).clip(0, 255).astype(np.uint8))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(rng.integers(50, 95)))
    return Image.open(file).convert("L")


def turned(ink: np.ndarray, rng: Generator, degrees: float = 7) -> np.ndarray:
    return ndimage.rotate(ink, rng.uniform(-degrees, degrees), reshape=True, order=1).clip(0, 1)


PENS = {"pencil": (0.2, 0.45), "ball": (0.45, 0.75), "felt": (0.6, 0.9)}  # how much of the light the ink takes


def written(
    ink: np.ndarray, rng: Generator, texture: str = "smooth", pen: str = "", brightness: float = 0
) -> np.ndarray:
    """Return a sheet with ink on it, evenly lit: brightness in [0, 1]."""
    taken_away = rng.uniform(*PENS[pen or str(rng.choice(list(PENS)))])
    uneven = 1 - 0.1 * np.abs(smooth_noise(rng, ink.shape, 6))
    return (brightness or rng.uniform(0.55, 0.95)) * paper(rng, ink.shape, texture) * (1 - taken_away * ink * uneven)


# Kinds: one digit


def scan(rng: Generator, digits: Digits) -> Sample:
    ink, label = digits(rng, None)
    seen = 0.97 * (1 - rng.uniform(0.5, 0.95) * alone(ink, rng))
    return Sample(taken(seen, rng, (0, 1), (0.2, 0.6)), (str(label),), "scan")


def photo(rng: Generator, digits: Digits) -> Sample:
    ink, label = digits(rng, None)
    seen = written(alone(turned(ink, rng), rng), rng)
    return Sample(taken(seen * light(rng, seen.shape), rng), (str(label),), "photo")


def shaded(rng: Generator, digits: Digits) -> Sample:
    ink, label = digits(rng, None)
    seen = written(alone(turned(ink, rng), rng, 1.6, 3.5), rng)
    seen = seen * light(rng, seen.shape, 0.6) * shadow(rng, seen.shape, rng.uniform(0.25, 0.65))
    return Sample(taken(seen, rng), (str(label),), "shadow")


def bright_patch(rng: Generator, digits: Digits) -> Sample:
    """Sun, or a lamp's reflection, beside the digit: far brighter than the paper."""
    ink, label = digits(rng, None)
    seen = written(alone(turned(ink, rng), rng, 2, 3.5), rng, brightness=rng.uniform(0.35, 0.5))
    rows, columns = np.mgrid[: seen.shape[0], : seen.shape[1]]
    place = rng.uniform(0, 1, 2) * seen.shape
    size = rng.uniform(0.15, 0.35) * max(seen.shape)
    patch = 1 / (1 + np.exp((np.hypot(rows - place[0], columns - place[1]) - size) / rng.choice([2, 8, 25])))
    return Sample(taken((seen * (1 + rng.uniform(0.5, 1.2) * patch)).clip(0, 1), rng), (str(label),), "bright patch")


def textured(rng: Generator, digits: Digits) -> Sample:
    ink, label = digits(rng, None)
    sheet = alone(turned(ink, rng), rng, 1.15, 2.2)
    texture = str(rng.choice(["rough", "ribbed", "spotted"]))
    seen = written(sheet, rng, texture, "felt" if rng.random() < 0.6 else "ball")
    return Sample(taken(seen * light(rng, seen.shape), rng), (str(label),), "textured paper")


def filling(rng: Generator, digits: Digits) -> Sample:
    ink, label = digits(rng, None)
    edge = [int(one) for one in rng.integers(1, max(3, 0.06 * max(ink.shape)), 4)]
    sheet = np.pad(ink, ((edge[0], edge[1]), (edge[2], edge[3])))
    seen = written(sheet, rng, str(rng.choice(["smooth", "rough"])))
    return Sample(taken(seen * light(rng, seen.shape), rng), (str(label),), "fills the picture")


def noisy(rng: Generator, digits: Digits) -> Sample:
    ink, label = digits(rng, None)
    seen = written(
        alone(turned(ink, rng), rng, 1.3, 2.5),
        rng,
        pen=str(rng.choice(["ball", "felt"])),
        brightness=rng.uniform(0.3, 0.7),
    )
    return Sample(taken(seen * light(rng, seen.shape), rng, (10, 22)), (str(label),), "noisy camera")


def screen(rng: Generator, digits: Digits) -> Sample:
    """A drawing program: exact colours, either polarity."""
    ink, label = digits(rng, None)
    sheet = alone(ink, rng, 1.1, 3)
    dark, bright = rng.choice([0, 20, 40]), rng.choice([200, 255])
    seen = bright - (bright - dark) * sheet
    return Sample(
        Image.fromarray((255 - seen if rng.random() < 0.4 else seen).astype(np.uint8)), (str(label),), "screen"
    )


def board(rng: Generator, digits: Digits) -> Sample:
    """Chalk on a board."""
    ink, label = digits(rng, None)
    sheet = alone(turned(ink, rng), rng)
    seen = rng.uniform(0.12, 0.3) * paper(rng, sheet.shape, "rough")
    seen = seen + (rng.uniform(0.6, 0.9) - seen) * sheet * (1 - 0.25 * np.abs(smooth_noise(rng, sheet.shape, 2)))
    return Sample(taken(seen * light(rng, seen.shape), rng), (str(label),), "board")


def panel(rng: Generator, digits: Digits) -> Sample:
    """A dark panel with a bright digit, on a white page."""
    ink, label = digits(rng, None)
    sheet = alone(ink, rng, 1.3, 1.8)
    seen = 0.1 + 0.85 * sheet
    edges = [int(one * max(sheet.shape)) for one in rng.uniform(0.1, 0.6, 4)]
    seen = np.pad(seen, ((edges[0], edges[1]), (edges[2], edges[3])), constant_values=0.97)
    return Sample(taken(seen, rng, (0, 2), (0.2, 0.7)), (str(label),), "dark panel")


def on_a_table(rng: Generator, digits: Digits) -> Sample:
    """A sheet on a dark table, in pencil; the table's edge runs across the picture."""
    ink, label = digits(rng, None)
    sheet = alone(ink, rng, 1.4, 2.2)
    pen = "pencil" if rng.random() < 0.6 else "ball"
    seen = written(sheet, rng, pen=pen, brightness=rng.uniform(0.7, 0.95))
    edges = [int(one * max(sheet.shape)) for one in rng.uniform(0, 0.5, 4) * (rng.random(4) < 0.6)]
    wide = ((edges[0], edges[1]), (edges[2], edges[3]))
    there = np.pad(np.ones_like(seen), wide)
    seen = np.pad(seen, wide)
    angle = rng.uniform(-12, 12)
    there, seen = (ndimage.rotate(one, angle, reshape=rng.random() < 0, order=1) for one in (there, seen))
    table = rng.uniform(0.1, 0.4) * paper(rng, seen.shape, "rough")
    seen = np.where(there > 0.99, seen, table)
    return Sample(taken(seen * light(rng, seen.shape, 0.3), rng), (str(label),), "edge of a table")


def marker(rng: Generator, digits: Digits) -> Sample:
    ink, label = digits(rng, None)
    seen = written(alone(thicker(ink, max(2, round(0.05 * max(ink.shape)))), rng, 1.3, 2.2), rng, pen="felt")
    return Sample(taken(seen * light(rng, seen.shape), rng), (str(label),), "thick marker")


def broken(rng: Generator, digits: Digits) -> Sample:
    """A pen that skips: gaps across the strokes."""
    ink, label = digits(rng, None)
    ink, side = ink.copy(), max(ink.shape)
    rows, columns = np.mgrid[: ink.shape[0], : ink.shape[1]]
    for _gap in range(int(rng.integers(1, 4))):
        turn, (row, column) = rng.uniform(0, np.pi), rng.uniform(0.1, 0.9, 2) * ink.shape
        across = np.abs((rows - row) * np.cos(turn) + (columns - column) * np.sin(turn))
        near = np.hypot(rows - row, columns - column) < 0.25 * side
        ink[(across < rng.uniform(0.01, 0.03) * side) & near] = 0
    seen = written(alone(ink, rng, 1.3, 2.2), rng)
    return Sample(taken(seen * light(rng, seen.shape), rng), (str(label),), "broken strokes")


# Kinds: lines


def ruled(rng: Generator, digits: Digits) -> Sample:
    ink, label = digits(rng, None)
    sheet = alone(ink, rng, 1.3, 2.5)
    lines, gap = np.zeros_like(sheet), rng.uniform(0.4, 1.1) * ink.shape[0]
    squared, width = rng.random() < 0.5, int(rng.integers(1, 4))
    for row in np.arange(rng.uniform(0, gap), sheet.shape[0], gap):
        lines[int(row) : int(row) + width] = 1
    for column in np.arange(rng.uniform(0, gap), sheet.shape[1], gap) if squared else ():
        lines[:, int(column) : int(column) + width] = 1
    seen = written(sheet, rng, pen=str(rng.choice(["ball", "felt"]))) * (1 - rng.uniform(0.08, 0.45) * lines)
    turn = rng.uniform(-3, 3)
    edge = round(0.04 * max(seen.shape))
    seen = ndimage.rotate(seen, turn, reshape=False, order=1, mode="nearest")[edge:-edge, edge:-edge]
    return Sample(taken(seen * light(rng, seen.shape, 0.25), rng), (str(label),), "ruled or squared")


def cell(rng: Generator, digits: Digits) -> Sample:
    """A form's cell: a frame around the digit, cut out with or without its surroundings."""
    ink, label = digits(rng, None)
    space = [int(one * max(ink.shape)) for one in rng.uniform(0.08, 0.5, 4)]
    sheet = np.pad(ink, ((space[0], space[1]), (space[2], space[3])))
    width, outside = int(rng.integers(2, 6)), int(rng.integers(0, max(2, 0.2 * max(ink.shape))))
    frame = np.pad(np.zeros_like(sheet), width, constant_values=1)
    frame = np.pad(frame, outside)
    sheet = np.pad(sheet, width + outside)
    if outside and rng.random() < 0.5:  # the neighbours' frames
        frame[outside : outside + width], frame[-outside - width : -outside] = 1, 1
    seen = written(sheet, rng, pen=str(rng.choice(["ball", "felt"]))) * (1 - rng.uniform(0.3, 0.9) * frame)
    seen = ndimage.rotate(seen, rng.uniform(-2, 2), reshape=False, order=1, mode="nearest")
    return Sample(taken(seen * light(rng, seen.shape, 0.2), rng), (str(label),), "form cell")


def underlined(rng: Generator, digits: Digits) -> Sample:
    ink, label = digits(rng, None)
    sheet = alone(ink, rng, 1.6, 2.5)
    rows = np.nonzero(sheet.max(1) > 0.2)[0]
    row = min(int(rows[-1] + rng.uniform(0.05, 0.25) * len(rows)), sheet.shape[0] - 4)
    left, right = int(rng.uniform(0, 0.2) * sheet.shape[1]), int(rng.uniform(0.8, 1) * sheet.shape[1])
    sheet = sheet.copy()
    sheet[row : row + int(rng.integers(2, 5)), left:right] = 1
    seen = written(ndimage.rotate(sheet, rng.uniform(-2, 2), reshape=False, order=1).clip(0, 1), rng)
    return Sample(taken(seen * light(rng, seen.shape, 0.3), rng), (str(label),), "underlined")


def plotted(rng: Generator, digits: Digits) -> Sample:
    """An image as plotting libraries show it: enlarged pixels in a frame, with ticks."""
    ink, label = digits(rng, None)
    small = np.asarray(
        Image.fromarray((alone(ink, rng, 1.3, 1.6) * 255).astype(np.uint8)).resize((28, 28), Image.Resampling.BOX)
    )
    large = np.kron(small, np.ones((8, 8))) / 255
    dark = rng.random() < 0.5
    seen = np.pad(large if dark else 1 - large, 2, constant_values=0.0)
    seen = np.pad(seen, ((8, 30), (34, 10)), constant_values=1.0)
    for tick in range(0, 224, 40):
        seen[-30:-25, 36 + tick : 38 + tick] = 0
        seen[10 + tick : 12 + tick, 29:34] = 0
    return Sample(Image.fromarray((seen * 255).astype(np.uint8)), (str(label),), "plot with axes")


# Kinds: several digits


def row_of(rng: Generator, digits: Digits, count: int, gap: tuple[float, float], height: int) -> tuple[np.ndarray, str]:
    inks, labels = zip(*(digits(rng, int(height * rng.uniform(0.85, 1.1))) for _ in range(count)), strict=True)
    tallest = max(ink.shape[0] for ink in inks) + round(0.2 * height)
    pieces = []
    for ink in inks:
        top = int(rng.integers(0, tallest - ink.shape[0] + 1))
        space = int(rng.uniform(*gap) * height)
        pieces.append(np.pad(ink, ((top, tallest - ink.shape[0] - top), (space, 0))))
    return np.concatenate(pieces, axis=1), "".join(map(str, labels))


def in_a_row(rng: Generator, digits: Digits) -> Sample:
    ink, text = row_of(rng, digits, int(rng.integers(2, 7)), (0.2, 0.6), int(rng.integers(60, 120)))
    sheet = np.pad(ink, [[int(one) for one in rng.integers(10, 80, 2)] for _ in range(2)])
    seen = written(ndimage.rotate(sheet, rng.uniform(-3, 3), order=1).clip(0, 1), rng)
    return Sample(taken(seen * light(rng, seen.shape), rng), (text,), "a row")


def in_rows(rng: Generator, digits: Digits) -> Sample:
    height, rows, texts = int(rng.integers(40, 80)), [], []
    gap = rng.uniform(0.06, 0.8)
    for _row in range(int(rng.integers(2, 6))):
        ink, text = row_of(rng, digits, int(rng.integers(1, 7)), (0.25, 0.7), height)
        rows.append(ink)
        texts.append(text)
    width = max(ink.shape[1] for ink in rows) + 40
    padded = [np.pad(ink, ((0, int(gap * height)), (20, width - ink.shape[1]))) for ink in rows]
    sheet = np.pad(np.concatenate(padded), 20)
    seen = written(ndimage.rotate(sheet, rng.uniform(-2, 2), order=1).clip(0, 1), rng)
    return Sample(taken(seen * light(rng, seen.shape), rng), tuple(texts), "several rows")


def touching(rng: Generator, digits: Digits) -> Sample:
    """Two digits whose strokes run into each other."""
    (one, first), (other, second) = (digits(rng, 110) for _ in range(2))
    height = max(one.shape[0], other.shape[0])
    one, other = (np.pad(ink, ((height - ink.shape[0], 0), (0, 0))) for ink in (one, other))
    over = 0
    while over < min(one.shape[1], other.shape[1]) // 3:  # until they touch, and a little more
        over += 1
        if (one[:, -over:] * other[:, :over]).max() > 0.5 and rng.random() < 0.5:
            break
    sheet = np.zeros((height, one.shape[1] + other.shape[1] - over), np.float32)
    sheet[:, : one.shape[1]] = one
    np.maximum(sheet[:, -other.shape[1] :], other, out=sheet[:, -other.shape[1] :])
    seen = written(alone(sheet, rng, 1.2, 2), rng)
    return Sample(taken(seen * light(rng, seen.shape), rng), (f"{first}{second}",), "touching")


def turned_round(rng: Generator, digits: Digits) -> Sample:
    sample = photo(rng, digits)
    return Sample(sample.picture.rotate(90 * int(rng.integers(1, 4)), expand=True), sample.rows, "turned")


# Other people's digits


def of_13_people() -> tuple[list[Image.Image], list[int]]:
    """Return the test part of Alpaydin and Kaynak's digits (1998), each on a sheet of its own, and what they are.

    They are 1,797 images of 8×8, enlarged, in black ink, somewhere on a larger white sheet.
    """
    from sklearn.datasets import load_digits

    known, rng = load_digits(), np.random.default_rng(0)
    return [_on_a_sheet(image, rng) for image in known.images], known.target.tolist()


def _on_a_sheet(image: np.ndarray, rng: Generator) -> Image.Image:
    side = int(rng.integers(60, 160))
    digit = Image.fromarray((255 - image / 16 * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    width, height = (int(side * rng.uniform(1.3, 3)) for _ in range(2))
    sheet = Image.new("L", (width, height), 255)
    sheet.paste(digit, (int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))))
    return sheet


# Kinds: nothing to read


def typed(text: str, size: int = 100) -> Image.Image:
    """Write lines in a typeface, black on white, with room around them."""
    font, lines = ImageFont.truetype(str(FONT), size), text.split()
    sheet = Image.new("L", (round(size * (1 + 0.9 * max(map(len, lines)))), round(size * (1 + 1.5 * len(lines)))), 255)
    for number, line in enumerate(lines):
        for place, sign in enumerate(line):  # apart, as in handwriting that does not join
            ImageDraw.Draw(sheet).text(
                (size * (0.5 + 0.9 * place), size * (0.4 + 1.5 * number)), sign, fill=0, font=font
            )
    return sheet


def blank(rng: Generator, digits: Digits | None = None) -> Sample:
    shape = tuple(int(side) for side in rng.integers(80, 400, 2))
    seen = rng.uniform(0.3, 0.95) * paper(rng, shape, str(rng.choice(["smooth", "rough", "ribbed", "spotted"])))
    seen = seen * light(rng, shape) * (shadow(rng, shape, rng.uniform(0.1, 0.6)) if rng.random() < 0.4 else 1)
    return Sample(taken(seen, rng, (1, 15)), (), "blank paper")


ONE_DIGIT = (
    scan, photo, shaded, bright_patch, textured, filling, noisy, screen, board, panel, on_a_table, marker, broken,
    ruled, cell, underlined, plotted,
)  # fmt: skip
SEVERAL = (in_a_row, in_rows, touching)
KINDS = {one.__name__: one for one in (*ONE_DIGIT, *SEVERAL, turned_round, blank)}


def write_folder(folder: Path, each: int, seed: int, digits: Digits) -> None:
    """Write so many pictures of each kind, and `labels.csv`, as `evaluate --handwriting` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file,label,kind"]
    for number, (name, kind) in enumerate(KINDS.items()):
        rng = np.random.default_rng([seed, number])
        for place in range(each):
            sample = kind(rng, digits if place % 3 else by_hand)
            file = f"{name}-{place:03}.png"
            sample.picture.save(folder / file)
            lines.append(f"{file},{' '.join(sample.rows)},{sample.kind}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    from mnist_helpers.data import load_part

    part = load_part("mnist", "validation")
    drawn = from_images(part.images[:, 0].numpy(), part.labels.numpy())
    write_folder(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), drawn)
