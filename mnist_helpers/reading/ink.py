"""A grey picture → the ink in it: how dark the paper would be without it, and how strongly each pixel is inked.

Ink is what is darker than the paper around it and no wider than a stroke. How dark it has to be is decided for each
mark by itself, so that pencil beside the edge of a table is seen, and not the table.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

SMALLEST, LARGEST = 320, 400  # pixels of the longer side that a picture is looked at with
WIDEST_STROKE = 0.25  # of the shorter side of the picture
WIDEST_OF_A_ONE = 0.17  # of its height: a one that was cut out closely is nearly as wide as its picture
LEAST_CONTRAST = 0.1  # of the paper's brightness
LEAST_CONTRAST_TO_GRAIN = 6.0
WEAKEST = 0.35  # of the strongest mark's contrast, for another mark of the same hand
LEAST_FIELD = 0.1  # of the picture
EIGHT = np.ones((3, 3), bool)  # neighbours of a pixel, corners included
NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)  # answers to neither brightness nor edges
NONE = 2.0  # a threshold that nothing reaches
NOISY, VERY_NOISY = 8, 16  # grey levels


@dataclass(frozen=True)
class Ink:
    """What was found in a picture of dark ink on bright paper.

    Shapes: grey (H, W) float32 from 0 to 255; paper the same, as it would be without ink; strength (H, W) float32, from
    0 for paper to 1; mask (H, W) bool, the pixels that are more ink than paper.
    """

    grey: np.ndarray
    paper: np.ndarray
    strength: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Field:
    """A region of its own in a picture, such as a sheet on a table or a form's cell: its place, and which pixels."""

    place: tuple[slice, slice]
    mask: np.ndarray


def working_copy(picture: Image.Image) -> np.ndarray:
    """Return a picture's brightness at a size and a smoothness to look for ink in; (H, W) float32."""
    longer = max(picture.size)
    factor = min(max(SMALLEST / longer, 1), LARGEST / longer) if longer else 1
    if factor != 1:
        size = [max(1, round(side * factor)) for side in picture.size]
        picture = picture.resize(size, Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX)
    grey = np.asarray(picture, dtype=np.float32)
    # After Immerkær (1996), with a median: edges do not count.
    grain = float(np.median(np.abs(ndimage.convolve(grey, NOISE)))) / 6 * 1.48
    wider = 1 + 0.5 * (grain > NOISY) + 0.5 * (grain > VERY_NOISY)
    return ndimage.gaussian_filter(grey, wider * max(grey.shape) / 500)


def find_ink(grey: np.ndarray) -> Ink:
    """Find dark ink on bright paper; bright ink is found in the inverted picture.

    Shapes: grey (H, W) float32.
    """
    height, width = grey.shape
    size = max(3, round(min(height, width) * WIDEST_STROKE), round(height * WIDEST_OF_A_ONE))
    paper = np.maximum(ndimage.grey_closing(grey, size=(size, size), mode="nearest"), grey)
    darkness = (paper - grey) / np.maximum(paper, 8)
    # What fills strokes takes the brightest of a paper's texture for the paper: back to its middle.
    usual, grain, least = _of_the_paper(darkness, _split(darkness))
    usual, grain, least = _of_the_paper(darkness, usual + least)
    paper, darkness = paper * (1 - usual), (darkness - usual).clip(0, 1)
    threshold = _thresholds(darkness, least, max(LEAST_CONTRAST, LEAST_CONTRAST_TO_GRAIN * grain))
    mask = darkness > threshold
    strength = np.where(threshold < NONE, darkness / threshold, 0)
    return Ink(grey, paper, ((strength - 0.25) / 1.75).clip(0, 1), mask)


def _of_the_paper(darkness: np.ndarray, below: np.ndarray | float) -> tuple[np.ndarray, float, float]:
    """Return what the darkness of the paper itself is, place by place, its grain, and what is clearly more."""
    off = darkness <= below
    step = max(1, max(darkness.shape) // 80)  # it changes slowly: a coarse copy will do
    means = [Image.fromarray(part.astype(np.float32)).reduce(step) for part in (darkness * off, off)]
    inked, share = (ndimage.gaussian_filter(np.asarray(part), 5, mode="nearest") for part in means)
    coarse = Image.fromarray(inked / np.maximum(share, np.float32(1e-3)))
    height, width = darkness.shape
    whole = (0, 0, width / step, height / step)  # the last block may go beyond the picture
    usual = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR, whole))
    rest = (darkness - usual)[off][::4]  # every fourth pixel: the median asks for no more
    grain = 1.48 * float(np.median(np.abs(rest - np.median(rest)))) if rest.size else 1.0
    return usual, grain, max(0.03, 3 * grain)


def _split(values: np.ndarray) -> float:
    """Return what splits values in [0, 1] best into two groups (Otsu, 1979)."""
    counts = np.bincount((values.ravel() * 255).astype(np.uint8), minlength=256)
    share = counts.cumsum() / counts.sum()
    mean = (counts * np.arange(256)).cumsum() / counts.sum()
    return float(((mean[-1] * share - mean) ** 2 / np.maximum(share * (1 - share), 1e-9)).argmax()) / 255


def _thresholds(darkness: np.ndarray, least: float, contrast: float) -> np.ndarray:
    """Return for each pixel how dark ink is there: halfway up to its own mark, where the mark is plain enough."""
    labels, count = ndimage.label(darkness > least, structure=EIGHT)
    areas, boxes = np.bincount(labels.ravel(), minlength=count + 1), ndimage.find_objects(labels)
    strength = np.zeros(count + 1, np.float32)
    inner = []
    for number, box in enumerate(boxes, start=1):
        if areas[number] >= 9:
            mark = labels[box] == number
            values = darkness[box][mark]
            place = int(0.9 * len(values))  # where nine of ten are less dark
            strength[number] = np.partition(values, place)[place]
            if strength[number] >= contrast and not lies_along_the_edge(mark, box, darkness.shape):
                inner.append(number)
    if inner:
        large = 0.05 * areas[inner].max()
        contrast = max(contrast, WEAKEST * max(strength[n] for n in inner if areas[n] >= large))
    half = np.where(strength >= contrast, strength / 2, NONE).astype(np.float32)
    return half[labels]


def lies_along_the_edge(mark: np.ndarray, box: tuple[slice, slice], shape: tuple[int, int]) -> bool:
    """Decide whether a mark follows the picture's edge, as a shadow or the end of the sheet does."""
    rows, columns = box
    at = {"top": rows.start == 0, "bottom": rows.stop == shape[0], "left": columns.start == 0}
    at["right"] = columns.stop == shape[1]
    sides = {"top": mark[0], "bottom": mark[-1], "left": mark[:, 0], "right": mark[:, -1]}
    lengths = {"top": shape[1], "bottom": shape[1], "left": shape[0], "right": shape[0]}
    if any(at[side] and sides[side].sum() > 0.3 * lengths[side] for side in at):
        return True
    corners = [("top", "left", 0, 0), ("top", "right", 0, -1), ("bottom", "left", -1, 0), ("bottom", "right", -1, -1)]
    return any(at[one] and at[other] and mark[row, column] for one, other, row, column in corners)


def find_fields(grey: np.ndarray, mask: np.ndarray) -> list[Field]:
    """Find regions of one brightness, and what lines enclose: convex and large, but not all of the picture.

    Shapes: grey (H, W) float32; mask (H, W) bool, its ink. The smallest field comes first.
    """
    smooth, found = ndimage.gaussian_filter(grey, max(grey.shape) / 200), []
    bright = smooth > 255 * _split(smooth / 255)
    for regions in (bright, ~bright, ~mask):
        labels, count = ndimage.label(regions)
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        for number, place in enumerate(ndimage.find_objects(labels), start=1):
            if areas[number] >= 0.4 * LEAST_FIELD * grey.size:
                full = ndimage.binary_fill_holes(labels[place] == number)
                if LEAST_FIELD <= full.sum() / grey.size <= 0.95 and full.sum() >= 0.9 * hull_area(full):
                    found.append(Field(place, full))
    return sorted(found, key=lambda field: field.mask.sum())


def hull_area(mask: np.ndarray) -> float:
    """Return the area of the convex hull of a mask."""
    corners = hull_corners(mask)
    x, y = corners.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def hull_corners(mask: np.ndarray) -> np.ndarray:
    """Return the corners of the convex hull of a mask, its pixels as squares; (N, 2) float, columns and rows."""
    rows = np.nonzero(mask.any(axis=1))[0]
    left, right = mask.argmax(axis=1)[rows], mask.shape[1] - mask[:, ::-1].argmax(axis=1)[rows]
    points = np.concatenate([np.stack([side, edge], 1) for side in (left, right) for edge in (rows, rows + 1)])
    try:
        return points[ConvexHull(points).vertices].astype(float)
    except QhullError:
        return points.astype(float)
