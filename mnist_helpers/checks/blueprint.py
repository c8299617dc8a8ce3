"""A network described by a list of layers: what each makes of an image, what it costs, and the network itself.

A description is words and whole numbers, so that somebody else's can be built, counted and trained without running
anything of theirs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from mnist_helpers.architectures import EightWays, Standardise
from mnist_helpers.checks.exercise import cut, words

IMAGE = (1, 28, 28)
KINDS = {  # of layers, and what the numbers behind each are
    "cut": ("pixels",),
    "conv": ("maps", "side"),
    "apart": ("maps", "side"),
    "turned": ("maps", "side"),
    "mix": ("maps",),
    "norm": (),
    "relu": (),
    "pool": ("side",),
    "mean": (),
    "flatten": (),
    "dense": ("numbers",),
}
MOST_LAYERS, LARGEST_NUMBER = 40, 256
LONGEST = 60  # characters of a layer in a message
Shape = tuple[int, ...]  # of what a layer gives for one image: (maps, height, width), or (numbers,)


class BlueprintError(ValueError):
    """A description of which no network can be made, and why."""


@dataclass(frozen=True)
class Layer:
    """A layer of a description: its kind and numbers, the shapes that go in and come out, and what it costs.

    `parameters` are the weights that are learned. `steps` is the arithmetic for one image: the multiplications of a
    convolution or a dense layer, and for any other layer one for each number that goes in.
    """

    kind: str
    numbers: Shape
    before: Shape
    after: Shape
    parameters: int
    steps: int

    def __str__(self) -> str:
        return " ".join([self.kind, *map(str, self.numbers)])


def read_blueprint(value: Any) -> list[Layer]:
    """Read a description: a list of layers, each a tuple of a kind and its numbers, such as `("conv", 8, 3)`.

    Raises: BlueprintError if it is something else, or if a layer does not fit behind the one before.
    """
    if value is None:
        raise BlueprintError("The function returns None. Does it end with `return`?")
    if not isinstance(value, list | tuple) or not value or isinstance(value[0], str):
        raise BlueprintError('A list of layers is asked for, each a tuple such as ("conv", 8, 3), or ("relu",).')
    if len(value) > MOST_LAYERS:
        raise BlueprintError(f"It has {len(value):,} layers. {MOST_LAYERS} at most can be read.")
    layers: list[Layer] = []
    for place, one in enumerate(value, start=1):
        try:
            layers.append(_read(one, layers[-1].after if layers else IMAGE))
        except BlueprintError as error:
            raise BlueprintError(f"Layer {place}, {cut(words(one, repr), LONGEST)}: {error}") from None
    if layers[-1].after != (10,):
        raise BlueprintError(f"It ends with {_words(layers[-1].after)}. The last layer should give ten numbers.")
    return layers


def _read(one: Any, before: Shape) -> Layer:
    """Read a layer behind what the layers before it give."""
    kind, *numbers = one if isinstance(one, list | tuple) and one else [one]
    if not isinstance(kind, str) or kind not in KINDS:
        raise BlueprintError(f"there is no such layer. There are {', '.join(KINDS)}.")
    wanted = KINDS[kind]
    if len(numbers) != len(wanted) or not all(type(number) is int for number in numbers):
        asked = f"whole numbers behind it: {', '.join(wanted)}" if wanted else "nothing behind it"
        raise BlueprintError(f"it should have {asked}.")
    if not all(1 <= number <= LARGEST_NUMBER for number in numbers):
        raise BlueprintError(f"its numbers should lie between 1 and {LARGEST_NUMBER}.")
    if (kind == "dense") == (len(before) == 3) and kind not in ("norm", "relu"):
        behind = "mean or flatten" if kind == "dense" else "layers with maps"
        raise BlueprintError(f"it gets {_words(before)}. It belongs behind {behind}.")
    after = _after(kind, tuple(numbers), before)
    parameters = _parameters(kind, tuple(numbers), before)
    return Layer(kind, tuple(numbers), before, after, parameters, _steps(kind, tuple(numbers), before, after))


def _after(kind: str, numbers: Shape, before: Shape) -> Shape:
    """Return the shape that a layer gives."""
    if kind in ("norm", "relu"):
        return before
    if kind in ("mean", "flatten", "dense"):
        return {"mean": before[:1], "flatten": (math.prod(before),), "dense": numbers}[kind]
    maps, height, width = before
    if kind in ("apart", "turned") and numbers[0] % maps:
        raise BlueprintError(f"it gets {_words(before)}. It can make as many of them, or a multiple of that.")
    made = numbers[0] if kind in ("conv", "apart", "turned", "mix") else maps
    side = 1 if kind == "mix" else numbers[-1]
    if kind == "pool":
        height, width = height // side, width // side
    elif kind == "cut":
        height, width = height - 2 * side, width - 2 * side
    else:
        height, width = height - side + 1, width - side + 1
    if height < 1 or width < 1:
        raise BlueprintError(f"it gets {_words(before)}, which is too small for it.")
    return made, height, width


def _parameters(kind: str, numbers: Shape, before: Shape) -> int:
    """Count the weights of a layer that are learned."""
    counts: dict[str, Callable[..., int]] = {
        "conv": lambda maps, side: before[0] * maps * side**2,
        "apart": lambda maps, side: maps * side**2,
        "turned": lambda _maps, side: side**2,
        "mix": lambda maps: before[0] * maps,
        "norm": lambda: before[0],
        "dense": lambda outputs: (before[0] + 1) * outputs,
    }
    return counts[kind](*numbers) if kind in counts else 0


def _steps(kind: str, numbers: Shape, before: Shape, after: Shape) -> int:
    """Count the multiplications for each number that comes out; where there are none, the numbers that go in."""
    for_each = {
        "conv": lambda: before[0] * numbers[-1] ** 2,
        "apart": lambda: numbers[-1] ** 2,
        "turned": lambda: numbers[-1] ** 2,
        "mix": lambda: before[0],
        "dense": lambda: before[0],
    }
    return math.prod(after) * for_each[kind]() if kind in for_each else math.prod(before)


def _words(shape: Shape) -> str:
    many = "s" if shape[0] > 1 else ""
    return f"{shape[0]} map{many} of {shape[1]}×{shape[2]}" if len(shape) == 3 else f"{shape[0]} number{many}"


def sums(layers: Sequence[Layer]) -> tuple[int, int]:
    """Return the parameters of a network, and its steps for an image."""
    return sum(one.parameters for one in layers), sum(one.steps for one in layers)


def table(layers: Sequence[Layer]) -> str:
    """Lay out what each layer gives and costs, and the sums."""
    lines = [f"{'layer':14} {'gives':20} {'parameters':>10} {'steps':>9}"]
    lines += [f"{one!s:14} {_words(one.after):20} {one.parameters:10,} {one.steps:9,}" for one in layers]
    parameters, steps = sums(layers)
    return "\n".join([*lines, f"{'in all':35} {parameters:10,} {steps:9,}"])


def build(layers: Sequence[Layer]) -> nn.Sequential:
    """Build the network, with first weights drawn by torch. Shapes: (B, 1, 28, 28) in [0, 1] → (B, 10)."""
    return nn.Sequential(Standardise(), *map(_module, layers))


def _module(layer: Layer) -> nn.Module:
    """Build a layer."""
    size, channels = (layer.numbers or (0,))[-1], layer.before[0]
    if layer.kind in ("conv", "apart", "turned", "mix"):
        groups = channels if layer.kind in ("apart", "turned") else 1
        side = 1 if layer.kind == "mix" else size
        found = nn.Conv2d(channels, layer.numbers[0], side, groups=groups, bias=False)
        if layer.kind == "turned":
            register_parametrization(found, "weight", EightWays(layer.numbers[0]))
        return found
    if layer.kind == "norm":
        found = nn.BatchNorm2d(channels) if len(layer.before) == 3 else nn.BatchNorm1d(channels)
        found.register_parameter("weight", None)  # no gain: the weights behind it can do its work
        return found
    simple: dict[str, Callable[[], nn.Module]] = {
        "cut": lambda: nn.ZeroPad2d(-size),
        "relu": nn.ReLU,
        "pool": lambda: nn.MaxPool2d(size),
        "mean": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "flatten": nn.Flatten,
        "dense": lambda: nn.Linear(channels, size),
    }
    return simple[layer.kind]()
