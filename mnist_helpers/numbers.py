"""Numbers: strings of handwritten digits, made from MNIST, and a network that reads a whole one without cutting it.

A convolutional network looks at the picture, a recurrent one reads its columns from both sides (CRNN: Shi, Bai and Yao,
2015), and connectionist temporal classification (CTC: Graves and others, 2006) trains both without being told where in
the picture each digit is.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mnist_helpers.architectures import Standardise
from mnist_helpers.augmentation import random_strokes
from mnist_helpers.checkpoints import Card, check_logits, load_weights, read_checkpoint, save_model
from mnist_helpers.data import LabelledImages, to_float
from mnist_helpers.models import device_of, evaluating, mode_kept
from mnist_helpers.runtime import autocast, pick_device
from mnist_helpers.training import TrainingError

BLANK = 10  # the class of "no new digit begins here"
LONGEST = 6  # digits of a number
HEIGHT, BASELINE, MARGIN, DIGIT = 28, 24, 6, 20  # of a string's picture, and of MNIST's digits, in pixels
MOST_SLANT = 0.25  # columns by which a row lies beside the next, at most
AT_ONCE = 500  # numbers that are written together: more do not fit into a processor's cache
INK = 64  # grey values from here on count as ink where a string is put together
COLUMNS = 4  # of the picture, for which the network gives one column of logits
DROPOUT = 0.1
BATCH_SIZE = 64  # of the pictures that are read at once
EPOCHS, COUNT = 24, 20_000  # of the training of the shipped network


@dataclass(frozen=True)
class Numbers:
    """Pictures of numbers, and what is written in each.

    Shapes: images (N, 1, 28, W) uint8; labels (N, 6) int64, or as many as the longest has, the digits, and `BLANK`
    behind the last; gaps (N,) int64, the white pixels between neighbours where they come closest, in rows at most
    two apart: at 0 they touch, or nearly, below they overlap.
    """

    images: Tensor
    labels: Tensor
    gaps: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> Tensor:
        """Return how many digits each number has: (N,) int64."""
        return (self.labels != BLANK).sum(dim=1)

    @property
    def texts(self) -> list[str]:
        """Return the numbers as they are written."""
        return ["".join(str(digit) for digit in row if digit != BLANK) for row in self.labels.tolist()]

    def select(self, indices: Tensor) -> "Numbers":
        """Return the numbers at `indices` (int64, or a boolean mask), in that order."""
        return replace(self, images=self.images[indices], labels=self.labels[indices], gaps=self.gaps[indices])


def write_numbers(
    labelled: LabelledImages,
    count: int,
    seed: int,
    lengths: tuple[int, int] = (1, LONGEST),
    gaps: tuple[int, int] = (-4, 8),
    jitter: int = 0,
    uneven: float = 0.15,
) -> Numbers:
    """Write numbers with the digits of one part of MNIST: on a common line, slanted alike, from apart to overlapping.

    Length and gap of each number are drawn evenly between both limits; a pair of neighbours may stand up to `jitter`
    pixels nearer than the gap says. The digits of a number are smaller by up to a share that is drawn for it, `uneven`
    at most, and small ones may float above the line.
    """
    generator = Generator().manual_seed(seed)
    length = torch.randint(lengths[0], lengths[1] + 1, (count,), generator=generator)
    gap = torch.randint(gaps[0], gaps[1] + 1, (count,), generator=generator)
    chosen = torch.randint(len(labelled), (count, lengths[1]), generator=generator)
    nearer = torch.randint(0, jitter + 1, (count, lengths[1]), generator=generator)
    least, slant = torch.rand(2, count, generator=generator)
    least, slant = 1 - least * uneven, (slant * 2 - 1) * MOST_SLANT
    pieces = zip(*(of.split(AT_ONCE) for of in (chosen, length, gap[:, None] - nearer, least, slant)), strict=True)
    pictures = [_written(labelled.images, *piece, generator) for piece in pieces]
    width = max(picture.shape[3] for picture in pictures)
    images = torch.cat([F.pad(picture, (0, width - picture.shape[3])) for picture in pictures])
    labels = labelled.labels[chosen].masked_fill(torch.arange(lengths[1]) >= length[:, None], BLANK)
    return Numbers(images, F.pad(labels, (0, max(0, LONGEST - lengths[1])), value=BLANK), gap)


def _written(
    images: Tensor, chosen: Tensor, length: Tensor, gaps: Tensor, least: Tensor, slant: Tensor, generator: Generator
) -> Tensor:
    """Write some numbers, each with the `length` first of its chosen digits: (N, 1, 28, W) uint8."""
    canvas = torch.zeros(len(chosen), HEIGHT, chosen.shape[1] * (HEIGHT + max(int(gaps.max()), 0)) + 2 * MARGIN)
    right = torch.full((len(chosen), HEIGHT), -math.inf)  # the last column with ink in each row
    for place in range(chosen.shape[1]):
        there = torch.nonzero(length > place).flatten()
        digits, size = to_float(images[chosen[there, place]]), torch.rand(there.shape, generator=generator)
        size = least[there] + (1 - least[there]) * size
        digits = _on_the_line(_varied(digits, size, slant[there], generator)[:, 0], generator)
        first, last = _outline(digits)
        x = _beside(right[there], first, gaps[there, place])
        right[there] = torch.maximum(right[there], last + x[:, None])
        canvas[there] = _added(canvas[there], digits, x)
    width = math.ceil((right.amax().item() + 1 + MARGIN) / COLUMNS) * COLUMNS
    return (canvas[:, None, :, :width] * 255).round().to(torch.uint8)


def _varied(digits: Tensor, size: Tensor, slant: Tensor, generator: Generator) -> Tensor:
    """Resize and slant digits (N, 1, 28, 28), turn them by up to 4 degrees, and make them up to a tenth wider or less.

    A slant of 0.25 moves each row by a quarter of a pixel against the next.
    """
    turn, wide = torch.rand(2, len(digits), generator=generator) * 2 - 1
    angle, across = torch.deg2rad(turn * 4), 1 / (size * (1 + 0.1 * wide))
    rows = torch.zeros(len(digits), 2, 3)
    rows[:, 0, 0], rows[:, 0, 1] = angle.cos() * across, (slant * angle.cos() - angle.sin()) * across
    rows[:, 1, 0], rows[:, 1, 1] = angle.sin() / size, (slant * angle.sin() + angle.cos()) / size
    return F.grid_sample(digits, F.affine_grid(rows, list(digits.shape), align_corners=False), align_corners=False)


def _on_the_line(digits: Tensor, generator: Generator) -> Tensor:
    """Move digits (N, 28, 28) up or down until they stand on the line, or nearly; small ones may float above it."""
    rows = torch.arange(HEIGHT)
    ink = (digits * 255 >= INK).any(dim=2)
    top, bottom = torch.where(ink, rows, HEIGHT).amin(dim=1), torch.where(ink, rows, 0).amax(dim=1)
    floating = (DIGIT - (bottom - top + 1)).clamp(min=0) * torch.rand(len(digits), generator=generator) ** 2
    down = BASELINE - 1 - bottom - floating.long() + torch.randint(-1, 2, (len(digits),), generator=generator)
    source = rows - down[:, None]
    moved = digits.gather(1, source.clamp(0, HEIGHT - 1)[:, :, None].expand_as(digits))
    return moved * ((source >= 0) & (source < HEIGHT))[:, :, None]


def _outline(digits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and the last column with ink in each row (N, 28), or in the row above or below it."""
    ink = F.max_pool2d((digits * 255 >= INK).float(), (3, 1), stride=1, padding=(1, 0)) > 0
    columns = torch.arange(HEIGHT, dtype=torch.float32)
    return torch.where(ink, columns, math.inf).amin(dim=2), torch.where(ink, columns, -math.inf).amax(dim=2)


def _beside(right: Tensor, first: Tensor, gap: Tensor) -> Tensor:
    """Return where digits begin (N,) so that `gap` columns are white between them and those before, at the least."""
    contact, ends = (right - first).amax(dim=1), right.amax(dim=1)
    start = first.amin(dim=1).nan_to_num(posinf=0.0)
    alone = torch.where(ends.isfinite(), ends + gap + 1, MARGIN) - start  # the first digit, and who shares no row
    return torch.where(contact.isfinite(), contact + gap + 1, alone)


def _added(canvas: Tensor, digits: Tensor, x: Tensor) -> Tensor:
    """Return pictures with digits (N, 28, 28) drawn on them, each from column x on."""
    columns = (x[:, None].long() + torch.arange(HEIGHT)).clamp(0, canvas.shape[2] - 1)
    return canvas.scatter_reduce(2, columns[:, None, :].expand_as(digits), digits, reduce="amax")


class CRNN(nn.Module):
    """Gives the logits of eleven classes, ten digits and `BLANK`, for each four columns of a picture.

    Shapes: images (B, 1, 28, W) float in [0, 1] → logits (B, 11, W / 4).
    """

    def __init__(self, channels: int = 32, hidden: int = 64) -> None:
        super().__init__()
        wide, widest = 2 * channels, 4 * channels
        self.look = nn.Sequential(
            Standardise(),
            *_convolution(1, channels, 5, pool=(2, 2)),  # (B, 32, 14, W/2)
            *_convolution(channels, wide),
            *_convolution(wide, wide, pool=(2, 2)),  # (B, 64, 7, W/4)
            *_convolution(wide, widest, pool=(2, 1)),  # (B, 128, 3, W/4)
            nn.Conv2d(widest, widest, 3, padding=(0, 1), bias=False),  # one row is left: (B, 128, 1, W/4)
            nn.BatchNorm2d(widest),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
        )
        self.read = nn.GRU(widest, hidden, bidirectional=True, batch_first=True)
        self.classify = nn.Linear(2 * hidden, BLANK + 1)

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits of each column."""
        columns = self.look(images).squeeze(2).transpose(1, 2)  # (B, W/4, 128)
        return self.classify(self.read(columns)[0]).transpose(1, 2)


def _convolution(
    inputs: int, outputs: int, kernel: int = 3, pool: tuple[int, int] | None = None
) -> tuple[nn.Module, ...]:
    """Return a convolution with what follows it; to pool first spares the rest three quarters of the work."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return convolution, *([nn.MaxPool2d(pool)] if pool else []), nn.BatchNorm2d(outputs), nn.ReLU()


def ctc_loss(logits: Tensor, numbers: Numbers) -> Tensor:
    """Return the mean over numbers of -log P(number), all ways to lay it over the columns counted together.

    A number that has no room in its columns counts 0 and teaches nothing.
    Shapes: logits (B, 11, T).
    """
    if logits.device.type == "mps":  # whose torch long had no CTC
        logits = logits.cpu()
    columns, lengths = (logits.shape[2],) * len(numbers), tuple(numbers.lengths.tolist())
    by_column, labels = logits.log_softmax(dim=1).permute(2, 0, 1), numbers.labels.to(logits.device)
    losses = F.ctc_loss(by_column, labels, columns, lengths, BLANK, reduction="none", zero_infinity=True)
    return losses.mean()


def best_path(logits: Tensor) -> list[str]:
    """Return the number that the most probable class of each column spells: repeats once, blanks not at all.

    Shapes: logits (B, 11, T).
    """
    read = []
    for row in logits.argmax(dim=1).tolist():
        runs = [label for label, _run in itertools.groupby(row) if label != BLANK]
        read.append("".join(map(str, runs)))
    return read


def beam_search(logits: Tensor, width: int = 8) -> list[tuple[str, float]]:
    """Return the most probable numbers of one picture and their probabilities, the best first.

    Where `best_path` takes the best way, this adds up all ways that spell the same. Of the beginnings it keeps the
    `width` best at every column (Graves and Jaitly, 2014), so a probability may miss a little of the true one.
    Shapes: logits (11, T).
    """
    beams = {"": (1.0, 0.0)}  # a beginning: the probability of its ways that end with a blank, and with its last digit
    for column in logits.double().softmax(dim=0).T.tolist():
        grown: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for text, (blank, digit) in beams.items():
            grown[text][0] += (blank + digit) * column[BLANK]
            if text:
                grown[text][1] += digit * column[int(text[-1])]
            for label in range(BLANK):
                before = blank if text.endswith(str(label)) else blank + digit
                grown[text + str(label)][1] += before * column[label]
        beams = dict(sorted(grown.items(), key=lambda beam: -sum(beam[1]))[:width])
    return [(text, sum(ways)) for text, ways in beams.items()]


def number_logits(model: CRNN, images: Tensor) -> Tensor:
    """Return the logits of all pictures, computed as exactly as the network's weights are, without training anything.

    Shapes: images (N, 1, 28, W) uint8 → (N, 11, W / 4) float32.
    """
    weight = next(model.parameters())
    with evaluating(model), torch.inference_mode():
        batches = (to_float(batch).to(weight) for batch in images.split(BATCH_SIZE))
        found = [model(batch.contiguous(memory_format=torch.channels_last)).float().cpu() for batch in batches]
    return torch.cat(found)


def right_numbers(logits: Tensor, numbers: Numbers) -> Tensor:
    """Say of each number whether every digit of it was read, by the best path: (N,) bool."""
    return torch.tensor([read == text for read, text in zip(best_path(logits), numbers.texts, strict=True)])


@dataclass(frozen=True)
class NumberEpoch:
    """What one epoch gave: losses in nats a number, and the share of validation numbers that were read whole."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float


def fit_numbers(
    model: CRNN,
    train: LabelledImages,
    val: Numbers,
    epochs: int = EPOCHS,
    count: int = COUNT,
    batch_size: int = 64,
    lr: float = 6e-3,
    seed: int = 0,
    device: str = "auto",
    on_epoch: Callable[[NumberEpoch], None] | None = None,
) -> list[NumberEpoch]:
    """Train a network to read numbers: in every epoch `count` new ones, written with the digits of `train`.

    The learning rate follows one cycle, and what the last epoch leaves is kept: the numbers never come twice.

    Raises: TrainingError if the loss stops being a number, or there is nothing to train with.
    """
    if count < 2:
        raise TrainingError(f"count={count} numbers are too few: half of them are written closely.")
    model.to(pick_device(device), memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.01, fused=True)
    steps = epochs * sum(math.ceil(half / batch_size) for half in (count // 2, count - count // 2))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, cycle_momentum=False)
    generator, history = Generator().manual_seed(seed), []
    for epoch in range(1, epochs + 1):
        losses = []
        with mode_kept(model):
            model.train()
            for batch in _series(train, count, batch_size, generator):
                losses.append(_learn(model, batch, optimizer, generator))
                scheduler.step()
        history.append(_noted(model, epoch, torch.stack(losses).mean().item(), val))
        if on_epoch:
            on_epoch(history[-1])
    return history


def _noted(model: CRNN, epoch: int, train_loss: float, val: Numbers) -> NumberEpoch:
    if not math.isfinite(train_loss):
        raise TrainingError(f"The loss became {train_loss} in epoch {epoch}. Try a smaller learning rate.")
    logits = number_logits(model, val.images)
    right = right_numbers(logits, val).float().mean().item()
    return NumberEpoch(epoch, train_loss, ctc_loss(logits, val).item(), right)


def _learn(model: CRNN, batch: Numbers, optimizer: torch.optim.Optimizer, generator: Generator) -> Tensor:
    """Do one step of training and return the loss before it."""
    device = device_of(model)
    images = to_float(batch.images)
    if torch.rand((), generator=generator) < 0.4:
        images = random_strokes(images, generator)
    images = images.to(device, memory_format=torch.channels_last)
    with autocast(device, bfloat16=True):
        logits = model(images)
    loss = ctc_loss(logits.float(), batch)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)  # where CTC finds hardly a way, its slope is steep
    optimizer.step()
    return loss.detach()


def _series(train: LabelledImages, count: int, batch_size: int, generator: Generator) -> list[Numbers]:
    """Return batches of new numbers in random order, half of them written closely; in each they are nearly as wide."""
    batches = []
    for half, gaps in ((count // 2, (-2, 3)), (count - count // 2, (-2, 10))):
        seed = int(torch.randint(2**31, (), generator=generator))
        numbers = write_numbers(train, half, seed, gaps=gaps, jitter=1, uneven=0.45)
        inked = (numbers.images >= INK).any(dim=2)[:, 0]
        ends = (inked * torch.arange(inked.shape[1])).amax(dim=1) + 1
        order = (ends + torch.rand(half, generator=generator) * 8).argsort()
        for chosen in order.split(batch_size):
            width = math.ceil((int(ends[chosen].max()) + MARGIN) / COLUMNS) * COLUMNS  # beyond, all are white
            batch = numbers.select(chosen)
            batches.append(replace(batch, images=batch.images[..., :width]))
    return [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]


def save_numbers(folder: Path, model: CRNN, history: list[NumberEpoch], seed: int, train_images: int) -> None:
    """Write a network that reads numbers, and its card.

    Raises: CheckpointError if the folder cannot be written.
    """
    last = history[-1]
    card = Card(
        architecture="crnn",
        recipe="numbers",
        dataset="mnist",
        classes=[*map(str, range(BLANK)), "blank"],
        seed=seed,
        epochs=last.epoch,
        best_epoch=last.epoch,
        train_images=train_images,
        val_loss=last.val_loss,
        val_accuracy=last.val_accuracy,
        dropout=DROPOUT,
        torch_version=torch.__version__,
    )
    save_model(folder, model, card)


def load_numbers(folder: Path) -> tuple[CRNN, Card]:
    """Read a network that reads numbers, and its card; the network is in evaluation mode.

    Raises: CheckpointError if the file is missing, damaged, or of another network.
    """
    weights, card, path = read_checkpoint(folder)
    model = CRNN().to(memory_format=torch.channels_last)
    load_weights(model, weights, path)
    check_logits(model.eval(), card, path)
    return model, card
