"""Run the page of a submission, cell by cell, in a kernel; this process and its kernel are shut in by `isolation`.

Nothing is judged here. A check cell only shows what the student's function returned, as text; a submission that
changes the checks, torch or Python itself changes them for itself alone.
"""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from mnist_helpers.course.kernel import RUNNING

OUTCOMES_MIME = "application/x-mnist-outcomes"
PAGE, RESULT = "page.ipynb", "result.ipynb"
MOST_OUTPUT = 200_000  # characters that a cell prints; what comes after is dropped
PICTURES = 10  # times as much: a figure is long as text
LIBRARIES = 6 * 2**30  # bytes of addresses that torch takes for itself; mapped memory counts among them
FILES_AT_MOST = 50_000_000  # bytes of a file that a submission writes


def check_cell(chapter: str, exercise: str, seeds: list[int]) -> str:
    """Return the code that stands in for a check while a submission runs."""
    return (
        "from mnist_helpers.classroom.trial import show_outcomes\n"
        f"show_outcomes({chapter!r}, {exercise!r}, {seeds}, lambda: {exercise})"
    )


def show_outcomes(chapter: str, exercise: str, seeds: list[int], answer: Callable[[], Callable]) -> None:
    """Try an answer with the input of each seed, and show what came of it; `answer` finds the function by its name."""
    from IPython.display import display

    from mnist_helpers.classroom.outcomes import write_outcomes

    check = getattr(importlib.import_module(f"mnist_helpers.checks.{chapter}"), exercise)
    outcomes = check.try_out(lambda *given: answer()(*given), seeds)
    display({OUTCOMES_MIME: write_outcomes(outcomes)}, raw=True)


class TolerantClient(NotebookClient):
    """nbclient's, which goes on after a cell that fails or never ends, and drops what a cell writes without end."""

    written: tuple[int, int] = (-1, 0)  # cell, characters

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Take a message of the kernel in, unless its cell has written enough."""
        number, count = self.written
        content = msg["content"]
        if msg["msg_type"] == "stream" or (
            msg["msg_type"] != "status" and OUTCOMES_MIME not in content.get("data", {})
        ):
            self.written = cell_index, len(json.dumps(content, default=str)) + (count if number == cell_index else 0)
            if self.written[1] > MOST_OUTPUT * (1 if msg["msg_type"] == "stream" else PICTURES):
                return None
        return super().process_message(msg, cell, cell_index)


def run_page(folder: Path, cell_seconds: int) -> None:
    """Run the page in a folder and write it with its outputs, after each cell anew, so that what is there is kept."""
    page = nbformat.read(folder / PAGE, as_version=4)

    def keep(**_details: Any) -> None:
        temporary = folder / f".{RESULT}"
        nbformat.write(page, temporary)
        temporary.replace(folder / RESULT)

    def begin(cell: NotebookNode, **_details: Any) -> None:
        cell.metadata["begun"] = True

    client = TolerantClient(
        page,
        timeout=cell_seconds,
        interrupt_on_timeout=True,
        allow_errors=True,
        record_timing=False,
        on_cell_start=begin,
        on_cell_executed=keep,
        **RUNNING,
    )
    try:
        client.execute()
    except DeadKernelError:
        page.metadata["ended"] = "its Python process died"
    except CellTimeoutError:
        page.metadata["ended"] = f"a cell ran longer than {cell_seconds} seconds and could not be stopped"
    keep()


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
    limit(memory=int(sys.argv[3]))
    run_page(Path(sys.argv[1]), cell_seconds=int(sys.argv[2]))
