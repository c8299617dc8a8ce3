"""Run the page of a submission, cell by cell, in a kernel; this process and its kernel are isolated by `isolation`.

The page comes from standard input. To standard output goes a line of JSON when a cell begins and when it ends, and a
last one when all is over, so that what was written stays, whatever happens next.
Nothing is judged here. A check cell only shows what the student's function returned, as text; a submission that
changes the checks, torch or Python itself changes them for itself alone.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from mnist_helpers.startup import leave_out_iri_grammar

leave_out_iri_grammar()  # before nbformat is loaded

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from mnist_helpers.course.kernel import RUNNING

OUTCOMES_MIME = "application/x-mnist-outcomes"
MOST_OUTPUT = 200_000  # characters that a cell prints; what comes after is dropped
PICTURES = 10  # times as much: a figure is long as text
LIBRARIES = 6 * 2**30  # bytes of addresses that torch takes for itself; mapped memory counts among them
FILES_AT_MOST = 50_000_000  # bytes of a file that a submission writes


def check_cell(sheet: str, exercise: str, seeds: list[int]) -> str:
    """Return the code that stands in for a check of a sheet, or of an exam's paper, while a submission runs."""
    return (
        "from mnist_helpers.classroom.trial import show_outcomes\n"
        f"show_outcomes({sheet!r}, {exercise!r}, {seeds}, lambda: {exercise})"
    )


def show_outcomes(sheet: str, exercise: str, seeds: list[int], answer: Callable[[], Callable]) -> None:
    """Try an answer with the input of each seed, and show what came of it; `answer` finds the function by its name."""
    from IPython.display import display

    from mnist_helpers.checks.chapters import exercise_of
    from mnist_helpers.classroom.outcomes import write_outcomes

    outcomes = exercise_of(sheet, exercise).try_out(lambda *given: answer()(*given), seeds)
    display({OUTCOMES_MIME: write_outcomes(outcomes)}, raw=True)


class TolerantClient(NotebookClient):
    """nbclient's, which goes on after a cell that fails or never ends, and drops what a cell writes without end."""

    written: tuple[int, int] = (-1, 0)  # cell, characters

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Take a message of the kernel in, unless its cell has written enough."""
        (number, count), kind, content = self.written, msg["msg_type"], msg["content"]
        if kind == "status" or OUTCOMES_MIME in content.get("data", {}):
            return super().process_message(msg, cell, cell_index)
        size = len(json.dumps(content, default=str))
        if kind != "error":  # how a cell ended is heard whatever it printed before
            self.written = cell_index, size + (count if number == cell_index else 0)
            size = self.written[1]
        if size > MOST_OUTPUT * (1 if kind in ("stream", "error") else PICTURES):
            return None
        return super().process_message(msg, cell, cell_index)


def run_page(page: NotebookNode, cell_seconds: int, tell: Callable[[dict[str, Any]], None]) -> None:
    """Run a page, and tell of each cell when it begins and what it showed; at last, why it ended early, if it did."""
    begun: list[int] = []

    def tell_last() -> None:  # when the next one begins: before, its outputs are in pieces
        for index in begun[-1:]:
            tell({"cell": index, "outputs": page.cells[index].outputs})

    def begin(cell_index: int, **_details: Any) -> None:
        tell_last()
        begun.append(cell_index)
        tell({"begun": cell_index})

    client = TolerantClient(
        page,
        timeout=cell_seconds,
        interrupt_on_timeout=True,
        allow_errors=True,
        record_timing=False,
        on_cell_execute=begin,
        **RUNNING,
    )
    ended = ""
    try:
        client.execute()
    except DeadKernelError:
        ended = "its Python process died"
    except CellTimeoutError:
        ended = f"a cell ran longer than {cell_seconds} seconds and could not be stopped"
    tell_last()
    tell({"ended": ended})


def open_results() -> Callable[[dict[str, Any]], None]:
    """Return what writes lines to this process's standard output, which no cell can print to from now on."""
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(line: dict[str, Any]) -> None:
        results.write(json.dumps(line) + "\n")
        results.flush()

    return tell


def limit(memory: int) -> None:
    """Let this process and those it starts have so many bytes of memory each, and write no larger files."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limits
        return
    if sys.platform == "linux":  # elsewhere it does not hold
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        resource.setrlimit(resource.RLIMIT_AS, (memory + LIBRARIES, memory + LIBRARIES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILES_AT_MOST, FILES_AT_MOST))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    limit(memory=int(sys.argv[2]))
    run_page(nbformat.read(sys.stdin, as_version=4), int(sys.argv[1]), open_results())
