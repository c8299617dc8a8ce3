"""Checks of exercise notebook 6: eight pieces of training with a fault each, diagnosed and repaired.

The patients have numbers, so that no name tells the diagnosis. A repair is judged by what it does; a diagnosis names
the fault, by the letter in the sheet's list, and says what it does in numbers, for input that is drawn anew.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR

from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import (
    Exercise,
    Gap,
    Mistake,
    difference_in_form,
    exercise,
    number,
    same,
    shown,
)
from mnist_helpers.checks.orders import unlike_chance
from mnist_helpers.checks.traces import settings, traces
from mnist_helpers.data import to_float

BATCH_SIZE, LR = 32, 0.1
MEAN, STD = 0.1307, 0.3081
DECAY = 0.95


def network_and_digits(random: np.random.Generator) -> tuple[nn.Sequential, Tensor, Tensor]:
    """Draw a network without dropout, and digits to train it on, the last batch of which is a short one."""
    images, labels = inputs.float_digits(random, int(random.integers(2 * BATCH_SIZE + 5, 3 * BATCH_SIZE)))
    return inputs.network(random), images, labels


def digits_for_training(count: int, loud: float = 1.0) -> Callable[[], tuple[nn.Sequential, Tensor, Tensor]]:
    """Return what gives a network and so many digits; a loud one has larger logits, and with them gradients."""

    def give() -> tuple[nn.Sequential, Tensor, Tensor]:
        random = np.random.default_rng(count)
        model = inputs.network(random)
        with torch.no_grad():
            model.dense.weight *= loud
        return model, *inputs.float_digits(random, count)

    return give


TRAININGS = [
    digits_for_training(BATCH_SIZE - 12),  # only a short batch
    digits_for_training(2 * BATCH_SIZE),  # none
    digits_for_training(BATCH_SIZE + 8, loud=10),  # gradients that some would clip
    digits_for_training(BATCH_SIZE + 1),  # a last batch of one image
]


def weights_and_settings(_result: object, model: nn.Sequential, *_given: Tensor) -> tuple:
    """Return the weights that a training has left, in a row, and what else it has changed."""
    return parameters_to_vector(model.parameters()), settings(model)


def train(
    model: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    each_step: str = "forget backward step",
    each_epoch: str = "",
    epochs: int = 1,
    lr: float = LR,
    gamma: float = DECAY,
    short: bool = True,
    size: int = BATCH_SIZE,
    batches: int | None = None,
    optimizer_of: Callable[..., Optimizer] = torch.optim.SGD,
) -> None:
    """Train a network with plain gradient descent; the arguments put the faults in."""
    optimizer = optimizer_of(model.parameters(), lr=lr)
    scheduler = ExponentialLR(optimizer, gamma=gamma)
    calls = {"forget": optimizer.zero_grad, "step": optimizer.step, "decay": scheduler.step}
    for _ in range(epochs):
        for batch, wanted in list(zip(images.split(size), labels.split(size), strict=True))[:batches]:
            if len(batch) < BATCH_SIZE and not short:
                continue
            loss = loss_of(model(batch), wanted)
            for word in each_step.split():
                if word == "again":
                    loss = loss_of(model(batch), wanted)
                elif word == "backward":
                    loss.backward()
                else:
                    calls[word]()
        for word in each_epoch.split():
            calls[word]()


def healthy_losses(model: nn.Sequential, images: Tensor, labels: Tensor) -> list[float]:
    """Train a network for one epoch without any fault, and return the loss of each step: what a sheet compares with."""
    losses = []

    def noted(logits: Tensor, labels: Tensor) -> Tensor:
        loss = F.cross_entropy(logits, labels)
        losses.append(loss.item())
        return loss

    train(model, images, labels, noted)
    return losses


def summed(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy, added up over a batch."""
    return F.cross_entropy(logits, labels, reduction="sum")


SHORT_BATCH = Gap(
    lambda model, images, labels: len(images) % BATCH_SIZE == 0,
    "It goes wrong where the last batch is a short one. An epoch sees every image, and counts each batch as it is.",
)
LOOP_FAULTS = {
    "Within an epoch, all gradients of the steps before are still added up. Which call forgets them?": [
        {"each_step": "backward step"},
        {"each_step": "backward step", "each_epoch": "forget"},
        {"each_step": "backward step", "each_epoch": "decay forget"},
    ],
    "A gradient is computed again after it was forgotten. Forget, then `backward`, then `step`, once each.": [
        {"each_step": "backward step forget again backward"},
    ],
    "The step comes before its gradient. Forget, then `backward`, then `step`.": [
        {"each_step": "step forget backward"},
    ],
    "The last batch is left out where it is a short one. An epoch sees every image.": [{"short": False}],
    "It ends after the first batch. Does the `return` stand within the loop?": [{"batches": 1, "epochs": 1}],
    "The batches are of another size. They hold 32 images each.": [{"size": size} for size in (16, 64, 100)],
    "Plain gradient descent is asked for: an `SGD` with a rate and nothing else.": [
        {"optimizer_of": partial(torch.optim.SGD, momentum=0.9)},
        {"optimizer_of": torch.optim.Adam, "lr": 0.001},
        {"optimizer_of": torch.optim.Adam},
    ],
    "The losses of a batch are added up. Take their mean, or the step depends on the size of the batch.": [
        {"loss_of": summed},
    ],
}
RATES = 0.05, 0.2, 0.5, 1.0  # that one tries in place of 0.1


def loop_mistakes(rates: Sequence[float] = (0.01, *RATES), epochs: int = 1, **healthy: object) -> list[Mistake]:
    """Return the mistakes that may be made in any loop, for one that is healthy with these arguments of `train`."""
    healthy["epochs"] = epochs
    hints = LOOP_FAULTS | {
        "The rate is another one. It was not the fault: leave it at 0.1.": [{"lr": rate} for rate in rates],
        **{f"It trains {many} epochs. Asked: {epochs}.": [{"epochs": many}] for many in (epochs + 1, epochs + 2)},
    }
    found = [
        Mistake(lambda *given, fault=fault: train(*given, **healthy | fault), hint)
        for hint, faults in hints.items()
        for fault in faults
    ]
    nothing = (
        "The network that was given has not changed. Is the gradient there when the step needs it? "
        "And is it this network that is trained?"
    )
    return [*found, Mistake(lambda *given: None, nothing)]


@exercise(
    draw=network_and_digits,
    rounds=2,
    edges=TRAININGS,
    gaps=[SHORT_BATCH],
    measure=weights_and_settings,
    notice="`backward` adds to what is there. That is useful for large batches in pieces, and a fault everywhere else.",
    hint="Compare your loop with that of notebook 3, part by part: optimiser, rate, order, size of the batches, and "
    "the loss.",
    mistakes=loop_mistakes(),
)
def patient_1(model: nn.Sequential, images: Tensor, labels: Tensor) -> None:
    """Train for one epoch, each step by its own gradient."""
    train(model, images, labels)


@exercise(
    draw=network_and_digits,
    rounds=2,
    edges=TRAININGS,
    gaps=[SHORT_BATCH],
    measure=weights_and_settings,
    notice="Twice through the softmax, even a perfect network keeps a loss of 1.46, and hardly any gradient is left.",
    hint="Look at what `F.cross_entropy` expects: its documentation says it in the first line. "
    "All other lines are those of the healthy loop: optimiser, rate, order, size of the batches.",
    mistakes=[
        *[
            Mistake(
                lambda *given, dim=dim: train(
                    *given, loss_of=lambda logits, labels: F.cross_entropy(logits.softmax(dim=dim), labels)
                ),
                "The softmax is still applied twice: once in the loop, once in the loss.",
            )
            for dim in (1, 0)
        ],
        Mistake(
            lambda *given: train(*given, loss_of=lambda logits, labels: F.nll_loss(logits.log_softmax(0), labels)),
            "The softmax runs along the batch. It belongs to the ten logits of each image: dimension 1.",
        ),
        Mistake(
            lambda *given: train(*given, loss_of=lambda logits, labels: F.nll_loss(logits.softmax(dim=1), labels)),
            "The logarithm is missing: this loss is made of the probabilities themselves.",
        ),
        Mistake(
            lambda *given: train(*given, loss_of=lambda logits, labels: F.nll_loss(logits, labels)),
            "`nll_loss` expects logarithms of probabilities, and gets logits: its loss falls without end.",
        ),
        *loop_mistakes(),
        *[
            Mistake(
                lambda *given, rate=rate: train(
                    *given, lr=rate, loss_of=lambda logits, labels: F.cross_entropy(logits.softmax(dim=1), labels)
                ),
                "Only the rate has changed, and the fault is still there. What does the loss expect, and what does it "
                "get?",
            )
            for rate in (0.2, 0.5, 1.0, 10.0)
        ],
    ],
)
def patient_2(model: nn.Sequential, images: Tensor, labels: Tensor) -> None:
    """Train for one epoch on the cross-entropy of the logits."""
    train(model, images, labels)


def network_with_dropout(random: np.random.Generator, count: int = 100) -> tuple[nn.Sequential, Tensor, Tensor]:
    """Draw a network with dropout, in the middle of its training, and digits to score it on."""
    images, labels = inputs.float_digits(random, count)
    model = inputs.network(random, dropout=0.5).train()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)  # of the step before
    return model, images, labels


def digits_to_score(count: int) -> Callable[[], tuple[nn.Sequential, Tensor, Tensor]]:
    """Return what gives a network with dropout and so many digits."""
    return lambda: network_with_dropout(np.random.default_rng(0), count)


def val_loss(
    model: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    calm: bool = True,
    back: bool = True,
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> Tensor:
    """Return the loss on images; the arguments put faults in."""
    model.train(not calm)
    with torch.no_grad():
        loss = loss_of(model(images), labels)
    model.train(back)
    return loss


def loss_and_traces(loss: object, model: nn.Sequential, *_given: Tensor) -> tuple:
    """Return the loss, and what the score has left behind."""
    loss = loss if isinstance(loss, Tensor | np.ndarray) else number(loss)
    grads = [parameter.grad for parameter in model.parameters()]
    return loss, traces(model) | {
        "The gradients in the network are other ones now. A score needs no gradient, and clears none.": [
            0.0 if grad is None else grad.sum().item() for grad in grads
        ]
    }


def same_dice(model: nn.Sequential, images: Tensor, labels: Tensor) -> Tensor:
    """Score with dropout at work, the same way each time."""
    torch.manual_seed(0)
    return F.cross_entropy(model(images), labels)


def mean_of_batches(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of the batches' losses, a short batch as one of them."""
    batches = zip(logits.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True)
    return torch.stack([F.cross_entropy(*batch) for batch in batches]).mean()


OTHER_SCORES = {
    "A mean of batches gives the images of a short batch too much weight. Each image counts alike.": [mean_of_batches],
    "This is the accuracy. The task asks for the loss.": [
        lambda logits, labels: (logits.argmax(dim=1) == labels).float().mean(),
    ],
    "The losses of all images are added up. Take their mean, or it depends on how many images there are.": [
        lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum"),
    ],
    "These are the losses of the single images. The task asks for one number, their mean.": [
        lambda logits, labels: F.cross_entropy(logits, labels, reduction="none"),
    ],
    "The softmax is applied twice: once by you, and once by `F.cross_entropy`, which expects logits.": [
        lambda logits, labels: F.cross_entropy(logits.softmax(dim=1), labels),
    ],
    "`nll_loss` expects logarithms of probabilities. `F.cross_entropy`, as it stood there, takes logits.": [
        lambda logits, labels: F.nll_loss(logits, labels),
        lambda logits, labels: F.nll_loss(logits.softmax(dim=1), labels),
    ],
    "The loss is rounded. Return it as it is.": [
        lambda logits, labels, places=places: F.cross_entropy(logits, labels).round(decimals=places)
        for places in (1, 2, 3)
    ],
}


@exercise(
    draw=network_with_dropout,
    measure=loss_and_traces,
    rounds=4,
    edges=[digits_to_score(1), digits_to_score(333)],
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
        *[
            Mistake(
                lambda *given, loss_of=loss_of, back=back: val_loss(*given, loss_of=loss_of, back=back),
                hint,
            )
            for hint, scores in OTHER_SCORES.items()
            for loss_of in scores
            for back in (True, False)
        ],
    ],
)
def patient_3(model: nn.Sequential, images: Tensor, labels: Tensor) -> Tensor:
    """Return the validation loss of a network, and leave it ready to be trained further."""
    return val_loss(model, images, labels)


def accuracies(random: np.random.Generator) -> tuple[list[float], list[float]]:
    """Draw the accuracies after each epoch, on validation and on test images, best at different epochs."""
    while True:
        val, test = ((random.choice(400, size=8, replace=False) / 1e4 + 0.95).round(4).tolist() for _ in range(2))
        if len({np.argmax(val), np.argmax(test), 7}) == 3:
            return val, test


LAST_IS_BEST = [0.95, 0.96, 0.97], [0.97, 0.93, 0.95]
FIRST_IS_BEST = [0.97, 0.96, 0.95], [0.91, 0.97, 0.93]
EQUALLY_GOOD = [0.95, 0.98, 0.97, 0.98, 0.98], [0.99, 0.93, 0.94, 0.96, 0.95]
ONE_EPOCH = [0.95], [0.93]


def copies(val: list[float], test: list[float]) -> Callable[[], tuple[list[float], list[float]]]:
    """Return what gives two lists, each time new ones."""
    return lambda: (list(val), list(test))


@exercise(
    draw=accuracies,
    edges=[copies(*lists) for lists in (LAST_IS_BEST, FIRST_IS_BEST, EQUALLY_GOOD, ONE_EPOCH)],
    gaps=[
        Gap(
            lambda val, test: val.count(max(val)) == 1,
            "It goes wrong where epochs are equally good in validation: the first one counts, whatever the test says.",
        ),
    ],
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
        *[
            Mistake(answer, "Of epochs that are equally good in validation, the first one counts.")
            for answer in (
                lambda val, test: test[len(val) - 1 - val[::-1].index(max(val))],
                lambda val, test: np.mean([score for seen, score in zip(val, test, strict=True) if seen == max(val)]),
            )
        ],
        Mistake(
            lambda val, test: max(zip(val, test, strict=True))[1],
            "Of epochs that are equally good in validation, the test images choose the best. The first one counts.",
        ),
        Mistake(
            lambda val, test: test[int(np.argmin(val))],
            "This is the worst epoch: it suits a loss. The best accuracy is the largest.",
        ),
        Mistake(
            lambda val, test: val[int(np.argmax(test))],
            "It is the other way round: the test images choose, and the validation images report.",
        ),
        Mistake(
            lambda val, test: sum(test) / len(test),
            "This is the mean of all epochs. Report a network that there is: that of one epoch.",
        ),
        Mistake(
            lambda val, test: (test[int(np.argmax(val))], int(np.argmax(val))),
            "Return the accuracy alone, without the number of its epoch.",
        ),
    ],
)
def patient_4(val_accuracies: list[float], test_accuracies: list[float]) -> float:
    """Return the accuracy to be reported, given those after each epoch on validation and on test images."""
    return test_accuracies[int(np.argmax(val_accuracies))]


def labelled_digits(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw digits and labels."""
    return inputs.float_digits(random, 60)


def many_digits() -> tuple[Tensor, Tensor]:
    """Give digits and labels whose number no size of a batch divides."""
    return inputs.float_digits(np.random.default_rng(0), 97)


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
    said = unlike_chance(np.array(order))
    if not said and (np.diff(new_labels) == 0).mean() > 1 / 2:
        return "The images are sorted by their labels. A batch needs digits of all kinds."
    return said


@exercise(
    draw=labelled_digits,
    rounds=4,
    edges=[many_digits],
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


def paper_and_ink() -> tuple[nn.Sequential, Tensor]:
    """Give a network, and an image of paper only and one of ink only."""
    random = np.random.default_rng(0)
    shades = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    return inputs.network(random).eval(), shades.expand(2, 1, 28, 28).contiguous()


def one_image() -> tuple[nn.Sequential, Tensor]:
    """Give a network and a single image."""
    model, images = network_and_bytes(np.random.default_rng(1))
    return model, images[:1].clone()


def faint_images() -> tuple[nn.Sequential, Tensor]:
    """Give a network, and images without any pixel of full ink."""
    model, images = network_and_bytes(np.random.default_rng(2))
    return model, images // 2


def logits_of(model: nn.Sequential, images: Tensor) -> Tensor:
    """Return the logits for prepared images."""
    with torch.no_grad():
        return model(images)


def prepared(prepare: Callable[[Tensor], Tensor], hint: str) -> Mistake:
    """Return the mistake of preparing images of bytes in another way."""
    return Mistake(lambda model, images: logits_of(model, prepare(images)), hint)


def result_and_traces(result: object, model: nn.Sequential, _images: Tensor) -> tuple:
    """Return what was returned, and what is left behind."""
    return result, traces(model)


@exercise(
    draw=network_and_bytes,
    rounds=4,
    edges=[paper_and_ink, one_image, faint_images],
    measure=result_and_traces,
    notice="A network knows only the scale that it was trained on. On another it answers worse, and no error says so.",
    hint="Follow the images through the training: which two things were done to them?",
    mistakes=[
        prepared(to_float, "Divided by 255, but not standardised. In training, both was done."),
        prepared(
            lambda images: (to_float(images) - MEAN) * STD,
            "It multiplies by the deviation, and in training the images were divided by it.",
        ),
        prepared(
            lambda images: (images - MEAN) / STD,
            "Mean and deviation belong to pixels between 0 and 1. Divide by 255 first.",
        ),
        prepared(
            lambda images: (to_float(images) - to_float(images).mean()) / to_float(images).std(),
            "These are the mean and deviation of the new images. Use those of the training: the scale must not depend "
            "on who else is tested.",
        ),
        prepared(
            lambda images: (
                (to_float(images) - images.float().mean(dim=(1, 2, 3), keepdim=True) / 255)
                / (images / 255).std(dim=(1, 2, 3), keepdim=True)
            ),
            "These are the mean and deviation of each image. In training, all had the same two numbers.",
        ),
        prepared(
            lambda images: (images / images.max() - MEAN) / STD,
            "It divides by the largest pixel of these images. In training it was 255, whatever the images held.",
        ),
        prepared(
            lambda images: ((to_float(images) - MEAN) / STD - MEAN) / STD,
            "The images are standardised twice. Once, as in training.",
        ),
        prepared(
            lambda images: (to_float(images) / 255 - MEAN) / STD,
            "The pixels are divided by 255 twice: `to_float` does that already.",
        ),
        prepared(
            lambda images: to_float(images) - MEAN / STD,
            "A division comes before a subtraction: put the difference in brackets.",
        ),
        prepared(
            lambda images: images / (255 - MEAN) / STD,
            "The brackets hold 255 minus the mean. Divide by 255 first, then subtract.",
        ),
        prepared(
            lambda images: to_float(images) / STD - MEAN,
            "The order is another one: in training the mean was subtracted first, and then came the division.",
        ),
        prepared(
            lambda images: (to_float(images) - STD) / MEAN,
            "Mean and deviation are exchanged: 0.1307 is subtracted, and 0.3081 divides.",
        ),
        prepared(
            lambda images: (to_float(images) + MEAN) / STD,
            "The mean is added, and in training it was subtracted.",
        ),
        prepared(lambda images: to_float(images) - MEAN, "The mean is subtracted, but nothing is divided by 0.3081."),
        prepared(lambda images: to_float(images) / STD, "It divides by the deviation, but the mean is not subtracted."),
        prepared(
            lambda images: (images / 256 - MEAN) / STD,
            "It divides by 256. In training the largest pixel, 255, became 1.",
        ),
        prepared(
            lambda images: (images // 255 - MEAN) / STD,
            "`//` throws away what is behind the point: all grey has become paper. Divide with `/`.",
        ),
        Mistake(
            lambda model, images: logits_of(model, (to_float(images) - MEAN) / STD).softmax(dim=1),
            "These are probabilities. The task asks for the logits.",
        ),
        Mistake(
            lambda model, images: logits_of(model, (to_float(images) - MEAN) / STD).argmax(dim=1),
            "These are the digits that are read. The task asks for the logits.",
        ),
        prepared(Tensor.float, "The pixels are still between 0 and 255."),
    ],
)
def patient_6(model: nn.Sequential, images: Tensor) -> Tensor:
    """Return the logits for images (N, 1, 28, 28) uint8, prepared as in training."""
    return logits_of(model, (to_float(images) - MEAN) / STD)


@exercise(
    draw=network_and_digits,
    rounds=2,
    edges=TRAININGS,
    gaps=[SHORT_BATCH],
    measure=weights_and_settings,
    notice="A little less rate after each epoch is patience; a little less after each step is soon standstill.",
    hint="Two epochs, and a rate that loses a twentieth at the end of each. All else is as in the healthy loop.",
    mistakes=[
        Mistake(
            lambda *given: train(*given, epochs=2, each_step="forget backward step decay"),
            "The rate still shrinks after each step, so after a hundred of them it is less than a hundredth.",
        ),
        Mistake(
            lambda *given: train(*given, epochs=2, each_step="forget backward step decay", each_epoch="decay"),
            "The rate shrinks after each step, and after each epoch, too. Once an epoch is asked for.",
        ),
        *[
            Mistake(
                lambda *given, order=order: train(*given, epochs=2, each_step=order),
                "The rate still shrinks within the epoch. Once, at the end of the epoch, is asked for.",
            )
            for order in ("decay forget backward step", "forget decay backward step", "forget backward decay step")
        ],
        Mistake(
            lambda *given: train(*given, epochs=2),
            "The rate never shrinks now. It should, but after each epoch.",
        ),
        *[
            Mistake(
                lambda *given, decay=decay: train(*given, epochs=1, each_epoch=decay),
                "Only one epoch was trained, and two are asked for.",
            )
            for decay in ("", "decay")
        ],
        Mistake(
            lambda *given: train(*given, epochs=2, each_epoch="decay", lr=DECAY * LR),
            "The rate is smaller in the first epoch already. It shrinks at the end of an epoch.",
        ),
        *[
            Mistake(
                lambda *given, gamma=gamma: train(*given, epochs=2, each_epoch="decay", gamma=gamma),
                "The rate loses another share than a twentieth. `gamma` is the share that is left: 0.95 was right.",
            )
            for gamma in (0.05, 0.5, 0.9, 0.99)
        ],
        *loop_mistakes(epochs=2, each_epoch="decay"),
    ],
)
def patient_7(model: nn.Sequential, images: Tensor, labels: Tensor) -> None:
    """Train for two epochs, with a rate that is a twentieth lower in the second."""
    train(model, images, labels, epochs=2, each_epoch="decay")


def mean_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy, written by hand."""
    return -logits.log_softmax(dim=1)[range(len(labels)), labels].mean()


OTHER_LOSSES = {
    "The softmax still runs along the batch: each column adds up to 1, and each row should.": [
        lambda logits, labels: -logits.log_softmax(dim=0)[range(len(labels)), labels].mean(),
    ],
    "The sign is turned: this training makes the right class less likely.": [
        lambda logits, labels: -mean_loss(logits, labels),
    ],
    "The logarithm is missing: the loss is made of the probabilities themselves.": [
        lambda logits, labels: -logits.softmax(dim=1)[range(len(labels)), labels].mean(),
        lambda logits, labels: (1 - logits.softmax(dim=1)[range(len(labels)), labels]).mean(),
    ],
    "Each step is a tenth of what it should be: the mean runs over all ten numbers of an image, nine of which are 0, "
    "or the rate is another one. Divide by the number of images.": [
        lambda logits, labels: mean_loss(logits, labels) / 10,
    ],
    "For each image it takes the numbers of all labels of the batch. Each image has one label of its own.": [
        lambda logits, labels: -logits.log_softmax(dim=1)[:, labels].mean(),
    ],
    "The softmax is missing: the logits themselves are no logarithms of probabilities.": [
        lambda logits, labels: -logits[range(len(labels)), labels].mean(),
    ],
    "The softmax is applied twice: the logarithm is to be that of the first one's result.": [
        lambda logits, labels: F.cross_entropy(logits.softmax(dim=1), labels),
    ],
    "The softmax runs over all numbers of the batch. Each row, alone, should add up to 1.": [
        lambda logits, labels: -logits.flatten().log_softmax(dim=0).view_as(logits)[range(len(labels)), labels].mean(),
    ],
}


@exercise(
    draw=network_and_digits,
    rounds=2,
    edges=TRAININGS,
    gaps=[SHORT_BATCH],
    measure=weights_and_settings,
    notice="Along the batch, a softmax makes images compete. It even learns, but its loss cannot reach 0.",
    by_hand=("cross_entropy", "_loss", "kl_div"),
    hint="The loss is the mean of the negative logarithms of the right classes' probabilities. "
    "All other lines are those of the healthy loop: optimiser, rate, order, size of the batches.",
    mistakes=[
        *[
            Mistake(lambda *given, loss_of=loss_of: train(*given, loss_of=loss_of), hint)
            for hint, losses in OTHER_LOSSES.items()
            for loss_of in losses
        ],
        *loop_mistakes(RATES, loss_of=mean_loss),
    ],
)
def patient_8(model: nn.Sequential, images: Tensor, labels: Tensor) -> None:
    """Train for one epoch on a cross-entropy written by hand."""
    train(model, images, labels, loss_of=mean_loss)


LOOKS = {  # what each fault of the sheet's list would show
    "A": "With a rate far too high the loss jumps about from the first steps, and never falls for long.",
    "B": "With a rate far too low the loss falls from the first step on, but by a few tenths at most in an epoch.",
    "C": "With a rate that shrinks too often the curve begins like the healthy one, then lies level wherever it is.",
    "D": "With gradients added up the loss falls well for some steps, and then climbs back: each step is a longer one.",
    "E": "Uphill the loss would grow from the first step on, and end in NaN.",
    "F": "A network that is too small would not get far in any loop, and this one gets far in the healthy run above.",
    "G": "With two softmaxes the loss begins at ln 10, waits, and then stays far above 0 however long it is trained.",
    "H": "With the softmax along the wrong dimension not even the first loss would be ln 10.",
    "I": "With other images' labels there is nothing to learn: the loss stays at ln 10 from beginning to end.",
    "J": "With other preparation in use, all of the training would look healthy, and only new images be read badly.",
    "K": "With such a layer at work the same question to the same network gets another answer each time, up or down.",
    "L": "If the score trained the network, it would get better each time it is asked: always in one direction.",
    "M": "Scored on images that it was trained on, a network looks better than it is, and in each epoch alike.",
    "N": "If the images that report have chosen as well, the report is the best of several: no curve shows it.",
}


def said_of(result: object, truth: tuple, look: str, hint: str) -> str | None:
    """Say what is wrong with a diagnosis, the fault first."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        return "Return two things: the letter of the fault, as a string, and what it does, in numbers."
    letter = result[0].strip().upper() if isinstance(result[0], str) else ""
    if letter not in LOOKS:
        return f"The first thing is the letter of a fault, from the list at the top, and not {shown(result[0])}."
    if letter != truth[0]:
        return f"{LOOKS[letter]} {look}"
    if same(result[1], truth[1]):
        return None
    return f"The fault is right. {difference_in_form(result[1], truth[1]) or hint}"


def diagnosis(
    fault: str, look: str, hint: str, mistakes: dict[str, Callable], **settings: Any
) -> Callable[[Callable], Exercise]:
    """Make an exercise of a function that says what a fault does in numbers; an answer names the fault as well."""

    def of(effect: Callable) -> Exercise:
        def solve(*given: Any) -> tuple:
            return fault, effect(*given)

        solve.__name__ = effect.__name__
        known = [
            Mistake(lambda *given, wrong=wrong: (fault, wrong(*given)), f"The fault is right. {said}")
            for said, wrong in mistakes.items()
        ]
        return exercise(
            examine=lambda result, *given: said_of(result, solve(*given), look, hint),
            mistakes=known,
            hint=hint,
            **settings,
        )(solve)

    return of


HEALTHY = "This is what the healthy code does. Say what the broken code does."


def some_gradients(random: np.random.Generator) -> tuple[list[float]]:
    """Draw the gradients of one weight, one for each step."""
    return ([round(float(one), 2) for one in random.normal(size=int(random.integers(3, 7)))],)


def running_sums(gradients: list[float]) -> list[float]:
    """Add up the gradients until each step."""
    return np.cumsum(gradients).tolist()


@diagnosis(
    fault="D",
    look="Here: where is the curve's lowest point, and where does it end?",
    hint="Which number stands in the weight's `grad` when the step is made? The first step is still as it should be.",
    draw=some_gradients,
    edges=[
        lambda: ([1.0, 1.0, 1.0, 1.0],),
        lambda: ([-0.5],),
        lambda: ([2.0, -2.0, 3.0],),
        lambda: ([1.0, 0.0, 0.0, 1.0],),
        lambda: ([0.004, 0.003],),
    ],
    notice="Gradients that agree make each step longer than the last, until the steps overshoot everything.",
    mistakes={
        HEALTHY: lambda gradients: [-LR * one for one in gradients],
        "These are the gradients that have piled up. The weight moves by the rate times that, downhill.": running_sums,
        "The sign is turned: a step goes against the gradient.": lambda gradients: [
            LR * one for one in running_sums(gradients)
        ],
        "The rate is not used: it is 0.1.": lambda gradients: [-one for one in running_sums(gradients)],
        "These are means. The gradients are added up, and nothing divides them.": lambda gradients: [
            -LR * one / count for count, one in enumerate(running_sums(gradients), start=1)
        ],
        "This is where the weight is after each step, added up once too often. Give each step's own move.": (
            lambda gradients: running_sums([-LR * one for one in running_sums(gradients)])
        ),
        "This is the last step alone. Give the move of each step, in a list.": lambda gradients: -LR * sum(gradients),
    },
)
def diagnosis_1(gradients: list[float]) -> list[float]:
    """Return by how much each step moves a weight, given what each batch alone would have as its gradient."""
    return [-LR * one for one in running_sums(gradients)]


def some_classes(random: np.random.Generator) -> tuple[int]:
    """Draw a number of classes."""
    return (int(random.integers(3, 200)),)


CLASSES = [lambda: (10,), lambda: (2,), lambda: (1_000,)]


@diagnosis(
    fault="G",
    look="Here: what does it do in its first hundred steps, and how far from 0 does it end after three epochs?",
    hint="Write down what a perfect network hands to the loss: a row of numbers, one for each class. Which probability "
    "does the loss make of the right one?",
    draw=some_classes,
    edges=CLASSES,
    notice="For ten classes it is 1.46. A floor like that, where 0 should be, tells this fault from slow learning.",
    mistakes={
        "This is the floor of a healthy loop: 0. What does the loss make of a row that holds a 1 and zeros?": (
            lambda classes: 0.0
        ),
        "This is where an untrained network begins. The lowest loss is that of a perfect one.": (
            lambda classes: math.log(classes)
        ),
        "This is the probability that the loss comes to. The loss is its negative logarithm.": (
            lambda classes: math.e / (math.e + classes - 1)
        ),
        "The sign is turned: a loss is never below 0.": lambda classes: 1 - math.log(math.e + classes - 1),
        "This is for ten classes. The function is asked about other numbers of them.": (
            lambda classes: math.log(math.e + 9) - 1
        ),
        "This is the logarithm to the base 2. The loss takes the natural one.": (
            lambda classes: math.log2(1 + (classes - 1) / math.e)
        ),
        "This is the logarithm to the base 10. The loss takes the natural one.": (
            lambda classes: math.log10(1 + (classes - 1) / math.e)
        ),
        "All classes but one are wrong ones: `classes - 1` of them add exp(0) each.": (
            lambda classes: math.log(math.e + classes) - 1
        ),
        "This is the probability of a wrong class. The loss asks for the right one's.": (
            lambda classes: math.log(math.e + classes - 1)
        ),
    },
)
def diagnosis_2(classes: int) -> float:
    """Return the lowest loss that a perfect network can have in the broken loop."""
    return math.log(math.e + classes - 1) - 1


def value_and_share(random: np.random.Generator) -> tuple[float, float]:
    """Draw a number above 0, and the rate of the dropout."""
    return round(float(random.uniform(0.5, 4)), 2), float(random.choice([0.1, 0.2, 0.3, 0.4, 0.6, 0.75]))


@diagnosis(
    fault="K",
    look="Here: do the three answers go in one direction?",
    hint="What does the layer do with a number that it drops, and with one that it keeps?",
    draw=value_and_share,
    edges=[lambda: (1.0, 0.5), lambda: (2.0, 0.9), lambda: (3.0, 0.25)],
    notice="Right on average, and never the same: good for training, and useless for a score.",
    mistakes={
        HEALTHY: lambda value, share: (value, value),
        "What is kept is made larger, so that the average stays as it was.": lambda value, share: (0.0, value),
        "What is kept grows: it is divided by the share that is kept.": lambda value, share: (0.0, value * (1 - share)),
        "It is divided by the share that is kept, not by the one that is dropped.": (
            lambda value, share: (0.0, value / share)
        ),
        "The smallest comes first.": lambda value, share: (value / (1 - share), 0.0),
        "A number that is dropped becomes 0.": lambda value, share: (value, value / (1 - share)),
    },
)
def diagnosis_3(value: float, share: float) -> tuple[float, float]:
    """Return the smallest and the largest number that can come of a number above 0 on its way to the last layer."""
    return 0.0, value / (1 - share)


def at_best_epoch(val: list[float], test: list[float]) -> float:
    """Return the test accuracy of the epoch that the validation images choose."""
    return test[int(np.argmax(val))]


@diagnosis(
    fault="N",
    look="Here: who has chosen which of the eight numbers is reported?",
    hint="How much would be reported if the choice were an honest one? Of epochs that are equally good, the first.",
    draw=accuracies,
    edges=[copies(*lists) for lists in (LAST_IS_BEST, FIRST_IS_BEST, EQUALLY_GOOD, ONE_EPOCH)],
    notice="Small, never negative, and larger the more there is to choose from: that is how records come about.",
    mistakes={
        HEALTHY: lambda val, test: 0.0,
        "The sign is turned: the report is too high, not too low.": (
            lambda val, test: at_best_epoch(val, test) - max(test)
        ),
        "This is the honest accuracy. By how much is the report above it?": at_best_epoch,
        "The honest report is a test accuracy, too: that of the epoch which the validation images choose.": (
            lambda val, test: max(test) - max(val)
        ),
        "The honest report is a test accuracy: not the validation's, in the epoch that the test images choose.": (
            lambda val, test: max(test) - val[int(np.argmax(test))]
        ),
        "It is divided by the honest accuracy. The task asks for the difference itself.": (
            lambda val, test: max(test) / at_best_epoch(val, test) - 1
        ),
        "The honest choice is not the last epoch. The validation images choose.": lambda val, test: (
            max(test) - test[-1]
        ),
        "The honest report is that of one epoch, not a mean.": lambda val, test: max(test) - sum(test) / len(test),
        "These are percentage points. Accuracies here are shares between 0 and 1.": (
            lambda val, test: 100 * (max(test) - at_best_epoch(val, test))
        ),
    },
)
def diagnosis_4(val_accuracies: list[float], test_accuracies: list[float]) -> float:
    """Return by how much the report is too high."""
    return max(test_accuracies) - at_best_epoch(val_accuracies, test_accuracies)


@diagnosis(
    fault="I",
    look="Here: how far does the curve move, from its first step to its last?",
    hint="What is the best that a network can say if the image tells nothing about the label? Which loss has it then?",
    draw=some_classes,
    edges=CLASSES,
    notice="The loss of knowing nothing. Where training stays there, look at images with their labels before all else.",
    mistakes={
        "This is the probability that each class gets. The loss is its negative logarithm.": lambda classes: (
            1 / classes
        ),
        "The sign is turned: a loss is never below 0.": lambda classes: -math.log(classes),
        "This is the logarithm to the base 2. The loss takes the natural one.": lambda classes: math.log2(classes),
        "This is the logarithm to the base 10. The loss takes the natural one.": lambda classes: math.log10(classes),
        "This is for ten classes. The function is asked about other numbers of them.": lambda classes: math.log(10),
        "This is an error rate. The loss is the negative logarithm of a probability.": lambda classes: 1 - 1 / classes,
    },
)
def diagnosis_5(classes: int) -> float:
    """Return the loss at which the training stays, where there are so many classes, all equally frequent."""
    return math.log(classes)


def mean_and_deviation(random: np.random.Generator) -> tuple[float, float]:
    """Draw the mean and the deviation of the pixels of some data set."""
    return round(float(random.uniform(0.1, 0.6)), 2), round(float(random.uniform(0.1, 0.5)), 2)


@diagnosis(
    fault="J",
    look="Here the training went well, its weights are unchanged, and the images are of the same kind.",
    hint="Follow the pixels through the broken line: what does it do to their mean, and what to their spread?",
    draw=mean_and_deviation,
    edges=[lambda: (0.1307, 0.3081), lambda: (0.5, 0.5), lambda: (0.3, 0.2)],
    notice="For MNIST a spread of 0.09 in place of 1: to this network all images look almost blank.",
    mistakes={
        HEALTHY: lambda mean, deviation: (0.0, 1.0),
        "Multiplying makes the spread smaller by that factor: what was it before?": (
            lambda mean, deviation: (0.0, deviation)
        ),
        "The mean has been subtracted: what is left of it?": lambda mean, deviation: (mean, deviation**2),
        "The mean has been subtracted, brackets first: what is left of it?": (
            lambda mean, deviation: (mean * deviation, deviation**2)
        ),
        "This is for MNIST. The function is asked about other data.": lambda mean, deviation: (0.0, STD**2),
        "This is the variance. The standard deviation is its root.": lambda mean, deviation: (0.0, deviation**4),
        "It is multiplied by the deviation, not divided.": lambda mean, deviation: (0.0, deviation**-2),
        "The two are exchanged: the mean comes first.": lambda mean, deviation: (deviation**2, 0.0),
        "The spread grows here. It is multiplied by a number below 1.": lambda mean, deviation: (0.0, 1 / deviation),
    },
)
def diagnosis_6(mean: float, deviation: float) -> tuple[float, float]:
    """Return mean and deviation of what the network gets in use."""
    return 0.0, deviation**2


@diagnosis(
    fault="C",
    look="Here: compare the first fifty steps with those of the healthy curve, and then the rest.",
    hint="How often has the rate lost a twentieth before step `at`? The first step, 0, is made at 0.1.",
    draw=lambda random: (int(random.integers(2, 80)),),
    edges=[lambda: (0,), lambda: (1,), lambda: (14,), lambda: (124,)],
    notice="Half of it is gone after 14 steps, and of 125 steps an epoch is made: the rest are hardly steps at all.",
    mistakes={
        "In the first epoch of the right code it is always 0.1. Say what the broken code does.": lambda at: LR,
        "It is one step ahead: step 0 is made at 0.1, before anything is lost.": lambda at: LR * DECAY ** (at + 1),
        "A twentieth is lost of what is left, and not each time of 0.1.": lambda at: LR * (1 - (1 - DECAY) * at),
        "This is the share that is left. The rate began at 0.1.": lambda at: DECAY**at,
        "This is what is lost. How much is left?": lambda at: LR - LR * DECAY**at,
        "A twentieth is lost, so 0.95 is left each time.": lambda at: LR * (1 - DECAY) ** at,
    },
)
def diagnosis_7(at: int) -> float:
    """Return the rate with which the broken loop makes a step, counted from 0, of its first epoch."""
    return LR * DECAY**at


@diagnosis(
    fault="H",
    look="Here: look at the very first loss.",
    hint="How many numbers share the probability of 1, if they are all alike? Count along the dimension.",
    draw=lambda random: (int(random.integers(3, 200)),),
    edges=[lambda: (32,), lambda: (1,), lambda: (10,), lambda: (128,)],
    notice="A first loss that changes with the batch size: no healthy loss does, and it takes one line to print it.",
    mistakes={
        "This is the first loss of a healthy loop. Say what the broken code has.": lambda batch_size: math.log(10),
        "This is a probability. The loss is its negative logarithm.": lambda batch_size: 1 / batch_size,
        "The sign is turned: a loss is never below 0.": lambda batch_size: -math.log(batch_size),
        "Not all numbers of the batch share it, only those along one dimension.": (
            lambda batch_size: math.log(10 * batch_size)
        ),
        "This is for 32 images. The function is asked about other batches.": lambda batch_size: math.log(32),
        "This is the logarithm to the base 2. The loss takes the natural one.": lambda batch_size: math.log2(
            batch_size
        ),
        "This is the logarithm to the base 10. The loss takes the natural one.": lambda batch_size: math.log10(
            batch_size
        ),
        "This is the number of those that share. The loss is the negative logarithm of one's probability.": (
            lambda batch_size: batch_size
        ),
    },
)
def diagnosis_8(batch_size: int) -> float:
    """Return the first loss of a network that knows nothing, for batches of so many images."""
    return math.log(batch_size)
