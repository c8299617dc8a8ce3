"""A picture → what a network reads in it: each digit with its place, its probabilities, and whether to doubt it."""

import functools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mnist_helpers.checkpoints import SHIPPED, load_model
from mnist_helpers.evaluation import predict_logits, steady_probabilities
from mnist_helpers.reading.pictures import PictureError, as_picture, longer_side
from mnist_helpers.reading.preprocessing import DigitSteps, cut_in_two, read_digits
from mnist_helpers.startup import cores

# Both chosen on drawn pictures (tests/reading/kinds.py); what they give is measured in docs/handwriting.md.
SURE = 0.99
LEAST_ENERGY = 4.7  # of the shipped network's logits, see `DigitReading.energy`
PERHAPS_TWO = 0.8  # from so many widths for a height on, a part may be two digits that touch
SURE_OF_BOTH = 0.95  # before it is cut: a digit in an odd form has halves that look a little like digits
QUARTERS = {  # Pillow turns the other way
    0: None,
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}
VIEWS = 12
WAITING = 4  # pictures that are prepared before it is their turn


@dataclass(frozen=True)
class DigitReading:
    """One digit of a picture, and what a network takes it for.

    `probabilities` has the shape (C,) float32; `energy` is the logarithm of the sum of the exponentials of its logits,
    low for what a network has not been trained on (Liu and others, 2020), and `perhaps_no_digit` says that it is too
    low; `box` is the place in the picture's own pixels, before it was turned: x, y, width, height; `row` counts rows
    from the top and `place` the digits of a row from the left, both from 0; `turned` is by how many degrees the picture
    was turned, clockwise, before it was read.
    """

    steps: DigitSteps
    probabilities: Tensor
    energy: float
    perhaps_no_digit: bool
    box: tuple[int, int, int, int]
    row: int
    place: int
    turned: int

    @property
    def digit(self) -> int:
        """Return the most probable class."""
        return int(self.probabilities.argmax())

    @property
    def sure(self) -> bool:
        """Say whether the reading is to be believed without another look."""
        return is_sure(self.probabilities) and not self.perhaps_no_digit


def is_sure(probabilities: Tensor) -> bool:
    """Say whether the most probable class is probable enough to be believed without another look."""
    return bool(probabilities.max() >= SURE)


def read_picture(
    picture: Path | str | bytes | np.ndarray | Image.Image, model: nn.Module | None = None, turn: bool = False
) -> list[DigitReading]:
    """Read every digit in a picture, row by row from the top, each row from the left.

    `picture` is a file's path or its bytes, an array, (H, W), (H, W, 3) or (H, W, 4) uint8, or a PIL image; without a
    `model` the shipped one that reads handwriting is used. With `turn`, the picture is read in four directions, and the
    surest reading counts. What is read in a picture depends on nothing else.

    Raises: PictureError with a sentence that says why nothing can be read.
    """
    reader = Reader(model) if model else shipped_reader()
    return reader.read(as_picture(picture), turn)


@functools.cache
def shipped_reader() -> "Reader":
    """Return a reader with the network that comes with the project."""
    return Reader(load_model(SHIPPED)[0], LEAST_ENERGY)


@dataclass(frozen=True)
class Reader:
    """Reads pictures with a network, each digit in so many slightly changed `views`.

    What has less energy than `least_energy` is perhaps no digit.
    """

    model: nn.Module
    least_energy: float = -math.inf
    views: int = VIEWS

    def read(self, picture: Image.Image, turn: bool = False) -> list[DigitReading]:
        """Read every digit in an opened picture, as it is or turned by quarters: then the surest reading counts.

        Raises: PictureError.
        """
        if not turn:
            return self._as_it_is(picture)
        found, errors = [], []
        for turned, way in QUARTERS.items():
            try:
                found.append(self._as_it_is(picture if way is None else picture.transpose(way), turned))
            except PictureError as error:
                errors.append(error)
        if not found:
            raise errors[0]
        return max(found, key=_confidence)

    def read_files(
        self, paths: Iterable[Path], turn: bool = False
    ) -> Iterator[tuple[Path, list[DigitReading] | PictureError]]:
        """Read many picture files on all cores; yield each with its readings, or with the error, as they come."""
        with ThreadPoolExecutor(cores()) as pool:
            waiting: deque[tuple[Path, Future | PictureError]] = deque()
            for path in paths:
                try:  # opened here, as Python's warnings are not made for threads
                    waiting.append((path, pool.submit(self.read, as_picture(path), turn)))
                except PictureError as error:
                    waiting.append((path, error))
                if len(waiting) > WAITING:
                    yield _come(*waiting.popleft())
            while waiting:
                yield _come(*waiting.popleft())

    def _as_it_is(self, picture: Image.Image, turned: int = 0) -> list[DigitReading]:
        digits = [piece for digit in read_digits(picture) for piece in self._apart(digit)]
        images = torch.stack([steps.digit for steps in digits])
        logits = predict_logits(self.model, images)
        energies = logits.logsumexp(dim=1).tolist()
        several = self.views > 1
        rows = steady_probabilities(self.model, images, self.views) if several else logits.softmax(dim=1)
        scale = longer_side(picture) / max(digits[0].grey.shape)
        readings, place = [], 0
        for steps, energy, probabilities in zip(digits, energies, rows, strict=True):
            place = place + 1 if readings and readings[-1].row == steps.row else 0
            box = tuple(round(side * scale) for side in _as_it_lay(steps.box, turned, *steps.grey.shape))
            doubtful = energy < self.least_energy
            readings.append(DigitReading(steps, probabilities, energy, doubtful, box, steps.row, place, turned))
        return readings

    def _apart(self, digit: DigitSteps) -> list[DigitSteps]:
        """Return the digits that touch in what looks like one, if the network is surer of both than of the one."""
        width, height = digit.part.width, digit.part.height
        if width < PERHAPS_TWO * height:
            return [digit]
        one = self._sureness([digit])
        if one >= SURE:
            return [digit]
        ways = [(self._sureness(pair), pair) for pair in cut_in_two(digit)]
        surest, both = max(ways, key=lambda way: way[0], default=(0.0, ()))
        cut = surest > max(one, SURE_OF_BOTH)
        return [piece for half in both for piece in self._apart(half)] if cut else [digit]

    def _sureness(self, digits: Iterable[DigitSteps]) -> float:
        """Return how sure the network is of the digit of which it is least sure."""
        logits = predict_logits(self.model, torch.stack([steps.digit for steps in digits]))
        return logits.softmax(dim=1).amax(dim=1).min().item()


def _as_it_lay(box: tuple[int, int, int, int], turned: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Return x, y, width and height of a box (left, top, right, bottom) in a picture before it was turned clockwise.

    `height` and `width` are those of the picture now.
    """
    left, top, right, bottom = box
    return {
        0: (left, top, right - left, bottom - top),
        90: (top, width - right, bottom - top, right - left),
        180: (width - right, height - bottom, right - left, bottom - top),
        270: (height - bottom, left, bottom - top, right - left),
    }[turned]


def _come(path: Path, reading: Future | PictureError) -> tuple[Path, list[DigitReading] | PictureError]:
    if isinstance(reading, Future):
        try:
            return path, reading.result()
        except PictureError as error:
            return path, error
    return path, reading


def _confidence(readings: list[DigitReading]) -> float:
    return sum(reading.probabilities.max().item() for reading in readings) / len(readings)
