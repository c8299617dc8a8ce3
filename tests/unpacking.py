"""The weights of a glass box's network at all moments of its training, read by another way than the page's."""

import zlib

import numpy as np
from torch import nn

from mnist_helpers.exporting import for_answers
from mnist_helpers.widgets.moments import LEVELS, Moments


def unpacked(moments: Moments, model: nn.Sequential) -> np.ndarray:
    """Return the weights at each moment as rows, by another way than the page's: sums of the changes."""
    changes = np.frombuffer(zlib.decompress(moments.packed), np.uint8).astype(int)
    parts, count, at = [], len(moments.steps), 0
    for tensor, scale in zip(for_answers(model).parameters(), moments.scales, strict=True):
        size = tensor.numel() * count
        levels = changes[at : at + size].reshape(count, -1).cumsum(axis=0) % 256
        parts.append(np.where(levels > LEVELS, levels - 256, levels) * scale)
        at += size
    assert at == len(changes)
    return np.concatenate(parts, axis=1)
