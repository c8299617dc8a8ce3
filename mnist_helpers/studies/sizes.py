"""What a parameter buys: three kinds of layers, from some 300 parameters to 300,000, all trained alike."""

import statistics
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from mnist_helpers.architectures import Separable, Standardise
from mnist_helpers.models import count_parameters
from mnist_helpers.recipes import Recipe
from mnist_helpers.runtime import shipped
from mnist_helpers.studies.variants import Variant, VariantScore

RECORD = shipped("docs/sizes.csv")  # the whole study
# Of its form, but each size has a network of its own.
RECIPE = Recipe("sizes", "small", epochs=8, batch_size=128, lr=0.02, bfloat16=True)


@dataclass(frozen=True)
class Size:
    """A kind of layers with so many maps each, and the parameters that the network of them has."""

    kind: str
    width: int
    parameters: int

    @property
    def name(self) -> str:
        """Return what the record calls it."""
        return f"{self.kind}, {self.parameters} parameters"


def ordinary(channels: int, width: int) -> nn.Module:
    """Return a convolution that has a 3×3 kernel for each pair of maps."""
    return nn.Conv2d(channels, width, 3, bias=False)


def in_two_parts(channels: int, width: int) -> nn.Module:
    """Return a 3×3 kernel for each old map, then a weight for each pair of maps (see `architectures.Separable`)."""
    apart = nn.Conv2d(channels, channels, 3, groups=channels, bias=False)
    return nn.Sequential(apart, nn.Conv2d(channels, width, 1, bias=False))


KINDS: dict[str, Callable[[int, int], nn.Module]] = {
    "ordinary": ordinary,
    "in two parts": in_two_parts,
    "in two parts, one kernel": Separable,
}
# Those that come nearest to 300, 1,000, 3,000, 10,000 and 30,000 parameters; of ordinary layers also to 100,000 and
# 300,000, where the others would take hours and gain nothing.
WIDTHS = {
    "ordinary": (2, 5, 9, 16, 28, 52, 91),
    "in two parts": (4, 10, 20, 43, 79),
    "in two parts, one kernel": (5, 12, 24, 46, 83),
}


def network(kind: str, width: int) -> nn.Sequential:
    """Build a first convolution, four more of one of the `KINDS` with `width` maps each, and the mean of each last map.

    Shapes: (B, 1, 28, 28) → (B, 10), as all networks here.
    """
    first, after = ordinary(1, width), {"pool": nn.MaxPool2d(2), **_after(1, width)}
    layers = {"standardise": Standardise(), "margin": nn.ZeroPad2d(-1), "conv1": first, **after}
    for number in range(2, 6):
        layers |= {f"conv{number}": KINDS[kind](width, width), **_after(number, width)}
    layers |= {"mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "dense": nn.Linear(width, 10)}
    return nn.Sequential(OrderedDict(layers)).to(memory_format=torch.channels_last)


def _after(number: int, width: int) -> dict[str, nn.Module]:
    return {f"norm{number}": nn.BatchNorm2d(width), f"relu{number}": nn.ReLU()}


def sizes() -> list[Size]:
    """Return the networks of the study: for each kind, from few parameters to many."""
    return [
        Size(kind, width, count_parameters(network(kind, width))) for kind, widths in WIDTHS.items() for width in widths
    ]


def variants() -> list[Variant]:
    """Return a way to train for each size: the same recipe, and its network."""
    return [Variant(size.name, RECIPE, partial(_build, size)) for size in sizes()]


def _build(size: Size, _recipe: Recipe) -> nn.Sequential:
    return network(size.kind, size.width)


def curves(found: list[VariantScore]) -> dict[str, dict[int, list[float]]]:
    """Return, for each kind, the mistakes in 100 images of each training, by the number of parameters."""
    grown: dict[str, dict[int, list[float]]] = {kind: {} for kind in KINDS}
    for size in sizes():
        if runs := [one.mistakes for one in found if one.variant == size.name]:
            grown[size.kind][size.parameters] = runs
    return grown


def table(found: list[VariantScore]) -> str:
    """Lay out the record as a table: mistakes in 100 images, their mean and spread, for each size."""
    width = max(map(len, KINDS))
    lines = [f"{'':{width}} {'parameters':>10} {'runs':>5} {'mistakes in 100 images':>23}"]
    for kind, curve in curves(found).items():
        for parameters, mistakes in curve.items():
            spread = f" ± {statistics.stdev(mistakes):.2f}" if len(mistakes) > 1 else ""
            mean = f"{statistics.mean(mistakes):.2f}{spread}"
            lines.append(f"{kind:{width}} {parameters:10,} {len(mistakes):5} {mean:>23}")
    return "\n".join(lines)
