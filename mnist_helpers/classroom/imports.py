"""Marks in the form in which Moodle and Canvas take them back: their own columns, their own numbers of students.

Moodle     the "grading worksheet" of an assignment: it looks for Identifier, Grade and Last modified (grade)
Canvas     the gradebook: a row of points possible, then one for each student, found by ID; a column for each sheet
"""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from mnist_helpers.classroom.marking import MarkedSubmission
from mnist_helpers.classroom.platforms import BLIND
from mnist_helpers.classroom.spreadsheet import plain_cell
from mnist_helpers.runtime import whole_file

MOODLE = ("Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)")
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")


def write_imports(marked: Sequence[MarkedSubmission], folder: Path) -> list[Path]:
    """Write a file for each of Moodle's assignments and one for Canvas, as far as submissions came from there.

    Who was not marked, handed in nothing that could be read, or has no number, is left out: on the platform the mark
    stays as it is. Earlier files of these sheets are removed.
    """
    known = [one for one in marked if one.marks and not one.unread and one.origin.number]
    moodle = [one for one in known if one.origin.platform == "Moodle"]
    files = {
        f"moodle-{sheet}.csv": _moodle([one for one in moodle if one.sheet == sheet])
        for sheet in sorted({one.sheet for one in moodle})
    }
    if canvas := [one for one in known if one.origin.platform == "Canvas"]:
        files["canvas.csv"] = _canvas(canvas)
    for name in {"canvas.csv", *(f"moodle-{one.sheet}.csv" for one in marked)} - files.keys():
        (folder / name).unlink(missing_ok=True)
    return [_write(folder / name, rows) for name, rows in files.items()]


def _moodle(marked: list[MarkedSubmission]) -> Iterable[Sequence[str]]:
    yield MOODLE
    for one in marked:
        name = "" if one.origin.name == BLIND else plain_cell(one.origin.name)
        yield f"{BLIND} {one.origin.number}", name, f"{one.points:g}", f"{one.most:g}", "-"


def _canvas(marked: list[MarkedSubmission]) -> Iterable[Sequence[str]]:
    sheets = {one.sheet: f"{one.most:g}" for one in sorted(marked, key=lambda one: one.sheet)}
    points = {(one.origin.number, one.sheet): f"{one.points:g}" for one in marked}
    yield *CANVAS, *sheets
    yield "    Points Possible", *[""] * (len(CANVAS) - 1), *sheets.values()
    for number, name in {one.origin.number: one.origin.name for one in marked}.items():
        # Canvas takes an empty cell for "as it is".
        yield plain_cell(name), number, "", "", "", *(points.get((number, sheet), "") for sheet in sheets)


def _write(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    with whole_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return path
