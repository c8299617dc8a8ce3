"""Fresh input for the exercises: real digits, and small networks, drawn anew for each round."""

import contextlib
import functools
import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from mnist_helpers.data import LabelledImages, load_part, to_float


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw on the CPU from this seed, and go on afterwards as if it had not.

    `torch.manual_seed` also notes the seed for every kind of accelerator, with the stack of the call: two fifths of the
    time of a check.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@functools.cache
def part(name: str) -> LabelledImages:
    """Return a part of MNIST, unpacked once; nobody is to change it."""
    return load_part("mnist", name)


def digits(random: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
    """Draw real digits. Shapes: images (count, 1, 28, 28) uint8, labels (count,) int64."""
    chosen = torch.from_numpy(random.choice(len(part("validation")), count, replace=False))
    drawn = part("validation").select(chosen)
    return drawn.images.clone(), drawn.labels.clone()


def float_digits(random: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
    """Draw real digits as networks take them. Shapes: images (count, 1, 28, 28) float32 in [0, 1], labels (count,)."""
    images, labels = digits(random, count)
    return to_float(images), labels


def own_choice(name: str, count: int, of: int) -> Tensor:
    """Choose places by a person's name: the same ones each time, and other ones for another name.

    Shapes: → (count,) int64, in 0 … of - 1, all different. Raises: ValueError if count is larger than `of`.
    """
    digest = hashlib.sha256(" ".join(name.casefold().split()).encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest))
    return torch.from_numpy(random.choice(of, count, replace=False))


def seed(random: np.random.Generator) -> int:
    """Draw a seed for torch."""
    return int(random.integers(2**31))


def normal(random: np.random.Generator, *shape: int) -> Tensor:
    """Draw normal numbers of a shape, as float32."""
    return torch.from_numpy(random.normal(size=shape).astype(np.float32))


def network(random: np.random.Generator, dropout: float = 0.0, filters: tuple[int, int] = (4, 6)) -> nn.Sequential:
    """Build a small convolutional network with named layers and random weights, for images (B, 1, 28, 28)."""
    first, second = filters
    with seeded(seed(random)):
        layers = {
            "conv1": nn.Conv2d(1, first, 5, stride=3),  # (B, first, 8, 8)
            "elu1": nn.ELU(),
            "conv2": nn.Conv2d(first, second, 3),  # (B, second, 6, 6)
            "elu2": nn.ELU(),
            "pool": nn.MaxPool2d(2),  # (B, second, 3, 3)
            "flatten": nn.Flatten(),
            "dropout": nn.Dropout(dropout),
            "dense": nn.Linear(9 * second, 10),
        }
        model = nn.Sequential()
        for name, layer in layers.items():
            model.add_module(name, layer)
        return model
