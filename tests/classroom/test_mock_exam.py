"""A mock exam, from its seed to the marks: papers with own numbers, their solutions, and whose paper came back."""

import csv
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from processes import UNSHUT

from mnist_helpers.classroom import exams
from mnist_helpers.classroom.exams import exam_page, is_exam, make_exam, read_names, whose_paper
from mnist_helpers.classroom.gradebook import FOLDER_VARIABLE, Gradebook, names_to_mark, sheet_names
from mnist_helpers.cli import main
from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import ROOT

SEED, NAME = 7, "exam-7"
PAGE = "exam-7.ipynb"


@pytest.fixture
def exam(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(exams, "BUILD", tmp_path)
    return make_exam(SEED, ["ann", "Jörg_Ø"])


@pytest.fixture
def course(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "course"))
    return tmp_path / "course"


def code(page) -> list[str]:
    return [cell.source for cell in page.cells if cell.cell_type == "code"]


def test_everybody_has_a_paper_and_its_solutions(exam):
    names = {f"{owner}/{PAGE}" for owner in ("ann", "Jörg_Ø")}
    with zipfile.ZipFile(exam / "papers.zip") as archive:
        assert {name for name in archive.namelist() if name.endswith(".ipynb")} == names
    for name in names:
        given, full = (nbformat.read(exam / kind / name, 4) for kind in ("papers", "solutions"))
        nbformat.validate(given)
        assert name.partition("/")[0] in given.cells[0].source
        assert "six tasks · 90 minutes · 30 points" in given.cells[0].source
        assert sum("raise NotImplementedError()" in source for source in code(given)) == 6
        assert not any("BEGIN" in source for source in code(given))
        assert [cell.cell_type for cell in given.cells] == [cell.cell_type for cell in full.cells]


def test_papers_differ_in_their_numbers_only(exam):
    ann, other = (nbformat.read(exam / "papers" / owner / PAGE, 4) for owner in ("ann", "Jörg_Ø"))
    assert [source for source in code(ann) if not source.startswith("paper =")] == [
        source for source in code(other) if not source.startswith("paper =")
    ]
    texts = [[cell.source for cell in page.cells if cell.source.startswith("## ")] for page in (ann, other)]
    assert len(texts[0]) == 6
    for one, another in zip(*texts, strict=True):
        assert one != another
        assert re.sub(r"[\d.]+|big|little", "", one) == re.sub(r"[\d.]+|big|little", "", another)


@pytest.mark.parametrize("seed", range(12))
def test_the_solutions_of_a_paper_run_and_are_right(seed, capsys):
    names: dict = {}
    for source in code(exam_page(seed, "ann")):
        assert max(map(len, source.splitlines())) <= 100, source
        exec(source, names)  # the hidden tests assert that it is right
    assert capsys.readouterr().out.count("runs, and returns the right kind of thing") == 6


def test_a_page_says_whose_paper_it_is_or_the_student_does():
    page = exam_page(SEED, "ann")
    assert whose_paper(page, "ann") == ("ann", "")
    owner, remark = whose_paper(page, "bob")
    assert owner == "ann"
    assert "paper of ann" in remark
    page.cells = [cell for cell in page.cells if not cell.source.startswith("paper =")]
    owner, remark = whose_paper(page, "bob")
    assert owner == "bob"
    assert "has gone" in remark


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds 0 names"),
        (b"\n  \n", "holds 0 names"),
        (b"Ann Lee\nBob\n Ann  Lee \n", "names Ann Lee more than once"),
        (b"Ann\xff\n", "not UTF-8"),
        ("\n".join(map(str, range(2_001))).encode(), "holds 2,001 names"),
    ],
)
def test_a_list_of_names_that_is_none_is_refused(content, words, tmp_path):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(CourseError, match=words):
        read_names(tmp_path / "names.txt")


def test_names_are_read_as_editors_write_them(tmp_path):
    (tmp_path / "names.txt").write_bytes("\ufeffAnn  Lee\r\n\r\n Jörg Ø\r\n".encode())
    assert read_names(tmp_path / "names.txt") == ["Ann Lee", "Jörg Ø"]
    for missing in (tmp_path / "no.txt", tmp_path):
        with pytest.raises(CourseError, match="takes a text file"):
            read_names(missing)


def test_an_exam_is_marked_by_name_once_it_is_made(course):
    assert names_to_mark() == names_to_mark("") == sheet_names()
    with pytest.raises(CourseError, match="None has been made"):
        names_to_mark("01 exam-7")
    Gradebook().hand_out(NAME)
    (course / "source" / "exam-old").mkdir()
    assert names_to_mark() == [*sheet_names(), NAME]
    assert names_to_mark("01 exam-7") == ["01_data", NAME]
    assert names_to_mark("exam-7") == [NAME]
    for unknown in ("exam-8", "exam-07", "exam-", "exam-old"):
        with pytest.raises(CourseError, match="There are: exam-7"):
            names_to_mark(unknown)
    assert [is_exam(name) for name in ("exam-0", "exam-12", "exam-012", "exam-x", "01_data")] == [True] * 2 + [
        False
    ] * 3


def test_the_command_makes_papers_of_those_on_a_list_or_of_those_who_are_known(course, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exams, "BUILD", tmp_path / "build")

    def run(*options: str) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["mnist_helpers", "exam", *options])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, sorted(path.name for path in (tmp_path / "build" / NAME / "papers").glob("*"))

    assert run() == (2, [])
    assert "needs a seed" in capsys.readouterr().err
    assert run("--seed", "7") == (0, ["sample"])
    (tmp_path / "names.txt").write_text("Ann Lee\nann-lee\n", encoding="utf-8")
    assert run("--seed", "7", "--students", str(tmp_path / "names.txt")) == (0, ["Ann_Lee", "ann-lee"])
    assert "make grade SUBMISSIONS=class.zip SHEETS=exam-7" in capsys.readouterr().out
    assert run("--seed", "7") == (0, ["Ann_Lee", "ann-lee"])  # they are known now
    assert Gradebook().known_students() == {"Ann Lee": "Ann_Lee", "ann-lee": "ann-lee"}


@pytest.mark.slow
def test_an_exam_is_marked_with_the_numbers_of_each_paper(course, tmp_path):
    Gradebook().hand_out(NAME)
    handed_in = tmp_path / "handed-in"
    right = {owner: exam_page(SEED, owner) for owner in ("ann", "bob", "cid", "dan")}
    copied = exam_page(SEED, "dan")
    for cell, other in zip(copied.cells, right["ann"].cells, strict=True):
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = other.source  # ann's answers on dan's paper
    lost = exam_page(SEED, "cid")
    lost.cells = [cell for cell in lost.cells if not cell.source.startswith("paper =")]
    for student, page in {"ann": right["ann"], "bob": right["ann"], "cid": lost, "dan": copied}.items():
        (handed_in / student).mkdir(parents=True)
        nbformat.write(page, handed_in / student / "my exam.ipynb")
    command = [sys.executable, "-m", "mnist_helpers", "grade", str(handed_in), *UNSHUT, "--sheets", NAME]
    done = subprocess.run(
        command, env=os.environ | {FOLDER_VARIABLE: str(course)}, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["student"]: row for row in csv.DictReader((course / "marks" / "marks.csv").open(encoding="utf-8"))}
    assert {name: (row["points"], row["of"]) for name, row in rows.items()} == {
        "ann": ("30.0", "30.0"), "bob": ("30.0", "30.0"), "cid": ("30.0", "30.0"), "dan": ("0.0", "30.0"),
    }  # fmt: skip
    assert rows["ann"]["remarks"] == ""
    assert "It is the paper of ann" in rows["bob"]["remarks"]
    assert "has gone" in rows["cid"]["remarks"]
    assert (course / "feedback" / "dan" / NAME / f"{NAME}.html").exists()
