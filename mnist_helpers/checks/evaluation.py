"""Checks of exercise notebook 4: confusion, precision, an interval, calibration, mistakes, doubt, a threshold."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from mnist_helpers import evaluation
from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import Gap, Mistake, exercise

CLEAR = 1e-6  # a smaller difference of two probabilities is one of rounding, and their order is nobody's fault
PERCENT = "These are percentages. The task asks for numbers between 0 and 1."
ROUNDED = "They are rounded. Return them as they are."


def labels_and_predictions(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw labels and predictions; one class is never predicted, another one not there."""
    absent, unnamed = random.choice(10, size=2, replace=False)
    labels = torch.from_numpy(random.choice(np.delete(np.arange(10), absent), size=60))
    others = torch.from_numpy(random.choice(np.delete(np.arange(10), unnamed), size=60))
    wrong = torch.from_numpy(random.random(60) < 0.4) | (labels == unnamed)
    return labels, torch.where(wrong, others, labels)


def among(*digits: int, count: int = 40) -> Callable[[], tuple[Tensor, Tensor]]:
    """Return what gives labels and predictions of some digits only."""
    return lambda: tuple(torch.from_numpy(np.random.default_rng(seed).choice(digits, size=count)) for seed in (0, 1))


def as_many_as_named(labels: Tensor, predictions: Tensor) -> Tensor:
    """Count in a matrix that ends with the largest digit that is there."""
    size = int(max(labels.max(), predictions.max())) + 1
    return evaluation.confusion_matrix(labels, predictions)[:size, :size]


def shares_of_rows(labels: Tensor, predictions: Tensor, at_least: int = 0) -> Tensor:
    """Divide each row of the confusion matrix by its sum, or by `at_least` where that is larger."""
    matrix = evaluation.confusion_matrix(labels, predictions)
    return matrix / matrix.sum(dim=1, keepdim=True).clamp(min=at_least)


def both_ways(labels: Tensor, predictions: Tensor) -> Tensor:
    """Add the confusion matrix and the one that is turned over."""
    matrix = evaluation.confusion_matrix(labels, predictions)
    return matrix + matrix.T


def either(labels: Tensor, predictions: Tensor) -> Tensor:
    """Count the images that have one class as label or another one as prediction."""
    matrix = evaluation.confusion_matrix(labels, predictions)
    return matrix.sum(dim=1, keepdim=True) + matrix.sum(dim=0) - matrix


@exercise(
    draw=labels_and_predictions,
    edges=[among(*range(9)), among(*range(1, 10)), among(3), among(4, 7, count=1_200)],  # 300 of each pair
    by_hand=("bincount",),
    notice="The diagonal holds what was right; its sum over everything is the accuracy.",
    hint="For each image, add 1 in the row of its label and the column of its prediction.",
    mistakes=[
        Mistake(
            lambda labels, predictions: evaluation.confusion_matrix(labels[:100], predictions[:100]),
            "It counts the first images only. Count all of them.",
        ),
        Mistake(
            lambda labels, predictions: evaluation.confusion_matrix(predictions, labels),
            "Rows and columns are exchanged: the row is the true class.",
        ),
        *[
            Mistake(answer, "There must be ten rows and columns, also for a class that is not there.")
            for answer in (
                as_many_as_named,
                lambda labels, predictions: evaluation.confusion_matrix(labels, predictions)[:9, :9],
            )
        ],
        Mistake(
            lambda labels, predictions: (evaluation.confusion_matrix(labels, predictions) > 0).long(),
            "Each pair is counted once only: does your line add to what is there, or set it? "
            "(`matrix[labels, predictions] += 1` adds a single time to a place that is named often.)",
        ),
        *[
            Mistake(answer, "These are shares. The task asks for counts.")
            for answer in (
                lambda labels, predictions: evaluation.confusion_matrix(labels, predictions) / len(labels),
                shares_of_rows,
                lambda labels, predictions: shares_of_rows(labels, predictions, at_least=1),
                lambda labels, predictions: 100 * evaluation.confusion_matrix(labels, predictions) / len(labels),
            )
        ],
        Mistake(
            lambda labels, predictions: torch.bincount(predictions, minlength=10).expand(10, 10),
            "All ten rows are one: `[[0] * 10] * 10` holds the same list ten times. Make each row anew.",
        ),
        Mistake(
            lambda labels, predictions: evaluation.confusion_matrix(labels, predictions).fill_diagonal_(0),
            "Only the mistakes are counted. What was right belongs on the diagonal.",
        ),
        Mistake(
            lambda labels, predictions: evaluation.confusion_matrix(labels, predictions).diag().diag(),
            "Only what was right is counted. The mistakes belong beside the diagonal.",
        ),
        Mistake(
            lambda labels, predictions: torch.nn.functional.pad(
                evaluation.confusion_matrix(labels, predictions)[:9, :9], (0, 1, 0, 1)
            ),
            "The row and the column of the digit 9 stay empty: `range(9)` ends with 8.",
        ),
        *[
            Mistake(
                lambda labels, predictions, part=part: evaluation.confusion_matrix(labels[part], predictions[part]),
                f"The {which} image is not counted.",
            )
            for part, which in ((slice(-1), "last"), (slice(1, None), "first"))
        ],
        Mistake(
            lambda labels, predictions: evaluation.confusion_matrix(labels, predictions).flip(0),
            "It is upside down: the first row is that of the digit 0.",
        ),
        Mistake(
            lambda labels, predictions: 1 + evaluation.confusion_matrix(labels, predictions),
            "Each number is one too large. Begin with zeros.",
        ),
        *[
            Mistake(
                lambda labels, predictions, times=times: (
                    both_ways(labels, predictions)
                    - times * evaluation.confusion_matrix(labels, predictions).diag().diag()
                ),
                "Both directions of a mistake are counted together. A 4 read as 9 is not a 9 read as 4.",
            )
            for times in (0, 1)
        ],
        Mistake(
            either,
            "It counts the images that have this label *or* this prediction. Count those that have both.",
        ),
    ],
    gaps=[
        Gap(
            lambda labels, predictions: len(labels) < 128,
            "It goes wrong where a pair occurs often: the numbers of your matrix (uint8, int8?) end before that.",
        ),
    ],
)
def confusion(labels: Tensor, predictions: Tensor) -> Tensor:
    """Count how often each digit was taken for each. Shapes: (N,) and (N,) int64 → (10, 10), row = true class."""
    return evaluation.confusion_matrix(labels, predictions)


def a_matrix(random: np.random.Generator) -> tuple[Tensor, int]:
    """Draw a confusion matrix and a class."""
    matrix = torch.from_numpy(random.integers(0, 9, size=(10, 10)))
    return matrix + torch.diag(torch.from_numpy(random.integers(20, 90, size=10))), int(random.integers(10))


def asked_for(digit: int, mistakes: bool = True) -> Callable[[], tuple[Tensor, int]]:
    """Return what gives a confusion matrix, with mistakes or without, and a class."""

    def give() -> tuple[Tensor, int]:
        matrix, _ = a_matrix(np.random.default_rng(digit))
        return matrix if mistakes else matrix.diag().diag(), digit

    return give


def mostly_missed() -> tuple[Tensor, int]:
    """Give a confusion matrix in which each digit is mostly taken for another one."""
    matrix, digit = a_matrix(np.random.default_rng(0))
    return matrix.roll(1, dims=0), digit


def share_of(matrix: Tensor, digit: int, dim: int) -> Tensor:
    """Return the share of a class's diagonal in its row (1) or column (0)."""
    return matrix[digit, digit] / matrix.sum(dim=dim)[digit]


def share_of_others(matrix: Tensor, digit: int) -> Tensor:
    """Return the share of the images of other digits that were not called this one."""
    others = torch.arange(10) != digit
    return matrix[others][:, others].sum() / matrix[others].sum()


@exercise(
    draw=a_matrix,
    edges=[asked_for(0), asked_for(9), asked_for(4, mistakes=False), mostly_missed],
    notice="The same mistake counts against the recall of one digit and the precision of another.",
    hint="Divide the digit's number on the diagonal by the sum of its column, and by the sum of its row.",
    mistakes=[
        Mistake(
            lambda matrix, digit: (share_of(matrix, digit, 1), share_of(matrix, digit, 0)),
            "They are exchanged. Precision asks: of all that were *called* this digit (a column), how many are it?",
        ),
        Mistake(
            lambda matrix, digit: (matrix[digit, digit] / matrix.sum(),) * 2,
            "It divides by all images. Divide by those of one column, and of one row.",
        ),
        Mistake(
            lambda matrix, digit: (
                matrix[digit, digit] / (matrix.sum(dim=0)[digit] - matrix[digit, digit]),
                matrix[digit, digit] / (matrix.sum(dim=1)[digit] - matrix[digit, digit]),
            ),
            "It divides by the mistakes alone. The right ones belong to the whole, too.",
        ),
        *[
            Mistake(
                lambda matrix, digit, dim=dim: (share_of(matrix, digit, dim),) * 2,
                f"Both are divided by the sum of the {line}. One of the two belongs to the {other}.",
            )
            for dim, line, other in ((0, "column", "row"), (1, "row", "column"))
        ],
        Mistake(
            lambda matrix, digit: (matrix.diag().sum() / matrix.sum(),) * 2,
            "This is the accuracy of all ten digits. The task asks for one of them.",
        ),
        Mistake(
            lambda matrix, digit: (matrix.diag() / matrix.sum(dim=0), matrix.diag() / matrix.sum(dim=1)),
            "These are those of all ten digits. Return two numbers: those of the digit that is asked for.",
        ),
        Mistake(
            lambda matrix, digit: (matrix[digit, digit], matrix[digit, digit]),
            "These are counts. Divide them: a share is asked for.",
        ),
        Mistake(
            lambda matrix, digit: (
                matrix[digit, digit] // matrix.sum(dim=0)[digit],
                matrix[digit, digit] // matrix.sum(dim=1)[digit],
            ),
            "`//` throws away what is behind the point. Divide with `/`.",
        ),
        Mistake(lambda matrix, digit: (100 * share_of(matrix, digit, 0), 100 * share_of(matrix, digit, 1)), PERCENT),
        *[
            Mistake(
                lambda matrix, digit, places=places: tuple(
                    round(share_of(matrix, digit, dim).item(), places) for dim in (0, 1)
                ),
                ROUNDED,
            )
            for places in (2, 3)
        ],
        Mistake(
            lambda matrix, digit: tuple((matrix.diag() / matrix.sum(dim=dim)).mean() for dim in (0, 1)),
            "These are means over all ten digits. The task asks for one of them.",
        ),
        Mistake(
            lambda matrix, digit: tuple(1 - share_of(matrix, digit, dim) for dim in (0, 1)),
            "These are the shares of what is wrong. The task asks for those of what is right.",
        ),
        Mistake(
            lambda matrix, digit: tuple(share_of(matrix, digit - 1, dim) for dim in (0, 1)),
            "It is the digit before: the first row and the first column belong to 0.",
        ),
        Mistake(
            lambda matrix, digit: (share_of(matrix, digit, 0), matrix[digit, digit] / matrix.sum()),
            "Precision is right. For the recall, divide by the images that are this digit, not by all.",
        ),
        Mistake(
            lambda matrix, digit: (share_of(matrix, digit, 0), matrix.diag().sum() / matrix.sum()),
            "The second is the accuracy of all ten digits. Recall asks about one: what share of it was found?",
        ),
        Mistake(
            lambda matrix, digit: (share_of(matrix, digit, 0), share_of_others(matrix, digit)),
            "The second says how many of the *other* digits were not called this one. Recall asks about this digit.",
        ),
        Mistake(
            lambda matrix, digit: (
                share_of(matrix, digit, 0),
                2 / (1 / share_of(matrix, digit, 0) + 1 / share_of(matrix, digit, 1)),
            ),
            "The second is the F1 score, made of both. The task asks for the recall itself.",
        ),
        Mistake(
            lambda matrix, digit: (10 * share_of(matrix, digit, 0), 10 * share_of(matrix, digit, 1)),
            "It divides by the mean of a column and of a row. Divide by the sum.",
        ),
    ],
    gaps=[
        Gap(
            lambda matrix, digit: digit == 0,
            "It is right for the digit 0 alone. `digit` says which one to take.",
        ),
        Gap(
            lambda matrix, digit: matrix[digit, digit] == max(matrix[digit].max(), matrix[:, digit].max()),
            "It is right where the diagonal holds the largest number. What was right stands on the diagonal, "
            "however small it is.",
        ),
    ],
)
def precision_and_recall(matrix: Tensor, digit: int) -> tuple[float, float]:
    """Return precision and recall (0 … 1) of one digit. Shapes: matrix (10, 10), row = true class."""
    return share_of(matrix, digit, 0), share_of(matrix, digit, 1)


def right_of_all(random: np.random.Generator) -> tuple[int, int]:
    """Draw how many of how many were right."""
    count = int(random.integers(40, 300))
    return count - int(random.integers(0, 8)), count


def wilson(
    right: int,
    count: int,
    z: float = 1.96,
    of_middle: float | None = None,
    of_root: float | None = None,
    outside: float | None = None,
) -> tuple[float, float, float]:
    """Return middle and half width of Wilson's interval (1927), both to be divided by the third.

    The arguments put mistakes in: other second terms of the middle and under the root, and another factor before it.
    """
    share = right / count
    middle = share + (z**2 / (2 * count) if of_middle is None else of_middle)
    root = math.sqrt(share * (1 - share) / count + (z**2 / (4 * count**2) if of_root is None else of_root))
    return middle, (z if outside is None else outside) * root, 1 + z**2 / count


def ends(middle: float, half: float, scale: float) -> tuple[float, float]:
    """Return the ends of an interval."""
    return (middle - half) / scale, (middle + half) / scale


def textbook_interval(right: int, count: int) -> tuple[float, float]:
    """Return the interval of the normal distribution, which fails near 1."""
    share = right / count
    half = 1.96 * math.sqrt(share * (1 - share) / count)
    return share - half, share + half


def half_divided(right: int, count: int) -> tuple[float, float]:
    """Divide the second part of the numerator only."""
    middle, half, scale = wilson(right, count)
    return middle - half / scale, middle + half / scale


def root_of_the_first(right: int, count: int) -> tuple[float, float]:
    """Take the root of the first of two terms only."""
    middle, _, scale = wilson(right, count)
    share = right / count
    return ends(middle, 1.96 * (math.sqrt(share * (1 - share) / count) + 1.96**2 / (4 * count**2)), scale)


def without_brackets(*wrong: str) -> Callable[[int, int], tuple[float, float]]:
    """Return the formula whose denominators 2n or 4n² have no brackets."""

    def give(right: int, count: int) -> tuple[float, float]:
        terms = {"of_middle": 1.96**2 / 2 * count, "of_root": 1.96**2 / 4 * count**2}
        return ends(*wilson(right, count, **{name: terms[name] for name in wrong}))

    return give


@exercise(
    draw=right_of_all,
    edges=[lambda: (50, 50), lambda: (0, 50), lambda: (1, 1), lambda: (9900, 10_000), lambda: (59_000, 60_000)],
    notice="99 of 100 leave an interval that is 0.053 wide; 9,900 of 10,000 leave 0.004.",
    hint="Follow the formula piece by piece; z is 1.96.",
    mistakes=[
        Mistake(
            textbook_interval,
            "This is the interval of the normal distribution, which is empty if all are right. Use Wilson's.",
        ),
        Mistake(
            lambda right, count: tuple(min(max(end, 0), 1) for end in textbook_interval(right, count)),
            "This is the interval of the normal distribution, cut off at 0 and 1. Use Wilson's.",
        ),
        Mistake(
            lambda right, count: ends(*wilson(right // count * count, count)),
            "`//` makes 0 of almost every share. Divide with `/`.",
        ),
        Mistake(
            lambda right, count: ends(*wilson(right, count, of_root=1.96**2 / (4 * count) ** 2)),
            "In the last term under the root stands 4n², and not (4n)²: only n is squared.",
        ),
        Mistake(
            lambda right, count: ends(*wilson(right, count)[:2], 1 + 1.96 / count),
            "Below the long line, z is squared: 1 + z²/n.",
        ),
        Mistake(
            lambda right, count: ends(
                wilson(right, count)[0], wilson(right, count)[1] ** 2 / 1.96, 1 + 1.96**2 / count
            ),
            "The root is not taken.",
        ),
        Mistake(
            root_of_the_first,
            "The root ends too early: both terms stand under it.",
        ),
        *[
            Mistake(
                lambda right, count, places=places: tuple(round(end, places) for end in ends(*wilson(right, count))),
                ROUNDED,
            )
            for places in (2, 3)
        ],
        *[
            Mistake(
                lambda right, count, z=z: ends(*wilson(right, count, z=z)),
                f"This interval holds the truth in {cases}% of cases (z = {z:g}). For 95%, z is 1.96.",
            )
            for z, cases in ((1.0, 68), (1.645, 90), (2.576, 99))
        ],
        Mistake(lambda right, count: ends(*wilson(right, count, z=2.0)), "z is rounded to 2. Take 1.96."),
        Mistake(
            lambda right, count: ends(*wilson(right, count, of_middle=1.96 / (2 * count))),
            "In the second term, z is squared: z²/2n.",
        ),
        Mistake(
            lambda right, count: tuple(count * end for end in ends(*wilson(right, count))),
            "These are numbers of images. The task asks for shares, between 0 and 1.",
        ),
        Mistake(lambda right, count: tuple(100 * end for end in ends(*wilson(right, count))), PERCENT),
        Mistake(
            lambda right, count: ends(*wilson(count - right, count)),
            "This is the interval of the share that is *wrong*.",
        ),
        Mistake(
            lambda right, count: ends(*wilson(right, count))[::-1], "They are exchanged: the lower end comes first."
        ),
        *[
            Mistake(
                without_brackets(*wrong),
                "`/ 2 * n` divides by 2 and then multiplies by n. Put what stands below a line in brackets.",
            )
            for wrong in (("of_middle",), ("of_root",), ("of_middle", "of_root"))
        ],
        Mistake(
            lambda right, count: ends(*wilson(right, count)[:2], 1),
            "It is not divided by what stands below the long line, 1 + z²/n.",
        ),
        Mistake(half_divided, "Only a part is divided by 1 + z²/n. Both parts stand above that line: brackets."),
        Mistake(
            lambda right, count: ends(*wilson(right, count, of_root=1.96**2 / (4 * count))),
            "In the last term under the root, n is squared.",
        ),
        Mistake(
            lambda right, count: ends(*wilson(right, count, outside=1)),
            "The root is multiplied by z.",
        ),
        Mistake(
            lambda right, count: tuple(part / wilson(right, count)[2] for part in wilson(right, count)[:2]),
            "These are the middle of the interval and half its width. Return its two ends.",
        ),
    ],
)
def interval(right: int, count: int) -> tuple[float, float]:
    """Return the ends of Wilson's 95% interval of the accuracy, after `right` of `count` images were right."""
    return ends(*wilson(right, count))


def confidence_and_correct(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw confidences, more of them high than low, and whether each answer was right."""
    confidence = random.beta(4, 1.5, size=400).clip(0.001, 0.999)
    confidence[:15] = random.uniform(0.01, 0.09, size=15)
    on_edge = np.abs(10 * confidence - np.rint(10 * confidence)) < 0.002  # rounding would choose the bin
    confidence[on_edge] += 0.0005
    return (
        torch.from_numpy(confidence.astype(np.float32)),
        torch.from_numpy(random.random(400) < 4 / 5.5),  # so it boasts above that, and is modest below
    )


def sure(low: float, high: float, right: float, count: int = 60) -> Callable[[], tuple[Tensor, Tensor]]:
    """Return what gives confidences in a range, and a share of right answers."""
    confidence = torch.linspace(low, high, count)
    return lambda: (confidence.clone(), torch.linspace(0, 1, count) < right)


def bin_by_bin(confidence: Tensor, correct: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for ten bins, their share of the images, their mean confidence and their accuracy; NaN for empty ones."""
    inside = (confidence * 10).long() == torch.arange(10)[:, None]  # (10, N)
    count = inside.sum(dim=1)
    return count / len(confidence), (inside * confidence).sum(dim=1) / count, (inside & correct).sum(dim=1) / count


def calibration_gap(
    confidence: Tensor,
    correct: Tensor,
    combine: Callable[[Tensor, Tensor], Tensor] = lambda share, gap: (share * gap.abs()).sum(),
    bins: slice = slice(None),
) -> Tensor:
    """Combine the shares of the bins that are not empty with their gaps between confidence and accuracy."""
    share, mean, accuracy = (part[bins] for part in bin_by_bin(confidence, correct))
    return combine(share[share > 0], (mean - accuracy)[share > 0])


def gap_to_middles(confidence: Tensor, correct: Tensor, start: float = 0.05) -> Tensor:
    """Compare the accuracy of each bin with the middle of the bin, or another place of it."""
    share, _, accuracy = bin_by_bin(confidence, correct)
    return (share * (torch.linspace(start, start + 0.9, 10) - accuracy).abs()).nansum()


def gap_with_empty(confidence: Tensor, correct: Tensor) -> Tensor:
    """Take the mean of empty bins, too."""
    share, mean, accuracy = bin_by_bin(confidence, correct)
    return (share * (mean - accuracy).abs()).sum()


def gap_in(bins: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what computes the calibration error with other bins: a number for each confidence."""

    def give(confidence: Tensor, correct: Tensor) -> Tensor:
        inside = bins(confidence) == bins(confidence).unique()[:, None]  # (bins, N)
        return (inside * (confidence - correct.float())).sum(dim=1).abs().sum() / len(confidence)

    return give


def range_of_tenths(confidence: Tensor) -> Tensor:
    """Return the tenth of their own range, from the smallest to the largest, in which confidences lie."""
    return ((confidence - confidence.min()) / (confidence.max() - confidence.min()) * 10).long().clamp(max=9)


def gap_below_edges(confidence: Tensor, correct: Tensor) -> Tensor:
    """Let each bin take in all that lies below its upper edge."""
    inside = confidence < torch.arange(1, 11)[:, None] / 10  # (10, N)
    return (inside * (confidence - correct.float())).sum(dim=1).abs().sum() / len(confidence)


BINS = {
    "These are nine bins: ten edges, as of `linspace(0, 1, 10)`, enclose nine.": lambda c: (9 * c).long(),
    "The confidences are rounded to the nearest tenth. A bin goes from one tenth to the next.": lambda c: (
        10 * c
    ).round(),
    "In each bin there are equally many images. The bins are equally wide: 0.1.": lambda c: (
        c.argsort().argsort() * 10 // len(c)
    ),
    "The bins divide the range from the smallest confidence to the largest. Divide that from 0 to 1.": range_of_tenths,
    **{
        f"These are {number} bins. The task asks for ten.": lambda c, number=number: (number * c).long()
        for number in (5, 15, 20)
    },
}

COMBINED = {
    "All bins count the same. A bin with more images should count more.": [
        lambda share, gap: gap.abs().mean(),
        lambda share, gap: gap.abs().sum() / 10,
        lambda share, gap: gap.abs().sum(),
    ],
    "Boasting in one bin makes up for modesty in another. Take the size of each gap, without its sign.": [
        lambda share, gap: (share * gap).sum(),
        lambda share, gap: -(share * gap).sum(),
    ],
    "The gaps are squared. Take the size of each as it is.": [
        lambda share, gap: (share * gap**2).sum(),
        lambda share, gap: (share * gap**2).sum().sqrt(),
    ],
    "This is the largest gap of all bins. The task asks for their weighted mean.": [lambda share, gap: gap.abs().max()],
    PERCENT: [lambda share, gap: 100 * (share * gap.abs()).sum()],
    "The gaps are weighted, and divided by the number of bins, too. The shares add up to 1 already.": [
        lambda share, gap: (share * gap.abs()).mean(),
        lambda share, gap: (share * gap.abs()).sum() / 10,
    ],
}


@exercise(
    draw=confidence_and_correct,
    edges=[sure(0.95, 0.95, 0, count=1), sure(0.91, 0.99, 2), sure(0.01, 0.09, 0.5), sure(0.32, 0.38, 0.5)],
    notice="A network that says 90% should be right nine times in ten. The gap says by how much it boasts.",
    hint="Ten bins of width 0.1; in each the gap of mean confidence and accuracy, weighted by its share of images.",
    mistakes=[
        *[
            Mistake(lambda confidence, correct, way=way: calibration_gap(confidence, correct, way), hint)
            for hint, ways in COMBINED.items()
            for way in ways
        ],
        Mistake(
            lambda confidence, correct: (confidence.mean() - correct.float().mean()).abs(),
            "This is one gap over all images. Either there are no bins, or their gaps cancel: take each gap "
            "without its sign before you add them.",
        ),
        Mistake(
            lambda confidence, correct: (confidence - correct.float()).abs().mean(),
            "It compares single images, which are right or wrong. Compare means: of a bin.",
        ),
        Mistake(
            gap_to_middles,
            "It compares the accuracy with the middle of the bin. Take the mean confidence of the images in it.",
        ),
        Mistake(
            gap_with_empty,
            "An empty bin has no mean: zero is divided by zero, and all becomes NaN. Leave empty bins out.",
        ),
        *[
            Mistake(
                lambda confidence, correct, bins=bins: calibration_gap(confidence, correct, bins=bins),
                f"The {which} bin is left out: {where}. Do you go through all ten?",
            )
            for bins, which, where in (
                (slice(1, None), "first", "confidences below 0.1"),
                (slice(9), "last", "confidences from 0.9 on"),
            )
        ],
        *[Mistake(gap_in(bins), hint) for hint, bins in BINS.items()],
        Mistake(
            lambda confidence, correct: len(confidence) * calibration_gap(confidence, correct),
            "Each gap is multiplied by a number of images. The weight of a bin is its share of all.",
        ),
        Mistake(
            lambda confidence, correct: (confidence - correct.float()).square().mean(),
            "These are squares of single differences (the Brier score). Compare means: of a bin.",
        ),
        Mistake(
            lambda confidence, correct: gap_to_middles(confidence, correct, start=0.0),
            "It compares the accuracy with the edge of the bin. Take the mean confidence of the images in it.",
        ),
        Mistake(
            lambda confidence, correct: calibration_gap(confidence, correct, bins=slice(1)),
            "Only the first bin is counted. Does `return` stand inside of the loop?",
        ),
        Mistake(
            gap_below_edges,
            "Each bin takes in all that lies below its upper edge. It has a lower edge, too.",
        ),
    ],
    gaps=[
        Gap(
            lambda confidence, correct: len((10 * confidence).long().unique()) == 10,
            "It goes wrong where a bin is empty. Leave that one out, and go on with the next.",
        ),
    ],
)
def calibration_error(confidence: Tensor, correct: Tensor) -> Tensor:
    """Return the expected calibration error with ten bins (Naeini and others, 2015). Shapes: (N,) float, (N,) bool."""
    return calibration_gap(confidence, correct)


def clear(scores: Tensor) -> bool:
    """Say whether no two scores are so close that rounding may exchange them."""
    return bool((scores.sort().values.diff() > CLEAR).all())


def logits_and_labels(random: np.random.Generator) -> tuple[Tensor, Tensor, int]:
    """Draw logits of different sizes, labels, and how many mistakes are asked for."""
    while True:
        logits = inputs.normal(random, 80, 10) * inputs.normal(random, 80, 1).abs() * 3
        logits += 4 * inputs.normal(random, 80, 1)  # changes no probability
        labels = torch.where(torch.from_numpy(random.random(80) < 0.6), logits.argmax(dim=1), torch.tensor(0))
        if clear(logits.softmax(dim=1).amax(dim=1)):
            return logits, labels, int(random.integers(3, 7))


def most_confident() -> tuple[Tensor, Tensor, int]:
    """Give logits and labels, and ask for a single mistake."""
    return *logits_and_labels(np.random.default_rng(0))[:2], 1


def all_mistakes() -> tuple[Tensor, Tensor, int]:
    """Give logits and labels, and ask for all mistakes that there are."""
    logits, labels, _ = logits_and_labels(np.random.default_rng(1))
    return logits, labels, int((logits.argmax(dim=1) != labels).sum())


def the_only_mistake() -> tuple[Tensor, Tensor, int]:
    """Give logits and labels with a single mistake, and ask for it."""
    logits, labels, _ = logits_and_labels(np.random.default_rng(2))
    labels = logits.argmax(dim=1)
    labels[7] = (labels[7] + 1) % 10
    return logits, labels, 1


def logits_of(*probabilities: Tensor) -> Tensor:
    """Return logits of the probabilities of the first classes; the others share what is left."""
    first = torch.stack(probabilities, dim=1)
    left = (1 - first.sum(dim=1, keepdim=True)) / (10 - len(probabilities))
    return torch.cat([first, left.expand(-1, 10 - len(probabilities))], dim=1).log().float()


def fine_steps() -> Tensor:
    """Return 40 numbers that are 0.00001 apart, in no order."""
    return 1e-5 * torch.from_numpy(np.random.default_rng(0).permutation(np.arange(1.0, 41)))


def mistakes_alike() -> tuple[Tensor, Tensor, int]:
    """Give mistakes that are nearly equally confident."""
    return logits_of(0.3 + fine_steps()), torch.ones(40, dtype=torch.long), 40


def along_the_images(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return the most confident mistakes, of a softmax that runs along the wrong dimension."""
    confidence, predictions = logits.softmax(dim=0).max(dim=1)
    wrong = torch.nonzero(predictions != labels).flatten()
    return wrong[confidence[wrong].argsort(descending=True)][:count]


def ordered(logits: Tensor, labels: Tensor, count: int, score: Tensor, wrong: bool = True) -> Tensor:
    """Return the images with the highest scores, of those that were wrong or right."""
    predictions = logits.argmax(dim=1)
    chosen = torch.nonzero((predictions != labels) == wrong).flatten()
    return chosen[score[chosen].argsort(descending=True)][:count]


def first_in_order(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return the first mistakes, the most confident of them first."""
    first = torch.nonzero(logits.argmax(dim=1) != labels).flatten()[:count]
    return first[logits.softmax(dim=1).amax(dim=1)[first].argsort(descending=True)]


@exercise(
    draw=logits_and_labels,
    edges=[most_confident, all_mistakes, mistakes_alike, the_only_mistake],
    notice="These are worth looking at one by one: some of them are the label's fault, not the network's.",
    hint="Of the images whose prediction is not their label, those whose largest probability is largest.",
    mistakes=[
        Mistake(
            lambda logits, labels, count: ordered(logits, labels, count, logits.softmax(dim=1).amax(dim=1), False),
            "These were right. The task asks for the mistakes.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(logits, labels, count, -logits.softmax(dim=1).amax(dim=1)),
            "These are the least confident mistakes. Begin with the most confident.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(logits, labels, count, logits.amax(dim=1)),
            "The largest logit is no confidence: add 5 to all ten, and nothing changes. Take the probabilities.",
        ),
        Mistake(
            lambda logits, labels, count: logits.softmax(dim=1).amax(dim=1).argsort(descending=True)[:count],
            "It does not ask which answers were wrong.",
        ),
        Mistake(
            lambda logits, labels, count: (
                logits.softmax(dim=1).amax(dim=1)[logits.argmax(dim=1) != labels].argsort(descending=True)[:count]
            ),
            "These are places among the mistakes. The task asks for places among all images.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(logits, labels, count, torch.arange(0.0, -len(labels), -1)),
            "These are the first mistakes, in the order of the images. Sort them by confidence.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(
                logits, labels, count, -logits.log_softmax(dim=1)[range(len(labels)), labels]
            ),
            "It sorts by the probability of the label. The confidence is the largest of the ten probabilities.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(
                logits, labels, count, logits.softmax(dim=1)[range(len(labels)), labels]
            ),
            "It sorts by the probability of the label. The confidence is the largest of the ten probabilities.",
        ),
        Mistake(
            lambda logits, labels, count: logits.softmax(dim=1).amax(dim=1)[
                confident_mistakes.solve(logits, labels, count)
            ],
            "These are the confidences. The task asks for the places of the images.",
        ),
        Mistake(
            lambda logits, labels, count: logits.argmax(dim=1)[confident_mistakes.solve(logits, labels, count)],
            "These are the digits that were read. The task asks for the places of the images.",
        ),
        Mistake(
            along_the_images,
            "The softmax runs along the images. The ten probabilities of an image add up to 1: that is `dim=1`.",
        ),
        Mistake(
            lambda logits, labels, count: confident_mistakes.solve(logits, labels, count).sort().values,
            "They are the right ones, in the order of their indices. The surest one comes first.",
        ),
        Mistake(
            lambda logits, labels, count: confident_mistakes.solve(logits, labels, count).flip(0),
            "The images are the right ones. Their order is turned: the surest one comes first.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(
                logits, labels, count, 1 - logits.softmax(dim=1)[range(len(labels)), labels]
            ),
            "It sorts by the probability of the label. The confidence is the largest of the ten probabilities.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(logits, labels, count, logits.softmax(dim=0).amax(dim=1)),
            "The softmax runs along the images. The ten probabilities of an image add up to 1: that is `dim=1`.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(logits, labels, count, margins(logits.softmax(dim=1))),
            "It sorts by the difference of the two largest probabilities. The confidence is the largest one alone.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(
                logits, labels, count, (logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1)
            ),
            "It sorts by the entropy, to which all ten digits belong. The confidence is the largest probability alone.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(logits, labels, len(labels), logits.softmax(dim=1).amax(dim=1))[
                1 : count + 1
            ],
            "The surest mistake is missing: places are counted from 0.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(logits, labels, count, margins(logits)),
            "It sorts by the difference of the two largest logits. Take the largest probability alone.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(logits, labels, count, logits.amax(dim=1) - logits.mean(dim=1)),
            "The mean of the logits is subtracted from the largest. Take the probabilities: softmax.",
        ),
        Mistake(
            lambda logits, labels, count: ordered(
                logits, labels, count, (logits / logits.sum(dim=1, keepdim=True)).amax(dim=1)
            ),
            "Logits divided by their sum are no probabilities: some are negative. Take the softmax.",
        ),
        Mistake(
            first_in_order, "These are the first mistakes, sorted among themselves. Sort all, then take the first."
        ),
    ],
    gaps=[
        Gap(
            lambda logits, labels, count: count != 40,
            "It goes wrong where largest probabilities lie close together. Are they rounded, or numbers of 16 bits?",
        ),
        Gap(
            lambda logits, labels, count: (logits.argmax(dim=1) != labels).sum() > 1,
            "It goes wrong where there is a single mistake: `squeeze` takes away that dimension, too.",
        ),
    ],
)
def confident_mistakes(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return the indices of the `count` most confident mistakes. Shapes: logits (N, 10), labels (N,) → (count,)."""
    return ordered(logits, labels, count, logits.softmax(dim=1).amax(dim=1))


def logits_and_count(random: np.random.Generator) -> tuple[Tensor, int]:
    """Draw logits and how many images are asked for."""
    while True:
        logits = inputs.normal(random, 50, 10) * 2
        if clear(margins(logits.softmax(dim=1))):
            return logits, int(random.integers(3, 7))


def so_many(count: int) -> Callable[[], tuple[Tensor, int]]:
    """Return what gives logits, and asks for so many images."""
    return lambda: (logits_and_count(np.random.default_rng(0))[0], count)


def alike_in_doubt() -> tuple[Tensor, int]:
    """Give logits of images whose two largest probabilities lie nearly equally close together."""
    apart = fine_steps() / 2
    return logits_of(0.45 + apart, 0.45 - apart), 40


def tied() -> tuple[Tensor, int]:
    """Give logits of images, the two largest of one of them equal."""
    logits, count = logits_and_count(np.random.default_rng(0))
    clearest = margins(logits.softmax(dim=1)).argmax()
    logits[clearest, :2] = logits[clearest].max()
    return logits, count


def margins(values: Tensor, first: int = 0, second: int = 1) -> Tensor:
    """Return the distance of the two largest numbers of each row, or of two others in their order."""
    in_order = values.sort(dim=1, descending=True).values
    return in_order[:, first] - in_order[:, second]


@exercise(
    draw=logits_and_count,
    edges=[so_many(1), so_many(50), alike_in_doubt, tied],
    notice="No label was needed. This is how one finds the images that a person should look at.",
    hint="For each image: the largest probability minus the second largest. Take the smallest differences.",
    mistakes=[
        Mistake(
            lambda logits, count: margins(logits.softmax(dim=1)).argsort(descending=True)[:count],
            "These are the clearest images. Doubt is where the difference is small.",
        ),
        Mistake(
            lambda logits, count: logits.softmax(dim=1).amax(dim=1).argsort()[:count],
            "It takes the smallest largest probability. Doubt between *two* digits is a small difference of the two.",
        ),
        Mistake(
            lambda logits, count: margins(logits).argsort()[:count],
            "This is the order of the logits, or of the ratio of two probabilities. Take their difference.",
        ),
        Mistake(
            lambda logits, count: (logits.softmax(dim=1).amax(dim=1) - logits.softmax(dim=1).amin(dim=1)).argsort()[
                :count
            ],
            "It compares the largest with the smallest probability. Compare it with the second largest.",
        ),
        Mistake(
            lambda logits, count: (logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1).argsort()[:count],
            "This is the order of the entropy, to which all ten digits belong. Take the two most probable ones.",
        ),
        Mistake(
            lambda logits, count: margins(logits.softmax(dim=1)).sort().values[:count],
            "These are the differences. The task asks for the places of the images.",
        ),
        Mistake(
            lambda logits, count: margins(logits.softmax(dim=1)).argsort()[:count].flip(0),
            "The images are the right ones. Their order is turned: the smallest difference comes first.",
        ),
        Mistake(
            lambda logits, count: margins(logits.softmax(dim=0)).argsort()[:count],
            "The softmax runs along the images. The ten probabilities of an image add up to 1: that is `dim=1`.",
        ),
        Mistake(
            lambda logits, count: ambiguous.solve(logits, count).sort().values,
            "They are the right ones, in the order of their indices. The smallest difference comes first.",
        ),
        *[
            Mistake(
                lambda logits, count, pair=pair: margins(logits.softmax(dim=1), *pair).argsort()[:count],
                f"It takes the difference of the {said} probability. Take the largest minus the second largest.",
            )
            for pair, said in (
                ((1, 2), "second and the third"),
                ((0, 2), "largest and the third"),
                ((8, 9), "second smallest and the smallest"),
            )
        ],
        Mistake(
            lambda logits, count: logits.softmax(dim=1).sort(dim=1).values.diff(dim=1).amin(dim=1).argsort()[:count],
            "It takes any two probabilities that lie close together. Take the two largest ones.",
        ),
        Mistake(
            lambda logits, count: margins(logits.sigmoid()).argsort()[:count],
            "A sigmoid looks at each logit alone. The ten probabilities of an image come from `softmax`.",
        ),
        Mistake(
            lambda logits, count: margins(logits.softmax(dim=1)).argsort()[1 : count + 1],
            "The image with the smallest difference is missing: places are counted from 0.",
        ),
        Mistake(
            lambda logits, count: (logits.softmax(dim=1)[:, 0] - logits.softmax(dim=1)[:, 1]).abs().argsort()[:count],
            "It compares the digits 0 and 1. Take the two largest probabilities, whichever digits they belong to.",
        ),
    ],
    gaps=[
        Gap(
            lambda logits, count: count != 40,
            "It goes wrong where differences of the largest probabilities lie close together. Are they rounded?",
        ),
        Gap(
            lambda logits, count: margins(logits).min() > 0,
            "It goes wrong where two digits are equally probable, and both the most probable. Their difference is 0.",
        ),
    ],
)
def ambiguous(logits: Tensor, count: int) -> Tensor:
    """Return the indices of the `count` images with the closest two probabilities. Shapes: (N, 10) → (count,)."""
    return margins(logits.softmax(dim=1)).argsort()[:count]


def confidence_correct_goal(random: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Draw confidences, whether each was right, and a threshold that is one of them."""
    confidence, correct = confidence_and_correct(random)
    return confidence, correct, float(confidence[int(random.integers(400))])


def threshold_at(rank: int) -> Callable[[], tuple[Tensor, Tensor, float]]:
    """Return what gives confidences, whether each was right, and the confidence of a rank as threshold."""

    def give() -> tuple[Tensor, Tensor, float]:
        confidence, correct = confidence_and_correct(np.random.default_rng(0))
        return confidence, correct, float(confidence.sort().values[rank])

    return give


def always_answered() -> tuple[Tensor, Tensor, float]:
    """Give confidences, whether each was right, and the threshold 0."""
    return *confidence_and_correct(np.random.default_rng(0)), 0.0


def equally_sure() -> tuple[Tensor, Tensor, float]:
    """Give confidences of which many are equal, whether each was right, and a threshold."""
    confidence, correct = confidence_and_correct(np.random.default_rng(0))
    return (confidence * 8).round() / 8, correct, 0.75


def kept_and_right(correct: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share that is kept, and the share of right ones among those."""
    return kept.float().mean(), correct[kept].float().mean()


def variants(change: Callable[[Tensor, Tensor], Sequence], hint: str, by: Callable = torch.ge) -> Mistake:
    """Return the mistake that makes something else of which images are right and which are kept."""
    return Mistake(lambda confidence, correct, threshold: change(correct, by(confidence, threshold)), hint)


@exercise(
    draw=confidence_correct_goal,
    edges=[threshold_at(0), threshold_at(-1), always_answered, equally_sure],
    notice="Whoever may say “I do not know” makes fewer mistakes. The price is written in the first number.",
    hint="Keep the images whose confidence is at least the threshold; then count shares.",
    mistakes=[
        variants(
            kept_and_right,
            "An image with just that confidence is answered, too: *at least* the threshold.",
            by=torch.gt,
        ),
        variants(kept_and_right, "It keeps the doubtful ones.", by=torch.lt),
        variants(kept_and_right, "It keeps the doubtful ones.", by=torch.le),
        variants(
            lambda correct, kept: (kept.float().mean(), (correct & kept).float().mean()),
            "The accuracy is that among the kept ones, so divide by their number, not by all.",
        ),
        variants(
            lambda correct, kept: (kept.float().mean(), (correct == kept).float().mean()),
            "It counts where *right* and *kept* agree. Count the right ones among the kept ones alone.",
        ),
        variants(
            lambda correct, kept: (kept.float().mean(), correct.float().mean()),
            "The accuracy is that of all images. Count only those that are kept.",
        ),
        variants(
            lambda correct, kept: kept_and_right(correct, kept)[::-1],
            "They are exchanged: the share of answered images comes first.",
        ),
        variants(lambda correct, kept: [100 * share for share in kept_and_right(correct, kept)], PERCENT),
        variants(
            lambda correct, kept: (kept.sum(), correct[kept].float().mean()),
            "The first is a count. Divide it by the number of images.",
        ),
        variants(
            lambda correct, kept: (kept.sum(), correct[kept].sum()),
            "These are counts. The task asks for shares.",
        ),
        variants(
            lambda correct, kept: (kept.float().mean(), 1 - correct[kept].float().mean()),
            "The second is the share of mistakes. The accuracy is the share of right answers.",
        ),
        variants(
            lambda correct, kept: ((~kept).float().mean(), correct[kept].float().mean()),
            "The first is the share of images that are *not* answered.",
        ),
        variants(
            lambda correct, kept: (kept.float().mean(), correct[~kept].float().mean()),
            "The second is the accuracy among the images that are *not* answered.",
        ),
        variants(
            lambda correct, kept: (kept.float().mean(), correct[~kept].float().mean().nan_to_num()),
            "The second is the accuracy among the images that are *not* answered.",
        ),
        variants(
            lambda correct, kept: (kept.float().mean(), (correct & kept).sum() / correct.sum()),
            "The second says which share of the right answers is kept. Divide by the number of kept ones.",
        ),
        variants(
            lambda correct, kept: (kept.float().mean(), correct[kept].sum()),
            "The second is a count. Divide it by the number of images that are kept.",
        ),
        variants(
            lambda correct, kept: [round(share.item(), 2) for share in kept_and_right(correct, kept)],
            ROUNDED,
        ),
        Mistake(
            lambda confidence, correct, threshold: (
                confidence[confidence >= threshold].mean(),
                correct[confidence >= threshold].float().mean(),
            ),
            "The first is a mean confidence. The task asks for the share of images that are kept.",
        ),
        *[
            Mistake(
                lambda confidence, correct, _threshold, fixed=fixed: kept_and_right(correct, confidence >= fixed),
                f"It always answers from {fixed} on. Which confidence is enough is said by `threshold`.",
            )
            for fixed in (0.5, 0.8, 0.9, 0.95)
        ],
        Mistake(
            lambda confidence, correct, threshold: (
                (confidence >= threshold).float().mean(),
                confidence[confidence >= threshold].mean(),
            ),
            "The second is a mean confidence. The accuracy is the share of right answers.",
        ),
        Mistake(
            lambda confidence, correct, threshold: (
                (correct & (confidence >= threshold)).float().mean(),
                correct[confidence >= threshold].float().mean(),
            ),
            "The first leaves out answers that are wrong. Count all images that are answered.",
        ),
        *[
            Mistake(
                lambda confidence, correct, threshold, places=places: kept_and_right(
                    correct, confidence.round(decimals=places) >= threshold
                ),
                "The confidence is rounded before it is compared. Compare it as it is.",
            )
            for places in (1, 2)
        ],
    ],
    gaps=[
        Gap(
            lambda confidence, correct, threshold: threshold > 0,
            "It goes wrong where the threshold is 0. Then all images are answered.",
        ),
        Gap(
            lambda confidence, correct, threshold: len(confidence.unique()) > 10,
            "It goes wrong where many images are equally sure. Each of them counts.",
        ),
    ],
)
def coverage_and_accuracy(confidence: Tensor, correct: Tensor, threshold: float) -> tuple[float, float]:
    """Return the share of images that are answered at a threshold, and the accuracy among them (0 … 1 both)."""
    return kept_and_right(correct, confidence >= threshold)
