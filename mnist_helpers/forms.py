"""What `handwriting` learns from beside MNIST: other people's forms of the digits, and pairs of digits that touch.

MNIST was written by Americans, and hardly has these forms: a one with a flag, with or without a foot; a seven with a
bar; a closed or an open four of straight strokes; an angular three and five; a nine on a straight stem or with a hook;
an open nought. They are drawn by rule. Two of MNIST's digits side by side are labelled with one of the two, so that the
network learns to be sure of neither.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from mnist_helpers.data import LabelledImages

DRAWN, PAIRS = 0.1, 0.04  # so many digits drawn by rule, and so many pairs, for each training image
FINE = 4  # times as many pixels are drawn as are kept, both ways
PEN = (1.9, 3.8)  # pixels of 28, as wide as MNIST's strokes
INKED = 60  # of 255: what counts as a stroke where two digits meet
Strokes = list[list[tuple[float, float]]]  # points (right, down) in a box of 1 × 1


def _one(r: list[float]) -> Strokes:
    top = 0.45 + 0.3 * r[0]
    flag = (top - 0.15 - 0.4 * r[1], 0.1 + 0.35 * r[2])
    foot = [[(top - 0.35, 1.0), (top + 0.35, 1.0)]] if r[3] < 0.4 else []
    return [[flag, (top, 0.0), (top - 0.1 + 0.1 * r[4], 1.0)], *foot]


def _seven(r: list[float]) -> Strokes:
    end, middle = 0.3 + 0.3 * r[0], 0.42 + 0.15 * r[1]
    serif = [(0.08, 0.15)] if r[2] < 0.3 else []
    slope = 0.1 * (r[4] - 0.5)
    bar = [[(0.3 + 0.1 * r[3], middle - slope), (0.9, middle + slope)]] if r[3] < 0.75 else []
    return [[*serif, (0.08, 0.0), (0.92, 0.02), (0.85 - 0.2 * r[2], 0.25), (end, 1.0)], *bar]


def _four(r: list[float]) -> Strokes:
    level, stem = 0.55 + 0.15 * r[0], 0.6 + 0.2 * r[1]
    if r[2] < 0.35:  # closed
        return [[(stem, 0.0), (0.05, level), (1.0, level)], [(stem, 0.0), (stem, 1.0)]]
    if r[2] < 0.65:  # like lightning: one stroke slants to the bar, and a short one crosses it
        corner, end = (0.05, level + 0.05), (1.0, level - 0.1 * r[3])
        top = (0.45 + 0.3 * r[3], 0.0)
        return [[top, corner, end], [(stem + 0.1, level - 0.15 - 0.25 * r[4]), (stem - 0.1, 1.0)]]
    return [[(0.15 + 0.2 * r[3], 0.0), (0.05, level), (1.0, level)], [(stem, 0.2 * r[4]), (stem, 1.0)]]


def _five(r: list[float]) -> Strokes:
    corner = 0.4 + 0.1 * r[0]
    belly = [(0.65, corner - 0.03), (0.9, 0.6), (0.85, 0.88), (0.5, 1.0), (0.08, 0.92)]
    return [[(0.85 + 0.1 * r[1], 0.0), (0.15, 0.0), (0.12, corner)], [(0.12, corner + 0.03 * r[2]), *belly]]


def _three(r: list[float]) -> Strokes:
    waist = (0.4 + 0.15 * r[0], 0.38 + 0.08 * r[1])
    return [[(0.1, 0.02), (0.9, 0.0), waist, (0.75, 0.48), (0.92, 0.7), (0.75, 0.95), (0.4, 1.0), (0.05, 0.9)]]


def _nine(r: list[float]) -> Strokes:
    if r[1] < 0.5:  # on a straight stem
        return [_arc(0.48, 0.27, 0.36, 0.27, -10, 350), [(0.84, 0.1), (0.82 - 0.25 * r[0], 1.0)]]
    ring = _arc(0.48, 0.25, 0.36, 0.25, -40 + 30 * r[2], 330)
    return [ring, [(0.8, 0.05), (0.86, 0.4), (0.84, 0.75), (0.65, 0.97), (0.35, 1.0), (0.05, 0.85 + 0.1 * r[3])]]


def _nought(r: list[float]) -> Strokes:
    start, gap = -90 + 60 * (r[0] - 0.5), 20 + 25 * r[1]
    return [_arc(0.5, 0.5, 0.42, 0.5, start + gap, start + 360)]


def _arc(right: float, down: float, wide: float, high: float, start: float, end: float) -> list[tuple[float, float]]:
    angles = [math.radians(start + (end - start) * step / 16) for step in range(17)]
    return [(right + wide * math.cos(angle), down + high * math.sin(angle)) for angle in angles]


FORMS = {1: _one, 7: _seven, 4: _four, 9: _nine, 5: _five, 3: _three, 0: _nought}
OFTEN = [0.34, 0.18, 0.14, 0.12, 0.08, 0.07, 0.07]  # in the order of `FORMS`


def drawn_digits(count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Draw digits in the forms of this module, each with its own proportions, tremor and pen.

    Shapes: images (N, 1, 28, 28) uint8, in 20×20 pixels with the centre of mass in the middle; labels (N,) int64.
    """
    which = torch.multinomial(torch.tensor(OFTEN), count, replacement=True, generator=generator).tolist()
    kinds, draws = list(FORMS), torch.rand(count, 8, generator=generator).tolist()
    images = [_draw(FORMS[kinds[kind]](r), r, generator) for kind, r in zip(which, draws, strict=True)]
    return torch.stack(images), torch.tensor([kinds[kind] for kind in which])


def _draw(strokes: Strokes, r: list[float], generator: Generator) -> Tensor:
    """Draw strokes into an image of MNIST's form; (1, 28, 28) uint8."""
    starts = torch.tensor([point for stroke in strokes for point in stroke[:-1]])
    ends = torch.tensor([point for stroke in strokes for point in stroke[1:]])
    starts, ends = (points + 0.02 * torch.randn(points.shape, generator=generator) for points in (starts, ends))
    points = torch.cat([starts, ends])
    low, size = points.amin(dim=0), (points.amax(dim=0) - points.amin(dim=0)).clamp(min=1e-3)
    wide = min(1.0, float(size[0]) * (0.45 + 0.5 * r[5]))  # of the height, which is 1
    pen = PEN[0] + (PEN[1] - PEN[0]) * r[6]
    room = torch.tensor([wide, 1.0]) * (20 - pen)
    starts, ends = ((at - low) / size * room + 14 - room / 2 for at in (starts, ends))
    axis = (torch.arange(28 * FINE) + 0.5) / FINE
    pixels = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)[:, :, None]
    along = ends - starts
    place = ((pixels - starts) * along).sum(-1) / along.square().sum(-1).clamp(min=1e-6)
    distance = (pixels - starts - place.clamp(0, 1)[..., None] * along).norm(dim=-1).amin(dim=-1)
    image = F.avg_pool2d((pen / 2 - distance + 0.5).clamp(0, 1)[None, None], FINE)[0, 0]
    return _centred(image).mul(255).round().to(torch.uint8)[None]


def touching_pairs(labelled: LabelledImages, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Put two digits so near to each other that they touch; label each pair with one of the two, equal ones with any.

    Shapes: images (N, 1, 28, 28) uint8, in 20×20 pixels with the centre of mass in the middle; labels (N,) int64.
    """
    which = torch.randint(len(labelled), (2, count), generator=generator).to(labelled.labels.device)
    any_digit = torch.randint(10, (count,), generator=generator).to(which.device)
    images = [_side_by_side(one, other) for one, other in labelled.images[which].transpose(0, 1)]
    first, second = labelled.labels[which]
    either = torch.where(any_digit % 2 == 0, first, second)
    return torch.stack(images), torch.where(first == second, any_digit, either)


def _side_by_side(one: Tensor, other: Tensor) -> Tensor:
    """Return two digits, (1, 28, 28) uint8 each, as one image in MNIST's form, the second moved up to the first."""
    left, right = (digit[0, :, _inked(digit[0].amax(dim=0))].float() for digit in (one, other))
    over = next(
        (
            over
            for over in range(1, min(left.shape[1], right.shape[1]))
            if torch.minimum(left[:, -over:], right[:, :over]).max() > INKED
        ),
        0,
    )
    width = left.shape[1] + right.shape[1] - over
    both = torch.maximum(F.pad(left, (0, width - left.shape[1])), F.pad(right, (width - right.shape[1], 0)))
    both = both[_inked(both.amax(dim=1))]
    scale = 20 / max(both.shape)
    size = [max(1, round(side * scale)) for side in both.shape]
    small = F.interpolate(both[None, None], size, mode="bilinear", antialias=True)[0, 0]
    high, wide = (28 - side for side in size)
    image = F.pad(small, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
    return _centred(image).round().to(torch.uint8)[None]


def _inked(darkest: Tensor) -> Tensor:
    return darkest >= min(INKED, float(darkest.max()))


def _centred(image: Tensor) -> Tensor:
    """Move the centre of mass of an image, (28, 28), to its middle, by whole pixels."""
    places = (torch.arange(28, device=image.device) + 0.5).to(image)
    middle = places @ torch.stack([image.sum(dim=1), image.sum(dim=0)], dim=1) / image.sum().clamp(min=1e-6)
    return image.roll((14 - middle).round().int().tolist(), (0, 1))


def with_forms(labelled: LabelledImages, seed: int) -> LabelledImages:
    """Return labelled digits with drawn ones and pairs beside them; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    drawn = drawn_digits(round(DRAWN * len(labelled)), generator)
    pairs = touching_pairs(labelled, round(PAIRS * len(labelled)), generator)
    kinds = zip((labelled.images, labelled.labels), drawn, pairs, strict=True)
    images, labels = (torch.cat([part.to(labelled.images.device) for part in kind]) for kind in kinds)
    return LabelledImages(images, labels, labelled.classes, labelled.dataset)
