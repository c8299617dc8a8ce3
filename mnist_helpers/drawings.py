"""Strokes of a pen on a screen → a picture → what a network reads in it, and how it came to that."""

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from mnist_helpers.architectures import Residual
from mnist_helpers.data import LabelledImages
from mnist_helpers.evaluation import predict_logits
from mnist_helpers.inspection import embed, feature_maps
from mnist_helpers.preprocessing import DigitSteps, read_digits
from mnist_helpers.runtime import CourseError, whole_file

SIDE = 224  # pixels of a picture's height; the 28 of MNIST, eight times
MOST_STROKES, MOST_POINTS, WIDEST_SHEET = 200, 20_000, 6.0


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


def read_drawing(model: nn.Module, strokes: list[Stroke], aspect: float = 1.0) -> Reading:
    """Read the digits of a drawing as `predict` reads those of a photo.

    Raises: PictureError if there is no ink in it, or more than digits.
    """
    steps = read_digits(draw_strokes(strokes, aspect))
    images = torch.stack([step.digit for step in steps])
    return Reading(steps, predict_logits(model, images).softmax(dim=1))


def layers_with_maps(model: nn.Sequential) -> list[str]:
    """Return the names of the layers whose maps are worth seeing: each rectifier, or block, before the dense layers."""
    names = []
    for name, layer in model.named_children():
        if isinstance(layer, nn.Flatten):
            break
        if isinstance(layer, nn.ReLU | Residual):
            names.append(name)
    return names


def lit_maps(model: nn.Sequential, digit: Tensor) -> dict[str, Tensor]:
    """Return the maps of each layer for one digit, laid out side by side in one picture.

    The brightest value of a layer is white, and no activation is black.

    Shapes: digit (1, 28, 28) uint8 → {layer: (H, W) uint8}.
    """
    names = layers_with_maps(model)
    return {name: mosaic(maps) for name, maps in feature_maps(model, digit, *names).items()} if names else {}


def mosaic(maps: Tensor) -> Tensor:
    """Lay maps out in rows, twice as many side by side as above each other, a dark line between them.

    Shapes: maps (C, H, W) float, not below 0 → (rows × (H + 1) - 1, columns × (W + 1) - 1) uint8.
    """
    channels, height, width = maps.shape
    columns = min(channels, math.ceil(math.sqrt(2 * channels)))
    rows = math.ceil(channels / columns)
    laid = torch.zeros(rows * columns, height + 1, width + 1)
    laid[:channels, :height, :width] = maps / maps.max().clamp(min=1e-6)
    laid = laid.view(rows, columns, height + 1, width + 1).permute(0, 2, 1, 3)
    return (laid.reshape(rows * (height + 1), -1)[:-1, :-1] * 255).round().to(torch.uint8)


class Neighbours:
    """Known digits, and which of them a network finds most like another: those with the nearest last features."""

    def __init__(self, model: nn.Sequential, known: LabelledImages) -> None:
        self.model, self.known = model, known
        self.layer = list(dict(model.named_children()))[-2]  # what the last dense layer sees
        self.features = embed(model, known.images, self.layer)

    def of(self, digit: Tensor, count: int = 5) -> LabelledImages:
        """Return the known digits most like this one, the most like first.

        Shapes: digit (1, 28, 28) uint8.
        """
        features = embed(self.model, digit.unsqueeze(0), self.layer)
        return self.known.select(torch.cdist(features, self.features)[0].argsort()[:count])


def keep_digit(path: Path, digit: Tensor, label: int, classes: int = 10) -> int:
    """Add a digit to a file of "MNIST in CSV", which `load_csv` reads, and return how many it holds now.

    Shapes: digit (1, 28, 28) uint8.
    Raises: DrawingError for a label that is not a class; OSError if the file cannot be written.
    """
    if not (isinstance(label, int) and 0 <= label < classes):
        raise DrawingError(f"label={label!r} is not a class: they are numbered 0 to {classes - 1}.")
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = [*before.splitlines(), ",".join(map(str, [label, *digit.flatten().tolist()]))]
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)
