"""What each recipe's network does on spoiled digits: one training of each, and docs/robustness.md."""

import os
from collections.abc import Callable
from pathlib import Path

from torch import nn

from mnist_helpers.checkpoints import load_model
from mnist_helpers.data import load_part
from mnist_helpers.evaluation import Robustness, robustness
from mnist_helpers.models import build_model
from mnist_helpers.recipes import RECIPES, get_recipe
from mnist_helpers.runtime import environment_report, pick_device, processor, seed_everything, shipped
from mnist_helpers.studies.markdown import markdown_table
from mnist_helpers.training import fit

DEFAULT = tuple(name for name in RECIPES if name != "teacher")  # which is there for another's sake
SEED = 0


def measure(
    names: list[str], folder: Path, device: str = "auto", limit: int | None = None, say: Callable[[str], None] = print
) -> dict[str, list[Robustness]]:
    """Score the network of each recipe on spoiled test images; `limit` keeps that many training images.

    A network that comes with the course, or that an earlier run left in `folder`/NAME/seed-0, is not trained again.
    """
    test, found = load_part("mnist", "test"), {}
    for name in names:
        found[name] = robustness(_network(name, folder / name / f"seed-{SEED}", device, limit), test)
        say(f"{name}: {found[name][0].accuracy:.2%} as they are, {mean(found[name]):.2%} spoiled")
    return found


def _network(name: str, folder: Path, device: str, limit: int | None) -> nn.Module:
    """Return the network of a recipe: the one that is there, or a new one."""
    ready, chosen, recipe = shipped("pretrained") / "mnist" / name, pick_device(device), get_recipe(name)
    if limit is None and ready.is_dir():
        return load_model(ready, chosen)[0]
    train, val = load_part("mnist", "train", limit).to(chosen), load_part("mnist", "validation")
    seed_everything(SEED)
    model = build_model(recipe.architecture, recipe.dropout)
    fit(model, train, val, recipe, seed=SEED, device=device, folder=folder, resume=True)
    return model


def mean(found: list[Robustness], what: str = "accuracy") -> float:
    """Return the mean over the spoiled images of all ways; the first entry, of images as they are, is left out."""
    return sum(getattr(one, what) for one in found[1:]) / len(found[1:])


def table(found: dict[str, list[Robustness]], what: str = "accuracy") -> str:
    """Return a Markdown table with a row for each corruption and a column for each recipe."""
    ways = [one.corruption for one in next(iter(found.values()))]
    rows = [[way, *(f"{getattr(column[at], what):.1%}" for column in found.values())] for at, way in enumerate(ways)]
    rows.append(["**mean, spoiled**", *(f"**{mean(column, what):.1%}**" for column in found.values())])
    return markdown_table(["test images", *(f"`{name}`" for name in found)], rows)


def page(found: dict[str, list[Robustness]], device: str) -> str:
    """Return the page that is committed: accuracy and confidence, how they were measured, and on what machine."""
    return f"""# Spoiled digits

What the network of each recipe does with the 10,000 test images when they are spoiled in fifteen ways, which
[notebook 9](../notebooks/09_beyond_the_data.ipynb) shows. The ways are those of MNIST-C (Mu and Gilmer, 2019), written
anew in `mnist_helpers/corruptions.py`, so the figures are not to be compared with published ones. No network was
trained or chosen with them. This page was written by `python -m mnist_helpers robustness`; no figure in it was typed.

## Accuracy

{table(found)}

## Confidence, on average

{table(found, "confidence")}

How to read it. One training of each recipe, with seed {SEED}; `walkthrough`, `handwriting` and `drawings` are the
networks that come with the course. Another training differs by a few points where images are spoiled, so small
differences say little. A network that knew what it does not know would have a confidence as low as its accuracy.

Machine: {environment_report(device)}; {processor()}, {os.cpu_count()} cores.
"""
