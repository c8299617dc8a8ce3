"""How good a network is, and how far the figure can be trusted: tensors and numbers, no drawing."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnist_helpers.augmentation import random_affine
from mnist_helpers.corruptions import CORRUPTIONS, corrupted
from mnist_helpers.data import LabelledImages, to_float
from mnist_helpers.models import device_of, evaluating
from mnist_helpers.runtime import autocast

BATCH_SIZE = 200  # what a layer passes on stays in a processor's cache: half the time of batches of 1,000


@dataclass(frozen=True)
class Scores:
    """Mean cross-entropy in nats and accuracy (0 … 1) over `count` images."""

    loss: float
    accuracy: float
    count: int


@torch.inference_mode()
def predict_logits(model: nn.Module, images: Tensor) -> Tensor:
    """Run a network over images, batch by batch, without dropout; leave its train/eval mode as it was.

    Shapes: images (N, 1, 28, 28) uint8 or float in [0, 1] → logits (N, 10) float32, on the CPU.
    """
    device, logits = device_of(model), []
    with evaluating(model):
        for batch in images.split(BATCH_SIZE):
            batch = batch.to(device)
            batch = batch if batch.is_floating_point() else to_float(batch)
            with autocast(device):
                logits.append(model(batch).float())
    return torch.cat(logits).cpu()


def steady_probabilities(model: nn.Module, images: Tensor, views: int = 12) -> Tensor:
    """Return the mean of the probabilities for each image and for slightly turned, moved and sheared copies of it.

    What a network sees only from one angle it may misread by chance; this is for pictures that do not come from MNIST.
    The views are the same for each image, so what is read in one does not depend on the others.
    Source: averaging over changed copies at test time, as Krizhevsky, Sutskever and Hinton did (2012).
    Shapes: images (N, 1, 28, 28) uint8 → (N, 10) float32.
    """
    generator = torch.Generator().manual_seed(0)
    together = to_float(images).transpose(0, 1)  # one image of N channels: all of them are changed alike
    seen = [together]
    for _ in range(views - 1):
        seen.append(random_affine(together, generator, degrees=12, shift=1, scale=0.1, squeeze=0.15, slant=0.25))
    logits = predict_logits(model, torch.cat(seen).flatten(0, 1)[:, None])
    return logits.softmax(dim=1).view(views, len(images), -1).mean(dim=0)


def evaluate(model: nn.Module, labelled: LabelledImages, label_smoothing: float = 0.0) -> Scores:
    """Score a network on labelled images; the loss includes what `label_smoothing` adds, as in training."""
    return score(predict_logits(model, labelled.images), labelled.labels, label_smoothing)


def score(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Scores:
    """Score logits against labels.

    Shapes: logits (N, C) float, labels (N,) int64.
    """
    labels = labels.to(logits.device)
    correct = (logits.argmax(dim=1) == labels).sum().item()
    loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing).item()
    return Scores(loss, correct / len(labels), len(labels))


@dataclass(frozen=True)
class Robustness:
    """How a network does on images that are spoiled in one way: accuracy and mean confidence, 0 … 1."""

    corruption: str
    accuracy: float
    confidence: float


UNSPOILED = "as they are"


def robustness(model: nn.Module, labelled: LabelledImages, seed: int = 0) -> list[Robustness]:
    """Score a network on images as they are, and on the same images spoiled in each of the 15 ways of `corruptions`.

    The ways are the same for each network and each seed. Source: Mu and Gilmer, "MNIST-C" (2019), for the list.
    """
    labels, found = labelled.labels.cpu(), []
    for name in (UNSPOILED, *CORRUPTIONS):
        images = labelled.images if name == UNSPOILED else corrupted(name, labelled.images, seed)
        confidence, predictions = predict_logits(model, images).softmax(dim=1).max(dim=1)
        right = (predictions == labels).float().mean().item()
        found.append(Robustness(name, right, confidence.mean().item()))
    return found


def accuracy_interval(accuracy: float, count: int) -> tuple[float, float]:
    """Return the 95% interval of the true accuracy, after `count` trials.

    Source: Wilson's score interval (1927), as SciPy computes it.
    """
    from scipy.stats import binomtest  # a second and a half, which few need

    interval = binomtest(round(accuracy * count), count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def confusion_matrix(labels: Tensor, predictions: Tensor, classes: int = 10) -> Tensor:
    """Count how often each class was taken for each of the others.

    Shapes: labels and predictions (N,) int64 → (classes, classes) int64; row = true class, column = prediction.
    """
    return torch.bincount(labels * classes + predictions, minlength=classes**2).view(classes, classes)


def precision_and_recall(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return, for each class, the share of its predictions that are right and the share of its images that are found.

    Shapes: matrix (C, C) int64, row = true class → (C,) and (C,) float32; NaN where there is nothing to divide by.
    """
    return matrix.diagonal() / matrix.sum(dim=0), matrix.diagonal() / matrix.sum(dim=1)


def most_confident_mistakes(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return the indices of up to `count` wrong predictions, the most confident first.

    Shapes: logits (N, C) float, labels (N,) int64 → (≤ count,) int64.
    """
    confidence, predictions = logits.softmax(dim=1).max(dim=1)
    mistakes = torch.nonzero(predictions != labels).flatten()
    return mistakes[confidence[mistakes].argsort(descending=True, stable=True)][:count]


@dataclass(frozen=True)
class Calibration:
    """Confidence beside accuracy, for predictions sorted into bins of equal width by their confidence.

    Shapes: confidence, accuracy and count are (bins,); empty bins hold NaN, NaN and 0. `error` is the expected
    calibration error: the mean gap between the two, weighted by count.
    """

    confidence: Tensor
    accuracy: Tensor
    count: Tensor
    error: float


def calibrate(logits: Tensor, labels: Tensor, bins: int = 10) -> Calibration:
    """Compare how sure a network is with how often it is right.

    Source: Guo and others, "On calibration of modern neural networks" (2017).
    Shapes: logits (N, C) float, labels (N,) int64.
    """
    confidence, predictions = logits.double().softmax(dim=1).max(dim=1)
    right = (predictions == labels).double()
    which = (confidence * bins).ceil().long() - 1
    count = torch.bincount(which, minlength=bins)
    mean_confidence = torch.bincount(which, weights=confidence, minlength=bins) / count
    mean_right = torch.bincount(which, weights=right, minlength=bins) / count
    gaps = torch.nan_to_num((mean_confidence - mean_right).abs())
    return Calibration(mean_confidence, mean_right, count, ((gaps * count).sum() / len(labels)).item())
