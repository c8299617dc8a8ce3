"""Any picture of digits → the 28×28 images that MNIST's makers would have made of them.

They fitted each digit into 20×20 pixels with its aspect ratio kept and put its centre of mass in the middle of 28×28
(LeCun and others, 1998). A picture that is only resized looks strange to a network that learned from those. Before that
comes what their scanner spared them: light that falls unevenly, either polarity, dirt, and more than one digit.
"""

import functools
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from mnist_helpers.reading.ink import EIGHT, Field, Ink, find_fields, find_ink, working_copy
from mnist_helpers.reading.pictures import PictureError
from mnist_helpers.reading.segmentation import (
    LEAST_SIZE,
    Part,
    TooManyMarksError,
    comes_from_the_edge,
    cut_between,
    cuts,
    find_digits,
    in_rows,
    is_rectangle,
)

TINY_SIDE = 64  # pixels of the longer side of a picture so small that a fine pen's strokes have gaps of a pixel
SMOOTHING = 0.03  # of the digit's longer side
DARK = 64  # of 255: a picture that is nowhere brighter
STEEP = 0.05  # of the whole range, from a pixel to the next: no light falls off so fast
LARGEST_RADIUS = 16  # by which strokes are made thinner at full size; thicker ones are looked at from farther away
PEN = (2.0, 3.5)  # thinnest and thickest stroke, in pixels of the final 28
FITS_WELL = 0.55  # how well a reading fits that leaves no other polarity to look for
LEAST_PLAINNESS = 5.5  # what is less plain than this on its paper is the paper's own texture
LARGE_IS_PLAIN = 1.5  # so much less has to be what is as large as the picture: no texture is
INKED, FAINTEST = 0.43, 0.1  # strength from which on a pixel is ink, and may be if it hangs together with ink
LEAST_IN_A_FIELD = 0.2  # of its shorter side
LEAST_RING = 0.05  # of the window around a part
PERHAPS_INK = 0.04  # of the paper's brightness
NO_INK = "There is no ink in this picture. Is the digit in it? A photo from closer by shows it larger."
FAINT = (
    "There is no ink in this picture that stands out from the paper and its grain. More light, a darker pen, or a "
    "photo from closer by helps; predict --show draws what was looked at."
)
ONLY_SPECKS = (
    "What stands out from the paper in this picture is too small to be a digit. Cut out the digit, or take the photo "
    "from closer by."
)


@dataclass(frozen=True)
class DigitSteps:
    """A picture on its way to MNIST's format.

    Shapes: grey (H, W) uint8, the picture, inverted if its ink is the brighter part; paper (H, W) uint8, the brightness
    that it would have without ink; ink (H, W) uint8, from 0 for paper to 255; cropped (h, w) uint8, one digit alone;
    digit (1, 28, 28) uint8, what the network sees. `box` is the digit's place in the first three: left, top, right,
    bottom; `row` counts the rows of digits from 0 at the top.
    """

    grey: Tensor
    paper: Tensor
    ink: Tensor
    cropped: Tensor
    digit: Tensor
    box: tuple[int, int, int, int]
    row: int
    part: Part = field(repr=False)


@dataclass(frozen=True)
class _Reading:
    """Digits in rows, the ink that they were found in, and how well both go together."""

    ink: Ink
    rows: list[list[Part]]
    fit: float


def read_digit(picture: Image.Image) -> DigitSteps:
    """Find the one digit in a picture and bring it to MNIST's format, keeping every step.

    Raises: PictureError if there is no ink, or more than one digit.
    """
    digits = read_digits(picture)
    if len(digits) > 1:
        raise PictureError(several_digits(len(digits)))
    return digits[0]


def several_digits(count: int) -> str:
    """Say that there are several digits where one was asked for."""
    return (
        f"There are {count} separate digits in this picture. Read each of them (predict --all, or read_digits), or cut "
        "out the one you mean."
    )


def read_digits(picture: Image.Image) -> list[DigitSteps]:
    """Find all digits in a picture and bring each to MNIST's format: row by row from the top, each from the left.

    Raises: PictureError if there is no ink, or far more than a few digits.
    """
    grey = working_copy(picture.convert("L"))
    # A gap of a pixel is closed from both sides.
    reach = round(0.6 * max(grey.shape) / max(picture.size)) if max(picture.size) <= TINY_SIDE else 0
    best = _read(grey, reach)
    if best is None:
        raise PictureError(_why_nothing(grey, reach))
    found = best.ink
    steps = [
        torch.from_numpy(step.round().astype(np.uint8)) for step in (found.grey, found.paper, found.strength * 255)
    ]
    return [_steps(steps, part, row, reach) for row, parts in enumerate(best.rows) for part in parts]


def _steps(steps: list[Tensor], part: Part, row: int, reach: int) -> DigitSteps:
    cropped = (alone(steps[2].numpy() / np.float32(255), part, reach) * 255).round().astype(np.uint8)
    digit = torch.from_numpy(_fit_and_centre(cropped))[None]
    return DigitSteps(
        *steps, torch.from_numpy(cropped), digit, (part.left, part.top, part.right, part.bottom), row, part
    )


def cut_in_two(steps: DigitSteps) -> list[tuple[DigitSteps, DigitSteps]]:
    """Return what a digit would be as two that touch: each way to cut it."""
    pictures = [steps.grey, steps.paper, steps.ink]
    return [tuple(_steps(pictures, piece, steps.row, 0) for piece in pieces) for pieces in cuts(steps.part)]


def cut_apart(digits: list[DigitSteps], places: list[float]) -> list[DigitSteps]:
    """Return digits that touch cut anew, where others are in the middle: columns of the picture that all lie in."""
    part = functools.reduce(Part.joined, (steps.part for steps in digits))
    first = digits[0]
    pieces = cut_between(part, [place - part.left for place in places])
    pictures = [first.grey, first.paper, first.ink]
    return [_steps(pictures, piece, first.row, 0) for piece in pieces if 0 not in piece.mask.shape]


def _read(grey: np.ndarray, reach: int) -> _Reading | None:
    """Read a picture as a whole, and what is a field of its own in it; return the reading that is to be believed."""
    whole, marks = _either_way(grey, reach)
    for region in find_fields(grey, marks):
        alone, inner = _field_alone(grey[region.place], region)
        inside, _ = _either_way(alone, reach, inner)
        if inside and inside.fit > 0.4 and _tallest(inside) >= LEAST_IN_A_FIELD * min(alone.shape):
            inside = _placed(inside, region, grey)
            if whole is None or _is_better(inside, whole, region):
                return inside
    return whole


def _either_way(grey: np.ndarray, reach: int, inside: np.ndarray | None = None) -> tuple[_Reading | None, np.ndarray]:
    """Read dark ink on bright paper and bright ink on dark; return the better reading, and where the likelier ink is.

    What there is more of is paper; if digits are plain on it, nothing else is looked for.
    """
    likely = grey if np.median(grey) > (grey.max() + grey.min()) / 2 else 255 - grey
    first = find_ink(likely)
    one = _as_digits(first, reach, inside)
    if one and one.fit >= FITS_WELL:
        return one, first.mask
    other = _as_digits(find_ink(255 - likely), reach, inside)
    if not (one and other):
        return one or other, first.mask
    for holes, digits in ((one, other), (other, one)):
        if _are_holes(holes, digits):
            return digits, first.mask
    return max(one, other, key=lambda reading: reading.fit), first.mask


def _are_holes(one: _Reading, other: _Reading) -> bool:
    """Decide whether all that one reading found are holes of the other's digits: ink on every side."""
    outer = np.zeros(other.ink.mask.shape, bool)
    for part in (part for row in other.rows for part in row):
        outer[part.place] |= part.mask
    for part in (part for row in one.rows for part in row):
        window = tuple(slice(max(0, side.start - 4), side.stop + 4) for side in part.place)
        mask = np.zeros(outer.shape, bool)
        mask[part.place] = part.mask
        ring = ndimage.binary_dilation(mask[window], iterations=4) & ~mask[window]
        if outer[window][ring].mean() < 0.85:
            return False
    return True


def _tallest(reading: _Reading) -> int:
    return max(part.size for row in reading.rows for part in row)


def _is_better(inside: _Reading, whole: _Reading, field: Field) -> bool:
    """Decide whether a field's reading stands for the picture: it leaves no digit out, and is no digit's hole."""
    (rows, columns), tallest = field.place, _tallest(inside)
    left_out = 0
    for part in (part for row in whole.rows for part in row):
        around = part.top <= rows.start and part.left <= columns.start
        if (
            around
            and part.bottom >= rows.stop
            and part.right >= columns.stop
            and _contrast(inside) < 0.5 * _contrast(whole)
        ):
            return False
        if _lies_along(part, field) or comes_from_the_edge(part, whole.ink.mask.shape):
            continue
        covered = part.height * part.width / field.mask.size
        if (covered > 0.9 and inside.fit < whole.fit) or (covered > 0.75 and not is_rectangle(field.mask)):
            return False  # what is thought to be a field is a digit with a hole
        middle = (part.top + part.bottom) // 2 - rows.start, (part.left + part.right) // 2 - columns.start
        within = all(0 <= at < side for at, side in zip(middle, field.mask.shape, strict=True)) and field.mask[middle]
        left_out += not within and 0.5 * tallest <= part.size <= 2 * tallest
    return left_out == 0


def _lies_along(part: Part, field: Field) -> bool:
    """Decide whether a part is a line at the side of a field, as the sides of a form's cell are."""
    rows, columns = field.place
    reach = 0.1 * max(field.mask.shape)
    upright = part.width < 0.15 * part.height and part.height > 0.6 * field.mask.shape[0]
    level = part.height < 0.15 * part.width and part.width > 0.6 * field.mask.shape[1]
    beside = min(abs(part.right - columns.start), abs(part.left - columns.stop)) <= reach
    above = min(abs(part.bottom - rows.start), abs(part.top - rows.stop)) <= reach
    return (upright and beside) or (level and above)


def contrast(steps: DigitSteps) -> float:
    """Return how much darker a digit's ink is than its paper, as a share of the paper's brightness."""
    return _part_contrast(steps.grey.numpy(), steps.paper.numpy(), steps.part)


def _contrast(reading: _Reading) -> float:
    """Return how much darker the ink of the digits is than their paper, as a share of its brightness."""
    ink = reading.ink
    return float(np.median([_part_contrast(ink.grey, ink.paper, part) for row in reading.rows for part in row]))


def _part_contrast(grey: np.ndarray, paper: np.ndarray, part: Part) -> float:
    inked, around = (of[part.place][part.mask].astype(np.float32) for of in (grey, paper))
    return float(np.median(1 - inked / np.maximum(around, 1)))


def _as_digits(ink: Ink, reach: int, inside: np.ndarray | None) -> _Reading | None:
    """Read ink as digits, if there are some that lie on paper; all of them `inside`, if that is given."""
    shape = ink.grey.shape
    try:
        digits = [part for part in find_digits(ink.mask, reach) if part.size >= LEAST_SIZE * min(shape)]
    except TooManyMarksError:
        return None
    if inside is not None:
        shares = [inside[part.place][part.mask].mean() for part in digits]
        if any(0.5 < share < 1 for share in shares):
            return None  # one is cut by the edge: this is no field of its own
        digits = [part for part, share in zip(digits, shares, strict=True) if share == 1]
    looks = [(part, paper) for part in digits if (paper := _on_paper(ink, part)) > 0.5]
    if not looks:
        return None
    digits, around = zip(*looks, strict=True)
    size = sum(part.size for part in digits) / max(shape)
    thin = np.median([1 - part.thickness for part in digits])
    fit = float(np.median(around) * thin**2) * min(4 * size, 1) ** 0.5
    reading = _Reading(ink, in_rows(list(digits)), fit)
    plainness = LEAST_PLAINNESS - LARGE_IS_PLAIN * _tallest(reading) / max(shape)
    return reading if _contrast(reading) >= plainness * _grain(reading, inside) else None


def _grain(reading: _Reading, inside: np.ndarray | None) -> float:
    """Return how uneven the paper around the digits is, as a share of its brightness."""
    ink, near = reading.ink, np.zeros(reading.ink.mask.shape, bool)
    for part in (part for row in reading.rows for part in row):
        reach = part.size // 2
        near[max(0, part.top - reach) : part.bottom + reach, max(0, part.left - reach) : part.right + reach] = True
    off = near & ~ink.mask if inside is None else near & ~ink.mask & inside
    darkness = (1 - ink.grey / np.maximum(ink.paper, 8))[off]
    return 1.48 * float(np.median(np.abs(darkness - np.median(darkness)))) if darkness.size else 0.0


def _on_paper(ink: Ink, part: Part) -> float:
    """Return the share of what surrounds a part that is more like its paper than like its ink.

    The hole of a bright eight on a dark board is a dark blot on bright ink, but ink is not what surrounds it.
    """
    edge, reach = (max(1, round(share * part.size)) for share in (0.03, 0.25))
    top, left = max(0, part.top - reach), max(0, part.left - reach)
    window = slice(top, part.bottom + reach), slice(left, part.right + reach)
    around = ink.grey[window]
    ring, mask = np.ones(around.shape, bool), np.zeros(around.shape, bool)
    inner = max(0, part.top - edge - top), max(0, part.left - edge - left)
    ring[inner[0] : part.bottom + edge - top, inner[1] : part.right + edge - left] = False
    mask[part.top - top : part.bottom - top, part.left - left : part.right - left] = part.mask
    if ring.sum() < LEAST_RING * ring.size:  # around what fills the picture is little: what is within counts, too
        ring |= ~ndimage.binary_dilation(mask, iterations=edge)
    if not ring.any():
        ring[[0, -1]] = ring[:, [0, -1]] = True
    # Light may fall on a part of it only: each pixel is compared with the ink that is nearest to it.
    rows, columns = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)[:, ring]
    paper, inked = (of[window][rows, columns] for of in (ink.paper, ink.grey))
    return float((around[ring] > (paper + inked) / 2).mean())


def _field_alone(grey: np.ndarray, field: Field) -> tuple[np.ndarray, np.ndarray]:
    """Return a field whose brightness goes on beyond its edge, and the pixels well within it."""
    edge = max(2, round(0.02 * max(field.mask.shape)))
    inner = ndimage.binary_erosion(np.pad(field.mask, 1), iterations=edge)[1:-1, 1:-1]
    if not inner.any():
        return grey, inner
    rows, columns = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    return grey[rows, columns], ndimage.binary_erosion(np.pad(inner, 1))[1:-1, 1:-1]


def _placed(reading: _Reading, field: Field, grey: np.ndarray) -> _Reading:
    """Return a field's reading with places in the whole picture."""
    rows, columns = (side.start for side in field.place)
    whole = {}
    for name in ("grey", "paper", "strength", "mask"):
        part = getattr(reading.ink, name)
        beyond = np.full(grey.shape, part.dtype.type(0)) if name in ("strength", "mask") else grey.copy()
        beyond[field.place] = part
        whole[name] = beyond
    moved = [[Part(part.mask, part.top + rows, part.left + columns) for part in row] for row in reading.rows]
    return _Reading(Ink(**whole), moved, reading.fit)


def alone(strength: np.ndarray, part: Part, reach: int = 0, size: int | None = None) -> np.ndarray:
    """Return one digit, or a row of digits of that `size`, alone and with strokes of MNIST's width, in [0, 1]."""
    around, near = _with_faint_strokes(part, strength, size or part.size)
    inked = np.where(near, around, 0)
    if reach and ndimage.label(part.mask, structure=np.ones((3, 3)))[1] > 1:
        inked = ndimage.grey_closing(inked, size=2 * reach + 1)
    size = size or max(inked.shape)
    like_mnist = _like_mnist_s_pen(inked, size)
    return _smooth(like_mnist, size * max(like_mnist.shape) / max(inked.shape))


def _with_faint_strokes(part: Part, strength: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a digit's strength and its pixels: mask, soft edges, and what goes on where the pen was pressed less."""
    edge, reach = max(2, size // 20), size // 6
    top, left = max(0, part.top - reach), max(0, part.left - reach)
    around = strength[top : part.bottom + reach, left : part.right + reach]
    mask = np.zeros(around.shape, bool)
    mask[part.top - top : part.bottom - top, part.left - left : part.right - left] = part.mask
    near = ndimage.binary_dilation(mask, iterations=edge)
    others = ndimage.binary_dilation((around > INKED) & ~near, iterations=edge)
    whole = ndimage.binary_propagation(near, structure=EIGHT, mask=near | ((around > FAINTEST) & ~others))
    (box,) = ndimage.find_objects((mask | whole & ~near).astype(int))
    return around[box], whole[box]


def first_steps(picture: Image.Image) -> tuple[Tensor, Tensor, Tensor]:
    """Return the steps of a picture in which no digit can be read, as far as they go.

    Shapes: grey, paper and ink (H, W) uint8, as in `DigitSteps`.
    """
    grey = working_copy(picture.convert("L"))
    either = [find_ink(side) for side in (grey, 255 - grey)]
    found = max(either, key=lambda ink: float(np.quantile((ink.paper - ink.grey) / np.maximum(ink.paper, 8), 0.99)))
    steps = (found.grey, found.paper, found.strength * 255)
    return tuple(torch.from_numpy(step.round().astype(np.uint8)) for step in steps)


def _why_nothing(grey: np.ndarray, reach: int) -> str:
    found = [find_ink(side) for side in (grey, 255 - grey)]
    try:
        for ink in found:
            find_digits(ink.mask, reach)
    except TooManyMarksError as error:
        return f"There are {error} separate marks in this picture. Cut out the digits you mean."
    if full := _full_of_ink(grey):
        return full
    marks = [box for ink in found for box in ndimage.find_objects(ndimage.label(ink.mask)[0])]
    if marks:
        largest = max(max(side.stop - side.start for side in box) for box in marks)
        return FAINT if largest >= LEAST_SIZE * min(grey.shape) else ONLY_SPECKS
    return FAINT if max(map(_darkest, found)) > PERHAPS_INK else NO_INK


def _darkest(ink: Ink) -> float:
    """Return how much darker than the paper the darkest marks are, as a share of its brightness."""
    return float(np.quantile((ink.paper - ink.grey) / np.maximum(ink.paper, 8), 0.995))


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


def _smooth(cropped: np.ndarray, size: float) -> np.ndarray:
    """Round off what enlarged pixels, or a pen's tremor, left on the strokes of digits of that size."""
    smooth = ndimage.gaussian_filter(cropped, SMOOTHING * size)
    return smooth / max(smooth.max(), 1e-6)


def _like_mnist_s_pen(cropped: np.ndarray, size: float) -> np.ndarray:
    """Widen strokes that a fine pen left thinner, and thin those that a marker left thicker, than MNIST's pens did.

    `size` is the longer side of a digit; where pens are very thick, what comes back has half its pixels.
    """
    depth = ndimage.distance_transform_edt(np.pad(cropped > 0.5, 1))
    ridge = depth[(depth == ndimage.maximum_filter(depth, size=3)) & (depth > 0)]
    width = 2 * float(np.median(ridge)) if ridge.size else 1.0
    thinnest, thickest = (pixels * size / 20 for pixels in PEN)
    if thinnest - 1 <= width <= thickest + 1:
        return cropped
    change = ndimage.grey_dilation if width < thinnest else ndimage.grey_erosion
    radius = round(abs(np.clip(width, thinnest, thickest) - width) / 2)
    if radius > LARGEST_RADIUS:
        return _like_mnist_s_pen(ndimage.zoom(cropped, 0.5, order=1), size / 2)
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
