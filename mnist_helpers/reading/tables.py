"""Images in tables: "MNIST in CSV", a line an image, as Redmon, Kaggle and others write it, with labels and without."""

import gzip
import itertools
import stat
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from torch import Tensor

from mnist_helpers.data import LabelledImages
from mnist_helpers.datasets import DATASETS, DataError, class_names
from mnist_helpers.runtime import is_named_pipe

PIXELS = 28 * 28
HIGHEST = 9  # label
LABELS = ("label", "labels", "class", "digit", "target", "y")  # what a column of labels is called
LONGEST_LINE = 20_000  # characters; 784 grey values need 3,200
MANY = 10  # rows without a header: so many of a single class are no digits, but a column that holds something else
# What a file begins with that is no table, whatever its name, and what to do with it.
OTHER_FORMS = {
    b"BZh": "packed with bzip2. Unpack it, or pack it with gzip",
    b"\xfd7zXZ": "packed with xz. Unpack it, or pack it with gzip",
    b"\x28\xb5\x2f\xfd": "packed with Zstandard. Unpack it, or pack it with gzip",
    b"PK": "a zip archive. Unpack it first; give NumPy's .npz to --train-npz, and save an Excel file as CSV",
    b"\xff\xfe": "text in UTF-16. Save it as UTF-8",
    b"\xfe\xff": "text in UTF-16. Save it as UTF-8",
    b"\x93NUMPY": "an array of NumPy's. Write it with numpy.savetxt(…, fmt='%d', delimiter=',')",
    b"MATLAB": "a MATLAB file. scipy.io.loadmat reads it; data/README.md shows how it becomes a table (CSV)",
    b"\x89HDF": "an HDF5 file (.h5, or a new .mat). h5py reads it; write a line an image: label, 784 grey values",
    b"\0\0\x08": "an IDX file. Copy it into data/MNIST/raw, say, and choose it with --dataset",
}


@dataclass(frozen=True)
class _Table:
    """The names of the columns, if the first line holds them, and the numbers (N, columns) uint8."""

    path: Path
    names: list[str]
    rows: np.ndarray

    def label_column(self) -> int | None:
        """Return where the labels stand, 0 or -1; None if there are none.

        Raises: DataError if that cannot be told.
        """
        count = self.rows.shape[1]
        if count == PIXELS and not set(self.names) & set(LABELS):
            return None
        if count != PIXELS + 1:
            raise DataError(
                f"{self.path} has {count} columns in {len(self.rows)} lines; a label and {PIXELS} grey values make "
                f"{PIXELS + 1}."
            )
        if not self.names:
            self._refuse_what_is_no_label()
            return 0
        for column in (0, -1):
            if self.names[column] in LABELS:
                return column
        shown = ", ".join(self.names[:2])
        raise DataError(
            f"{self.path} does not say which column holds the labels: its columns are {shown}, …, {self.names[-1]}. "
            "Let the first or the last one be called label, and leave out what is no pixel."
        )

    def _refuse_what_is_no_label(self) -> None:
        """Refuse lines without a header whose first numbers are hardly labels, but a last one is, or they count rows.

        Raises: DataError.
        """
        first, last = self.rows[:, 0], self.rows[:, -1]
        if len(first) >= MANY and len(set(first.tolist())) == 1:
            raise DataError(
                f"{self.path} has the label {first[0]} in all its {len(first)} rows. If the labels stand in the last "
                "column, name the columns in a first line; if all are of one class, begin it with label."
            )
        if not first.any() and last.any() and last.max() <= HIGHEST:  # the corners of an image are paper
            raise DataError(
                f"{self.path} begins all its lines with 0, and ends them with small numbers. Do the labels stand last? "
                "Name the columns in a first line: label for that of the labels."
            )
        if len(first) >= MANY and (np.diff(first.astype(int)) == 1).all():
            raise DataError(
                f"{self.path} counts its lines from {first[0]} to {first[-1]} in its first column. If these are "
                "labels, name the columns in a first line, that one label; else leave it out."
            )


def load_csv(path: Path, dataset: str = "mnist") -> LabelledImages:
    """Read a file of "MNIST in CSV" (Joseph Redmon): a line an image, its label and its 784 grey values, row by row.

    A first line may name the columns; then the labels may stand last, too. The file may be packed (.gz). EMNIST's
    images lie on their side in its files, and are put upright.

    Raises: DataError naming the file and the line that cannot be read.
    """
    table = _read(path)
    column = table.label_column()
    if column is None:
        raise DataError(
            f"{path} has no labels: its lines hold {PIXELS} grey values. To train or to score, a label must stand "
            "before them; `predict` reads such a file."
        )
    labels = table.rows[:, column]
    if (highest := int(labels.max())) > HIGHEST:
        row = int(labels.argmax()) + 1
        raise DataError(f"{path} has the label {highest} in its row {row}; labels go from 0 to {HIGHEST}.")
    pixels = np.delete(table.rows, column, axis=1)
    return LabelledImages(
        _images(pixels, dataset), torch.from_numpy(labels.astype(np.int64)), class_names(dataset), dataset
    )


def load_pictures(path: Path, dataset: str = "mnist") -> Tensor:
    """Read the images of a table, whether it has labels or not.

    Shapes: (N, 1, 28, 28) uint8. Raises: DataError as `load_csv` does.
    """
    table = _read(path)
    column = table.label_column()
    return _images(table.rows if column is None else np.delete(table.rows, column, axis=1), dataset)


def is_table(path: Path) -> bool:
    """Say whether a file is called as a table is."""
    return path.name.lower().endswith((".csv", ".csv.gz"))


def _images(pixels: np.ndarray, dataset: str) -> Tensor:
    images = torch.from_numpy(np.ascontiguousarray(pixels)).view(-1, 1, 28, 28)
    return images.transpose(2, 3).contiguous() if lie_on_their_side(dataset) else images


def lie_on_their_side(dataset: str) -> bool:
    """Say whether the files of a dataset hold its images transposed."""
    return dataset in DATASETS and DATASETS[dataset][0] == "EMNIST"


def _read(path: Path) -> _Table:
    if is_named_pipe(path):
        raise DataError(f"{path} is a pipe, which other programs write to. Save the lines as a file.")
    try:
        with _opened(path) as file, warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy only warns of a file without rows
            lines = _lines(path, file)
            first = next(lines, "")
            names = _names(path, first)
            rows = np.loadtxt(lines if names else itertools.chain([first], lines), np.uint8, delimiter=",", ndmin=2)
    except UnicodeDecodeError as error:
        shown = f"{error.object[error.start]:02X}"
        raise DataError(f"{path} is no text in UTF-8: it holds the byte {shown}. Save it as UTF-8.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}).") from error
    except UserWarning as error:
        raise DataError(f"{path} has no lines with images.") from error
    except ValueError as error:
        reason = str(error).partition(";")[0]  # what follows is for users of NumPy
        raise DataError(f"{path} is not in the form label,1x1,…,28x28 with whole numbers to 255 ({reason}).") from error
    if not rows.size:
        raise DataError(f"{path} has no lines with images.")
    return _Table(path, names, rows)


def _opened(path: Path) -> TextIO:
    """Open a table, packed or not, whatever its name says; another form is refused with its name."""
    mode = path.stat().st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise DataError(f"{path} is a device, which may have no end. Save the lines as a file.")
    if not stat.S_ISREG(mode):  # what a shell hands over can be read once only
        return path.open(encoding="utf-8-sig")
    with path.open("rb") as file:
        start = file.read(8)
    for form, said in OTHER_FORMS.items():
        if start.startswith(form):
            raise DataError(f"{path} is {said}.")
    return gzip.open(path, "rt", encoding="utf-8-sig") if start[:2] == b"\x1f\x8b" else path.open(encoding="utf-8-sig")


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise DataError(f"{path}: line {number} is longer than {LONGEST_LINE:,} characters; an image needs 3,200.")
        yield line


def _names(path: Path, first: str) -> list[str]:
    """Return the names of the columns in the first line; none if it holds numbers."""
    for mark in (";", "\t"):
        if mark in first and "," not in first:
            raise DataError(f"{path} has {mark!r} between its values. Save it with commas.")
    names = [name.strip().strip("\"'").lower() for name in first.split(",")]
    named = any(name and name.isprintable() and not _is_number(name) for name in (names[0], names[-1]))
    return names if named else []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
