"""A bank of remarks: a table with a line for each hint that a class got, and what an instructor says about it.

What is written in the last column goes into the feedback of all who got that hint, now and in later runs. Below stand
the remarks that were given by hand, with how often, to be used again.
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mnist_helpers.checks.exercise import Status, Verdict
from mnist_helpers.classroom.spreadsheet import meant, plain_cell
from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import whole_file

FILE = "remarks.csv"  # beside the book of marks
COLUMNS = ("sheet", "task", "hint", "students", "remark")
BY_HAND = "(given by hand)"  # in the column of hints
OWN_TO_EACH = (" For example,", " The call was ")  # what follows is another one for each student

Key = tuple[str, str, str]  # of a line: sheet, task, hint


def hint_of(verdict: Verdict) -> str:
    """Return the hint of an answer that is not right yet, without what each student gets another one of."""
    hint = verdict.message if verdict.status is Status.NOT_YET else ""
    for phrase in OWN_TO_EACH:
        hint = hint.partition(phrase)[0]
    return " ".join(hint.split())


@dataclass
class RemarkBank:
    """The remarks by sheet, task and hint, and how many students got each hint in the runs of this bank."""

    path: Path
    remarks: dict[Key, str] = field(default_factory=dict)
    students: Counter[Key] = field(default_factory=Counter)

    def count(self, sheet: str, verdicts: Mapping[str, Verdict]) -> None:
        """Count the hints that a student got; `verdicts` are by task."""
        self.students.update((sheet, task, hint) for task, verdict in verdicts.items() if (hint := hint_of(verdict)))

    def about(self, sheet: str, verdicts: Mapping[str, Verdict]) -> dict[str, str]:
        """Return the remark about each task, which may be empty; `verdicts` are by task."""
        return {task: self.remarks.get((sheet, task, hint_of(verdict)), "") for task, verdict in verdicts.items()}

    def write(self, by_hand: Sequence[tuple[str, str, str]] = ()) -> Path:
        """Write the table, the most frequent hints of a task first; `by_hand` are sheets, tasks and remarks.

        What was written into it since it was read stays, and so does a remark whose hint nobody got this time.

        Raises: CourseError if the table cannot be read any more; then it stays as it is.
        """
        remarks = read_bank(self.path.parent).remarks
        lines = [(*key, self.students[key], remarks.get(key, "")) for key in {**remarks, **self.students}]
        lines += [(sheet, task, BY_HAND, count, text) for (sheet, task, text), count in Counter(by_hand).items()]
        lines.sort(key=lambda line: (line[0], line[1], line[2] == BY_HAND, -line[3], line[2], line[4]))
        text = io.StringIO(newline="")
        csv.writer(text).writerows([COLUMNS, *([plain_cell(str(word)) for word in line] for line in lines)])
        with whole_file(self.path) as temporary:
            # By its first bytes Excel knows what it is.
            temporary.write_bytes(text.getvalue().encode("utf-8-sig"))
        return self.path


def read_bank(course: Path) -> RemarkBank:
    """Read the table of a course; there need not be one.

    Raises: CourseError if it is there and is no such table.
    """
    bank = RemarkBank(course / FILE)
    try:
        content = bank.path.read_bytes()
    except FileNotFoundError:
        return bank
    except OSError as error:
        raise CourseError(f"{bank.path} cannot be read ({error.strerror}). Mend it, or move it away.") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # as Excel saves what it is not told to save as UTF-8
    head = text.partition("\n")[0]
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
    try:
        _fill(bank, lines)
    except csv.Error as error:
        raise CourseError(f"{bank.path} cannot be read as a table ({error}). Mend it, or move it away.") from error
    return bank


def _fill(bank: RemarkBank, lines: csv.DictReader) -> None:
    if missing := [name for name in COLUMNS if name not in (lines.fieldnames or ())]:
        raise CourseError(
            f"{bank.path} has no column {', '.join(missing)}. Put it back, or move the file away: a new one is written."
        )
    for line in lines:
        sheet, task, hint, _, remark = (meant(line[name] or "") for name in COLUMNS)
        if remark.strip() and hint != BY_HAND:
            bank.remarks[sheet.strip(), task.strip(), " ".join(hint.split())] = remark.strip()
