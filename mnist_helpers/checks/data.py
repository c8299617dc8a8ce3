"""Checks of exercise notebook 1: the file format, shares, scales, a baseline, an honest split, a shift."""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import Gap, Mistake, exercise
from mnist_helpers.checks.exercise import numbers as as_numbers
from mnist_helpers.data import to_float


def idx_file(random: np.random.Generator) -> tuple[bytes]:
    """Draw the bytes of an IDX file, of labels or of small images."""
    sizes = [int(size) for size in random.integers(256, 1_000, size=1)]
    if random.random() < 0.6:
        sizes = [int(random.integers(2, 6)), *(int(size) for size in random.integers(3, 9, size=2))]
    return (packed(random.integers(0, 256, size=sizes, dtype=np.uint8)),)


def packed(values: np.ndarray) -> bytes:
    """Pack an array into the bytes of an IDX file."""
    header = [2 * 1024 + values.ndim, *values.shape]  # 2048: bytes without a sign
    return b"".join(number.to_bytes(4, "big") for number in header) + values.tobytes()


def header_alone(*sizes: int) -> Callable[[], tuple[bytes]]:
    """Return what gives a file of so many bytes that only its beginning is handed over."""
    return lambda: (b"".join(number.to_bytes(4, "big") for number in (2 * 1024 + len(sizes), *sizes)),)


def numbers(raw: bytes, count: int, order: str = "big", start: int = 4) -> tuple[int, ...]:
    """Read numbers of four bytes, one after the other."""
    places = range(start, start + 4 * count, 4)
    return tuple(int.from_bytes(raw[place : place + 4], order) for place in places)


def with_signs(raw: bytes) -> tuple[int, ...]:
    """Read the sizes from bytes that are taken to have a sign."""
    parts = np.frombuffer(raw[4 : 4 + 4 * raw[3]], np.int8).reshape(-1, 4)
    return tuple((parts @ [2**24, 2**16, 2**8, 1]).tolist())


@exercise(
    draw=idx_file,
    edges=[
        header_alone(60_000, 28, 28),
        header_alone(60_000),
        header_alone(1),
        header_alone(0),
        header_alone(70_000, 1, 300),
        header_alone(0x0102_0304),
        header_alone(0x7001_0203, 0x0001_0000, 0x0100_0000),
    ],
    notice="The fourth byte says how many sizes follow, so the same lines read the labels and the images.",
    hint="Read one number of four bytes for each dimension, from byte 4 on; `raw[3]` says how many there are.",
    mistakes=[
        Mistake(
            lambda raw: numbers(raw, raw[3], "little"),
            "The bytes are taken in the wrong order: IDX puts the largest part first ('big').",
        ),
        *[
            Mistake(
                lambda raw, more=more: numbers(raw, raw[3] + more, start=0),
                "The first number is no size: bytes 0 to 3 are the signature. Begin at byte 4.",
            )
            for more in (0, 1)
        ],
        Mistake(
            lambda raw: tuple(raw[4 : 4 + raw[3]]),
            "It reads one byte of each number. A number has four bytes.",
        ),
        Mistake(
            lambda raw: numbers(raw, raw[2]),
            "Byte 2 says of what kind the numbers are. How many sizes follow stands in the fourth byte, `raw[3]`.",
        ),
        *[
            Mistake(
                answer,
                "It gives the sizes of MNIST's training part, whatever file it gets. Read them from the header.",
            )
            for answer in (
                lambda raw: (60_000, 28, 28),
                lambda raw: (60_000,),
                lambda raw: (60_000, 28, 28)[: raw[3]],
            )
        ],
        Mistake(
            lambda raw: tuple(sum(raw[place : place + 4]) for place in range(4, 4 + 4 * raw[3], 4)),
            "The four bytes of a number are added up. They count 256³, 256², 256 and 1.",
        ),
        Mistake(
            with_signs,
            "Bytes above 127 were taken for negative ones: they have no sign (uint8, not int8).",
        ),
        Mistake(
            lambda raw: (*numbers(raw, 1), *numbers(raw, raw[3])[:0:-1]),
            "Rows and columns are exchanged: return the sizes as they stand in the file.",
        ),
        Mistake(
            lambda raw: numbers(raw, 3),
            "It reads three sizes from every file. A file of labels has one; `raw[3]` holds how many.",
        ),
        Mistake(
            lambda raw: numbers(raw, 1),
            "It reads one size from every file. A file of images has three; `raw[3]` holds how many.",
        ),
        Mistake(
            lambda raw: numbers(raw, raw[3] - 1, start=8),
            "The first size is missing, the number of images or labels. It stands in bytes 4 to 7.",
        ),
        Mistake(
            lambda raw: numbers(raw, raw[3])[::-1],
            "The sizes come in the wrong order: return them as they stand in the file.",
        ),
        Mistake(
            lambda raw: numbers(raw, raw[3]) if raw[3] > 1 else numbers(raw, 1)[0],
            "A file of labels gives a bare number. Return a tuple there, too: one with a single size in it.",
        ),
    ],
    gaps=[
        Gap(
            lambda raw: raw[3] == 3,
            "It reads three sizes from every file. A file of labels has one; `raw[3]` holds how many.",
        ),
        Gap(
            lambda raw: numbers(raw, raw[3])[1:] in ((), (28, 28)),
            "It takes every image to be 28 × 28. Read rows and columns from the header.",
        ),
        Gap(
            lambda raw: len(raw) == 4 + 4 * raw[3],
            "It reads on behind the header, into what the file holds. `raw[3]` says how many sizes there are.",
        ),
        Gap(
            lambda raw: max(numbers(raw, raw[3])) < 256**3,
            "It reads three bytes of each number. A number has four.",
        ),
        Gap(
            lambda raw: max(numbers(raw, raw[3])[1:], default=0) < 256,
            "It is right where rows and columns are below 256: it reads one byte of each. A number has four.",
        ),
        Gap(
            lambda raw: max(numbers(raw, raw[3])) < 256**2,
            "It is right where all sizes are below 65,536: it reads two bytes of each number. A number has four.",
        ),
        Gap(
            lambda raw: max(numbers(raw, raw[3])) < 256,
            "It is right where all sizes are below 256: it reads one byte of each number. A number has four bytes.",
        ),
        Gap(
            lambda raw: len(raw) == 4 + 4 * raw[3] + math.prod(numbers(raw, raw[3])),
            "How many there are is measured by the length of the file. Read what the header says.",
        ),
    ],
)
def sizes(raw: bytes) -> tuple[int, ...]:
    """Return the sizes that the header of an IDX file names."""
    return numbers(raw, raw[3])


def images_file(random: np.random.Generator) -> tuple[bytes, int]:
    """Draw the bytes of an IDX file of images, and the index of one."""
    count, rows, columns = (int(size) for size in random.integers((3, 3, 250), (6, 6, 300)))
    values = random.integers(0, 256, size=(count, rows, columns), dtype=np.uint8)
    values[0, 0, 0] = values[-1, -1, -1] = 200  # above 127, where a signed number would be negative
    return packed(values), int(random.integers(1, count))


def a_small_file(shape: tuple[int, int, int], index: int) -> Callable[[], tuple[bytes, int]]:
    """Return what gives a file of images of that shape, and the index of one."""
    values = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
    return lambda: (packed(values), index)


def image_from(raw: bytes, index: int, skipped: int = 16, kind: type = np.uint8, order: str = "big") -> np.ndarray:
    """Take an image out of the bytes, after so many bytes of header."""
    _, rows, columns = numbers(raw, 3, order)
    start = skipped + index * rows * columns
    return np.frombuffer(raw[start : start + rows * columns], kind).reshape(rows, columns)


@exercise(
    draw=images_file,
    edges=[
        a_small_file((3, 28, 28), 1),
        a_small_file((3, 9, 9), 2),
        a_small_file((3, 4, 7), 1),
        a_small_file((3, 7, 4), 2),
        a_small_file((2, 5, 6), 0),
        a_small_file((1, 1, 1), 0),
        a_small_file((300, 2, 3), 270),
        a_small_file((1, 1, 70_000), 0),
    ],
    notice="The place of an image follows from the sizes alone, so no other image has to be read.",
    hint="Image `index` begins at byte 16 + index × rows × columns, and its rows lie one after the other.",
    mistakes=[
        Mistake(
            lambda raw, index: image_from(raw, index, skipped=0),
            "It begins 16 bytes too early: the header comes before the first image.",
        ),
        Mistake(
            lambda raw, index: image_from(raw, index, kind=np.int8),
            "Ink above 127 came out negative: the bytes have no sign (uint8, not int8).",
        ),
        Mistake(
            lambda raw, index: image_from(raw, index).T,
            "Rows and columns are exchanged: the pixels of one row lie side by side.",
        ),
        Mistake(
            lambda raw, index: image_from(raw, index).reshape(image_from(raw, index).shape[::-1]),
            "The pixels are right, but cut into rows of the wrong length: (rows, columns), not (columns, rows).",
        ),
        Mistake(
            lambda raw, index: image_from(raw, index - 1),
            "It is the image before: the first one has the index 0.",
        ),
        Mistake(
            lambda raw, index: image_from(raw, index).flatten().reshape(numbers(raw, 3)[1:], order="F"),
            "The pixels are filled in column by column. In the file they lie row by row.",
        ),
        *[
            Mistake(
                answer, "The sizes in the header are read in the wrong order of bytes: the largest part comes first."
            )
            for answer in (
                lambda raw, index: image_from(raw, index, order="little"),
                lambda raw, index: np.frombuffer(
                    raw, np.uint8, offset=16 + index * int(np.prod(numbers(raw, 3, "little")[1:]))
                ),
            )
        ],
        Mistake(
            lambda raw, index: image_from(raw, index, skipped=8),
            "It begins 8 bytes too early. The header of a file of images has 16 bytes; that of labels has 8.",
        ),
        Mistake(
            lambda raw, index: image_from(raw, index) / 255,
            "The numbers are between 0 and 1. Return the bytes as they are, whole numbers from 0 to 255.",
        ),
        Mistake(
            lambda raw, index: image_from(raw, index).flatten(),
            "The pixels are right, but in one long row. An image has rows and columns.",
        ),
        Mistake(
            lambda raw, index: np.frombuffer(raw[16:], np.uint8).reshape(numbers(raw, 3)),
            "These are all images. Return the one with this index.",
        ),
        Mistake(
            lambda raw, index: np.frombuffer(raw[16 + index * 784 : 16 + (index + 1) * 784], np.uint8).reshape(28, 28),
            "It takes every image to be 28 × 28. Read rows and columns from the header.",
        ),
        Mistake(
            lambda raw, index: image_from(raw, 0, skipped=16 + index),
            "It begins one byte further on for each image. An image takes rows × columns bytes.",
        ),
        Mistake(
            lambda raw, index: 255 - image_from(raw, index),
            "Ink and paper are exchanged. Return the bytes as they are.",
        ),
        Mistake(
            lambda raw, index: image_from(raw, 0),
            "It always returns the first image. How many bytes lie before image `index`?",
        ),
    ],
    gaps=[
        Gap(
            lambda raw, index: index < 256,
            "It goes wrong from image 256 on. Is the index cut to a byte?",
        ),
        *[
            Gap(
                lambda raw, index, most=most: max(numbers(raw, 3)[1:]) < most,
                "It is right for small images only: a size in the header is a number of four bytes.",
            )
            for most in (256, 256**2)
        ],
        Gap(
            lambda raw, index: numbers(raw, 3)[1] == numbers(raw, 3)[2],
            "It is right for square images only. The header names rows and columns, in this order.",
        ),
        Gap(
            lambda raw, index: numbers(raw, 3)[1:] == (28, 28),
            "It takes every image to be 28 × 28. Read rows and columns from the header.",
        ),
    ],
)
def image_at(raw: bytes, index: int) -> np.ndarray:
    """Return one image (rows, columns) uint8 from the bytes of an IDX file."""
    return image_from(raw, index)


def some_labels(random: np.random.Generator) -> tuple[Tensor]:
    """Draw labels in which some classes are missing, or the last ones, or none."""
    classes = 10 if random.random() < 0.3 else random.choice(10, size=int(random.integers(3, 9)), replace=False)
    return (torch.from_numpy(random.choice(classes, size=int(random.integers(20, 60)))),)


def labels_of(*labels: int) -> Callable[[], tuple[Tensor]]:
    """Return what gives these labels."""
    return lambda: (torch.tensor(labels),)


@exercise(
    draw=some_labels,
    rounds=12,
    edges=[
        labels_of(*range(10), 3, 3),
        labels_of(*range(1, 10), 9),  # no 0
        labels_of(0, 1, 2, 4, 4, 9),
        labels_of(0, 0, 5),
        labels_of(7),
        labels_of(*[0] * 700, *range(10)),
    ],
    notice="A class without a single image has the share 0, and keeps its place.",
    hint="The share of a class is its number of labels, divided by the number of all.",
    mistakes=[
        Mistake(lambda labels: labels.bincount(minlength=10), "These are counts. A share is between 0 and 1."),
        Mistake(
            lambda labels: 100 * labels.bincount(minlength=10) / len(labels),
            "These are percentages. A share is between 0 and 1.",
        ),
        Mistake(
            lambda labels: labels.bincount() / len(labels),
            "There must be ten shares, also where the last classes have no image: see `minlength`.",
        ),
        Mistake(
            lambda labels: labels.unique(return_counts=True)[1] / len(labels),
            "A class that does not occur is left out. There must be ten shares, and its share is 0.",
        ),
        Mistake(
            lambda labels: labels.bincount(minlength=10) // len(labels),
            "A division by `//` gives whole numbers, here almost always 0. Use `/`.",
        ),
        Mistake(
            lambda labels: labels.bincount(minlength=10) / labels.bincount(minlength=10).max(),
            "These are divided by the largest count. The shares must add up to 1.",
        ),
        Mistake(
            lambda labels: labels.bincount(minlength=10) / labels.sum(),
            "It divides by the sum of the labels. Divide by how many there are.",
        ),
        Mistake(
            lambda labels: labels.bincount(minlength=11)[1:] / len(labels),
            "It begins with class 1, and all shares stand one place too early. The classes are 0 to 9.",
        ),
        Mistake(
            lambda labels: labels[labels < 9].bincount(minlength=10) / len(labels),
            "Class 9 gets no share: `range(9)` ends with 8.",
        ),
        Mistake(
            lambda labels: (labels.bincount(minlength=10) > 0) / len(labels),
            "Each class is counted once only: `shares[labels] += 1` adds a single time to a place that is named often.",
        ),
        Mistake(
            lambda labels: (labels.bincount(minlength=10) / len(labels)).round(decimals=2),
            "They are rounded. Return them as they are.",
        ),
        *[
            Mistake(
                lambda labels, classes=classes: labels.bincount(minlength=10) / classes(labels),
                "The shares must add up to 1: divide by the number of labels, not of classes.",
            )
            for classes in (lambda labels: 10, lambda labels: len(labels.unique()))
        ],
        Mistake(
            lambda labels: labels.bincount(minlength=10) / 60_000,
            "It divides by 60,000. Divide by the number of the labels that are given.",
        ),
        Mistake(
            lambda labels: labels.bincount(minlength=10) / (len(labels) - 1),
            "It divides by one too few. Divide by the number of all labels.",
        ),
        Mistake(
            lambda labels: torch.full((10,), 0.1),
            "Each share is 0.1, whatever the labels are. Count how often each class occurs.",
        ),
        Mistake(
            lambda labels: (labels.bincount(minlength=10) / len(labels)).sort(descending=True).values,
            "They are sorted by their size. Return them in the order of the classes, 0 to 9.",
        ),
        Mistake(
            lambda labels: labels.bincount(minlength=10).float().softmax(dim=0),
            "A softmax makes shares of logits. Here are counts: divide them by the number of all.",
        ),
    ],
    gaps=[
        Gap(
            lambda labels: len(labels.unique()) == 10,
            "It is right where all ten classes occur. A class without an image has the share 0, and keeps its place.",
        ),
        Gap(
            lambda labels: labels.max() == 9,
            "There must be ten shares, also where the last classes have no image: see `minlength`.",
        ),
        Gap(lambda labels: len(labels) < 700, "It is right where few labels are given. Count all of them."),
    ],
)
def class_shares(labels: Tensor) -> Tensor:
    """Return the share (0 … 1) of each of the ten classes. Shapes: labels (N,) int64 → (10,) float."""
    return labels.bincount(minlength=10) / len(labels)


def a_few_digits(random: np.random.Generator) -> tuple[Tensor]:
    """Draw a few real digits."""
    return (inputs.digits(random, int(random.integers(30, 60)))[0],)


def pale_digits() -> tuple[Tensor]:
    """Give ten digits with little ink."""
    return (inputs.digits(np.random.default_rng(0), 10)[0] // 50,)


def grey_paper() -> tuple[Tensor]:
    """Give digits on paper that is not white: no pixel is 0, and none 255."""
    return (inputs.digits(np.random.default_rng(0), 20)[0] // 2 + 60,)


def negatives() -> tuple[Tensor]:
    """Give white digits on black turned into black ones on white."""
    return (255 - inputs.digits(np.random.default_rng(0), 20)[0],)


def many_digits() -> tuple[Tensor]:
    """Give so many digits that the first hundred, which are pale, have another mean."""
    images, _ = inputs.digits(np.random.default_rng(0), 300)
    images[:100] //= 4
    return (images,)


def mean_of_each(images: Tensor) -> Tensor:
    """Return the mean of each image. Shapes: (N, 1, 28, 28) → (N, 1, 1, 1)."""
    return images.float().mean((1, 2, 3), True)


@exercise(
    draw=a_few_digits,
    rounds=6,
    edges=[pale_digits, negatives, grey_paper, many_digits],
    gaps=[
        Gap(
            lambda images: len(images) < 300,
            "It is right where few images are given. Mean and standard deviation are those of all.",
        ),
    ],
    notice="The mean is 0 and the standard deviation 1 over all pixels together: one scale for everything.",
    hint="Print the mean and the standard deviation of what you return: all pixels of all images together.",
    mistakes=[
        Mistake(
            lambda images: images.float() - images.float().mean() / images.float().std(),
            "A division comes before a subtraction: put the difference in brackets.",
        ),
        Mistake(
            lambda images: (images.float() - images.float().mean()) / 255,
            "The mean is 0, but 255 is not the standard deviation of the pixels. Divide by that.",
        ),
        Mistake(
            lambda images: images.float() / images.float().std(),
            "The standard deviation is 1, but the mean is not 0. Subtract it first.",
        ),
        Mistake(
            lambda images: images / 127.5 - 1,
            "This brings the pixels between -1 and 1. The task asks for the mean 0 and the standard deviation 1.",
        ),
        Mistake(
            lambda images: (images / 255 - images.float().mean()) / images.float().std(),
            "The pixels are divided by 255, and mean and standard deviation are those from before. Use one scale.",
        ),
        Mistake(
            lambda images: (images.float() - images.float().min()) / (images.float().max() - images.float().min()),
            "This brings the pixels between 0 and 1; their mean is not 0 yet.",
        ),
        Mistake(
            lambda images: images / 256,
            "This brings the pixels between 0 and 1; their mean is not 0 yet.",
        ),
        Mistake(lambda images: images / 255, "This brings the pixels between 0 and 1; their mean is not 0 yet."),
        Mistake(
            lambda images: images.float() - images.float().mean(),
            "The mean is 0, but the spread is still that of the pixels. Divide by it.",
        ),
        Mistake(
            lambda images: (images.float() - images.float().mean()) / images.float().var(),
            "It divides by the variance. The standard deviation is its square root.",
        ),
        Mistake(
            lambda images: (images / 255 - 0.1307) / 0.3081,
            "These are the numbers of the whole training set. Compute those of the images that are given.",
        ),
        *[
            Mistake(
                answer,
                "Each image has a scale of its own, so thick digits and thin ones become alike. Use one for all.",
            )
            for answer in (
                lambda images: (images - mean_of_each(images)) / images.float().std((1, 2, 3), True, True),
                lambda images: (images - mean_of_each(images)) / images.float().std((1, 2, 3), False, True),
            )
        ],
        Mistake(
            lambda images: (images - images.float().mean(0)) / images.float().std(0),
            "Each pixel has a scale of its own, and the margin, which is always 0, is divided by 0. Use one for all.",
        ),
        *[
            Mistake(
                lambda images, less=less: (
                    (images - images.float().mean(0)) / (images.float().std(0, correction=less) + 1e-8)
                ),
                "Each pixel has a scale of its own, and the mean image is gone. Use one for all.",
            )
            for less in (1, 0)
        ],
        Mistake(
            lambda images: (images - images.float().mean().byte()) / images.float().std(),
            "Whole numbers of 8 bits know nothing below 0: 3 - 5 is 254. Turn the images into fractional ones first.",
        ),
        Mistake(
            lambda images: (images.float().mean() - images) / images.float().std(),
            "Light and dark are exchanged: what is brighter than the mean should be above 0.",
        ),
        Mistake(
            lambda images: (images - images[images > 0].float().mean()) / images[images > 0].float().std(),
            "Mean and standard deviation are those of the ink alone. The empty pixels belong to them, too.",
        ),
        Mistake(
            lambda images: (images - images.float().mean()) / images.float().std((1, 2, 3), True, True),
            "The mean is that of all, but each image is divided by a standard deviation of its own. Use one for all.",
        ),
    ],
)
def standardise(images: Tensor) -> Tensor:
    """Return images with mean 0 and standard deviation 1. Shapes: (N, 1, 28, 28) uint8 → the same, float."""
    values = images.float()
    return (values - values.mean()) / values.std()


def known_and_new(random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw labelled digits with all classes among them, and others."""
    labels = torch.empty(0)
    while len(labels.unique()) < 10:
        images, labels = inputs.float_digits(random, 120)
    return images[:90], labels[:90], images[90:]


def one_of_each() -> tuple[Tensor, Tensor, Tensor]:
    """Give one image of each class, in order, and a single other one."""
    images, labels = inputs.float_digits(np.random.default_rng(0), 200)
    first = [torch.nonzero(labels == digit)[0].item() for digit in range(10)]
    return images[first], labels[first], images[-1:]


def many_known() -> tuple[Tensor, Tensor, Tensor]:
    """Give so many labelled digits that the first thousand, which are pale, have other means, and a hundred others."""
    images, labels = inputs.float_digits(np.random.default_rng(0), 1_400)
    images[:1_000] *= 0.3
    return images[:1_300], labels[:1_300], images[1_300:]


def in_grey_levels() -> tuple[Tensor, Tensor, Tensor]:
    """Give digits whose pixels go from 0 to 255."""
    images, labels = inputs.float_digits(np.random.default_rng(0), 140)
    return 255 * images[:100], labels[:100], 255 * images[100:]


def marked_at_the_edge() -> tuple[Tensor, Tensor, Tensor]:
    """Give images that differ in one pixel of the edge alone: its place tells the class."""
    images, labels = torch.zeros(30, 1, 28, 28), torch.arange(10).repeat(3)
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = ((0, 9), (27, 9), (9, 0), (9, 27))[label % 4]
        image[0, row + label * (row == 9), column + label * (column == 9)] = 1
    return images[:20], labels[:20], images[20:]


def means_of(images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean image of each class, in a row."""
    return torch.stack([images[labels == digit].mean(dim=0).flatten() for digit in range(10)])


def nearest(images: Tensor, labels: Tensor, others: Tensor, norm: float = 2.0) -> Tensor:
    """Return the class whose mean image is nearest."""
    return torch.cdist(others.flatten(1), means_of(images, labels), p=norm).argmin(dim=1)


@exercise(
    draw=known_and_new,
    edges=[one_of_each, many_known, in_grey_levels, marked_at_the_edge],
    rounds=4,
    notice="No weight was learned, and it reads about four digits in five. Every network has to beat that.",
    hint="Average the images of each class, then take, for each new image, the class with the smallest distance.",
    mistakes=[
        Mistake(
            lambda images, labels, others: torch.cdist(
                others.flatten(1),
                means_of(images, labels),
            ).argmax(dim=1),
            "It takes the class that is farthest away: argmin, not argmax.",
        ),
        Mistake(
            lambda images, labels, others: labels[torch.cdist(others.flatten(1), images.flatten(1)).argmin(dim=1)],
            "It compares with single images. Average the images of each class first.",
        ),
        Mistake(
            lambda images, labels, others: nearest(images, labels, others, norm=1.0),
            "It sums the absolute differences. The distance asked for is the root of the sum of their squares.",
        ),
        Mistake(
            lambda images, labels, others: (others.flatten(1) @ means_of(images, labels).T).argmax(dim=1),
            "It takes the largest product of image and mean image, which favours much ink. Take distances.",
        ),
        Mistake(
            lambda images, labels, others: torch.cdist(
                others.flatten(1), torch.stack([images[labels == digit].sum(dim=0).flatten() for digit in range(10)])
            ).argmin(dim=1),
            "It compares with the sum of the images of each class. Divide by how many there are.",
        ),
        Mistake(
            lambda images, labels, others: (
                (
                    others.mean(dim=(1, 2, 3))[:, None]
                    - torch.stack([images[labels == digit].mean() for digit in range(10)])
                )
                .abs()
                .argmin(dim=1)
            ),
            "It compares how much ink there is in all. A mean image keeps its 28 × 28 places.",
        ),
        Mistake(
            lambda images, labels, others: (
                torch.cdist(
                    others.flatten(1),
                    means_of(images, labels),
                )
                .min(dim=1)
                .values
            ),
            "These are the smallest distances. Return the class that has it: `argmin`.",
        ),
        Mistake(
            lambda images, labels, others: nearest(images, labels, images),
            "It classifies the images whose labels are known. Classify `others`.",
        ),
        Mistake(
            lambda images, labels, others: nearest(images, labels, others) + 1,
            "Each class is one too large: the first mean image is that of the digit 0.",
        ),
        Mistake(
            lambda images, labels, others: torch.cdist(others.flatten(1), means_of(images, labels)[:9]).argmin(dim=1),
            "No image is taken for a 9: `range(9)` ends with 8.",
        ),
        Mistake(
            lambda images, labels, others: torch.cosine_similarity(
                others.flatten(1)[:, None], means_of(images, labels), dim=2
            ).argmax(dim=1),
            "It compares directions, so an image and one with half of its ink are alike. Take distances.",
        ),
        Mistake(
            lambda images, labels, others: torch.cdist(
                others.flatten(1), torch.stack([images[labels == digit][0].flatten() for digit in range(10)])
            ).argmin(dim=1),
            "It compares with a single image of each class. Average all that there are.",
        ),
        Mistake(
            lambda images, labels, others: nearest(images, labels, others, norm=torch.inf),
            "It takes the largest difference of a pixel. The distance is the root of the sum of all their squares.",
        ),
        Mistake(
            lambda images, labels, others: torch.cdist(
                others.flatten(1),
                torch.stack([images[labels == digit].median(dim=0).values.flatten() for digit in range(10)]),
            ).argmin(dim=1),
            "It compares with the median of each class. Average its images.",
        ),
        Mistake(
            lambda images, labels, others: torch.cdist(
                others.flatten(1),
                torch.stack([images[labels == digit].sum(dim=0).flatten() / len(images) for digit in range(10)]),
            ).argmin(dim=1),
            "The sum of a class is divided by the number of all images. Divide by the number of its own.",
        ),
        Mistake(
            lambda images, labels, others: labels.mode().values.expand(len(others)),
            "All images get the same class, the most frequent one. Measure how far each is from each mean image.",
        ),
    ],
    gaps=[
        Gap(
            lambda images, labels, others: len(others) > 1,
            "It goes wrong where a single image is to be read: `squeeze` takes away that dimension, too.",
        ),
        Gap(
            lambda images, labels, others: others.max() <= 1,
            "It is right for pixels from 0 to 1 alone. Does a search begin with some distance? Begin with the first.",
        ),
        Gap(
            lambda images, labels, others: bool(others[..., 1:27, 1:27].any()),
            "It leaves out pixels at the edge. Each of the 28 × 28 counts.",
        ),
        Gap(
            lambda images, labels, others: len(images) < 1_300,
            "It is right where few images are given: does it average *all* images of a class?",
        ),
    ],
)
def nearest_mean(images: Tensor, labels: Tensor, others: Tensor) -> Tensor:
    """Return, for each of `others`, the class whose mean image is nearest. Shapes: (N, 1, 28, 28) → (M,) int64."""
    return nearest(images, labels, others)


def labels_to_split(random: np.random.Generator) -> tuple[Tensor, int]:
    """Draw shuffled labels with at least six of each class, and how many of each are to be held out."""
    labels = torch.from_numpy(random.integers(0, 10, size=int(random.integers(60, 120))))
    labels = torch.cat([labels, torch.arange(10).repeat(6)])
    return labels[torch.from_numpy(random.permutation(len(labels)))], int(random.integers(1, 6))


def honest(result: tuple, labels: Tensor, each: int) -> str | None:
    """Say what is not honest about a split."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        return "It should return two tensors of indices: those to train on, and those held out."
    train, held = (as_numbers(part) for part in result)
    for part in (train, held):
        if part is not None and part.dtype.kind == "i" and part.ndim == 2:
            return f"Each part should be one row of indices, and has the shape {part.shape}: `flatten()` it."
    if any(part is None or part.ndim != 1 or (part.size and part.dtype.kind != "i") for part in (train, held)):
        return (
            "Each part should be a row of indices (whole numbers). A mask becomes one by `torch.nonzero(…).flatten()`."
        )
    if held.size and held.max() < each and len(np.unique(train)) < len(train):
        return "These are places inside of each class, counted from 0 again and again. Return those among all labels."
    if held.size and held.max() < 10 and len(np.unique(train)) < len(train):
        return "These look like labels. Return the indices: where in the row of labels the images stand."
    if not np.isin(np.concatenate([train, held]), np.arange(len(labels))).all():
        return f"The indices should be 0 to {len(labels) - 1}: there are {len(labels)} labels."
    if np.intersect1d(train, held).size:
        return "Some images are in both parts: what is learned would be tested."
    if len(np.unique(train)) < len(train) or len(np.unique(held)) < len(held):
        return "An image is in the same part twice."
    if len(train) + len(held) != len(labels):
        return "Some images are in neither part. Everything that is not held out is to be trained on."
    held_of, trained_of = (np.bincount(labels.numpy()[part.astype(int)], minlength=10) for part in (held, train))
    if (held_of == each).all():
        return None
    if (trained_of == each).all():
        return "The parts are exchanged: the images to train on come first."
    if len(held) == each:
        return f"Held out are {each} images in all, and it should be {each} of each class."
    return f"Held out are {held_of.tolist()} images of the classes 0 to 9, and it should be {each} of each."


def split_of(times: int, each: int, sort: bool = False) -> Callable[[], tuple[Tensor, int]]:
    """Return what gives labels in which each class occurs so many times, and how many are to be held out."""
    labels = torch.arange(10).repeat(times)
    return lambda: (labels.sort().values if sort else labels.clone(), each)


@exercise(
    draw=labels_to_split,
    edges=[
        split_of(12, 5),
        split_of(6, 1, sort=True),
        split_of(6, 5, sort=True),
        split_of(2, 1),
        split_of(80, 12, sort=True),
    ],
    rounds=5,
    notice="No image is in both parts, none is lost, and every class is tested by equally many.",
    hint="Choose the indices class by class.",
    examine=honest,
    gaps=[
        Gap(
            lambda labels, each: each == 5,
            "It is right where 5 of each class are asked for. How many is said by `each`.",
        ),
        Gap(
            lambda labels, each: each <= 5,
            "It is right where few labels are given and few of each class asked for. Look at all labels.",
        ),
    ],
)
def hold_out(labels: Tensor, each: int) -> tuple[Tensor, Tensor]:
    """Return the indices to train on and the `each` indices of each class that are held out."""
    held = torch.cat([torch.nonzero(labels == digit).flatten()[:each] for digit in range(10)])
    kept = torch.ones(len(labels), dtype=torch.bool)
    kept[held] = False
    return torch.nonzero(kept).flatten(), held


def digits_and_way(random: np.random.Generator) -> tuple[Tensor, int, int]:
    """Draw digits that fill their images, and how far to move them, up or down, left or right."""
    down, right = (int(way) for way in random.choice([-7, -5, -3, 0, 2, 4, 6], size=2, replace=False))
    return wide_digits(random), down, right


def wide_digits(random: np.random.Generator) -> Tensor:
    """Draw large digits on stained paper: no pixel is 0, so that each one counts that is lost or comes in again."""
    images, _ = inputs.digits(random, 3)
    wide = F.interpolate(images.float(), scale_factor=1.4, mode="nearest")[..., 5:33, 5:33].to(torch.uint8)
    return wide.maximum(torch.from_numpy(random.integers(1, 40, size=wide.shape, dtype=np.uint8)))


def moved_by(down: int, right: int, scale: Callable = Tensor.byte) -> Callable[[], tuple[Tensor, int, int]]:
    """Return what gives digits that are to be moved by so much, as whole numbers or scaled to fractional ones."""
    return lambda: (scale(wide_digits(np.random.default_rng(0))), down, right)


def moved(images: Tensor, down: int, right: int) -> Tensor:
    """Move images; what enters is empty."""
    return F.pad(images, (right, -right, down, -down))


def moved_by_slices(images: Tensor, down: int, right: int) -> Tensor:
    """Move images as one does with slices from the end, forgetting that -0 is 0."""
    result = torch.zeros_like(images)
    rows, columns = ((slice(by, None), slice(-by)) if by > 0 else (slice(by), slice(-by, None)) for by in (down, right))
    result[:, :, rows[0], columns[0]] = images[:, :, rows[1], columns[1]]
    return result


def rolled_by_rows(images: Tensor, down: int, right: int) -> Tensor:
    """Move images in a circle, and empty only the rows that enter."""
    return images.roll((down, right), (2, 3)) * moved(torch.ones_like(images), down, 0)


def moved_with_edge(images: Tensor, down: int, right: int) -> Tensor:
    """Move images; what enters repeats the edge."""
    rows, columns = ((torch.arange(28) - by).clamp(0, 27) for by in (down, right))
    return images[:, :, rows][..., columns]


def rolled_but_one(images: Tensor, down: int, right: int) -> Tensor:
    """Move images in a circle, and empty a single row and a single column of those that enter."""
    entered = moved(torch.ones_like(images), *(int(np.sign(way)) for way in (down, right)))
    return images.roll((down, right), (2, 3)) * entered


def with_kind(result: object, images: Tensor, *_way: int) -> tuple:
    """Return what was returned, and whether its numbers are still whole, or fractional."""
    kept = not isinstance(result, Tensor) or result.is_floating_point() == images.is_floating_point()
    return result, {
        "Whole numbers have become fractional, or the other way round. Return the kind that was given.": kept
    }


@exercise(
    draw=digits_and_way,
    rounds=10,
    measure=with_kind,
    edges=[
        moved_by(2, 3),
        moved_by(-2, -3),
        moved_by(4, 0),
        moved_by(0, 0),
        moved_by(0, 3),
        moved_by(-3, 0),
        moved_by(28, 0),
        moved_by(0, -28),
        moved_by(2, -3, to_float),
        moved_by(-4, 5, lambda images: images[:1]),
    ],
    notice="What leaves on one side is gone, and what enters on the other is empty paper.",
    hint="Where the digit moves down by 2, the two uppermost rows become 0, and the two lowest are lost.",
    mistakes=[
        Mistake(
            lambda images, down, right: images.roll((down, right), (2, 3)),
            "What leaves on one side comes in again on the other: `roll` alone moves in a circle.",
        ),
        Mistake(
            lambda images, down, right: moved(images, -down, -right),
            "It moves the other way. Positive means down and to the right; rows are counted from the top.",
        ),
        Mistake(
            lambda images, down, right: moved(images, right, down),
            "Rows and columns are exchanged: the last dimension is the column.",
        ),
        Mistake(
            moved_by_slices,
            "Where the digit is not to move, the image is lost: `[:-0]` and `[-0:]` do not mean what they seem to.",
        ),
        Mistake(
            lambda images, down, right: images.roll(down, 2),
            "It moves down only, and what leaves at the bottom comes in again at the top.",
        ),
        Mistake(
            lambda images, down, right: moved(images, down, 0),
            "It moves up and down only. `right` says how far to go to the right.",
        ),
        Mistake(
            lambda images, down, right: moved(images, 0, right),
            "It moves to the left and right only. `down` says how far to go down.",
        ),
        Mistake(
            lambda images, down, right: moved(images, abs(down), abs(right)),
            "Negative numbers move down and to the right, too. They are to move up and to the left.",
        ),
        Mistake(
            rolled_by_rows,
            "The rows that enter are empty, but columns that leave on one side come in again on the other.",
        ),
        Mistake(moved_with_edge, "What enters repeats the edge of the image. It is empty paper: 0."),
        Mistake(
            lambda images, down, right: F.pad(
                images, (right, -right, down, -down), value=1 if images.is_floating_point() else 255
            ),
            "What enters is ink. It is empty paper: 0.",
        ),
        Mistake(
            rolled_but_one,
            "Of what comes in again on the other side, one row or column is emptied. Empty as many as have moved.",
        ),
        *[
            Mistake(
                lambda images, down, right, place=place: moved(images, *((down, right)[place],) * 2),
                f"It moves by `{name}` in both directions. Rows move by `down`, columns by `right`.",
            )
            for place, name in enumerate(("down", "right"))
        ],
        Mistake(
            lambda images, down, right: torch.cat([moved(images[:1], down, right), images[1:]]),
            "Only the first image has moved. Move all of them.",
        ),
        Mistake(
            lambda images, down, right: moved(images, down, right) if down and right else images,
            "Where one of the two numbers is 0, nothing moves. The other number is to move the image all the same.",
        ),
        Mistake(
            lambda images, down, right: images,
            "Nothing has moved. Does it return the images that were given?",
        ),
    ],
    gaps=[
        Gap(
            lambda images, down, right: not images.is_floating_point(),
            "It is right for whole numbers only. Images of fractional numbers are to stay as they are.",
        ),
        Gap(
            lambda images, down, right: down != 0 and right != 0,
            "Where the digit is not to move, the image is lost: `[:-0]` and `[-0:]` do not mean what they seem to.",
        ),
        Gap(
            lambda images, down, right: down != 0 or right != 0,
            "It goes wrong where both numbers are 0. The images stay as they are.",
        ),
        *[
            Gap(
                lambda images, down, right, fits=fits: fits(down, right),
                f"It goes wrong where the digit moves {where}: one of the four ways.",
            )
            for fits, where in (
                (lambda down, right: down >= 0, "up"),
                (lambda down, right: down <= 0, "down"),
                (lambda down, right: right >= 0, "to the left"),
                (lambda down, right: right <= 0, "to the right"),
            )
        ],
        Gap(
            lambda images, down, right: right == 0,
            "It is right where `right` is 0. The second number moves the digit to the right, or to the left.",
        ),
        Gap(
            lambda images, down, right: down == 0,
            "It is right where `down` is 0. The first number moves the digit down, or up.",
        ),
        Gap(
            lambda images, down, right: down >= 0 and right >= 0,
            "It is right where no number is negative. Negative ones move up and to the left.",
        ),
        Gap(
            lambda images, down, right: max(abs(down), abs(right)) < 28,
            "Where a digit moves by 28, nothing of it is left: the image is empty.",
        ),
        Gap(
            lambda images, down, right: len(images) > 1,
            "It goes wrong where a single image is given: `squeeze` takes away that dimension, too.",
        ),
    ],
)
def shift(images: Tensor, down: int, right: int) -> Tensor:
    """Return images moved by so many pixels; negative is up or left.

    Shapes: (N, 1, 28, 28), uint8 or float → the same.
    """
    return moved(images, down, right)
