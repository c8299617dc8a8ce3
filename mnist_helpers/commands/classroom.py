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


class Rerun(StrEnum):
    """Which submissions `grade` runs."""

    CHANGED = "changed"
    ALL = "all"
    NO = "no"


def grade(
    submissions: Annotated[
        Path | None, typer.Argument(help="a folder or a zip, with a folder for each student")
    ] = None,
    sheets: Annotated[str, typer.Option(help='which sheets to mark: "01 04"; all if empty')] = "",
    rerun: Annotated[
        Rerun, typer.Option(help="run what has changed, or all; no: write the tables from the book of marks")
    ] = Rerun.CHANGED,
    seconds: Annotated[int, typer.Option(min=10, help="for a whole submission")] = 300,
    cell_seconds: Annotated[int, typer.Option(min=1, help="for one cell")] = 60,
    memory: Annotated[float, typer.Option(min=1, help="GiB for each process of a submission")] = 2,
) -> None:
    """Mark a class with nbgrader: marks as CSV, feedback as HTML, and a page about the class."""
    from mnist_helpers.classroom import gradebook, isolation, marking, report  # noqa: F401 - all that may be missing

    if (submissions is None) != (rerun is Rerun.NO):
        raise UsageError(
            "Name a folder or a zip to mark. From the book of marks alone the tables are written with --rerun no."
            if submissions is None
            else "--rerun no writes the tables from the book of marks, and reads no submissions. Leave them out."
        )
    names = gradebook.sheet_names(sheets)
    limits = isolation.Limits(seconds, cell_seconds, int(memory * 2**30))
    if submissions is None:
        records, lines = marking.open_records(), ["Nothing was run: these are the marks in the book."]
        found = marking.marked_before(records, names)
    else:
        records, lines, found = _run(submissions, names, limits, rerun is Rerun.ALL)
    marked = []
    for one in found:
        marked.append(one)
        points = f"{one.points:4g} of {one.most:g}" if one.marks else "not marked"
        say(f"{one.student:24} {one.sheet:26} {points}  {' '.join(one.remarks)}".rstrip())
    if not marked:
        raise CourseError(f"There are no marks of these sheets in {records.book.folder}: {', '.join(names)}.")
    _write_tables(marked, lines, records)


def _run(
    submissions: Path, names: list[str], limits: "Limits", again: bool
) -> "tuple[Records, list[str], Iterator[MarkedSubmission]]":
    """Sort out what was handed in; return the records, how it is run, and the submissions as they get marked."""
    from mnist_helpers.classroom import isolation, marking
    from mnist_helpers.classroom.class_guesses import guesses_apart, keep_guesses
    from mnist_helpers.classroom.submissions import handed_in, left_out, sort_out

    files, guesses = guesses_apart(handed_in(submissions))
    lines = isolation.what_is_isolated(limits)
    say("\n".join([*lines, *left_out(files)]) + "\n")
    records = marking.open_records()
    book = records.book
    given = {name: book.hand_out(name) for name in names}
    known = book.known_students()
    found = sort_out(files, given, known)
    book.remember_students(known)
    for name, own in guesses.items():
        keep_guesses(book.folder, known[name], own)
    hidden = [book.folder, submissions.resolve()]
    return records, lines, marking.mark_class(found, records, limits, hidden, at_once=cores(), again=again)


def _write_tables(marked: "list[MarkedSubmission]", lines: list[str], records: "Records") -> None:
    """Write the marks and the pages about the class, and say where they are and what is left to do."""
    from mnist_helpers.classroom import imports, report
    from mnist_helpers.classroom.class_guesses import class_guesses

    book = records.book
    folder, sheets = book.folder / "marks", sorted({one.sheet for one in marked})
    report.write_marks(marked, folder / "marks.csv")
    report.write_class(marked, lines, folder, class_guesses(book.folder, sheets))
    say(f"\nMarks: {folder / 'marks.csv'}\nThe class: {folder / 'class.html'} and class.json")
    for path in imports.write_imports(marked, folder):
        say(f"For {path.stem.partition('-')[0].capitalize()}'s import: {path}")
    pairs = report.write_alike(book, sheets, folder)
    say(f"Whose code is alike: {folder / 'alike.html'} ({pairs} pairs to look at)")
    by_hand = [(sheet, task, text) for sheet in sheets for task, text in book.remarks_by_hand(sheet)]
    say(f"Hints, and what you say about them: {records.bank.write(by_hand)}")
    say(f"Feedback for each student: {book.folder / 'feedback'}")
    waiting = sum(mark.waits for one in marked for mark in one.marks)
    if waiting:
        say(f"Answers in words that wait to be marked by hand: {waiting} (docs/instructor.md says how)")
    unmarked = sum(not one.marks for one in marked)
    if unmarked:
        say(f"Not marked: {unmarked} of {len(marked)}. The remarks say why; earlier marks stay.", err=True)
        raise typer.Exit(1)


def hub(
    users: Annotated[str, typer.Option(help="names of the users")] = "instructor ann bob cid",
    port: Annotated[int, typer.Option(min=1024, max=65_000, help="and the three after it")] = 8000,
) -> None:
    """Start a JupyterHub on this machine, with the student edition for each user and the pad as a service."""
    from mnist_helpers.classroom import hub as hubs

    password = hubs.new_password(os.environ.get("MNIST_HUB_PASSWORD", ""))
    ours = hubs.Hub(hubs.FOLDER, port, hubs.check_users(users), password)
    say("Preparing the course, its environment and the proxy; the first time that takes some minutes …")
    hubs.prepare(ours)
    process = hubs.start(ours)
    say(
        f"\nThe hub: {ours.address} (this machine only)\nUsers: {', '.join(ours.users)}. Their password: {password}\n"
        f"The link to hand out: {ours.link()}\nThe pad: {ours.address}/services/digits/\nControl-C ends it.\n"
    )
    hubs.wait(process)
