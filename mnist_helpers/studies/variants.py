"""Ways to train, compared: each with several seeds, learned from the same images and scored on others.

A difference of a tenth of a point is five images of 5,000, less than chance moves. So these trainings are short and
take 20,000 images, and what they learned is measured on the 40,000 others of the published training set: 40 images.
"""

import csv
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_helpers.data import LabelledImages, load_part, stratified_split
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import evaluate
from mnist_helpers.models import build_model
from mnist_helpers.recipes import Recipe, make_optimizer
from mnist_helpers.runtime import pick_device, seed_everything, whole_file
from mnist_helpers.training import make_loader, train_one_epoch

IMAGES = 20_000
KEPT_A_STEP = 0.99  # by the averaged weights


def network_of(recipe: Recipe) -> nn.Sequential:
    """Build the network that a recipe names."""
    return build_model(recipe.architecture, recipe.dropout)


@dataclass(frozen=True)
class Variant:
    """One way to train: a recipe, how its network is built, and whether the averaged weights are scored."""

    name: str
    recipe: Recipe
    build: Callable[[Recipe], nn.Sequential] = network_of
    averaged: bool = False


@dataclass(frozen=True)
class VariantScore:
    """What one training gave: accuracy (0 … 1) on images not trained on."""

    variant: str
    seed: int
    accuracy: float

    @property
    def mistakes(self) -> float:
        """Return the mistakes in a hundred images."""
        return 100 * (1 - self.accuracy)


def split() -> tuple[LabelledImages, LabelledImages]:
    """Return the images to train on and those to measure on, all from the published training set."""
    train, val = load_part("mnist", "train"), load_part("mnist", "validation")
    rest, chosen = stratified_split(train.labels, IMAGES, seed=0)
    others = train.select(rest)
    images, labels = torch.cat([others.images, val.images]), torch.cat([others.labels, val.labels])
    return train.select(chosen), replace(val, images=images, labels=labels)


def train_variant(
    variant: Variant, learn: LabelledImages, measure: LabelledImages, seed: int, device: str
) -> VariantScore:
    """Train one variant on `learn` and score what it learned on `measure`."""
    chosen, recipe = pick_device(device), variant.recipe
    seed_everything(seed)
    model = variant.build(recipe).to(chosen)
    loader = make_loader(learn.to(chosen), recipe, seed)
    optimizer, scheduler = make_optimizer(model, recipe, recipe.epochs * len(loader))
    scored, average = model, None
    if variant.averaged:
        scored = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(KEPT_A_STEP), use_buffers=True)

        def average(*_steps: int) -> None:
            scored.update_parameters(model)

    for _ in range(recipe.epochs):
        train_one_epoch(model, loader, optimizer, scheduler, recipe, average)
    return VariantScore(variant.name, seed, evaluate(scored, measure.to(chosen)).accuracy)


def train_variants(
    variants: Sequence[Variant],
    path: Path,
    seeds: int,
    device: str = "auto",
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> list[VariantScore]:
    """Train each variant with the seeds 0, 1, …; the record in `path` grows by a line after each training.

    With `resume`, what an interrupted run has written there is not trained again.
    """
    learn, measure = split()
    done = read(path) if resume and path.is_file() else []
    asked_for = {variant.name for variant in variants}
    found = {(one.variant, one.seed): one for one in done if one.variant in asked_for and one.seed < seeds}
    for seed in range(seeds):
        for variant in variants:
            if (variant.name, seed) in found:
                continue
            one = train_variant(variant, learn, measure, seed, device)
            found[variant.name, seed] = one
            write(path, list(found.values()))
            say(f"{variant.name}, seed {seed}: {one.accuracy:.2%}")
    return list(found.values())


def write(path: Path, found: list[VariantScore]) -> None:
    """Write a record: one line a training."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        lines = csv.DictWriter(file, fieldnames=list(VariantScore.__dataclass_fields__), lineterminator="\n")
        lines.writeheader()
        lines.writerows(asdict(one) for one in found)


def read(path: Path) -> list[VariantScore]:
    """Read a record.

    Raises: CourseError for a file that is none.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                VariantScore(line["variant"], int(line["seed"]), float(line["accuracy"]))
                for line in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise CourseError(f"{path} is not a record of trainings ({error}). `ablate` and `sizes` write them") from error


def mean_mistakes(found: list[VariantScore], variant: str) -> float:
    """Return the mean number of mistakes in a hundred images after the trainings of a variant."""
    return statistics.mean(one.mistakes for one in found if one.variant == variant)
