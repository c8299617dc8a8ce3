"""The bank of an exam's tasks: three for each of six topics, and each with numbers that differ from paper to paper.

A task is the function that solves it; the paper's numbers are its keyword arguments, and stand in braces in its text.
Hints are the same for all, so that those of a class can be counted. Whatever else needs the numbers (inputs, mistakes)
gets them first, as attributes of one thing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace as Numbers
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import ROUNDS, Exercise, Mistake

Random = np.random.Generator


@dataclass(frozen=True)
class Task:
    """A task of the bank; its function has one of the `names` in each exam.

    `numbers` draws a paper's. `draw`, `edges` and the answers of `mistakes` are those of an exercise, but get the
    numbers first.
    """

    topic: str
    title: str
    names: Sequence[str]
    numbers: Callable[[Random], dict[str, Any]]
    text: str
    solve: Callable[..., Any]
    draw: Callable[[Numbers, Random], tuple]
    notice: str
    hint: str
    mistakes: Sequence[Mistake]
    edges: Sequence[Callable[[Numbers], tuple]] = ()
    by_hand: Sequence[str] = ()
    rounds: int = ROUNDS

    def exercise(self, name: str, numbers: dict[str, Any]) -> Exercise:
        """Return the exercise for the numbers of a paper."""
        own = Numbers(**numbers)
        return Exercise(
            name=name,
            solve=partial(self.solve, **numbers),
            draw=partial(self.draw, own),
            notice=self.notice,
            hint=self.hint,
            mistakes=[Mistake(partial(one.answer, own), one.hint) for one in self.mistakes],
            edges=[partial(one, own) for one in self.edges],
            by_hand=self.by_hand,
            rounds=self.rounds,
        )


TOPICS: dict[str, list[Task]] = {}


def task(topic: str, title: str, names: Sequence[str], **settings: Any) -> Callable[[Callable], Callable]:
    """Put the task that a function solves into the bank."""

    def put(solve: Callable) -> Callable:
        TOPICS.setdefault(topic, []).append(Task(topic, title, names, solve=solve, **settings))
        return solve

    return put


def whole(random: Random, least: int, most: int) -> int:
    """Draw a whole number, both ends included."""
    return int(random.integers(least, most + 1))


def hundredths(random: Random, least: int, most: int) -> float:
    """Draw a number of hundredths, both ends included."""
    return whole(random, least, most) / 100


def one_of(random: Random, *things: Any) -> Any:
    """Draw one of a few things."""
    return things[whole(random, 0, len(things) - 1)]


def logits_and_labels(_n: Numbers, random: Random) -> tuple[Tensor, Tensor]:
    """Draw logits, and labels of which about half are the largest logit's. Shapes: (N, 10) float32, (N,) int64."""
    count = whole(random, 8, 40)
    logits = 3 * inputs.normal(random, count, 10)
    others = torch.from_numpy(random.integers(0, 10, count))
    return logits, torch.where(torch.from_numpy(random.random(count) < 0.5), logits.argmax(dim=1), others)


DATA, MODEL, TRAINING = "The data", "The model", "Training"
GRADIENTS, EVALUATION, MAPS = "Losses and gradients", "Evaluation", "Maps and symbols"


# The data


def camera_file(n: Numbers, random: Random, count: int | None = None) -> tuple[bytes]:
    """Draw the bytes of a file with so many sizes in its header."""
    sizes = [whole(random, 0, 256**n.width - 1) for _ in range(whole(random, 1, 4) if count is None else count)]
    packed = b"".join(size.to_bytes(n.width, n.order) for size in sizes)
    return (random.bytes(n.skip) + bytes([len(sizes)]) + packed + random.bytes(whole(random, 0, 20)),)


def read_sizes(n: Numbers, raw: bytes, start: int, count: int, order: str = "") -> list[int]:
    """Read so many sizes, from a byte on."""
    places = range(start, start + n.width * count, n.width)
    return [int.from_bytes(raw[place : place + n.width], order or n.order) for place in places]


@task(
    DATA,
    "A header of another format",
    ("sizes_in_header", "sizes_from_camera", "sizes_of_file"),
    numbers=lambda random: {
        "skip": whole(random, 2, 7),
        "width": whole(random, 2, 3),
        "order": one_of(random, "big", "little"),
    },
    text="A camera writes its pictures in a format of its own. The first {skip} bytes of a file hold the camera's "
    "name. The next byte says how many sizes follow; there may be none. Each size takes {width} bytes, in the "
    'byte order that Python calls `"{order}"`. Then come the pixels. Return the sizes, as whole numbers, in a '
    "list.",
    draw=camera_file,
    edges=[
        lambda n: camera_file(n, np.random.default_rng(0), 0),
        lambda n: camera_file(n, np.random.default_rng(1), 200),
    ],
    notice="Numbers of several bytes have an order, and whoever reads a file has to know it.",
    hint="Apply `int.from_bytes` to one slice for each size. The first slice begins after the byte that counts them.",
    mistakes=[
        Mistake(
            lambda n, raw: read_sizes(n, raw, n.skip + 1, raw[n.skip], {"big": "little", "little": "big"}[n.order]),
            "The bytes of each size are taken in the wrong order.",
        ),
        Mistake(
            lambda n, raw: read_sizes(n, raw, n.skip, raw[n.skip]),
            "It begins one byte too early, at the one that says how many sizes there are.",
        ),
        Mistake(
            lambda n, raw: list(raw[n.skip + 1 : n.skip + 1 + raw[n.skip]]),
            "It reads one byte for each size. Each has several.",
        ),
        Mistake(
            lambda n, raw: read_sizes(n, raw, n.skip + 1, 3),
            "It reads three sizes from every file. The byte in front of them says how many there are.",
        ),
    ],
)
def header(raw: bytes, *, skip: int, width: int, order: str) -> list[int]:
    """Return the sizes in the header of a file."""
    first = skip + 1
    starts = [first + width * number for number in range(raw[skip])]
    return [int.from_bytes(raw[start : start + width], order) for start in starts]


def moved_by(images: Tensor, down: int, right: int, grey: int) -> Tensor:
    """Return images moved down and to the right, in front of grey."""
    result = torch.full_like(images, grey)
    result[..., down:, right:] = images[..., :-down, :-right]
    return result


@task(
    DATA,
    "Images that move",
    ("moved_images", "push_images", "displaced_images"),
    numbers=lambda random: {"down": whole(random, 1, 3), "right": whole(random, 4, 7), "grey": whole(random, 20, 90)},
    text="Move each image of a batch {down} pixels down and {right} pixels to the right. Whatever leaves an image is "
    "lost, and the pixels that are left empty get the value {grey}. Return the moved images, in the same shape; "
    "the ones you were given stay as they are.",
    draw=lambda _n, random: (inputs.digits(random, whole(random, 1, 6))[0],),
    notice="A convolution finds a digit in its new place, too. A dense layer has to learn it all over again.",
    hint="Make a batch of the same shape that is all grey, and copy the part that stays into its new place.",
    mistakes=[
        Mistake(
            lambda n, images: images.roll((n.down, n.right), dims=(2, 3)),
            "What leaves on one side comes back on the other. It should be lost.",
        ),
        Mistake(lambda n, images: moved_by(images, n.down, n.right, 0), "The empty pixels are 0. They should be grey."),
        Mistake(lambda n, images: moved_by(images, n.right, n.down, n.grey), "Down and right have changed places."),
        Mistake(
            lambda n, images: moved_by(images.flip(2, 3), n.down, n.right, n.grey).flip(2, 3),
            "The images move up and to the left. They should move the other way.",
        ),
    ],
)
def move(images: Tensor, *, down: int, right: int, grey: int) -> Tensor:
    """Move images down and to the right.

    Shapes: (N, 1, 28, 28) uint8 → the same.
    """
    result = torch.full_like(images, grey)
    result[:, :, down:, right:] = images[:, :, :-down, :-right]
    return result


def count_of(labels: Tensor, *digits: int) -> int:
    """Return how many labels are one of some digits."""
    return int(torch.isin(labels, torch.tensor(digits)).sum())


@task(
    DATA,
    "What share do these digits make up?",
    ("share_of_three", "share_of_digits", "part_of_labels"),
    numbers=lambda random: {"low": whole(random, 0, 3), "middle": whole(random, 4, 6), "high": whole(random, 7, 9)},
    text="What share of these labels is {low}, {middle} or {high}? Return it as a number between 0 and 1. If there are "
    "no labels, return 0.",
    draw=lambda _n, random: (torch.from_numpy(random.integers(0, 10, whole(random, 20, 200))),),
    edges=[lambda _n: (torch.zeros(0, dtype=torch.int64),)],
    notice="The share of one class is the accuracy of a network that always gives that answer. Look at it first.",
    hint="Decide for each label whether it is one of the three, count those, and divide by the number of labels.",
    mistakes=[
        Mistake(
            lambda n, labels: count_of(labels, n.low, n.middle, n.high),
            "It counts them. Divide by the number of labels.",
        ),
        Mistake(
            lambda n, labels: 100 * count_of(labels, n.low, n.middle, n.high) / max(1, len(labels)),
            "It gives a percentage. A share lies between 0 and 1.",
        ),
        Mistake(
            lambda n, labels: count_of(labels, *range(n.low, n.high + 1)) / max(1, len(labels)),
            "It counts all digits from the lowest to the highest. Only three are meant.",
        ),
        Mistake(
            lambda n, labels: count_of(labels, n.low, n.middle, n.high) / max(1, len(labels)) / 3,
            "It is the mean of three shares. Add them up.",
        ),
    ],
)
def share(labels: Tensor, *, low: int, middle: int, high: int) -> float:
    """Return the share of the labels that are one of three digits.

    Shapes: (N,) int64.
    """
    if len(labels) == 0:
        return 0.0
    chosen = (labels == low) | (labels == middle) | (labels == high)
    return chosen.float().mean().item()


# The model


@task(
    MODEL,
    "The side length of the last maps",
    ("side_of_maps", "last_side", "side_behind_layers"),
    numbers=lambda random: {
        "kernel": one_of(random, 3, 5, 7),
        "stride": whole(random, 2, 3),
        "zeros": whole(random, 1, 2),
        "pool": whole(random, 2, 3),
        "last": whole(random, 2, 5),
    },
    text="An image of `size` × `size` pixels passes through three layers. The first is a convolution with a kernel of "
    "{kernel} × {kernel}, a stride of {stride} and a border of zeros that is {zeros} wide (`padding={zeros}`). "
    "The second is max pooling over windows of {pool} × {pool} that do not overlap. The third is a convolution "
    "with a kernel of {last} × {last}, a stride of 1 and no padding. Where a kernel or a window does not fit "
    "completely, nothing is computed, as in torch. Return the side length of the last maps, in pixels.",
    draw=lambda _n, random: (whole(random, 60, 200),),
    edges=[lambda _n, size=size: (size,) for size in range(60, 69)],  # whatever is left over somewhere
    notice="Two of the three layers make the maps smaller by a factor, and memory and time by its square.",
    hint="Work through the layers one by one, and round down in each. A kernel that can make n steps has n + 1 places.",
    mistakes=[
        Mistake(
            lambda n, size: ((size - n.kernel) // n.stride + 1) // n.pool - n.last + 1,
            "The padding of the first layer is missing.",
        ),
        Mistake(
            lambda n, size: ((size + n.zeros - n.kernel) // n.stride + 1) // n.pool - n.last + 1,
            "The padding is added once. It is there on both sides.",
        ),
        Mistake(
            lambda n, size: (size + 2 * n.zeros - n.kernel) // n.stride // n.pool - n.last,
            "A kernel that can make n steps has n + 1 places.",
        ),
        Mistake(
            lambda n, size: -(-((size + 2 * n.zeros - n.kernel) // n.stride + 1) // n.pool) - n.last + 1,
            "Pooling leaves out a window that does not fit completely: round down.",
        ),
        Mistake(
            lambda n, size: (size + 2 * n.zeros - n.kernel) // n.stride + 1 - n.pool + 1 - n.last + 1,
            "The windows of the pooling do not overlap, so the maps get smaller by a factor.",
        ),
    ],
)
def side(size: int, *, kernel: int, stride: int, zeros: int, pool: int, last: int) -> int:
    """Return the side length of the last maps."""
    first = (size + 2 * zeros - kernel) // stride + 1
    second = first // pool
    return second - last + 1


def parameter_count(n: Numbers, channels: int, classes: int, bias: int = 1, pool: int = 2) -> int:
    """Count the parameters of the network that is asked about; the last arguments put mistakes in."""
    side = (28 - n.kernel + 1 - 2) // pool
    convolutions = n.filters * (channels * n.kernel**2 + bias) + n.more * (n.filters * 9 + bias)
    return convolutions + n.hidden * (n.more * side**2 + bias) + classes * (n.hidden + bias)


@task(
    MODEL,
    "What a network has to learn",
    ("parameters_in_all", "size_of_network", "numbers_to_learn"),
    numbers=lambda random: {
        "filters": whole(random, 4, 12),
        "kernel": one_of(random, 3, 5),
        "more": whole(random, 14, 40),
        "hidden": whole(random, 30, 90),
    },
    text="A network reads images of 28 × 28 pixels with `channels` channels. Its layers are a convolution with "
    "{filters} filters of {kernel} × {kernel}; a convolution with {more} filters of 3 × 3; max pooling over "
    "windows of 2 × 2 that do not overlap; a dense layer that gives {hidden} numbers; and a dense layer that "
    "gives a logit for each of `classes` classes. The convolutions have a stride of 1 and no padding, and every "
    "layer that can have biases has them. How many parameters does it have? You may build it, or count by hand.",
    draw=lambda _n, random: (whole(random, 1, 4), whole(random, 2, 30)),
    notice="Nearly all of them are in the first dense layer, which knows nothing of neighbours.",
    hint="A filter has a kernel for each channel that it sees, and a bias. A dense layer has a weight for each pair of "
    "numbers, and biases. The side of the last maps says how many numbers reach it.",
    mistakes=[
        Mistake(lambda n, channels, classes: parameter_count(n, channels, classes, bias=0), "The biases are missing."),
        Mistake(lambda n, channels, classes: parameter_count(n, channels, classes, pool=1), "The pooling is missing."),
        Mistake(
            lambda n, _channels, classes: parameter_count(n, 1, classes),
            "The first filters have a kernel for each channel of the image.",
        ),
        Mistake(lambda n, channels, _classes: parameter_count(n, channels, 10), "It always counts ten classes."),
        Mistake(
            lambda n, channels, classes: parameter_count(n, channels, classes) - n.more * (n.filters - 1) * 9,
            "The filters of the second convolution have a kernel for each map of the first.",
        ),
    ],
)
def parameters(channels: int, classes: int, *, filters: int, kernel: int, more: int, hidden: int) -> int:
    """Return how many parameters the network has."""
    side = (28 - kernel + 1 - 3 + 1) // 2
    convolutions = filters * (channels * kernel**2 + 1) + more * (filters * 3**2 + 1)
    return convolutions + hidden * (more * side**2 + 1) + classes * (hidden + 1)


Layers = list[tuple[int, int]]  # kernel and stride of each


def view_of(layers: Layers) -> int:
    """Return how many pixels across one number behind some layers depends on."""
    pixels = 1
    for kernel, stride in reversed(layers):
        pixels = (pixels - 1) * stride + kernel
    return pixels


@task(
    MODEL,
    "How far a number sees",
    ("pixels_seen", "width_of_view", "reach_of_layers"),
    numbers=lambda random: {"pool": whole(random, 2, 4), "last": one_of(random, 3, 5, 7)},
    text="Each of the `layers` is a pair: the side of its kernel, and its stride. After them come max pooling over "
    "windows of {pool} × {pool} that do not overlap, and a convolution with a kernel of {last} × {last} and a "
    "stride of 1. How many pixels across is the region of the image that one number of the last maps depends on, "
    "away from the border? The list of `layers` may be empty.",
    draw=lambda _n, random: ([(whole(random, 3, 7), whole(random, 1, 3)) for _ in range(whole(random, 1, 5))],),
    edges=[lambda _n: ([],), lambda _n: ([(1, 1), (5, 2), (1, 1)],)],
    notice="Strides multiply: after a few of them, one number sees most of a digit.",
    hint="Go through the layers. Each adds the side of its kernel less one, times all strides before it.",
    mistakes=[
        Mistake(
            lambda n, layers: 1 + sum(kernel - 1 for kernel, _ in [*layers, (n.pool, n.pool), (n.last, 1)]),
            "The strides play no part in it. After a stride of 2, each step is two pixels.",
        ),
        Mistake(
            lambda n, layers: view_of([*layers, (n.pool, 1), (n.last, 1)]),
            "The pooling has a stride, too: the side of its windows.",
        ),
        Mistake(lambda n, layers: view_of([*layers, (n.last, 1)]), "The pooling is missing."),
        Mistake(lambda n, layers: view_of([*layers, (n.pool, n.pool)]), "The last convolution is missing."),
        Mistake(lambda _n, layers: view_of(layers), "The two layers after the given ones are missing."),
        Mistake(
            lambda n, layers: view_of([(n.last, 1), (n.pool, n.pool), *layers[::-1]]),
            "The layers are taken in the wrong order.",
        ),
    ],
)
def reach(layers: list[tuple[int, int]], *, pool: int, last: int) -> int:
    """Return how many pixels across one number of the last maps depends on."""
    pixels, step = 1, 1
    for kernel, stride in [*layers, (pool, pool), (last, 1)]:
        pixels += (kernel - 1) * step
        step *= stride
    return pixels


# Training


def rate(n: Numbers, step: int, steps: int, ahead: int = 1, late: int = 0) -> float:
    """Return the learning rate of a step; the last arguments put mistakes in."""
    if step < n.warm_up:
        return n.peak * (step + ahead) / n.warm_up
    return n.floor + (n.peak - n.floor) * (steps - 1 - step) / max(1, steps - n.warm_up - late)


def step_and_steps(n: Numbers, random: Random) -> tuple[int, int]:
    """Draw a step, and how many there are."""
    steps = n.warm_up + whole(random, 20, 200)
    return whole(random, 0, steps - 1), steps


@task(
    TRAINING,
    "A learning rate that rises and falls",
    ("rate_at", "scheduled_rate", "lr_of_step"),
    numbers=lambda random: {
        "warm_up": whole(random, 6, 40),
        "peak": hundredths(random, 4, 40),
        "floor": whole(random, 1, 9) / 1000,
    },
    text="Steps are counted from 0. Over the first {warm_up} steps the learning rate rises by the same amount each "
    "time, from {peak} / {warm_up} at step 0 to {peak} at step {warm_up} − 1. Then it falls by the same amount "
    "each time, and is {floor} at the last step, `steps` − 1. Return the learning rate at `step`. There are "
    "always more than {warm_up} steps.",
    draw=step_and_steps,
    edges=[
        lambda n: (0, n.warm_up + 50),
        lambda n: (n.warm_up - 1, n.warm_up + 50),
        lambda n: (n.warm_up, n.warm_up + 50),
        lambda n: (n.warm_up + 49, n.warm_up + 50),
        lambda n: (n.warm_up, n.warm_up + 1),
    ],
    notice="The first steps are small, as long as the optimizer knows little about the gradients.",
    hint="These are two straight lines that meet at the peak. Try the first and the last step of each in your formula.",
    mistakes=[
        Mistake(lambda n, step, steps: rate(n, step, steps, ahead=0), "At step 0 the rate is 0: nothing is learnt."),
        Mistake(
            lambda n, step, steps: rate(Numbers(**vars(n) | {"floor": 0.0}), step, steps),
            "It falls to 0. At the last step something should be left.",
        ),
        Mistake(
            lambda n, step, steps: rate(n, step, steps, late=1),
            "It stays at the peak for two steps. At the second of them it should have begun to fall.",
        ),
        Mistake(
            lambda n, step, steps: (
                rate(n, step, steps) if step < n.warm_up else n.peak + (n.floor - n.peak) * step / (steps - 1)
            ),
            "The fall begins at the peak, so count its steps from there.",
        ),
    ],
)
def schedule(step: int, steps: int, *, warm_up: int, peak: float, floor: float) -> float:
    """Return the learning rate of a step."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    left = (steps - 1 - step) / (steps - warm_up)
    return floor + (peak - floor) * left


def three_alike(_n: Numbers, random: Random) -> tuple[Tensor, Tensor, Tensor]:
    """Draw weights, velocities and gradients of one shape."""
    shape = [whole(random, 1, 4) for _ in range(whole(random, 1, 3))]
    return inputs.normal(random, *shape), inputs.normal(random, *shape), inputs.normal(random, *shape)


def pushed(n: Numbers, weight: Tensor, velocity: Tensor, push: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights and velocities after a push."""
    velocity = n.momentum * velocity + push
    return weight - n.lr * velocity, velocity


@task(
    TRAINING,
    "One step of SGD",
    ("step_of_sgd", "one_update", "step_with_momentum"),
    numbers=lambda random: {
        "lr": hundredths(random, 2, 30),
        "momentum": hundredths(random, 70, 95),
        "decay": hundredths(random, 2, 9),
    },
    text="Make one step of SGD, as `torch.optim.SGD` does it with `lr={lr}`, `momentum={momentum}` and "
    "`weight_decay={decay}`. First {decay} times the weights is added to the gradient. The new velocity is "
    "{momentum} times the old one plus this sum. The weights move against it: {lr} times the new velocity is "
    "subtracted. Return the new weights and the new velocity; what you were given stays as it is.",
    draw=three_alike,
    notice="The velocity remembers earlier gradients: as long as they agree, the steps get longer.",
    hint="Three lines: the gradient with the decay, the velocity, the weights. Each uses the one before.",
    mistakes=[
        Mistake(lambda n, weight, velocity, gradient: pushed(n, weight, velocity, gradient), "The decay is missing."),
        Mistake(
            lambda n, weight, velocity, gradient: pushed(n, weight, velocity, gradient - n.decay * weight),
            "The decay makes the weights larger. Add it to the gradient.",
        ),
        Mistake(
            lambda n, weight, velocity, gradient: (
                weight - n.lr * velocity,
                n.momentum * velocity + gradient + n.decay * weight,
            ),
            "The weights move by the old velocity. Move them by the new one.",
        ),
        Mistake(
            lambda n, weight, velocity, gradient: (
                weight - n.lr * (gradient + n.decay * weight),
                n.momentum * velocity + gradient + n.decay * weight,
            ),
            "The weights move by the gradient alone. Move them by the velocity.",
        ),
        Mistake(
            lambda n, weight, velocity, gradient: (
                weight - n.momentum * velocity - n.lr * (gradient + n.decay * weight),
                n.momentum * velocity + n.lr * (gradient + n.decay * weight),
            ),
            "The learning rate is in the velocity. In torch's SGD it comes in when the weights move.",
        ),
        Mistake(
            lambda n, weight, velocity, gradient: pushed(
                n, weight, velocity, (1 - n.momentum) * (gradient + n.decay * weight)
            ),
            "The gradient is multiplied by 1 − momentum. torch's SGD adds it whole.",
        ),
    ],
)
def update(
    weight: Tensor, velocity: Tensor, gradient: Tensor, *, lr: float, momentum: float, decay: float
) -> tuple[Tensor, Tensor]:
    """Return the new weights and the new velocity.

    Shapes: all alike, float32.
    """
    gradient = gradient + decay * weight
    velocity = momentum * velocity + gradient
    return weight - lr * velocity, velocity


def falling_losses(_n: Numbers, random: Random) -> tuple[list[float]]:
    """Draw losses that fall and waver, in hundredths: none is at a threshold that lies between two of them."""
    count = whole(random, 4, 30)
    levels = np.exp(-np.arange(count) / random.uniform(2, 12)) + random.normal(0, 0.04, count)
    return ([max(1, round(100 * level)) / 100 for level in levels],)


def stopped(losses: list[float], patience: int, least: float, in_a_row: bool = True) -> tuple[int, int]:
    """Return the best epoch and the last one that is trained."""
    best, worse = 0, 0
    for epoch, loss in enumerate(losses[1:], start=1):
        if loss < losses[best] - least:
            best, worse = epoch, worse * (not in_a_row)
        else:
            worse += 1
        if worse == patience:
            return best, epoch
    return best, len(losses) - 1


@task(
    TRAINING,
    "When training stops",
    ("end_of_training", "stopped_after", "best_and_last"),
    numbers=lambda random: {"patience": whole(random, 2, 5), "least": (10 * whole(random, 1, 3) + 5) / 1000},
    text="`losses` holds the validation losses that a network would have after epochs 0, 1, 2 and so on. Epoch 0 is "
    "the best so far; a later epoch becomes the best if its loss is lower than that of the best one before it by "
    "more than {least}. Training stops as soon as {patience} epochs in a row have not become the best. Return two "
    "numbers: the best epoch, and the last epoch that is trained. If training is never stopped, the last epoch "
    "trained is the last in the list. There is at least one epoch.",
    draw=falling_losses,
    edges=[lambda _n: ([0.5],), lambda _n: ([0.5, 0.4, 0.3, 0.2, 0.1],), lambda _n: ([0.5] * 12,)],
    rounds=40,
    notice="The best epoch may lie well before the last: that is why its weights are kept.",
    hint="Go through the epochs and keep two things: which was the best, and how many have passed since.",
    mistakes=[
        Mistake(
            lambda n, losses: stopped(losses, n.patience, 0.0),
            "Any lower loss counts. It should be lower by more than the task says.",
        ),
        Mistake(lambda n, losses: stopped(losses, n.patience + 1, n.least), "It stops one epoch late."),
        Mistake(lambda n, losses: stopped(losses, n.patience - 1, n.least), "It stops one epoch early."),
        Mistake(
            lambda n, losses: stopped(losses, n.patience, n.least, in_a_row=False),
            "It counts all epochs that were not the best. After a new best one, begin to count again.",
        ),
        Mistake(
            lambda n, losses: (stopped(losses, n.patience, n.least)[0], len(losses) - 1),
            "It never stops. The last epoch is the one in which the patience runs out.",
        ),
        Mistake(
            lambda n, losses: stopped(losses, n.patience, n.least)[::-1],
            "The best and the last epoch have changed places.",
        ),
    ],
)
def stopping(losses: list[float], *, patience: int, least: float) -> tuple[int, int]:
    """Return the best epoch, and the last one that is trained."""
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best] - least:
            best = epoch
        if epoch - best == patience:
            return best, epoch
    return best, len(losses) - 1


# Losses and gradients


def soft_loss(logits: Tensor, labels: Tensor, right: float, other: float) -> Tensor:
    """Return the cross-entropy with targets for the right digit and for each other."""
    targets = torch.full_like(logits, other)
    targets[torch.arange(len(labels)), labels] = right
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()


@task(
    GRADIENTS,
    "Targets that leave room for doubt",
    ("softened_loss", "smooth_loss", "loss_with_doubt"),
    numbers=lambda random: {"doubt": hundredths(random, 5, 30)},
    text="Instead of a target of 1 for the right digit and 0 for the nine others, let the right one have 1 − {doubt} + "
    "{doubt} / 10, and each of the others {doubt} / 10. Return the cross-entropy with these targets. For one "
    "image it is minus the sum, over the ten digits, of the target times the logarithm of the softmax "
    "probability; for a batch, the mean over its images. Write it without torch's losses. Logits may be as large "
    "as 150, and as small as −150.",
    draw=logits_and_labels,
    edges=[
        lambda _n: (300 * torch.eye(10)[[3, 5]] - 150, torch.tensor([3, 7])),
        lambda _n: (torch.zeros(1, 10), torch.tensor([9])),
    ],
    by_hand=("cross_entropy", "_loss", "kl_div"),
    notice="With such targets no logit has a reason to grow without end.",
    hint="Make a tensor of targets in the shape of the logits, and multiply it by `log_softmax`.",
    mistakes=[
        Mistake(
            lambda n, logits, labels: soft_loss(logits, labels, 1 - n.doubt, n.doubt / 9),
            "The doubt is shared by the nine others. Here the right digit has its tenth of it, too.",
        ),
        Mistake(
            lambda _n, logits, labels: soft_loss(logits, labels, 1.0, 0.0), "This is the usual loss, without a doubt."
        ),
        Mistake(
            lambda n, logits, labels: soft_loss(logits, labels, 1 - n.doubt, n.doubt / 10),
            "The targets of an image should add up to 1. That of the right digit is too small.",
        ),
        Mistake(
            lambda n, logits, labels: len(labels) * soft_loss(logits, labels, 1 - 0.9 * n.doubt, n.doubt / 10),
            "It adds up the images. Return their mean.",
        ),
        Mistake(
            lambda n, logits, labels: soft_loss(logits, labels, 1 - 0.9 * n.doubt, n.doubt / 10) / 10,
            "It takes the mean over the ten digits, too. Add these up.",
        ),
    ],
)
def smoothing(logits: Tensor, labels: Tensor, *, doubt: float) -> Tensor:
    """Return the loss of a batch, as one number.

    Shapes: (N, 10), (N,) int64 → ().
    """
    targets = torch.full_like(logits, doubt / 10)
    targets[torch.arange(len(labels)), labels] += 1 - doubt
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()


def layer_and_gradient(_n: Numbers, random: Random) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw what a dense layer is given, its weights and biases, and a gradient that arrives."""
    count, into, out = whole(random, 2, 6), whole(random, 2, 6), whole(random, 2, 6)
    given, weights = inputs.normal(random, count, into), inputs.normal(random, out, into)
    return given, weights, inputs.normal(random, out), inputs.normal(random, count, out)


def back_through(given: Tensor, weights: Tensor, arrives: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a dense layer, by what arrives."""
    return arrives @ weights, arrives.T @ given, arrives.sum(dim=0)


def bent(given: Tensor, weights: Tensor, bias: Tensor, low: float) -> Tensor:
    """Return the slope in each place: 1, or a lower one."""
    return torch.where(given @ weights.T + bias > 0, 1.0, low)


@task(
    GRADIENTS,
    "Back through a leaky layer",
    ("leaky_backward", "back_through_layer", "gradients_of_layer"),
    numbers=lambda random: {"slope": hundredths(random, 5, 40)},
    text="A layer computes `z = inputs @ weights.T + bias`, and then `y`, which is `z` where `z` is positive, and "
    "{slope} times `z` elsewhere. Backpropagation delivers `gradient`, the gradient of the loss with respect to "
    "`y`. Return those with respect to `inputs`, `weights` and `bias`, in this order. Compute them by hand, "
    "without autograd.",
    draw=layer_and_gradient,
    by_hand=("backward", "^grad$"),
    notice="Where z is negative a little still comes back, so such a neuron can learn its way out.",
    hint="First the gradient for `z`: what arrives, times 1 or the slope. Then the three of a dense layer.",
    mistakes=[
        Mistake(
            lambda _n, given, weights, _bias, gradient: back_through(given, weights, gradient),
            "It goes back through the dense layer only. `y` is not `z`.",
        ),
        Mistake(
            lambda _n, given, weights, bias, gradient: back_through(
                given, weights, gradient * bent(given, weights, bias, 0.0)
            ),
            "Where z is negative, nothing comes back. That would be a plain ReLU.",
        ),
        Mistake(
            lambda n, given, weights, bias, gradient: back_through(
                given, weights, gradient * bent(given, weights, 0 * bias, n.slope)
            ),
            "Whether z is positive is decided without the bias.",
        ),
        Mistake(
            lambda n, given, weights, bias, gradient: (
                *back_through(given, weights, gradient * bent(given, weights, bias, n.slope))[:2],
                (gradient * bent(given, weights, bias, n.slope)).mean(dim=0),
            ),
            "The gradient of the bias is the sum over the batch, not the mean.",
        ),
        Mistake(
            lambda n, given, weights, bias, gradient: (
                *back_through(given, weights, gradient * bent(given, weights, bias, n.slope))[:2],
                gradient.sum(dim=0),
            ),
            "The gradient of the bias, too, comes through `z`.",
        ),
    ],
)
def leaky(
    inputs: Tensor, weights: Tensor, bias: Tensor, gradient: Tensor, *, slope: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients for inputs, weights and bias.

    Shapes: (N, I), (O, I), (O,), (N, O) → (N, I), (O, I), (O,).
    """
    z = inputs @ weights.T + bias
    for_z = torch.where(z > 0, gradient, slope * gradient)
    return for_z @ weights, for_z.T @ inputs, for_z.sum(dim=0)


def images_and_gradients(_n: Numbers, random: Random) -> tuple[Tensor, Tensor]:
    """Draw digits, and gradients of which every tenth is 0."""
    images, _ = inputs.float_digits(random, whole(random, 1, 5))
    gradients = inputs.normal(random, *images.shape) / 50
    gradients[torch.from_numpy(random.random(images.shape) < 0.1)] = 0.0
    return images, gradients


def hurt(n: Numbers, images: Tensor, way: Tensor, where: Tensor) -> Tensor:
    """Return images with some pixels changed in some direction."""
    return (images + n.size * way * where).clamp(0, 1)


@task(
    GRADIENTS,
    "A small step that hurts",
    ("worse_images", "attacked", "one_bad_step"),
    numbers=lambda random: {"size": hundredths(random, 4, 30), "ink": (2 * whole(random, 15, 29) + 1) / 100},
    text="`gradients` holds the gradient of the loss with respect to each pixel. Change the value of every pixel above "
    "{ink} by {size}, in the direction in which the loss grows. All other pixels, and those whose gradient is 0, "
    "keep their values. Then bring every pixel back into the range from 0 to 1. Return the changed images; what "
    "you were given stays as it is.",
    draw=images_and_gradients,
    notice="Each pixel moves only a little, but all of them in the direction that does most harm.",
    hint="The step is the sign of the gradient times the size, where the pixel is bright; then `clamp`.",
    mistakes=[
        Mistake(
            lambda n, images, gradients: hurt(n, images, gradients.sign(), torch.ones_like(images)),
            "It changes dark pixels, too.",
        ),
        Mistake(
            lambda n, images, gradients: hurt(n, images, -gradients.sign(), images > n.ink),
            "The loss gets smaller. Go the other way.",
        ),
        Mistake(
            lambda n, images, gradients: images + n.size * gradients.sign() * (images > n.ink),
            "Some pixels are brighter than 1. Bring them back into the range.",
        ),
        Mistake(
            lambda n, images, gradients: hurt(n, images, gradients, images > n.ink),
            "Each pixel moves by its gradient. Only the sign of the gradient counts.",
        ),
        Mistake(
            lambda n, images, gradients: hurt(n, images, 2.0 * (gradients > 0) - 1, images > n.ink),
            "A pixel whose gradient is 0 is changed. It should stay.",
        ),
        Mistake(
            lambda n, images, gradients: hurt(n, images, gradients.sign(), images < n.ink),
            "It changes the dark pixels. The bright ones are meant.",
        ),
    ],
)
def attack(images: Tensor, gradients: Tensor, *, size: float, ink: float) -> Tensor:
    """Return changed images.

    Shapes: both (N, 1, 28, 28) float32 → the same.
    """
    step = torch.where(images > ink, size * gradients.sign(), 0.0)
    return (images + step).clamp(0, 1)


# Evaluation


def precision_and_recall(n: Numbers, logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return precision and recall of the digit."""
    read, are = logits.argmax(dim=1) == n.digit, labels == n.digit
    both = int((read & are).sum())
    return both / max(1, int(read.sum())), both / max(1, int(are.sum()))


def with_more_of_one(n: Numbers, random: Random) -> tuple[Tensor, Tensor]:
    """Draw logits and labels in which the digit is frequent."""
    logits, labels = logits_and_labels(n, random)
    labels[torch.from_numpy(random.random(len(labels)) < 0.3)] = n.digit
    logits[:, n.digit] += 1.0
    return logits, labels


def certain(n: Numbers, *ahead: int) -> Tensor:
    """Return logits of images that are read as the digits so many ahead of the paper's."""
    return torch.eye(10)[[(n.digit + one) % 10 for one in ahead]]


def labels_of(n: Numbers, *ahead: int) -> Tensor:
    """Return as labels the digits so many ahead of the paper's."""
    return torch.tensor([(n.digit + one) % 10 for one in ahead])


@task(
    EVALUATION,
    "Precision and recall of one digit",
    ("precision_recall", "two_scores", "scores_of_digit"),
    numbers=lambda random: {"digit": whole(random, 0, 9)},
    text="Return the precision and the recall of the digit {digit}. Of the images read as {digit}, precision is the "
    "share whose label is {digit}; of those labelled {digit}, recall is the share read as {digit}. An image is "
    "read as the digit with the largest logit. Where there is nothing to take a share of, the number is 0.",
    draw=with_more_of_one,
    edges=[
        lambda n: (certain(n, 1, 2), labels_of(n, 0, 2)),
        lambda n: (certain(n, 0, 2), labels_of(n, 3, 3)),
        lambda n: (certain(n, 1, 2), labels_of(n, 3, 3)),
    ],
    notice="A network that reads everything as this digit has a recall of 1: one of the two is never enough.",
    hint="Count three things: read as the digit, labelled as it, and both. Each score is one number over another.",
    mistakes=[
        Mistake(
            lambda n, logits, labels: precision_and_recall(n, logits, labels)[::-1],
            "Precision and recall have changed places.",
        ),
        Mistake(
            lambda _n, logits, labels: ((logits.argmax(dim=1) == labels).float().mean().item(),) * 2,
            "This is the accuracy over all digits.",
        ),
        Mistake(
            lambda n, logits, labels: (precision_and_recall(n, logits, labels)[0],) * 2,
            "Both numbers are the precision.",
        ),
        Mistake(
            lambda n, logits, labels: (precision_and_recall(n, logits, labels)[1],) * 2, "Both numbers are the recall."
        ),
    ],
)
def scores(logits: Tensor, labels: Tensor, *, digit: int) -> tuple[float, float]:
    """Return the precision and the recall of a digit.

    Shapes: (N, 10), (N,) int64.
    """
    read, are = logits.argmax(dim=1) == digit, labels == digit
    both = (read & are).sum().item()
    precision = both / read.sum().item() if read.any() else 0.0
    recall = both / are.sum().item() if are.any() else 0.0
    return precision, recall


def answered(logits: Tensor, labels: Tensor, sure: Tensor) -> tuple[float, float]:
    """Return the share of the images that are answered, and of those the share that is right."""
    right = logits.argmax(dim=1) == labels
    return sure.float().mean().item(), right[sure].float().mean().item() if sure.any() else 0.0


def clear_logits_and_labels(n: Numbers, random: Random) -> tuple[Tensor, Tensor]:
    """Draw logits of which no rounding decides whether they are sure, and labels."""
    while True:
        logits, labels = logits_and_labels(n, random)
        if not ((logits.softmax(dim=1).amax(dim=1) - n.least).abs() < 1e-4).any():
            return logits, labels


def sure_of(n: Numbers, logits: Tensor) -> Tensor:
    """Say of which images the network is sure."""
    return logits.softmax(dim=1).amax(dim=1) > n.least


def right(logits: Tensor, labels: Tensor) -> Tensor:
    """Say which images are read rightly."""
    return logits.argmax(dim=1) == labels


@task(
    EVALUATION,
    "Answer only when sure",
    ("answered_and_right", "sure_ones", "scores_with_doubt"),
    numbers=lambda random: {"least": hundredths(random, 50, 90)},
    text="The network answers only if its largest softmax probability is above {least}; all other images go to a "
    "person. Return two numbers between 0 and 1: the share of all images that it answers, and the share of the "
    "answered ones that it reads correctly. If it answers none, both are 0.",
    draw=clear_logits_and_labels,
    edges=[lambda _n: (torch.zeros(3, 10), torch.tensor([0, 1, 2]))],
    notice="The higher the threshold, the fewer images are answered, and the more of these answers are right.",
    hint="First the probabilities, then the largest of each row. It says which rows count.",
    mistakes=[
        Mistake(
            lambda n, logits, labels: (
                answered(logits, labels, sure_of(n, logits))[0],
                (right(logits, labels) & sure_of(n, logits)).float().mean().item(),
            ),
            "The second number is a share of all images. Divide by those that are answered.",
        ),
        Mistake(
            lambda n, logits, labels: (
                answered(logits, labels, sure_of(n, logits))[0],
                right(logits, labels).float().mean().item(),
            ),
            "The second number is the accuracy on all images. Leave out those that are not answered.",
        ),
        Mistake(
            lambda n, logits, labels: answered(logits, labels, logits.amax(dim=1) > n.least),
            "It compares logits with the threshold. Turn them into probabilities first.",
        ),
        Mistake(
            lambda n, logits, labels: (
                1 - answered(logits, labels, sure_of(n, logits))[0],
                answered(logits, labels, sure_of(n, logits))[1],
            ),
            "The first number is the share that goes to a person.",
        ),
        Mistake(
            lambda n, logits, labels: answered(
                logits, labels, logits.softmax(dim=1)[torch.arange(len(labels)), labels] > n.least
            ),
            "It looks at the probability of the right digit, which the network does not know.",
        ),
    ],
)
def reserve(logits: Tensor, labels: Tensor, *, least: float) -> tuple[float, float]:
    """Return the share that is answered, and the share of these that is right.

    Shapes: (N, 10), (N,) int64.
    """
    probabilities, read = logits.softmax(dim=1).max(dim=1)
    sure = probabilities > least
    if not sure.any():
        return 0.0, 0.0
    return sure.float().mean().item(), (read == labels)[sure].float().mean().item()


def right_of_images(_n: Numbers, random: Random) -> tuple[int, int]:
    """Draw how many images there are, and how many of them are right."""
    images = whole(random, 5, 400)
    return whole(random, 0, images), images


def standard_error(right: int, images: int) -> float:
    """Return the standard error of an accuracy."""
    return math.sqrt(right / images * (1 - right / images) / images)


def cut_off(accuracy: float, reach: float) -> tuple[float, float]:
    """Return the ends of an interval, none of them below 0 or above 1."""
    return max(0.0, accuracy - reach), min(1.0, accuracy + reach)


@task(
    EVALUATION,
    "How precise is an accuracy?",
    ("range_of_accuracy", "low_and_high", "bounds_of_accuracy"),
    numbers=lambda random: {"errors": hundredths(random, 110, 290)},
    text="Of `images` test images, `right` were read correctly. With n images, the accuracy p has a standard error of "
    "√(p (1 − p) / n). Return the two ends of the interval that reaches from {errors} standard errors below the "
    "accuracy to {errors} standard errors above it, but never below 0 or above 1. There is at least one image.",
    draw=right_of_images,
    edges=[lambda _n: (5, 5), lambda _n: (0, 7), lambda _n: (1, 400), lambda _n: (399, 400)],
    notice="With all images right it claims to be certain. Near 0 and 1 there are better intervals, such as Wilson's.",
    hint="Accuracy, standard error, two ends; then cut off what lies below 0 or above 1.",
    mistakes=[
        Mistake(
            lambda n, right, images: (
                right / images - n.errors * standard_error(right, images),
                right / images + n.errors * standard_error(right, images),
            ),
            "One end lies below 0 or above 1.",
        ),
        Mistake(
            lambda n, right, images: cut_off(right / images, n.errors * standard_error(right, images) ** 2),
            "The square root is missing.",
        ),
        Mistake(
            lambda n, right, images: cut_off(
                right / images, n.errors * standard_error(right, images) * math.sqrt(images)
            ),
            "The interval does not get narrower with more images. Divide by their number.",
        ),
        Mistake(
            lambda _n, right, images: cut_off(right / images, standard_error(right, images)),
            "It reaches one standard error to each side. The task asks for more.",
        ),
        Mistake(
            lambda n, right, images: cut_off(right / images, n.errors * standard_error(right, images) / 2),
            "It is half as wide as it should be: the standard errors count on each side.",
        ),
    ],
)
def interval(right: int, images: int, *, errors: float) -> tuple[float, float]:
    """Return the lower and the upper end of the interval."""
    accuracy = right / images
    reach = errors * math.sqrt(accuracy * (1 - accuracy) / images)
    return max(0.0, accuracy - reach), min(1.0, accuracy + reach)


# Maps and symbols


def windows_of(maps: Tensor, side: int, step: int) -> Tensor:
    """Return the numbers in each window. Shapes: (C, H, W) → (C, rows, columns, side²)."""
    return maps.unfold(1, side, step).unfold(2, side, step).flatten(3)


def ranges_of(windows: Tensor) -> Tensor:
    """Return the largest less the smallest number of each window."""
    return windows.amax(dim=3) - windows.amin(dim=3)


@task(
    MAPS,
    "How much a map varies",
    ("spread_of_windows", "pooled_range", "largest_less_smallest"),
    numbers=lambda random: {"side": whole(random, 4, 6), "step": whole(random, 1, 3)},
    text="Pooling need not take the largest number. Slide a window of {side} × {side} over each map, with a stride of "
    "{step}, wherever it fits completely; for each position of the window, return the largest number in it minus "
    "the smallest. Write it without torch's pooling. Loops are fine.",
    draw=lambda _n, random: (inputs.normal(random, *(whole(random, *ends) for ends in ((1, 4), (6, 12), (6, 12)))),),
    edges=[lambda n: (torch.arange(float(n.side**2)).reshape(1, n.side, n.side),)],
    by_hand=("pool",),
    notice="It is large at edges, and 0 where nothing changes: a detector without a single weight.",
    hint="Go through the places of the window row by row. Each gives one number for each map.",
    mistakes=[
        Mistake(
            lambda n, maps: ranges_of(windows_of(maps, n.side, n.side)),
            "The windows lie side by side. The stride is another.",
        ),
        Mistake(
            lambda n, maps: windows_of(maps, n.side, n.step).amax(dim=3),
            "It gives the largest number. Subtract the smallest.",
        ),
        Mistake(
            lambda n, maps: -ranges_of(windows_of(maps, n.side, n.step)), "It gives the smallest less the largest."
        ),
        Mistake(
            lambda n, maps: ranges_of(windows_of(maps, n.side, n.step)).amax(dim=0, keepdim=True),
            "It mixes the maps. Each has results of its own.",
        ),
    ],
)
def ranges(maps: Tensor, *, side: int, step: int) -> Tensor:
    """Return the largest less the smallest number of each window.

    Shapes: (C, H, W) → (C, rows, columns), as many as there are places.
    """
    rows = []
    for top in range(0, maps.shape[1] - side + 1, step):
        row = []
        for left in range(0, maps.shape[2] - side + 1, step):
            window = maps[:, top : top + side, left : left + side].flatten(1)  # (C, side · side)
            row.append(window.amax(dim=1) - window.amin(dim=1))
        rows.append(torch.stack(row, dim=1))
    return torch.stack(rows, dim=1)


def maps_of_strengths(n: Numbers, random: Random) -> tuple[Tensor]:
    """Draw maps of filters that respond more or less often."""
    count, channels = whole(random, 10, 30), whole(random, 4, 12)
    strength = torch.from_numpy(random.uniform(0.2, 1.2, channels).astype(np.float32))
    return (inputs.normal(random, count, channels, 3, 4) * strength[None, :, None, None] * n.least / 1.4,)


def rare(responds: Tensor, percent: float) -> list[int]:
    """Return the places of the filters that respond to less than so many per cent."""
    return (responds.double().mean(dim=0) < percent / 100).nonzero().flatten().tolist()


def responding(n: Numbers, maps: Tensor) -> Tensor:
    """Say which filter responds to which image. Shapes: (N, C, H, W) → (N, C) bool."""
    return maps.flatten(2).amax(dim=2) > n.least


@task(
    MAPS,
    "Filters that hardly ever respond",
    ("silent_filters", "rarely_awake", "idle_channels"),
    numbers=lambda random: {
        "least": whole(random, 4, 12) / 8,  # which float32 holds exactly
        "percent": one_of(random, 13, 17, 23, 33, 37, 43),  # the share of no batch
    },
    text="`maps` holds the feature maps of a batch. A filter *responds* to an image if any number in its map of that "
    "image is above {least}. Which filters respond to fewer than {percent}% of the images? Return their indices, "
    "counted from 0, in a list, the smallest first.",
    draw=maps_of_strengths,
    edges=[
        lambda n: (torch.full((4, 3, 2, 2), 2 * n.least),),
        lambda _n: (torch.zeros(4, 3, 2, 2),),
        lambda n: (torch.full((4, 3, 2, 2), n.least),),
    ],
    notice="A filter that never responds gets no gradient either, if a ReLU follows it.",
    hint="The largest number of each map, then which of them are above the threshold, then the share over the batch.",
    mistakes=[
        Mistake(
            lambda n, maps: [one for one in range(maps.shape[1]) if one not in rare(responding(n, maps), n.percent)],
            "These are the filters that do respond.",
        ),
        Mistake(
            lambda n, maps: rare(maps.flatten(2).mean(dim=2) > n.least, n.percent),
            "Too many filters are listed: one number above the threshold is enough for an image.",
        ),
        Mistake(
            lambda n, maps: rare((maps > n.least).transpose(1, 3).flatten(0, 2), n.percent),
            "Too many filters are listed: one number above the threshold is enough for an image.",
        ),
        Mistake(
            lambda n, maps: rare(responding(n, maps), 0.5),
            "These never respond. Those that seldom respond are missing.",
        ),
        Mistake(
            lambda n, maps: [one + 1 for one in rare(responding(n, maps), n.percent)],
            "The filters are counted from 1. Count from 0.",
        ),
    ],
)
def silent(maps: Tensor, *, least: float, percent: int) -> list[int]:
    """Return the indices of the filters that hardly ever respond.

    Shapes: (N, C, H, W).
    """
    responds = maps.flatten(2).amax(dim=2) > least  # (N, C)
    share = responds.float().mean(dim=0)
    return torch.nonzero(share < percent / 100).flatten().tolist()


def merge(symbols: list[int]) -> list[int]:
    """Let equal symbols side by side become one."""
    return [one for place, one in enumerate(symbols) if place == 0 or one != symbols[place - 1]]


def without(symbols: list[int], blank: int) -> list[int]:
    """Leave out each blank."""
    return [one for one in symbols if one != blank]


def few_symbols(n: Numbers, random: Random) -> tuple[list[int]]:
    """Draw a row of symbols, of which there are two or three kinds."""
    few = [n.blank, 0, whole(random, 1, 9)]
    return ([one_of(random, *few) for _ in range(whole(random, 4, 25))],)


@task(
    MAPS,
    "From places to a number",
    ("symbols_read", "number_from_places", "without_repeats"),
    numbers=lambda random: {"blank": whole(random, 1, 9)},
    text="A network slides along a line of handwriting and gives one symbol, 0 to 9, for each position. On this paper "
    "{blank} means *nothing here*; every other symbol stands for something. First, equal symbols side by side "
    "become one; then every {blank} is left out. Return what remains, as a list.",
    draw=few_symbols,
    edges=[
        lambda _n: ([],),
        lambda n: ([n.blank, n.blank, n.blank],),
        lambda n: ([0, 0, n.blank, 0, 0],),
        lambda n: ([n.blank, 0, 0, (n.blank + 1) % 10],),
    ],
    notice="Only a blank between them tells two equal symbols from one that is seen twice.",
    hint="Keep a symbol if it differs from the one before it, and is not the blank.",
    mistakes=[
        Mistake(
            lambda n, symbols: merge(without(symbols, n.blank)),
            "The blanks are left out first. Then equal symbols that a blank has kept apart become one.",
        ),
        Mistake(lambda _n, symbols: merge(symbols), "The blank is still there."),
        Mistake(lambda n, symbols: without(symbols, n.blank), "Equal symbols side by side should become one."),
        Mistake(
            lambda n, symbols: list(dict.fromkeys(without(symbols, n.blank))),
            "Each symbol is kept once. Only those side by side become one.",
        ),
        Mistake(
            lambda _n, symbols: without(merge(symbols), 0),
            "It takes 0 for the blank. On this paper it is another symbol.",
        ),
    ],
)
def collapse(symbols: list[int], *, blank: int) -> list[int]:
    """Return the symbols, merged, without blanks."""
    merged = [one for place, one in enumerate(symbols) if place == 0 or one != symbols[place - 1]]
    return [one for one in merged if one != blank]
