"""A mask of ink → the digits in it, in rows: lines, frames and dirt taken away, loose strokes put to their digits."""

import functools
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from mnist_helpers.reading.ink import EIGHT, hull_area, hull_corners, lies_along_the_edge

MOST_PARTS = 100
LEAST_SIZE = 0.08  # of the picture's shorter side
LEAST_OF_THE_TALLEST = 0.4
WIDEST = 0.6  # of a digit's longer side: what is thicker is a blot
TOO_WIDE, USUAL_WIDTH = 1.6, 0.7  # of a digit's height
TOO_TALL = 2.3  # of a digit's width, unless it is thin
LEAST_TO_FILL = 0.6  # of the picture's height or width
SOLID = 0.75  # of a part's convex hull
LINE_WIDTH = 0.035  # of the picture's longer side, at most
STRAIGHT = 0.15  # how much a line may slope
CLEAN_CUT = 0.95  # of a hole lies on one side of a cut, at least
LEAST_HOLE = 0.03  # of the box of a part that is cut; between two digits that touch twice there is a smaller one


@dataclass(frozen=True)
class Part:
    """Pixels that belong together, and their place in the picture."""

    mask: np.ndarray
    top: int
    left: int

    @property
    def height(self) -> int:
        """Return its height in pixels."""
        return self.mask.shape[0]

    @property
    def width(self) -> int:
        """Return its width in pixels."""
        return self.mask.shape[1]

    @property
    def bottom(self) -> int:
        """Return the first row below it."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """Return the first column beside it."""
        return self.left + self.width

    @property
    def size(self) -> int:
        """Return its longer side in pixels."""
        return max(self.mask.shape)

    @property
    def place(self) -> tuple[slice, slice]:
        """Return its rows and columns in the picture."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @functools.cached_property
    def thickness(self) -> float:
        """Return the width of its thickest stroke, as a share of its longer side."""
        return 2 * float(ndimage.distance_transform_edt(np.pad(self.mask, 1)).max()) / self.size

    def joined(self, other: "Part") -> "Part":
        """Return both as one part."""
        top, left = min(self.top, other.top), min(self.left, other.left)
        mask = np.zeros((max(self.bottom, other.bottom) - top, max(self.right, other.right) - left), bool)
        for part in (self, other):
            mask[part.top - top : part.bottom - top, part.left - left : part.right - left] |= part.mask
        return Part(mask, top, left)


class TooManyMarksError(ValueError):
    """A picture full of marks, such as a page of text; the number is its argument."""


def find_digits(mask: np.ndarray, reach: int = 0) -> list[Part]:
    """Return the digits of a mask (H, W) bool; pixels hang together, too, if twice `reach` lies between them.

    Raises: TooManyMarksError.
    """
    parts = _parts(mask & ~find_lines(mask), reach)
    inner = [part for part in parts if not comes_from_the_edge(part, mask.shape)]
    shape = mask.shape
    parts = inner or [part for part in parts if not (_fills_a_side(part, shape) or _is_a_strip(part, shape))]
    digits = [digit for digit in _grouped(parts) if digit.thickness <= WIDEST and not _is_frame(digit)]
    return [piece for digit in digits for piece in _apart(digit)]


def in_rows(digits: list[Part]) -> list[list[Part]]:
    """Put digits into rows, from top to bottom, each from left to right; a row may slope."""
    rows: list[list[Part]] = []
    for digit in sorted(digits, key=lambda digit: digit.top + digit.bottom):
        for row in rows:
            beside = min(row, key=lambda other: max(other.left - digit.right, digit.left - other.right, 0))
            level = min(digit.bottom, beside.bottom) - max(digit.top, beside.top)
            if level > 0.4 * min(digit.height, beside.height):
                row.append(digit)
                break
        else:
            rows.append([digit])
    return [sorted(row, key=lambda digit: digit.left + digit.right) for row in rows]


def comes_from_the_edge(part: Part, shape: tuple[int, int]) -> bool:
    """Decide whether a part belongs to what is beyond the picture: a table, a shadow, a thumb."""
    mask, (rows, columns) = part.mask, part.place
    at_edge = [
        (rows.start == 0, mask[0], part.width), (rows.stop == shape[0], mask[-1], part.width),
        (columns.start == 0, mask[:, 0], part.height), (columns.stop == shape[1], mask[:, -1], part.height),
    ]  # fmt: skip
    along = any(touches and side.sum() > 0.5 * length for touches, side, length in at_edge)
    return along or lies_along_the_edge(mask, part.place, shape)


def _is_a_strip(part: Part, shape: tuple[int, int]) -> bool:
    """Decide whether a part at the edge is a piece of a shadow: solid, as of digits only a one is, and not large."""
    large = max(part.height / shape[0], part.width / shape[1]) >= LEAST_TO_FILL
    return not large and part.mask.sum() >= SOLID * hull_area(part.mask)


def _fills_a_side(part: Part, shape: tuple[int, int]) -> bool:
    """Decide whether a part runs along a whole side of the picture, as light that falls off does."""
    sides = [
        (part.top == 0, part.mask[:3], shape[1]),
        (part.bottom == shape[0], part.mask[-3:], shape[1]),
        (part.left == 0, part.mask[:, :3].T, shape[0]),
        (part.right == shape[1], part.mask[:, -3:].T, shape[0]),
    ]
    return any(touches and strip.any(axis=0).sum() > 0.8 * length for touches, strip, length in sides)


def _parts(mask: np.ndarray, reach: int) -> list[Part]:
    near = ndimage.maximum_filter(mask, size=2 * reach + 1) if reach else mask
    labels = ndimage.label(near, structure=EIGHT)[0] * mask
    areas = np.bincount(labels.ravel())[1:]
    if not areas.size:
        return []
    large = areas >= max(9, 0.01 * areas.max())
    if large.sum() > MOST_PARTS:
        raise TooManyMarksError(int(large.sum()))
    boxes = enumerate(ndimage.find_objects(labels), start=1)
    return [Part(labels[box] == n, box[0].start, box[1].start) for n, box in boxes if box and large[n - 1]]


# Lines: ruled and squared paper, underlines, the sides of a form's cell


def find_lines(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of long, thin, straight parts that are no strokes of digits, without what crosses them."""
    level, upright = _candidates(mask), _candidates(mask.T)
    through = np.zeros_like(mask)
    for line in level:
        through |= line.band & line.goes_through
    for line in upright:
        through |= (line.band & line.goes_through).T
    pen = _pen(_without_specks(mask & ~through)) if through.any() else 0.0
    return _those_that_go(mask, level, pen) | _those_that_go(mask.T, upright, pen, stems=True).T


@dataclass(frozen=True)
class _Line:
    """A straight, thin part from left to right: its columns, its width, and all that lies along it."""

    columns: slice
    width: float
    band: np.ndarray
    goes_through: bool


def _candidates(mask: np.ndarray) -> list[_Line]:
    run, lines = max(15, mask.shape[1] // 10), []
    thin = mask & ~_runs(mask, round(max(3, LINE_WIDTH * max(mask.shape))) + 1, axis=0)
    runs = _runs(thin, run, axis=1)
    if not runs.any():
        return []
    # A line that slopes is several runs, one beside the end of the other.
    labels, seen = ndimage.label(ndimage.maximum_filter(runs, size=(3, 9)))[0] * runs, np.zeros_like(mask)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or seen[box][labels[box] == number].all():
            continue
        line = _straight(labels[box] == number, box, mask.shape)
        if line is None:
            continue
        distance, width = line
        whole = distance <= width / 2 + 1.5
        goes_through = bool((mask & whole).any(axis=0).mean() > 0.85)
        near = np.zeros(mask.shape[1], bool)
        near[max(0, box[1].start - run // 2) : box[1].stop + run // 2] = True
        lines.append(_Line(box[1], width, whole if goes_through else whole & near, goes_through))
        seen |= lines[-1].band & goes_through
    return lines


def _those_that_go(mask: np.ndarray, lines: list[_Line], pen: float, stems: bool = False) -> np.ndarray:
    """Return the pixels of those that are no strokes; what may be `stems` has to be thin and go all the way."""
    gone = np.zeros_like(mask)
    for line in lines:
        thin = line.goes_through and line.width < 0.7 * pen
        if not thin and stems:
            continue
        rest = _without_specks(mask & ~line.band)
        if thin or _goes_on_beyond(line.columns, rest):
            gone |= mask & line.band & ~_bridges(rest, line.band)
    return gone


def _runs(mask: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Return the pixels with at least so many in one go along an axis."""
    ends = ndimage.minimum_filter1d(mask.view(np.uint8), length, axis=axis, mode="constant")
    return ndimage.maximum_filter1d(ends, length, axis=axis, mode="constant", origin=-((length + 1) % 2)) > 0


def _straight(line: np.ndarray, box: tuple[slice, slice], shape: tuple[int, int]) -> tuple[np.ndarray, float] | None:
    """Return the distance of each pixel from a straight line through a part, and its width; nothing for other parts."""
    columns = np.nonzero(line.any(axis=0))[0]
    filled = line.sum(axis=0)[columns]
    width = float(np.median(filled))
    middle = (line * np.arange(len(line))[:, None]).sum(axis=0)[columns] / filled
    slope, start = np.polyfit(columns, middle, 1)
    off = np.abs(slope * columns + start - middle).mean()
    if width > max(3, LINE_WIDTH * max(shape)) or abs(slope) > STRAIGHT or off > max(1.2, 0.4 * width):
        return None
    along = np.arange(shape[1]) - box[1].start
    return np.abs(np.arange(shape[0])[:, None] - box[0].start - slope * along - start), width


def _pen(mask: np.ndarray) -> float:
    """Return the usual width of strokes; 0 where there are none."""
    if not mask.any():
        return 0.0
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))
    ridge = depth[(depth == ndimage.maximum_filter(depth, size=3)) & (depth > 1)]
    return 2 * float(np.quantile(ridge, 0.8)) if ridge.size else 1.0


def _without_specks(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask, structure=EIGHT)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    areas[0] = 0
    return (areas >= max(9, 0.03 * areas.max()))[labels]


def _goes_on_beyond(span: slice, rest: np.ndarray) -> bool:
    """Decide whether a line is none of a digit's strokes: it is longer than those, or goes on from side to side."""
    if not rest.any() or span.stop - span.start < 0.3 * rest.shape[1]:
        return False
    rows, columns = np.nonzero(rest.any(axis=1))[0], np.nonzero(rest.any(axis=0))[0]
    size, length, width = rows[-1] - rows[0] + 1, span.stop - span.start, rest.shape[1]
    left, right = columns[0] - span.start, span.stop - 1 - columns[-1]
    at_left, at_right = span.start <= 2, span.stop >= width - 2
    if (at_left and at_right) or length > 1.6 * size or ((at_left or at_right) and length > 0.75 * width):
        return True
    out_left, out_right = at_left or left > 0.1 * size, at_right or right > 0.1 * size
    return length > 1.1 * size and ((out_left and out_right) or max(left, right) > 0.5 * size)


def _bridges(rest: np.ndarray, band: np.ndarray) -> np.ndarray:
    """Return where strokes cross a line: what has ink above and below."""
    gap = int(band.sum(axis=0).max()) + 2
    padded = np.pad(rest, ((gap, gap), (0, 0)))
    return ndimage.binary_closing(padded, structure=np.ones((gap + 1, 1)))[gap:-gap] & band


# Digits


def _grouped(parts: list[Part]) -> list[Part]:
    """Put parts of one digit together, and drop what is far smaller than the digits."""
    if not parts:
        return []
    tallest = max(max(part.height for part in parts), max(part.width for part in parts) // 2)
    waiting, digits = sorted(parts, key=lambda part: part.height), []
    while waiting:
        part = waiting.pop(0)
        near = sorted(waiting, key=lambda other: _gap(part, other))
        home = next((other for other in near if _belong(part, other, tallest)), None)
        if home is None:
            digits.append(part)
        else:
            waiting = [other for other in waiting if other is not home] + [part.joined(home)]
            waiting.sort(key=lambda part: part.height)
    tallest = max(max(part.height, part.width // 2) for part in digits)
    return [part for part in digits if max(part.height, part.width // 2) > LEAST_OF_THE_TALLEST * tallest]


def _apart(part: Part) -> list[Part]:
    """Cut digits that touch apart, if a part is too wide for one."""
    if part.width < TOO_WIDE * part.height:
        return [part]
    count = max(2, round(part.width / (USUAL_WIDTH * part.height)))
    pieces = _cut(part, 0.6 / count, 1 - 0.6 / count)
    return [one for piece in pieces for one in _apart(piece)] if pieces else [part]


def cuts(part: Part) -> list[tuple[Part, Part]]:
    """Return the ways to cut a part into two that could be digits: at its left, in the middle, at its right."""
    found = (_cut(part, place - 0.12, place + 0.12) for place in (0.35, 0.5, 0.65))
    return [pieces for pieces in found if pieces]


def cut_between(part: Part, places: list[float]) -> list[Part]:
    """Cut a part between digits whose middles are at such columns of it; straight on where no way leads around ink."""
    pieces, rest = [], part
    for one, other in pairwise(places):
        from_left, to_right = ((part.left - rest.left + place) / rest.width for place in (one, other))
        apart = _cut(rest, from_left + 0.2 * (to_right - from_left), to_right - 0.2 * (to_right - from_left))
        if apart is None:
            beyond = np.arange(rest.width) >= (from_left + to_right) / 2 * rest.width
            apart = tuple(_trimmed(rest, rest.mask & side) for side in (~beyond, beyond))
        pieces.append(apart[0])
        rest = apart[1]
        if 0 in rest.mask.shape:
            break
    return [*pieces, rest]


def touch(one: Part, other: Part) -> bool:
    """Say whether ink of two parts hangs together."""
    alone = sum(ndimage.label(part.mask, structure=EIGHT)[1] for part in (one, other))
    return ndimage.label(one.joined(other).mask, structure=EIGHT)[1] < alone


def _cut(part: Part, left: float, right: float) -> tuple[Part, Part] | None:
    """Cut a part in two from top to bottom, between two shares of its width, where the way crosses the least.

    It crosses ink, but no hole of a digit, such as that of a zero.
    """
    first, last = max(0, round(left * part.width)), min(part.width, round(right * part.width))
    if last - first < 2:
        return None
    holes = _large_holes(part.mask)
    cost = (part.mask | (holes > 0))[:, first:last] + 1e-4  # and of ways that cross as much, the shortest
    total = np.pad(cost, ((0, 0), (1, 1)), constant_values=np.inf)
    for above, below in pairwise(total):
        below[1:-1] += np.minimum(np.minimum(above[:-2], above[2:]) + 1e-4, above[1:-1])
    way = [int(total[-1].argmin())]
    for row in total[-2::-1]:
        way.append(way[-1] - 1 + int(row[way[-1] - 1 : way[-1] + 2].argmin()))
    beyond = np.arange(part.width) >= first - 1 + np.array(way[::-1])[:, None]
    for hole in np.unique(holes[holes > 0]):
        if 1 - CLEAN_CUT < beyond[holes == hole].mean() < CLEAN_CUT:
            return None
    pieces = tuple(_trimmed(part, part.mask & side) for side in (~beyond, beyond))
    return pieces if min(piece.height for piece in pieces) >= 0.5 * part.height else None


def _large_holes(mask: np.ndarray) -> np.ndarray:
    """Return the holes of a part, but for the small ones between two digits that touch twice: (H, W), 0 and numbers."""
    holes, count = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)
    large = np.flatnonzero(np.bincount(holes.ravel(), minlength=count + 1) >= LEAST_HOLE * mask.size)
    return np.where(np.isin(holes, large), holes, 0)


def _trimmed(part: Part, mask: np.ndarray) -> Part:
    mask = _without_specks(mask)
    if not mask.any():
        return Part(mask[:0, :0], part.top, part.left)
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    inner = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Part(inner, part.top + int(rows[0]), part.left + int(columns[0]))


def _gap(one: Part, other: Part) -> float:
    across = max(one.left, other.left) - min(one.right, other.right)
    down = max(one.top, other.top) - min(one.bottom, other.bottom)
    return float(np.hypot(max(across, 0), max(down, 0)))


def _belong(one: Part, other: Part, tallest: int) -> bool:
    """Decide whether the lower of two parts is a stroke of the taller one, such as the bar of a five."""
    overlap = min(one.right, other.right) - max(one.left, other.left)
    level = min(one.bottom, other.bottom) - max(one.top, other.top)
    both = max(one.bottom, other.bottom) - min(one.top, other.top)
    near, beside = _gap(one, other), overlap >= 0.3 * min(one.width, other.width)
    if _are_one_above_the_other(one, other):
        return False
    if (near <= 0.07 * both and beside) or (beside and overlap > 0.6 * one.width and level > 0.6 * one.height):
        return True  # a stroke that broke, or one inside the other
    if one.thickness > WIDEST and overlap > 0.6 * one.width and near <= 0.3 * other.size:
        return True  # a blot alone is no digit
    if both > 1.25 * tallest:
        return False  # two rows
    if one.height <= 0.4 * tallest:
        return near <= (0.25 if overlap > 0 else 0.12) * tallest
    if near <= 0.05 * tallest:
        return one.height < 0.6 * tallest or overlap > 0
    return level < 0.5 * one.height and beside and near <= 0.25 * tallest


def _are_one_above_the_other(one: Part, other: Part) -> bool:
    """Decide whether two parts are too tall together for one digit, and each is tall and wide enough to be one."""
    both = max(one.bottom, other.bottom) - min(one.top, other.top)
    width = max(one.right, other.right) - min(one.left, other.left)
    digits = all(part.height > 0.35 * both and part.width > 0.35 * part.height for part in (one, other))
    return digits and both > TOO_TALL * width


def _is_frame(part: Part) -> bool:
    """Decide whether a part is the outline of a rectangle, or a panel with something in it."""
    full = ndimage.binary_fill_holes(part.mask)
    if full.sum() - part.mask.sum() < 0.05 * full.sum() or full.sum() < 0.85 * hull_area(full):
        return False
    return is_rectangle(full)


def is_rectangle(full: np.ndarray) -> bool:
    """Decide whether a mask without holes fills the smallest rectangle around it, turned as it may be."""
    corners = hull_corners(full)
    angles = np.deg2rad(np.arange(0, 90, 3))
    across = corners @ np.stack([np.cos(angles), np.sin(angles)])
    along = corners @ np.stack([-np.sin(angles), np.cos(angles)])
    return full.sum() > 0.88 * float((np.ptp(across, axis=0) * np.ptp(along, axis=0)).min())
