"""Strokes of a pen on a screen → a picture → what a network reads in it, and how it came to that."""

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from mnist_helpers.errors import CourseError
from mnist_helpers.numbers import CRNN
from mnist_helpers.reading.pictures import open_picture
from mnist_helpers.reading.preprocessing import DigitSteps
from mnist_helpers.reading.reader import DigitReading, Reader
from mnist_helpers.runtime import whole_file

SIDE = 224  # pixels of a picture's height; the 28 of MNIST, eight times
FITTED = 20  # pixels that MNIST's digits were fitted into
PEN = (2.0, 3.5)  # thinnest and thickest stroke, in pixels of the 28
SOFT = 1.5  # pixels from black to white at a stroke's edge
MOST_STROKES, MOST_POINTS, WIDEST_SHEET = 200, 20_000, 6.0
HEADER = ",".join(["label", *(f"{row}x{column}" for row in range(1, 29) for column in range(1, 29))])


class DrawingError(CourseError):
    """What was sent is not a drawing."""


@dataclass(frozen=True)
class Stroke:
    """One movement of the pen: its points (x, y) from the upper left, and its width. The sheet's height is 1."""

    points: list[tuple[float, float]]
    width: float


@dataclass(frozen=True)
class Reading:
    """The digits of a drawing from left to right, and the probability of each class.

    Shapes: probabilities (digits, classes) float32.
    """

    steps: list[DigitSteps]
    probabilities: Tensor
    sure: bool
    perhaps_no_digit: bool

    @property
    def labels(self) -> list[int]:
        """Return the most probable class of each digit."""
        return self.probabilities.argmax(dim=1).tolist()


def strokes_from(value: object) -> list[Stroke]:
    """Turn what a browser sent, [{"points": [[x, y], …], "width": w}, …], into strokes.

    Raises: DrawingError for anything else, or for more than anyone draws.
    """
    try:
        strokes = [
            Stroke([(float(x), float(y)) for x, y in stroke["points"]], float(stroke["width"])) for stroke in value
        ]
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise DrawingError(f"This is not a list of strokes ({error}). Clear the pad and draw again.") from error
    points = [point for stroke in strokes for point in stroke.points]
    if len(strokes) > MOST_STROKES or len(points) > MOST_POINTS:
        raise DrawingError(f"{len(strokes)} strokes with {len(points):,} points are too many. Clear the pad.")
    if not all(-1 <= number <= WIDEST_SHEET + 1 for point in points for number in point):
        raise DrawingError("A stroke leaves the sheet. Clear the pad and draw again.")
    if not all(0 < stroke.width <= 0.5 for stroke in strokes):
        raise DrawingError("A pen must be wider than nothing and narrower than half the sheet.")
    return strokes


def draw_strokes(strokes: list[Stroke], aspect: float = 1.0) -> Image.Image:
    """Draw strokes in black on a white sheet, `aspect` times as wide as high; `SIDE` pixels high, mode L."""
    fine = 2 * SIDE  # drawn twice as large and made smaller: smooth edges
    sheet = Image.new("L", (round(fine * min(aspect, WIDEST_SHEET)), fine), 255)
    pen = ImageDraw.Draw(sheet)
    for stroke in strokes:
        points = [(x * fine, y * fine) for x, y in stroke.points]
        radius = stroke.width * fine / 2
        for start, end in pairwise(points):
            if math.dist(start, end) > 0:
                pen.line([start, end], fill=0, width=max(1, round(2 * radius)))
        for x, y in points:  # round ends and joints
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    return sheet.reduce(2)


def digit_of(strokes: list[Stroke]) -> Tensor:
    """Bring strokes to MNIST's format as `strokes.js` does in a browser: drawn at the size of the network's image.

    The pen's way is known, so the digit need not be looked for in a picture. It is fitted into 20×20 pixels, its pen is
    made as wide as MNIST's were, and its centre of mass comes to the middle of 28×28.

    Shapes: → (1, 28, 28) uint8.
    Raises: DrawingError if there is no stroke.
    """
    drawn = [stroke for stroke in strokes if stroke.points]
    if not drawn:
        raise DrawingError("There is no stroke on the sheet. Draw a digit.")
    pen = sum(stroke.width for stroke in drawn) / len(drawn)
    points = torch.tensor([point for stroke in drawn for point in stroke.points], dtype=torch.float64)
    low, high = points.amin(dim=0), points.amax(dim=0)
    extent = (high - low).max().item()
    width = min(max(FITTED * pen / (extent + pen), PEN[0]), PEN[1])
    scale = (FITTED - width) / extent if extent else 1.0
    lines = [(torch.tensor(stroke.points, dtype=torch.float64) - (low + high) / 2) * scale + 28 / 2 for stroke in drawn]
    distance = torch.stack([_distance(line) for line in lines]).amin(dim=0)
    return _centred(((width / 2 - distance) / SOFT + 0.5).clamp(0, 1))


def _distance(line: Tensor) -> Tensor:
    """Return how far the centres of 28×28 pixels are from a line of (N, 2) points; (28, 28) float64."""
    start, along = line, torch.cat([line[1:], line[-1:]]) - line
    middles = torch.arange(28, dtype=torch.float64) + 0.5
    pixels = torch.stack(torch.meshgrid(middles, middles, indexing="xy"), dim=-1)[..., None, :]  # (28, 28, 1, 2)
    long = along.square().sum(dim=-1)
    share = (((pixels - start) * along).sum(dim=-1) / long.clamp(min=1e-300)).clamp(0, 1)
    return (pixels - start - share[..., None] * along).square().sum(dim=-1).amin(dim=-1).sqrt()


def _centred(values: Tensor) -> Tensor:
    """Move values in [0, 1] by whole pixels, so that their centre of mass is in the middle; (1, 28, 28) uint8."""
    at = torch.arange(28, dtype=torch.float64)
    down, across = (
        math.floor(13.5 - ((values.sum(dim=other) * at).sum() / values.sum()).item() + 0.5) for other in (1, 0)
    )
    moved = torch.zeros(28, 28, dtype=torch.uint8)
    rows, columns = (slice(max(0, by), 28 + min(0, by)) for by in (down, across))
    whence = tuple(slice(max(0, -by), 28 - max(0, by)) for by in (down, across))
    moved[rows, columns] = (255 * values[whence] + 0.5).floor().to(torch.uint8)
    return moved[None]


def read_photo(model: nn.Module, photo: bytes, most_energy: float = math.inf, numbers: CRNN | None = None) -> Reading:
    """Read the digits of a picture file's bytes as `predict` does; nothing is stored.

    `most_energy` and `numbers` are as for `read_drawing`.

    Raises: DrawingError if it is no bytes; PictureError if it is no picture, or no digit can be read in it.
    """
    if not isinstance(photo, bytes | memoryview):
        raise DrawingError(f"A photo must be the bytes of a picture file, and this is {type(photo).__name__}.")
    return _reading(Reader(model, most_energy, numbers=numbers).read(open_picture(bytes(photo))))


def read_drawing(
    model: nn.Module,
    strokes: list[Stroke],
    aspect: float = 1.0,
    most_energy: float = math.inf,
    numbers: CRNN | None = None,
) -> Reading:
    """Read the digits of a drawing as `predict` reads those of a photo, but each in one view: a hand does not wait.

    What has more than `most_energy` is perhaps no digit (`reading.reader` has the shipped network's). Digits that
    touch are read by `numbers`, if it is given.

    Raises: PictureError if there is no ink in it, or more than digits.
    """
    return _reading(Reader(model, most_energy, views=1, numbers=numbers).read(draw_strokes(strokes, aspect)))


def _reading(found: list[DigitReading]) -> Reading:
    probabilities = torch.stack([one.probabilities for one in found])
    sure, none = all(one.sure for one in found), any(one.perhaps_no_digit for one in found)
    return Reading([one.steps for one in found], probabilities, sure, none)


def keep_digit(path: Path, digit: Tensor, label: int, classes: int = 10) -> int:
    """Add a digit to a file of "MNIST in CSV", which `load_csv` reads, and return how many it holds now.

    Shapes: digit (1, 28, 28) uint8.
    Raises: DrawingError for a label that is not a class; OSError if the file cannot be written.
    """
    if not (isinstance(label, int) and 0 <= label < classes):
        raise DrawingError(f"label={label!r} is not a class: they are numbered 0 to {classes - 1}.")
    before = path.read_text(encoding="utf-8") if path.is_file() else HEADER
    lines = [*before.splitlines(), ",".join(map(str, [label, *digit.flatten().tolist()]))]
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines) - (lines[0] == HEADER)
