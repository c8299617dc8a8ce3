"""Images and labels as tensors in memory: the three parts, batches, augmentation.

Finding and checking the files is the job of `datasets`.
"""

import csv
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mnist_helpers.datasets import DataError, class_names, read_images
from mnist_helpers.distributed import process, processes, share
from mnist_helpers.runtime import shipped

VALIDATION_SIZE = 5_000
TEST_SIZE = 10_000  # of MNIST
SPLIT_SEED = 2024
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class LabelledImages:
    """Images with their labels: one part of a dataset.

    Shapes: images (N, 1, 28, 28) uint8, labels (N,) int64, or (N, C) float32 where a teacher has softened them (see
    `training.softened`); `classes` names the labels, `dataset` says whose they are.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    dataset: str

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Tensor) -> "LabelledImages":
        """Return the images at `indices` (int64, or a boolean mask), in that order."""
        return replace(self, images=self.images[indices], labels=self.labels[indices])

    def digest(self) -> str:
        """Return a fingerprint of images and labels, to tell one selection from another."""
        return hashlib.sha256(self.images.cpu().numpy().tobytes() + self.labels.cpu().numpy().tobytes()).hexdigest()[
            :16
        ]

    def to(self, device: torch.device) -> "LabelledImages":
        """Return the same images and labels on `device`."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


def load_part(dataset: str = "mnist", part: str = "train", limit: int | None = None) -> LabelledImages:
    """Load one part of a dataset.

    The published training set is split once: 5,000 images for validation, drawn with a fixed seed in proportion to the
    classes, the others for training. `limit` keeps that many images, again in proportion to the classes.

    Raises: DataError for an unknown dataset or part, a limit out of range, or files that cannot be read.
    """
    if part not in PARTS:
        raise DataError(f"part={part!r} is not known. Use one of: {', '.join(PARTS)}.")
    images, labels = read_images(dataset, train=part != "test")
    whole = LabelledImages(images, labels, class_names(dataset), dataset)
    if part != "test":
        whole = hold_out_validation(whole)[PARTS.index(part)]
    if limit is None:
        return whole
    if not 1 <= limit <= len(whole):
        raise DataError(f"limit={limit} is out of range: {dataset} has {len(whole):,} images in its {part} part.")
    return whole.select(stratified_split(whole.labels, limit, seed=SPLIT_SEED)[1])


def rejected_labels() -> Tensor:
    """Return the places of the MNIST test images whose label fewer than three of five people confirmed.

    100 images that networks had made suspect were shown to five people each. They stay in the test set; a score without
    them may stand beside the usual one. Source: Northcutt, Athalye and Mueller, "Pervasive label errors in test sets
    destabilize machine learning benchmarks" (2021), and the votes that they published.
    Shapes: → (15,) int64.
    """
    with (shipped("data") / "MNIST" / "label_votes.csv").open(encoding="utf-8") as file:
        votes = list(csv.DictReader(file))
    return torch.tensor([int(row["image"]) for row in votes if int(row["for_label"]) < 3])


def confirmed_labels() -> Tensor:
    """Return which of the MNIST test images have a label that people did not reject (see `rejected_labels`).

    Shapes: → (10,000,) bool.
    """
    return torch.ones(TEST_SIZE, dtype=torch.bool).index_fill(0, rejected_labels(), False)


def hold_out_validation(labelled: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
    """Split a published training set into its part for training and a twelfth, at most 5,000 images, for validation.

    Raises: DataError for fewer than 12 images.
    """
    size = min(VALIDATION_SIZE, len(labelled) // 12)
    if size == 0:
        raise DataError(f"{len(labelled)} images are too few to hold some out for validation: at least 12 are needed.")
    kept, held_out = stratified_split(labelled.labels, size, seed=SPLIT_SEED)
    return labelled.select(kept), labelled.select(held_out)


def stratified_split(labels: Tensor, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Split indices in two, the second of `size`, both with the classes in the proportions of `labels`.

    Shapes: labels (N,) int64 → sorted indices (N - size,) and (size,) int64.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    by_class = order[torch.argsort(labels[order], stable=True)]
    # Walking evenly through the images sorted by class takes from every class its share, to within one image.
    positions = (torch.arange(size, dtype=torch.float64) + 0.5) * len(labels) / size
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[by_class[positions.long()]] = True
    return torch.nonzero(~chosen).flatten(), torch.nonzero(chosen).flatten()


def to_float(images: Tensor) -> Tensor:
    """Turn grey values 0 … 255 (uint8) into 0 … 1 (float32), the input of every network here.

    Raises: TypeError for numbers that are fractions already: a second time they would come out almost black.
    """
    if images.is_floating_point():
        raise TypeError(f"to_float wants grey values (uint8) but got {images.dtype}. It is enough to call it once.")
    return images.float() / 255


class BatchLoader:
    """Serve labelled images in batches that are already on their device.

    The whole dataset is one tensor (MNIST is 55 MB), so a batch is a slice: no worker processes, no Python per image.
    Each pass yields `(images, labels)`: (B, 1, 28, 28) float32 in [0, 1], channels last, and (B,) int64. With
    `shuffle` every pass has a new order, and the last, smaller batch is left out, so that all steps weigh the same; of
    several processes, each gets its share of such a batch.
    """

    def __init__(
        self,
        labelled: LabelledImages,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    ) -> None:
        self.labelled = labelled
        self.batch_size = min(batch_size, len(labelled))
        self.shuffle = shuffle
        self.augment = augment
        self.generator = torch.Generator().manual_seed(seed)
        # What augmentation draws lies where the images lie: a GPU would wait at every batch for numbers of the CPU's.
        # Of several processes each draws for its own share.
        device, own = labelled.labels.device, labelled.labels.device.type != "cpu" or processes() > 1
        self.augmenting = torch.Generator(device).manual_seed(seed + process()) if own else self.generator

    def __len__(self) -> int:
        """Return the number of batches in one pass."""
        batches = len(self.labelled) / self.batch_size
        return math.floor(batches) if self.shuffle else math.ceil(batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = self.labelled.images, self.labelled.labels
        order = torch.randperm(len(labels), generator=self.generator) if self.shuffle else torch.arange(len(labels))
        order = order.to(labels.device)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            indices = order[start : start + self.batch_size]
            if self.shuffle:
                indices = share(indices)  # all of them, but where torchrun started several processes
            batch = to_float(images[indices])
            if self.augment:
                batch = self.augment(batch, self.augmenting)
            yield batch.contiguous(memory_format=torch.channels_last), labels[indices]
