"""A picture → what networks read in it: each digit, or each row as a number, with its place and whether to doubt it."""

import functools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mnist_helpers.checkpoints import SHIPPED, load_model
from mnist_helpers.evaluation import predict_logits, steady_probabilities
from mnist_helpers.numbers import CRNN, beam_search, number_logits
from mnist_helpers.reading.pictures import PictureError, as_picture, longer_side
from mnist_helpers.reading.preprocessing import FAINT, DigitSteps, contrast, cut_apart, cut_in_two, read_digits
from mnist_helpers.reading.rows import best_path_with_places, row_of, shipped_numbers
from mnist_helpers.reading.segmentation import touch
from mnist_helpers.startup import cores

# All three chosen on drawn pictures (tests/reading/kinds.py); what they give is measured in docs/handwriting.md.
SURE = 0.99
MOST_ENERGY = -4.7  # of the shipped network's logits, see `DigitReading.energy`
FAINT_MARK = 0.2  # of the paper's brightness: what is fainter and looks like no digit is a shadow or texture
PERHAPS_TWO = 0.8  # from so many widths for a height on, a part may be two digits that touch
LEAST_TOGETHER = 0.8  # probability of each of the digits that are read as a number
SURE_OF_BOTH = 0.95  # before it is cut: a digit in an odd form has halves that look a little like digits
QUARTERS = {  # Pillow turns the other way
    0: None,
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}
VIEWS = 12
WAITING = 4  # pictures that are prepared before it is their turn
SURE_NUMBER = 0.95  # chosen on written numbers, see notebook 11
LIKELY = 3  # numbers that are named for a row


@dataclass(frozen=True)
class DigitReading:
    """One digit of a picture, and what a network takes it for.

    `probabilities` has the shape (C,) float32; `energy` is minus the logarithm of the sum of the exponentials of its
    logits, high for what a network has not been trained on (Liu and others, 2020), and `perhaps_no_digit` says that it
    is too high; `box` is the place in the picture's own pixels, before it was turned: x, y, width, height; `row` counts
    rows from the top and `place` the digits of a row from the left, both from 0; `turned` is by how many degrees the
    picture was turned, clockwise, before it was read.
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

    @property
    def confidence(self) -> float:
        """Return the probability of the most probable class."""
        return self.probabilities.max().item()


@dataclass(frozen=True)
class NumberReading:
    """One row of a picture, read as a number.

    `likely` are the most probable numbers with their probabilities, the best first; `image`, (1, 28, W) uint8, is what
    the network saw; `steps` are those of the row's first digit; `box`, `row` and `turned` are as in `DigitReading`.
    """

    likely: list[tuple[str, float]]
    image: Tensor
    steps: DigitSteps
    box: tuple[int, int, int, int]
    row: int
    turned: int

    @property
    def text(self) -> str:
        """Return the most probable number as it is written, noughts at its beginning and all."""
        return self.likely[0][0]

    @property
    def confidence(self) -> float:
        """Return the probability of the most probable number."""
        return self.likely[0][1]

    @property
    def sure(self) -> bool:
        """Say whether the number is to be believed without another look."""
        return bool(self.text) and self.confidence >= SURE_NUMBER


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


def read_numbers(picture: Path | str | bytes | np.ndarray | Image.Image, turn: bool = False) -> list[NumberReading]:
    """Read each row of digits in a picture as a number, from the top; digits that touch are no hindrance.

    `picture` and `turn` are as for `read_picture`.

    Raises: PictureError with a sentence that says why nothing can be read.
    """
    return _surest_way(as_picture(picture), _numbers, turn)


@functools.cache
def shipped_reader() -> "Reader":
    """Return a reader with the network that comes with the project."""
    return Reader(load_model(SHIPPED)[0], MOST_ENERGY, numbers=shipped_numbers())


@dataclass(frozen=True)
class Reader:
    """Reads pictures with a network, each digit in so many slightly changed `views`.

    What has more energy than `most_energy` is perhaps no digit. Digits that touch are read by `numbers`, if it is
    given.
    """

    model: nn.Module
    most_energy: float = math.inf
    views: int = VIEWS
    numbers: CRNN | None = None

    def read(self, picture: Image.Image, turn: bool = False) -> list[DigitReading]:
        """Read every digit in an opened picture, as it is or turned by quarters: then the surest reading counts.

        Raises: PictureError.
        """
        return _surest_way(picture, self._as_it_is, turn)

    def read_files(
        self, paths: Iterable[Path], turn: bool = False
    ) -> Iterator[tuple[Path, list[DigitReading] | PictureError]]:
        """Read many picture files on all cores; yield each with its readings, or with the error, as they come."""
        yield from side_by_side(paths, lambda picture: self.read(picture, turn))

    def _as_it_is(self, picture: Image.Image, turned: int = 0) -> list[DigitReading]:
        digits = [piece for group in _touching(read_digits(picture)) for piece in self._apart(group)]
        images = torch.stack([steps.digit for steps, _ in digits])
        logits = predict_logits(self.model, images)
        energies = (-logits.logsumexp(dim=1)).tolist()
        several = self.views > 1
        rows = steady_probabilities(self.model, images, self.views) if several else logits.softmax(dim=1)
        readings, place = [], 0
        for (steps, known), energy, probabilities in zip(digits, energies, rows, strict=True):
            place = place + 1 if readings and readings[-1].row == steps.row else 0
            box = _box_before(steps.box, steps, picture, turned)
            doubtful = energy > self.most_energy and known is None
            said = probabilities if known is None else known
            readings.append(DigitReading(steps, said, energy, doubtful, box, steps.row, place, turned))
        if all(reading.perhaps_no_digit and contrast(reading.steps) < FAINT_MARK for reading in readings):
            raise PictureError(FAINT)
        return readings

    def _apart(self, group: list[DigitSteps]) -> list[tuple[DigitSteps, Tensor | None]]:
        """Return digits that touch, each with its probabilities if they were read together; most groups are of one."""
        width = max(steps.part.right for steps in group) - min(steps.part.left for steps in group)
        height = max(steps.part.height for steps in group)
        one = self._sureness(group) if len(group) == 1 else 0.0
        if width < PERHAPS_TWO * height or one >= SURE:
            return [(steps, None) for steps in group]
        if self.numbers and (spelled := self._together(group, max(one, LEAST_TOGETHER))):
            return spelled
        return [(piece, None) for steps in group for piece in self._in_two(steps)]

    def _together(self, group: list[DigitSteps], least: float) -> list[tuple[DigitSteps, Tensor | None]]:
        """Read digits that touch as a number; nothing if one of them is less probable than `least`."""
        row = row_of(group)
        spelled = best_path_with_places(self.numbers, row.image)
        if len(spelled.columns) < 2 or spelled.probabilities.amax(dim=1).min() < least:
            return []
        pieces = cut_apart(group, (row.left + spelled.columns / row.scale).tolist())
        return list(zip(pieces, spelled.probabilities, strict=False)) if len(pieces) == len(spelled.columns) else []

    def _in_two(self, digit: DigitSteps) -> list[DigitSteps]:
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
        return [piece for half in both for piece in self._in_two(half)] if cut else [digit]

    def _sureness(self, digits: Iterable[DigitSteps]) -> float:
        """Return how sure the network is of the digit of which it is least sure."""
        logits = predict_logits(self.model, torch.stack([steps.digit for steps in digits]))
        return logits.softmax(dim=1).amax(dim=1).min().item()


def side_by_side(
    paths: Iterable[Path], read: Callable[[Image.Image], list]
) -> Iterator[tuple[Path, list | PictureError]]:
    """Read picture files on all cores; yield each with what `read` makes of it, or with the error, as they come."""
    with ThreadPoolExecutor(cores()) as pool:
        waiting: deque[tuple[Path, Future | PictureError]] = deque()
        for path in paths:
            try:  # opened here, as Python's warnings are not made for threads
                waiting.append((path, pool.submit(read, as_picture(path))))
            except PictureError as error:
                waiting.append((path, error))
            if len(waiting) > WAITING:
                yield _come(*waiting.popleft())
        while waiting:
            yield _come(*waiting.popleft())


def _touching(digits: list[DigitSteps]) -> Iterator[list[DigitSteps]]:
    """Yield neighbours that touch as one group; most digits are one alone."""
    group: list[DigitSteps] = []
    for steps in digits:
        if group and not (group[-1].row == steps.row and touch(group[-1].part, steps.part)):
            yield group
            group = []
        group.append(steps)
    yield group


def _numbers(picture: Image.Image, turned: int = 0) -> list[NumberReading]:
    readings = []
    for number, digits in groupby(read_digits(picture), key=lambda steps: steps.row):
        row = list(digits)
        image = row_of(row).image
        likely = beam_search(number_logits(shipped_numbers(), image[None])[0])[:LIKELY]
        lefts, tops, rights, bottoms = zip(*(steps.box for steps in row), strict=True)
        box = _box_before((min(lefts), min(tops), max(rights), max(bottoms)), row[0], picture, turned)
        readings.append(NumberReading(likely, image, row[0], box, number, turned))
    return readings


def _surest_way(picture: Image.Image, read: Callable[..., list], turn: bool) -> list:
    """Read a picture as it is or, to `turn` it, in four directions: then the surest reading counts."""
    if not turn:
        return read(picture)
    found, errors = [], []
    for turned, way in QUARTERS.items():
        try:
            found.append(read(picture if way is None else picture.transpose(way), turned))
        except PictureError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return max(found, key=lambda readings: sum(map(_per_digit, readings)) / len(readings))


def _per_digit(reading: DigitReading | NumberReading) -> float:
    """Return how sure a reading is, so that a number of many digits can be compared with one of few."""
    digits = len(reading.text) if isinstance(reading, NumberReading) else 1
    return reading.confidence ** (1 / digits) if digits else 0.0


def _box_before(box: tuple, steps: DigitSteps, picture: Image.Image, turned: int) -> tuple[int, int, int, int]:
    """Return where a box of the steps' pictures lies in a picture's own pixels, before it was turned."""
    scale = longer_side(picture) / max(steps.grey.shape)
    return tuple(round(side * scale) for side in _as_it_lay(box, turned, *steps.grey.shape))


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
