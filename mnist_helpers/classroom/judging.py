"""Judge what a student's functions returned, in a process of its own with limits of time and memory.

A result is data, and still it may be made to take an hour to read or to compare.
"""

import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection

import psutil

from mnist_helpers.checks.chapters import CHAPTERS, exercise_of
from mnist_helpers.checks.exercise import Status, Verdict, usual_torch
from mnist_helpers.classroom.outcomes import read_outcomes
from mnist_helpers.classroom.trial import limit
from mnist_helpers.errors import CourseError

MEMORY = 2 * 2**30  # bytes
TO_BEGIN = 120  # seconds of a processor, where each judging process loads torch anew
PATIENCE = 10  # times these seconds a busy machine may take for them
LOOK_EVERY = 0.5  # seconds between two looks at what a judging process has taken
TRIES = 2  # of a result with which the judging process ends without a word
TOO_MUCH = Verdict(Status.NOT_YET, "What was returned is too large, or too entangled, to be compared.")
TOO_BUSY = "this machine was too busy to judge it. Mark it again when it is quieter"
# Where processes can be forked, they are forked from one that has torch already, and no threads yet. It also has what
# torch loads for ten seconds when the first optimizer is made.
LOADED = [__name__, "torch._dynamo", *(f"mnist_helpers.checks.{one}" for one in (*CHAPTERS.values(), "papers"))]
LONGEST_FOLDER = 70  # characters of the temporary folder in which that process can have its socket


class UnfinishedError(CourseError):
    """What a student handed in could not be run or judged to the end, and it is not known to be the student's fault."""


def judged(
    sheet: str, results: Mapping[str, str], seeds: Mapping[str, Sequence[int]], seconds: float | None = None
) -> dict[str, Verdict]:
    """Return a verdict for each exercise of a sheet or a paper, by the text that `write_outcomes` made of its results.

    Each has `seconds` of a processor, or as many as the exercise itself says. One that takes more, or more memory than
    there is, gets `TOO_MUCH`; those after it are judged in another process.

    Raises: UnfinishedError if the machine was too busy to give an exercise its seconds.
    """
    verdicts: dict[str, Verdict] = {}
    ended: Counter[str] = Counter()
    while rest := {name: text for name, text in results.items() if name not in verdicts}:
        found, too_long = _judged_together(sheet, rest, seeds, seconds)
        verdicts |= found
        for name in [name for name in rest if name not in found][:1]:
            ended[name] += 1
            if too_long or ended[name] == TRIES:
                verdicts[name] = TOO_MUCH
    return {name: verdicts[name] for name in results}


def _judged_together(
    sheet: str, results: Mapping[str, str], seeds: Mapping[str, Sequence[int]], seconds: float | None
) -> tuple[dict[str, Verdict], bool]:
    """Return the verdicts that one process gives until it has all, or ends, and whether it ran out of its seconds."""
    context = _context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_judge, args=(sender, sheet, dict(results), dict(seeds)), daemon=True)
    process.start()
    sender.close()
    verdicts: dict[str, Verdict] = {}
    try:
        if not _speaks(process.pid, receiver, TO_BEGIN):
            raise UnfinishedError(TOO_BUSY)
        receiver.recv()
        for name in results:
            if not _speaks(process.pid, receiver, seconds or exercise_of(sheet, name).seconds):
                return verdicts, True
            judged_name, verdict = receiver.recv()
            verdicts[judged_name] = verdict
    except EOFError:  # it has ended: somebody has killed it, or the machine has no memory left
        pass
    finally:
        process.kill()
        process.join()
        receiver.close()
    return verdicts, False


def _context() -> multiprocessing.context.BaseContext:
    """Return how judging processes begin: forked from one that has loaded torch, where that can be had."""
    forks = "forkserver" in multiprocessing.get_all_start_methods() and len(tempfile.gettempdir()) <= LONGEST_FOLDER
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload(LOADED)
    return context


def _speaks(pid: int, receiver: Connection, seconds: float) -> bool:
    """Wait for a process's next word, or its end; say whether one came before it had taken so much time of a processor.

    Raises: UnfinishedError if neither happens for many times as long.
    """
    began, end = _seconds_of(pid), time.monotonic() + PATIENCE * seconds
    while time.monotonic() < end:
        if receiver.poll(LOOK_EVERY):
            return True
        if _seconds_of(pid) - began > seconds:
            return False
    raise UnfinishedError(TOO_BUSY)


def _seconds_of(pid: int) -> float:
    """Return how much time of a processor a process has taken; of one that has ended, none."""
    try:
        return sum(psutil.Process(pid).cpu_times()[:2])  # its own: user and system
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0


def _judge(sender: Connection, sheet: str, results: dict[str, str], seeds: dict[str, Sequence[int]]) -> None:
    limit(MEMORY)
    sender.send("It begins.")
    for name, text in results.items():
        try:
            verdict = _verdict(sheet, name, text, seeds[name])
        except MemoryError:
            verdict = TOO_MUCH
        sender.send((name, verdict))
    sender.close()


def _verdict(sheet: str, name: str, text: str, seeds: Sequence[int]) -> Verdict:
    try:
        outcomes = read_outcomes(text)
    except ValueError as error:
        return Verdict(Status.NOT_YET, f"The check's result cannot be read: {error}.")
    with usual_torch():
        return exercise_of(sheet, name).judge(seeds, outcomes)
