"""A row of digits → one picture of it, and the number that a network reads in it without cutting it into digits."""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mnist_helpers.checkpoints import NUMBERS
from mnist_helpers.numbers import BASELINE, BLANK, COLUMNS, CRNN, HEIGHT, MARGIN, load_numbers, number_logits
from mnist_helpers.reading.preprocessing import DigitSteps, alone
from mnist_helpers.reading.segmentation import Part

TALL = 20  # pixels of the tallest digit of a row, as in MNIST
TALLEST = 24  # of a row that slopes


@functools.cache
def shipped_numbers() -> CRNN:
    """Return the network that reads numbers and comes with the project.

    It computes with 64 bits: with 32 the last digits depend on the number of threads, and a reading must not.
    """
    return load_numbers(NUMBERS)[0].double()


@dataclass(frozen=True)
class Row:
    """A row of digits as one picture of the form that `numbers` are written in, and where it was found.

    Shapes: image (1, 28, W) uint8. Its column c lies at left + c / scale of the picture that it was found in.
    """

    image: Tensor
    left: float
    scale: float


def row_of(digits: list[DigitSteps]) -> Row:
    """Return neighbouring digits of one picture as a picture of their own."""
    part = functools.reduce(Part.joined, (steps.part for steps in digits))
    tallest = max(steps.part.height for steps in digits)
    inked = alone(digits[0].ink.numpy() / np.float32(255), part, size=tallest)
    rows, columns = (np.flatnonzero((inked > 0.5).any(axis=axis)) for axis in (1, 0))
    inked = inked[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height = min(round(TALL * part.height / tallest), TALLEST)
    scale = height / part.height
    width = max(1, round(part.width * scale))
    smoothly = Image.Resampling.BOX if height < len(inked) else Image.Resampling.BICUBIC
    small = np.asarray(Image.fromarray(inked * 255).resize((width, height), smoothly)).clip(0, 255)
    image = np.zeros((HEIGHT, -(-(width + 2 * MARGIN) // COLUMNS) * COLUMNS), np.uint8)
    bottom = max(BASELINE, height + 2)
    image[bottom - height : bottom, MARGIN : MARGIN + width] = small.round()
    return Row(torch.from_numpy(image)[None], part.left - MARGIN / scale, scale)


@dataclass(frozen=True)
class Spelled:
    """What the best path through the columns of a row spells: a digit's probabilities and its column, for each.

    Shapes: probabilities (digits, 10) float32; columns (digits,) float32, in pixels of the row's picture.
    """

    probabilities: Tensor
    columns: Tensor


def best_path_with_places(model: CRNN, image: Tensor) -> Spelled:
    """Read a row's picture, (1, 28, W) uint8, by the best path."""
    logits = number_logits(model, image[None])[0]
    best, found, places = logits.argmax(dim=0).tolist(), [], []
    start = 0
    while start < len(best):
        stop = start + 1
        while stop < len(best) and best[stop] == best[start]:
            stop += 1
        if best[start] != BLANK:
            run = logits[:, start:stop].softmax(dim=0)
            surest = int(run[best[start]].argmax())
            found.append(run[:BLANK, surest] / run[:BLANK, surest].sum())
            places.append(COLUMNS * (start + surest + 0.5))
        start = stop
    return Spelled(torch.stack(found) if found else torch.empty(0, BLANK), torch.tensor(places))
