"""Mark a class: run every submission shut in, judge what its functions returned, and let nbgrader keep the marks.

What a student wrote runs in a process that is shut in and can say whatever it likes; only this process judges.
"""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from mnist_helpers.checks import clinic, data, evaluation, filters, model, training
from mnist_helpers.checks.exercise import Exercise, Outcome, Status, Verdict, usual_torch
from mnist_helpers.classroom.gradebook import Gradebook
from mnist_helpers.classroom.isolation import Limits, run_shut_in
from mnist_helpers.classroom.outcomes import harmless, read_outcomes
from mnist_helpers.classroom.submissions import Submission, grade_id, read_json_page, shown_outputs
from mnist_helpers.classroom.trial import OUTCOMES_MIME, PAGE, RESULT, check_cell
from mnist_helpers.data import load_part

CHAPTERS = {
    "01": data,
    "02": model,
    "03": training,
    "04": evaluation,
    "05": filters,
    "06": clinic,
}
CHECK = "-check"  # what the name of a check's cell ends with, after that of the exercise
LARGEST_RESULT = 30_000_000  # bytes of a page that has run
LONGEST_REASON = 200  # characters


@dataclass(frozen=True)
class ExerciseMark:
    """One exercise of a student: points, of how many, and what the check said; `by_hand` if a person marks it."""

    exercise: str
    points: float
    most: float
    by_hand: bool
    waits: bool = False  # for that person
    status: Status = Status.NOT_ATTEMPTED
    message: str = ""


@dataclass(frozen=True)
class MarkedSubmission:
    """One submission with its marks; `remarks` say what was put in order, or why it could not be read."""

    student: str
    sheet: str
    marks: list[ExerciseMark]
    remarks: list[str] = field(default_factory=list)
    feedback: Path | None = None

    @property
    def points(self) -> float:
        """The points of all exercises."""
        return sum(mark.points for mark in self.marks)

    @property
    def most(self) -> float:
        """The points that there are."""
        return sum(mark.most for mark in self.marks)

    @property
    def waiting(self) -> float:
        """The points, at most, of answers that wait for a person."""
        return sum(mark.most for mark in self.marks if mark.waits)


def exercise_of(sheet: str, name: str) -> Exercise:
    """Return an exercise by its sheet and name."""
    return getattr(CHAPTERS[sheet[:2]], name)


def mark_class(
    submissions: list[Submission], book: Gradebook, limits: Limits, hidden: list[Path], at_once: int
) -> Iterator[MarkedSubmission]:
    """Mark submissions, some at once, and yield them one after the other; what goes wrong with one stays with it."""
    load_part("mnist", "validation")  # unpacked here, because what is shut in cannot
    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(_run, submission, limits, hidden) for submission in submissions]
        for submission, run in zip(submissions, running, strict=True):
            try:
                # Judged here, one after the other: torch's random numbers and Python's stdout belong to all threads.
                page, verdicts = _judged(submission, run.result())
                yield _record(submission, page, verdicts, book)
            except Exception as error:  # a page that nbgrader stumbles over, say
                reason = f"It could not be marked ({type(error).__name__}: {harmless(str(error))})."
                yield MarkedSubmission(submission.student, submission.sheet, [], [*submission.remarks, reason])


@dataclass(frozen=True)
class TrialResult:
    """What came of running a page: for each check its outcomes, or why there are none; `ended` if all ended early."""

    found: dict[str, list[Outcome] | str] = field(default_factory=dict)
    seeds: dict[str, list[int]] = field(default_factory=dict)
    ended: str = ""


def _run(submission: Submission, limits: Limits, hidden: list[Path]) -> TrialResult:
    """Run a page shut in, and put what its cells showed into it."""
    if submission.problem:
        return TrialResult()
    page = submission.page
    checks = {grade_id(cell): number for number, cell in enumerate(page.cells) if grade_id(cell).endswith(CHECK)}
    seeds = {name: exercise_of(submission.sheet, name.removesuffix(CHECK)).seeds() for name in checks}
    with _own_folder() as folder:
        nbformat.write(_for_trial(submission, seeds), folder / PAGE)
        arguments = [str(folder), str(limits.cell_seconds), str(limits.memory)]
        command = [sys.executable, "-m", "mnist_helpers.classroom.trial", *arguments]
        in_time = run_shut_in(command, folder, limits.seconds, hidden)
        ran = _result(folder)
    reason = "" if in_time else f"it was stopped after {limits.seconds} seconds, the time for a whole sheet"
    if ran is None or len(ran.cells) != len(page.cells):
        return TrialResult({}, seeds, reason or "it ended without a result; did it take too much memory?")
    for cell, shown in zip(page.cells, ran.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs = shown_outputs(shown)
    found = {name: _outcomes(ran.cells[number]) for name, number in checks.items()}
    return TrialResult(found, seeds, reason or harmless(str(ran.metadata.get("ended", "")))[:LONGEST_REASON])


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Give a submission a folder of its own for a while."""
    folder = Path(tempfile.mkdtemp(prefix="marking-")).resolve()
    try:
        yield folder
    finally:
        with suppress(RecursionError):  # thousands of folders in each other
            shutil.rmtree(folder, ignore_errors=True)


def _untried(submission: Submission) -> tuple[NotebookNode, dict[str, Verdict]]:
    """Return the empty sheet for what could not be read, with the reason on top and in place of each verdict."""
    page, verdict = submission.page, Verdict(Status.NOT_ATTEMPTED, submission.problem)
    verdicts = {grade_id(cell): verdict for cell in page.cells if grade_id(cell).endswith(CHECK)}
    page.cells.insert(0, new_markdown_cell(f"**This could not be marked.** {submission.problem}"))
    return page, verdicts


def _for_trial(submission: Submission, seeds: dict[str, list[int]]) -> NotebookNode:
    """Return the page as it runs: in place of each check, the call of the student's function with fresh input."""
    cells = []
    for cell in submission.page.cells:
        name = grade_id(cell)
        source = (
            check_cell(_module(submission.sheet), name.removesuffix(CHECK), seeds[name])
            if name in seeds
            else cell.source
        )
        cells.append(new_code_cell(source) if cell.cell_type == "code" else new_markdown_cell(""))
    return nbformat.v4.new_notebook(cells=cells)


def _module(sheet: str) -> str:
    return CHAPTERS[sheet[:2]].__name__.rpartition(".")[2]


def _result(folder: Path) -> NotebookNode | None:
    """Read what was left by a page that ran, as far as it can be read."""
    path = folder / RESULT
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST_RESULT:  # a pipe would be waited for
            return None
        page = read_json_page(path.read_bytes())
        nbformat.validate(page)
        return page
    except Exception:  # whatever a stranger wrote there
        return None


def _outcomes(cell: NotebookNode) -> list[Outcome] | str:
    """Return what a check's cell showed, or why it showed nothing."""
    for output in cell.get("outputs", []):
        text = output.get("data", {}).get(OUTCOMES_MIME)
        if isinstance(text, str):
            try:
                return read_outcomes(text)
            except ValueError as error:
                return f"The check's result cannot be read: {error}."
    if any(output.get("ename") == "KeyboardInterrupt" for output in cell.get("outputs", [])):
        return "It took too long and was stopped. Does a loop never end?"
    return "The check did not come to its end." if cell.get("metadata", {}).get("begun") else ""


def _judged(submission: Submission, ran: TrialResult) -> tuple[NotebookNode, dict[str, Verdict]]:
    """Judge every check of a sheet; return its page, and the verdicts by the names of the checks' cells."""
    if submission.problem:
        return _untried(submission)
    verdicts = {}
    for name in filter(lambda name: name.endswith(CHECK), map(grade_id, submission.page.cells)):
        outcomes = ran.found.get(name, "")
        if isinstance(outcomes, str):
            reason = outcomes or "The check was not run."
            verdicts[name] = Verdict(Status.NOT_YET, f"{reason} The run: {ran.ended}." if ran.ended else reason)
        else:
            with usual_torch():
                exercise = exercise_of(submission.sheet, name.removesuffix(CHECK))
                verdicts[name] = exercise.judge(ran.seeds[name], outcomes)
    return submission.page, verdicts


def _record(
    submission: Submission, page: NotebookNode, verdicts: dict[str, Verdict], book: Gradebook
) -> MarkedSubmission:
    """Write the verdicts into the page and the page into the book of marks; return the marks that are in the book."""
    for cell in page.cells:
        verdict = verdicts.get(grade_id(cell))
        if verdict:
            # nbgrader gives a cell that wrote to stderr no points.
            stream = "stdout" if verdict.right else "stderr"
            cell.outputs = [new_output("stream", name=stream, text=f"{verdict}\n")]
    if submission.remarks and not submission.problem:
        page.cells.insert(0, new_markdown_cell("**Put in order before marking:** " + " ".join(submission.remarks)))
    remarks = [submission.problem] * bool(submission.problem) + submission.remarks
    earlier = bool(submission.problem) and book.has(submission.student, submission.sheet)
    if earlier:
        remarks.append("The marks are those of an earlier time.")
    else:
        book.take_in(submission.student, submission.sheet, page)
    marks = []
    for grade in book.grades(submission.student, submission.sheet):
        verdict = verdicts.get(grade.cell, Verdict(Status.NOT_YET, ""))
        if earlier:
            verdict = Verdict(Status.RIGHT if grade.points == grade.most else Status.NOT_YET, "")
        name, by_hand = grade.cell.removesuffix(CHECK), not grade.cell.endswith(CHECK)
        marks.append(
            ExerciseMark(name, grade.points, grade.most, by_hand, grade.waits, verdict.status, verdict.message)
        )
    feedback = book.write_feedback(submission.student, submission.sheet)
    return MarkedSubmission(submission.student, submission.sheet, marks, remarks, feedback)


def processors() -> int:
    """Return how many submissions are run at once: one a processor, each with one thread."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
