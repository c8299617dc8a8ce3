"""Checks of exercise notebook 2: convolution in three steps, what layers cost, what a place sees, the loss."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import (
    LONGEST_REMARK,
    Gap,
    Mistake,
    difference_in_form,
    exercise,
    no_network,
    same,
    shown,
)
from mnist_helpers.checks.networks import HIDDEN_FROM_OPTIMISERS, NO_WAY_BACK, looked_into, own_copy


def an_image(random: np.random.Generator) -> tuple[Tensor, Tensor, int, int]:
    """Draw an image and a kernel, neither of them square, and a stride and a dilation."""
    kernel = inputs.normal(random, *(int(size) for size in random.permutation([2, 3])))
    image = inputs.normal(random, int(random.integers(9, 12)), int(random.integers(12, 15)))
    return image, kernel, int(random.integers(1, 4)), int(random.integers(1, 4))


def of_sides(
    image: tuple[int, int], kernel: tuple[int, int], stride: int = 1, dilation: int = 1
) -> Callable[[], tuple[Tensor, Tensor, int, int]]:
    """Return what gives an image and a kernel with these sides, beside a stride and a dilation."""
    return lambda: (*(inputs.normal(np.random.default_rng(0), *sides) for sides in (image, kernel)), stride, dilation)


def convolved(
    image: Tensor, kernel: Tensor, stride: int | tuple[int, int] = 1, dilation: int | tuple[int, int] = 1
) -> Tensor:
    """Slide a kernel over an image."""
    return F.conv2d(image[None, None], kernel[None, None], stride=stride, dilation=dilation)[0, 0]


WHOLE = "What is behind the point is cut off: the result is made of whole numbers. Which `dtype` does its tensor have?"


def first_row(image: Tensor, kernel: Tensor, stride: int, dilation: int) -> Tensor:
    """Fill the first row of the result only."""
    result = convolved(image, kernel, stride, dilation)
    result[1:] = 0
    return result


def crowded_places(image: Tensor, kernel: Tensor, stride: int, dilation: int) -> Tensor:
    """Give as many numbers as asked for, but move the kernel by one place only."""
    rows, columns = convolved(image, kernel, stride, dilation).shape
    return convolved(image, kernel, 1, dilation)[:rows, :columns]


def thinned(image: Tensor, kernel: Tensor, stride: int, dilation: int) -> Tensor:
    """Leave pixels out of the image once and for all, in place of spreading the kernel at each place."""
    return convolved(image[::dilation, ::dilation], kernel, stride)


@exercise(
    draw=an_image,
    by_hand=("conv",),
    edges=[
        of_sides((6, 6), (3, 3)),
        of_sides((5, 9), (3, 3), 2),
        of_sides((7, 7), (2, 3), 1, 2),
        of_sides((4, 6), (1, 1), 3, 2),
        of_sides((3, 5), (3, 5)),
        of_sides((5, 9), (3, 5), 1, 2),  # spread, the kernel just fits
        of_sides((5, 10), (1, 4), 2, 3),
        of_sides((9, 11), (3, 3), 2, 2),
        of_sides((5, 8), (2, 3), 5),  # the stride steps over pixels
    ],
    rounds=12,
    notice="Two loops and a sum. `F.conv2d` does the same for all images, channels and kernels at once.",
    hint="Which pixels do the kernel's numbers meet for row 1, column 2 of the result? Take these, multiply them with "
    "the kernel, number by number, and add up.",
    mistakes=[
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel.flip(0, 1), stride, dilation),
            "The kernel is turned around. Mathematicians do that; networks lay it on as it is.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, stride, dilation)[:-1, :-1],
            "The last row and column of places are missing. Count where the kernel can begin, the first included.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, stride, dilation) / kernel.numel(),
            "This is the mean of the products. A convolution is their sum.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, stride, dilation).T,
            "Rows and columns are exchanged.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel.flip(1), stride, dilation),
            "The kernel is turned around from left to right. Networks lay it on as it is.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, torch.ones_like(kernel), stride, dilation),
            "These are sums of the pixels under the kernel. Multiply each by the kernel's number first.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, stride, dilation) / kernel.sum(),
            "It divides by the sum of the kernel. A convolution is the sum of the products alone.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, 1, dilation),
            "The stride is not used: with a stride of 2 the kernel moves on by two pixels, and by two rows.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, stride),
            "The dilation is not used: with 2, two neighbours in the kernel meet pixels that lie two apart.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, stride, dilation + 1),
            "The kernel's numbers are one pixel too far apart: with a dilation of 1 there is nothing between them.",
        ),
        Mistake(
            thinned,
            "Pixels are left out of the image once and for all. Only at each place of the kernel are some passed over, "
            "and the next place begins `stride` pixels further.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, stride, (dilation, 1)),
            "The dilation spreads the rows of the kernel only. It spreads its columns as well.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, stride, (1, dilation)),
            "The dilation spreads the columns of the kernel only. It spreads its rows as well.",
        ),
        Mistake(
            crowded_places,
            "The result has the right size, but the kernel moves by one pixel only. Row 1 of the result begins at "
            "pixel 1 × stride.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, (stride, 1), dilation),
            "The stride counts for the rows only. It counts for the columns as well.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, (1, stride), dilation),
            "The stride counts for the columns only. It counts for the rows as well.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel, tuple(kernel.shape), dilation),
            "The kernel moves on by its own size. It moves on by `stride`.",
        ),
        Mistake(
            lambda image, kernel, stride, dilation: convolved(image, kernel.T, stride, dilation),
            "The kernel lies on its side: its rows meet the image's columns.",
        ),
        Mistake(first_row, "Only the first row is filled. Does the `return` stand within the loop?"),
        Mistake(lambda *given: convolved(*given).trunc(), WHOLE),
    ],
    gaps=[
        Gap(
            lambda image, kernel, stride, dilation: stride == 1,
            "It is right where the stride is 1. With a larger one, which pixel does row 1 of the result begin at, and "
            "how many rows are there?",
        ),
        Gap(
            lambda image, kernel, stride, dilation: dilation == 1,
            "It is right with a dilation of 1. With a larger one the kernel reaches further: how far, and how many "
            "places are left?",
        ),
        Gap(
            lambda image, kernel, stride, dilation: kernel.shape[0] == kernel.shape[1],
            "It takes the kernel to be a square. Its height and its width are two numbers: see `kernel.shape`.",
        ),
        Gap(
            lambda image, kernel, stride, dilation: image.shape[0] == image.shape[1],
            "It takes the image to be a square. Its height and its width are two numbers: see `image.shape`.",
        ),
    ],
)
def convolve(image: Tensor, kernel: Tensor, stride: int, dilation: int) -> Tensor:
    """Slide a spread kernel over an image. Shapes: (H, W) and (h, w) → (rows, columns)."""
    return convolved(image, kernel, stride, dilation)


def maps_and_filters(
    channels: int,
    filters: int,
    groups: int,
    sides: tuple[int, int],
    kernel: tuple[int, int],
    random: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Draw maps, the kernels of some filters, and their biases; channels and filters are those of each group."""
    kernels = inputs.normal(random, groups * filters, channels, *kernel)
    return inputs.normal(random, groups * channels, *sides), kernels, inputs.normal(random, groups * filters), groups


def a_layer(random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, int]:
    """Draw maps and filters, more or fewer of these than channels, with kernels that are not square."""
    channels, filters = (int(count) for count in random.permutation([2, 3, 4])[:2])
    height, width = (int(size) for size in random.permutation([2, 3]))
    sides = (int(random.integers(4, 7)), 7)
    return maps_and_filters(channels, filters, int(random.integers(1, 4)), sides, (height, width), random)


def layer_of(
    channels: int, filters: int, groups: int, sides: tuple[int, int], kernel: tuple[int, int]
) -> Callable[[], tuple[Tensor, Tensor, Tensor, int]]:
    """Return what gives a layer of this size."""
    return lambda: maps_and_filters(channels, filters, groups, sides, kernel, np.random.default_rng(0))


def with_filters(maps: Tensor, kernels: Tensor, biases: Tensor, groups: int) -> Tensor:
    """Return a map for each filter."""
    return F.conv2d(maps[None], kernels, biases, groups=groups)[0]


def in_turn(maps: Tensor, kernels: Tensor, biases: Tensor, groups: int) -> Tensor:
    """Deal the filters out to the groups in turn."""
    order = torch.arange(len(kernels)).view(-1, groups).T.flatten()
    return with_filters(maps, kernels[order], biases[order], groups)[order.argsort()]


@exercise(
    draw=a_layer,
    by_hand=("conv",),
    edges=[
        layer_of(1, 1, 1, (4, 5), (2, 3)),
        layer_of(3, 1, 1, (4, 5), (2, 3)),
        layer_of(1, 3, 1, (4, 5), (2, 3)),
        layer_of(3, 3, 1, (5, 5), (3, 3)),
        layer_of(4, 2, 1, (3, 4), (1, 1)),
        layer_of(2, 3, 1, (3, 4), (3, 4)),
        layer_of(1, 1, 4, (4, 5), (2, 3)),  # each filter sees one channel
        layer_of(1, 2, 3, (4, 5), (2, 3)),
        layer_of(2, 1, 2, (4, 5), (2, 3)),
        lambda: (torch.zeros(2, 4, 4), torch.ones(3, 2, 2, 2), torch.tensor([1.0, -2.0, 0.5]), 1),
    ],
    rounds=8,
    notice="The channels are added up: what a filter finds in one may speak for or against what it finds in another.",
    hint="One filter at a time. It has a kernel for each channel of its group: convolve each channel with its own, add "
    "up what comes out, and add the filter's bias once.",
    mistakes=[
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps[: kernels.shape[1]], kernels, biases, 1),
            "All filters look at the first channels. Those of the second group look at the second group of channels.",
        ),
        Mistake(
            in_turn,
            "The filters are dealt out to the groups in turn. The first ones, side by side, belong to the first group.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps, kernels, 0 * biases, groups),
            "The biases are missing: one number for each filter, added everywhere in its map.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps, kernels, kernels.shape[1] * biases, groups),
            "The bias is added once for each channel. Each filter has one: add it after the sum over the channels.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps, kernels / kernels.shape[1], biases, groups),
            "This is the mean over the channels. A filter takes their sum.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps, kernels[:, :1].expand_as(kernels), biases, groups),
            "Every channel meets the same kernel. A filter has one of its own for each channel.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps, kernels[:1].expand_as(kernels), biases, groups),
            "All maps come from the first filter. Each filter makes one map.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps[:1], kernels[:, :1], biases, 1),
            "Only the first channel is looked at. Each filter adds up what it finds in all of them.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps, kernels.flip(2, 3), biases, groups),
            "The kernels are turned around. Networks lay them on as they are.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps, kernels, biases, groups).sum(dim=0),
            "The filters' maps are added up. The channels are; each filter keeps a map of its own.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps, kernels, -biases, groups),
            "The biases are subtracted. They are added.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps, kernels, biases[:1].expand_as(biases), groups),
            "All maps get the first bias. Each filter has its own.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(maps, kernels, biases, groups).relu(),
            "What is below zero is cut off. The ReLU is a layer of its own, and not asked for.",
        ),
        Mistake(
            lambda maps, kernels, biases, groups: with_filters(
                maps.unflatten(0, (groups, -1))[:, :-1].flatten(0, 1), kernels[:, :-1], biases, groups
            ),
            "The last channel is left out. Each filter adds up what it finds in all of them.",
        ),
        *[
            Mistake(answer, "Each filter goes on adding to the sum of the one before. Begin each sum at 0.")
            for answer in (
                lambda maps, kernels, biases, groups: (
                    with_filters(maps, kernels, 0 * biases, groups).cumsum(dim=0) + biases[:, None, None]
                ),
                lambda maps, kernels, biases, groups: with_filters(maps, kernels, biases, groups).cumsum(dim=0),
            )
        ],
    ],
    gaps=[
        Gap(
            lambda maps, kernels, biases, groups: groups == 1,
            "It is right for one group. Of several, each filter sees the channels of its own group only.",
        ),
        Gap(
            lambda maps, kernels, biases, groups: len(maps) == 1,
            "It is right for one channel. Of several, each meets a kernel of its own, and the results are added up.",
        ),
        Gap(
            lambda maps, kernels, biases, groups: len(kernels) == 1,
            "It is right for one filter. Each further one makes a map of its own, with its own bias.",
        ),
        Gap(
            lambda maps, kernels, biases, groups: kernels.shape[2] == kernels.shape[3],
            "It takes the kernels to be squares. See `kernels.shape`: filters, channels, height, width.",
        ),
    ],
)
def convolve_channels(maps: Tensor, kernels: Tensor, biases: Tensor, groups: int) -> Tensor:
    """Return a map for each filter. Shapes: (C, H, W), (F, C / groups, h, w), (F,) → (F, H - h + 1, W - w + 1)."""
    return with_filters(maps, kernels, biases, groups)


def a_batch(random: np.random.Generator) -> tuple[Tensor, int, int]:
    """Draw some images with channels, and the sides of a window that is not square."""
    height, width = (int(size) for size in random.permutation([2, 3]))
    count, channels = (int(number) for number in random.permutation([2, 3, 4])[:2])
    return inputs.normal(random, count, channels, int(random.integers(4, 6)), int(random.integers(6, 8))), height, width


def batch_of(shape: tuple[int, int, int, int], height: int, width: int) -> Callable[[], tuple[Tensor, int, int]]:
    """Return what gives images of this shape, and the sides of a window."""
    return lambda: (inputs.normal(np.random.default_rng(0), *shape), height, width)


def windows(images: Tensor, height: int, width: int) -> Tensor:
    """Return what a window shows at each place. Shapes: (N, C, H, W) → (N, C, rows, columns, height, width)."""
    return images.unfold(2, height, 1).unfold(3, width, 1)


def in_rows(images: Tensor, height: int, width: int, order: Sequence[int] = (0, 2, 3, 1, 4, 5)) -> Tensor:
    """Lay the numbers of each window in a row; another order of the dimensions puts a mistake in."""
    seen = windows(images, height, width)
    return seen.permute(*order).reshape(len(images), *seen.shape[2:4], -1)


MIXED_ROWS = (
    "A row mixes numbers of several places. `reshape` only counts numbers off in the order they lie: bring the "
    "dimensions into their order first, with `permute`."
)


@exercise(
    draw=a_batch,
    edges=[
        batch_of((1, 1, 4, 5), 2, 3),
        batch_of((1, 3, 4, 5), 3, 2),
        batch_of((3, 1, 4, 5), 2, 3),
        batch_of((2, 3, 5, 5), 3, 3),
        batch_of((2, 3, 3, 4), 3, 4),
        batch_of((2, 3, 3, 4), 1, 1),
        batch_of((2, 2, 6, 3), 1, 2),
    ],
    rounds=8,
    notice="A convolution is a dense layer that every patch goes through. Many libraries compute it so.",
    hint="At each place, cut the same window out of all images at once: `images[:, :, …, …]`. Lay its numbers in a "
    "row. Then ask which dimension of the result counts the places.",
    mistakes=[
        Mistake(
            lambda images, height, width: in_rows(images, height, width, (0, 1, 2, 3, 4, 5)),
            MIXED_ROWS,
        ),
        Mistake(
            lambda images, height, width: F.unfold(images, (height, width)).reshape(
                in_rows(images, height, width).shape
            ),
            MIXED_ROWS,
        ),
        Mistake(
            lambda images, height, width: in_rows(images, height, width)[:, ::height, ::width],
            "The windows lie side by side. With a stride of 1 each begins one pixel after the one before.",
        ),
        Mistake(lambda *given: in_rows(*given).trunc(), WHOLE),
        Mistake(
            lambda images, height, width: in_rows(images, height, width, (0, 2, 3, 4, 5, 1)),
            "Within a row the channels come last. `flatten` lays a filter channel by channel: all numbers of the first "
            "one, then those of the next.",
        ),
        Mistake(
            lambda images, height, width: in_rows(images, height, width, (0, 2, 3, 1, 5, 4)),
            "Each patch lies on its side: within a channel, go along its rows.",
        ),
        Mistake(
            lambda images, height, width: in_rows(images, height, width, (0, 3, 2, 1, 4, 5)),
            "The places are in another order: go along the first row of places, then along the next.",
        ),
        Mistake(
            lambda images, height, width: in_rows(images, height, width).transpose(1, 2),
            "Rows and columns of the places are exchanged.",
        ),
        Mistake(
            lambda images, height, width: in_rows(images, width, height),
            "Height and width of the window are exchanged.",
        ),
        Mistake(
            lambda images, height, width: in_rows(images, height, width)[:, :-1, :-1],
            "The last row and column of places are missing: there are H - height + 1 rows of them.",
        ),
        Mistake(
            lambda images, height, width: windows(images, height, width).permute(0, 2, 3, 1, 4, 5),
            "The patches are not laid in rows yet: channels, height and width become one dimension, see `flatten`.",
        ),
        Mistake(
            lambda images, height, width: in_rows(images, height, width).flatten(1, 2),
            "The places are in one long row. Give them back their rows and columns: see `unflatten`, or `reshape`.",
        ),
        Mistake(
            lambda images, height, width: in_rows(images[:, :1], height, width),
            "Only the first channel is there. A patch goes through all channels.",
        ),
        Mistake(
            lambda images, height, width: in_rows(images[:1], height, width)[0],
            "Only the first image is there. The result begins with a dimension for the images.",
        ),
        Mistake(
            lambda images, height, width: F.unfold(images, (height, width)),
            "The numbers of a patch stand in a column here, and the places in one long row. The task asks for "
            "the shape (N, rows, columns, numbers of a patch).",
        ),
    ],
    gaps=[
        Gap(
            lambda images, height, width: len(images) == 1,
            "It is right for one image. In a batch, no patch holds numbers of two images.",
        ),
        Gap(
            lambda images, height, width: images.shape[1] == 1,
            "It is right for one channel. A patch holds the numbers of all channels, one channel after the other.",
        ),
        Gap(
            lambda images, height, width: height == width,
            "It takes the window to be a square. Its height and its width are two numbers.",
        ),
    ],
)
def patches(images: Tensor, height: int, width: int) -> Tensor:
    """Lay each patch in a row. Shapes: (N, C, H, W) → (N, H - height + 1, W - width + 1, C · height · width)."""
    return in_rows(images, height, width)


def side_of(side: int, kernel: int, stride: int, padding: int) -> int:
    """Count the places of a kernel along one side."""
    return (side + 2 * padding - kernel) // stride + 1


def a_network(random: np.random.Generator) -> tuple[int, int, list[tuple]]:
    """Draw an image's side and channels, and layers: convolutions, and poolings between them, some with a rest."""
    layers: list[tuple] = []
    for _ in range(2):
        stride, padding = int(random.integers(1, 4)), int(random.integers(0, 3))
        layers += [("conv", int(random.integers(3, 9)), int(random.choice([2, 3, 5])), stride, padding)]
        layers += [("pool", int(random.choice([2, 3])))]
    layers[0], layers[2] = (*layers[0][:3], 2, 1), (*layers[2][:3], 1, 2)  # never without a stride and a padding
    return int(random.integers(40, 60)), int(random.integers(2, 5)), layers


def layers_of(side: int, channels: int, *layers: tuple) -> Callable[[], tuple[int, int, list[tuple]]]:
    """Return what gives an image and layers, each time a new list."""
    return lambda: (side, channels, list(layers))


def cost(
    side: int,
    channels: int,
    layers: list[tuple],
    side_of: Callable[..., float] = side_of,
    size_of: Callable[..., float] = lambda channels, filters, kernel: filters * (channels * kernel**2 + 1),
    work_of: Callable[..., float] = lambda channels, filters, kernel, side: filters * channels * kernel**2 * side**2,
    pool: Callable[[int, int], int] = lambda side, size: side // size,
    follow: bool = True,
    early: bool = False,
    left_of: Callable[[int, int], int] = lambda channels, side: channels * side**2,
) -> tuple[int, int, int]:
    """Return parameters, multiplications and what comes out; the arguments put mistakes in."""
    parameters, multiplications, first = 0, 0, channels
    for kind, *numbers in layers:
        if kind == "conv":
            filters, kernel, stride, padding = numbers
            before, side = side, side_of(side, kernel, stride, padding)
            parameters += size_of(channels, filters, kernel)
            multiplications += work_of(channels, filters, kernel, before if early else side)
            channels = filters if follow else first
        else:
            side = pool(side, *numbers)
    return parameters, multiplications, left_of(channels, side)


COSTS = "parameters", "multiplications", "numbers in the last maps"


def right_costs(result: tuple, side: int, channels: int, layers: list[tuple]) -> str | None:
    """Say which of the three numbers is wrong."""
    truth = cost(side, channels, layers)
    if same(result, truth):
        return None
    case = f" For example, network_cost{shown((side, channels, layers))} gave {shown(result)}."
    said = difference_in_form(result, truth)
    if not said:
        wrong = [name for name, found, right in zip(COSTS, result, truth, strict=True) if not same(found, right)]
        said = (
            f"Not right yet: {' and '.join(wrong)}. "
            "Follow two numbers from layer to layer: the side of the maps, and how many there are."
        )
    return said + (case if len(said) + len(case) < LONGEST_REMARK else "")


def costs_of(hint: str, **faults: Any) -> Mistake:
    """Return the mistake of counting with some faults."""
    return Mistake(lambda *given: cost(*given, **faults), hint)


NO_HALF_PLACES = "There are no half places: a kernel that would stick out has none. Round down, `//`."


@exercise(
    draw=a_network,
    edges=[
        layers_of(28, 1, ("conv", 8, 5, 1, 2), ("pool", 2), ("conv", 16, 3, 2, 0)),
        layers_of(28, 1, ("conv", 32, 3, 1, 0)),
        layers_of(7, 3, ("conv", 4, 1, 1, 0)),
        layers_of(15, 2, ("pool", 2)),
        layers_of(7, 2, ("conv", 3, 7, 2, 0)),
        layers_of(1, 1, ("conv", 1, 3, 1, 1)),
        layers_of(5, 2, ("conv", 3, 2, 9, 0)),
        layers_of(28, 3),
        layers_of(448, 3, ("conv", 512, 3, 1, 1)),  # more work than 32 bits can count
    ],
    notice="The same few weights are used at every place: the size of the image is in the work, not in the parameters.",
    hint="Follow two numbers from layer to layer: the side of the maps, and how many there are.",
    examine=right_costs,
    mistakes=[
        costs_of(
            "The biases are missing among the parameters: one for each filter.",
            size_of=lambda channels, filters, kernel: filters * channels * kernel**2,
        ),
        costs_of(
            "Each filter has one kernel for *each* input channel, not one in all. Count parameters and work anew.",
            size_of=lambda channels, filters, kernel: filters * (kernel**2 + 1),
            work_of=lambda channels, filters, kernel, side: filters * kernel**2 * side**2,
        ),
        costs_of(
            "The parameters are wrong: each filter has one kernel for *each* input channel, not one in all.",
            size_of=lambda channels, filters, kernel: filters * (kernel**2 + 1),
        ),
        costs_of(
            "The work is too little: each filter multiplies in *every* input channel, at each place.",
            work_of=lambda channels, filters, kernel, side: filters * kernel**2 * side**2,
        ),
        costs_of(
            "There is one bias for each filter, not for each of its kernels.",
            size_of=lambda channels, filters, kernel: filters * channels * (kernel**2 + 1),
        ),
        costs_of(
            "There is one bias for each filter, not one for the layer.",
            size_of=lambda channels, filters, kernel: filters * channels * kernel**2 + 1,
        ),
        costs_of(
            "After a convolution there are as many channels as it has filters. The next one takes all of them.",
            follow=False,
        ),
        costs_of(
            "The work is that of one place. A kernel is multiplied at each place of the map that comes out.",
            work_of=lambda channels, filters, kernel, side: filters * channels * kernel**2,
        ),
        costs_of(
            "The bias is added, not multiplied: it is no part of the multiplications.",
            work_of=lambda channels, filters, kernel, side: filters * (channels * kernel**2 + 1) * side**2,
        ),
        costs_of(
            "A kernel has size × size weights, not size.",
            size_of=lambda channels, filters, kernel: filters * (channels * kernel + 1),
            work_of=lambda channels, filters, kernel, side: filters * channels * kernel * side**2,
        ),
        costs_of(
            "The padding is put on one end only. It comes on both.",
            side_of=lambda side, kernel, stride, padding: (side + padding - kernel) // stride + 1,
        ),
        costs_of(
            "The padding is missing. It makes the side longer, at both ends.",
            side_of=lambda side, kernel, stride, padding: (side - kernel) // stride + 1,
        ),
        costs_of(
            "The stride is not used: with a stride of 2 every other place is left out.",
            side_of=lambda side, kernel, stride, padding: side + 2 * padding - kernel + 1,
        ),
        costs_of(
            "The first place is not counted: after `side + 2 * padding - kernel` steps of one there is one place more.",
            side_of=lambda side, kernel, stride, padding: (side + 2 * padding - kernel) // stride,
        ),
        costs_of(
            "The 1 is added before the division. It is the first place, which is there whatever the stride.",
            side_of=lambda side, kernel, stride, padding: (side + 2 * padding - kernel + 1) // stride,
        ),
        costs_of(
            NO_HALF_PLACES,
            side_of=lambda side, kernel, stride, padding: (side + 2 * padding - kernel) / stride + 1,
        ),
        costs_of(
            NO_HALF_PLACES,
            side_of=lambda side, kernel, stride, padding: math.ceil((side + 2 * padding - kernel) / stride) + 1,
        ),
        costs_of(
            NO_HALF_PLACES,
            side_of=lambda side, kernel, stride, padding: (side + 2 * padding - kernel) / stride + 1,
            pool=lambda side, size: side / size,
        ),
        costs_of(
            "A pooling leaves out a rest that fills no square, and half squares are none: round down, `//`.",
            pool=lambda side, size: side / size,
        ),
        costs_of(
            "A pooling leaves out a rest that fills no square: round down, `//`.",
            pool=lambda side, size: -(-side // size),
        ),
        costs_of("A pooling makes the maps smaller: their side is divided by its size.", pool=lambda side, size: side),
        costs_of(
            "A pooling moves on by its own size: its squares lie side by side.",
            pool=lambda side, size: side - size + 1,
        ),
        costs_of(
            "The work is counted with the side that goes into a layer. A kernel is multiplied at each place of the map "
            "that comes out.",
            early=True,
        ),
        costs_of(
            "The work is twice too much. Only multiplications count, and no additions.",
            work_of=lambda channels, filters, kernel, side: 2 * filters * channels * kernel**2 * side**2,
        ),
        Mistake(
            lambda *given: (cost(*given)[1], cost(*given)[0], cost(*given)[2]),
            "The first two are exchanged: the parameters come first, then the multiplications.",
        ),
        costs_of(
            "The last number is that of one map. All maps go on to the next layer.",
            left_of=lambda channels, side: side**2,
        ),
        costs_of(
            "The last number is the side of the maps. How many numbers do all of them hold?",
            left_of=lambda channels, side: side,
        ),
        costs_of(
            "The last number is channels times side. A map has side × side numbers.",
            left_of=lambda channels, side: channels * side,
        ),
    ],
    gaps=[
        Gap(
            lambda side, channels, layers: bool(layers),
            "Without any layer nothing is learned or multiplied, and the image itself comes out.",
        ),
        Gap(
            lambda *given: max(cost(*given)) < 2**31,
            "It goes wrong where the work is great. Numbers of 32 bits end at two thousand million; Python's do not.",
        ),
    ],
)
def network_cost(side: int, channels: int, layers: list[tuple]) -> tuple[int, int, int]:
    """Return the parameters of some layers, the multiplications for one image, and how many numbers come out."""
    return cost(side, channels, layers)


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
        lambda: ([(2, 3), (1, 2), (3, 1)],),
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
        *[
            Mistake(
                answer, "Each layer adds one step too many: of its kernel one is there already. It adds kernel - 1."
            )
            for answer in (
                lambda layers: 1 + sum(kernel for kernel, _ in layers),
                lambda layers: field([(kernel + 1, stride) for kernel, stride in layers]),
                lambda layers: field([(kernel + stride, stride) for kernel, stride in layers]),
            )
        ],
        Mistake(
            lambda layers: field([(stride, kernel) for kernel, stride in layers]),
            "Kernel and stride are exchanged: the kernel comes first.",
        ),
        Mistake(lambda layers: field(layers) ** 2, "This is how many pixels the square holds. Return its side."),
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
            lambda layers: all(kernel >= stride for kernel, stride in layers),
            "It goes wrong where a kernel is smaller than its stride. Then pixels are passed over, and lie between.",
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
            "This is the sum over the images. The task asks for the mean.",
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
            "These are the losses of the single images. The task asks for their mean.",
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
        Mistake(
            lambda logits, labels: -logits.log_softmax(dim=1).mean(),
            "The labels are not used: of each image, one number counts, that of its label.",
        ),
        Mistake(
            lambda logits, labels: -logits.log_softmax(dim=1)[:, labels].mean(),
            "For each image it takes the numbers of all labels. Each image has one label of its own: to pick one "
            "number from each row, give the rows as well.",
        ),
        Mistake(
            lambda logits, labels: logits.logsumexp(dim=1).mean(),
            "The logit of the label is missing: it is subtracted.",
        ),
        Mistake(
            lambda logits, labels: (logits.amax(dim=1) - logits[range(len(labels)), labels]).mean(),
            "The largest logit stands in for all ten. It may be subtracted first, but the sum of the exponentials "
            "stays.",
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
            "It is right for small logits. The exponential of a large one is infinite, and a probability can become 0: "
            "to add a little, to clamp or to leave out hides that, and the loss is wrong. Do not go through the "
            "probabilities: use `logsumexp`.",
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
    given = images.clone()
    one, five = model(images[:1]), model(images)
    if not torch.equal(images, given):
        return {"kind": "network", "paints": True}
    shapes = [tuple(getattr(logits, "shape", ())) for logits in (one, five)]
    if not isinstance(five, Tensor) or shapes != [(1, 10), (5, 10)]:
        return {"kind": "network", "returns": type(five).__name__, "shapes": shapes}
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
    if result.get("paints"):
        return "The network changes the images that it is given. Let it compute new ones from them."
    if result.get("returns", "Tensor") != "Tensor":
        return f"The network returns a {result['returns']}. It should return the logits alone, as a tensor."
    if result["shapes"] == [(1,), (5,)]:
        return "It returns one number for each image. Return all ten logits: which is the largest is asked later."
    for count, shape in zip((1, 5), result["shapes"], strict=True):
        if shape != (count, 10):
            images = "1 image" if count == 1 else f"{count} images"
            return f"For {images} it returns {shape}, and should return ({count}, 10): a logit for each digit."
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
