"""How long it takes to learn the digits to 99 %: published ways and ours, run side by side, and the page about it."""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from mnist_helpers.architectures import Standardise
from mnist_helpers.data import LabelledImages, load_part, to_float
from mnist_helpers.datasets import class_names, read_images
from mnist_helpers.evaluation import evaluate
from mnist_helpers.ladder import (
    OneByOne,
    Rung,
    accuracy,
    arithmetic_speed,
    climb,
    operations,
    rungs,
    synchronise,
    textbook_network,
)
from mnist_helpers.reproduction import processor
from mnist_helpers.runtime import environment_report, pick_device, seed_everything

TARGET = 0.99
TEXTBOOK_EPOCHS = 14  # as published
SLOW = 10  # seconds; what takes longer is trained with a tenth of the seeds


@dataclass(frozen=True)
class Row:
    """What was measured of one way to train: seconds and test accuracies (0 … 1), one for each seed."""

    name: str
    seconds: list[float]
    accuracies: list[float]
    epochs: int = 1

    @property
    def median(self) -> float:
        """Return the median of the seconds."""
        return statistics.median(self.seconds)

    def cells(self) -> list[str]:
        """Return the row of a table: name, runs, epochs, seconds with their range, accuracy with its spread."""
        times = f"{self.median:.2f} ({min(self.seconds):.2f}–{max(self.seconds):.2f})"
        spread = f" ± {100 * statistics.stdev(self.accuracies):.2f}" if len(self.accuracies) > 1 else ""
        mean = f"{statistics.mean(self.accuracies):.2%}{spread}"
        return [self.name, str(len(self.seconds)), str(self.epochs), times, mean]


def published_training_set() -> LabelledImages:
    """Return all 60,000 training images in the order of their file, as the published scripts take them."""
    images, labels = read_images("mnist", train=True)
    return LabelledImages(images, labels, class_names("mnist"))


def textbook(train: LabelledImages, test: LabelledImages, device: torch.device, seed: int, epochs: int) -> Row:
    """Train as PyTorch's own MNIST example does, until 99 % of the test images are read rightly or `epochs` are over.

    Looking at the test images after every epoch helps the textbook: it stops at the first lucky one.
    """
    seed_everything(seed)
    model = textbook_network().to(device)
    learner = model[1:]  # its images come standardised
    loader = DataLoader(OneByOne(train), batch_size=64)
    optimizer = torch.optim.Adadelta(learner.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    seconds, score, epoch = 0.0, 0.0, 0
    while score < TARGET and epoch < epochs:
        started = time.perf_counter()
        learner.train()
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = F.nll_loss(F.log_softmax(learner(images), dim=1), labels)
            loss.backward()
            optimizer.step()
        loss.item()
        seconds += time.perf_counter() - started
        scheduler.step()
        score, epoch = evaluate(model, test).accuracy, epoch + 1
    return Row("textbook script", [seconds], [score], epoch)


def record_network() -> nn.Sequential:
    """Return the network of the published record, 215,194 parameters, with its standardisation first."""
    return nn.Sequential(
        Standardise(),
        nn.Conv2d(1, 24, 5),  # (B, 24, 24, 24)
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(24, 32, 3),  # (B, 32, 10, 10)
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),  # (B, 800)
        nn.Linear(800, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


def record(
    train: LabelledImages, test: LabelledImages, device: torch.device, seed: int, channels_last: bool = False
) -> tuple[float, float]:
    """Train for one epoch as train_mnist_fast by tuomaso does, and return seconds and test accuracy.

    Its images are standardised before the clock starts and taken in the order of the file.
    """
    seed_everything(seed)
    model = record_network().to(device)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    images, labels, size = model[0](to_float(train.images.to(device))), train.labels.to(device), 256
    learner = model[1:]
    steps = -(-len(labels) // size)
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-2, betas=(0.7, 0.9))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps, cycle_momentum=False)
    learner.train()
    synchronise(device)
    started = time.perf_counter()
    for start in range(0, len(labels), size):
        optimizer.zero_grad()
        loss = F.nll_loss(F.log_softmax(learner(images[start : start + size]), dim=1), labels[start : start + size])
        loss.backward()
        optimizer.step()
        scheduler.step()
    synchronise(device)
    return time.perf_counter() - started, evaluate(model, test).accuracy


def measure(name: str, once: Callable[[int], tuple[float, float]], seeds: int, say: Callable[[str], None]) -> Row:
    """Repeat a training with the seeds 0, 1, … and collect its seconds and accuracies; slow ones a tenth as often."""
    row = Row(name, [], [])
    for seed in range(seeds):
        seconds, score = once(seed)
        row.seconds.append(seconds)
        row.accuracies.append(score)
        say(f"{name}, seed {seed}: {seconds:.2f} s, {score:.2%}")
        if seconds > SLOW and 10 * (seed + 1) >= seeds:
            break
    return row


def peers(device: str, seeds: int, say: Callable[[str], None]) -> list[Row]:
    """Run the published ways to 99 % as they were published."""
    chosen, train, test = pick_device(device), published_training_set(), load_part("mnist", "test")
    record(train, test, chosen, 0)  # to warm up
    rows = [
        measure("record recipe", lambda seed: record(train, test, chosen, seed), seeds, say),
        measure("record recipe, channels last", lambda seed: record(train, test, chosen, seed, True), seeds, say),
        textbook(train, test, chosen, 0, TEXTBOOK_EPOCHS),
    ]
    say(f"textbook script: {rows[-1].median:.1f} s, {rows[-1].epochs} epochs, {rows[-1].accuracies[0]:.2%}")
    return rows


def ladder(device: str, seeds: int, say: Callable[[str], None]) -> list[Row]:
    """Climb every rung with several seeds; the networks are scored on the test images, and nothing is chosen by it."""
    train, test = load_part("mnist", "train"), load_part("mnist", "test")

    def once(rung: Rung, seed: int) -> tuple[float, float]:
        climbed = climb(rung, train, seed, device)
        return climbed.seconds, accuracy(climbed, test)

    return [measure(rung.change, lambda seed, rung=rung: once(rung, seed), seeds, say) for rung in rungs()]


def on_one_thread(seeds: int, say: Callable[[str], None]) -> Row:
    """Climb the last rung on the CPU with a single thread."""
    train, test = load_part("mnist", "train"), load_part("mnist", "test")
    threads, rung = torch.get_num_threads(), rungs()[-1]
    before = os.environ.get("MNIST_THREADS")
    os.environ["MNIST_THREADS"] = "1"
    try:

        def once(seed: int) -> tuple[float, float]:
            climbed = climb(rung, train, seed, "cpu")
            return climbed.seconds, evaluate(climbed.model, test).accuracy

        return measure("the last rung on one thread", once, seeds, say)
    finally:
        torch.set_num_threads(threads)
        os.environ.pop("MNIST_THREADS")
        if before:
            os.environ["MNIST_THREADS"] = before


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table, with the seconds of the last as the measure of the others."""
    head = ["way", "runs", "epochs", "seconds, median (range)", "test accuracy", "times the last"]
    lines = [head, ["---"] * len(head)]
    lines += [[*row.cells(), f"{row.median / rows[-1].median:.1f}"] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(peers: list[Row], ladder: list[Row], single: Row | None, device: str) -> str:
    """Return the page that is committed: the peers, the ladder, the arithmetic, and the machine."""
    last = ladder[-1]
    threads = table([single, last]) if single else "Not measured: this was a GPU."
    return f"""# How fast 99% can be reached

`make bench` wrote this page; no measured figure in it was typed. Seconds are those of training alone: loading the files
and scoring are left out, and so are the first steps, in which the libraries prepare themselves. All rows were run one
after the other in one process. A way that takes more than {SLOW} seconds was run with a tenth of the seeds.

## Published ways, and ours

{table([*peers, Row("`fastest-99`", last.seconds, last.accuracies)])}

The **textbook script** is PyTorch's own MNIST example with its published settings, run once. It was stopped after the
first epoch that reached {TARGET:.0%} on the test images, or after its {TEXTBOOK_EPOCHS}. The **record recipe** is
train_mnist_fast by tuomaso: 0.76 s on its author's GPU, for 99.04% (mean of 30). Both take all 60,000 images, as
published. `fastest-99` takes 55,000: its settings were chosen on the other 5,000, and the test images were scored when
nothing was left to choose.

## The ladder, one change a rung

One epoch on 55,000 images each, everything as on the rung above but for the change.

{table(ladder)}

## Threads

{threads}

## What the arithmetic alone would take

{arithmetic(last.median, device)}

Machine: {environment_report(device)}; {processor()}, {os.cpu_count()} cores.
"""


def arithmetic(seconds: float, device: str) -> str:
    """Say how long the arithmetic of the last rung would take at this machine's best speed, beside what it takes."""
    chosen = pick_device(device)
    count = operations(rungs()[-1], len(load_part("mnist", "train")))
    plain, short = (count / arithmetic_speed(chosen, on_cpu) for on_cpu in (False, True))
    return (
        f"One epoch of `fastest-99` is {count / 1e9:.0f} billion additions and multiplications. At the speed of one\n"
        f"large matrix product here it would take {plain:.2f} s, and in 16-bit numbers {short:.2f} s. It\n"
        f"takes {seconds:.2f} s: {seconds / short:.1f} times the arithmetic in 16-bit numbers. The rest goes into\n"
        "many small operations that are too short to keep the processor busy, into moving data, and into Python."
    )
