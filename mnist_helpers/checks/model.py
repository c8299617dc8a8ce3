"""Checks of exercise notebook 2: convolution, sides, pooling, parameters, what a place sees, the loss."""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import Gap, Mistake, exercise, no_network
from mnist_helpers.checks.networks import HIDDEN_FROM_OPTIMISERS, NO_WAY_BACK, looked_into, own_copy


def image_and_kernel(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw an image that is not square, and a kernel that is not either."""
    kernel = inputs.normal(random, *(int(size) for size in random.permutation([2, 3])))
    return inputs.normal(random, int(random.integers(5, 8)), int(random.integers(8, 11))), kernel


def of_sides(image: tuple[int, int], kernel: tuple[int, int]) -> Callable[[], tuple[Tensor, Tensor]]:
    """Return what gives an image and a kernel with these sides."""
    return lambda: tuple(inputs.normal(np.random.default_rng(0), *sides) for sides in (image, kernel))


def convolved(image: Tensor, kernel: Tensor) -> Tensor:
    """Slide a kernel over an image."""
    return F.conv2d(image[None, None], kernel[None, None])[0, 0]


@exercise(
    draw=image_and_kernel,
    by_hand=("conv",),
    edges=[
        of_sides((6, 6), (3, 3)),
        of_sides((5, 9), (3, 3)),
        of_sides((6, 6), (2, 3)),
        of_sides((4, 6), (1, 1)),
        of_sides((3, 5), (3, 5)),
        of_sides((5, 6), (1, 4)),
    ],
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
        Mistake(
            lambda image, kernel: convolved(image, kernel.flip(1)),
            "The kernel is turned around from left to right. Networks lay it on as it is.",
        ),
        Mistake(
            lambda image, kernel: convolved(image, torch.ones_like(kernel)),
            "These are sums of the pixels under the kernel. Multiply each by the kernel's number first.",
        ),
        Mistake(
            lambda image, kernel: convolved(image, kernel) / kernel.sum(),
            "It divides by the sum of the kernel. A convolution is the sum of the products alone.",
        ),
        Mistake(
            lambda image, kernel: F.conv2d(image[None, None], kernel[None, None], stride=tuple(kernel.shape))[0, 0],
            "The places do not overlap. Move on by one column each time, and by one row.",
        ),
    ],
    gaps=[
        Gap(
            lambda image, kernel: kernel.shape[0] == kernel.shape[1],
            "It takes the kernel to be a square. Its height and its width are two numbers: see `kernel.shape`.",
        ),
        Gap(
            lambda image, kernel: image.shape[0] == image.shape[1],
            "It takes the image to be a square. Its height and its width are two numbers: see `image.shape`.",
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
    edges=[
        lambda: (28, 5, 2, 1),
        lambda: (28, 1, 1, 0),
        lambda: (28, 3, 1, 1),
        lambda: (7, 7, 2, 0),
        lambda: (1, 3, 1, 1),
        lambda: (5, 2, 9, 0),
    ],
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
        Mistake(
            lambda side, kernel, stride, padding: round((side + 2 * padding - kernel) / stride) + 1,
            "It rounds to the nearest number. A kernel that would stick out has no place: round down, `//`.",
        ),
        Mistake(
            lambda side, kernel, stride, padding: (side + 2 * padding - kernel + 1) // stride,
            "The 1 is added before the division. It is the first place, which is there whatever the stride.",
        ),
        Mistake(
            lambda side, kernel, stride, padding: (side - kernel) // stride + 1,
            "The padding is missing. It makes the side longer, at both ends.",
        ),
        Mistake(
            lambda side, kernel, stride, padding: (side + 2 * padding) // stride,
            "The kernel is missing. The larger it is, the fewer places it has.",
        ),
        Mistake(
            lambda side, kernel, stride, padding: (side - 2 * padding - kernel) // stride + 1,
            "The padding makes the side shorter here. It makes it longer.",
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


def a_map_of(rows: int, columns: int, below: float = 0.0) -> Callable[[], tuple[Tensor]]:
    """Return what gives a map of these sides, its numbers lowered by so much."""
    return lambda: (inputs.normal(np.random.default_rng(0), rows, columns) - below,)


@exercise(
    draw=a_map,
    by_hand=("pool",),
    edges=[
        a_map_of(4, 4, -9),
        a_map_of(2, 8, -9),
        a_map_of(8, 2, -9),
        a_map_of(2, 2, 9),
        lambda: (torch.zeros(4, 6),),
    ],
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
        Mistake(
            lambda values: -F.max_pool2d(-values[None], 2)[0],
            "This is the smallest number of each square. Asked for is the largest.",
        ),
        Mistake(
            lambda values: 4 * F.avg_pool2d(values[None], 2)[0],
            "This is the sum of each square. Asked for is the largest number.",
        ),
        Mistake(
            lambda values: F.max_pool2d(values[None], 2)[0].T,
            "Rows and columns are exchanged.",
        ),
        Mistake(
            lambda values: F.max_pool2d(values.abs()[None], 2)[0],
            "It takes the largest *absolute* number. -3 is less than 1.",
        ),
        Mistake(
            lambda values: values.reshape(values.shape[0] // 2, values.shape[1] // 2, 4).amax(dim=2),
            "The numbers are cut into fours as they lie in a row. Those of a square stand in two rows.",
        ),
    ],
    gaps=[
        Gap(
            lambda values: values.min() > 0,
            "It is right where all numbers are positive. Do not begin with 0 when you look for the largest.",
        ),
        Gap(
            lambda values: values.shape[0] == values.shape[1],
            "It is right for square maps only. Rows and columns are two numbers: see `values.shape`.",
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
    edges=[lambda: (10, 20, 5), lambda: (1, 32, 3), lambda: (32, 1, 3), lambda: (3, 4, 1), lambda: (1, 1, 1)],
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
        Mistake(
            lambda channels, filters, size: channels * filters * size**2 + 1,
            "There is one bias for each filter, not one in all.",
        ),
        Mistake(
            lambda channels, filters, size: channels * (filters * size**2 + 1),
            "There is one bias for each filter, not for each input channel.",
        ),
        Mistake(
            lambda channels, filters, size: channels * size**2 + filters,
            "These are the weights of one filter. Each of the filters has as many of its own.",
        ),
        Mistake(
            lambda channels, filters, size: channels * filters * size * 2 + filters,
            "A kernel of size × size has `size**2` weights, not 2 × size.",
        ),
    ],
    gaps=[
        Gap(
            lambda channels, filters, size: channels == 1,
            "It is right for one input channel. Each filter has a kernel for *each* input channel.",
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
    edges=[
        lambda: ([(3, 1)],),
        lambda: ([(5, 1), (3, 1), (1, 1)],),
        lambda: ([(5, 2)],),
        lambda: ([(2, 2), (2, 2)],),
        lambda: ([(3, 3), (3, 2), (2, 1)],),
        lambda: ([],),
    ],
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
            "The layers are taken in the wrong order for this way of counting. The list begins with the layer that "
            "takes the image.",
        ),
        Mistake(
            lambda layers: math.prod(kernel for kernel, _ in layers),
            "Kernels are not multiplied: a layer adds kernel - 1 steps to what is seen.",
        ),
        Mistake(
            lambda layers: layers[-1][0] if layers else 1,
            "It looks at one layer alone. What its kernel covers are places that each see several pixels.",
        ),
        Mistake(
            lambda layers: 1 + sum((kernel - 1) * stride for kernel, stride in layers),
            "Each layer knows its own stride only. The strides of all layers before it are multiplied.",
        ),
        Mistake(
            lambda layers: (
                1
                + sum(
                    (kernel - 1) * (layers[number - 1][1] if number else 1) for number, (kernel, _) in enumerate(layers)
                )
            ),
            "It knows the stride of the layer before only. The strides of all layers before are multiplied.",
        ),
    ],
    gaps=[
        Gap(
            lambda layers: all(stride == 1 for _, stride in layers),
            "It is right where all strides are 1. After a stride of 2, neighbours are twice as far apart.",
        ),
        Gap(
            lambda layers: len(layers) == 1,
            "It is right for one layer. How far apart, in the image, do neighbours lie after it?",
        ),
        Gap(
            lambda layers: bool(layers),
            "Without any layer, one place is one pixel: 1.",
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
    edges=[
        lambda: (inputs.normal(np.random.default_rng(0), 6, 10), torch.arange(6)),
        lambda: (inputs.normal(np.random.default_rng(1), 1, 10), torch.tensor([9])),
        lambda: (torch.zeros(3, 10), torch.tensor([0, 4, 9])),
        lambda: (inputs.normal(np.random.default_rng(2), 2, 10) - 5_000, torch.tensor([3, 3])),
        lambda: (200 * torch.eye(10), torch.arange(10).flip(0)),
    ],
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
        Mistake(
            lambda logits, labels: F.cross_entropy(logits, labels) / 10,
            "It divides by the number of classes, too. The mean is over the images.",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits, labels) / math.log(2),
            "It takes the logarithm to the base 2. Take the natural one, `log`.",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits, labels, reduction="none"),
            "These are the losses of the single images. Asked for is their mean.",
        ),
        Mistake(
            lambda logits, labels: -logits[range(len(labels)), labels].mean(),
            "It takes the logits for log-probabilities. Subtract the logarithm of the sum of the exponentials.",
        ),
        Mistake(
            lambda logits, labels: -logits.softmax(dim=1)[range(len(labels)), labels].mean(),
            "The logarithm is missing: it takes the mean of the probabilities.",
        ),
        Mistake(
            lambda logits, labels: -logits.log_softmax(dim=0)[range(len(labels)), labels].mean(),
            "The softmax runs over the images. It belongs to the ten logits of each image: dimension 1.",
        ),
        Mistake(
            lambda logits, labels: F.cross_entropy(logits, logits.argmax(dim=1)),
            "It asks for the class with the largest logit. Take the logit of the label.",
        ),
    ],
    gaps=[
        Gap(
            lambda logits, labels: logits.abs().max() < 500,
            "It is right up to some hundreds. The exponential of a larger logit is infinite, and that of -5,000 is 0: "
            "subtract the largest logit of each image first, or use `logsumexp`.",
        ),
        Gap(
            lambda logits, labels: logits.abs().max() < 50,
            "It is right for small logits. With large ones a probability becomes 0: to add a little or to clamp hides "
            "that, and the loss is wrong. Do not go through the probabilities: use `logsumexp`.",
        ),
    ],
)
def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy. Shapes: logits (N, 10), also large ones, labels (N,) → one number."""
    return F.cross_entropy(logits, labels)


LARGEST = 5_000  # parameters of the network to be built


def described(model: object) -> dict[str, object]:
    """Say what a network does with images, together and alone, and with other weights; and how large it is."""
    if not isinstance(model, nn.Module):
        return {"kind": type(model).__name__}
    model, images = own_copy(model), 3 * torch.randn(5, 1, 28, 28)
    one, five = model(images[:1]), model(images)
    shapes = [tuple(getattr(logits, "shape", ())) for logits in (one, five)]
    if shapes != [(1, 10), (5, 10)]:
        return {"kind": "network", "shapes": shapes}
    alone = torch.cat([model(image[None]) for image in images])
    inside = looked_into(model, images)
    named = sum(parameter.numel() for parameter in model.parameters())  # lazy layers have their weights by now
    other = own_copy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        changed = other(images)
    return {
        "kind": "network",
        "shapes": shapes,
        "finite": bool(five.isfinite().all()),
        "negative": bool((torch.cat([five, changed]) < 0).any()),
        "sums to one": [bool((five.sum(dim=dim) - 1).abs().max() < 1e-3) for dim in (0, 1)],
        "apart": bool(torch.allclose(alone, five, rtol=1e-3, atol=1e-4)),
        "differs": max(spread(five), spread(changed)) > 1e-6,
        "follows its weights": not torch.allclose(five, changed, atol=1e-6),
        "parameters": named,
        **inside,
    }


def spread(logits: Tensor) -> float:
    """Return by how much the logits of several images differ at most."""
    return (logits.amax(dim=0) - logits.amin(dim=0)).max().item()


def within_budget(result: dict[str, object]) -> str | None:
    """Say what is missing in a network."""
    if result["kind"] != "network":
        return no_network(result["kind"])
    if result["shapes"] == [(1,), (5,)]:
        return "It returns one number for each image. Return all ten logits: which is the largest is asked later."
    for count, shape in zip((1, 5), result["shapes"], strict=True):
        if shape != (count, 10):
            return f"For {count} images it returns {shape}, and should return ({count}, 10): a logit for each digit."
    return badly_made(result) or too_large(result)


def badly_made(result: dict[str, object]) -> str | None:
    """Say what keeps a network from learning to read digits."""
    if not result["finite"]:
        return "Its outputs are not finite: something is divided by zero, or too large for its numbers."
    over_images, over_classes = result["sums to one"]
    if not result["negative"] and over_classes:
        return "It returns probabilities. Return logits: the loss applies the softmax itself."
    if not result["negative"] and over_images:
        return "A softmax runs over the images of the batch. Return logits, without any: the loss applies it itself."
    if not result["differs"]:
        return "It gives the same logits for every image. Does the last layer get what the layers before have found?"
    if not result["negative"]:
        return (
            "None of its outputs is ever negative. Logits are free: nothing like a ReLU or a sigmoid comes after them."
        )
    if not result["apart"]:
        return "What it says of an image depends on the other images of the batch, or on chance. Look at each alone."
    if result["hidden"]:
        return HIDDEN_FROM_OPTIMISERS
    if not result["follows its weights"]:
        return "Other weights make no difference: its logits do not depend on its `parameters()`."
    if not result["learns"]:
        return NO_WAY_BACK
    return None if result["convolves"] else "No convolution was used for the logits."


def too_large(result: dict[str, object]) -> str | None:
    """Say by how much a network is too large, whatever it keeps its numbers in."""
    if not result["parameters"] <= LARGEST:
        return f"It has {result['parameters']:,} parameters, and should have {LARGEST:,} at most."
    if not result["numbers"] <= LARGEST:
        return (
            f"It computes with {result['numbers']:,} numbers, only {result['parameters']:,} of them parameters. "
            f"All count, wherever they are kept: {LARGEST:,} at most."
        )
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
