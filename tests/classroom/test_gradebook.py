"""What is done with one page has an end, whatever is written in it."""

import os
import re
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mnist_helpers.checks.exercise import Status, Verdict
from mnist_helpers.classroom import gradebook, marking
from mnist_helpers.classroom.gradebook import FOLDER_VARIABLE, Gradebook
from mnist_helpers.classroom.kept_runs import KeptRun
from mnist_helpers.classroom.submissions import Submission
from mnist_helpers.errors import CourseError

SHEET = "01_data"
pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="This system has no alarm.")


def busy() -> None:
    """Work for long, but not for ever."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        pass


@pytest.mark.parametrize("work", [lambda: re.match(r"(a+)+b", "a" * 28), busy], ids=["a regular expression", "a loop"])
def test_what_takes_too_long_is_ended(work, monkeypatch):
    monkeypatch.setattr(gradebook, "SECONDS", 0.2)
    with pytest.raises(CourseError, match=r"more than 0.2 s of a processor"), gradebook._soon_done():
        work()
    with gradebook._soon_done():  # and what does not is left alone
        pass


def test_other_threads_do_not_count(monkeypatch):
    monkeypatch.setattr(gradebook, "SECONDS", 0.2)
    monkeypatch.setattr(gradebook.time, "thread_time", lambda: 0)  # as if all that time were another thread's
    with gradebook._soon_done():
        re.match(r"(a+)+b", "a" * 22)


def test_programs_beside_python_are_found_first_and_the_path_does_not_grow(tmp_path, monkeypatch):
    beside = str(Path(sys.executable).parent)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PATH", os.pathsep.join(["/usr/bin", beside]))  # where another program of the name may lie
    for _ in range(2):
        Gradebook()
        assert os.environ["PATH"].split(os.pathsep) == [beside, "/usr/bin", beside]


def test_a_page_that_cannot_be_rendered_in_time_is_marked_without_feedback(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    book = Gradebook()
    page = book.hand_out(SHEET)

    def endless(*_names: str) -> dict:
        monkeypatch.setattr(gradebook.signal, "setitimer", signal.setitimer)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.1, 0.1)
        monkeypatch.setattr(gradebook, "SECONDS", 0)
        busy()

    monkeypatch.setattr(book._api, "generate_feedback", endless)
    submission = Submission("ada", SHEET, page)
    run = KeptRun("ada", SHEET, "", {"sizes-check": Verdict(Status.RIGHT, "Right.")}, [])
    marked = marking._record(submission, page, run, replace(marking.open_records(), book=book))
    assert marked.points > 0
    assert marked.feedback is None
    assert "There is no feedback: nbgrader needs more than" in marked.remarks[-1]
