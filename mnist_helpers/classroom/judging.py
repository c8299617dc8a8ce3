"""Judge what a student's functions returned, in a process of its own with limits of time and memory.

A result is data, and still it may be made to take an hour to read or to compare.
"""

import contextlib
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection

from mnist_helpers.checks import clinic, data, evaluation, filters, model, training
from mnist_helpers.checks.exercise import Exercise, Status, Verdict, usual_torch
from mnist_helpers.classroom.outcomes import read_outcomes
from mnist_helpers.classroom.trial import limit

CHAPTERS = {
    "01": data,
    "02": model,
    "03": training,
    "04": evaluation,
    "05": filters,
    "06": clinic,
}
SECONDS, MEMORY = 60, 2 * 2**30  # for all checks of a sheet
# Where processes can be forked, they are forked from one that has torch already, and no threads yet. It also has what
# torch loads for ten seconds when the first optimizer is made.
LOADED = [__name__, "torch._dynamo"]
CONTEXT = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)


def exercise_of(sheet: str, name: str) -> Exercise:
    """Return an exercise by its sheet and name."""
    return getattr(CHAPTERS[sheet[:2]], name)


def judged(
    sheet: str, results: Mapping[str, str], seeds: Mapping[str, Sequence[int]], seconds: float = SECONDS
) -> dict[str, Verdict]:
    """Return a verdict for each exercise of a sheet, by the text that `write_outcomes` made of its results."""
    if CONTEXT.get_start_method() == "forkserver":
        CONTEXT.set_forkserver_preload(LOADED)
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_judge, args=(sender, sheet, dict(results), dict(seeds)), daemon=True)
    process.start()
    sender.close()
    verdicts: dict[str, Verdict] = {}
    end = time.monotonic() + seconds
    try:
        while len(verdicts) < len(results) and receiver.poll(max(0.0, end - time.monotonic())):
            name, verdict = receiver.recv()
            verdicts[name] = verdict
    except EOFError:  # it took more memory than there is
        pass
    finally:
        process.kill()
        process.join()
        receiver.close()
    too_much = Verdict(Status.NOT_YET, "What was returned is too large, or too entangled, to be compared.")
    return {name: verdicts.get(name, too_much) for name in results}


def _judge(sender: Connection, sheet: str, results: dict[str, str], seeds: dict[str, Sequence[int]]) -> None:
    limit(MEMORY)
    for name, text in results.items():
        with contextlib.suppress(MemoryError):  # this one gets no verdict, and the next is judged
            sender.send((name, _verdict(sheet, name, text, seeds[name])))
    sender.close()


def _verdict(sheet: str, name: str, text: str, seeds: Sequence[int]) -> Verdict:
    try:
        outcomes = read_outcomes(text)
    except ValueError as error:
        return Verdict(Status.NOT_YET, f"The check's result cannot be read: {error}.")
    with usual_torch():
        return exercise_of(sheet, name).judge(seeds, outcomes)
