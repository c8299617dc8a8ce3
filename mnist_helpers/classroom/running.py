"""Run a submission in isolation, and judge what its functions returned.

What a student wrote runs in a process of its own, which can say whatever it likes; only this process judges.
"""

import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from mnist_helpers.checks.chapters import exercise_of
from mnist_helpers.checks.exercise import Status, Verdict
from mnist_helpers.classroom.exams import is_exam, whose_paper
from mnist_helpers.classroom.isolation import Limits, Ran, run_shut_in
from mnist_helpers.classroom.judging import TOO_MUCH, UnfinishedError, judged
from mnist_helpers.classroom.kept_runs import KeptRun, fingerprint
from mnist_helpers.classroom.outcomes import harmless
from mnist_helpers.classroom.submissions import MOST_PARTS, Submission, grade_id, shown_outputs
from mnist_helpers.classroom.trial import OUTCOMES_MIME, check_cell

CHECK = "-check"  # what the name of a check's cell ends with, after that of the exercise
LARGEST_RESULT = 50_000_000  # bytes that a run tells of itself
LONGEST_REASON = 200  # characters
TRIES = 2  # of a run that ends without saying why


@dataclass(frozen=True)
class TrialResult:
    """What came of running a page: the outputs of its cells by number, which cells began, and why it ended early."""

    outputs: dict[int, list[NotebookNode]]
    begun: set[int]
    ended: str = ""

    @property
    def out_of_time(self) -> list[int]:
        """The cells that were stopped because they took too long."""
        return [number for number, shown in self.outputs.items() if any(map(_is_interrupt, shown))]


def run_and_judge(submission: Submission, limits: Limits, hidden: list[Path]) -> tuple[NotebookNode, KeptRun]:
    """Run a page in isolation, put what it showed into it, and judge it; return the page and what is kept of the run.

    Raises: UnfinishedError if it could not be run or judged to the end.
    """
    if submission.problem:
        return _untried(submission)
    made_from, before = fingerprint(submission, limits), len(submission.remarks)
    checks = {grade_id(cell): place for place, cell in enumerate(submission.page.cells) if _is_check(cell)}
    sheet, about_paper = _sheet_or_paper(submission)
    seeds = {name: exercise_of(sheet, name.removesuffix(CHECK)).seeds() for name in checks}
    ran = _run(submission, sheet, seeds, limits, hidden)
    _remark(submission, ran, limits)
    found = {name: _outcomes(ran, place) for name, place in checks.items()}
    for place, cell in enumerate(submission.page.cells):
        if cell.cell_type == "code":
            cell.outputs = shown_outputs(ran.outputs.get(place, []))
    texts = {name.removesuffix(CHECK): text for name, text in found.items() if not isinstance(text, Verdict)}
    verdicts = judged(sheet, texts, {name.removesuffix(CHECK): drawn for name, drawn in seeds.items()})
    too_much = [name for name, verdict in verdicts.items() if verdict == TOO_MUCH]
    for name in too_much:
        submission.remarks.append(f"What {name} returned was too much to be compared. Look at it.")
    verdicts = {
        name: text if isinstance(text, Verdict) else verdicts[name.removesuffix(CHECK)] for name, text in found.items()
    }
    by_chance = ran.ended or ran.out_of_time or too_much  # another time, or another machine, may give another verdict
    return submission.page, KeptRun(
        submission.student, submission.sheet, "" if by_chance else made_from, verdicts, submission.remarks[:before],
        submission.origin, run_remarks=submission.remarks[before:] + about_paper,
    )  # fmt: skip


def _sheet_or_paper(submission: Submission) -> tuple[str, list[str]]:
    """Return where its exercises are found, the sheet or a paper of an exam, and what only the instructor is told."""
    if not is_exam(submission.sheet):
        return submission.sheet, []
    owner, remarks = whose_paper(submission.page, submission.sheet, submission.student)
    return f"{submission.sheet}/{owner}", remarks


def _run(
    submission: Submission, sheet: str, seeds: dict[str, list[int]], limits: Limits, hidden: list[Path]
) -> TrialResult:
    """Run a page in isolation.

    Raises: UnfinishedError if it ended without saying why, twice: then it is not known what the answers are worth.
    """
    command = [sys.executable, "-m", "mnist_helpers.classroom.trial", str(limits.cell_seconds), str(limits.memory)]
    given = nbformat.writes(_for_trial(submission, sheet, seeds)).encode()
    for _ in range(TRIES):
        ran = run_shut_in(command, given, limits, LARGEST_RESULT, hidden)
        result = _result(ran, len(submission.page.cells))
        if result:
            return result
    raise UnfinishedError(
        f"the process that ran it ended without a result, {TRIES} times. Did this machine run out of memory, or does"
        " the page end its own runner? Look at it, and mark it again."
    )


def _remark(submission: Submission, ran: TrialResult, limits: Limits) -> None:
    """Tell the instructor, too, what took marks without being an answer's fault alone."""
    if ran.ended:
        submission.remarks.append(f"The run ended early: {ran.ended}.")
    for place in ran.out_of_time:
        cell = submission.page.cells[place]
        if not _is_check(cell):
            name = grade_id(cell) or f"number {place + 1}"
            submission.remarks.append(
                f"The cell {name} was stopped after {limits.cell_seconds} s. A busy machine? See --cell-seconds."
            )


def _untried(submission: Submission) -> tuple[NotebookNode, KeptRun]:
    """Return the empty sheet for what could not be read, with the reason on top and in place of each verdict."""
    page, verdict = submission.page, Verdict(Status.NOT_ATTEMPTED, submission.problem)
    verdicts = {grade_id(cell): verdict for cell in page.cells if _is_check(cell)}
    page.cells.insert(0, new_markdown_cell(f"**This could not be marked.** {submission.problem}"))
    return page, KeptRun(
        submission.student, submission.sheet, "", verdicts, submission.remarks, submission.origin,
        problem=submission.problem,
    )  # fmt: skip


def _for_trial(submission: Submission, sheet: str, seeds: dict[str, list[int]]) -> NotebookNode:
    """Return the page as it runs: in place of each check, the call of the student's function with fresh input."""
    cells = []
    for cell in submission.page.cells:
        name = grade_id(cell)
        source = check_cell(sheet, name.removesuffix(CHECK), seeds[name]) if name in seeds else cell.source
        cells.append(new_code_cell(source) if cell.cell_type == "code" else new_markdown_cell(""))
    return nbformat.v4.new_notebook(cells=cells)


def _result(ran: Ran, cells: int) -> TrialResult | None:
    """Read what a run has told of itself; None if it neither came to its end nor was stopped."""
    outputs, begun, ended = {}, set(), None
    if ran.output.count(b"{") + ran.output.count(b"[") > MOST_PARTS:
        return TrialResult({}, set(), "its cells showed more than can be read")
    for line in ran.output.splitlines():
        with suppress(Exception):  # whatever a stranger wrote there
            told = json.loads(line)
            if "ended" in told:
                ended = harmless(str(told["ended"]))[:LONGEST_REASON]
            elif told.get("begun") in range(cells):
                begun.add(told["begun"])
            elif told["cell"] in range(cells):
                cell = nbformat.from_dict(new_code_cell(outputs=told["outputs"]))
                nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))
                outputs[told["cell"]] = cell.outputs
    if ended is None and not ran.stopped:
        return None
    return TrialResult(outputs, begun, ran.stopped or ended or "")


def _is_check(cell: NotebookNode) -> bool:
    return grade_id(cell).endswith(CHECK)


def _is_interrupt(output: NotebookNode) -> bool:
    return output.get("ename") == "KeyboardInterrupt"


def _outcomes(ran: TrialResult, place: int) -> str | Verdict:
    """Return what a check's cell showed, or, if nothing, the verdict."""
    for output in ran.outputs.get(place, []):
        text = output.get("data", {}).get(OUTCOMES_MIME)
        if isinstance(text, str):
            return text
    if place in ran.out_of_time:
        return Verdict(Status.NOT_YET, "It took too long and was stopped. Does a loop never end?")
    reason = "The check did not come to its end." if place in ran.begun else "The check was not run."
    return Verdict(Status.NOT_YET, f"{reason} The run: {ran.ended}." if ran.ended else reason)
