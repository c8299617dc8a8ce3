"""Commands for instructors: hand out, keep the solutions, mark."""

from pathlib import Path
from typing import Annotated

import typer

from mnist_helpers.commands.terminal import say
from mnist_helpers.runtime import environment_report
from mnist_helpers.startup import cores


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


def grade(
    submissions: Annotated[Path, typer.Argument(help="a folder or a zip, with a folder for each student")],
    sheets: Annotated[str, typer.Option(help='which sheets to mark: "01 04"; all if empty')] = "",
    seconds: Annotated[int, typer.Option(min=10, help="for a whole submission")] = 300,
    cell_seconds: Annotated[int, typer.Option(min=1, help="for one cell")] = 60,
    memory: Annotated[float, typer.Option(min=1, help="GiB for each process of a submission")] = 2,
) -> None:
    """Mark a class with nbgrader: marks as CSV, feedback as HTML, and a page about the class."""
    from mnist_helpers.classroom import gradebook, isolation, marking, report
    from mnist_helpers.classroom.submissions import handed_in, left_out, sort_out

    limits = isolation.Limits(seconds, cell_seconds, int(memory * 2**30))
    names = gradebook.sheet_names(sheets)
    files = handed_in(submissions)
    lines = isolation.what_is_isolated(limits)
    say("\n".join([*lines, *left_out(files)]) + "\n")
    book = gradebook.Gradebook()
    given = {name: book.hand_out(name) for name in names}
    known = book.known_students()
    found = sort_out(files, given, known)
    book.remember_students(known)
    hidden = [book.folder, submissions.resolve()]
    marked = []
    for one in marking.mark_class(found, book, limits, hidden, at_once=cores()):
        marked.append(one)
        points = f"{one.points:4g} of {one.most:g}" if one.marks else "not marked"
        say(f"{one.student:24} {one.sheet:26} {points}  {' '.join(one.remarks)}".rstrip())
    folder = book.folder / "marks"
    report.write_marks(marked, folder / "marks.csv")
    report.write_class(marked, lines, folder)
    waiting = sum(mark.waits for one in marked for mark in one.marks)
    say(f"\nMarks: {folder / 'marks.csv'}\nThe class: {folder / 'class.html'} and class.json")
    say(f"Feedback for each student: {book.folder / 'feedback'}")
    if waiting:
        say(f"Answers in words that wait to be marked by hand: {waiting} (docs/instructor.md says how)")
    unmarked = sum(not one.marks for one in marked)
    if unmarked:
        say(f"Not marked: {unmarked} of {len(marked)}. The remarks say why; earlier marks stay.", err=True)
        raise typer.Exit(1)
