"""What nbgrader does with one page has an end, whatever is written in it."""

import re

import pytest
from nbformat.v4 import new_markdown_cell

from mnist_helpers.checks.exercise import Status, Verdict
from mnist_helpers.classroom import gradebook, marking
from mnist_helpers.classroom.gradebook import FOLDER_VARIABLE, Gradebook
from mnist_helpers.classroom.submissions import Submission
from mnist_helpers.errors import CourseError

SHEET = "01_data"
BRACKETS = "![[" * 20_000  # for which whoever looks for the ends of links needs minutes


@pytest.mark.parametrize(
    "work",
    [lambda: re.match(r"(a+)+b", "a" * 40), lambda: [None for _ in iter(int, 1)]],
    ids=["a regular expression", "a loop"],
)
def test_what_takes_too_long_is_ended(work, monkeypatch):
    monkeypatch.setattr(gradebook, "SECONDS", 0.2)
    with pytest.raises(CourseError, match=r"more than 0.2 s of this machine"), gradebook._soon_done():
        work()
    with gradebook._soon_done():  # and what does not is left alone, also afterwards
        pass


def test_a_page_whose_text_takes_minutes_to_set_is_marked_without_feedback(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    book = Gradebook()
    page = book.hand_out(SHEET)
    page.cells.append(new_markdown_cell(BRACKETS))
    monkeypatch.setattr(gradebook, "SECONDS", 3)
    submission = Submission("ada", SHEET, page)
    verdicts = {"sizes-check": Verdict(Status.RIGHT, "Right.")}
    marked = marking._record(submission, page, verdicts, book)
    assert marked.points > 0
    assert marked.feedback is None
    assert "There is no feedback: its page takes nbgrader more than 3 s of this machine" in marked.remarks[-1]
