"""The pipeline that most tutorials have: what ours is measured against. Blur, Otsu, one box, MNIST's form."""

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

LONGER_SIDE = 400


def plain_digit(picture: Image.Image) -> Tensor:
    """Return the digit of a picture in MNIST's form, (1, 28, 28) uint8, whatever is in the picture.

    Otsu's threshold (1979) splits the blurred picture in two; what is rarer at its border is ink; its largest part and
    what lies near it are boxed, fitted into 20×20 and centred by their mass.
    """
    copy = picture.convert("L")
    copy.thumbnail((LONGER_SIDE, LONGER_SIDE))
    grey = ndimage.gaussian_filter(np.asarray(copy, dtype=np.float32), 1.5)
    ink = grey <= _otsu(grey)
    border = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    ink = ~ink if border.mean() > 0.5 else ink
    labels, count = ndimage.label(ink, structure=np.ones((3, 3)))
    if not count:
        return torch.zeros(1, 28, 28, dtype=torch.uint8)
    areas = np.bincount(labels.ravel())[1:]
    kept = np.isin(labels, 1 + np.nonzero(areas >= 0.1 * areas.max())[0])
    rows, columns = np.nonzero(kept.any(axis=1))[0], np.nonzero(kept.any(axis=0))[0]
    cut = (kept[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] * 255).astype(np.uint8)
    factor = 20 / max(cut.shape)
    small = Image.fromarray(cut).resize(
        [max(1, round(side * factor)) for side in cut.shape[::-1]], Image.Resampling.BOX
    )
    canvas = np.zeros((28, 28), np.float32)
    top, left = (28 - small.height) // 2, (28 - small.width) // 2
    canvas[top : top + small.height, left : left + small.width] = np.asarray(small)
    row, column = ndimage.center_of_mass(canvas)
    return torch.from_numpy(ndimage.shift(canvas, (13.5 - row, 13.5 - column), order=1).clip(0, 255).astype(np.uint8))[
        None
    ]


def _otsu(grey: np.ndarray) -> float:
    counts, edges = np.histogram(grey, bins=256, range=(0, 256))
    share, mean = counts.cumsum() / counts.sum(), (counts * edges[:-1]).cumsum() / counts.sum()
    between = (mean[-1] * share - mean) ** 2 / np.maximum(share * (1 - share), 1e-9)
    return float(edges[between.argmax() + 1])
