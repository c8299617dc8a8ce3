"""Checks of exercise notebook 4: confusion, precision, an interval, calibration, mistakes, doubt, a threshold."""

import math

import numpy as np
import torch
from torch import Tensor

from mnist_helpers import evaluation
from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import Mistake, exercise


def labels_and_predictions(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw labels and predictions; one class is never predicted, another one not there."""
    absent, unnamed = random.choice(10, size=2, replace=False)
    labels = torch.from_numpy(random.choice(np.delete(np.arange(10), absent), size=60))
    others = torch.from_numpy(random.choice(np.delete(np.arange(10), unnamed), size=60))
    wrong = torch.from_numpy(random.random(60) < 0.4) | (labels == unnamed)
    return labels, torch.where(wrong, others, labels)


@exercise(
    draw=labels_and_predictions,
    by_hand=("bincount",),
    notice="The diagonal holds what was right; its sum over everything is the accuracy.",
    hint="For each image, add 1 in the row of its label and the column of its prediction.",
    mistakes=[
        Mistake(
            lambda labels, predictions: evaluation.confusion_matrix(predictions, labels),
            "Rows and columns are exchanged: the row is the true class.",
        ),
        Mistake(
            lambda labels, predictions: evaluation.confusion_matrix(labels, predictions)[:9, :9],
            "There must be ten rows and columns, also for a class that is not there.",
        ),
        Mistake(
            lambda labels, predictions: (evaluation.confusion_matrix(labels, predictions) > 0).long(),
            "Each pair is counted once only: does your line add to what is there, or set it? "
            "(`matrix[labels, predictions] += 1` adds a single time to a place that is named often.)",
        ),
        Mistake(
            lambda labels, predictions: evaluation.confusion_matrix(labels, predictions) / len(labels),
            "These are shares. Asked for are counts.",
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


def share_of(matrix: Tensor, digit: int, dim: int) -> Tensor:
    """Return the share of a class's diagonal in its row (1) or column (0)."""
    return matrix[digit, digit] / matrix.sum(dim=dim)[digit]


@exercise(
    draw=a_matrix,
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
        Mistake(
            lambda matrix, digit: (100 * share_of(matrix, digit, 0), 100 * share_of(matrix, digit, 1)),
            "These are percentages. Precision and recall are between 0 and 1.",
        ),
        Mistake(
            lambda matrix, digit: (
                round(share_of(matrix, digit, 0).item(), 2),
                round(share_of(matrix, digit, 1).item(), 2),
            ),
            "They are rounded. Return them as they are.",
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


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval (1927)."""
    share, scale = right / count, 1 + z**2 / count
    middle = (share + z**2 / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return middle - half, middle + half


def textbook_interval(right: int, count: int) -> tuple[float, float]:
    """Return the interval of the normal distribution, which fails near 1."""
    share = right / count
    half = 1.96 * math.sqrt(share * (1 - share) / count)
    return share - half, share + half


@exercise(
    draw=right_of_all,
    notice="99 of 100 leave an interval that is 0.053 wide; 9,900 of 10,000 leave 0.004.",
    hint="Follow the formula piece by piece; z is 1.96.",
    mistakes=[
        Mistake(
            textbook_interval,
            "This is the interval of the normal distribution, which is empty if all are right. Use Wilson's.",
        ),
        Mistake(
            lambda right, count: wilson(right, count, z=1.0),
            "This interval holds the truth in 68% of cases (z = 1). For 95%, z is 1.96.",
        ),
        Mistake(
            lambda right, count: tuple(100 * end for end in wilson(right, count)),
            "These are percentages. The ends should lie between 0 and 1.",
        ),
        Mistake(
            lambda right, count: wilson(count - right, count),
            "This is the interval of the share that is *wrong*.",
        ),
    ],
)
def interval(right: int, count: int) -> tuple[float, float]:
    """Return the ends of Wilson's 95 % interval of the accuracy, after `right` of `count` images were right."""
    return wilson(right, count)


def confidence_and_correct(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw confidences, more of them high than low, and whether each answer was right."""
    confidence = random.beta(4, 1.5, size=400).clip(0.001, 0.999)
    confidence[:15] = random.uniform(0.01, 0.09, size=15)
    return (
        torch.from_numpy(confidence.astype(np.float32)),
        torch.from_numpy(random.random(400) < 4 / 5.5),  # so it boasts above that, and is modest below
    )


def calibration_gap(confidence: Tensor, correct: Tensor, weighted: bool = True, signed: bool = False) -> Tensor:
    """Return the mean gap between confidence and accuracy over ten bins."""
    bins = (confidence * 10).long()
    total, weight = torch.zeros(()), 0.0
    for number in bins.unique():
        inside = bins == number
        gap = confidence[inside].mean() - correct[inside].float().mean()
        share = inside.float().mean().item() if weighted else 1.0
        total, weight = total + share * (gap if signed else gap.abs()), weight + share
    return total / weight


@exercise(
    draw=confidence_and_correct,
    notice="A network that says 90% should be right nine times in ten. The gap says by how much it boasts.",
    hint="Ten bins of width 0.1; in each the gap of mean confidence and accuracy, weighted by its share of images.",
    mistakes=[
        Mistake(
            lambda confidence, correct: calibration_gap(confidence, correct, weighted=False),
            "All bins count the same. A bin with more images should count more.",
        ),
        Mistake(
            lambda confidence, correct: calibration_gap(confidence, correct, signed=True),
            "Boasting in one bin makes up for modesty in another. Take the size of each gap, without its sign.",
        ),
        Mistake(
            lambda confidence, correct: (confidence.mean() - correct.float().mean()).abs(),
            "This is one gap over all images. Either there are no bins, or their gaps cancel: take each gap "
            "without its sign before you add them.",
        ),
        Mistake(
            lambda confidence, correct: (confidence - correct.float()).abs().mean(),
            "It compares single images, which are right or wrong. Compare means: of a bin.",
        ),
    ],
)
def calibration_error(confidence: Tensor, correct: Tensor) -> Tensor:
    """Return the expected calibration error with ten bins (Naeini and others, 2015). Shapes: (N,) float, (N,) bool."""
    return calibration_gap(confidence, correct)


def logits_and_labels(random: np.random.Generator) -> tuple[Tensor, Tensor, int]:
    """Draw logits of different sizes, labels, and how many mistakes are asked for."""
    logits = inputs.normal(random, 80, 10) * inputs.normal(random, 80, 1).abs() * 3
    logits += 4 * inputs.normal(random, 80, 1)  # changes no probability
    labels = torch.where(torch.from_numpy(random.random(80) < 0.6), logits.argmax(dim=1), torch.tensor(0))
    return logits, labels, int(random.integers(3, 7))


def ordered(logits: Tensor, labels: Tensor, count: int, score: Tensor, wrong: bool = True) -> Tensor:
    """Return the images with the highest scores, of those that were wrong or right."""
    predictions = logits.argmax(dim=1)
    chosen = torch.nonzero((predictions != labels) == wrong).flatten()
    return chosen[score[chosen].argsort(descending=True)][:count]


@exercise(
    draw=logits_and_labels,
    notice="These are worth looking at one by one: some of them are the label's fault, not the network's.",
    hint="Of the images whose prediction is not their label, those whose largest probability is largest.",
    mistakes=[
        Mistake(
            lambda logits, labels, count: ordered(logits, labels, count, logits.softmax(dim=1).amax(dim=1), False),
            "These were right. Asked for are the mistakes.",
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
            "These are places among the mistakes. Asked for are places among all images.",
        ),
    ],
)
def confident_mistakes(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return the indices of the `count` most confident mistakes. Shapes: logits (N, 10), labels (N,) → (count,)."""
    return ordered(logits, labels, count, logits.softmax(dim=1).amax(dim=1))


def logits_and_count(random: np.random.Generator) -> tuple[Tensor, int]:
    """Draw logits and how many images are asked for."""
    return inputs.normal(random, 50, 10) * 2, int(random.integers(3, 7))


def margins(values: Tensor) -> Tensor:
    """Return the distance of the two largest numbers of each row."""
    largest, second = values.topk(2, dim=1).values.unbind(dim=1)
    return largest - second


@exercise(
    draw=logits_and_count,
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
    ],
)
def ambiguous(logits: Tensor, count: int) -> Tensor:
    """Return the indices of the `count` images with the closest two probabilities. Shapes: (N, 10) → (count,)."""
    return margins(logits.softmax(dim=1)).argsort()[:count]


def confidence_correct_goal(random: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Draw confidences, whether each was right, and a threshold that is one of them."""
    confidence, correct = confidence_and_correct(random)
    return confidence, correct, float(confidence[int(random.integers(400))])


def kept_and_right(correct: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share that is kept, and the share of right ones among those."""
    return kept.float().mean(), correct[kept].float().mean()


@exercise(
    draw=confidence_correct_goal,
    notice="Whoever may say “I do not know” makes fewer mistakes. The price is written in the first number.",
    hint="Keep the images whose confidence is at least the threshold; then count shares.",
    mistakes=[
        Mistake(
            lambda confidence, correct, threshold: kept_and_right(correct, confidence > threshold),
            "An image with just that confidence is answered, too: *at least* the threshold.",
        ),
        Mistake(
            lambda confidence, correct, threshold: kept_and_right(correct, confidence < threshold),
            "It keeps the doubtful ones.",
        ),
        Mistake(
            lambda confidence, correct, threshold: (
                (confidence >= threshold).float().mean(),
                (correct & (confidence >= threshold)).float().mean(),
            ),
            "The accuracy is that among the kept ones, so divide by their number, not by all.",
        ),
        Mistake(
            lambda confidence, correct, threshold: (
                (confidence >= threshold).float().mean(),
                correct.float().mean(),
            ),
            "The accuracy is that of all images. Count only those that are kept.",
        ),
    ],
)
def coverage_and_accuracy(confidence: Tensor, correct: Tensor, threshold: float) -> tuple[float, float]:
    """Return the share of images that are answered at a threshold, and the accuracy among them (0 … 1 both)."""
    return kept_and_right(correct, confidence >= threshold)
