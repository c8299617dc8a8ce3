"""What an instructor gives away and keeps: the student edition with its zip, and the solutions, run, with notes."""

import base64
import re
import shutil
import zlib
from collections import Counter
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from mnist_helpers.classroom.gradebook import SHEETS, Gradebook, sheet_names
from mnist_helpers.course.runner import (
    BUILD,
    SLOW_BY,
    SOURCES,
    RunResult,
    as_text,
    copy_drawings,
    find_notebooks,
    read_notebook,
    run_notebooks,
)
from mnist_helpers.course.stripping import without_outputs
from mnist_helpers.runtime import ROOT, held_folder

STUDENT, SOLUTIONS = BUILD / "student", BUILD / "solutions"
NOTES = ROOT / "docs" / "teaching"
# What a student needs to run everything; no tests, and nothing with which sheets are made or marked.
PARTS = [
    *("LICENSE", "CITATION.cff", "Makefile", "pyproject.toml", "requirements-lock.txt", "environment.yml"),
    *("data", "docs", "lab", "mnist_helpers", "pretrained"),
]
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "*-ubyte", ".*", "resume", "classroom*", "teaching", "instructor.md", "student.md"
)
NOT_FOR_STUDENTS = [
    *(
        "test",
        "quick",
        "test-all",
        "test-weekly",
        "lint",
        "refresh-notebooks",
        "pretrained",
        "reproduce",
        "robustness",
        "gpu",
        "contact-sheet",
        "lock",
    ),
    *("student", "solutions", "exam", "grade", "hub"),
]
QUICK = 5  # seconds that the solution of an exercise and its check may take; one that takes longer says so
READABLE = ("__init__.py", "exercise.py", "inputs.py", "networks.py")  # of the checks: they hold no solutions
PACKED = '''"""A chapter's self-checks. They hold solutions, and are packed so that nobody reads these by accident."""

import base64
import zlib

exec(zlib.decompress(base64.b64decode("{}")).decode())
'''


def make_student_edition(folder: Path = STUDENT) -> Path:
    """Write the course as students get it into a folder, made anew, and beside it as a zip; return the zip.

    Raises: CourseError if the pages are not here, or nbgrader is missing or refuses a sheet.
    """
    lessons, sheets = find_notebooks(), sheet_names()
    shutil.rmtree(folder, ignore_errors=True)
    exercises = folder / "notebooks" / "exercises"
    exercises.mkdir(parents=True)
    _copy_parts(folder)
    copy_drawings(SOURCES, exercises.parent)
    for path in lessons:
        _write_page(without_outputs(read_notebook(path)), exercises.parent / path.name)
    book = Gradebook()
    for name in sheets:
        _write_page(book.hand_out(name), exercises / f"{name}.ipynb")
    for path in (folder / "mnist_helpers" / "checks").glob("*.py"):
        if path.name not in READABLE:
            packed = base64.b64encode(zlib.compress(path.read_bytes())).decode()
            path.write_text(PACKED.format(packed), encoding="utf-8")
    return Path(shutil.make_archive(str(folder), "zip", folder.parent, folder.name))


def _copy_parts(folder: Path) -> None:
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=LEFT_OUT)
        else:
            shutil.copyfile(ROOT / part, folder / part)
    shutil.copyfile(ROOT / "docs" / "student.md", folder / "README.md")
    makefile = folder / "Makefile"
    text = makefile.read_text(encoding="utf-8")
    for target in NOT_FOR_STUDENTS:
        text = re.sub(rf"^{target}:.*\n(?:\t.*\n)*\n?", "", text, flags=re.MULTILINE)
    makefile.write_text(text, encoding="utf-8")


def _write_page(page: NotebookNode, path: Path) -> None:
    path.write_text(as_text(page), encoding="utf-8")


def make_solutions(folder: Path = SOLUTIONS, choice: str = "") -> list[RunResult]:
    """Write the instructor's edition: the lessons as they are, and the sheets with solutions and notes, executed.

    Raises: CourseError for a word that fits no sheet.
    """
    names = sheet_names(choice)
    shutil.copytree(ROOT / "docs", folder / "docs", dirs_exist_ok=True)
    shutil.copyfile(ROOT / "README.md", folder / "README.md")
    (folder / "notebooks").mkdir(exist_ok=True)
    for path in find_notebooks():
        shutil.copyfile(path, folder / "notebooks" / path.name)
    copy_drawings(SOURCES, folder / "notebooks")
    with held_folder(BUILD, "sheets-") as staging:
        paths = []
        for name in names:
            page = read_notebook(SHEETS / f"{name}.ipynb")
            notes = (NOTES / f"{name}.md").read_text(encoding="utf-8")
            page.cells.insert(1, new_markdown_cell(notes, id="teaching-notes"))
            paths.append(staging / f"{name}.ipynb")
            _write_page(page, paths[-1])
        sheets = folder / "notebooks" / "exercises"
        results = run_notebooks(paths, {}, output=sheets)
    for result in results:
        result.numbers |= slow_exercises(read_notebook(sheets / f"{result.name}.ipynb"))
    return results


def slow_exercises(page: NotebookNode) -> dict[str, float]:
    """Return the seconds of those exercises of an executed sheet that took much longer than they state."""
    seconds: Counter[str] = Counter()
    stated: dict[str, int] = {}
    exercise = ""
    for cell in page.cells:
        title = re.match(r"## (\d+\.\d+)", cell.source)
        if title:
            exercise = title.group(1)
            said = re.search(r", (\d+) seconds of them training", cell.source)
            stated[exercise] = int(said.group(1)) if said else QUICK
        seconds[exercise] += cell.metadata.get("papermill", {}).get("duration") or 0
    return {f"SLOW {name}": seconds[name] for name, most in stated.items() if seconds[name] > SLOW_BY * most}
