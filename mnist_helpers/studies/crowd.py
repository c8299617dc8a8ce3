"""How long a training takes when it is not alone on the machine, and what the way in which threads wait does to that.

A neighbour is a program that keeps one core busy: a browser, a video call. A student is another such training.
"""

import contextlib
import multiprocessing
import os
import statistics
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier

from mnist_helpers.data import load_part
from mnist_helpers.models import build_model
from mnist_helpers.recipes import get_recipe
from mnist_helpers.startup import SPIN_VARIABLE, SPINS, WAITING_VARIABLE, keep_memory
from mnist_helpers.studies.ladder import Rung, climb, rungs
from mnist_helpers.studies.markdown import markdown_table

IMAGES = 20_000  # of each training
TURNS = 2  # of all ways, one after the other: a machine is not as quick in every minute
TIMES = 2  # that each student trains in a turn
AT_MOST = 4.0  # seconds of one training; what takes longer is extrapolated from its steps
PATIENCE = 600  # seconds to wait for a student who fails to come

WAYS: dict[str, dict[str, str]] = {
    "awake for a moment, as the course sets it": {WAITING_VARIABLE: "passive", SPIN_VARIABLE: SPINS},
    "awake five times as long": {WAITING_VARIABLE: "passive", SPIN_VARIABLE: str(5 * int(SPINS))},
    "asleep at once": {WAITING_VARIABLE: "passive"},
    "awake, as OpenMP does": {},
    "one thread: nobody waits": {WAITING_VARIABLE: "passive", "OMP_NUM_THREADS": "1"},
}
TOLD = (WAITING_VARIABLE, SPIN_VARIABLE, "OMP_NUM_THREADS", "MNIST_THREADS")


@dataclass(frozen=True)
class Crowd:
    """Who computes at once: students, each training, and busy neighbours."""

    name: str
    students: int = 1
    neighbours: int = 0


CROWDS = (
    Crowd("alone"),
    Crowd("a busy neighbour", neighbours=1),
    Crowd("two of them", neighbours=2),
    Crowd("four students", students=4),
)


def trainings() -> dict[str, Rung]:
    """Return a training of small steps and one of large ones."""
    large = Rung("", get_recipe("vgg"), lambda: build_model("vgg", get_recipe("vgg").dropout))
    return {"`fastest-99`": rungs()[-1], "`vgg`": large}


def seconds_in(crowd: Crowd, way: str, training: str) -> list[float]:
    """Let the students of a crowd train at once, and return the seconds of an epoch of each training of theirs."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(crowd.students)
    with _told(WAYS[way]), ProcessPoolExecutor(crowd.students, context, _meet_at, (barrier,)) as pool:
        neighbours = [context.Process(target=_be_busy, daemon=True) for _ in range(crowd.neighbours)]
        for neighbour in neighbours:
            neighbour.start()
        try:
            given = pool.map(_student, [training] * crowd.students, range(crowd.students))
            return [seconds for one in given for seconds in one]
        finally:
            for neighbour in neighbours:
                neighbour.kill()


@contextlib.contextmanager
def _told(variables: dict[str, str]) -> Iterator[None]:
    """Let the processes that are started in this block know these variables, and none that say otherwise."""
    before = {name: os.environ.pop(name) for name in TOLD if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(before)


def _be_busy() -> None:
    while True:
        pass


def _meet_at(barrier: Barrier) -> None:
    global all_there  # in the student's own process
    all_there = barrier


def _student(training: str, seed: int) -> list[float]:
    keep_memory()
    train, rung = load_part("mnist", "train", IMAGES), trainings()[training]
    seconds = []
    for _ in range(TIMES):
        all_there.wait(timeout=PATIENCE)
        seconds.append(climb(rung, train, seed, "cpu", AT_MOST).seconds)
    return seconds


def measure() -> dict[tuple[str, str, str], float]:
    """Return the median seconds by training, way of waiting and crowd."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for training in trainings():
        for crowd in CROWDS:
            for way in list(WAYS) * TURNS:
                found.setdefault((training, way, crowd.name), []).extend(seconds_in(crowd, way, training))
    return {measured: statistics.median(seconds) for measured, seconds in found.items()}


def table(measured: dict[tuple[str, str, str], float]) -> str:
    """Return what `measure` found as a Markdown table, a row for each training and way of waiting."""
    rows: dict[tuple[str, str], list[str]] = {}
    for (training, way, _), seconds in measured.items():
        rows.setdefault((training, way), []).append(f"{seconds:.2f}")
    head = ["training", "threads wait", *dict.fromkeys(crowd for _, _, crowd in measured)]
    return markdown_table(head, [[*names, *seconds] for names, seconds in rows.items()])
