"""Commands for instructors: hand out, keep the solutions, mark."""

import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnist_helpers.commands.terminal import say
from mnist_helpers.errors import CourseError, UsageError
from mnist_helpers.runtime import environment_report
from mnist_helpers.startup import cores

if TYPE_CHECKING:
    from mnist_helpers.classroom.isolation import Limits
    from mnist_helpers.classroom.marking import MarkedSubmission, Records


def student() -> None:
    """Make the student edition in build/student/, and a zip of it: no solutions, no outputs, no hidden tests."""
    from mnist_helpers.classroom import handouts

    say(f"The student edition is in {handouts.STUDENT} and in {handouts.make_student_edition()}")


def solutions(sheets: Annotated[str, typer.Option(help='which ones: "01 04"; all if empty')] = "") -> None:
    """Run the exercise sheets with their solutions into build/solutions/, with notes for teaching."""
    from mnist_helpers.classroom import handouts
    from mnist_helpers.course import runner

    results = handouts.make_solutions(choice=sheets)
    say(f"\n{environment_report()}\n{runner.results_table(results)}")
    say(f"The instructor's edition is in {handouts.SOLUTIONS}")
    raise typer.Exit(int(any(result.failure for result in results)))


def exam(
    seed: Annotated[int | None, typer.Option(min=0, max=999_999_999, help="the same one gives the same exam")] = None,
    students: Annotated[Path | None, typer.Option(help="a text file with a student's name in each line")] = None,
) -> None:
    """Make a mock exam in build/exam-SEED/: six tasks, and a paper with its own numbers for each student."""
    from mnist_helpers.classroom import exams, gradebook
    from mnist_helpers.classroom.submissions import student_ids

    if seed is None:
        raise UsageError("An exam needs a seed, a whole number of your choice: --seed 7 (make exam SEED=7).")
    gradebook.sheet_names()  # as all that hands out and marks, it needs a checkout
    names = exams.read_names(students) if students else []
    book = gradebook.Gradebook()
    known = book.known_students()
    new = [one for one in names if one not in known] if known else []
    owners = exams.folders(student_ids(names or list(known), known)) or {exams.NOBODY: exams.NOBODY}
    name = exams.exam_name(seed)
    book.hand_out(name)
    folder = exams.make_exam(seed, owners)
    book.remember_students(owners | known if known else known)
    say(
        f"Papers: {len(owners)} ({_few(list(owners))}), in {folder / 'papers'}, and all of them in papers.zip beside it"
    )
    if new:
        say(f"New, or spelt differently from before: {len(new)} ({_few(new)})")
    say(f"Their solutions: {folder / 'solutions'}\nWhen they come back: make grade SUBMISSIONS=class.zip SHEETS={name}")


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


class Rerun(StrEnum):
    """Which submissions `grade` runs."""

    CHANGED = "changed"
    ALL = "all"
    NO = "no"


def grade(
    submissions: Annotated[
        Path | None, typer.Argument(help="a folder or a zip, with a folder for each student")
    ] = None,
    sheets: Annotated[str, typer.Option(help='which to mark: "01 exam-7"; all sheets, and no exam, if empty')] = "",
    rerun: Annotated[
        Rerun, typer.Option(help="run what has changed, or all; no: write the tables from the book of marks")
    ] = Rerun.CHANGED,
    seconds: Annotated[int, typer.Option(min=10, help="for a whole submission")] = 300,
    cell_seconds: Annotated[int, typer.Option(min=1, help="for one cell")] = 60,
    memory: Annotated[float, typer.Option(min=1, help="GiB for each process of a submission")] = 2,
    not_shut_in: Annotated[
        bool, typer.Option("--not-shut-in", help="mark without bubblewrap, on a machine that holds nothing else")
    ] = False,
) -> None:
    """Mark a class with nbgrader: marks as CSV, feedback as HTML, and a page about the class."""
    from mnist_helpers.classroom import gradebook, isolation, marking, report  # noqa: F401 - all that may be missing

    if (submissions is None) != (rerun is Rerun.NO):
        raise UsageError(
            "Name a folder or a zip to mark. From the book of marks alone the tables are written with --rerun no."
            if submissions is None
            else "--rerun no writes the tables from the book of marks, and reads no submissions. Leave them out."
        )
    if submissions is not None and not not_shut_in:
        isolation.need_bubblewrap()
    names = gradebook.names_to_mark(sheets)
    limits = isolation.Limits(seconds, cell_seconds, int(memory * 2**30))
    if submissions is None:
        records, lines = marking.open_records(), ["Nothing was run: these are the marks in the book."]
        found = marking.marked_before(records, names)
    else:
        records, lines, found = _begin(submissions, names, limits, rerun is Rerun.ALL)
    marked = [_told(one) for one in found]
    if not marked:
        raise CourseError(f"There are no marks of these sheets in {records.book.folder}: {', '.join(names)}.")
    if kept := sum(not one.ran for one in marked) if submissions else 0:
        lines.append(f"{kept} of {len(marked)} were not run this time: nothing had changed, or nothing could be read.")
    _write_tables(sorted(marked, key=lambda one: (one.student, one.sheet)), lines, records)


def _told(one: "MarkedSubmission") -> "MarkedSubmission":
    """Print what came of a submission, and return it."""
    points = f"{one.points:4g} of {one.most:g}" if one.marks else "not marked"
    say(f"{one.student:24} {one.sheet:26} {points}  {' '.join(one.remarks)}".rstrip())
    return one


def _begin(
    submissions: Path, names: list[str], limits: "Limits", again: bool
) -> "tuple[Records, list[str], Iterator[MarkedSubmission]]":
    """Sort out what was handed in; return the records, how it is run, and the submissions as they get marked."""
    from mnist_helpers.classroom import exchange, hub, isolation, marking
    from mnist_helpers.classroom.class_guesses import guesses_apart, keep_guesses
    from mnist_helpers.classroom.submissions import handed_in, left_out, short, sort_out

    in_exchange = exchange.is_inbound(submissions)
    came = exchange.handed_in(submissions, names) if in_exchange else handed_in(submissions)
    files, guesses = guesses_apart(came)
    lines = isolation.what_is_isolated(limits)
    say("\n".join([*lines, *left_out(files)]) + "\n")
    records = marking.open_records()
    book = records.book
    given = {name: book.hand_out(name) for name in names}
    known = book.known_students()
    found = sort_out(files, given, known)
    book.remember_students(known)
    for name, own in guesses.items():
        try:
            keep_guesses(book.folder, known[name], own)
        except KeyError:
            say(f"{short(name)} handed in guesses and no sheet; they were left out.")
        except OSError as error:
            say(f"The guesses of {known[name]} could not be kept ({error.strerror}).", err=True)
    others = exchange.hidden(submissions) if in_exchange else [submissions.resolve()]
    hidden = [book.folder, *others, *([hub.FOLDER] if hub.FOLDER.exists() else [])]
    return records, lines, marking.mark_class(found, records, limits, hidden, at_once=cores(), again=again)


def _write_tables(marked: "list[MarkedSubmission]", lines: list[str], records: "Records") -> None:
    """Write the marks and the pages about the class, and say where they are and what is left to do.

    A table that cannot be written keeps none of the others from being written.
    """
    failed = 0
    say("")
    for write in (_marks, _class_page, _guesses, _imports, _similar_code, _remarks):
        try:
            if told := write(marked, lines, records):
                say(told)
        except Exception as error:  # a disk that is full, a table that is open elsewhere, a page of a stranger's
            failed += 1
            kind = "" if isinstance(error, CourseError) else f"{type(error).__name__}: "
            say(f"error: A table could not be written. {kind}{error}", err=True)
    say(f"Feedback for each student: {records.book.folder / 'feedback'}")
    if waiting := sum(mark.waits for one in marked for mark in one.marks):
        say(f"Written answers still to be marked: {waiting} (docs/instructor.md says how)")
    if unmarked := sum(not one.marks for one in marked):
        say(f"Not marked: {unmarked} of {len(marked)}. The remarks say why; earlier marks stay.", err=True)
    if unmarked or failed:
        raise typer.Exit(1)


def _marks(marked: "list[MarkedSubmission]", _lines: list[str], records: "Records") -> str:
    from mnist_helpers.classroom import report

    path = records.book.folder / "marks" / "marks.csv"
    report.write_marks(marked, path)
    return f"Marks: {path}"


def _class_page(marked: "list[MarkedSubmission]", lines: list[str], records: "Records") -> str:
    from mnist_helpers.classroom import report

    folder = records.book.folder / "marks"
    report.write_class(marked, lines, folder)
    return f"The class: {folder / 'class.html'} and class.json"


def _guesses(marked: "list[MarkedSubmission]", _lines: list[str], records: "Records") -> str:
    from mnist_helpers.classroom import report
    from mnist_helpers.classroom.class_guesses import class_guesses

    guessed = class_guesses(records.book.folder, _sheets(marked))
    path = report.write_guesses(guessed, records.book.folder / "marks")
    return f"What the class guessed, without names: {path}" if path else ""


def _imports(marked: "list[MarkedSubmission]", _lines: list[str], records: "Records") -> str:
    from mnist_helpers.classroom import imports

    written = imports.write_imports(marked, records.book.folder / "marks")
    return "\n".join(f"For {path.stem.partition('-')[0].capitalize()}'s import: {path}" for path in written)


def _similar_code(marked: "list[MarkedSubmission]", _lines: list[str], records: "Records") -> str:
    from mnist_helpers.classroom import report

    folder = records.book.folder / "marks"
    pairs = report.write_alike(records.book, _sheets(marked), folder)
    return f"Similar code: {folder / 'alike.html'} (pairs to look at: {pairs})"


def _remarks(marked: "list[MarkedSubmission]", _lines: list[str], records: "Records") -> str:
    by_hand = [(sheet, task, text) for sheet in _sheets(marked) for task, text in records.book.remarks_by_hand(sheet)]
    return f"Hints, and your remarks on them: {records.bank.write(by_hand)}"


def _sheets(marked: "list[MarkedSubmission]") -> list[str]:
    return sorted({one.sheet for one in marked})


def hub(
    users: Annotated[str, typer.Option(help="names of the users")] = "instructor ann bob cid",
    port: Annotated[int, typer.Option(min=1024, max=65_000, help="and the three after it")] = 8000,
) -> None:
    """Start a JupyterHub on this machine, with the student edition for each user and the pad as a service."""
    from mnist_helpers.classroom import hub as hubs

    ours = hubs.Hub(
        hubs.FOLDER, port, hubs.check_users(users), hubs.new_password(os.environ.get("MNIST_HUB_PASSWORD", ""))
    )
    hubs.check_ports(ours)
    say("Preparing the course, its environment and the proxy; the first time that takes some minutes …")
    hubs.prepare(ours)
    with hubs.started(ours) as process:
        say(
            f"\nThe hub: {ours.address} (this machine only)\n"
            f"Users: {', '.join(ours.users)}. Their password: {ours.password}\n"
            f"The link to hand out: {ours.link()}\nThe pad: {ours.address}/services/digits/\n"
            "Everybody's server runs as you, and can read what you can: this is for trying out a hub.\n"
            "Control-C ends it.\n"
        )
        status = process.wait()
    raise CourseError(f"The hub stopped with {status}. What it said is above.")
