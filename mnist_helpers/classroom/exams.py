"""Mock exams as pages: a paper for each student, the solutions, and whose paper was handed in."""

import ast
import inspect
import re
import shutil
from collections import Counter
from pathlib import Path
from unicodedata import normalize

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mnist_helpers.checks.chapters import EXAM
from mnist_helpers.checks.papers import MINUTES, POINTS, Question, paper
from mnist_helpers.classroom.submissions import bare
from mnist_helpers.course.runner import BUILD, as_text
from mnist_helpers.course.stripping import without_solutions
from mnist_helpers.errors import CourseError

MOST_STUDENTS = 2_000
LONGEST_NAME = 200  # bytes, of a folder
LONGEST_LINE = 100
UNSAFE = re.compile(r"[<>:\"/\\|?*\x00-\x1f]|^[ .]|[ .]$")  # in the name of a folder
NOBODY = "sample"  # whose paper it is before there are students
LINE = re.compile(r'^paper = papers\.paper\(seed=(\d{1,9}), owner="([\w@-]{1,120})"\)', re.MULTILINE)
TITLE = re.compile(r"^# Mock exam (\d{1,9})\n\n\*Paper of ([\w@-]{1,120}) ·")
SETUP = """import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnist_helpers.checks import papers"""
HEAD = """# Mock exam {seed}

*Paper of {owner} · {tasks} tasks · {minutes} minutes · {points} points*

Write each function in place of the line `raise NotImplementedError()`, and keep its name. The numbers in the \
tasks differ from paper to paper. The cell below a task says whether your function runs and returns the right kind \
of thing, but not whether it is right. When it is marked, each function is tried on many inputs, including unusual \
ones that the task allows; it scores only if every result is right. A function must not change what it is given. \
You may use the lessons, your sheets and torch's documentation. When time is up, save this page and hand it in as \
it is."""
TASK = """## {number} · {title}

*{topic} · {minutes} minutes · {points} points*

{text}"""


def exam_name(seed: int) -> str:
    """Return what an exam is called among the sheets."""
    return f"{EXAM}{seed}"


def exam_page(seed: int, owner: str = NOBODY) -> NotebookNode:
    """Return a paper with its solutions, marked up for nbgrader."""
    questions = paper(seed, owner).questions
    count = len(questions)
    head = HEAD.format(seed=seed, owner=owner, tasks=count, minutes=count * MINUTES, points=count * POINTS)
    cells = [
        new_markdown_cell(head),
        new_code_cell(SETUP, metadata=_mark("setup", locked=True)),
        new_code_cell(f'paper = papers.paper(seed={seed}, owner="{owner}")  # your numbers: leave this line as it is'),
    ]
    for number, (name, question) in enumerate(questions.items(), start=1):
        cells += _task_cells(number, name, question)
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def _mark(name: str, *, locked: bool = False, solution: bool = False, points: int = 0) -> dict:
    """Return nbgrader's metadata of a cell."""
    given = {"points": points} if points else {}
    kind = {"grade": bool(points), "locked": locked, "solution": solution, "task": False}
    return {"nbgrader": {"grade_id": name, "schema_version": 3, **kind, **given}}


def _task_cells(number: int, name: str, question: Question) -> list[NotebookNode]:
    """Return a task's text, the cell for the answer with the solution in it, and the cell that looks at the answer."""
    text = TASK.format(
        number=number, title=question.task.title, topic=question.task.topic, minutes=MINUTES, points=POINTS,
        text=question.text,
    )  # fmt: skip
    hidden = f'### BEGIN HIDDEN TESTS\nassert paper.check("{name}", {name}).right\n### END HIDDEN TESTS\n'
    return [
        new_markdown_cell(text),
        new_code_cell(solution(question), metadata=_mark(name, solution=True)),
        new_code_cell(
            f'{hidden}paper.look("{name}", {name})', metadata=_mark(f"{name}-check", locked=True, points=POINTS)
        ),
    ]


def solution(question: Question) -> str:
    """Return the source of a task's solution, with its paper's numbers, and nbgrader's marks around the body."""
    lines = inspect.getsource(question.task.solve).splitlines()
    function = ast.parse("\n".join(lines)).body[0]
    documented = function.body[0].end_lineno
    function.args.kwonlyargs, function.args.kw_defaults = [], []
    arguments, returns = ast.unparse(function.args), ast.unparse(function.returns)
    head = f"def {question.name}({arguments}) -> {returns}:"
    if len(head) > LONGEST_LINE:
        head = f"def {question.name}(\n    {arguments}\n) -> {returns}:"
    return "\n".join(
        [
            *(head, *lines[function.body[0].lineno - 1 : documented], "    ### BEGIN SOLUTION"),
            f"    {', '.join(question.numbers)} = {', '.join(map(repr, question.numbers.values()))}",
            *(*lines[documented : function.end_lineno], "    ### END SOLUTION"),
        ]
    )


def make_exam(seed: int, owners: dict[str, str]) -> Path:
    """Write everybody's paper and its solutions, and the papers as a zip; return the folder, made anew.

    `owners` are the students' ids by the names of their folders.
    """
    folder, name = BUILD / exam_name(seed), f"{exam_name(seed)}.ipynb"
    shutil.rmtree(folder, ignore_errors=True)
    for own, owner in owners.items():
        page = exam_page(seed, owner)
        _write(page, folder / "solutions" / own / name)
        _write(without_solutions(page), folder / "papers" / own / name)
    shutil.make_archive(str(folder / "papers"), "zip", folder / "papers")
    return folder


def folders(ids: dict[str, str]) -> dict[str, str]:
    """Return the ids of students by the names of folders for them; `ids` are by the students' names.

    A folder has its student's name, so that it is known again when it comes back; or the id, where a file system might
    not take the name, or not tell two of them apart.
    """
    names = {owner: name for name, owner in reversed(ids.items())}
    alike = Counter(name.casefold() for name in [*names.values(), *names])

    def safe(name: str, owner: str) -> bool:
        alone = alike[name.casefold()] == (2 if name == owner else 1)
        return alone and len(name.encode()) <= LONGEST_NAME and not UNSAFE.search(name)

    return {name if safe(name, owner) else owner: owner for owner, name in reversed(names.items())}


def _write(page: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_text(page), encoding="utf-8")


def read_names(path: Path) -> list[str]:
    """Return the names in a file, one in each line.

    Raises: CourseError if it cannot be read, holds none or far too many, one of them twice, or more than names.
    """
    try:
        text = normalize("NFC", path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise CourseError(
            f"{path} cannot be read ({reason}). STUDENTS= takes a text file with a student's name in each line."
        ) from error
    names = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if not names or len(names) > MOST_STUDENTS:
        raise CourseError(
            f"{path} holds {len(names):,} names. There should be 1 to {MOST_STUDENTS:,}, one in each line."
        )
    if tables := [line for line in text.splitlines() if re.search(r"[;\t]", line)]:
        raise CourseError(f"{path} looks like a table ({tables[0][:60]!r}). Leave only a name in each line.")
    counts = Counter(name.casefold() for name in names)
    if twice := [name for name in names if counts[name.casefold()] > 1]:
        raise CourseError(f"{path} names {twice[0]} more than once. Tell them apart: each has a paper.")
    return names


def whose_paper(page: NotebookNode, sheet: str, student: str) -> tuple[str, list[str]]:
    """Return whose paper a page is, and what an instructor should know about it.

    Where the line that says so is gone, the title says it, or the numbers are those of whoever has handed it in.
    """
    remarks: list[str] = []
    found = [one for cell in page.cells if cell.cell_type == "code" for one in LINE.findall(cell.source)]
    titles = [one for cell in page.cells if cell.cell_type == "markdown" for one in TITLE.findall(cell.source)]
    if not found:
        remarks.append("The line that says whose paper it is has gone.")
    seed, owner = (found[-1:] or titles[:1] or [(sheet.removeprefix(EXAM), student)])[0]  # the last line that ran
    if exam_name(int(seed)) != sheet:
        remarks.append(f"It is a paper of {exam_name(int(seed))}; it was marked as one of {sheet}.")
    if owner != student:
        remarks.append(f"It is the paper of {owner}, and was marked with the numbers on it.")
    texts = [bare(cell.source) for cell in page.cells if cell.cell_type == "markdown"]
    asked = [bare(one.text) for one in paper(int(sheet.removeprefix(EXAM)), owner).questions.values()]
    missing = sum(not any(one in text for text in texts) for one in asked)
    if missing:
        remarks.append(
            f"{missing} of its {len(asked)} tasks are not as on this paper. Was the page edited, or the course updated"
            f" since the papers of {sheet} were made?"
        )
    return owner, remarks


def is_exam(sheet: str) -> bool:
    """Say whether a sheet is a mock exam."""
    return re.fullmatch(rf"{EXAM}(0|[1-9]\d*)", sheet) is not None
