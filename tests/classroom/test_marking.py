"""A class is marked, and every mark is the one that is known; no submission harms another."""

import csv
import json
import os
import re
import socket
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from processes import UNSHUT
from pupils import ALL, NAME, POINTS, STAYING, Pupil, page, pupils, written

from mnist_helpers.classroom import isolation
from mnist_helpers.classroom.isolation import has_bubblewrap
from mnist_helpers.cli import main
from mnist_helpers.runtime import ROOT

CELL_SECONDS = 20

pytestmark = pytest.mark.slow  # most of them wait for the class to be marked


@dataclass
class Class:
    """A class that has been marked, and what was found."""

    pupils: dict[str, Pupil]
    folder: Path
    said: str
    found: dict
    visits: int

    def of(self, name: str) -> dict:
        (one,) = [
            s for s in self.found["submissions"] if s["student"].strip("_") == re.sub(r"\W+", "_", name).strip("_")
        ]
        return one

    def feedback(self, name: str) -> str:
        student = self.of(name)["student"]
        return (self.folder / "feedback" / student / NAME / f"{NAME}.html").read_text()


def grade(submissions: Path, folder: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mnist_helpers", "grade", str(submissions), *UNSHUT, *options]
    return subprocess.run(
        command, env=os.environ | {"MNIST_COURSE": str(folder)}, capture_output=True, text=True, cwd=ROOT
    )


@pytest.fixture(scope="module")
def marked(tmp_path_factory) -> Class:
    place, folder = tmp_path_factory.mktemp("handed-in"), tmp_path_factory.mktemp("course")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        everyone = pupils(listener.getsockname()[1], place)
        for name, pupil in everyone.items():
            path = place / name / pupil.path
            path.parent.mkdir(parents=True)
            path.write_bytes(pupil.content)
        done = grade(place, folder, "--sheets", "01", "--cell-seconds", str(CELL_SECONDS), "--seconds", "120")
        visits = 0
        try:
            listener.accept()[0].close()
            visits += 1
        except BlockingIOError:
            pass
    assert done.returncode == 1, done.stderr
    assert "Not marked: 1 of" in done.stderr
    return Class(everyone, folder, done.stdout, json.loads((folder / "marks" / "class.json").read_text()), visits)


NAMES = list(pupils(0, Path()))


@pytest.mark.parametrize("name", NAMES)
def test_the_marks_are_those_that_are_known(marked, name):
    pupil, found = marked.pupils[name], marked.of(name)
    for remark in pupil.remarks:
        assert remark in " ".join(found["remarks"])
    if pupil.right is None:
        assert found["points"] is None
        assert not (marked.folder / "feedback" / found["student"]).exists()
        return
    right = set(pupil.right)
    if not has_bubblewrap():  # then it reaches out, sees the others, and may write
        right = right | {"sizes"} if name == "reaches_out" else right - {"sizes"} if name == "spies" else right
    assert set(found["right"]) == right, found
    assert found["points"] == sum(POINTS[one] for one in right)
    feedback = marked.feedback(name)
    for hint in pupil.hints.values():
        assert hint in feedback


def test_the_table_of_marks_says_the_same(marked):
    rows = list(csv.DictReader((marked.folder / "marks" / "marks.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len(marked.pupils)
    for row in rows:
        points = marked.of(row["student"])["points"]
        assert row["points"] == ("" if points is None else str(points))
        assert not any(value.startswith(("=", "+", "@")) for value in row.values())


def test_the_page_about_the_class(marked):
    found = marked.found
    assert {one["exercise"] for one in found["exercises"]} == ALL
    for one in found["exercises"]:
        assert one["solved"] == sum(one["exercise"] in marked.of(name)["right"] for name in marked.pupils)
        assert one["solved"] <= one["tried"] <= one["students"] == len(marked.pupils) - len(found["not marked"])
    assert found["not marked"] == ["ends_its_runner (01_data)"]
    need = {line.partition(" ")[0] for line in found["need help"]}
    assert "untouched" in need
    assert "perfect" not in need
    text = (marked.folder / "marks" / "class.html").read_text()
    assert text.count('<img alt="') == 2
    assert "<script" not in text


def test_what_is_not_isolated_is_said(marked):
    assert ("NOT isolated" in marked.said) is not has_bubblewrap()
    assert "more than 50 processes at once" in marked.said


@pytest.mark.skipif(not has_bubblewrap(), reason="bubblewrap is not installed, or may not make namespaces here")
def test_a_submission_has_no_network_and_sees_no_other(marked):
    assert marked.visits == 0
    assert "sizes" in marked.of("spies")["right"]


def test_a_script_in_a_page_is_not_run_by_whoever_reads_the_feedback(marked):
    text = marked.feedback("puts_a_script_in")
    assert "document.title" in text  # as words
    assert not re.search(r"<(script|[^>]*\bonerror\b)[^>]*>[^<]*document.title|<[^>]*\bonerror\b", text)


@pytest.mark.skipif(not has_bubblewrap(), reason="bubblewrap is not installed, or may not make namespaces here")
def test_no_process_that_a_submission_started_is_left(marked):
    assert not [process for process in psutil.process_iter(["cmdline"]) if STAYING in (process.info["cmdline"] or [])]


@pytest.mark.parametrize(("platform", "own"), [("win32", True), ("linux", False)])
def test_on_windows_too_a_submission_is_at_home_in_its_own_folder(monkeypatch, tmp_path, platform, own):
    monkeypatch.setattr(sys, "platform", platform)
    variables = isolation._environment(tmp_path)
    assert variables["HOME"] == str(tmp_path)
    for name in ("USERPROFILE", "APPDATA", "LOCALAPPDATA", "TEMP"):
        assert variables.get(name) == (str(tmp_path) if own else None)


def test_a_zip_gives_the_same_as_a_folder(tmp_path):
    archive = tmp_path / "class.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("moodle export/Ann Example_123_file_/sheet.ipynb", written(page({"sizes"})))
        file.writestr("moodle export/Bob/sheet.ipynb", b"\xff\xfe not text")
        file.writestr("moodle export/__MACOSX/._sheet.ipynb", b"")
    done = grade(archive, tmp_path / "course", "--sheets", "01")
    assert done.returncode == 0, done.stderr
    marks = tmp_path / "course" / "marks" / "class.json"
    assert [(one["student"], one["points"]) for one in json.loads(marks.read_text())["submissions"]] == [
        ("Ann_Example_123_file", 2),
        ("Bob", 0),
    ]
    # A second time, what Ann hands in cannot be read: her marks stay.
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("Ann Example_123_file_/sheet.pdf", b"%PDF")
    done = grade(archive, tmp_path / "course", "--sheets", "01")
    (ann,) = json.loads(marks.read_text())["submissions"]
    assert ann["points"] == 2
    assert ann["right"] == ["sizes"]
    assert "earlier version" in done.stdout


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _path: None, "There is no"),
        (lambda path: path.mkdir(), "no files"),
        (lambda path: path.write_bytes(b"PK\x03\x04 broken"), "cannot be read as a zip"),
    ],
)
def test_a_place_without_submissions_is_refused_in_a_line(tmp_path, monkeypatch, capsys, make, said):
    place = tmp_path / "place"
    make(place)
    monkeypatch.setenv("MNIST_COURSE", str(tmp_path / "course"))
    monkeypatch.setattr(sys, "argv", ["mnist-helpers", "grade", str(place), *UNSHUT])
    with pytest.raises(SystemExit, match="1"):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
