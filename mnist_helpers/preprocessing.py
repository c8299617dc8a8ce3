"""Any picture of one digit → the 28×28 image that MNIST's makers would have made of it.

They fitted each digit into 20×20 pixels with its aspect ratio kept and put its centre of mass in the middle of 28×28
(LeCun and others, 1998). A picture that is only resized looks strange to a network that learned from those.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy.ndimage import center_of_mass, shift
from torch import Tensor

from mnist_helpers.runtime import CourseError

LARGEST_SIDE = 1_000
LEAST_CONTRAST = 40  # grey levels between paper and ink


class PictureError(CourseError):
    """A picture that no digit can be read from."""


@dataclass(frozen=True)
class DigitSteps:
    """A picture on its way to MNIST's format.

    Shapes: grey (H, W) uint8 as the camera saw it; ink (H, W) uint8, paper 0 and the strongest ink 255; cropped
    (h, w) uint8, the digit alone; digit (1, 28, 28) uint8, what the network sees.
    """

    grey: Tensor
    ink: Tensor
    cropped: Tensor
    digit: Tensor


def open_picture(path: Path | str) -> Image.Image:
    """Open a picture upright and without transparency (on white), no larger than 1,000 pixels.

    Raises: PictureError if it is missing or not a picture.
    """
    try:
        with Image.open(path) as picture:
            picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
            upright = _eight_bits(ImageOps.exif_transpose(picture)).convert("RGBA")
    except FileNotFoundError as error:
        raise PictureError(f"{path} does not exist.") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(f"{path} cannot be read as a picture ({error}). Use a PNG or JPEG file.") from error
    white = Image.new("RGBA", upright.size, "white")
    return Image.alpha_composite(white, upright).convert("L")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Bring a picture with 16 bits of grey to 8: Pillow itself would cut off everything above 255."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8))


def read_digit(picture: Image.Image) -> DigitSteps:
    """Find the ink in a picture and bring it to MNIST's format, keeping every step.

    The border of the picture counts as paper, so dark on light and light on dark both work.

    Raises: PictureError if there is no ink.
    """
    grey = np.asarray(picture.convert("L"))
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    distance = np.abs(grey.astype(np.float32) - np.median(border))
    if distance.max() < LEAST_CONTRAST:
        raise PictureError("There is no ink in this picture: everything in it is as bright as its border.")
    ink = (distance / distance.max() * 255).astype(np.uint8)
    ink[ink < 0.25 * 255] = 0  # grain of the paper
    rows, columns = np.nonzero(ink.any(axis=1))[0], np.nonzero(ink.any(axis=0))[0]
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    steps = (grey.copy(), ink, cropped.copy(), _fit_and_centre(cropped)[None])
    return DigitSteps(*(torch.from_numpy(step) for step in steps))


def _fit_and_centre(cropped: np.ndarray) -> np.ndarray:
    """Fit into 20×20 with the aspect ratio kept, then move the centre of mass to the middle of 28×28."""
    height, width = cropped.shape
    factor = 20 / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.asarray(
        Image.fromarray(cropped).resize(size, Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC)
    )
    canvas = np.zeros((28, 28), dtype=np.float32)
    top, left = (28 - small.shape[0]) // 2, (28 - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    row, column = center_of_mass(canvas)
    # Whole pixels, as MNIST's makers did: no blur.
    return shift(canvas, (round(13.5 - row), round(13.5 - column)), order=0).clip(0, 255).astype(np.uint8)
