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
from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import whole_file

FILE = "remarks.csv"  # beside the book of marks
COLUMNS = ("sheet", "task", "hint", "students", "remark")
BY_HAND = "(given by hand)"  # in the column of hints
LONGEST = 2_000  # characters of a remark
FORMULAS = tuple("=+-@")

Key = tuple[str, str, str]  # of a line: sheet, task, hint


def hint_of(verdict: Verdict) -> str:
    """Return the hint of an answer that is not right yet, without its example: each student gets another one."""
    return " ".join(verdict.message.partition(" For example,")[0].split()) if verdict.status is Status.NOT_YET else ""


@dataclass
class RemarkBank:
    """The remarks by sheet, task and hint, and how many students got each hint in the runs of this bank."""

    path: Path
    remarks: dict[Key, str] = field(default_factory=dict)
    students: Counter[Key] = field(default_factory=Counter)

    def look_up(self, sheet: str, verdicts: Mapping[str, Verdict]) -> dict[str, str]:
        """Count a student's hints, and return the remarks about them, by task; `verdicts` are by task."""
        found = {}
        for task, verdict in verdicts.items():
            if hint := hint_of(verdict):
                self.students[sheet, task, hint] += 1
                found[task] = self.remarks.get((sheet, task, hint), "")
        return found

    def write(self, by_hand: Sequence[tuple[str, str, str]] = ()) -> Path:
        """Write the table, the most frequent hints of a task first; `by_hand` are sheets, tasks and remarks.

        A remark stays, though nobody got its hint this time.
        """
        lines = [(*key, self.students[key], self.remarks.get(key, "")) for key in {**self.remarks, **self.students}]
        lines += [(sheet, task, BY_HAND, count, text) for (sheet, task, text), count in Counter(by_hand).items()]
        lines.sort(key=lambda line: (line[0], line[1], line[2] == BY_HAND, -line[3], line[2], line[4]))
        text = io.StringIO()
        csv.writer(text).writerows([COLUMNS, *([_shown(str(word)) for word in line] for line in lines)])
        with whole_file(self.path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8-sig")  # by its first bytes, Excel knows what it is
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
        text = content.decode("cp1252", "replace")  # as Excel saves what it does not know to be UTF-8
    head = text.partition("\n")[0]
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    if missing := [name for name in COLUMNS if name not in (lines.fieldnames or ())]:
        raise CourseError(
            f"{bank.path} has no column {', '.join(missing)}. Put it back, or move the file away: a new one is written."
        )
    for line in lines:
        sheet, task, hint, _, remark = (_meant(line[name] or "") for name in COLUMNS)
        if remark and hint != BY_HAND:
            bank.remarks[sheet, task, hint] = remark[:LONGEST]
    return bank


def _shown(word: str) -> str:
    return f"'{word}" if word.lstrip().startswith(FORMULAS) else word


def _meant(word: str) -> str:
    """Return what a word was before `_shown`, and before a spreadsheet changed its spaces."""
    word = " ".join(word.split())
    return word[1:] if word.startswith("'") and word[1:].startswith(FORMULAS) else word
