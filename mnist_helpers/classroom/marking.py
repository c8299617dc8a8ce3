"""Mark a class: have every submission run and judged, and let nbgrader keep the marks."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output

from mnist_helpers.checks.exercise import Status, Verdict
from mnist_helpers.classroom.gradebook import Gradebook
from mnist_helpers.classroom.isolation import Limits
from mnist_helpers.classroom.kept_runs import KeptRun, KeptRuns, fingerprint
from mnist_helpers.classroom.outcomes import harmless
from mnist_helpers.classroom.platforms import NO_PLATFORM, Origin
from mnist_helpers.classroom.remark_bank import RemarkBank, read_bank
from mnist_helpers.classroom.running import CHECK, run_and_judge
from mnist_helpers.classroom.submissions import Submission, grade_id
from mnist_helpers.data import load_part
from mnist_helpers.errors import CourseError

NOT_KEPT = "What the checks said was not kept."


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
    rank: float | None = None  # in a challenge: the smaller the better


@dataclass(frozen=True)
class MarkedSubmission:
    """One submission with its marks; `remarks` say what was put in order, or why it could not be read.

    Without `marks` it could not be marked, and the book has nothing of it, or what it had before. `penalty` are the
    points that nbgrader takes off for a late submission. `unread` says that nothing could be read, so that 0 points say
    nothing; `ran`, that it was run this time.
    """

    student: str
    sheet: str
    marks: list[ExerciseMark]
    remarks: list[str] = field(default_factory=list)
    feedback: Path | None = None
    penalty: float = 0.0
    origin: Origin = NO_PLATFORM
    unread: bool = False
    ran: bool = False

    @property
    def points(self) -> float:
        """The points of all exercises, less the penalty; never less than none."""
        return max(0.0, round(sum(mark.points for mark in self.marks) - self.penalty, 6))

    @property
    def most(self) -> float:
        """The points that there are."""
        return sum(mark.most for mark in self.marks)

    @property
    def waiting(self) -> float:
        """The points, at most, of answers that wait for a person."""
        return sum(mark.most for mark in self.marks if mark.waits)


@dataclass(frozen=True)
class Records:
    """What is kept of a class: nbgrader's book of marks, what came of each run, and the bank of remarks."""

    book: Gradebook
    runs: KeptRuns
    bank: RemarkBank


def open_records() -> Records:
    """Return the records in the course's folder, which need not be there yet.

    Raises: MissingExtraError, or CourseError if the folder's name or the bank of remarks cannot be read.
    """
    book = Gradebook()
    return Records(book, KeptRuns(book.folder), read_bank(book.folder))


def mark_class(
    submissions: list[Submission],
    records: Records,
    limits: Limits,
    hidden: list[Path],
    at_once: int,
    again: bool = False,
) -> Iterator[MarkedSubmission]:
    """Mark submissions, some at once, and yield them as they are done; what goes wrong with one stays with it.

    What was marked before and has not changed since is not run again, unless `again` is asked for. If the marking is
    ended early, what has not begun is not begun; what is yielded is in the book.
    """
    load_part("mnist", "validation")  # unpacked here, because what is isolated cannot
    pool = ThreadPoolExecutor(at_once)
    try:
        running = {}
        for submission in submissions:
            kept = None if again else _unchanged(submission, records, limits)
            if kept:
                yield _guarded(submission, lambda run=kept: _marked(run, records))
            else:
                running[pool.submit(run_and_judge, submission, limits, hidden)] = submission
        for done in as_completed(running):
            submission = running[done]
            marked = _guarded(submission, lambda one=submission, ran=done: _record(one, *ran.result(), records))
            if not marked.marks:
                _note_newest(submission, marked.remarks[-1], records)
            yield marked
    finally:
        pool.shutdown(cancel_futures=True)


def _guarded(submission: Submission, mark: Callable[[], MarkedSubmission]) -> MarkedSubmission:
    """Return what marking gives, or, if it fails, a submission without marks and the reason."""
    try:
        return mark()
    except Exception as error:  # a disk that is full, a book that is locked, a page that nbgrader stumbles over
        kind = "" if isinstance(error, CourseError) else f"{type(error).__name__}: "
        reason = f"It could not be marked: {kind}{harmless(str(error)).rstrip('.')}."
        return MarkedSubmission(submission.student, submission.sheet, [], [*submission.remarks, reason])


def _note_newest(submission: Submission, reason: str, records: Records) -> None:
    """Keep for later tables that the newest version of a submission could not be marked."""
    student, sheet = submission.student, submission.sheet
    kept = records.runs.find(student, sheet) or KeptRun(student, sheet, "", {}, [], submission.origin)
    with suppress(OSError):  # the disk may be what is wrong
        records.runs.keep(replace(kept, fingerprint="", newest=reason))


def marked_before(records: Records, sheets: list[str]) -> Iterator[MarkedSubmission]:
    """Yield what the book has of sheets, with today's points by hand and penalties; nothing is run."""
    for sheet in sheets:
        in_book = records.book.students_with(sheet)
        for student in sorted({*in_book, *records.runs.students_with(sheet)}):
            run = records.runs.find(student, sheet) or KeptRun(student, sheet, "", {}, [NOT_KEPT])
            if student in in_book:
                yield _guarded(_as_submission(run), lambda run=run: _marked(run, records))
            else:
                yield MarkedSubmission(student, sheet, [], [*run.remarks, run.newest], origin=run.origin)


def _as_submission(run: KeptRun) -> Submission:
    return Submission(run.student, run.sheet, nbformat.v4.new_notebook(), remarks=list(run.remarks), origin=run.origin)


def _unchanged(submission: Submission, records: Records, limits: Limits) -> KeptRun | None:
    """Return what was kept of a submission, with what is new about where it came from, if it is the same as before.

    The book has to say the same, too; where it cannot be asked, the submission is run again.
    """
    book, student, sheet = records.book, submission.student, submission.sheet
    kept = records.runs.find(student, sheet)
    if submission.problem or not kept or kept.fingerprint != fingerprint(submission, limits):
        return None
    try:
        in_book = {one.cell: one for one in book.grades(student, sheet)} if book.has(student, sheet) else {}
        for name, verdict in kept.verdicts.items():
            if name not in in_book or in_book[name].auto != (in_book[name].most if verdict.right else 0):
                return None  # the book is an older or a newer one
        other = _another_number(kept.origin, submission.origin)
        origin = submission.origin
        if origin.secret and origin.handed_in and kept.origin.handed_in:  # the same once more is no later
            origin = replace(origin, handed_in=min(origin.handed_in, kept.origin.handed_in))
        now = replace(kept, remarks=submission.remarks + other, origin=origin)
        if now != kept:
            book.note_time(student, sheet, origin.handed_in)
            records.runs.keep(now)
        return now
    except Exception:
        return None


def _another_number(before: Origin, now: Origin) -> list[str]:
    """Return a remark if a platform gives a student of the same name another number: it may be somebody else."""
    if before.platform != now.platform or before.number in ("", now.number):
        return []
    return [f"{now.platform} gave this name the number {before.number} before, and {now.number} now: the same person?"]


def _record(submission: Submission, page: NotebookNode, run: KeptRun, records: Records) -> MarkedSubmission:
    """Write the verdicts into the page and the page into the book of marks; return the marks that are in the book."""
    book, student, sheet = records.book, submission.student, submission.sheet
    kept = records.runs.find(student, sheet)
    if submission.problem and book.has(student, sheet):
        _note_newest(submission, f"{submission.problem} The marks are from an earlier version.", records)
        return _marked(records.runs.find(student, sheet) or replace(run, verdicts={}), records)
    if kept:
        run = replace(run, remarks=run.remarks + _another_number(kept.origin, run.origin))
    for cell in page.cells:
        verdict = run.verdicts.get(grade_id(cell))
        if verdict:
            # nbgrader gives a cell that wrote to stderr no points.
            stream = "stdout" if verdict.right else "stderr"
            cell.outputs = [new_output("stream", name=stream, text=f"{verdict}\n")]
    if submission.remarks and not submission.problem:
        page.cells.insert(0, new_markdown_cell("**Put in order before marking:** " + " ".join(submission.remarks)))
    records.runs.forget(student, sheet)  # whatever happens from here on, it is not what the book has
    book.take_in(student, sheet, page, submission.origin.handed_in)
    records.runs.keep(run)
    return replace(_marked(run, records), ran=True)


def _marked(run: KeptRun, records: Records) -> MarkedSubmission:
    """Return the marks that are in the book, with what the checks said; the feedback is written anew.

    Where it is not known what the checks said, the points tell which answers were right.
    """
    book = records.book
    penalty = book.update_penalty(run.student, run.sheet)
    verdicts = {name.removesuffix(CHECK): verdict for name, verdict in run.verdicts.items()}
    records.bank.count(run.sheet, verdicts)
    book.put_remarks(run.student, run.sheet, records.bank.about(run.sheet, verdicts))
    marks = []
    for grade in book.grades(run.student, run.sheet):
        status = Status.RIGHT if grade.points == grade.most else Status.NOT_YET
        verdict = run.verdicts.get(grade.cell, Verdict(Status.NOT_YET if run.verdicts else status, ""))
        name, by_hand = grade.cell.removesuffix(CHECK), not grade.cell.endswith(CHECK)
        said = (verdict.status, verdict.message, verdict.rank)
        marks.append(ExerciseMark(name, grade.points, grade.most, by_hand, grade.waits, *said))
    feedback, remarks = None, [one for one in (run.problem, *run.remarks, *run.run_remarks, run.newest) if one]
    if penalty:
        remarks.append(f"Handed in late: {penalty:g} points deducted.")
    elif run.origin.late:
        remarks.append(f"Marked as late by {run.origin.platform}.")
    try:
        feedback = book.write_feedback(run.student, run.sheet, run.origin)
    except CourseError as error:
        remarks.append(f"There is no feedback: {str(error).rstrip('.')}.")
    unread = bool(run.problem)
    return MarkedSubmission(run.student, run.sheet, marks, remarks, feedback, penalty, run.origin, unread)
