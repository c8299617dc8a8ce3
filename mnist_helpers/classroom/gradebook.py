"""The course as nbgrader knows it: sources, what is handed out, what came back, and the book of marks."""

import json
import logging
import os
import re
import secrets
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import nbformat
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode
from traitlets import List
from traitlets.config import PyFileConfigLoader

from mnist_helpers.checks.chapters import EXAM
from mnist_helpers.classroom.exams import exam_page, is_exam
from mnist_helpers.classroom.platforms import NO_PLATFORM, Origin
from mnist_helpers.course.runner import SOURCES, as_text, find_notebooks, read_notebook
from mnist_helpers.errors import CourseError, MissingExtraError
from mnist_helpers.runtime import ROOT, whole_file

FOLDER_VARIABLE = "MNIST_COURSE"
SHEETS = SOURCES / "exercises"
STUDENTS = "students.json"
PATTERNS = set("[]{}*?")  # nbgrader takes a folder's name for a pattern, and its book's for an address
# A browser that shows the page runs nothing in it and fetches nothing for it.
NO_SCRIPTS = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'; img-src data:; font-src data:\">"
)
SECRET, TIME = "submission_secret.txt", "timestamp.txt"  # in each folder of nbgrader's exchange
NO_TIME = datetime(1970, 1, 1)
SECONDS = 30  # of a processor, to make one page harmless or to render it: text can be made to take hours
WHOLE_LINES = "<style>pre { white-space: pre-wrap !important; }</style>"  # a hint is longer than a page is wide


def course_folder() -> Path:
    """Return the folder with the book of marks: `course/`, or the one named in MNIST_COURSE.

    Raises: CourseError for a name that nbgrader would misread.
    """
    folder = Path(os.environ.get(FOLDER_VARIABLE) or ROOT / "course").resolve()
    if misread := PATTERNS & set(str(folder)):
        raise CourseError(
            f"nbgrader cannot keep its book in {folder}: it misreads {' '.join(sorted(misread))} in a folder's name. "
            f"Name another folder in {FOLDER_VARIABLE}."
        )
    return folder


def sheet_names(choice: str = "") -> list[str]:
    """Return the names of the exercise sheets that begin with a word of `choice` ("01 04"), or of all.

    Raises: CourseError for a word that fits none.
    """
    return [path.stem for path in find_notebooks(choice, SHEETS, option="SHEETS")]


def names_to_mark(choice: str = "") -> list[str]:
    """Return the names of the sheets and the mock exams that `choice` names ("01 exam-7"), or of all sheets.

    Raises: CourseError for a word that fits none.
    """
    words = choice.split()
    exams = list(dict.fromkeys(word for word in words if word.lower().startswith("exam")))
    made = sorted(path.stem for path in (course_folder() / "release").glob("*/*.ipynb") if is_exam(path.stem))
    if unknown := [word for word in exams if word not in made]:
        known = f"There are: {', '.join(made)}." if made else "None has been made."
        raise CourseError(f"SHEETS={choice!r}: there is no exam {unknown[0]!r}. {known} See make exam SEED=7.")
    sheets = " ".join(word for word in words if word not in exams)
    return (sheet_names(sheets) if sheets or not words else []) + exams


def with_solutions(sheet: str) -> NotebookNode:
    """Return a sheet, or a sample paper of an exam, with its solutions."""
    if is_exam(sheet):
        return exam_page(int(sheet.removeprefix(EXAM)))
    return read_notebook(SHEETS / f"{sheet}.ipynb")


@dataclass(frozen=True)
class CellGrade:
    """What nbgrader's book says of one cell: points for the check, by hand, the most there are, extra ones."""

    cell: str
    auto: float | None
    manual: float | None
    most: float
    waits: bool  # for a person to mark it
    extra: float = 0.0

    @property
    def points(self) -> float:
        """The points that count: those given by hand, if there are any, and extra ones."""
        return (self.manual if self.manual is not None else self.auto or 0.0) + self.extra


class Gradebook:
    """nbgrader's folder of a course, driven through its own interface."""

    def __init__(self) -> None:
        try:
            from nbgrader.apps import NbGraderAPI
            from nbgrader.converters import Autograde
            from nbgrader.preprocessors import ClearOutput, Execute
        except ModuleNotFoundError as error:
            raise MissingExtraError("Handing out and marking need nbgrader", "classroom") from error
        # nbgrader calls the program `alembic`, which lies beside Python; in a venv that is not active, nobody finds it.
        beside = str(Path(sys.executable).parent)
        named = [place for place in os.environ.get("PATH", "").split(os.pathsep) if place]
        if named[:1] != [beside]:
            os.environ["PATH"] = os.pathsep.join([beside, *named])
        self.folder = course_folder()
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = PyFileConfigLoader("nbgrader_config.py", path=str(ROOT)).load_config()
        settings.CourseDirectory.root = str(self.folder)
        settings.Exchange.root = str(self.folder)  # not used; the usual one is a folder that only a hub has
        settings.NbGraderAPI.log_level = logging.WARNING
        # nbgrader is given pages that have run in isolation and have been judged: it must not run them itself.
        settings.Autograde.sanitize_preprocessors = _without(ClearOutput, Autograde.sanitize_preprocessors)
        settings.Autograde.autograde_preprocessors = _without(Execute, Autograde.autograde_preprocessors)
        self._api = NbGraderAPI(config=settings)

    def hand_out(self, sheet: str) -> NotebookNode:
        """Have nbgrader make the students' version of a sheet, and return it.

        Raises: CourseError with nbgrader's words if it refuses.
        """
        source = self.folder / "source" / sheet
        source.mkdir(parents=True, exist_ok=True)
        (source / f"{sheet}.ipynb").write_text(as_text(with_solutions(sheet)), encoding="utf-8")
        self._do(self._api.generate_assignment, sheet)
        return nbformat.read(self.folder / "release" / sheet / f"{sheet}.ipynb", as_version=4)

    def take_in(self, student: str, sheet: str, page: NotebookNode, handed_in: datetime | None = None) -> None:
        """Write a page that has been run, and whose checks have been judged, into the book of marks.

        `handed_in` is in UTC if it names no zone. HTML in the page is made harmless first: whoever reads the feedback,
        or marks by hand, would run its scripts.
        What a person has marked on the same page before does not wait for a person again.

        Raises: CourseError if nbgrader refuses, or takes too long.
        """
        with _soon_done():
            page, _ = SanitizeHTML().preprocess(page, {})  # before anything is in the book
        for cell in page.cells:
            if cell.cell_type == "markdown":
                cell.source = re.sub(r"(?i)(javascript|vbscript)\s*:|data\s*:\s*text|\\href", "_", cell.source)
        path = self.folder / "submitted" / student / sheet / f"{sheet}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        same = self.has(student, sheet) and path.exists() and _sources(path) == [cell.source for cell in page.cells]
        waiting = {one.cell for one in self.grades(student, sheet) if one.waits} if same else set()
        nbformat.write(page, path)
        self._do(self._api.autograde, sheet, student)
        self.note_time(student, sheet, handed_in)
        if same:
            with _unwarned(), self._api.gradebook as book:
                for grade in book.find_submission_notebook(sheet, sheet, student).grades:
                    grade.needs_manual_grade = grade.name in waiting
                book.db.commit()

    def note_time(self, student: str, sheet: str, handed_in: datetime | None) -> None:
        """Note when a submission in the book was handed in, in UTC; None takes back an earlier one's time."""
        with _unwarned(), self._api.gradebook as book:
            book.find_submission(sheet, student).timestamp = handed_in
            book.db.commit()

    def update_penalty(self, student: str, sheet: str) -> float:
        """Have nbgrader work out how many points a late submission loses now, and return them.

        What it depends on may have changed since: the points given by hand, the date due, the rule.
        """
        from nbgrader.preprocessors import AssignLatePenalties

        of = {"notebook": sheet, "assignment": sheet, "student": student, "db_url": self._api.coursedir.db_url}
        with _unwarned():
            AssignLatePenalties(parent=self._api).preprocess(nbformat.v4.new_notebook(), {"nbgrader": of})
            with self._api.gradebook as book:
                return book.find_submission_notebook(sheet, sheet, student).late_submission_penalty or 0.0

    def put_remarks(self, student: str, sheet: str, remarks: dict[str, str]) -> None:
        """Put remarks under answers, by the names of their cells; what is empty takes an earlier one away.

        What a person has written there by hand is shown in its place.
        """
        with _unwarned(), self._api.gradebook as book:
            for comment in book.find_submission_notebook(sheet, sheet, student).comments:
                if comment.name in remarks:
                    comment.auto_comment = remarks[comment.name] or None
                    comment.manual_comment = comment.manual_comment or None  # "" is what the Formgrader leaves of one
            book.db.commit()

    def remarks_by_hand(self, sheet: str) -> list[tuple[str, str]]:
        """Return the cell and the text of each remark that was given by hand."""
        with _unwarned(), self._api.gradebook as book:
            notebooks = [one for whole in book.assignment_submissions(sheet) for one in whole.notebooks]
            comments = [one for notebook in notebooks for one in notebook.comments]
            return [(one.name, one.manual_comment) for one in comments if one.manual_comment]

    def write_feedback(self, student: str, sheet: str, origin: Origin = NO_PLATFORM) -> Path:
        """Have nbgrader write a student's feedback, and return the page.

        Beside it lies what `nbgrader release_feedback` needs to give it, through the exchange, to whoever has handed
        this in. What came another way gets a secret that nobody has: that command stops at a page without one.

        Raises: CourseError if nbgrader refuses, or takes too long.
        """
        beside = self.folder / "autograded" / student / sheet  # from where nbgrader takes it on
        (beside / SECRET).write_text(origin.secret or secrets.token_hex(64), encoding="ascii")
        (beside / TIME).write_text(f"{origin.handed_in or NO_TIME} UTC", encoding="ascii")
        with _soon_done():
            self._do(self._api.generate_feedback, sheet, student)
        path = self.folder / "feedback" / student / sheet / f"{sheet}.html"
        text = path.read_text(encoding="utf-8")
        path.chmod(0o644)
        path.write_text(text.replace("<head>", f"<head>{NO_SCRIPTS}{WHOLE_LINES}", 1), encoding="utf-8")
        return path

    def known_students(self) -> dict[str, str]:
        """Return the ids of the students who have handed in before, by their names."""
        path = self.folder / STUDENTS
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def remember_students(self, known: dict[str, str]) -> None:
        """Keep the ids for the next time, so that nobody is taken for somebody else."""
        with whole_file(self.folder / STUDENTS) as temporary:
            temporary.write_text(json.dumps(known, indent=1, ensure_ascii=False), encoding="utf-8")

    def has(self, student: str, sheet: str) -> bool:
        """Say whether a student's sheet is in the book."""
        from nbgrader.api import MissingEntry

        with _unwarned(), self._api.gradebook as book:
            try:
                return bool(book.find_submission(sheet, student))
            except MissingEntry:
                return False

    def students_with(self, sheet: str) -> list[str]:
        """Return the ids of those whose sheet is in the book."""
        with _unwarned(), self._api.gradebook as book:
            return sorted(one.student.id for one in book.assignment_submissions(sheet))

    def pages(self, sheet: str) -> dict[str, NotebookNode]:
        """Return the pages that are in the book, by their students' ids, as they were handed in and put in order."""
        paths = {
            name: self.folder / "submitted" / name / sheet / f"{sheet}.ipynb" for name in self.students_with(sheet)
        }
        return {name: nbformat.read(path, as_version=4) for name, path in paths.items() if path.exists()}

    def handed_out(self, sheet: str) -> NotebookNode:
        """Return the students' version of a sheet; where it is gone, it is made again."""
        path = self.folder / "release" / sheet / f"{sheet}.ipynb"
        return nbformat.read(path, as_version=4) if path.exists() else self.hand_out(sheet)

    def grades(self, student: str, sheet: str) -> list[CellGrade]:
        """Return what the book says of each marked cell, in the order of the sheet's cells."""
        with _unwarned(), self._api.gradebook as book:
            found = book.find_submission_notebook(sheet, sheet, student).grades
            return [
                CellGrade(
                    one.name,
                    one.auto_score,
                    one.manual_score,
                    one.max_score,
                    bool(one.needs_manual_grade),
                    one.extra_credit or 0.0,
                )
                for one in found
            ]

    def _do(self, step: Callable[..., dict], *names: str) -> None:
        with _unwarned():
            result = step(*names)
        if not result["success"]:
            log = self.folder / "nbgrader.log"
            log.write_text(f"{result.get('log')}\n{result.get('error')}\n", encoding="utf-8")
            raise CourseError(f"nbgrader stopped; what it said is in {log}.")


def _sources(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


def _without(step: type, steps: List) -> list[type]:
    return [one for one in steps.default() if one is not step]


@contextmanager
def _soon_done() -> Iterator[None]:
    """End what takes more than `SECONDS` of the main thread; on Windows, which has no such alarm, it goes on.

    Raises: CourseError saying so.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    began, over = time.thread_time(), False

    def is_late() -> bool:  # the alarm counts all threads, in which other submissions run
        return time.thread_time() - began >= SECONDS

    def stop(*_: object) -> None:
        if is_late() and not over:
            raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, min(1, SECONDS))  # and again, in case the exception is swallowed
    try:
        yield
    except Exception as error:
        if is_late():
            reason = f"nbgrader needs more than {SECONDS} s of a processor for this page. Look at its text cells"
            raise CourseError(reason) from error
        raise
    finally:
        over = True
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def _unwarned() -> Iterator[None]:
    """Keep to ourselves what nbgrader's own libraries warn it of: an instructor can do nothing about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
