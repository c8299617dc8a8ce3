"""A picture → what a network reads in it: each digit with its place, its probabilities, and whether to doubt it."""

import functools
import os
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

SURE = 0.95  # probability from which a reading is to be believed; docs/handwriting.md says how it was chosen
# From so many widths for a height on, a part is looked at as two digits that touch, and from the second one it is so
# wide that being sure of one digit is no reason against two.
PERHAPS_TWO, WIDE = 0.8, 1.15
QUITE_SURE, SURE_OF_BOTH = 0.99, 0.998
QUARTERS = {  # Pillow turns the other way
    0: None,
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}
WAITING = 4  # pictures that are prepared before it is their turn


@dataclass(frozen=True)
class DigitReading:
    """One digit of a picture, and what a network takes it for.

    `probabilities` has the shape (C,) float32; `box` is the place in the upright picture's own pixels: x, y, width,
    height; `row` counts rows from the top and `place` the digits of a row from the left, both from 0; `turned` is by
    how many degrees the picture was turned, clockwise, before it was read.
    """

    steps: DigitSteps
    probabilities: Tensor
    box: tuple[int, int, int, int]
    row: int
    place: int
    turned: int = 0

    @property
    def digit(self) -> int:
        """Return the most probable class."""
        return int(self.probabilities.argmax())

    @property
    def likely(self) -> list[int]:
        """Return the classes, the most probable first."""
        return self.probabilities.argsort(descending=True).tolist()

    @property
    def sure(self) -> bool:
        """Say whether the reading is to be believed without another look."""
        return is_sure(self.probabilities)


def is_sure(probabilities: Tensor) -> bool:
    """Say whether the most probable class is probable enough to be believed without another look."""
    return bool(probabilities.max() >= SURE)


def read_picture(
    picture: Path | str | bytes | np.ndarray | Image.Image, model: nn.Module | None = None, turn: bool = False
) -> list[DigitReading]:
    """Read every digit in a picture, row by row from the top, each row from the left.

    `picture` is a file's path or its bytes, an array, (H, W) or (H, W, 3) uint8, or a PIL image; without a `model` the
    shipped one that reads handwriting is used. With `turn`, the picture is read in four directions, and the surest
    reading counts. What is read in a picture depends on nothing else.

    Raises: PictureError with a sentence that says why nothing can be read.
    """
    return _read(model or shipped_model(), as_picture(picture), turn)


@functools.cache
def shipped_model() -> nn.Sequential:
    """Return the network that comes with the project and reads handwriting."""
    return load_model(SHIPPED)[0]


def read_pictures(
    paths: Iterable[Path], model: nn.Module, turn: bool = False
) -> Iterator[tuple[Path, list[DigitReading] | PictureError]]:
    """Read many picture files on all cores; yield each with its readings, or with the error, as soon as it is known."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting: deque[tuple[Path, Future | PictureError]] = deque()
        for path in paths:
            try:  # opened here, as Python's warnings are not made for threads
                waiting.append((path, pool.submit(_read, model, as_picture(path), turn)))
            except PictureError as error:
                waiting.append((path, error))
            if len(waiting) > WAITING:
                yield _come(*waiting.popleft())
        while waiting:
            yield _come(*waiting.popleft())


def _come(path: Path, reading: Future | PictureError) -> tuple[Path, list[DigitReading] | PictureError]:
    if isinstance(reading, Future):
        try:
            return path, reading.result()
        except PictureError as error:
            return path, error
    return path, reading


def _read(model: nn.Module, picture: Image.Image, turn: bool) -> list[DigitReading]:
    """Read an opened picture as it is, or turned by quarters: then the surest reading, if there is one."""
    if not turn:
        return _as_it_is(model, picture)
    found, errors = [], []
    for turned, way in QUARTERS.items():
        try:
            found.append(_as_it_is(model, picture if way is None else picture.transpose(way), turned))
        except PictureError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return max(found, key=_confidence)


def _as_it_is(model: nn.Module, picture: Image.Image, turned: int = 0) -> list[DigitReading]:
    digits = [piece for digit in read_digits(picture) for piece in _apart(model, digit)]
    rows = steady_probabilities(model, torch.stack([steps.digit for steps in digits]))
    scale = longer_side(picture) / max(digits[0].grey.shape)
    readings, place = [], 0
    for steps, probabilities in zip(digits, rows, strict=True):
        place = place + 1 if readings and readings[-1].row == steps.row else 0
        left, top, right, bottom = (round(side * scale) for side in steps.box)
        box = (left, top, right - left, bottom - top)
        readings.append(DigitReading(steps, probabilities, box, steps.row, place, turned))
    return readings


def _apart(model: nn.Module, digit: DigitSteps) -> list[DigitSteps]:
    """Return the digits that touch in what looks like one, if a network reads both of them better than the one."""
    width, height = digit.part.width, digit.part.height
    if width < PERHAPS_TWO * height:
        return [digit]
    one = _sureness(model, [digit])
    ways = [(_sureness(model, pair), pair) for pair in cut_in_two(digit)]
    surest, both = max(ways, key=lambda way: way[0], default=(0.0, ()))
    if surest > one if one < QUITE_SURE else surest > SURE_OF_BOTH and width >= WIDE * height:
        return [piece for half in both for piece in _apart(model, half)]
    return [digit]


def _sureness(model: nn.Module, digits: Iterable[DigitSteps]) -> float:
    """Return how sure a network is of the digit of which it is least sure."""
    logits = predict_logits(model, torch.stack([steps.digit for steps in digits]))
    return logits.softmax(dim=1).amax(dim=1).min().item()


def _confidence(readings: list[DigitReading]) -> float:
    return sum(reading.probabilities.max().item() for reading in readings) / len(readings)
