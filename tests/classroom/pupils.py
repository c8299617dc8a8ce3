"""A class of submissions to sheet 1, each with the marks it must get, known from how it was made."""

import copy
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

sys.path.insert(0, str(Path(__file__).parent.parent / "exercises"))
from sheets import SHEETS
from wrong_answers import WRONG

from mnist_helpers.runtime import ROOT

NAME = "01_data"
SHEET = SHEETS[NAME]
POINTS = {"sizes": 2, "image_at": 3, "class_shares": 2, "standardise": 2, "nearest_mean": 3, "hold_out": 3, "shift": 3}
ALL = set(POINTS)


@dataclass
class Pupil:
    """What one student hands in, which exercises must count as solved, and words that must stand in the remarks."""

    content: bytes
    right: set[str] | None  # nothing for a page that cannot be marked
    remarks: tuple[str, ...] = ()
    hints: dict[str, str] = field(default_factory=dict)
    path: str = f"{NAME}.ipynb"

    @property
    def points(self) -> int:
        return sum(POINTS[name] for name in self.right)


def page(solved: set[str] = frozenset(), answers: dict[str, str] | None = None) -> NotebookNode:
    """Return a sheet as handed out, with solutions for some exercises and other answers for others."""
    notebook = copy.deepcopy(SHEET.page)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if name in ALL:
            cell.source = SHEET.solutions[name] if name in solved else SHEET.stub(name)
            cell.source = (answers or {}).get(name, cell.source)
        elif name.endswith("-check"):
            cell.source = cell.source.split("### END HIDDEN TESTS\n")[1]
        elif name == "which_digits":
            cell.source = "YOUR ANSWER HERE"
    return notebook


def written(notebook: NotebookNode) -> bytes:
    return json.dumps(notebook).encode()  # not nbformat's: it would mend what is broken on purpose


def answer(name: str, body: str) -> str:
    """Return a definition of an exercise's function with another body."""
    head = SHEET.solutions[name].split("\n")[0]
    return "\n".join([head, *(f"    {line}" for line in body.split("\n"))])


def edited(name: str, place: int) -> tuple[str, str]:
    """Return a typical wrong answer, and a word of the hint for it."""
    old, new, hint = WRONG[name][place]
    return SHEET.solutions[name].replace(old, new), hint


def with_body(name: str, body: str) -> bytes:
    """Return a page where everything is solved but one exercise, which does something else."""
    return written(page(ALL - {name}, {name: answer(name, body)}))


def changed(change: Callable[[list[NotebookNode]], None], **how) -> bytes:
    notebook = page(**(how or {"solved": ALL}))
    change(notebook.cells)
    return written(notebook)


def index(cells: list[NotebookNode], mark: str) -> int:
    return next(i for i, cell in enumerate(cells) if cell.metadata.get("nbgrader", {}).get("grade_id") == mark)


def before(mark: str, source: str, **how) -> bytes:
    """Return a page with a cell of the student's own before another."""
    return changed(lambda cells: cells.insert(index(cells, mark), new_code_cell(source)), **how)


def delete(*marks: str) -> bytes:
    return changed(lambda cells: [cells.pop(index(cells, mark)) for mark in marks])


def double(cells: list[NotebookNode]) -> None:
    """Copy a solution below itself, and spoil the copy, as someone who tries something out."""
    at = index(cells, "sizes")
    copied = copy.deepcopy(cells[at])
    copied.source = edited("sizes", 0)[0]
    cells.insert(at + 1, copied)


def puts_a_script_in(cells: list[NotebookNode]) -> None:
    """Try to reach who reads the feedback, and whoever prints."""
    cells.insert(index(cells, "sizes"), new_code_cell("import builtins; builtins.print = None"))
    cells.insert(1, new_markdown_cell(SCRIPT))


NO_ANSWER_RUNS = """
class Lenient:
    def __getattr__(self, name):
        return lambda answer: print("Right. Well done!")
checks = Lenient()
"""
PATCHED = """
import builtins, sys
import numpy as np, torch
import mnist_helpers.checks.exercise as exercise
import mnist_helpers.classroom.trial as trial
torch.allclose = np.allclose = exercise.same = exercise.alike = lambda *a, **k: True
exercise.Exercise.judge = lambda self, *a: exercise.Verdict(exercise.Status.RIGHT, "")
builtins.all = lambda *a: True
"""
FORGED = """
import json, sys
import mnist_helpers.classroom.trial as trial
from IPython.display import display
def forge(chapter, exercise, seeds, answer):
    display({trial.OUTCOMES_MIME: json.dumps([{"value": {"array": "AAAA", "dtype": "|O", "shape": [10**9]},
        "error": "", "changed": False}] * len(seeds))}, raw=True)
trial.show_outcomes = forge
"""
# Asleep: it waits for the limit of a whole sheet, and the class should not be slow for it.
LOOPS_ON = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(9)"
REACHES_OUT = "import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=3).close()\n"
SPIES = "assert not [p for p in Path('{folder}').rglob('*')]\n"
STAYS = "import subprocess\nsubprocess.Popen(['sleep', '{seconds}'], start_new_session=True)\n"
STAYING = "86399.25"  # seconds, by which the process is known again
ENDS_ITS_RUNNER = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"
FILLS_THE_DISK = """
import os
from pathlib import Path
for folder in (os.environ["HOME"], "/tmp", "/dev/shm"):
    try:
        for number in range(10):
            Path(folder, f"full-{number}").write_bytes(bytes(40_000_000))
    except OSError:
        pass
"""
REMOUNTS = """import os, subprocess
from pathlib import Path
subprocess.run("mount -o remount,rw,bind /; mount -o remount,rw /", shell=True, capture_output=True)
assert not os.access({root!r}, os.W_OK) and not any(path.is_socket() for path in Path("/run").rglob("*"))
"""
SCRIPT = "<script>document.title = 'taken over'</script><img src=x onerror=\"document.title='taken over'\">"


def pupils(port: int, folder: Path) -> dict[str, Pupil]:
    """Return the class: names, and what each hands in; `port` listens, and `folder` is where all of it lies."""
    body = SHEET.solutions["sizes"].split("\n", 1)[1]
    solution = "\n".join(line[4:] for line in body.split("\n") if line.strip() and "SOLUTION" not in line)
    some = list(POINTS)
    found = {
        "perfect": Pupil(written(page(ALL)), ALL),
        "untouched": Pupil(written(page()), set(), hints=dict.fromkeys(ALL, "Not attempted")),
        "solved_four": Pupil(written(page(set(some[:4]))), set(some[:4]), path="my homework (final) v2.ipynb"),
    }
    for start in (0, 1):  # every second answer is wrong
        wrong = {name: edited(name, 0) for name in some[start::2]}
        content = written(page(ALL, {name: source for name, (source, _) in wrong.items()}))
        hints = {name: hint for name, (_, hint) in wrong.items()}
        found[f"wrong_from_{start}"] = Pupil(content, ALL - set(wrong), hints=hints, path=f"{NAME}/{NAME}.ipynb")
    hostile = {
        "crashes": Pupil(
            before("standardise", "import os; os._exit(1)"), set(some[:3]), ("ended early",), {"shift": "died"}
        ),
        "never_ends": Pupil(with_body("image_at", "while True: pass"), ALL - {"image_at"}, hints={"image_at": "loop"}),
        "cannot_be_stopped": Pupil(with_body("shift", LOOPS_ON), ALL - {"shift"}, hints={"shift": "The run"}),
        "takes_2_GB": Pupil(
            with_body("shift", "return bytearray(2 * 10**9)"), ALL - {"shift"}, hints={"shift": "Memory"}
        ),
        "prints_for_ever": Pupil(before("sizes", "while True: print('x' * 1000)"), ALL, ("was stopped after",)),
        "deleted_cells": Pupil(
            delete("hold_out-check", "shift"), ALL - {"shift"}, ("hold_out-check was deleted", "shift was deleted")
        ),
        "doubled_cells": Pupil(changed(double), ALL - {"sizes"}, ("more than once",), {"sizes": "wrong order"}),
        "not_json": Pupil(written(page(ALL))[:-200], set(), ("cannot be read as a notebook",)),
        "another_page": Pupil(json.dumps(nbformat.v4.new_notebook()).encode(), set(), ("holds no cell",)),
        "overwrites_checks": Pupil(before("sizes", NO_ANSWER_RUNS, solved=set()), set()),
        "patches_torch": Pupil(before("sizes", PATCHED, solved=set(), answers={"sizes": "sizes = abs"}), set()),
        "forges_results": Pupil(before("sizes", FORGED, solved=set()), set(), hints={"sizes": "cannot be read"}),
        "reaches_out": Pupil(with_body("sizes", REACHES_OUT.format(port=port) + solution), ALL - {"sizes"}),
        "spies": Pupil(
            with_body("sizes", REMOUNTS.format(root=str(ROOT)) + SPIES.format(folder=folder) + solution), ALL
        ),
        "leaves_a_process": Pupil(before("sizes", STAYS.format(seconds=STAYING), solved=ALL), ALL),
        "ends_its_runner": Pupil(before("sizes", ENDS_ITS_RUNNER), None, ("the process that ran it ended",)),
        "fills_the_disk": Pupil(before("sizes", FILLS_THE_DISK), ALL),
        "puts_a_script_in": Pupil(changed(puts_a_script_in), ALL),
        "=HYPERLINK(evil)": Pupil(b"%PDF-1.4 my solutions", set(), ("not a notebook",), path="solutions.pdf"),
    }
    return found | hostile
