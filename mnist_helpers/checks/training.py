"""Checks of exercise notebook 3: batches, gradients, steps, stopping, a schedule, labels, dropout, norms, a budget."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector
from torch.optim import Optimizer

from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import (
    Gap,
    Mistake,
    difference_in_form,
    exercise,
    no_network,
    number,
    numbers,
    plain,
    same,
)
from mnist_helpers.checks.networks import NO_WAY_BACK, looked_into, own_copy
from mnist_helpers.checks.orders import ENOUGH, unlike_chance
from mnist_helpers.checks.traces import settings, watch
from mnist_helpers.data import to_float

SAME_PLACES = 10  # of an index in two orders: more than one is rare, and so many come once in ten million times


def count_and_size(random: np.random.Generator) -> tuple[int, int]:
    """Draw a number of images, in some rounds a multiple of the batch size, and that size."""
    size = int(random.integers(5, 12))
    return size * int(random.integers(6, 9)) + int(random.choice([0, random.integers(1, size)])), size


def two_epochs(epochs: tuple, count: int, size: int) -> str | None:
    """Say what is wrong with the batches of two epochs."""
    first, second = epochs
    hint = complete(first, count, size) or complete(second, count, size)
    if hint or count < ENOUGH:
        return hint
    alike = np.concatenate(first) == np.concatenate(second)
    if alike.all():
        return "Two epochs have the same order. Draw a new one each time; who wants a seed sets it once, outside."
    if alike.sum() >= SAME_PLACES:
        return "In two epochs many images have the same place. Shuffle all of them anew."
    return None


def complete(batches: object, count: int, size: int) -> str | None:
    """Say what is wrong with the batches of an epoch."""
    if not isinstance(batches, list | tuple):
        return "It should return a list of tensors: the indices of each batch."
    if not batches:
        return f"There is no batch at all for {count} images and a size of {size}. The last one may be smaller."
    rows = [numbers(batch) for batch in batches]
    if any(row is None or row.ndim != 1 or (row.size and row.dtype.kind != "i") for row in rows):
        return "Each batch should be a row of indices: whole numbers, in one dimension."
    flat = np.concatenate(rows)
    if len(np.unique(flat)) < len(flat):
        return "Some images come twice in an epoch: draw one order for all of it, and cut that into batches."
    if len(flat) < count:
        last = " The last batch may be smaller, but must not be lost." if len(flat) >= count - size else ""
        return f"Of {count} images only {len(flat)} are served.{last}"
    if sorted(flat.tolist()) != list(range(count)):
        return f"The indices should be 0 to {count - 1}."
    if any(not len(row) for row in rows):
        return f"A batch is empty. Where {count} images are cut into batches of {size}, each one holds some."
    if any(len(row) != size for row in rows[:-1]) or len(rows[-1]) > size:
        if len(rows) == size:
            return f"These are {size} batches. Each should hold {size} indices, however many batches that makes."
        return f"All batches but the last should hold {size} images. Cut off {size} after {size}; the rest is the last."
    return shuffled(rows, flat, size) if count >= ENOUGH else None


def shuffled(rows: list[np.ndarray], flat: np.ndarray, size: int) -> str | None:
    """Say what is wrong with the order of many images."""
    if len(np.unique(np.diff(flat))) == 1:
        return "The images are not shuffled."
    if all(np.ptp(row) < 2 * size for row in rows[:-1]):
        return "The same images always share a batch: shuffle all of them before they are cut into batches."
    return unlike_chance(flat)


@exercise(
    draw=count_and_size,
    edges=[
        lambda: (40, 8),
        lambda: (41, 8),
        lambda: (60, 12),
        lambda: (6, 6),
        lambda: (3, 8),
        lambda: (4, 1),
        lambda: (1, 5),
    ],
    notice="Every image once, shuffled; the last batch takes what is left.",
    hint="Shuffle the indices, then cut them into pieces.",
    examine=two_epochs,
    twice=True,
)
def epoch_of_batches(count: int, size: int) -> list[Tensor]:
    """Return the indices 0 … count - 1, shuffled, in batches of `size`."""
    return list(torch.randperm(count).split(size))


def a_fit(random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, float]:
    """Draw a linear model's weights, its input, what it should give, and a learning rate."""
    inputs_, weights = inputs.normal(random, 6, 3), inputs.normal(random, 3)
    return weights, inputs_, inputs.normal(random, 6), float(random.uniform(0.05, 0.3))


def fitted(rows: int, lr: float) -> Callable[[], tuple[Tensor, Tensor, Tensor, float]]:
    """Return what gives weights, that many rows of input, what they should give, and this learning rate."""

    def given() -> tuple[Tensor, Tensor, Tensor, float]:
        random = np.random.default_rng(0)
        return inputs.normal(random, 3), inputs.normal(random, rows, 3), inputs.normal(random, rows), lr

    return given


def without_error() -> tuple[Tensor, Tensor, Tensor, float]:
    """Give weights that predict without any error."""
    return torch.tensor([1.0, -2.0, 0.5]), torch.eye(3).repeat(2, 1), torch.tensor([1.0, -2.0, 0.5]).repeat(2), 0.1


def gradient_of(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the mean squared error."""
    return 2 * x.T @ (x @ weights - y) / len(y)


@exercise(
    draw=a_fit,
    edges=[fitted(5, 0.1), fitted(1, 0.2), fitted(4, 0.0), without_error],
    notice="Against the gradient, and by the learning rate times its length: all that an optimiser adds comes on top.",
    hint="Find the gradient of the mean of the squared errors first. Then: which way is down, and how far?",
    mistakes=[
        Mistake(
            lambda weights, x, y, lr: weights + lr * gradient_of(weights, x, y),
            "It goes uphill: the gradient points to where the loss grows.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights - gradient_of(weights, x, y),
            "The learning rate is not used.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights - lr * gradient_of(weights, x, y) * len(y),
            "This is the gradient of the sum of the squared errors. The loss is their mean.",
        ),
        Mistake(
            lambda weights, x, y, lr: gradient_of(weights, x, y),
            "This is the gradient. Return the weights after the step.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights - lr * gradient_of(weights, x, y) / 2,
            "A factor of 2 is missing: the derivative of a square.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights,
            "The weights are as they were given. Return new ones, after the step.",
        ),
        Mistake(
            lambda weights, x, y, lr: -lr * gradient_of(weights, x, y),
            "This is the step alone. Add it to the weights.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights - lr * x.T @ (x @ weights - y).sign() / len(y),
            "This is the gradient of the mean absolute error. The loss is the mean of the *squared* errors.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights - lr * gradient_of(weights, x, y) * len(y) / 3,
            "It divides by the number of weights. The mean is over the rows of `x`.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights - lr * x.T @ (x @ weights - y),
            "This belongs to half the sum of the squared errors. The loss is their mean: the derivative of a square "
            "has a factor of 2, and a mean divides by `len(y)`.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights - lr * gradient_of(weights, x, y).mean(),
            "All weights go the same way. The gradient has a number for each of them.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights - 0.1 * gradient_of(weights, x, y),
            "The rate is always 0.1 here. It is `lr`.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights - lr * gradient_of(weights, x, y).sign(),
            "Only the sign of the gradient is used. Where it is larger the step is longer.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights - lr * 2 * x.mean(dim=0) * (x @ weights - y).mean(),
            "It multiplies two means. Each row's error belongs to the numbers of that row: multiply, then take the "
            "mean.",
        ),
        Mistake(
            lambda weights, x, y, lr: weights - lr * gradient_of(weights, x, y.mean().expand_as(y)),
            "Each prediction meets every number of `y`, not its own alone: the errors make a square. See both shapes.",
        ),
    ],
    gaps=[
        Gap(
            lambda weights, x, y, lr: len(y) == 1,
            "It is right for one row. The loss is the *mean* of the squared errors of all rows.",
        ),
    ],
)
def step(weights: Tensor, x: Tensor, y: Tensor, lr: float) -> Tensor:
    """Return weights after one step downhill on mean((x @ weights - y)²). Shapes: (3,), (N, 3), (N,) → (3,)."""
    return weights - lr * gradient_of(weights, x, y)


def a_classifier(random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw rows of numbers, the weights and biases of a dense layer for ten classes, and labels."""
    count, numbers_ = (int(size) for size in random.permutation([3, 4, 5, 6, 7])[:2])
    labels = torch.from_numpy(random.integers(0, 10, size=count))
    return (
        inputs.normal(random, count, numbers_),
        inputs.normal(random, 10, numbers_),
        inputs.normal(random, 10),
        labels,
    )


def classified(count: int, scale: float = 1.0) -> Callable[[], tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return what gives so many rows, as large as this, beside a dense layer and labels."""

    def given() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        random = np.random.default_rng(count)
        labels = torch.from_numpy(random.integers(0, 10, size=count))
        return scale * inputs.normal(random, count, 4), inputs.normal(random, 10, 4), inputs.normal(random, 10), labels

    return given


def of_one_class() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give ten rows of one class, and a layer that knows nothing yet."""
    return inputs.normal(np.random.default_rng(0), 10, 3), torch.zeros(10, 3), torch.zeros(10), torch.full((10,), 9)


def pulls(logits: Tensor, labels: Tensor, dim: int = 1) -> Tensor:
    """Return the gradient of the summed cross-entropy for each logit."""
    return logits.softmax(dim=dim) - F.one_hot(labels, 10)


def layer_gradients(
    x: Tensor,
    weights: Tensor,
    bias: Tensor,
    labels: Tensor,
    pull: Callable[[Tensor, Tensor], Tensor] = pulls,
    shares: tuple[float, float] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of a dense layer's weights and biases; the arguments put mistakes in."""
    for_weights, for_bias = shares or (len(x), len(x))
    pulled = pull(x @ weights.T + bias, labels)
    return pulled.T @ x / for_weights, pulled.sum(dim=0) / for_bias


def pulled_by(hint: str, pull: Callable[[Tensor, Tensor], Tensor]) -> Mistake:
    """Return the mistake of another gradient for the logits."""
    return Mistake(lambda *given: layer_gradients(*given, pull=pull), hint)


def shared_by(hint: str, shares: Callable[[int], tuple[float, float]]) -> Mistake:
    """Return the mistake of dividing the gradients of weights and biases by other numbers."""
    return Mistake(lambda x, *given: layer_gradients(x, *given, shares=shares(len(x))), hint)


SMOOTH = 80  # largest exponent that float32 takes well


@exercise(
    draw=a_classifier,
    by_hand=("cross_entropy", "_loss", "kl_div", "backward", "^grad$", "^requires_grad_$"),
    edges=[classified(5), classified(1), classified(4, scale=300.0), of_one_class],
    rounds=8,
    notice="Probability minus truth, times what came in: every backward pass of this course begins with that.",
    hint="First the gradient of each logit: the softmax of its row, and what is taken from it at the label? A weight "
    "then meets that of its class times the number that it is multiplied by, added up over the rows.",
    mistakes=[
        pulled_by(
            "The sign is turned: where a wrong class gets too much probability, the loss falls as its logit falls.",
            lambda logits, labels: -pulls(logits, labels),
        ),
        shared_by(
            "These are the gradients of the sum of the losses. The loss is their mean: divide by the number of rows.",
            lambda count: (1, 1),
        ),
        shared_by("The bias still belongs to the sum of the losses. The loss is their mean.", lambda count: (count, 1)),
        shared_by(
            "The weights still belong to the sum of the losses. The loss is their mean.", lambda count: (1, count)
        ),
        shared_by(
            "The bias is divided by the number of rows twice: a mean over the rows holds that division already.",
            lambda count: (count, count**2),
        ),
        shared_by("Both are divided by the number of rows twice. Once is enough.", lambda count: (count**2, count**2)),
        shared_by(
            "It divides by the number of classes, too. The mean is over the rows.",
            lambda count: (10 * count, 10 * count),
        ),
        pulled_by(
            "The label is missing: these are the probabilities alone. At the label's logit, 1 is taken from them.",
            lambda logits, labels: logits.softmax(dim=1),
        ),
        pulled_by(
            "The softmax runs over the rows of the batch. It belongs to the ten logits of each row: dimension 1.",
            lambda logits, labels: pulls(logits, labels, dim=0),
        ),
        pulled_by(
            "Each class is taken by itself, with a sigmoid. The ten of a row share one probability: softmax.",
            lambda logits, labels: logits.sigmoid() - F.one_hot(labels, 10),
        ),
        pulled_by(
            "These are logarithms of probabilities. The gradient is made of the probabilities themselves.",
            lambda logits, labels: logits.log_softmax(dim=1) - F.one_hot(labels, 10),
        ),
        pulled_by(
            "In each row, 1 is taken at the labels of all rows. Take it at the row's own: give the rows as well.",
            lambda logits, labels: logits.softmax(dim=1) - F.one_hot(labels, 10).amax(dim=0),
        ),
        Mistake(
            lambda x, *given: layer_gradients(x, *given, shares=(x.shape[1], x.shape[1])),
            "It divides by the length of a row. The mean is over the rows: divide by how many there are.",
        ),
        pulled_by(
            "The softmax is missing: it takes the labels from the logits. Take them from the probabilities.",
            lambda logits, labels: logits - F.one_hot(labels, 10),
        ),
        pulled_by(
            "The factor p (1 - p) belongs to a squared error. With the logarithm of the cross-entropy it cancels out.",
            lambda logits, labels: pulls(logits, labels) * logits.softmax(dim=1) * (1 - logits.softmax(dim=1)),
        ),
        pulled_by(
            "Only the label's logit gets a gradient. The other nine are pulled as well: by their probabilities.",
            lambda logits, labels: pulls(logits, labels) * F.one_hot(labels, 10),
        ),
        pulled_by(
            "It takes the class that is read for the truth. Take the label.",
            lambda logits, labels: pulls(logits, logits.argmax(dim=1)),
        ),
        Mistake(
            lambda x, weights, bias, labels: layer_gradients(x, weights, 0 * bias, labels),
            "The logits lack the bias. Compute them first, as the layer does.",
        ),
        Mistake(
            lambda *given: (layer_gradients(*given)[0].T, layer_gradients(*given)[1]),
            "The weights' gradient is turned on its side: it has the shape of the weights, a row for each class.",
        ),
        Mistake(
            lambda *given: layer_gradients(*given)[::-1],
            "The two are exchanged: first the gradient of the weights, then that of the bias.",
        ),
        Mistake(
            lambda x, weights, bias, labels: (
                layer_gradients(x, weights, bias, labels)[0],
                pulls(x @ weights.T + bias, labels) / len(x),
            ),
            "The second one is the gradient of the logits, row by row. The bias is in all rows: add them up.",
        ),
    ],
    gaps=[
        Gap(
            lambda x, weights, bias, labels: (x @ weights.T + bias).abs().max() < SMOOTH,
            "It is right for small logits. The exponential of a large one is infinite: subtract the largest logit of "
            "each row first, or use `softmax`.",
        ),
        Gap(
            lambda x, weights, bias, labels: len(x) == 1,
            "It is right for one row. The loss is the mean over all rows, and so is its gradient.",
        ),
    ],
)
def classifier_gradients(x: Tensor, weights: Tensor, bias: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of the mean cross-entropy of one dense layer for its weights and its biases.

    Shapes: x (N, D), weights (10, D), bias (10,), labels (N,) → (10, D), (10,).
    """
    return layer_gradients(x, weights, bias, labels)


def losses_and_patience(random: np.random.Generator) -> tuple[list[float], int]:
    """Draw validation losses that fall, rise, come back to the best one, rise, and fall further."""
    highest = random.uniform(0.5, 3)  # a network that guesses begins at 2.3
    first, *rest = np.sort(random.uniform(0.2, 0.5, size=int(random.integers(3, 6))))[::-1] * highest
    best = float(rest[-1])
    # One bad epoch on the way, or the first one stays the best for a while.
    steady = random.random() < 0.5
    falling = [best, best] if steady else [first, first + 0.05, *rest]
    after = [best + more for more in (0.2, 0, 0.3, 0.2, 0.25, 0, 0.1, 0.05, 0.15)]
    after.insert(int(random.integers(3, 10)), best / 2)  # the lowest of all
    patience = 2 if steady and random.random() < 0.8 else int(random.choice([2, 3, 9]))
    return [round(float(loss), 3) for loss in [*falling, *after]], patience


def stopping(
    losses: list[float], patience: int, better: str = "<", compare: str = "best", reset: bool = True
) -> tuple[int, int]:
    """Return the best epoch and the one after which to stop; the arguments put mistakes in."""
    best, waited = 0, 0
    for epoch in range(1, len(losses)):
        against = losses[best] if compare == "best" else losses[epoch - 1]
        improved = losses[epoch] < against or (better == "<=" and losses[epoch] == against)
        best, waited = (epoch, 0 if reset else waited) if improved else (best, waited + 1)
        if waited >= patience:
            return best, epoch
    return best, len(losses) - 1


def set_back(losses: list[float], patience: int) -> tuple[int, int]:
    """Begin the count again where a loss is lower than the one before, a new best or not."""
    best, waited = 0, 0
    for epoch in range(1, len(losses)):
        best = epoch if losses[epoch] < losses[best] else best
        waited = 0 if losses[epoch] < losses[epoch - 1] else waited + 1
        if waited >= patience:
            return best, epoch
    return best, len(losses) - 1


def stopped(losses: list[float], patience: int) -> bool:
    """Say whether patience runs out."""
    best, last = stopping(losses, patience)
    return last - best >= patience


def lowest(losses: list[float], patience: int) -> tuple[int, int]:
    """Return the lowest loss of all, which nobody knows while training."""
    return losses.index(min(losses)), stopping(losses, patience)[1]


def rising(losses: list[float], patience: int) -> tuple[int, int]:
    """Stop when the loss has risen so many times, one after the other."""
    row = 0
    for epoch in range(1, len(losses)):
        row = row + 1 if losses[epoch] > losses[epoch - 1] else 0
        if row >= patience:
            return losses.index(min(losses[: epoch + 1])), epoch
    return losses.index(min(losses)), len(losses) - 1


@exercise(
    draw=losses_and_patience,
    edges=[
        lambda: ([2.0, 1.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], 3),
        lambda: ([2.0, 1.5, 1.0, 0.5], 2),  # never stops
        lambda: ([1.0, 2.0, 3.0, 4.0, 5.0], 2),
        lambda: ([1.0, 1.0, 1.0, 1.0, 0.5], 3),
        lambda: ([2.0, 1.0, 1.5, 1.6], 2),  # the last epoch is the one that stops it
        lambda: ([2.0, 1.0, 1.5], 2),
        lambda: ([1.0, 0.9, 1.3, 0.8], 1),
        lambda: ([2.0, 1.0, 1.5, 1.4, 1.3, 1.2], 3),
        lambda: ([0.7], 3),
        lambda: ([1.0, 0.99999, 0.99998, 0.99997], 2),
        lambda: ([2000.0, 1000.0, 1500.0, 1600.0, 900.0], 2),
    ],
    notice="A later loss was lower still, but nobody who stopped could know: patience is a bet.",
    hint="Remember the best epoch so far, and how many epochs have passed since.",
    mistakes=[
        Mistake(
            lambda losses, patience: stopping(losses, patience + 1),
            "It waits one epoch too long: it stops when `patience` epochs in a row were no better.",
        ),
        Mistake(
            lambda losses, patience: stopping(losses, patience - 1),
            "It stops one epoch too early: `patience` epochs in a row must be no better.",
        ),
        Mistake(
            lambda losses, patience: stopping(losses, patience, better="<="),
            "An equal loss does not count as better: use `<`.",
        ),
        Mistake(
            lambda losses, patience: (losses.index(min(losses)), len(losses) - 1),
            "It never stops. What is `patience` for?",
        ),
        Mistake(
            lambda losses, patience: stopping(losses, patience)[::-1],
            "The two are exchanged: first the best epoch, then the last.",
        ),
        Mistake(
            lambda losses, patience: tuple(epoch + 1 for epoch in stopping(losses, patience)),
            "The epochs are counted from 1. The first one is 0.",
        ),
        Mistake(
            lambda losses, patience: (losses[stopping(losses, patience)[0]], stopping(losses, patience)[1]),
            "This is the best loss. Return its epoch.",
        ),
        Mistake(
            lambda losses, patience: stopping(losses, patience, compare="last"),
            "It compares with the epoch before. Compare with the best so far.",
        ),
        Mistake(
            lambda losses, patience: stopping(losses, patience, reset=False),
            "It counts all epochs without progress. Begin again at 0 after each better one.",
        ),
        Mistake(
            lambda losses, patience: (
                losses.index(min(losses)),
                min(losses.index(min(losses)) + patience, len(losses) - 1),
            ),
            "It looks for the lowest of all losses first. They come in one by one: training may have stopped before.",
        ),
        Mistake(
            lambda losses, patience: (stopping(losses, patience)[0],) * 2,
            "The last epoch trained is the one in which patience ran out, not the best one.",
        ),
        Mistake(
            lambda losses, patience: (stopping(losses, patience)[0], stopping(losses, patience)[1] + 1),
            "The last epoch is one too high. Count from 0; the epoch in which patience runs out is the last.",
        ),
        Mistake(
            lambda losses, patience: tuple(losses[epoch] for epoch in stopping(losses, patience)),
            "These are losses. Return the two epochs.",
        ),
        Mistake(
            lambda losses, patience: (
                stopping(losses, patience)[0],
                stopping(losses, patience)[1] - stopped(losses, patience),
            ),
            "The last epoch is one too low: the one in which patience runs out was trained as well.",
        ),
        Mistake(
            lambda losses, patience: stopping(losses, 1),
            "It stops at the first epoch that is no better. `patience` of them in a row are needed for that.",
        ),
        Mistake(
            set_back,
            "The count begins again where a loss is lower than the one before. Only a new best begins it again.",
        ),
        Mistake(
            lambda losses, patience: (stopping(losses, patience)[0], losses[stopping(losses, patience)[1]]),
            "The second number is a loss. Return the epoch.",
        ),
        Mistake(
            lambda losses, patience: rising(losses, patience),
            "It waits until the loss has *risen* so many times in a row. What counts is the best so far: an epoch that "
            "is no better than that is one more.",
        ),
        Mistake(
            lowest,
            "It knows the losses of epochs that were never trained. Stop first, then name the best until there.",
        ),
    ],
    gaps=[
        Gap(
            lambda losses, patience: stopping(losses, patience) == (losses.index(min(losses)), len(losses) - 1),
            "It is right where nothing stops the training before its end. What is `patience` for?",
        ),
        Gap(
            stopped,
            "It is wrong where nothing stops the training. Then the last epoch is the end of the list, counted from 0.",
        ),
        Gap(
            lambda losses, patience: max(losses) < 1000,
            "It goes wrong where the losses are large. Does the search begin with some number? Begin with math.inf.",
        ),
        Gap(
            lambda losses, patience: max(losses) - min(losses) > 1e-3 or len(losses) == 1,
            "It goes wrong where the losses hardly fall. Any lower loss is a better one, however little lower.",
        ),
        Gap(
            lambda losses, patience: len(losses) > 1,
            "It is wrong where there is only one loss: then the first epoch is both the best and the last.",
        ),
    ],
)
def early_stopping(losses: list[float], patience: int) -> tuple[int, int]:
    """Return the best epoch and the last one trained, both from 0, if `patience` epochs without a better one end it."""
    return stopping(losses, patience)


def place_in_schedule(random: np.random.Generator) -> tuple[int, int, int, float]:
    """Draw a step, the steps of the warm-up, all steps, and the highest rate."""
    warm_up, steps = int(random.integers(5, 15)), int(random.integers(60, 100))
    at = int(random.choice([random.integers(0, warm_up), warm_up, random.integers(warm_up + 1, steps), steps]))
    return at, warm_up, steps, float(random.choice([0.1, 0.02, 0.004]))


def rate(at: int, warm_up: int, steps: int, peak: float) -> float:
    """Rise in a line, then fall along half a cosine."""
    if at < warm_up:
        return peak * at / warm_up
    return peak * (1 + math.cos(math.pi * (at - warm_up) / (steps - warm_up))) / 2


def falling(fall: Callable[[float], float]) -> Callable[..., float]:
    """Return a schedule that rises as it should and falls in another way, by the share of the way that is gone."""
    return lambda at, warm_up, steps, peak: (
        peak * (at / warm_up if at < warm_up else fall((at - warm_up) / (steps - warm_up)))
    )


@exercise(
    draw=place_in_schedule,
    edges=[
        lambda: (10, 20, 60, 0.1),
        lambda: (40, 20, 60, 0.1),
        lambda: (0, 20, 60, 0.1),
        lambda: (20, 20, 60, 0.1),
        lambda: (60, 20, 60, 0.1),
        lambda: (1, 1, 2, 0.5),
        lambda: (0, 0, 60, 0.1),
        lambda: (30, 0, 60, 0.1),
    ],
    notice="Small steps while nothing is known, large ones to get far, small ones to settle.",
    hint="Draw the curve on paper. Where does the fall begin, and which share of its way has this step gone?",
    mistakes=[
        Mistake(
            lambda at, warm_up, steps, peak: peak * (1 + math.cos(math.pi * at / steps)) / 2,
            "The warm-up is missing.",
        ),
        Mistake(
            lambda at, warm_up, steps, peak: peak if at < warm_up else rate(at, warm_up, steps, peak),
            "During the warm-up the rate rises, from 0 to `peak`.",
        ),
        Mistake(
            lambda at, warm_up, steps, peak: (
                peak * (at + 1) / warm_up if at < warm_up else rate(at, warm_up, steps, peak)
            ),
            "The rise begins too high: at step 0 the rate is 0.",
        ),
        Mistake(
            lambda at, warm_up, steps, peak: peak * at / steps if at < warm_up else rate(at, warm_up, steps, peak),
            "The rise is too slow: it should reach `peak` after `warm_up` steps.",
        ),
        Mistake(
            lambda at, warm_up, steps, peak: rate(at, warm_up, steps, peak) * (1 if at < warm_up else 2),
            "The fall begins at twice `peak`: 1 + cos goes from 2 to 0.",
        ),
        Mistake(
            lambda at, warm_up, steps, peak: rate(at, warm_up, steps, 1.0),
            "It rises to 1. The highest rate is `peak`.",
        ),
        Mistake(
            lambda at, warm_up, steps, peak: (
                rate(at, warm_up, steps, peak) if at < warm_up else peak * (1 + math.cos(math.pi * at / steps)) / 2
            ),
            "The fall begins at the end of the warm-up, so there the share of its way is 0.",
        ),
        Mistake(
            falling(lambda way: math.cos(math.pi * way)),
            "The cosine goes down to -1, and no rate may be negative: (1 + cos) / 2.",
        ),
        Mistake(
            falling(lambda way: 1 - way),
            "It falls in a straight line. The task asks for half a cosine.",
        ),
        Mistake(
            falling(lambda way: (1 + math.cos(2 * math.pi * way)) / 2),
            "It goes down and up again: a whole cosine wave. Half of one ends at π.",
        ),
        Mistake(
            falling(lambda way: (1 + math.cos(180 * way)) / 2),
            "`math.cos` counts in radians: half a wave ends at π, not at 180.",
        ),
        Mistake(
            lambda at, warm_up, steps, peak: (
                rate(at, warm_up, steps, peak)
                if at < warm_up
                else peak * (1 + math.cos(math.pi * (at - warm_up) / steps)) / 2
            ),
            "The fall takes `steps - warm_up` steps: it has to end at 0, at step `steps`.",
        ),
        Mistake(
            lambda at, warm_up, steps, peak: rate(at, warm_up, steps - (at >= warm_up), peak),
            "The fall ends one step too early. At step `steps` the rate is 0, and not before.",
        ),
        Mistake(
            falling(lambda way: math.cos(math.pi / 2 * way)),
            "This is a quarter of a wave. Half of one goes from 1 to -1: bring it between `peak` and 0.",
        ),
    ],
    gaps=[
        Gap(
            lambda at, warm_up, steps, peak: warm_up > 0,
            "It is wrong where `warm_up` is 0. Then nothing rises: the fall begins at step 0, at `peak`.",
        ),
        Gap(
            lambda at, warm_up, steps, peak: at != warm_up,
            "It is wrong at step `warm_up`: there the rate is `peak`.",
        ),
        Gap(
            lambda at, warm_up, steps, peak: at >= warm_up,
            "The fall is right, and the rise is not: from 0 at step 0 in a straight line to `peak` at step `warm_up`.",
        ),
        Gap(
            lambda at, warm_up, steps, peak: at < warm_up,
            "The rise is right, and the fall is not. Where does it begin, and which share of its way has this step "
            "gone?",
        ),
    ],
)
def learning_rate(at: int, warm_up: int, steps: int, peak: float) -> float:
    """Return the rate at a step: in a line from 0 to `peak` within `warm_up` steps, then half a cosine down to 0."""
    return rate(at, warm_up, steps, peak)


def labels_and_amount(random: np.random.Generator) -> tuple[Tensor, float]:
    """Draw labels and how much to smooth them."""
    return torch.from_numpy(random.integers(0, 10, size=5)), float(random.uniform(0.05, 0.4))


@exercise(
    draw=labels_and_amount,
    edges=[
        lambda: (torch.arange(10), 0.1),
        lambda: (torch.tensor([4]), 0.2),
        lambda: (torch.tensor([3, 0, 3]), 0.0),
        lambda: (torch.tensor([9, 1]), 1.0),
    ],
    notice="Each row still adds up to 1. With 0.1 the network aims at 0.91, and its logits need not grow for ever.",
    hint="Write down one row for an amount of 0.5, by hand. What does the right class get, and what each other one?",
    mistakes=[
        Mistake(
            lambda labels, amount: F.one_hot(labels, 10).float(),
            "Nothing is smoothed yet. (In a tensor of whole numbers, as `one_hot` makes it, a fraction becomes 0.)",
        ),
        Mistake(
            lambda labels, amount: F.one_hot(labels, 10) * (1 - amount) + (1 - F.one_hot(labels, 10)) * amount / 9,
            "It deals the amount out to the nine wrong classes. By definition all ten get a share of it.",
        ),
        Mistake(
            lambda labels, amount: F.one_hot(labels, 10) * (1 - amount) + amount,
            "Each row adds up to more than 1: the amount is shared out, a tenth for each class.",
        ),
        Mistake(
            lambda labels, amount: torch.where(F.one_hot(labels, 10) > 0, 1 - amount, amount / 10),
            "Each row adds up to less than 1: the right class gets its tenth of the amount, too.",
        ),
        Mistake(
            lambda labels, amount: torch.full((len(labels), 10), amount / 10),
            "This is what is dealt out. The right class keeps the rest besides.",
        ),
        Mistake(
            lambda labels, amount: F.one_hot(labels, 10) * amount + (1 - amount) / 10,
            "The shares are exchanged: `amount` is taken away, and 1 - `amount` stays with the right class.",
        ),
        Mistake(
            lambda labels, amount: F.one_hot(labels, 10) * (1 - amount),
            "The amount is taken away and given to nobody. Deal it out among all ten classes.",
        ),
        Mistake(
            lambda labels, amount: F.one_hot(labels) * (1 - amount) + amount / 10,
            "There must be ten columns, also where the last classes do not occur: see `num_classes`.",
        ),
        Mistake(
            lambda labels, amount: F.one_hot(labels, 10) + amount / 10,
            "Each row adds up to more than 1: what is dealt out must be taken from the right class first.",
        ),
        Mistake(
            lambda labels, amount: F.one_hot(labels, 10) * (1 - amount) + amount / 9,
            "Each row adds up to more than 1: all ten classes get a share, so it is a tenth.",
        ),
        Mistake(
            lambda labels, amount: F.one_hot(labels, 10) * (1 - amount) + amount / len(labels),
            "It divides by the number of labels. The amount of one label is dealt out among the ten classes.",
        ),
        Mistake(
            lambda labels, amount: (
                F.one_hot(labels, 10).amax(dim=0).expand(len(labels), 10) * (1 - amount) + amount / 10
            ),
            "Each row has the labels of all rows. Each has one of its own: give the rows as well as the columns.",
        ),
        Mistake(
            lambda labels, amount: F.one_hot(labels, 10) * 0.9 + 0.01,
            "This is for an amount of 0.1. The function is asked about others.",
        ),
    ],
    gaps=[
        Gap(
            lambda labels, amount: amount > 0,
            "It is wrong where `amount` is 0. Then nothing is taken away: these are the plain labels.",
        ),
        Gap(
            lambda labels, amount: amount < 1,
            "It is wrong where `amount` is 1. Then all ten classes get a tenth, whatever the label is.",
        ),
    ],
)
def smoothed(labels: Tensor, amount: float) -> Tensor:
    """Return what smoothed labels ask of each class. Shapes: labels (N,) int64 → (N, 10) float."""
    return F.one_hot(labels, 10) * (1 - amount) + amount / 10


def values_and_share(random: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Draw values, which of them are kept, and the share that is dropped."""
    share = float(random.choice([0.2, 0.4, 0.7]))
    return inputs.normal(random, 4, 6), torch.from_numpy(random.random((4, 6)) > share), share


def some_values(share: float, kept: bool | None = None) -> Callable[[], tuple[Tensor, Tensor, float]]:
    """Return what gives values and the share that is dropped; all of them are kept, or none, or it is by chance."""

    def given() -> tuple[Tensor, Tensor, float]:
        random = np.random.default_rng(0)
        stays = torch.from_numpy(random.random((3, 8)) > share) if kept is None else torch.full((3, 8), kept)
        return inputs.normal(random, 3, 8), stays, share

    return given


@exercise(
    draw=values_and_share,
    edges=[some_values(0.25), some_values(0.5, kept=True), some_values(0.5, kept=False), some_values(0.0, kept=True)],
    notice="What is left is made larger, so that the next layer gets as much as when nothing is dropped.",
    hint="What `kept` does not name becomes 0, each value by itself. And the rest: of a hundred values of 1, how many "
    "stay on average, and what do they add up to? It should be a hundred.",
    mistakes=[
        Mistake(
            lambda values, kept, share: values,
            "Nothing is dropped: `kept` says which values stay.",
        ),
        Mistake(
            lambda values, kept, share: values * kept,
            "The next layer would get less while training than afterwards: scale up what is kept.",
        ),
        Mistake(
            lambda values, kept, share: values * kept / share,
            "It divides by the share that is dropped. Divide by the share that is kept, 1 - share.",
        ),
        Mistake(
            lambda values, kept, share: values * ~kept / (1 - share),
            "It drops what should be kept.",
        ),
        Mistake(
            lambda values, kept, share: values * kept * (1 - share),
            "It scales down. What is kept has to grow: divide by 1 - share.",
        ),
        Mistake(
            lambda values, kept, share: values * kept * share,
            "It scales down. What is kept has to grow: divide by 1 - share.",
        ),
        *[
            Mistake(
                answer, "What is kept grows by what chance has kept this time. Divide by the probability, 1 - share."
            )
            for answer in (
                lambda values, kept, share: values * kept / kept.float().mean(),
                lambda values, kept, share: values * kept / kept.float().mean(dim=1, keepdim=True),
                lambda values, kept, share: values * kept / kept.float().mean(dim=1, keepdim=True).clamp(min=1e-6),
                lambda values, kept, share: values * kept * values.sum() / (values * kept).sum(),
            )
        ],
        Mistake(
            lambda values, kept, share: values * kept * 2,
            "What is kept is doubled: that suits a share of 0.5 alone.",
        ),
        Mistake(
            lambda values, kept, share: values * kept * (1 + share),
            "It multiplies by 1 + share. Where half is dropped, the rest has to double: divide by 1 - share.",
        ),
        Mistake(
            lambda values, kept, share: torch.where(kept, values / (1 - share), values),
            "What is dropped passes on as it is. It becomes 0.",
        ),
        Mistake(
            lambda values, kept, share: values / (1 - share),
            "Nothing is dropped: `kept` says which values stay.",
        ),
        Mistake(
            lambda values, kept, share: F.dropout(values, share),
            "It draws for itself what is dropped. Use `kept`, which says it for this time.",
        ),
        Mistake(
            lambda values, kept, share: values[kept] / (1 - share),
            "What is dropped is cut out. It becomes 0, and keeps its place.",
        ),
    ],
    gaps=[
        Gap(
            lambda values, kept, share: share > 0,
            "It is wrong where `share` is 0. Then nothing is dropped, and all values are passed on as they are.",
        ),
        Gap(
            lambda values, kept, share: bool(kept.any()),
            "It is wrong where nothing is kept. Then all that is passed on is 0.",
        ),
    ],
)
def dropped(values: Tensor, kept: Tensor, share: float) -> Tensor:
    """Return values after dropout, as in training. Shapes: values (N, D), kept (N, D) bool → (N, D)."""
    return values * kept / (1 - share)


def values_and_memory(random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Draw the numbers of a batch, each column on a scale of its own, what is remembered of earlier ones, the mode.

    The numbers spread widely, so that the small one under the root shows at the edges alone.
    """
    count, numbers_ = (int(size) for size in random.permutation([5, 6, 7, 8])[:2])
    scales, variance = (
        torch.from_numpy(random.uniform(low, high, numbers_)).float() for low, high in ((3, 8), (0.5, 2))
    )
    values = inputs.normal(random, count, numbers_) * scales + 2 * inputs.normal(random, numbers_)
    return values, inputs.normal(random, numbers_), variance, bool(random.random() < 0.6)


def a_batch_of(count: int, training: bool, scale: float = 1.0) -> Callable[[], tuple[Tensor, Tensor, Tensor, bool]]:
    """Return what gives so many rows whose numbers spread so far, and the mode."""

    def given() -> tuple[Tensor, Tensor, Tensor, bool]:
        random = np.random.default_rng(count)
        mean, variance = scale * inputs.normal(random, 4), scale**2 * torch.tensor([0.5, 1.0, 2.0, 4.0])
        return scale * inputs.normal(random, count, 4) + mean, mean, variance, training

    return given


def all_alike() -> tuple[Tensor, Tensor, Tensor, bool]:
    """Give a batch whose rows do not differ."""
    return torch.tensor([[1.0, -2.0, 0.0]]).repeat(5, 1), torch.zeros(3), torch.ones(3), True


EPSILON, MOVE = 1e-5, 0.1


def batch_norm(
    values: Tensor,
    mean: Tensor,
    variance: Tensor,
    training: bool,
    own: Callable[[Tensor], tuple[Tensor, Tensor]] = lambda values: (
        values.mean(dim=0),
        values.var(dim=0, correction=0),
    ),
    scaled: Callable[[Tensor, Tensor], Tensor] = lambda centred, spread: centred / (spread + EPSILON).sqrt(),
    remembered: int = 1,
    move: float = MOVE,
    asks_mode: bool = True,
    moves_always: bool = False,
    by_memory: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Standardise by the batch or by what is remembered, and return both; the arguments put mistakes in."""
    centre, spread = (mean, variance) if by_memory or (asks_mode and not training) else own(values)
    new_mean, new_variance = mean, variance
    if training or moves_always:
        new_mean = (1 - move) * mean + move * values.mean(dim=0)
        new_variance = (1 - move) * variance + move * values.var(dim=0, correction=remembered)
    return scaled(values - centre, spread), new_mean, new_variance


NORM_HINT = (
    "Which mean and which variance come into the fraction, in which mode? In which mode do the remembered ones move, "
    "and how far?"
)


def right_norms(result: object, values: Tensor, mean: Tensor, variance: Tensor, training: bool) -> str | None:
    """Say in which mode something is wrong, and what."""
    truth = plain(batch_norm(values, mean, variance, training))
    if same(result, truth):
        return None
    said = difference_in_form(result, truth)
    if said:
        return said
    names = "the standardised batch", "the remembered mean", "the remembered variance"
    wrong = [name for name, found, right in zip(names, result, truth, strict=True) if not same(found, right)]
    return f"Wrong {'while training' if training else 'in evaluation'}: {', '.join(wrong)}. {NORM_HINT}"


def normed(hint: str, **faults: Any) -> Mistake:
    """Return the mistake of standardising with some faults."""
    return Mistake(lambda *given: batch_norm(*given, **faults), hint)


@exercise(
    draw=values_and_memory,
    by_hand=("batch_norm", "layer_norm", "instance_norm", "group_norm"),
    edges=[
        a_batch_of(6, training=True),
        a_batch_of(6, training=False),
        a_batch_of(1, training=False),
        a_batch_of(2, training=True),
        a_batch_of(5, training=True, scale=1e-3),
        a_batch_of(5, training=False, scale=1e-3),
        all_alike,
    ],
    rounds=12,
    notice="While training, an image's result depends on the others of its batch; in evaluation it does not. A network "
    "that is scored in the wrong mode is another network.",
    hint=NORM_HINT,
    examine=right_norms,
    mistakes=[
        normed(
            "In evaluation it still standardises by the batch. There it takes what was remembered while training.",
            asks_mode=False,
        ),
        normed(
            "While training it standardises by what is remembered. There it takes the mean and variance of the batch.",
            by_memory=True,
        ),
        normed("In evaluation nothing is remembered: return mean and variance as they were.", moves_always=True),
        normed(
            "It treats both modes alike. In evaluation it takes the remembered mean and variance, and leaves them.",
            asks_mode=False,
            moves_always=True,
        ),
        normed("Nothing is remembered: while training, mean and variance move a tenth of the way.", move=0.0),
        normed("The shares are exchanged: nine tenths of the old value stay, and one tenth is new.", move=0.9),
        normed("It forgets what was before: only a tenth of the way is gone with each batch.", move=1.0),
        normed("It moves a hundredth of the way. Nine tenths of the old value stay, and one tenth is new.", move=0.01),
        normed(
            "The small number is another one. It is 0.00001, `1e-5`.",
            scaled=lambda centred, spread: centred / (spread + 1e-3).sqrt(),
        ),
        Mistake(
            lambda values, mean, variance, training: batch_norm(values, mean, variance, not training),
            "The two modes are exchanged: while training the batch's own mean and variance count, and are remembered.",
        ),
        Mistake(
            lambda *given: tuple(batch_norm(*given)[place] for place in (0, 2, 1)),
            "The last two are exchanged: the remembered mean comes before the variance.",
        ),
        Mistake(
            lambda values, mean, variance, training: (
                batch_norm(values, mean, variance, training)[0],
                *((values.mean(dim=0), values.var(dim=0, correction=0)) if training else (mean, variance)),
            ),
            "It returns the batch's own mean and variance. Return what is remembered: the old values, moved a tenth of "
            "the way.",
        ),
        normed(
            "The variance that is remembered divides by N here. Only the one in the fraction does; the one that is "
            "remembered divides by N - 1.",
            remembered=0,
        ),
        normed(
            "The fraction's variance divides by N - 1. It divides by N; the one that is remembered by N - 1. (See "
            "`correction` of `var`.)",
            own=lambda values: (values.mean(dim=0), values.var(dim=0)),
        ),
        normed(
            "The two variances are exchanged: the fraction's divides by N, the remembered one by N - 1.",
            own=lambda values: (values.mean(dim=0), values.var(dim=0)),
            remembered=0,
        ),
        normed(
            "It takes mean and variance of each row. Each *column* is standardised, over the rows of the batch.",
            own=lambda values: (values.mean(dim=1, keepdim=True), values.var(dim=1, correction=0, keepdim=True)),
        ),
        normed(
            "It takes one mean and variance for all numbers. Each column has its own.",
            own=lambda values: (values.mean(), values.var(correction=0)),
        ),
        normed(
            "It divides by the variance. Divide by its square root.",
            scaled=lambda centred, spread: centred / (spread + EPSILON),
        ),
        normed("The mean is subtracted, and nothing is divided.", scaled=lambda centred, spread: centred),
        normed(
            "The small number is added to the root. It belongs under it, to the variance.",
            scaled=lambda centred, spread: centred / (spread.sqrt() + EPSILON),
        ),
        normed(
            "The small number is missing. Where all rows are alike the variance is 0.",
            scaled=lambda centred, spread: centred / spread.sqrt(),
        ),
        Mistake(
            lambda values, mean, variance, training: (
                batch_norm(values, *batch_norm(values, mean, variance, training)[1:], training, by_memory=True)[0],
                *batch_norm(values, mean, variance, training)[1:],
            ),
            "While training it standardises by what is remembered after the move. There it takes the batch's own.",
        ),
        Mistake(
            lambda *given: batch_norm(*given)[0],
            "Return three things: the result, the remembered mean, and the remembered variance.",
        ),
    ],
    gaps=[
        Gap(
            lambda values, mean, variance, training: (
                bool(values.var(dim=0, correction=0).min() > 0) or len(values) == 1
            ),
            "It goes wrong where the rows do not differ. The variance is 0 there: add the small number under the root.",
        ),
        Gap(
            lambda values, mean, variance, training: bool(variance.min() > 1e-3),
            "It goes wrong where the variance is tiny. The small number, 1e-5, belongs under the root.",
        ),
    ],
)
def normalised(values: Tensor, mean: Tensor, variance: Tensor, training: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return a batch standardised as batch normalisation does, and the running mean and variance afterwards.

    Shapes: values (N, D), mean (D,), variance (D,) → (N, D), (D,), (D,).
    """
    return batch_norm(values, mean, variance, training)


def network_and_digits(random: np.random.Generator, count: int = 0) -> tuple[nn.Sequential, Optimizer, Tensor, Tensor]:
    """Draw a network, its optimizer, which has made steps before and remembers them, and a batch, sometimes small."""
    images, labels = inputs.float_digits(random, count or int(random.choice([7, 40])))
    # A batch norm, whose results tell in which mode it is, behind an ELU: right behind a layer it would leave that
    # layer's bias no gradient but noise, of which Adam makes whole steps; in front of all it would hide other scales.
    model = inputs.network(random)
    model.elu1 = nn.Sequential(model.elu1, nn.BatchNorm2d(4))
    model.dense.register_forward_hook(watch)
    lr = float(random.uniform(0.1, 0.3))
    adam = random.random() < 0.5
    optimizer = torch.optim.Adam(model.parameters(), lr / 10) if adam else torch.optim.SGD(model.parameters(), lr, 0.9)
    learn(model, optimizer, images, labels)  # leaves a gradient behind, which must not be added to the next
    return model, optimizer, images, labels


def learn(
    model: nn.Module,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    forget: bool = True,
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> Tensor:
    """Make one step; the arguments put mistakes in."""
    loss = loss_of(model(images), labels)
    if forget:
        optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def step_too_early(model: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor) -> Tensor:
    """Make the step before the gradient is there."""
    loss = F.cross_entropy(model(images), labels)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    return loss


def loss_afterwards(model: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor) -> Tensor:
    """Make the step, and ask for the loss only then."""
    learn(model, optimizer, images, labels)
    return F.cross_entropy(model(images), labels)


def only_loss(model: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor) -> Tensor:
    """Forget the way back."""
    return F.cross_entropy(model(images), labels)


def unseen_dropout(model: nn.Module, *given: object) -> Tensor:
    """Make the step in evaluation mode."""
    model.eval()
    loss = learn(model, *given)
    model.train()
    return loss


def summed(model: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor) -> Tensor:
    """Make the step with the sum of the losses."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels, reduction="sum")
    loss.backward()
    optimizer.step()
    return loss


def after_step(loss: object, model: nn.Module, optimizer: Optimizer, *_rest: Tensor) -> dict[str, object]:
    """Return the loss, as a number, beside what the step has left in the network and in the optimizer."""
    remembered = [one.flatten() for state in optimizer.state.values() for one in state.values() if one is not None]
    return {
        "loss": number(loss),
        "weights": parameters_to_vector(model.parameters()),
        "remembered": torch.cat(remembered),
        "training": all(part.training for part in model.modules()),
        "rates": [group["lr"] for group in optimizer.param_groups],
        "seen": [buffer.float() for buffer in model.buffers()],
        "settings": settings(model),
    }


DID_NOT_CHANGE = (
    "The weights did not change. Is there a `backward()`, and after it a `step()`, both with their brackets? "
    "Is no gradient cleared between them? And does the loss come from this network itself, outside of any `no_grad`?"
)


def right_step(result: dict[str, object], *given: object) -> str | None:
    """Say what is wrong with a step, beside the right one."""
    before = plain(after_step(None, *given))
    right = plain(after_step(learn(*given), *given))
    if same(result["weights"], before["weights"]):
        return DID_NOT_CHANGE
    if not result["training"]:
        return "It leaves the network in evaluation mode. It is to learn: leave it in training mode."
    if same(result["remembered"], before["remembered"]):
        return "The optimiser that is handed over has made no step. It remembers earlier ones, so let it make this one."
    if not same(result["weights"], right["weights"]) or not same(result["remembered"], right["remembered"]):
        return (
            "The weights are not those after one step. Compare with the loop in notebook 3: is each line there once? "
            "The loss is the mean cross-entropy of the logits, for all images and labels as they were given."
        )
    if not same(result["rates"], right["rates"]):
        return "The step is right, but afterwards the optimiser has another rate. One step leaves it as it is."
    for problem, as_left in result["settings"].items():
        if not same(as_left, right["settings"][problem]):
            return problem
    if isinstance(result["loss"], str):
        return f"The step is right. Return the loss, one number; it returns {result['loss']}."
    if len(given[3]) > 1 and same(result["loss"], right["loss"] * len(given[3])):
        return "The step is right, and the loss is the sum of the images'. Return their mean."
    if not same(result["loss"], right["loss"]):
        return "The step is right, but not the loss that is returned."
    if not same(result["seen"], right["seen"]):
        return (
            "The step is right, but the images go through the network more than once. One pass gives the loss for both."
        )
    return None


@exercise(
    draw=network_and_digits,
    rounds=4,
    edges=[
        lambda: network_and_digits(np.random.default_rng(1), 1),
        lambda: network_and_digits(np.random.default_rng(2), 128),
    ],
    notice="A few lines, and every training in this course is made of them.",
    hint="Compare with the loop in notebook 3, line by line: is each step there, and once?",
    measure=after_step,
    examine=right_step,
    mistakes=[
        Mistake(
            lambda *given: learn(*given, forget=False),
            "The gradient of the step before is still there, and the new one is added to it: `zero_grad`.",
        ),
        Mistake(
            lambda *given: learn(*given, loss_of=lambda logits, labels: F.cross_entropy(logits.softmax(dim=1), labels)),
            "`cross_entropy` applies the softmax itself. Give it the logits.",
        ),
        Mistake(
            lambda *given: learn(*given, loss_of=F.nll_loss),
            "`nll_loss` expects logarithms of probabilities. The cross-entropy of logits is `cross_entropy`.",
        ),
        Mistake(step_too_early, "The optimiser steps before the new gradient is there: first `backward`, then `step`."),
        Mistake(only_loss, DID_NOT_CHANGE),
        Mistake(loss_afterwards, "This is the loss after the step. Return the one that the step was made from."),
        Mistake(
            lambda *given: learn(*given) and None,
            "The weights are right, but the function returns None. Return the loss.",
        ),
        Mistake(
            unseen_dropout,
            "The step is made in evaluation mode. A network learns in training mode, in which it is handed over.",
        ),
        Mistake(summed, "This is the sum of the losses. The mean is asked for, or the step grows with the batch."),
        Mistake(
            lambda *given: (learn(*given), learn(*given))[0],
            "It makes two steps. One is asked for.",
        ),
    ],
)
def train_step(model: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor) -> Tensor:
    """Let a network learn from one batch and return the loss. Shapes: images (B, 1, 28, 28) float, labels (B,)."""
    return learn(model, optimizer, images, labels)


LARGEST = 10_000  # parameters, and other numbers that the network holds
IMAGES = 6_000
LOWEST = 0.90  # accuracy on images that were not trained on
GUESSING = 0.2
NOISE = 12  # grey levels at most, added to each of their pixels
SOME = 500  # of them are asked about in other scales, too


def digits_to_learn(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw images and labels of the training part."""
    train = inputs.part("train")
    drawn = train.select(torch.from_numpy(random.choice(len(train), IMAGES, replace=False)))
    return to_float(drawn.images), drawn.labels


def size_and_answers(model: object, *_given: Tensor) -> dict[str, object]:
    """Say how large a network is, and what it takes the validation images for, by itself."""
    if not isinstance(model, nn.Module):
        return {"kind": type(model).__name__}
    model = own_copy(model)
    images = inputs.part("validation").images
    # A little noise makes new images of them, which cannot be looked up in the files.
    images = to_float(images.clamp(max=255 - NOISE) + torch.randint_like(images, NOISE + 1))
    shape = tuple(getattr(model(images[:5]), "shape", ()))
    if shape != (5, 10):
        return {"kind": "network", "shape": shape}
    logits, larger, standardised = (
        torch.cat([model(part).detach() for part in some.split(SOME)])
        for some in (images, 255 * images[:SOME], (images[:SOME] - images.mean()) / images.std())
    )
    inside = looked_into(model, images[:5])
    return {
        "kind": "network",
        "shape": shape,
        "numbers": inside["numbers"],
        "learns": inside["learns"],
        "finite": bool(logits.isfinite().all()),
        "as drawn": as_drawn(model),
        "answers": logits.argmax(dim=1),
        "in other scales": torch.stack([larger.argmax(dim=1), standardised.argmax(dim=1)]),
    }


def as_drawn(model: nn.Module) -> bool:
    """Say whether all weights lie where torch draws them, as long as nothing is learned."""
    weights = [part.weight for part in model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    return bool(weights) and all(weight.abs().max() <= weight[0].numel() ** -0.5 for weight in weights)


def small_and_good(result: dict[str, object], *_given: Tensor) -> str | None:
    """Say what a trained network lacks."""
    if result["kind"] != "network":
        return no_network(result["kind"])
    if result["shape"] != (5, 10):
        return f"For 5 images it returns {result['shape']}, and should return (5, 10): a logit for each digit."
    if not result["numbers"] <= LARGEST:
        return (
            f"The network has {result['numbers']:,} numbers, and should have {LARGEST:,} at most. All count, wherever "
            "they are kept: weights, biases, buffers and others."
        )
    if not result["finite"]:
        return "Its outputs are NaN or infinite: the weights have grown without end. Is the rate far too high?"
    if not result["learns"]:
        return NO_WAY_BACK
    return good_enough(result)


def good_enough(result: dict[str, object]) -> str | None:
    """Say why a network reads too few of the new images, if it does."""
    labels = inputs.part("validation").labels.numpy()
    answers, others = numbers(result["answers"]), numbers(result["in other scales"])
    if answers.shape != labels.shape or others.shape != (2, SOME):
        return "It should give 10 logits for each image, and no more."
    accuracy = (answers == labels).mean()
    if accuracy >= LOWEST:
        return None
    if (others == labels[:SOME]).mean(axis=1).max() >= max(LOWEST - 0.1, accuracy):
        return (
            "It reads images in another scale: what you do to them outside of the network is not done here. Make it a "
            "layer of the network, or leave it out."
        )
    if accuracy >= GUESSING:
        return f"It reads {accuracy:.1%} of new images, and {LOWEST:.0%} is asked for. More epochs, or a higher rate?"
    if result["as drawn"]:
        return f"It reads {accuracy:.1%} of new images, which is guessing: its weights are as they were drawn at first."
    return (
        f"It reads {accuracy:.1%} of new images, which is guessing. Do images and labels still belong together after "
        "they are shuffled? Is the optimiser this network's own? Or is the rate far too high?"
    )


@exercise(
    draw=digits_to_learn,
    rounds=1,
    notice="A twelfth of the walkthrough's parameters and a ninth of its images go a long way.",
    hint="Return a trained nn.Module.",
    measure=size_and_answers,
    examine=small_and_good,
)
def trained_within_budget(images: Tensor, labels: Tensor) -> nn.Module:
    """Train a network of at most 10,000 parameters on 6,000 images.

    Shapes: (6000, 1, 28, 28) float in [0, 1], (6000,).
    """
    layers = nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2)
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(5):
        for batch in torch.randperm(len(images)).split(64):
            learn(model, optimizer, images[batch], labels[batch])
    return model
