"""The ladder of notebook 07: from the textbook loop to `fastest-99`, one change a rung, each timed and scored alike."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

from mnist_helpers.architectures import MNIST_MEAN, MNIST_STD, Standardise
from mnist_helpers.data import BatchLoader, LabelledImages
from mnist_helpers.evaluation import evaluate
from mnist_helpers.models import build_model
from mnist_helpers.recipes import Recipe, get_recipe, make_optimizer
from mnist_helpers.runtime import autocast, pick_device, seed_everything
from mnist_helpers.studies.cuda_graphs import GraphedTraining
from mnist_helpers.training import make_loader, train_one_epoch

FILLED = 0.005  # seconds of a matrix product
WARM_UP = 3  # steps of another network before the clock starts: libraries prepare themselves in them


@dataclass(frozen=True)
class Rung:
    """One way to train for an epoch: a recipe, and what a recipe takes for granted.

    `per_image` serves the images one by one through a DataLoader; without `channels_last` the maps of a network lie one
    after the other in memory, not pixel by pixel. `network` builds what is trained, standardising first. `graphed`
    captures a step as a CUDA graph.
    """

    change: str
    recipe: Recipe
    network: Callable[[], nn.Sequential]
    optimizer: Callable[[nn.Module, Recipe, int], tuple[Optimizer, LRScheduler]] = make_optimizer
    per_image: bool = False
    channels_last: bool = True
    graphed: bool = False


@dataclass(frozen=True)
class RungResult:
    """What one training on a rung gave: seconds of an epoch, and the trained network.

    If it was stopped before the end of the epoch, `whole` is False and the seconds are extrapolated from its steps.
    """

    seconds: float
    model: nn.Sequential
    whole: bool


class OneByOne(Dataset):
    """Serve images as torchvision's MNIST does: each is made a picture and passed through its transforms alone."""

    def __init__(self, labelled: LabelledImages) -> None:
        self.labelled = labelled
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MNIST_MEAN,), (MNIST_STD,))])

    def __len__(self) -> int:
        return len(self.labelled)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return one standardised image (1, 28, 28) and its label."""
        image = Image.fromarray(self.labelled.images[index, 0].cpu().numpy())
        return self.transform(image), int(self.labelled.labels[index])


class Until:
    """Serve batches on a device, but stop if `seconds` pass before half of them are served.

    `moments` are the times at which they began.
    """

    def __init__(self, batches: DataLoader | BatchLoader, device: torch.device, seconds: float) -> None:
        self.batches, self.device, self.seconds = batches, device, seconds
        self.moments: list[float] = []

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        moment = time.perf_counter()
        for images, labels in self.batches:
            late = bool(self.moments) and moment - self.moments[0] > self.seconds
            if late and 2 * len(self.moments) < len(self):
                return
            self.moments.append(moment)
            yield images.to(self.device), labels.to(self.device)
            moment = time.perf_counter()

    @property
    def whole(self) -> bool:
        """Whether all batches were served."""
        return len(self.moments) == len(self)

    def seconds_of_all(self, end: float) -> float:
        """Return how long all batches take if the last one served was done at `end`.

        Where some were not served, they are taken to be like those that were, without the slow first half.
        """
        if self.whole:
            return end - self.moments[0]
        half = len(self.moments) // 2
        return (end - self.moments[half]) / (len(self.moments) - half) * len(self)


def textbook_network() -> nn.Sequential:
    """PyTorch's own MNIST example: 1,199,882 parameters, and pooling only after both convolutions."""
    return nn.Sequential(
        Standardise(),
        nn.Conv2d(1, 32, 3),  # (B, 32, 26, 26)
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),  # (B, 64, 24, 24)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 64, 12, 12)
        nn.Dropout(0.25),
        nn.Flatten(),  # (B, 9216)
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def adadelta(model: nn.Module, recipe: Recipe, _steps: int) -> tuple[Optimizer, LRScheduler]:
    """Return the optimizer of PyTorch's example (Zeiler, 2012), its rate held within an epoch."""
    optimizer = torch.optim.Adadelta(model.parameters(), recipe.lr)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1, total_iters=0)


def rungs(on_gpu: bool = False) -> list[Rung]:
    """Return the ladder, from the textbook loop to `fastest-99`; a CUDA GPU has one rung more."""
    last = get_recipe("fastest-99")
    textbook = Recipe("textbook", "textbook", epochs=1, batch_size=64, lr=1.0, schedule="constant", bfloat16=False)
    adam = replace(textbook, lr=1e-3)
    large = replace(adam, batch_size=last.batch_size)
    cycle = replace(large, lr=last.lr / 6, schedule="one-cycle")  # more than this network bears, and it learns nothing
    small = replace(cycle, architecture=last.architecture, lr=last.lr)
    short = replace(small, beta1=last.beta1, beta2=last.beta2)
    smooth = replace(short, label_smoothing=last.label_smoothing)

    def ours() -> nn.Sequential:
        return build_model(last.architecture)

    ladder = [
        Rung("textbook loop", textbook, textbook_network, adadelta, per_image=True, channels_last=False),
        Rung("images in one tensor", textbook, textbook_network, adadelta, channels_last=False),
        Rung("channels last", textbook, textbook_network, adadelta),
        Rung("fused Adam", adam, textbook_network),
        Rung(f"batches of {last.batch_size}", large, textbook_network),
        Rung("one cycle of the rate", cycle, textbook_network),
        Rung("a small network", small, ours),
        Rung("a short memory", short, ours),
        Rung("smoothed labels", smooth, ours),
        Rung("16-bit numbers", last, ours),
    ]
    return [*ladder, Rung("one graph", last, ours, graphed=True)] if on_gpu else ladder


def climb(
    rung: Rung, train: LabelledImages, seed: int = 0, device: str = "auto", at_most: float = float("inf")
) -> RungResult:
    """Train for one epoch as a rung says, but stop it if `at_most` seconds pass before half of it is done.

    A graph runs to its end.
    """
    chosen = pick_device(device)
    if rung.graphed:
        training = GraphedTraining(rung.network, train.to(chosen), rung.recipe)
        return RungResult(training.run(seed), training.model, whole=True)
    _train(rung, train.select(torch.arange(min(len(train), WARM_UP * rung.recipe.batch_size))), seed, chosen, at_most)
    return _train(rung, train, seed, chosen, at_most)


def _train(rung: Rung, train: LabelledImages, seed: int, device: torch.device, at_most: float) -> RungResult:
    seed_everything(seed)
    recipe, model = rung.recipe, rung.network().to(device)
    model.to(memory_format=torch.channels_last if rung.channels_last else torch.contiguous_format)
    if rung.per_image:
        loader = DataLoader(OneByOne(train), recipe.batch_size, shuffle=True)
    else:
        loader = make_loader(train.to(device), recipe, seed)
    batches = Until(loader, device, at_most)
    optimizer, scheduler = rung.optimizer(model, recipe, len(batches))
    # What comes image by image is standardised already; the slice shares its layers with the whole.
    learner = model[1:] if rung.per_image else model
    synchronise(device)
    train_one_epoch(learner, batches, optimizer, scheduler, recipe)
    synchronise(device)
    return RungResult(batches.seconds_of_all(end=time.perf_counter()), model, batches.whole)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what it was told, so that a clock read now tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def operations(rung: Rung, images: int) -> float:
    """Count the additions and multiplications of training on so many images once: forward, backward, no optimizer."""
    model = rung.network()
    batch = torch.rand(2, 1, 28, 28)
    with FlopCounterMode(display=False) as counter:
        model(batch).sum().backward()
    return counter.get_total_flops() / len(batch) * images


def arithmetic_speed(device: torch.device, bfloat16: bool, repeats: int = 7) -> float:
    """Measure how many operations a second one large matrix product makes: what the processor can do at its best.

    `bfloat16` asks for 16-bit numbers, where the processor has instructions for them. The matrices grow until a product
    takes long enough to fill the processor.
    """
    side, seconds = 1_024, 0.0
    while seconds < FILLED:
        side *= 2
        seconds = _seconds_of_a_product(side, device, bfloat16, repeats)
    return 2 * side**3 / seconds


def _seconds_of_a_product(side: int, device: torch.device, bfloat16: bool, repeats: int) -> float:
    a = torch.rand(side, side, device=device)
    times = []
    with autocast(device, bfloat16):
        a = a.to(torch.get_autocast_dtype(device.type)) if torch.is_autocast_enabled(device.type) else a
        for _ in range(repeats):
            synchronise(device)
            started = time.perf_counter()
            a @ a
            synchronise(device)
            times.append(time.perf_counter() - started)
    return min(times)


def accuracy(climbed: RungResult, labelled: LabelledImages) -> float | None:
    """Return the accuracy (0 … 1) after the epoch, or None where it was stopped: half an epoch says little."""
    return evaluate(climbed.model, labelled).accuracy if climbed.whole else None
