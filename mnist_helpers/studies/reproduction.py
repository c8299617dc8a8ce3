"""What five published projects claimed, trained again, and a table of what was found."""

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mnist_helpers.data import confirmed_labels, load_part, rejected_labels
from mnist_helpers.evaluation import evaluate, predict_logits, score
from mnist_helpers.models import build_model, count_parameters
from mnist_helpers.recipes import get_recipe
from mnist_helpers.runtime import environment_report, pick_device, processor, seed_everything
from mnist_helpers.studies.markdown import markdown_table
from mnist_helpers.training import History, fit

LEAST_SEEDS = 3  # for a table that is worth committing


@dataclass(frozen=True)
class Claim:
    """What a publication says of its network: the quantity (a field of `Reproduction`), its words, and its number."""

    quantity: str
    text: str
    value: float


CLAIMS: dict[str, list[Claim]] = {
    "flux-three-conv": [Claim("test_accuracy", "98–99% in the test", 0.98)],
    "keras-csv": [
        Claim("test_accuracy", "0.9891 in the test", 0.9891),
        Claim("parameters", "121,930 parameters", 121_930),
        Claim("parameters", "122,930 parameters (the sum in its README)", 122_930),
    ],
    "pytorch-ten-twenty": [
        Claim("test_accuracy", "98% in the test", 0.98),
        Claim("train_accuracy", "99% in training", 0.99),
        Claim("seconds", "about 5 minutes on a CPU", 300),
    ],
    "keras-tuned": [Claim("test_accuracy", "about 99% in the test", 0.99)],
}
PUBLISHED = ("flux-three-conv", "keras-csv", "keras-dropout", "pytorch-ten-twenty", "keras-tuned")
OURS = ("vgg", "resnet")
DEFAULT = (*PUBLISHED, "walkthrough", *OURS)  # handwriting and drawings are for other pictures than MNIST's


@dataclass(frozen=True)
class Reproduction:
    """What the trainings of one recipe gave: accuracies (0 … 1) and seconds, one for each seed."""

    recipe: str
    parameters: int
    test_accuracies: list[float]
    confirmed_accuracies: list[float]  # on the test images whose label people did not reject
    train_accuracies: list[float]
    epochs: list[int]
    all_seconds: list[float]

    @property
    def test_accuracy(self) -> float:
        """Return the mean over the seeds."""
        return statistics.mean(self.test_accuracies)

    @property
    def confirmed_accuracy(self) -> float:
        """Return the mean over the seeds, without the test images whose label people rejected."""
        return statistics.mean(self.confirmed_accuracies)

    @property
    def train_accuracy(self) -> float:
        """Return the mean over the seeds, of the final network in evaluation mode."""
        return statistics.mean(self.train_accuracies)

    @property
    def seconds(self) -> float:
        """Return the median over the seeds, of training and validating."""
        return statistics.median(self.all_seconds)

    @property
    def spread(self) -> float:
        """Return the standard deviation of the test accuracies, NaN for a single one."""
        return statistics.stdev(self.test_accuracies) if len(self.test_accuracies) > 1 else float("nan")


def reproduce(
    name: str,
    seeds: int,
    folder: Path,
    device: str = "auto",
    resume: bool = False,
    limit: int | None = None,
    on_epoch: Callable[[int, History], None] | None = None,
) -> Reproduction:
    """Train a recipe on MNIST with seeds 0, 1, …; then, and only then, score each network on the test images.

    Each training leaves its network in `folder`/seed-N; with `resume`, what an interrupted run left there is not done
    again. `limit` keeps that many training images.
    """
    recipe = get_recipe(name)
    chosen = pick_device(device)
    train, val = load_part("mnist", "train", limit).to(chosen), load_part("mnist", "validation")
    test, confirmed = load_part("mnist", "test"), confirmed_labels()
    found = Reproduction(name, count_parameters(build_model(recipe.architecture)), [], [], [], [], [])
    for seed in range(seeds):
        seed_everything(seed)
        model = build_model(recipe.architecture, recipe.dropout)
        history = fit(
            model, train, val, recipe, seed=seed, device=device, folder=folder / f"seed-{seed}", resume=resume,
            on_epoch=(lambda history, seed=seed: on_epoch(seed, history)) if on_epoch else None,
        )  # fmt: skip
        logits = predict_logits(model, test.images)
        found.test_accuracies.append(score(logits, test.labels).accuracy)
        found.confirmed_accuracies.append(score(logits[confirmed], test.labels[confirmed]).accuracy)
        found.train_accuracies.append(evaluate(model, train).accuracy)
        found.epochs.append(len(history.epochs))
        found.all_seconds.append(sum(epoch.seconds for epoch in history.epochs))
    return found


def holds(claim: Claim, found: Reproduction) -> bool:
    """Decide whether what was found bears a claim out: an accuracy at least, a time at most, a count exactly."""
    value = getattr(found, claim.quantity)
    if claim.quantity == "parameters":
        return value == claim.value
    return value <= claim.value if claim.quantity == "seconds" else value >= claim.value


def table(results: list[Reproduction]) -> str:
    """Return what was claimed beside what was found, as a Markdown table."""
    seeds = max(len(found.test_accuracies) for found in results)
    head = ["recipe", "claimed", "held?", f"test accuracy, mean of {seeds}", "sd", "each seed"]
    head += ["without rejected labels", "in training", "parameters", "epochs", "seconds"]
    rows = []
    for found in results:
        claims = [*CLAIMS.get(found.recipe, []), *_ours(found, results)]
        rows.append(
            [
                f"`{found.recipe}`",
                "; ".join(claim.text for claim in claims) or "–",
                "; ".join("yes" if holds(claim, found) else "**no**" for claim in claims) or "–",
                f"{found.test_accuracy:.2%}",
                f"{100 * found.spread:.2f}",
                ", ".join(f"{accuracy:.2%}" for accuracy in found.test_accuracies),
                f"{found.confirmed_accuracy:.2%}",
                f"{found.train_accuracy:.2%}",
                f"{found.parameters:,}",
                ", ".join(map(str, sorted(set(found.epochs)))),
                f"{found.seconds:.0f}",
            ]
        )
    return markdown_table(head, rows)


def _ours(found: Reproduction, results: list[Reproduction]) -> list[Claim]:
    published = [other.test_accuracy for other in results if other.recipe in PUBLISHED]
    if found.recipe not in OURS or not published:
        return []
    return [Claim("test_accuracy", "ours: above all published ones here", max(published) + 1e-9)]


def page(results: list[Reproduction], device: str) -> str:
    """Return the page that is committed: the table, how it was made, and on what machine."""
    seeds, rejected = max(len(found.test_accuracies) for found in results), len(rejected_labels())
    return f"""# Published systems, reproduced

Five published MNIST projects, each trained here as it was published, and our own recipes. `mnist_helpers/recipes.py`
says of each what its publication leaves open and what was chosen. This page was written by
`python -m mnist_helpers reproduce --seeds {seeds}`; no figure in it was typed.

{table(results)}

How to read it. Each recipe was trained with the seeds 0 to {seeds - 1} on the 55,000 training images; the 5,000
validation images chose the epoch that was kept, and the 10,000 test images were scored once, at the end. A claim about
accuracy holds if the mean reaches the claimed number, one about time if the median does not exceed it. `sd` is the
standard deviation over the seeds, in points. A single test accuracy near 99% has a 95% interval of about ±0.2 points,
so differences in the second decimal say little. "Without rejected labels" leaves out the {rejected} test images whose
label fewer than three of five people confirmed ([notebook 10](../notebooks/10_honest_evaluation.ipynb)). It is for
information: the test set stays as it is. "In training" is the accuracy on the training images, measured after training.
Seconds are the median of training and validating.

Machine: {environment_report(device)}; {processor()}, {os.cpu_count()} cores.
"""
