"""What is handed out holds no solution, works, and its links lead somewhere; what is kept has them all, and ran."""

import itertools
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from pupils import SHEETS

from mnist_helpers.classroom.gradebook import FOLDER_VARIABLE, Gradebook, sheet_names
from mnist_helpers.classroom.handouts import NOTES, make_student_edition, slow_exercises
from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import ROOT

LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.fixture(scope="module")
def edition(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("editions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(folder / "course"))
        make_student_edition(folder / "student")
    return folder / "student"


def pages(folder: Path) -> list[Path]:
    return sorted((folder / "notebooks").rglob("*.ipynb"))


def test_all_lessons_and_sheets_are_there_clean(edition):
    assert len(pages(edition)) == len(list((ROOT / "notebooks").rglob("[0-9]*.ipynb")))
    for path in pages(edition):
        page = nbformat.read(path, 4)
        nbformat.validate(page)
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in page.cells)


def test_no_solution_can_be_read_anywhere(edition):
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in edition.rglob("*")
        if path.suffix in (".py", ".ipynb", ".md", ".json")
    }
    for sheet in SHEETS.values():
        for name, source in sheet.solutions.items():
            inside = source.split("# BEGIN SOLUTION\n")[1].split("# END SOLUTION")[0].rstrip()
            for path, text in texts.items():
                assert inside not in text, (path, name)
                assert path.parent.name != "checks" or f"def {name}(" not in text, (path, name)
    for text in (text for path, text in texts.items() if path.suffix == ".ipynb"):
        for mark in ("BEGIN SOLUTION", "BEGIN HIDDEN", "For marking"):
            assert mark not in text


def test_the_links_of_every_page_lead_somewhere(edition):
    for path in [*pages(edition), edition / "README.md"]:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = "\n".join(cell.source for cell in nbformat.reads(text, 4).cells if cell.cell_type == "markdown")
        for link in LINK.findall(text):
            assert (path.parent / link).exists(), f"{path.name} links to {link}"


def test_the_zip_holds_the_same(edition):
    with zipfile.ZipFile(edition.with_suffix(".zip")) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert names == {f"student/{path.relative_to(edition).as_posix()}" for path in edition.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_packed_checks_work_and_the_commands_that_a_student_uses(edition, tmp_path):
    program = (
        "from mnist_helpers.checks import data; import mnist_helpers, torch;"
        "print(mnist_helpers.__file__);"
        "print(data.class_shares(lambda labels: torch.bincount(labels, minlength=10) / len(labels)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=edition, capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith(str(edition))
    assert "Right." in said
    command = [sys.executable, "-m", "mnist_helpers", "workspace", str(tmp_path / "workspace")]
    said = subprocess.run(command, cwd=edition, capture_output=True, text=True, check=True).stdout
    assert "exercises/01_data.ipynb: new" in said


def test_every_sheet_has_teaching_notes_for_50_and_90_minutes():
    for name in sheet_names():
        text = (NOTES / f"{name}.md").read_text(encoding="utf-8")
        for length in (50, 90):
            rows = re.search(rf"\*\*{length} minutes\*\*\n\n(?:\|.*\n)+", text).group().splitlines()[4:]
            times = [tuple(map(int, row.split("|")[1].strip().split("–"))) for row in rows]
            assert times[0][0] == 0
            assert times[-1][1] == length
            assert all(end == start for (_, end), (start, _) in itertools.pairwise(times))


def test_an_exercise_that_the_notes_name_is_there():
    for name in sheet_names():
        titles = "".join(cell.source for cell in SHEETS[name].page.cells if cell.source.startswith("## "))
        for number in re.findall(r"\b\d+\.\d+\b", (NOTES / f"{name}.md").read_text(encoding="utf-8")):
            assert f"## {number} " in titles, f"{name}: {number}"


def test_an_exercise_that_keeps_the_machine_busy_longer_than_it_states_is_named():
    cells = [
        ("## 1.1 · Quick\n\n*make · 8 minutes · 2 points*", 0),
        ("a = 1", 7),
        ("## 1.2 · Slow\n\n*make · 8 minutes · 2 points*", 0),
        ("a = 1", 4),
        ("checks.a(a)", 4),
        ("## 1.3 · Trains\n\n*make · 8 minutes, 10 seconds of them training · 2 points*", 0),
        ("a = 1", 14),
        ("## 1.10 · Trains long\n\n*make · 8 minutes, 10 seconds of them training · 2 points*", 0),
        ("a = 1", 16),
    ]
    made = [nbformat.v4.new_code_cell(source) for source, _ in cells]
    for cell, (_, seconds) in zip(made, cells, strict=True):
        cell.metadata["papermill"] = {"duration": seconds or None}
    assert slow_exercises(nbformat.v4.new_notebook(cells=made)) == {"SLOW 1.2": 8, "SLOW 1.10": 16}


@pytest.mark.parametrize("name", ["[CS101] course", "K?x", "a{b}"])
def test_a_folder_whose_name_nbgrader_misreads_is_refused_before_anything_is_made(tmp_path, monkeypatch, name):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / name))
    with pytest.raises(CourseError, match=r"it misreads . ?.? in a folder's name. Name another folder in MNIST_COURSE"):
        Gradebook()
    assert not list(tmp_path.iterdir())


def test_a_sheet_that_is_not_there_is_refused_with_the_names():
    with pytest.raises(CourseError, match=r"no notebook begins with '99'.*01_data"):
        sheet_names("99")
