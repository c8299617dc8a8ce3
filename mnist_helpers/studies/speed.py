"""How long it takes to learn the digits to 99 %: published ways and ours, run side by side, and the page about it."""

import multiprocessing
import os
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from mnist_helpers.data import load_part
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import evaluate
from mnist_helpers.models import build_model
from mnist_helpers.recipes import get_recipe
from mnist_helpers.runtime import environment_report, pick_device, processor, seed_everything
from mnist_helpers.startup import keep_memory
from mnist_helpers.studies import crowd
from mnist_helpers.studies.ladder import Rung, accuracy, arithmetic_speed, climb, operations, rungs
from mnist_helpers.studies.markdown import markdown_table
from mnist_helpers.studies.published import (
    KERAS_EPOCHS,
    TARGET,
    TEXTBOOK_EPOCHS,
    TimedRun,
    published_keras,
    published_training_set,
    record,
    textbook,
)
from mnist_helpers.training import fit

SLOW = 10  # seconds; what takes longer is trained with a tenth of the seeds
HEAD = ["way", "runs", "epochs", "seconds, median (range)", "test accuracy"]

ABOUT = f"""\
`make bench` wrote this page; no measured figure in it was typed. Seconds are those of training alone: loading the files
and scoring are left out, and so (but for the textbook script) are the first steps, in which the libraries prepare
themselves. The record recipe and `fastest-99` took turns, seed by seed, so that a slow hour of the machine slows both;
the other rows were run one after the other. What takes more than {SLOW} seconds was run with a tenth of the seeds."""
ABOUT_PUBLISHED = f"""\
- The **textbook script** is PyTorch's own MNIST example with its published settings. It was run once, and stopped
  after the first epoch that reached {TARGET:.0%} on the test images, or after its {TEXTBOOK_EPOCHS}.
- The **record recipe** is train_mnist_fast by tuomaso: 0.76 s on its author's GPU, for 99.04% (mean of 30).
- **Keras** trained the published network of 121,930 parameters, stopped like the textbook script, or after
  {KERAS_EPOCHS} epochs. It has a row where the extra `bench` is installed. The row before it is one epoch of the same
  network in this course's loop.
- The published ways take all 60,000 images. This course's loop takes 55,000, a twelfth less: the settings of
  `fastest-99` were chosen on the other 5,000. The test images chose nothing, but two earlier versions
  had been scored on them, both with another network and the first also with batches of 256.
- The course has the C library keep freed memory (`startup`), which, once done, applies to the whole process. So the
  published ways in torch were run in a process of their own, with memory as everybody has it."""
ABOUT_BUSY = f"""\
Seconds of an epoch of {crowd.IMAGES:,} images on the CPU, medians. A neighbour is a program that keeps one core
busy; four students each train with all cores. Threads that wait awake keep a core from the thread that they wait for;
so the course lets them sleep after a moment. What took more than {crowd.AT_MOST:.0f} s was stopped and extrapolated."""


@dataclass(frozen=True)
class TimedWay:
    """What was measured of one way to train, with the seeds 0, 1, …"""

    name: str
    runs: list[TimedRun]

    @property
    def median(self) -> float:
        """Return the median of the seconds."""
        return statistics.median(run.seconds for run in self.runs)

    def cells(self) -> list[str]:
        """Return the row of a table: name, runs, epochs, seconds with their range, accuracy with its spread."""
        accuracies = [run.accuracy for run in self.runs]
        spread = f" ± {100 * statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
        mean = f"{statistics.mean(accuracies):.2%}{spread}"
        seconds = median_and_range([run.seconds for run in self.runs])
        return [self.name, str(len(self.runs)), str(self.runs[0].epochs), seconds, mean]


def median_and_range(seconds: list[float]) -> str:
    """Return seconds as a table gives them: with two decimals, below a tenth of a second with four."""
    digits = 2 if statistics.median(seconds) >= 0.1 else 4
    return f"{statistics.median(seconds):.{digits}f} ({min(seconds):.{digits}f}–{max(seconds):.{digits}f})"


def measure(name: str, once: Callable[[int], TimedRun], seeds: int, say: Callable[[str], None]) -> TimedWay:
    """Repeat a training with the seeds 0, 1, …; slow ones a tenth as often."""
    runs: list[TimedRun] = []
    for seed in range(seeds):
        runs.append(once(seed))
        say(f"{name}, seed {seed}: {runs[-1].seconds:.2f} s, {runs[-1].accuracy:.2%}, {runs[-1].epochs} epochs")
        if runs[-1].seconds > SLOW and 10 * (seed + 1) >= seeds:
            break
    return TimedWay(name, runs)


def climb_ladder(device: str, seeds: int, say: Callable[[str], None]) -> list[TimedWay]:
    """Climb every rung with several seeds; the networks are scored on the test images, and nothing is chosen by it."""
    return [climb_often(rung.change, rung, device, seeds, say) for rung in rungs()]


def climb_often(name: str, rung: Rung, device: str, seeds: int, say: Callable[[str], None]) -> TimedWay:
    """Climb one rung with the seeds 0, 1, …, on images that are loaded once."""
    train, test = load_part("mnist", "train"), load_part("mnist", "test")

    def once(seed: int) -> TimedRun:
        climbed = climb(rung, train, seed, device)
        return TimedRun(climbed.seconds, accuracy(climbed, test))

    return measure(name, once, seeds, say)


def train_to_99_5(device: str, seeds: int, say: Callable[[str], None]) -> TimedWay:
    """Train `fastest-99.5` with a third of the seeds; its seconds include scoring the validation images."""
    recipe, runs = get_recipe("fastest-99.5"), []
    train, val, test = (load_part("mnist", part) for part in ("train", "validation", "test"))
    for seed in range(max(seeds // 3, 1)):
        seed_everything(seed)
        model = build_model(recipe.architecture, recipe.dropout)
        epochs = fit(model, train, val, recipe, seed=seed, device=device).epochs
        runs.append(TimedRun(sum(one.seconds for one in epochs), evaluate(model, test).accuracy, len(epochs)))
        say(f"{recipe.name}, seed {seed}: {runs[-1].seconds:.2f} s, {runs[-1].accuracy:.2%}")
    return TimedWay(f"`{recipe.name}`", runs)


def race(device: str, seeds: int, say: Callable[[str], None]) -> tuple[TimedWay, TimedWay]:
    """Run the record recipe and `fastest-99` in turn, so that a slow hour of the machine is one for both.

    The record recipe has a process that was not prepared as the course's own are.
    """
    pick_device(device)
    train, test = load_part("mnist", "train"), load_part("mnist", "test")
    runs: dict[str, list[TimedRun]] = {"record recipe": [], "`fastest-99`": []}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(record_once, device, 0).result()  # to warm up
        for seed in range(seeds):
            climbed = climb(rungs()[-1], train, seed, device)
            ours = TimedRun(climbed.seconds, accuracy(climbed, test))
            for name, run in zip(runs, (pool.submit(record_once, device, seed).result(), ours), strict=True):
                say(f"{name}, seed {seed}: {run.seconds:.2f} s, {run.accuracy:.2%}")
                runs[name].append(run)
    published, ours = (TimedWay(name, timed) for name, timed in runs.items())
    return published, ours


def record_once(device: str, seed: int) -> TimedRun:
    """Run the record recipe in this process."""
    return record(published_training_set(), load_part("mnist", "test"), pick_device(device), seed)


def time_published_apart(device: str, seeds: int, say: Callable[[str], None]) -> list[TimedWay]:
    """Run the other published ways in a process that was not prepared as the course's own are."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(time_published, device, seeds, say).result()


def time_published(device: str, seeds: int, say: Callable[[str], None]) -> list[TimedWay]:
    """Run the other published ways as they were published; what takes minutes once, Keras where it is installed."""
    chosen, train, test = pick_device(device), published_training_set(), load_part("mnist", "test")
    record(train, test, chosen, 0, channels_last=True)  # to warm up
    rows = [
        measure("record recipe, channels last", lambda seed: record(train, test, chosen, seed, True), seeds, say),
        measure("textbook script", lambda seed: textbook(train, test, chosen, seed, TEXTBOOK_EPOCHS), 1, say),
    ]
    keep_memory()  # from here on as the course's own processes do
    same = Rung("", get_recipe("keras-csv"), lambda: build_model("two-conv"))
    rows.append(climb_often("Keras's network in our loop", same, device, seeds, say))
    try:
        rows.append(measure("Keras on the CPU", lambda seed: published_keras(train, test, seed, KERAS_EPOCHS), 1, say))
    except CourseError as error:
        say(f"Left out: {error}")
    return rows


def table(rows: list[TimedWay]) -> str:
    """Return the rows as a Markdown table, with the seconds of the last as the measure of the others."""
    return markdown_table(
        [*HEAD, "times the last"], [[*row.cells(), f"{row.median / rows[-1].median:.1f}"] for row in rows]
    )


def page(
    ways: list[TimedWay],
    longer: TimedWay,
    ladder: list[TimedWay],
    crowds: dict[tuple[str, str, str], float],
    device: str,
) -> str:
    """Return the page that is committed: the ways, ours last, 99.5%, the ladder, a busy machine, the arithmetic."""
    return f"""# How fast 99% can be reached

{ABOUT}

## Published ways, and ours

{table(ways)}

{ABOUT_PUBLISHED}

{about_99_5(longer)}

## The ladder, one change a rung

One epoch on 55,000 images each, everything as on the rung before but for the change. The last rung is `fastest-99`
again, timed at another moment.

{table(ladder)}

## On a busy machine

{ABOUT_BUSY}

{crowd.table(crowds)}

## What the arithmetic alone would take

{arithmetic(ladder[-1].median, device)}

Machine: {environment_report(device)}; {processor()}, {os.cpu_count()} cores.
"""


def about_99_5(longer: TimedWay) -> str:
    """Return the section about the recipe that aims higher than the others."""
    return f"""## How fast 99.5% can be reached

Trained as `mnist-helpers train` does it, with a third of the seeds. These seconds include what those above leave out:
the first steps, and scoring the 5,000 validation images after each epoch.

{markdown_table(HEAD, [longer.cells()])}"""


def arithmetic(seconds: float, device: str) -> str:
    """Say how long the arithmetic of the last rung would take at this machine's best speed, beside what it takes."""
    chosen = pick_device(device)
    count = operations(rungs()[-1], len(load_part("mnist", "train")))
    plain, short = (count / arithmetic_speed(chosen, bfloat16) for bfloat16 in (False, True))
    return (
        f"One epoch of `fastest-99` is {count / 1e9:.0f} billion additions and multiplications. At the speed of one\n"
        f"large matrix product here it would take {plain:.2f} s, and with 16-bit numbers (where a CPU has\n"
        f"instructions for them) {short:.2f} s. It takes {seconds:.2f} s, {seconds / short:.1f} times that. Its maps\n"
        "are too small to keep the processor busy. The rest goes into many small operations, moving data, and Python."
    )
