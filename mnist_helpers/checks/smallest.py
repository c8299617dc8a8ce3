"""Checks of exercise notebook 7: what convolutions cost, in two parts and with shared kernels, and a small network."""

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_helpers.checks import inputs
from mnist_helpers.checks.blueprint import BlueprintError, Layer, build, read_blueprint, sums, table
from mnist_helpers.checks.exercise import Gap, Mistake, exercise
from mnist_helpers.evaluation import evaluate
from mnist_helpers.startup import one_thread

MOST_PARAMETERS, MOST_STEPS, LOWEST = 2000, 150_000, 0.96
IMAGES, BATCH, RATE = 20_000, 64, 2e-2  # how a network is trained: once over so many images
BIASES = "Biases are counted. There are none: these are the kernels' weights alone."


def sizes_of_a_layer(random: np.random.Generator) -> tuple[int, int, int]:
    """Draw how many maps go in and come out, and the side of the kernels: three different numbers."""
    channels, maps = random.choice(np.arange(8, 40), size=2, replace=False)
    return int(channels), int(maps), int(random.choice([3, 5, 7]))


@exercise(
    draw=sizes_of_a_layer,
    edges=[lambda: (1, 8, 3), lambda: (14, 14, 3), lambda: (3, 1, 1)],
    notice="With 64 maps and a side of 3 it is 36,864 against 4,672: 7.9 times fewer. The more new maps, the nearer to "
    "nine.",
    hint="A usual convolution has a kernel for each pair of an old and a new map. In two parts there is a kernel for "
    "each old map, and a single weight for each pair.",
    mistakes=[
        Mistake(lambda c, m, k: (c * m * k**2 + m, c * k**2 + c * m + m), BIASES),
        Mistake(lambda c, m, k: (c * m * k**2 + m, c * k**2 + c + c * m + m), BIASES),
        Mistake(
            lambda c, m, k: (c * m * k**2, c * k**2 + m),
            "In the second part each new map has a weight for every old one.",
        ),
        Mistake(
            lambda c, m, k: (c * m * k**2, m * k**2 + c * m),
            "The first part has a kernel for each old map: the new ones are not there yet.",
        ),
        Mistake(
            lambda c, m, k: (c * m * k**2, c * k**2 * c * m), "The two parts follow each other: add their weights."
        ),
        Mistake(lambda c, m, k: (c * m * k, c * k + c * m), "A kernel is a square: side times side."),
        Mistake(
            lambda c, m, k: (m * k**2, c * k**2 + c * m), "A new map has a kernel for each old map, not one in all."
        ),
        Mistake(lambda c, m, k: (c * m * k**2, c * k**2), "The second part is missing: the weights that mix the maps."),
        Mistake(lambda c, m, k: (c * m * k**2, c * m), "The first part is missing: a kernel for each old map."),
        Mistake(lambda c, m, k: (c * k**2 + c * m, c * m * k**2), "The two are swapped: the usual one comes first."),
        Mistake(
            lambda c, m, k: (c * m * k**2, c * k**2 + c * m * k**2),
            "The kernels of the second part have a side of 1.",
        ),
    ],
)
def weights_of(channels: int, maps: int, side: int) -> tuple[int, int]:
    """Return how many weights a convolution has, and how many a separable one."""
    return channels * maps * side**2, channels * side**2 + channels * maps


def images_and_kernels(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw maps of some images, and a kernel for each map."""
    images, channels, height, width = (int(random.integers(*ends)) for ends in [(1, 4), (2, 5), (5, 9), (9, 12)])
    side = int(random.choice([2, 3, 4]))
    return inputs.normal(random, images, channels, height, width), inputs.normal(random, channels, side, side)


def apart(maps: Tensor, kernels: Tensor) -> Tensor:
    """Lay each kernel on its own map."""
    return F.conv2d(maps, kernels[:, None], groups=len(kernels))


@exercise(
    draw=images_and_kernels,
    by_hand=("conv",),
    edges=[
        lambda: (torch.arange(20.0).view(1, 1, 4, 5), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])),
        lambda: (torch.ones(2, 3, 3, 3), torch.ones(3, 3, 3)),
        lambda: (torch.arange(12.0).view(1, 2, 2, 3), torch.tensor([[[2.0]], [[-1.0]]])),
    ],
    gaps=[
        Gap(lambda maps, kernels: len(maps) == 1, "It goes wrong where there is more than one image in the batch."),
        Gap(lambda maps, kernels: len(kernels) == 1, "It goes wrong where there is more than one map."),
    ],
    notice="No map has met another. That is what the second part is for.",
    hint="For each place, multiply the window of each map by that map's kernel, and add up over the window alone.",
    mistakes=[
        Mistake(
            lambda maps, kernels: apart(maps, kernels).sum(dim=1, keepdim=True),
            "The maps are added up. Each stays by itself.",
        ),
        Mistake(lambda maps, kernels: apart(maps, kernels).sum(dim=1), "The maps are added up. Each stays by itself."),
        Mistake(
            lambda maps, kernels: apart(maps, kernels.flip(1, 2)), "The kernels are turned. Lay them on as they are."
        ),
        Mistake(
            lambda maps, kernels: apart(maps, kernels.transpose(1, 2)), "Rows and columns of the kernels are exchanged."
        ),
        Mistake(
            lambda maps, kernels: apart(maps, kernels[:1].expand_as(kernels)),
            "All maps meet the first kernel. Each has its own.",
        ),
        Mistake(lambda maps, kernels: apart(maps, kernels.flip(0)), "The kernels are in the wrong order."),
        Mistake(
            lambda maps, kernels: apart(maps, kernels) / kernels[0].numel(),
            "This is a mean over the window. Take the sum.",
        ),
        Mistake(
            lambda maps, kernels: F.conv2d(maps, kernels[:, None], groups=len(kernels), padding=kernels.shape[-1] // 2),
            "There are zeros around the maps. Kernels stay inside here.",
        ),
    ],
)
def each_by_itself(maps: Tensor, kernels: Tensor) -> Tensor:
    """Return what the first part of a separable convolution makes of maps: (B, C, H, W), (C, K, K) → (B, C, …)."""
    return apart(maps, kernels)


def one_kernel(random: np.random.Generator) -> tuple[Tensor]:
    """Draw a kernel."""
    side = int(random.choice([2, 3, 5]))
    return (inputs.normal(random, side, side),)


def ways(kernel: Tensor, turned: Callable[[Tensor, int], Tensor], mirrored: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a kernel in eight ways; how it is turned and mirrored puts the mistakes in."""
    turns = [turned(kernel, quarters) for quarters in range(4)]
    return torch.stack([*turns, *map(mirrored, turns)])


def counterclockwise(kernel: Tensor, quarters: int) -> Tensor:
    """Turn a kernel."""
    return kernel.rot90(quarters)


def left_and_right(kernel: Tensor) -> Tensor:
    """Mirror a kernel."""
    return kernel.flip(1)


@exercise(
    draw=one_kernel,
    edges=[lambda: (torch.arange(9.0).view(3, 3),), lambda: (torch.tensor([[5.0]]),), lambda: (torch.ones(3, 3),)],
    notice="There are no others: turn or mirror any of them, and you get one of the eight. They are a square's "
    "symmetries.",
    hint="Four turns, then the mirror image of each of the four, in the same order.",
    mistakes=[
        Mistake(
            lambda kernel: ways(kernel, lambda one, quarters: one.rot90(-quarters), left_and_right),
            "It turns clockwise. Counterclockwise is asked for.",
        ),
        Mistake(
            lambda kernel: ways(kernel, counterclockwise, lambda one: one.flip(0)),
            "Above and below are exchanged. Exchange left and right.",
        ),
        Mistake(
            lambda kernel: ways(kernel, counterclockwise, lambda one: one.T),
            "This mirrors at the diagonal. Exchange left and right.",
        ),
        Mistake(
            lambda kernel: ways(kernel, counterclockwise, lambda one: one.flip(0, 1)),
            "Exchanging both is half a turn, which is there already. Exchange left and right alone.",
        ),
        Mistake(
            lambda kernel: torch.stack([one for n in range(4) for one in (kernel.rot90(n), kernel.rot90(n).flip(1))]),
            "Each turn has its mirror image beside it. The four turns come first, then the four mirror images.",
        ),
        Mistake(
            lambda kernel: torch.stack(
                [*(kernel.rot90(n) for n in range(4)), *(kernel.flip(1).rot90(n) for n in range(4))]
            ),
            "The last four are turns of the mirror image. Mirror each turn: they come in another order.",
        ),
        Mistake(lambda kernel: torch.stack([kernel.rot90(n) for n in range(4)]), "The four mirror images are missing."),
        Mistake(
            lambda kernel: torch.stack([kernel.rot90(n) for n in range(8)]),
            "After four turns it is where it began. The last four are mirror images.",
        ),
    ],
)
def eight_ways(kernel: Tensor) -> Tensor:
    """Return a kernel turned by quarters, then the mirror image of each. Shapes: (K, K) → (8, K, K)."""
    return ways(kernel, counterclockwise, left_and_right)


def maps_and_dense_layer(random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw the last maps of some images, and the weights and biases of a dense layer behind their means."""
    images, maps, height, width = (int(random.integers(*ends)) for ends in [(1, 4), (3, 7), (2, 5), (5, 8)])
    return (
        inputs.normal(random, images, maps, height, width),
        inputs.normal(random, 10, maps),
        inputs.normal(random, 10),
    )


def at_places(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the dense layer's answer at each place."""
    return torch.einsum("bchw,kc->bkhw", maps, weight) + bias[:, None, None]


@exercise(
    draw=maps_and_dense_layer,
    edges=[
        lambda: (torch.arange(6.0).view(1, 1, 2, 3), torch.eye(10)[:, :1], torch.zeros(10)),
        lambda: (torch.zeros(2, 3, 1, 2), torch.ones(10, 3), torch.arange(10.0)),
    ],
    gaps=[
        Gap(
            lambda maps, weight, bias: len(maps) == 1,
            "It goes wrong where there is more than one image in the batch.",
        )
    ],
    notice="So a mean before the dense layer hides nothing: each place has its say, and logits are the mean of all.",
    hint="At each place there is one number from each map. The dense layer takes these as it takes the means.",
    mistakes=[
        Mistake(
            lambda maps, weight, bias: maps.mean(dim=(2, 3)) @ weight.T + bias,
            "These are the logits. Leave the mean out: each place has ten numbers of its own.",
        ),
        Mistake(lambda maps, weight, bias: torch.einsum("bchw,kc->bkhw", maps, weight), "The biases are missing."),
        Mistake(
            lambda maps, weight, bias: at_places(maps, weight, bias / maps[0, 0].numel()),
            "The biases are shared out. The *mean* over the places is to give the logits, so each has them whole.",
        ),
        Mistake(
            lambda maps, weight, bias: at_places(maps, weight, bias) / maps[0, 0].numel(),
            "Divided by the number of places, their *sum* gives the logits. Their mean is to give them.",
        ),
        Mistake(
            lambda maps, weight, bias: at_places(maps / maps[0, 0].numel(), weight, bias),
            "The maps are divided by the number of places. Leave that to the mean, which is taken of the answers.",
        ),
        Mistake(
            lambda maps, weight, bias: at_places(maps, weight, bias).softmax(dim=1),
            "A softmax was applied. Logits have none, and a mean of probabilities is another thing.",
        ),
        Mistake(
            lambda maps, weight, bias: at_places(maps, weight, bias).relu(),
            "Negative answers are cut off. That changes the mean.",
        ),
        Mistake(
            lambda maps, weight, bias: at_places(maps, weight, bias).permute(0, 2, 3, 1),
            "The ten numbers come last. Put them where the maps were: (images, 10, height, width).",
        ),
    ],
)
def logits_at_places(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the ten numbers of each place. Shapes: (B, C, H, W), (10, C), (10,) → (B, 10, H, W)."""
    return at_places(maps, weight, bias)


@functools.lru_cache(maxsize=100)
def accuracy_of(layers: tuple[Layer, ...]) -> float:
    """Train a network as every one of the challenge is trained, and return its accuracy on the validation images.

    The first weights and the order of the images are the same each time, and one thread computes. So a description has
    one accuracy on one machine; another, which rounds differently, may come to another one.
    """
    with inputs.seeded(0), one_thread():
        model = build(list(layers))
        train = inputs.part("train")
        order = torch.randperm(len(train))[:IMAGES]
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=len(order) // BATCH)
        for batch in order[: IMAGES // BATCH * BATCH].split(BATCH):
            loss = F.cross_entropy(model(train.images[batch].float() / 255), train.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return evaluate(model.eval(), inputs.part("validation")).accuracy


def small_enough_and_good(value: Any) -> str | None:
    """Say what a description lacks."""
    try:
        layers = read_blueprint(value)
    except BlueprintError as error:
        return str(error)
    parameters, steps = sums(layers)
    if parameters > MOST_PARAMETERS:
        return f"It has {parameters:,} parameters, and should have {MOST_PARAMETERS:,} at most."
    if steps > MOST_STEPS:
        return (
            f"It takes {steps:,} steps for an image, and should take {MOST_STEPS:,} at most. Pool earlier: most steps "
            "are taken where the maps are large."
        )
    accuracy = accuracy_of(tuple(layers))
    if accuracy >= LOWEST:
        return None
    told = f"Its {parameters:,} parameters read {accuracy:.2%} of the validation images, and {LOWEST:.0%} is asked for."
    normal = [one.kind for one in layers].count("norm")
    if normal < sum(one.kind in ("conv", "mix") for one in layers):
        return f"{told} With a norm before each ReLU it learns faster at this rate."
    return f"{told} Are the parameters where they do most? Is it very narrow somewhere, or does it end too early?"


def parameters_and_words(value: Any) -> tuple[int, str]:
    """Return the number by which a class is ranked, and what is said of a good network."""
    layers = read_blueprint(value)
    parameters, _ = sums(layers)
    return parameters, f"{parameters:,} parameters, {accuracy_of(tuple(layers)):.2%} of the validation images."


def show_layers(description: Any) -> None:
    """Print what each layer of a description gives and costs, or why it cannot be read."""
    try:
        print(table(read_blueprint(description)))
    except BlueprintError as error:
        print(error)


@exercise(
    draw=lambda _random: (),
    rounds=0,
    edges=[lambda: ()],
    seconds=60,
    notice="Who needs fewer?",
    hint="Return a list of layers.",
    examine=small_enough_and_good,
    rank=parameters_and_words,
)
def my_network() -> list[tuple]:
    """Return the layers of a network with few parameters."""
    widths = (8, 16, 16, 16, 16)
    layers = [("cut", 2), ("conv", widths[0], 3), ("pool", 2), ("norm",), ("relu",)]
    for before, after in pairwise(widths):
        layers += [("apart", before, 3), ("mix", after), ("norm",), ("relu",)]
    return [*layers, ("mean",), ("dense", 10)]
