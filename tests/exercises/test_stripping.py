"""What is handed out holds no solution, and nbgrader agrees with it."""

import sys

import nbformat
import pytest

from mnist_helpers.course.stripping import STUB, has_solutions, without_solutions
from mnist_helpers.course.workspace import copy_notebooks
from mnist_helpers.errors import CourseError


def test_a_workspace_holds_the_exercises_without_their_solutions(sheet, tmp_path):
    copy_notebooks(tmp_path, sheet.path.parent)
    page = nbformat.read(tmp_path / sheet.path.name, 4)
    text = "".join(cell.source for cell in page.cells)
    for mark in ("SOLUTION", "HIDDEN TESTS", "For marking"):
        assert mark not in text
    code = [cell.source for cell in page.cells if cell.cell_type == "code"]
    assert sum(source.endswith(STUB) for source in code) == len(sheet.solutions)
    for source in sheet.solutions.values():
        inside = source.split("# BEGIN SOLUTION\n")[1].split("# END SOLUTION")[0]
        assert inside not in text
    checks = [cell for cell in page.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert all(cell.metadata.nbgrader.checksum for cell in checks)
    assert all(cell.metadata.editable is False for cell in checks if not cell.metadata.nbgrader.solution)


def test_a_page_that_has_lost_its_solutions_loses_nothing_more(sheet):
    page = without_solutions(nbformat.read(sheet.path, 4))
    assert not has_solutions(page)
    assert all(f"def {name}(" in "".join(cell.source for cell in page.cells) for name in sheet.solutions)


def test_without_nbgrader_it_says_what_to_install(monkeypatch, sheet):
    monkeypatch.setitem(sys.modules, "nbgrader", None)
    with pytest.raises(CourseError, match=r"mnist-helpers\[classroom\]"):
        without_solutions(nbformat.read(sheet.path, 4))


def test_without_nbgrader_the_lessons_are_copied_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "nbgrader", None)
    lines = copy_notebooks(tmp_path)
    assert "01_data.ipynb: new" in lines
    assert any(line.startswith("exercises/01_data.ipynb: left out.") for line in lines)
    assert not (tmp_path / "exercises").exists()
    assert [line for line in copy_notebooks(tmp_path) if "left out" not in line] == []
