"""Checks of exercise notebook 6: eight pieces of training with a fault each, judged by what the repaired ones do.

The patients have numbers, so that no name tells the diagnosis.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector
from torch.optim.lr_scheduler import ExponentialLR

from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import Mistake, exercise, number
from mnist_helpers.data import to_float

BATCH_SIZE, LR = 32, 0.1
MEAN, STD = 0.1307, 0.3081
DECAY = 0.95


def network_and_digits(random: np.random.Generator) -> tuple[nn.Sequential, Tensor, Tensor]:
    """Draw a network without dropout, and digits to train it on."""
    images, labels = inputs.float_digits(random, 160)
    return inputs.network(random), images, labels


def weights(_result: object, model: nn.Sequential, *_given: Tensor) -> Tensor:
    """Return the weights that a training has left, in a row."""
    return parameters_to_vector(model.parameters())


def train(
    model: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    forget: str = "each step",
    epochs: int = 1,
    decay: str = "",
) -> None:
    """Train a network with plain gradient descent; the arguments put the faults in."""
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    scheduler = ExponentialLR(optimizer, gamma=DECAY)
    for _ in range(epochs):
        for batch, wanted in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True):
            loss = loss_of(model(batch), wanted)
            if forget == "each step":
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if forget == "too early":
                optimizer.zero_grad()
                loss_of(model(batch), wanted).backward()
            if decay == "each step":
                scheduler.step()
        if forget == "each epoch":
            optimizer.zero_grad()
        if decay == "each epoch":
            scheduler.step()


@exercise(
    draw=network_and_digits,
    rounds=2,
    measure=weights,
    notice="`backward` adds to what is there. That is useful for large batches in pieces, and a fault everywhere else.",
    hint="Compare your loop with the healthy one on top of the page: optimiser, rate, order, size of the batches.",
    mistakes=[
        Mistake(
            lambda *given: train(*given, forget="each epoch"),
            "Within an epoch, all gradients of the steps before are still added up. Which call forgets them?",
        ),
        Mistake(
            lambda *given: train(*given, forget="too early"),
            "A gradient is computed again after it was forgotten. Forget, then `backward`, then `step`, once each.",
        ),
        Mistake(
            lambda *given: None,
            "The network that was given has not changed. Is the gradient there when the step needs it? "
            "And is it this network that is trained?",
        ),
    ],
)
def patient_1(model: nn.Sequential, images: Tensor, labels: Tensor) -> None:
    """Train for one epoch, each step by its own gradient."""
    train(model, images, labels)


@exercise(
    draw=network_and_digits,
    rounds=2,
    measure=weights,
    notice="Twice through the softmax, even a perfect network keeps a loss of 1.46, and hardly any gradient is left.",
    hint="Look at what `F.cross_entropy` expects: its documentation says it in the first line.",
    mistakes=[
        Mistake(
            lambda *given: train(*given, loss_of=lambda logits, labels: F.cross_entropy(logits.softmax(dim=1), labels)),
            "The softmax is still applied twice: once in the loop, once in the loss.",
        ),
        Mistake(
            lambda *given: train(*given, loss_of=lambda logits, labels: F.nll_loss(logits.softmax(dim=1), labels)),
            "The logarithm is missing: this loss is made of the probabilities themselves.",
        ),
        Mistake(
            lambda *given: train(*given, epochs=3),
            "It trains three epochs. The function trains one: it is the cell that calls it three times.",
        ),
        Mistake(
            lambda *given: train(*given, loss_of=lambda logits, labels: F.nll_loss(logits, labels)),
            "`nll_loss` expects logarithms of probabilities, and gets logits: its loss falls without end.",
        ),
    ],
)
def patient_2(model: nn.Sequential, images: Tensor, labels: Tensor) -> None:
    """Train for one epoch on the cross-entropy of the logits."""
    train(model, images, labels)


def network_with_dropout(random: np.random.Generator) -> tuple[nn.Sequential, Tensor, Tensor]:
    """Draw a network with dropout, in the middle of its training, and digits to score it on."""
    images, labels = inputs.float_digits(random, 100)
    return inputs.network(random, dropout=0.5).train(), images, labels


def val_loss(model: nn.Sequential, images: Tensor, labels: Tensor, calm: bool = True, back: bool = True) -> float:
    """Return the loss on images; the arguments put faults in."""
    model.train(not calm)
    with torch.no_grad():
        loss = F.cross_entropy(model(images), labels).item()
    model.train(back)
    return loss


def loss_and_mode(loss: object, model: nn.Sequential, *_given: Tensor) -> tuple:
    """Return the loss, and whether dropout is at work when the training goes on."""
    images = torch.rand(20, 1, 28, 28)
    drops = not torch.equal(model(images), model(images))
    graded = any(parameter.grad is not None for parameter in model.parameters())
    return number(loss), drops, graded, parameters_to_vector(model.parameters())


def same_dice(model: nn.Sequential, images: Tensor, labels: Tensor) -> float:
    """Score with dropout at work, the same way each time."""
    torch.manual_seed(0)
    return F.cross_entropy(model(images), labels).item()


@exercise(
    draw=network_with_dropout,
    measure=loss_and_mode,
    rounds=4,
    notice="Dropout is for training. In an honest score every part of the network answers.",
    hint="Should dropout be at work while you score? And a score changes nothing: no weight, no gradient, no mode.",
    mistakes=[
        Mistake(same_dice, "The same dice each time are still dice: dropout is at work."),
        Mistake(
            lambda *given: val_loss(*given, calm=False),
            "The score differs each time: dropout is still at work. Which mode is the network in?",
        ),
        Mistake(
            lambda *given: val_loss(*given, back=False),
            "The score is right, but afterwards the training goes on without dropout. Put the mode back.",
        ),
        Mistake(
            lambda *given: val_loss(*given) and None,
            "The function returns None. Return the loss.",
        ),
    ],
)
def patient_3(model: nn.Sequential, images: Tensor, labels: Tensor) -> float:
    """Return the validation loss of a network, and leave it ready to be trained further."""
    return val_loss(model, images, labels)


def accuracies(random: np.random.Generator) -> tuple[list[float], list[float]]:
    """Draw the accuracies after each epoch, on validation and on test images, best at different epochs."""
    while True:
        val, test = ((random.choice(400, size=8, replace=False) / 1e4 + 0.95).round(4).tolist() for _ in range(2))
        if len({np.argmax(val), np.argmax(test), 7}) == 3:
            return val, test


@exercise(
    draw=accuracies,
    notice="The best test accuracy of many is too good to be true: it was chosen for being the best.",
    hint="Which images may choose the epoch, and which ones may only be asked afterwards?",
    mistakes=[
        Mistake(
            lambda val, test: max(test),
            "The test images chose the epoch, so they are no test any more.",
        ),
        Mistake(
            lambda val, test: max(val),
            "The validation images chose the epoch, so their own accuracy flatters. Report the test's, of that epoch.",
        ),
        Mistake(
            lambda val, test: test[-1],
            "This is the last epoch. The validation images may choose a better one.",
        ),
        Mistake(
            lambda val, test: int(np.argmax(val)),
            "This is the number of the epoch. Report its accuracy.",
        ),
    ],
)
def patient_4(val_accuracies: list[float], test_accuracies: list[float]) -> float:
    """Return the accuracy to be reported, given those after each epoch on validation and on test images."""
    return test_accuracies[int(np.argmax(val_accuracies))]


def labelled_digits(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw digits and labels."""
    return inputs.float_digits(random, 60)


def two_orders(results: tuple, images: Tensor, labels: Tensor) -> str | None:
    """Say what is wrong with a data set that was shuffled twice."""
    first, second = results
    hint = pairs_kept(first, images, labels) or pairs_kept(second, images, labels)
    if not hint and np.array_equal(first[0], second[0]):
        return "It gives the same order each time. Draw a new one."
    return hint


def pairs_kept(result: object, images: Tensor, labels: Tensor) -> str | None:
    """Say what is wrong with a shuffled data set."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        return "It should return two tensors: images and labels."
    new_images, new_labels = (np.asarray(part) for part in result)
    if new_images.ndim < new_labels.ndim:
        return "They are exchanged: the images come first."
    if new_images.shape != images.shape or new_labels.shape != labels.shape:
        return f"The shapes have become {new_images.shape} and {new_labels.shape}. Nothing may be lost or added."
    order = [int(np.abs(images.numpy() - one).sum(axis=(1, 2, 3)).argmin()) for one in new_images]
    if (images.numpy()[order] != new_images).any():
        return "The pixels have changed. Only the order may."
    if sorted(order) != list(range(len(images))):
        return "Some images are there twice, and others are lost."
    if (labels.numpy()[order] != new_labels).any():
        return "Images and labels are shuffled apart: a 3 is called a 7 now. One order must serve both."
    if order == list(range(len(images))):
        return "The images are not shuffled."
    return None


@exercise(
    draw=labelled_digits,
    rounds=4,
    notice="With labels shuffled apart a network can only learn by heart, and its validation accuracy stays at 10%.",
    hint="Draw one order, and use it twice.",
    examine=two_orders,
    twice=True,
)
def patient_5(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return images and labels in a new random order, still belonging together."""
    order = torch.randperm(len(images))
    return images[order], labels[order]


def network_and_bytes(random: np.random.Generator) -> tuple[nn.Sequential, Tensor]:
    """Draw a network and images as they come from the file."""
    return inputs.network(random).eval(), inputs.digits(random, 50)[0]


def logits_of(model: nn.Sequential, images: Tensor) -> Tensor:
    """Return the logits for prepared images."""
    with torch.no_grad():
        return model(images)


@exercise(
    draw=network_and_bytes,
    rounds=4,
    notice="A network knows only the scale that it was trained on. On another it answers worse, and no error says so.",
    hint="Follow the images through the training: which two things were done to them?",
    mistakes=[
        Mistake(
            lambda model, images: logits_of(model, to_float(images)),
            "Divided by 255, but not standardised. In training, both was done.",
        ),
        Mistake(
            lambda model, images: logits_of(model, (to_float(images) - MEAN) * STD),
            "It multiplies by the deviation, and in training the images were divided by it.",
        ),
        Mistake(
            lambda model, images: logits_of(model, (images - MEAN) / STD),
            "Mean and deviation belong to pixels between 0 and 1. Divide by 255 first.",
        ),
        Mistake(
            lambda model, images: logits_of(
                model, (to_float(images) - to_float(images).mean()) / to_float(images).std()
            ),
            "These are the mean and deviation of the new images. Use those of the training: the scale must not depend "
            "on who else is tested.",
        ),
        Mistake(
            lambda model, images: logits_of(model, to_float(images) - MEAN / STD),
            "A division comes before a subtraction: put the difference in brackets.",
        ),
        Mistake(
            lambda model, images: logits_of(model, (to_float(images) - MEAN) / STD).softmax(dim=1),
            "These are probabilities. Asked for are the logits.",
        ),
        Mistake(lambda model, images: logits_of(model, images.float()), "The pixels are still between 0 and 255."),
    ],
)
def patient_6(model: nn.Sequential, images: Tensor) -> Tensor:
    """Return the logits for images (N, 1, 28, 28) uint8, prepared as in training."""
    return logits_of(model, (to_float(images) - MEAN) / STD)


@exercise(
    draw=network_and_digits,
    rounds=2,
    measure=weights,
    notice="A little less rate after each epoch is patience; a little less after each step is soon standstill.",
    hint="Two epochs, and a rate that loses a twentieth at the end of each.",
    mistakes=[
        Mistake(
            lambda *given: train(*given, epochs=2, decay="each step"),
            "The rate still shrinks after each step, so after a hundred of them it is less than a hundredth.",
        ),
        Mistake(
            lambda *given: train(*given, epochs=2),
            "The rate never shrinks now. It should, but after each epoch.",
        ),
        Mistake(
            lambda *given: train(*given, epochs=1, decay="each epoch"),
            "Only one epoch was trained, and two are asked for.",
        ),
    ],
)
def patient_7(model: nn.Sequential, images: Tensor, labels: Tensor) -> None:
    """Train for two epochs, with a rate that is a twentieth lower in the second."""
    train(model, images, labels, epochs=2, decay="each epoch")


def loss_along(dim: int, reduce: str = "mean") -> Callable[[Tensor, Tensor], Tensor]:
    """Return a cross-entropy whose softmax runs along a dimension."""

    def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
        picked = logits.log_softmax(dim=dim)[range(len(labels)), labels]
        return -picked.sum() if reduce == "sum" else -picked.mean()

    return loss_of


@exercise(
    draw=network_and_digits,
    rounds=2,
    measure=weights,
    notice="Along the batch, a softmax makes images compete. It even learns, but its loss cannot reach 0.",
    by_hand=("cross_entropy", "_loss"),
    hint="The loss is the mean of the negative logarithms of the right classes' probabilities.",
    mistakes=[
        Mistake(
            lambda *given: train(*given, loss_of=loss_along(0)),
            "The softmax still runs along the batch: each column adds up to 1, and each row should.",
        ),
        Mistake(
            lambda *given: train(*given, loss_of=loss_along(1, reduce="sum")),
            "The losses of a batch are added up. Take their mean, or the step depends on the size of the batch.",
        ),
        Mistake(
            lambda *given: train(*given, loss_of=lambda logits, labels: -loss_along(1)(logits, labels)),
            "The sign is turned: this training makes the right class less likely.",
        ),
    ],
)
def patient_8(model: nn.Sequential, images: Tensor, labels: Tensor) -> None:
    """Train for one epoch on a cross-entropy written by hand."""
    train(model, images, labels, loss_of=loss_along(1))
