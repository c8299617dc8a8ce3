"""nbgrader's own commands work on the sheets, and give honest submissions the marks that `grade` gives them."""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from nbformat.v4 import new_output
from nbgrader.utils import notebook_hash
from pupils import ALL, NAME, POINTS, edited, page, written

from mnist_helpers.classroom.gradebook import SHEETS, Gradebook
from mnist_helpers.classroom.platforms import Origin
from mnist_helpers.runtime import ROOT

pytestmark = pytest.mark.slow


def nbgrader(folder: Path, *words: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = os.environ | {"MNIST_COURSE": str(folder), "PATH": path, "MNIST_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *words], cwd=ROOT, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_nbgrader_alone_hands_out_marks_and_writes_feedback(tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST_COURSE", str(tmp_path))
    (tmp_path / "source" / NAME).mkdir(parents=True)
    (tmp_path / "source" / NAME / f"{NAME}.ipynb").write_bytes((SHEETS / f"{NAME}.ipynb").read_bytes())
    nbgrader(tmp_path, "generate_assignment", NAME)
    assert "BEGIN SOLUTION" not in (tmp_path / "release" / NAME / f"{NAME}.ipynb").read_text()
    solved = ALL - {"hold_out"}
    pages = {"ann": page(ALL), "bob": page(solved - {"sizes"}, {"sizes": edited("sizes", 0)[0]})}
    for student, notebook in pages.items():
        folder = tmp_path / "submitted" / student / NAME
        folder.mkdir(parents=True)
        (folder / f"{NAME}.ipynb").write_bytes(written(notebook))
    nbgrader(tmp_path, "autograde", NAME)
    nbgrader(tmp_path, "generate_feedback", NAME)
    expected = {"ann": ALL, "bob": solved - {"sizes"}}
    for student, right in expected.items():
        found = {one.cell.removesuffix("-check"): one.points for one in Gradebook().grades(student, NAME)}
        assert {name for name in ALL if found[name]} == right
        assert sum(found.values()) == sum(POINTS[name] for name in right)
        assert (tmp_path / "feedback" / student / NAME / f"{NAME}.html").is_file()


def test_points_given_by_hand_stay_when_a_class_is_marked_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST_COURSE", str(tmp_path))
    course = Gradebook()
    notebook = course.hand_out(NAME)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "which_digits":
            cell.source = "4 and 9, for their upper strokes."
        elif cell.metadata.get("nbgrader", {}).get("grade_id", "").endswith("-check"):
            cell.outputs = [new_output("stream", name="stderr", text="Not attempted.")]
    course.take_in("ann", NAME, notebook)
    by_hand = {one.cell: one for one in course.grades("ann", NAME)}["which_digits"]
    assert by_hand.waits
    assert by_hand.points == 0
    with course._api.gradebook as book:
        grade = book.find_grade("which_digits", NAME, NAME, "ann")
        grade.manual_score, grade.needs_manual_grade = 2, False
        book.db.commit()
    course.take_in("ann", NAME, notebook)
    by_hand = {one.cell: one for one in course.grades("ann", NAME)}["which_digits"]
    assert by_hand.points == 2
    assert not by_hand.waits
    (words,) = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == "which_digits"]
    words.source += " And 7 and 9."  # another answer is to be read again
    course.take_in("ann", NAME, notebook)
    by_hand = {one.cell: one for one in course.grades("ann", NAME)}["which_digits"]
    assert by_hand.points == 2
    assert by_hand.waits


def test_feedback_goes_out_through_the_exchange_to_whoever_came_through_it(tmp_path, monkeypatch):
    """nbgrader stops at the first student whose feedback has no secret."""
    course, exchange, settings = tmp_path / "course", tmp_path / "exchange", tmp_path / "settings"
    exchange.mkdir(mode=0o777)
    settings.mkdir()
    (settings / "nbgrader_config.py").write_text(f"c.Exchange.root = {str(exchange)!r}")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(settings))
    monkeypatch.setenv("MNIST_COURSE", str(course))
    book = Gradebook()
    notebook = book.hand_out(NAME)
    secret, when = "0f" * 64, datetime(2026, 11, 26, 10)
    origins = {"adam": Origin("Moodle", "Adam", "7"), "ann": Origin("nbgrader", "ann", handed_in=when, secret=secret)}
    for student, origin in origins.items():
        book.take_in(student, NAME, notebook, origin.handed_in)
        book.write_feedback(student, NAME, origin)
    for again in (False, True):
        if again:  # as the Formgrader does, which makes these folders anew
            nbgrader(course, "generate_feedback", NAME, "--force")
        nbgrader(course, "release_feedback", NAME)
        given = {path.name for path in (exchange / "mnist-cnn-notebooks" / "feedback").iterdir()}
        assert f"{notebook_hash(secret=secret, notebook_id=NAME)}.html" in given
        assert len(given) == 2, "and one that nobody finds"
