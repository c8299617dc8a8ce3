"""Checks of exercise notebook 2: convolution, sides, pooling, parameters, what a place sees, the loss."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import Mistake, exercise, no_network


def image_and_kernel(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw an image that is not square, and a kernel that is not either."""
    kernel = inputs.normal(random, *(int(size) for size in random.permutation([2, 3])))
    return inputs.normal(random, int(random.integers(5, 8)), int(random.integers(8, 11))), kernel


def convolved(image: Tensor, kernel: Tensor) -> Tensor:
    """Slide a kernel over an image."""
    return F.conv2d(image[None, None], kernel[None, None])[0, 0]


@exercise(
    draw=image_and_kernel,
    by_hand=("conv",),
    rounds=8,
    notice="Two loops and a sum. `F.conv2d` does the same for all images, channels and kernels at once.",
    hint="For each place: multiply the kernel with the part of the image under it, number by number, and add up.",
    mistakes=[
        Mistake(
            lambda image, kernel: convolved(image, kernel.flip(0, 1)),
            "The kernel is turned around. Mathematicians do that; networks lay it on as it is.",
        ),
        Mistake(
            lambda image, kernel: convolved(image, kernel)[:-1, :-1],
            "The last row and column of places are missing: there are H - h + 1 of them, not H - h.",
        ),
        Mistake(
            lambda image, kernel: convolved(image, kernel) / kernel.numel(),
            "This is the mean of the products. A convolution is their sum.",
        ),
        Mistake(
            lambda image, kernel: convolved(image, kernel).T,
            "Rows and columns are exchanged.",
        ),
    ],
)
def convolve(image: Tensor, kernel: Tensor) -> Tensor:
    """Slide a kernel over an image, without padding. Shapes: (H, W) and (h, w) → (H - h + 1, W - w + 1)."""
    return convolved(image, kernel)


def a_layer(random: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw side, kernel, stride and padding."""
    kernel = int(random.choice([2, 3, 5, 7]))
    return int(random.integers(12, 40)), kernel, int(random.integers(1, 4)), int(random.integers(0, 3))


def side_of(side: int, kernel: int, stride: int, padding: int) -> int:
    """Count the places of a kernel along one side."""
    return (side + 2 * padding - kernel) // stride + 1


@exercise(
    draw=a_layer,
    notice="The same line holds for pooling. 28 with a 3×3 kernel, stride 1 and padding 1 stays 28.",
    hint="Draw the padded side. At how many places can the kernel begin, and which of them does the stride take?",
    mistakes=[
        Mistake(
            lambda side, kernel, stride, padding: side_of(side, kernel, stride, padding) - 1,
            "The first place is not counted: after `side + 2 * padding - kernel` steps of one there is one place more.",
        ),
        Mistake(
            lambda side, kernel, stride, padding: (side + padding - kernel) // stride + 1,
            "The padding is put on one end only. It comes on both.",
        ),
        Mistake(
            lambda side, kernel, stride, padding: side + 2 * padding - kernel + 1,
            "The stride is not used: with a stride of 2 every other place is left out.",
        ),
        Mistake(
            lambda side, kernel, stride, padding: math.ceil((side + 2 * padding - kernel) / stride) + 1,
            "A kernel that would stick out at the end is counted. Round down: `//`.",
        ),
        Mistake(
            lambda side, kernel, stride, padding: (side + 2 * padding - kernel) / stride + 1,
            "There are no half places. Round down: `//`.",
        ),
    ],
)
def side_after(side: int, kernel: int, stride: int, padding: int) -> int:
    """Return the side of the map that a convolution gives."""
    return side_of(side, kernel, stride, padding)


def a_map(random: np.random.Generator) -> tuple[Tensor]:
    """Draw a map of even sides, all its numbers negative in some rounds."""
    rows, columns = (2 * int(half) for half in random.integers((2, 4), (4, 6)))
    return (inputs.normal(random, rows, columns) - float(random.choice([0, 5])),)


@exercise(
    draw=a_map,
    by_hand=("pool",),
    notice="Three of four numbers are dropped, and the strongest answer stays, wherever in the square it was.",
    hint="Take the largest of each 2 × 2 square; the squares do not overlap.",
    mistakes=[
        Mistake(
            lambda values: F.avg_pool2d(values[None], 2)[0],
            "This is the mean of each square. Asked for is the largest number.",
        ),
        Mistake(
            lambda values: F.max_pool2d(values[None], 2, stride=1)[0],
            "The squares overlap. Move on by two places each time.",
        ),
        Mistake(
            lambda values: values[::2, ::2],
            "It takes the upper left number of each square, not the largest.",
        ),
        Mistake(
            lambda values: F.max_pool2d(values[None], 2)[0].clamp(min=0),
            "Where all four numbers are negative it gives 0. Do not begin with 0 when you look for the largest.",
        ),
    ],
)
def pool(values: Tensor) -> Tensor:
    """Return the largest number of each 2 × 2 square. Shapes: (H, W), both even → (H / 2, W / 2)."""
    return F.max_pool2d(values[None], 2)[0]


def filters(random: np.random.Generator) -> tuple[int, int, int]:
    """Draw input channels, filters and the side of their kernels."""
    return int(random.integers(2, 64)), int(random.integers(3, 129)), int(random.choice([3, 5, 7]))


@exercise(
    draw=filters,
    notice="The side of the image is not in it: a convolution has as many parameters for a stamp as for a poster.",
    hint="Each filter has a kernel for each input channel, and one bias.",
    mistakes=[
        Mistake(
            lambda channels, filters, size: channels * filters * size**2,
            "The biases are missing: one for each filter.",
        ),
        Mistake(
            lambda channels, filters, size: filters * (size**2 + 1),
            "Each filter has one kernel for *each* input channel, not one in all.",
        ),
        Mistake(
            lambda channels, filters, size: channels * filters * (size**2 + 1),
            "There is one bias for each filter, not for each of its kernels.",
        ),
        Mistake(
            lambda channels, filters, size: filters * (channels * size + 1),
            "A kernel has size × size weights, not size.",
        ),
        Mistake(
            lambda channels, filters, size: channels * filters * size**2 + channels,
            "There is one bias for each filter, not for each input channel.",
        ),
        Mistake(
            lambda channels, filters, size: filters * (channels * (size ^ 2) + 1),
            "In Python `^` is no power: a square is `size**2`.",
        ),
    ],
)
def parameters(channels: int, filters: int, size: int) -> int:
    """Count the weights and biases of a convolution with so many filters of size × size."""
    return filters * (channels * size**2 + 1)


def a_stack(random: np.random.Generator) -> tuple[list[tuple[int, int]]]:
    """Draw the kernels and strides of some layers, at least two of them with a stride."""
    layers = [(int(random.choice([2, 3, 5])), int(random.integers(1, 3))) for _ in range(int(random.integers(3, 6)))]
    layers[0], layers[1] = (3, 2), (5, 2)
    return (layers,)


def field(layers: list[tuple[int, int]], own_stride_first: bool = False, strides: bool = True, start: int = 1) -> int:
    """Follow what one place sees, layer by layer."""
    seen, step = start, 1
    for kernel, stride in layers:
        step *= stride if strides and own_stride_first else 1
        seen += (kernel - 1) * step
        step *= stride if strides and not own_stride_first else 1
    return seen


@exercise(
    draw=a_stack,
    notice="Strides multiply: that is how a few small kernels come to see the whole digit.",
    hint="Keep two numbers: the pixels seen so far, and how far apart neighbours lie. Which of them does a kernel "
    "change, and which a stride?",
    mistakes=[
        Mistake(
            lambda layers: field(layers, strides=False),
            "The strides are not used: after a stride of 2, neighbours are two pixels apart.",
        ),
        Mistake(
            lambda layers: field(layers, own_stride_first=True),
            "A layer's own stride lengthens the steps of the layers *after* it. Add first, then multiply.",
        ),
        Mistake(
            lambda layers: sum(kernel for kernel, _ in layers),
            "Kernels do not just add up: neighbours overlap, so a layer adds kernel - 1 steps.",
        ),
        Mistake(
            lambda layers: field(layers, start=0),
            "It begins with nothing: one place sees at least itself, 1 pixel.",
        ),
        Mistake(
            lambda layers: field(layers[::-1]),
            "It goes from the last layer to the first. The list begins with the layer that takes the image.",
        ),
    ],
)
def receptive_field(layers: list[tuple[int, int]]) -> int:
    """Return the side of the square of pixels that one place sees after layers of (kernel, stride)."""
    return field(layers)


def logits_and_labels(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw logits, some of them large, and labels."""
    logits = inputs.normal(random, int(random.integers(4, 9)), 10)
    logits[0] *= 1_000  # also float64 holds no exponential of it
    return logits, torch.from_numpy(random.integers(0, 10, size=len(logits)))


def naive(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy as its definition says, without care for large exponentials."""
    return logits.exp().sum(dim=1).log().sub(logits[range(len(labels)), labels]).mean()


@exercise(
    draw=logits_and_labels,
    by_hand=("cross_entropy", "_loss", "kl_div"),
    notice="Subtracting the largest logit first changes nothing but keeps the exponentials within what a float holds.",
    hint="For each image: the logarithm of the sum of the exponentials, minus the logit of its label. Then the mean.",
    mistakes=[
        Mistake(
            lambda logits, labels: F.cross_entropy(logits.softmax(dim=1), labels),
            "The softmax is applied twice: once by you, and once in the loss.",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum"),
            "This is the sum over the images. Asked for is the mean.",
        ),
        Mistake(
            lambda logits, labels: -F.cross_entropy(logits, labels),
            "The sign is turned: a loss is never below 0.",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits, labels) / math.log(10),
            "It takes the logarithm to the base 10. Take the natural one, `log`.",
        ),
        Mistake(
            naive,
            "The exponential of a large logit is infinite. Subtract the largest logit of each image first, "
            "or use `logsumexp`.",
        ),
        Mistake(
            lambda logits, labels: naive(logits - logits.max(), labels),
            "The largest logit of *all* images is subtracted, and the exponentials of some images all become 0. "
            "Take each image's own largest.",
        ),
        Mistake(
            lambda logits, labels: -logits.softmax(dim=1)[range(len(labels)), labels].log().mean(),
            "The probability of a label can be so small that it becomes 0, and its logarithm infinite. "
            "Do not go through the probabilities: use `logsumexp`.",
        ),
    ],
)
def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy. Shapes: logits (N, 10), also large ones, labels (N,) → one number."""
    return F.cross_entropy(logits, labels)


LARGEST = 5_000  # parameters of the network to be built


class Calls(TorchFunctionMode):
    """While it holds, it notes the names of torch's functions that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.names.add(getattr(function, "__name__", ""))
        return function(*args, **(kwargs or {}))


def described(model: object) -> dict[str, object]:
    """Say what a network does with one image and with five, and how large it is."""
    if not isinstance(model, nn.Module):
        return {"kind": type(model).__name__}
    model.eval()  # some layers take no single image while they learn
    with Calls() as calls:
        one, five = (model(100 * torch.randn(count, 1, 28, 28)) for count in (1, 5))
    return {
        "kind": "network",
        "shapes": [tuple(one.shape), tuple(five.shape)],
        "negative": bool((five < 0).any()),
        "sums to one": bool(torch.allclose(five.sum(dim=-1), torch.ones(1), atol=1e-3)),
        "convolution": any("conv" in name for name in calls.names),
        # After it has run: lazy layers have their weights only then.
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def within_budget(result: dict[str, object]) -> str | None:
    """Say what is missing in a network."""
    if result["kind"] != "network":
        return no_network(result["kind"])
    for count, shape in zip((1, 5), result["shapes"], strict=True):
        if shape != (count, 10):
            return f"For {count} images it returns {shape}, and should return ({count}, 10): a logit for each digit."
    if not result["negative"]:
        if result["sums to one"]:
            return "It returns probabilities. Return logits: the loss applies the softmax itself."
        return (
            "None of its outputs is ever negative. Logits are free: nothing like a ReLU or a sigmoid comes after them."
        )
    if not result["convolution"]:
        return "No convolution was used."
    if result["parameters"] > LARGEST:
        return f"It has {result['parameters']:,} parameters, and should have {LARGEST:,} at most."
    return None


@exercise(
    draw=lambda _random: (),
    rounds=1,
    notice="Most parameters lie where the maps become a row of numbers. Pool before that, and few are needed.",
    hint="Return an nn.Sequential of layers.",
    measure=described,
    examine=within_budget,
)
def small_network() -> nn.Module:
    """Return a network of at most 5,000 parameters, with a convolution, that gives 10 logits for each image."""
    return nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(288, 10))
