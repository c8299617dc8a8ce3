"""A mock exam, from its seed to the marks: papers with own numbers, their solutions, and whose paper came back."""

import csv
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from processes import UNSHUT

from mnist_helpers.checks.bank import TOPICS
from mnist_helpers.checks.papers import paper
from mnist_helpers.classroom import exams
from mnist_helpers.classroom.exams import exam_page, folders, is_exam, make_exam, read_names, whose_paper
from mnist_helpers.classroom.gradebook import FOLDER_VARIABLE, Gradebook, names_to_mark, sheet_names
from mnist_helpers.classroom.submissions import handed_in, sort_out
from mnist_helpers.cli import main
from mnist_helpers.course.stripping import without_solutions
from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import ROOT

SEED, NAME = 7, "exam-7"
PAGE = "exam-7.ipynb"


@pytest.fixture
def exam(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(exams, "BUILD", tmp_path)
    return make_exam(SEED, folders({"ann": "ann", "Jörg Ø": "Jörg_Ø", "../up": "up"}))


@pytest.fixture
def course(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "course"))
    return tmp_path / "course"


def code(page) -> list[str]:
    return [cell.source for cell in page.cells if cell.cell_type == "code"]


def test_everybody_has_a_paper_and_its_solutions(exam):
    names = {f"{owner}/{PAGE}" for owner in ("ann", "Jörg Ø", "up")}
    with zipfile.ZipFile(exam / "papers.zip") as archive:
        assert {name for name in archive.namelist() if name.endswith(".ipynb")} == names
    for name in names:
        given, full = (nbformat.read(exam / kind / name, 4) for kind in ("papers", "solutions"))
        nbformat.validate(given)
        assert name.partition("/")[0].replace(" ", "_") in given.cells[0].source
        assert "6 tasks · 90 minutes · 30 points" in given.cells[0].source
        assert sum("raise NotImplementedError()" in source for source in code(given)) == 6
        assert not any("BEGIN" in source for source in code(given))
        assert [cell.cell_type for cell in given.cells] == [cell.cell_type for cell in full.cells]


def test_papers_differ_in_their_numbers_only(exam):
    ann, other = (nbformat.read(exam / "papers" / owner / PAGE, 4) for owner in ("ann", "Jörg Ø"))
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


def test_the_folders_of_papers_are_known_again_when_they_come_back(exam):
    known = {"Jörg Ø": "Jörg_Ø", "ann": "ann", "up": "up", "../up": "up"}
    came = sort_out(handed_in(exam / "papers"), {NAME: without_solutions(exam_page(SEED))}, known)
    assert {one.student for one in came} == {"ann", "Jörg_Ø", "up"}
    assert all(whose_paper(one.page, NAME, one.student) == (one.student, []) for one in came)


def test_a_page_says_whose_paper_it_is_or_its_title_does_or_the_student():
    page = exam_page(SEED, "ann")
    assert whose_paper(page, NAME, "ann") == ("ann", [])
    owner, remarks = whose_paper(page, NAME, "bob")
    assert (owner, len(remarks)) == ("ann", 1)
    assert "paper of ann" in remarks[0]
    page.cells = [cell for cell in page.cells if not cell.source.startswith("paper =")]
    owner, remarks = whose_paper(page, NAME, "bob")
    assert (owner, len(remarks)) == ("ann", 2)
    assert "has gone" in remarks[0]
    page.cells = page.cells[1:]
    owner, remarks = whose_paper(page, NAME, "bob")
    assert (owner, len(remarks)) == ("bob", 2)
    assert "of its 6 tasks are not as on this paper" in remarks[1]  # they are ann's


@pytest.mark.parametrize(
    ("old", "new", "owner", "said"),
    [
        (
            'owner="ann")',
            'owner="bob")',
            "bob",
            ["It is the paper of bob", "6 of its 6 tasks are not as on this paper"],
        ),
        ("seed=7", "seed=8", "ann", ["It is a paper of exam-8; it was marked as one of exam-7"]),
        ("paper = ", 'paper = papers.paper(seed=7, owner="cid")\npaper = ', "ann", []),  # the last one ran
        ("paper = ", "paper  = ", "ann", ["has gone"]),
        ('"ann"', '"' + "a" * 500 + '"', "ann", ["has gone"]),
    ],
)
def test_an_edited_line_is_noticed(old, new, owner, said):
    page = exam_page(SEED, "ann")
    page.cells[2].source = page.cells[2].source.replace(old, new)
    found, remarks = whose_paper(page, NAME, "ann")
    assert found == owner
    assert len(remarks) == len(said)
    assert all(words in remark for words, remark in zip(said, remarks, strict=True))


@pytest.mark.parametrize("topic", TOPICS)
def test_a_bank_that_has_changed_since_is_noticed_and_changes_one_topic_only(topic, monkeypatch):
    page = exam_page(SEED, "ann")
    (old,) = [one for one in paper(SEED, "ann").questions.values() if one.task.topic == topic]

    def others(own):
        numbers = old.numbers
        while numbers == old.numbers:
            numbers = old.task.numbers(own)
        return numbers

    paper.cache_clear()
    monkeypatch.setitem(TOPICS, topic, [replace(one, numbers=others) for one in TOPICS[topic] if one is old.task] * 3)
    _, remarks = whose_paper(page, NAME, "ann")
    paper.cache_clear()
    assert len(remarks) == 1
    assert remarks[0].startswith("1 of its 6 tasks are not as on this paper")


def test_folders_are_called_as_students_are_and_no_two_share_one():
    long = "x" * 300
    ids = {"J. Smith": "J_Smith", "J_Smith": "J_Smith_2", "O’Neil": "O_Neil", "Ann": "Ann", "ann": "ann_2"}
    ids |= {"a/b": "a_b", ".hidden": "hidden", "प्रिया": "प_र_य", long: "long", "up": "up", "../up": "up"}
    found = folders(ids)
    assert list(found.values()) == list(dict.fromkeys(ids.values()))
    assert list(found) == [
        *("J. Smith", "J_Smith_2", "O’Neil", "Ann", "ann_2", "a_b", "hidden", "प्रिया", "long", "up"),
    ]
    assert len({name.casefold() for name in found}) == len(found)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds 0 names"),
        (b"\n  \n", "holds 0 names"),
        (b"Ann Lee\nBob\n Ann  Lee \n", "names Ann Lee more than once"),
        ("J\u00f6rg\nJo\u0308rg\n".encode(), "more than once"),
        (b"Ann\nann\n", "more than once"),
        (b"name;points\nAnn;3\n", "looks like a table"),
        (b"Ann\t3\n", "looks like a table"),
        (b"Ann\xff\n", "not UTF-8"),
        ("\n".join(map(str, range(2_001))).encode(), "holds 2,001 names"),
    ],
)
def test_a_list_of_names_that_is_none_is_refused(content, words, tmp_path):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(CourseError, match=words):
        read_names(tmp_path / "names.txt")


def test_names_are_read_as_editors_write_them(tmp_path):
    (tmp_path / "names.txt").write_bytes("\ufeffAnn  Lee\r\n\r\n Jo\u0308rg Ø\r\nLee, Bob\r\n".encode())
    assert read_names(tmp_path / "names.txt") == ["Ann Lee", "Jörg Ø", "Lee, Bob"]
    for missing in (tmp_path / "no.txt", tmp_path):
        with pytest.raises(CourseError, match="takes a text file"):
            read_names(missing)


@pytest.mark.slow
def test_an_exam_is_marked_by_name_once_it_is_made(course):
    assert names_to_mark() == names_to_mark("") == sheet_names()
    with pytest.raises(CourseError, match="None has been made"):
        names_to_mark("01 exam-7")
    Gradebook().hand_out(NAME)
    (course / "source" / "exam-8").mkdir()  # nbgrader has refused to hand it out
    assert names_to_mark() == sheet_names()
    assert names_to_mark("01 exam-7") == ["01_data", NAME]
    assert names_to_mark("exam-7 exam-7") == [NAME]
    for unknown in ("exam-8", "exam-07", "exam-", "EXAM-7", "exam"):
        with pytest.raises(CourseError, match="There are: exam-7"):
            names_to_mark(unknown)
    assert [is_exam(name) for name in ("exam-0", "exam-12", "exam-012", "exam-x", "01_data")] == [True] * 2 + [
        False
    ] * 3


@pytest.mark.slow
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
    assert run("--seed", "7", "--students", str(tmp_path / "names.txt")) == (0, ["Ann Lee", "ann-lee"])
    assert "make grade SUBMISSIONS=class.zip SHEETS=exam-7" in capsys.readouterr().out
    assert run("--seed", "7") == (0, ["Ann Lee", "ann-lee"])  # they are known now
    assert Gradebook().known_students() == {"Ann Lee": "Ann_Lee", "ann-lee": "ann-lee"}
    (tmp_path / "names.txt").write_text("Ann Leigh\nann-lee\n../up\n", encoding="utf-8")
    capsys.readouterr()
    assert run("--seed", "7", "--students", str(tmp_path / "names.txt")) == (0, ["Ann Leigh", "ann-lee", "up"])
    assert "New, or spelt differently from before: 2 (Ann Leigh, ../up)" in capsys.readouterr().out
    assert Gradebook().known_students()["up"] == "up"  # as what comes back in its folder is called
    assert run("--seed", "7") == (0, ["Ann Lee", "Ann Leigh", "ann-lee", "up"])


def filled(owner: str, solver: str):
    """Return the paper of an owner with the answers that are right on the paper of a solver."""
    page = without_solutions(exam_page(SEED, owner))
    for cell, solved in zip(page.cells, exam_page(SEED, solver).cells, strict=True):
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = solved.source
    return page


def all_differ(one, other) -> bool:
    return all(one.questions[name].numbers != other.questions[name].numbers for name in one.questions)


@pytest.mark.slow
def test_an_exam_is_marked_with_the_numbers_of_each_paper(course, tmp_path):
    Gradebook().hand_out(NAME)
    place = tmp_path / "handed-in"
    copier = next(name for name in map("dan_{}".format, range(20)) if all_differ(paper(SEED, "ann"), paper(SEED, name)))
    lost = filled("cid", "cid")
    lost.cells = [cell for cell in lost.cells[1:] if not cell.source.startswith("paper =")]
    pages = {"ann": filled("ann", "ann"), "bob": filled("ann", "ann"), "cid": lost, copier: filled(copier, "ann")}
    for student, page in pages.items():
        (place / student).mkdir(parents=True)
        nbformat.write(page, place / student / "my exam.ipynb")
    command = [sys.executable, "-m", "mnist_helpers", "grade", str(place), *UNSHUT, "--sheets", NAME]
    done = subprocess.run(
        command, env=os.environ | {FOLDER_VARIABLE: str(course)}, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = (course / "marks" / "marks.csv").read_text(encoding="utf-8")
    rows = {row["student"]: row for row in csv.DictReader(table.splitlines())}
    assert {name: (row["points"], row["of"]) for name, row in rows.items()} == {
        "ann": ("30.0", "30.0"), "bob": ("30.0", "30.0"), "cid": ("30.0", "30.0"), copier: ("0.0", "30.0"),
    }  # fmt: skip
    assert rows["ann"]["remarks"] == ""
    assert "It is the paper of ann" in rows["bob"]["remarks"]
    assert "has gone" in rows["cid"]["remarks"]
    assert "paper of ann" not in (course / "feedback" / "bob" / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert (course / "feedback" / copier / NAME / f"{NAME}.html").exists()
