"""Any picture of digits → the 28×28 images that MNIST's makers would have made of them.

They fitted each digit into 20×20 pixels with its aspect ratio kept and put its centre of mass in the middle of 28×28
(LeCun and others, 1998). A picture that is only resized looks strange to a network that learned from those. Before that
comes what their scanner spared them: light that falls unevenly, either polarity, dirt, and more than one digit.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from mnist_helpers.pictures import PictureError

WORKING_SIDE = 320  # pixels of the longer side, at least
TINY_SIDE = 64  # pixels of the longer side of a picture so small that a fine pen's strokes have gaps of a pixel
LIGHT_SIDE = 48  # the polarity is decided on a small copy
WIDEST_STROKE = 0.25  # of the shorter side of the picture
LEAST_CONTRAST = 0.04  # of the paper's brightness, halfway up the edge of a stroke
LEAST_CONTRAST_TO_GRAIN = 3.0
SMOOTHING = 0.03  # of the digit's longer side
DARK = 64  # of 255: a picture that is nowhere brighter
STEEP = 0.05  # of the whole range, from a pixel to the next: no light falls off so fast
MOST_PARTS = 100
LARGEST_RADIUS = 16  # by which strokes are made thinner at full size; thicker ones are looked at from farther away
PEN = (2.0, 3.5)  # thinnest and thickest stroke, in pixels of the final 28
NO_INK = "There is no ink in this picture, or it does not stand out from the paper and its grain."
ONLY_SPECKS = "What stands out from the paper in this picture is too small to be a digit."


@dataclass(frozen=True)
class DigitSteps:
    """A picture on its way to MNIST's format.

    Shapes: grey (H, W) uint8, the picture, inverted if its ink is the brighter part; paper (H, W) uint8, the brightness
    that it would have without ink; ink (H, W) uint8, from 0 for paper to 255; cropped (h, w) uint8, one digit alone;
    digit (1, 28, 28) uint8, what the network sees. `box` is the digit's place in these: left, top, right, bottom.
    """

    grey: Tensor
    paper: Tensor
    ink: Tensor
    cropped: Tensor
    digit: Tensor
    box: tuple[int, int, int, int]


def read_digit(picture: Image.Image) -> DigitSteps:
    """Find the one digit in a picture and bring it to MNIST's format, keeping every step.

    Raises: PictureError if there is no ink, or more than one digit.
    """
    digits = read_digits(picture)
    if len(digits) > 1:
        raise PictureError(
            f"There are {len(digits)} separate digits in this picture. Read each of them (predict --all, or "
            "read_digits), or cut out the one you mean."
        )
    return digits[0]


def read_digits(picture: Image.Image) -> list[DigitSteps]:
    """Find all digits in a picture, from left to right, and bring each to MNIST's format.

    Raises: PictureError if there is no ink, or far more than a few digits.
    """
    seen = grey = _working_size(picture.convert("L"))
    if _ink_is_brighter(grey):
        grey = 255 - grey
    paper = _paper(grey)
    darkness = ((paper - grey) / np.maximum(paper, 1)).clip(0, 1)
    threshold = _threshold(darkness)
    if threshold is None:
        raise PictureError(_full_of_ink(seen) or NO_INK)
    ink = ((darkness / threshold - 0.25) / 1.75).clip(0, 1)  # the threshold is half of what full ink has
    # A gap of a pixel is closed from both sides.
    reach = round(0.6 * WORKING_SIDE / max(picture.size)) if max(picture.size) <= TINY_SIDE else 0
    parts = _parts(darkness > threshold, reach)
    if not parts:
        raise PictureError(_full_of_ink(seen) or ONLY_SPECKS)
    steps = [torch.from_numpy(step.round().astype(np.uint8)) for step in (grey, paper, ink * 255)]
    digits = []
    for mask in _group(parts):
        rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        place = np.s_[box[1] : box[3], box[0] : box[2]]
        size = max(box[2] - box[0], box[3] - box[1])
        near = ndimage.binary_dilation(mask[place], iterations=max(2, size // 20))
        alone = np.where(near, ink[place], 0)
        if reach and ndimage.label(mask[place], structure=np.ones((3, 3)))[1] > 1:
            alone = ndimage.grey_closing(alone, size=2 * reach + 1)
        cropped = _smooth(_like_mnist_s_pen(alone))
        digit = _fit_and_centre((cropped * 255).round().astype(np.uint8))
        cropped = torch.from_numpy((cropped * 255).round().astype(np.uint8))
        digits.append(DigitSteps(*steps, cropped, torch.from_numpy(digit)[None], box))
    return digits


def _working_size(picture: Image.Image) -> np.ndarray:
    factor = WORKING_SIDE / max(picture.size)
    if factor > 1:
        size = [max(1, round(side * factor)) for side in picture.size]
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    # The grain of a camera's picture is finer than any stroke.
    return ndimage.gaussian_filter(np.asarray(picture).astype(np.float32), max(picture.size) / 500)


def _ink_is_brighter(grey: np.ndarray) -> bool:
    """Decide the polarity: ink is the smaller part of every neighbourhood, so it differs from the local median."""
    small = Image.fromarray(grey)
    small.thumbnail((LIGHT_SIDE, LIGHT_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small)
    difference = pixels - ndimage.median_filter(pixels, size=max(3, round(min(pixels.shape) * 0.6)), mode="nearest")
    return float((difference**3).sum()) > 0


def _paper(grey: np.ndarray) -> np.ndarray:
    """Return the brightness of the paper under the ink: dark strokes are filled, shadows and table edges stay."""
    size = max(3, round(min(grey.shape) * WIDEST_STROKE))
    filled = ndimage.grey_closing(grey, size=(size, size), mode="nearest")
    return np.maximum(filled, grey)


def _threshold(darkness: np.ndarray) -> float | None:
    """Return the darkness halfway up the edges of the strokes; None if nothing stands out from paper and grain."""
    slope = ndimage.gaussian_gradient_magnitude(darkness, 1.0)
    steep = slope > max(0.5 * np.quantile(slope, 0.999), 1e-6)
    threshold = float((darkness[steep] * slope[steep]).sum() / max(slope[steep].sum(), 1e-12)) if steep.any() else 0.0
    grain = float(np.median(np.abs(darkness - np.median(darkness)))) * 1.5 + float(np.median(darkness))
    return threshold if threshold >= max(LEAST_CONTRAST, LEAST_CONTRAST_TO_GRAIN * grain) else None


def _full_of_ink(seen: np.ndarray) -> str:
    """Say what is wrong with a picture in which ink leaves no paper to see it on; nothing if that is not so."""
    if np.quantile(seen, 0.99) < DARK:
        return "This picture is dark all over: full of ink, or taken without light. No paper is left to see a digit on."
    if (ndimage.gaussian_gradient_magnitude(seen / 255, 1.0) > STEEP).mean() > 0.005:
        return (
            "This picture is full of ink: what is dark in it is wider than strokes. Cut it out with more paper on all "
            "sides of the digit."
        )
    return ""


@dataclass(frozen=True)
class _Part:
    """Pixels that hang together, and the box around them."""

    mask: np.ndarray
    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def joined(self, other: "_Part") -> "_Part":
        top, left = min(self.top, other.top), min(self.left, other.left)
        bottom, right = max(self.bottom, other.bottom), max(self.right, other.right)
        return _Part(self.mask | other.mask, top, left, bottom, right)


def _parts(ink: np.ndarray, reach: int = 0) -> list[_Part]:
    """Return what hangs together, without specks, and without what lies along the edge of the picture.

    Pixels hang together, too, if twice `reach` lies between them.

    Raises: PictureError for a picture full of marks, such as a page of text.
    """
    together = ndimage.maximum_filter(ink, size=2 * reach + 1)
    labels = ndimage.label(together, structure=np.ones((3, 3)))[0] * ink
    areas = np.bincount(labels.ravel())[1:]
    large = areas >= max(9, 0.01 * areas.max())
    if large.sum() > MOST_PARTS:
        raise PictureError(f"There are {large.sum()} separate marks in this picture. Cut out the digits you mean.")
    boxes = enumerate(ndimage.find_objects(labels), start=1)
    parts = [_Part(labels == n, y.start, x.start, y.stop, x.stop) for n, (y, x) in boxes if large[n - 1]]
    inner = [part for part in parts if not _lies_along_the_edge(part)]
    return inner or parts


def _lies_along_the_edge(part: _Part) -> bool:
    sides = (part.mask[0], part.mask[-1], part.mask[:, 0], part.mask[:, -1])
    return max(side.mean() for side in sides) > 0.3 or part.mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def _group(parts: list[_Part]) -> list[np.ndarray]:
    """Put parts of one digit together, drop dirt, and return the digits' masks from left to right."""
    tallest = max(max(part.height for part in parts), max(part.width for part in parts) // 2)
    digits = sorted(parts, key=lambda part: part.height)
    joined: list[_Part] = []
    while digits:
        part = digits.pop(0)
        home = next(
            (other for other in sorted(digits, key=lambda o: _gap(part, o)) if _belong(part, other, tallest)), None
        )
        if home is not None:
            digits = [other for other in digits if other is not home] + [part.joined(home)]
            digits.sort(key=lambda part: part.height)
        else:
            joined.append(part)
    tall = [part for part in joined if max(part.height, part.width // 2) > 0.4 * tallest]
    return [part.mask for part in sorted(tall, key=lambda part: part.left + part.right)]


def _gap(one: _Part, other: _Part) -> float:
    across = max(one.left, other.left) - min(one.right, other.right)
    down = max(one.top, other.top) - min(one.bottom, other.bottom)
    return float(np.hypot(max(across, 0), max(down, 0)))


def _belong(one: _Part, other: _Part, tallest: int) -> bool:
    """Decide whether the lower of two parts is a stroke of the taller one, such as the bar of a five."""
    overlap = min(one.right, other.right) - max(one.left, other.left)
    above = min(one.bottom, other.bottom) - max(one.top, other.top) < 0.5 * min(one.height, other.height)
    near = _gap(one, other)
    if near <= 0.05 * tallest:
        return one.height < 0.6 * tallest or overlap > 0
    if one.height <= 0.4 * tallest:
        return near <= 0.25 * tallest
    return above and overlap >= 0.3 * min(one.width, other.width) and near <= 0.25 * tallest


def _smooth(cropped: np.ndarray) -> np.ndarray:
    """Round off what a digit's enlarged pixels, or a pen's tremor, left on its strokes."""
    smooth = ndimage.gaussian_filter(cropped, SMOOTHING * max(cropped.shape))
    return smooth / max(smooth.max(), 1e-6)


def _like_mnist_s_pen(cropped: np.ndarray) -> np.ndarray:
    """Widen strokes that a fine pen left thinner, and thin those that a marker left thicker, than MNIST's pens did."""
    depth = ndimage.distance_transform_edt(np.pad(cropped > 0.5, 1))
    ridge = depth[(depth == ndimage.maximum_filter(depth, size=3)) & (depth > 0)]
    width = 2 * float(np.median(ridge)) if ridge.size else 1.0
    thinnest, thickest = (pixels * max(cropped.shape) / 20 for pixels in PEN)
    if thinnest - 1 <= width <= thickest + 1:
        return cropped
    change = ndimage.grey_dilation if width < thinnest else ndimage.grey_erosion
    radius = round(abs(np.clip(width, thinnest, thickest) - width) / 2)
    if radius > LARGEST_RADIUS:
        return _like_mnist_s_pen(ndimage.zoom(cropped, 0.5, order=1))
    changed, cross = np.pad(cropped, radius), ndimage.generate_binary_structure(2, 1)
    for step in range(radius):  # crosses and squares by turns make an octagon, nearly a disc, in a fraction of its time
        square = int(0.414 * (step + 1)) > int(0.414 * step)
        changed = change(changed, size=(3, 3)) if square else change(changed, footprint=cross)
    return changed if changed.max() > 0.5 else cropped  # a blot whose strokes cannot be told apart stays


def _fit_and_centre(cropped: np.ndarray) -> np.ndarray:
    """Fit into 20×20 with the aspect ratio kept, then move the centre of mass to the middle of 28×28."""
    height, width = cropped.shape
    factor = 20 / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    smoothly = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    small = np.asarray(Image.fromarray(cropped).resize(size, smoothly))
    canvas = np.zeros((28, 28), dtype=np.float32)
    top, left = (28 - small.shape[0]) // 2, (28 - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    row, column = ndimage.center_of_mass(canvas)
    # Whole pixels, as MNIST's makers did: no blur.
    moved = ndimage.shift(canvas, (round(13.5 - row), round(13.5 - column)), order=0)
    return moved.clip(0, 255).astype(np.uint8)
