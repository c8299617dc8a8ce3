"""Checks of exercise notebook 3: batches, a step, early stopping, a schedule, soft labels, dropout, a budget."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector
from torch.optim import Optimizer

from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import Mistake, exercise, no_network, number
from mnist_helpers.data import load_part, to_float
from mnist_helpers.evaluation import predict_logits


def count_and_size(random: np.random.Generator) -> tuple[int, int]:
    """Draw a number of images, in some rounds a multiple of the batch size, and that size."""
    size = int(random.integers(5, 12))
    return size * int(random.integers(6, 9)) + int(random.choice([0, random.integers(1, size)])), size


def two_epochs(epochs: tuple, count: int, size: int) -> str | None:
    """Say what is wrong with the batches of two epochs."""
    first, second = epochs
    hint = complete(first, count, size) or complete(second, count, size)
    if not hint and np.array_equal(np.concatenate(first), np.concatenate(second)):
        return "Two epochs have the same order. Draw a new one each time; who wants a seed sets it once, outside."
    return hint


def complete(batches: list, count: int, size: int) -> str | None:
    """Say what is wrong with the batches of an epoch."""
    if not isinstance(batches, list | tuple) or not batches:
        return "It should return a list of tensors: the indices of each batch."
    flat = np.concatenate([np.asarray(batch).reshape(-1) for batch in batches])
    if len(np.unique(flat)) < len(flat):
        return "Some images come twice in an epoch: draw one order for all of it, and cut that into batches."
    if len(flat) < count:
        last = " The last batch may be smaller, but must not be lost." if len(flat) == count - count % size else ""
        return f"Of {count} images only {len(flat)} are served.{last}"
    if sorted(flat.tolist()) != list(range(count)):
        return f"The indices should be 0 to {count - 1}."
    if any(np.size(batch) != size for batch in batches[:-1]) or not 0 < np.size(batches[-1]) <= size:
        return f"All batches but the last should hold {size} images, and no batch may be empty."
    if len(np.unique(np.diff(flat))) == 1:
        return "The images are not shuffled."
    if all(np.ptp(batch) < 2 * size for batch in batches[:-1]):
        return "The same images always share a batch: shuffle all of them before they are cut into batches."
    return None


@exercise(
    draw=count_and_size,
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


def gradient_of(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the mean squared error."""
    return 2 * x.T @ (x @ weights - y) / len(y)


@exercise(
    draw=a_fit,
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
    ],
)
def step(weights: Tensor, x: Tensor, y: Tensor, lr: float) -> Tensor:
    """Return weights after one step downhill on mean((x @ weights - y)²). Shapes: (3,), (N, 3), (N,) → (3,)."""
    return weights - lr * gradient_of(weights, x, y)


def losses_and_patience(random: np.random.Generator) -> tuple[list[float], int]:
    """Draw validation losses that fall, rise, come back to the best one, rise, and fall further."""
    highest = random.uniform(0.5, 3)  # a network that guesses begins at 2.3
    first, *rest = np.sort(random.uniform(0.2, 0.5, size=int(random.integers(3, 6))))[::-1] * highest
    best = float(rest[-1])
    # One bad epoch on the way, or the first one stays the best for a while.
    steady = random.random() < 0.5
    falling = [best, best] if steady else [first, first + 0.05, *rest]
    after = [best + 0.2, best, best + 0.3, best + 0.2, best + 0.25, best / 2, best]
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


def lowest(losses: list[float], patience: int) -> tuple[int, int]:
    """Return the lowest loss of all, which nobody knows while training."""
    return losses.index(min(losses)), stopping(losses, patience)[1]


@exercise(
    draw=losses_and_patience,
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
            lowest,
            "It knows the losses of epochs that were never trained. Stop first, then name the best until there.",
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


@exercise(
    draw=place_in_schedule,
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
            lambda at, warm_up, steps, peak: (
                rate(at, warm_up, steps, peak)
                if at < warm_up
                else peak * math.cos(math.pi * (at - warm_up) / (steps - warm_up))
            ),
            "The cosine goes down to -1, and no rate may be negative: (1 + cos) / 2.",
        ),
        Mistake(
            lambda at, warm_up, steps, peak: (
                rate(at, warm_up, steps, peak) if at < warm_up else peak * (steps - at) / (steps - warm_up)
            ),
            "It falls in a straight line. Asked for is half a cosine.",
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
    notice="Each row still adds up to 1. With 0.1 the network aims at 0.91, and its logits need not grow for ever.",
    hint="Write down one row for an amount of 0.5, by hand. What does the right class get, and what each other one?",
    mistakes=[
        Mistake(
            lambda labels, amount: F.one_hot(labels, 10).float(),
            "Nothing is smoothed yet.",
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
            lambda labels, amount: F.one_hot(labels, 10) + amount / 10,
            "Each row adds up to more than 1: what is dealt out must be taken from the right class first.",
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


@exercise(
    draw=values_and_share,
    notice="What is left is made larger, so that the next layer gets as much as when nothing is dropped.",
    hint="Of a hundred values of 1, how many stay on average, and what do they add up to? It should be a hundred.",
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
    ],
)
def dropped(values: Tensor, kept: Tensor, share: float) -> Tensor:
    """Return values after dropout, as in training. Shapes: values (N, D), kept (N, D) bool → (N, D)."""
    return values * kept / (1 - share)


def network_and_digits(random: np.random.Generator) -> tuple[nn.Sequential, Optimizer, Tensor, Tensor]:
    """Draw a network, its optimizer, which has made steps before, and a batch."""
    images, labels = inputs.float_digits(random, 40)
    model = inputs.network(random)
    optimizer = torch.optim.SGD(model.parameters(), lr=float(random.uniform(0.1, 0.3)))
    learn(model, optimizer, images, labels)  # leaves a gradient behind, which must not be added to the next
    return model, optimizer, images, labels


def learn(
    model: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor, forget: bool = True, softmax: bool = False
) -> Tensor:
    """Make one step; the arguments put mistakes in."""
    logits = model(images)
    loss = F.cross_entropy(logits.softmax(dim=1) if softmax else logits, labels)
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


def loss_and_weights(loss: object, model: nn.Module, *_rest: object) -> tuple:
    """Return the loss, as a number, beside the weights that the step has left."""
    return number(loss), parameters_to_vector(model.parameters())


@exercise(
    draw=network_and_digits,
    rounds=4,
    notice="A few lines, and every training in this course is made of them.",
    hint="Compare with the loop in notebook 3, line by line: is each step there, and once?",
    measure=loss_and_weights,
    mistakes=[
        Mistake(
            lambda *given: learn(*given, forget=False),
            "The gradient of the step before is still there, and the new one is added to it: `zero_grad`.",
        ),
        Mistake(
            lambda *given: learn(*given, softmax=True),
            "`cross_entropy` applies the softmax itself. Give it the logits.",
        ),
        Mistake(step_too_early, "The optimiser steps before the new gradient is there: first `backward`, then `step`."),
        Mistake(
            only_loss,
            "The weights did not change. Is there a `backward()`, and after it a `step()`, both with their brackets? "
            "And is no gradient cleared between them?",
        ),
        Mistake(loss_afterwards, "This is the loss after the step. Return the one that the step was made from."),
        Mistake(
            lambda *given: learn(*given) and None,
            "The weights are right, but the function returns None. Return the loss.",
        ),
    ],
)
def train_step(model: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor) -> Tensor:
    """Let a network learn from one batch and return the loss. Shapes: images (B, 1, 28, 28) float, labels (B,)."""
    return learn(model, optimizer, images, labels)


LARGEST = 10_000  # parameters
IMAGES = 6_000
LOWEST = 0.90  # accuracy on images that were not trained on
NOISE = 12  # grey levels at most, added to each of their pixels


def digits_to_learn(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw images and labels of the training part."""
    train = load_part("mnist", "train")
    drawn = train.select(torch.from_numpy(random.choice(len(train), IMAGES, replace=False)))
    return to_float(drawn.images), drawn.labels


def size_and_answers(model: object, *_given: Tensor) -> dict[str, object]:
    """Say how large a network is, and what it takes the validation images for."""
    if not isinstance(model, nn.Module):
        return {"kind": type(model).__name__}
    count = sum(parameter.numel() for parameter in model.parameters())
    images = load_part("mnist", "validation").images
    # A little noise makes new images of them, which cannot be looked up in the files.
    images = images.clamp(max=255 - NOISE) + torch.randint_like(images, NOISE + 1)
    answers = predict_logits(model, images).argmax(dim=1)
    return {"kind": "network", "parameters": count, "answers": answers}


def small_and_good(result: dict[str, object], *_given: Tensor) -> str | None:
    """Say what a trained network lacks."""
    if result["kind"] != "network":
        return no_network(result["kind"])
    if result["parameters"] > LARGEST:
        return f"The network has {result['parameters']:,} parameters, and should have {LARGEST:,} at most."
    labels = load_part("mnist", "validation").labels.numpy()
    accuracy = (np.asarray(result["answers"]) == labels).mean()
    if accuracy < 0.2:
        return (
            f"It reads {accuracy:.1%} of new images, which is guessing. Are the weights changed at all? "
            "Or is the rate far too high?"
        )
    if accuracy < LOWEST:
        return (
            f"It reads {accuracy:.1%} of new images, and {LOWEST:.0%} is asked for. More epochs, or a higher "
            "rate? And is everything that you do to the images a layer of the network?"
        )
    return None


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
