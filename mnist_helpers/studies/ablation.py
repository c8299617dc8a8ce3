"""What each part of `most-accurate` is worth: trained with one part left out or exchanged, everything else as it was.

A difference of a tenth of a point is five images of 5,000, less than chance moves. So these trainings are short and
take 20,000 images, and what they learned is measured on the 40,000 others of the published training set: 40 images.
"""

import csv
import statistics
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_helpers.data import LabelledImages, load_part, stratified_split
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import evaluate
from mnist_helpers.models import build_model
from mnist_helpers.recipes import Recipe, get_recipe, make_optimizer
from mnist_helpers.runtime import pick_device, seed_everything, shipped, whole_file
from mnist_helpers.training import make_loader, train_one_epoch

RECORD = shipped("docs/ablation.csv")  # the whole study
WHOLE = "most-accurate"
EPOCHS, IMAGES = 15, 20_000
KEPT_A_STEP = 0.99  # by the averaged weights


@dataclass(frozen=True)
class Variant:
    """One way to train: a recipe, the network it is given, and whether the averaged weights are scored."""

    change: str
    recipe: Recipe
    prepare: Callable[[nn.Sequential], nn.Sequential] = lambda model: model
    averaged: bool = False


@dataclass(frozen=True)
class VariantScore:
    """What one training gave: accuracy (0 … 1) on images not trained on."""

    change: str
    seed: int
    accuracy: float

    @property
    def mistakes(self) -> float:
        """Return the mistakes in a hundred images."""
        return 100 * (1 - self.accuracy)


def variants() -> list[Variant]:
    """Return the recipe as it is, then without each of its parts, then with what was tried and left out."""
    whole = replace(get_recipe(WHOLE), epochs=EPOCHS)
    lower = whole.lr / 4  # what training bears without normalisation, or with a rate that stays high
    return [
        Variant(WHOLE, whole),
        Variant("no augmentation", replace(whole, augment=None)),
        Variant("turned, moved, resized only", replace(whole, augment="affine")),
        Variant("not bent", replace(whole, augment="slanted")),
        Variant("no batch normalisation, a quarter of the rate", replace(whole, lr=lower), without_normalisation),
        Variant("the rate held, at a quarter", replace(whole, schedule="constant", lr=lower)),
        Variant("no dropout", replace(whole, dropout=0.0)),
        Variant("labels not smoothed", replace(whole, label_smoothing=0.0)),
        Variant("no weight decay", replace(whole, weight_decay=0.0)),
        Variant("32-bit numbers", replace(whole, bfloat16=False)),
        Variant("the network of vgg", replace(whole, architecture="vgg")),
        Variant("weights averaged", whole, averaged=True),
    ]


def without_normalisation(model: nn.Sequential) -> nn.Sequential:
    """Take the batch normalisation out of a network; each convolution before one gets a bias in its place."""
    layers: list[tuple[str, nn.Module]] = []
    for name, layer in model.named_children():
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            layer = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size, padding=layer.padding)
        if not isinstance(layer, nn.BatchNorm2d):
            layers.append((name, layer))
    return nn.Sequential(OrderedDict(layers)).to(memory_format=torch.channels_last)


def split() -> tuple[LabelledImages, LabelledImages]:
    """Return the images to train on and those to measure on, all from the published training set."""
    train, val = load_part("mnist", "train"), load_part("mnist", "validation")
    rest, chosen = stratified_split(train.labels, IMAGES, seed=0)
    others = train.select(rest)
    images, labels = torch.cat([others.images, val.images]), torch.cat([others.labels, val.labels])
    return train.select(chosen), replace(val, images=images, labels=labels)


def train(variant: Variant, learn: LabelledImages, measure: LabelledImages, seed: int, device: str) -> VariantScore:
    """Train one variant on `learn` and score what it learned on `measure`."""
    chosen, recipe = pick_device(device), variant.recipe
    seed_everything(seed)
    model = variant.prepare(build_model(recipe.architecture, recipe.dropout)).to(chosen)
    loader = make_loader(learn.to(chosen), recipe, seed)
    optimizer, scheduler = make_optimizer(model, recipe, recipe.epochs * len(loader))
    scored, average = model, None
    if variant.averaged:
        scored = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(KEPT_A_STEP), use_buffers=True)

        def average(*_steps: int) -> None:
            scored.update_parameters(model)

    for _ in range(recipe.epochs):
        train_one_epoch(model, loader, optimizer, scheduler, recipe, average)
    return VariantScore(variant.change, seed, evaluate(scored, measure.to(chosen)).accuracy)


def train_variants(
    path: Path, seeds: int, device: str = "auto", resume: bool = False, say: Callable[[str], None] = print
) -> list[VariantScore]:
    """Train every variant with the seeds 0, 1, …; the record in `path` grows by a line after each training.

    With `resume`, what an interrupted run has written there is not trained again.
    """
    learn, measure = split()
    done = read(path) if resume and path.is_file() else []
    asked_for = {variant.change for variant in variants()}
    found = {(one.change, one.seed): one for one in done if one.change in asked_for and one.seed < seeds}
    for seed in range(seeds):
        for variant in variants():
            if (variant.change, seed) in found:
                continue
            one = train(variant, learn, measure, seed, device)
            found[variant.change, seed] = one
            write(path, list(found.values()))
            say(f"{one.change}, seed {seed}: {one.accuracy:.2%}")
    return list(found.values())


def write(path: Path, found: list[VariantScore]) -> None:
    """Write a record: one line a training."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        lines = csv.DictWriter(file, fieldnames=list(VariantScore.__dataclass_fields__), lineterminator="\n")
        lines.writeheader()
        lines.writerows(asdict(one) for one in found)


def read(path: Path = RECORD) -> list[VariantScore]:
    """Read a record.

    Raises: CourseError for a file that is none.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                VariantScore(line["change"], int(line["seed"]), float(line["accuracy"]))
                for line in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise CourseError(f"{path} is not the record of an ablation ({error}). Make it with: ablate") from error


def table(found: list[VariantScore]) -> str:
    """Lay out the record as a table, the best first: mistakes in 100 images, their spread, and their share."""
    changes = by_mistakes(found)
    width = max(map(len, changes))
    lines = [f"{'':{width}} {'runs':>5} {'mistakes in 100 images':>23} {'× the recipe':>13}"]
    for change in changes:
        runs = [one for one in found if one.change == change]
        mistakes = [one.mistakes for one in runs]
        spread = f" ± {statistics.stdev(mistakes):.2f}" if len(runs) > 1 else ""
        mean = statistics.mean(mistakes)
        share = mean / mean_mistakes(found, WHOLE)
        lines.append(f"{change:{width}} {len(runs):5} {f'{mean:.2f}{spread}':>23} {share:13.2f}")
    return "\n".join(lines)


def by_mistakes(found: list[VariantScore]) -> list[str]:
    """Return the changes, the one with the fewest mistakes first."""
    return sorted({one.change for one in found}, key=lambda change: mean_mistakes(found, change))


def mean_mistakes(found: list[VariantScore], change: str) -> float:
    """Return the mean number of mistakes in a hundred images after trainings with a change."""
    return statistics.mean(one.mistakes for one in found if one.change == change)
