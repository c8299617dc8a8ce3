"""Pictures with known digits → how many are read correctly, kind by kind: the measure of reading handwriting."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mnist_helpers.datasets import DataError
from mnist_helpers.reading.pictures import PictureError
from mnist_helpers.reading.reader import DigitReading, Reader

LABELS = "labels.csv"
MOST_CHARACTERS = 200  # of a label
LARGEST = 20_000_000  # bytes of the file of labels
WANTED = "a line for each picture is wanted, below the line file,label,kind (kind may be left out)."


@dataclass(frozen=True)
class Labelled:
    """A picture file, the digits that are written in it (rows apart by a space; "" for none), and its kind."""

    path: Path
    label: str
    kind: str


@dataclass(frozen=True)
class Outcome:
    """What was read in a labelled picture: nothing if it was refused, and then `why`."""

    wanted: Labelled
    readings: list[DigitReading]
    why: str = ""

    @property
    def said(self) -> str:
        """Return the digits that were read, rows apart by a space."""
        rows = groupby(self.readings, key=lambda reading: reading.row)
        return " ".join("".join(str(reading.digit) for reading in row) for _, row in rows)

    @property
    def right(self) -> bool:
        """Say whether just the digits were read that are there; nothing has to be read where there is nothing."""
        return self.said == self.wanted.label

    @property
    def sure(self) -> bool:
        """Say whether there is a reading, and no doubt about any of it."""
        return bool(self.readings) and all(reading.sure for reading in self.readings)


def load_labels(folder: Path) -> list[Labelled]:
    """Read a folder's labels.csv: columns file and label, and kind if there are several; all is one kind otherwise.

    Raises: DataError naming the line that is wrong.
    """
    path = folder / LABELS
    try:
        if not path.is_file() and path.exists():
            raise DataError(f"{path} is no file but a pipe, a device or a folder: {WANTED}")
        if (size := path.stat().st_size) > LARGEST:
            raise DataError(f"{path} has {size / 10**6:,.0f} MB; so many labels nobody has. {WANTED}")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"file", "label"} - set(rows.fieldnames or ())
            if missing:
                raise DataError(f"{path} has no column {' and no column '.join(sorted(missing))}: {WANTED}")
            found = [_labelled(folder, row, f"{path}, line {rows.line_num}") for row in rows]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): {WANTED}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no table of text ({error}): {WANTED}") from error
    if not found:
        raise DataError(f"{path} names no picture: {WANTED}")
    return found


def _labelled(folder: Path, row: dict, where: str) -> Labelled:
    name, label = (row["file"] or "").strip(), " ".join((row["label"] or "").split())
    if not name or not (folder / name).is_file():
        raise DataError(f"{where}: there is no file {name!r} in {folder}.")
    if len(label) > MOST_CHARACTERS or set(label) - set("0123456789 "):
        raise DataError(f"{where}: {label[:20]!r} is no label. It is the digits in the picture, rows apart by a space.")
    return Labelled(folder / name, label, (row.get("kind") or "").strip() or "all")


def read_labelled(labelled: list[Labelled], reader: Reader, turn: bool = False) -> Iterator[Outcome]:
    """Read labelled pictures, one outcome after the other."""
    files = reader.read_files([one.path for one in labelled], turn)
    for wanted, (_, found) in zip(labelled, files, strict=True):
        refused = isinstance(found, PictureError)
        yield Outcome(wanted, [] if refused else found, str(found) if refused else "")


def add(counts: dict[str, Counter], outcome: Outcome) -> None:
    """Count an outcome under its kind: pictures, right, refused, unsure, sure, and right among the sure."""
    count = counts.setdefault(outcome.wanted.kind, Counter())
    count["pictures"] += 1
    count["right"] += outcome.right
    count["refused"] += not outcome.readings
    count["unsure"] += bool(outcome.readings) and not outcome.sure
    count["sure"] += outcome.sure
    count["sure and right"] += outcome.sure and outcome.right
