"""What a CUDA GPU makes of this course: `make gpu` measures it, and writes docs/speed-gpu.md.

Each figure is on disk as soon as it is measured. A run that is cut off loses one of them at most, and the next run, on
the same machine with the same code, goes on after it.
"""

import functools
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from mnist_helpers.checkpoints import load_model
from mnist_helpers.data import load_part
from mnist_helpers.evaluation import evaluate, predict_logits
from mnist_helpers.models import build_model
from mnist_helpers.recipes import Recipe, get_recipe
from mnist_helpers.runtime import INSTALLED, ROOT, environment_report, processor, seed_everything, shipped, whole_file
from mnist_helpers.studies.cuda_graphs import GraphedTraining
from mnist_helpers.studies.ladder import Rung, climb, rungs
from mnist_helpers.studies.markdown import markdown_table
from mnist_helpers.studies.published import TimedRun, published_training_set, record
from mnist_helpers.studies.speed import TimedWay, median_and_range, table
from mnist_helpers.training import fit

ACCURATE = get_recipe("most-accurate")
# More and smaller steps. Chosen among eleven changes by training on five sixths of the published training images and
# counting mistakes in the rest: 29 in 10,000, and 32 as it was. Erased patches and twice the epochs made it worse.
LONGER = replace(ACCURATE, name="smaller batches", epochs=30, batch_size=128, lr=4e-3)
PASSES = 5  # over the test images, for the speed of reading them
LONGEST = 300  # seconds, of one command
NOT_YET = "Not measured yet."
SAME = "bitwise the same weights with torchrun and without"


@dataclass(frozen=True)
class Extent:
    """How much is measured: seeds of the quick trainings, of the rungs and of the long ones, images, epochs."""

    quick: int
    rung: int
    long: int
    images: int | None = None
    epochs: int | None = None


WHOLE = Extent(quick=30, rung=3, long=5)
PRETENDED = Extent(quick=2, rung=1, long=1, images=1_500, epochs=1)  # enough to see every part work, on a CPU


@dataclass(frozen=True)
class Measurement:
    """One measured figure: seconds, accuracy (0 … 1) or None where nothing is scored, and what else is to be said."""

    section: str
    way: str
    seed: int
    seconds: float
    accuracy: float | None = None
    epochs: int = 1
    remark: str = ""


class Measurements:
    """The figures measured so far, in a file; those of another machine, or of other code, do not count."""

    def __init__(self, path: Path, machine: str, say: Callable[[str], None]) -> None:
        self.path, self.machine, self.say = path, machine, say
        self.figures: list[Measurement] = []
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        if lines and lines[0] == machine:
            self.figures = [Measurement(**json.loads(line)) for line in lines[1:]]

    def once(self, section: str, way: str, seed: int, measure: Callable[[], Measurement]) -> None:
        """Measure a figure and write it down, unless it is there already."""
        if any((one.section, one.way, one.seed) == (section, way, seed) for one in self.figures):
            return
        figure = measure()
        self.figures.append(figure)
        with whole_file(self.path) as temporary:
            lines = [self.machine, *(json.dumps(asdict(one)) for one in self.figures)]
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        scored = "" if figure.accuracy is None else f", {figure.accuracy:.2%}"
        self.say(f"{way}, seed {seed}: {figure.seconds:.3f} s{scored} {figure.remark}".rstrip())

    def trained(self, section: str, way: str, seed: int, train: Callable[[int], TimedRun]) -> None:
        """Measure a training."""

        def measure() -> Measurement:
            run = train(seed)
            return Measurement(section, way, seed, run.seconds, run.accuracy, run.epochs)

        self.once(section, way, seed, measure)

    def of(self, section: str) -> dict[str, list[Measurement]]:
        """Return the figures of a section by their way, in the order in which they were measured."""
        ways: dict[str, list[Measurement]] = {}
        for figure in self.figures:
            if figure.section == section:
                ways.setdefault(figure.way, []).append(figure)
        return ways


def machine(device: torch.device) -> str:
    """Say on what machine and with what code figures are measured: only such figures may stand in one table."""
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py"))))
    return f"{environment_report(device.type)}; {processor()}, {os.cpu_count()} cores; code {code.hexdigest()[:12]}"


class GpuStudy:
    """All parts of `make gpu`, each writing its figures into one record."""

    def __init__(self, record: Measurements, device: torch.device, extent: Extent) -> None:
        self.record, self.device, self.extent = record, device, extent
        self.test = load_part("mnist", "test", extent.images)
        self.train = load_part("mnist", "train", extent.images).to(device)
        self.published = published_training_set()
        if extent.images:
            self.published = self.published.select(torch.arange(extent.images))

    def parts(self) -> list[Callable[[], None]]:
        """Return the parts, the most telling first: a run may be cut off."""
        return [self.fastest, self.accurate, self.ladder, self.tests, self.torchrun, self.reading]

    def fastest(self) -> None:
        """Train the record recipe and `fastest-99` in turn."""
        ways = {
            "record recipe": lambda seed: record(self.published, self.test, self.device, seed),
            "record recipe, channels last": lambda seed: record(self.published, self.test, self.device, seed, True),
            "`fastest-99`, step by step": lambda seed: self._climb(rungs()[-1], seed),
            "`fastest-99`, one graph": self._replayed(get_recipe("fastest-99")),
        }
        for way in ways.values():
            way(0)  # to warm up
        for seed in range(self.extent.quick):
            for name, way in ways.items():
                self.record.trained("fastest", name, seed, way)

    def accurate(self) -> None:
        """Train `most-accurate` by `fit` once, and it and a longer one as graphs with several seeds."""
        recipe, longer = self._short(ACCURATE), self._short(LONGER)
        self.record.trained("accurate", "`most-accurate`, by `fit`", 0, lambda seed: self._fitted(recipe, seed))
        ways = {
            "`most-accurate`, one graph": self._replayed(recipe),
            f"batches of {LONGER.batch_size}, one graph": self._replayed(longer),
        }
        for seed in range(self.extent.long):
            for name, way in ways.items():
                self.record.trained("accurate", name, seed, way)

    def ladder(self) -> None:
        """Climb every rung."""
        for rung in rungs(self.device.type == "cuda"):
            for seed in range(self.extent.rung):
                self.record.trained("ladder", rung.change, seed, lambda seed, rung=rung: self._climb(rung, seed))

    def tests(self) -> None:
        """Run the tests that need a GPU."""
        command = ["pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", str(ROOT / "tests" / "test_gpu.py")]

        def measure() -> Measurement:
            if INSTALLED:
                remark = "not run: they come with the repository, not with the installed package"
                return Measurement("tests", "the tests marked `gpu`", 0, 0.0, remark=remark)
            seconds, said = _command(command)
            return Measurement("tests", "the tests marked `gpu`", 0, seconds, remark=said.strip().splitlines()[-1])

        self.record.once("tests", "the tests marked `gpu`", 0, measure)

    def torchrun(self) -> None:
        """Train one epoch in a single process, without torchrun and with it: the weights must be bitwise the same."""
        training = ["mnist_helpers", "train", "--recipe", "walkthrough", "--epochs", "1", "--device", self.device.type]
        started = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "1", "-m"]

        def measure() -> Measurement:
            with tempfile.TemporaryDirectory() as name:
                folders = [Path(name) / "plain", Path(name) / "torchrun"]
                for before, folder in zip(([], started), folders, strict=True):
                    seconds, said = _command([*before, *training, "--output", str(folder)])
                    if not (folder / "model.safetensors").is_file():
                        return Measurement("torchrun", "one process", 0, seconds, remark=f"failed: {said[-300:]}")
                plain, shared = (load_file(folder / "model.safetensors") for folder in folders)
                same = all(torch.equal(plain[key], shared[key]) for key in plain)
            return Measurement("torchrun", "one process", 0, seconds, remark=SAME if same else "the weights differ")

        self.record.once("torchrun", "one process", 0, measure)

    def reading(self) -> None:
        """Let the shipped networks read the test images: how many in a second, and do they read them as a CPU does."""
        for folder in sorted(shipped("pretrained/mnist").iterdir()):
            self.record.once("reading", folder.name, 0, functools.partial(self._read, folder))

    def _read(self, folder: Path) -> Measurement:
        on_cpu = predict_logits(load_model(folder, "cpu")[0], self.test.images).argmax(dim=1)
        model = load_model(folder, self.device.type)[0]
        predict_logits(model, self.test.images)  # to warm up
        times = []
        for _ in range(PASSES):
            started = time.perf_counter()
            logits = predict_logits(model, self.test.images)  # back on the CPU, so nothing is left to wait for
            times.append(time.perf_counter() - started)
        same = (logits.argmax(dim=1) == on_cpu).sum().item()
        seconds = statistics.median(times)
        remark = f"{len(on_cpu) / seconds:,.0f} images a second; {same:,} of {len(on_cpu):,} read as on the CPU"
        return Measurement("reading", folder.name, 0, seconds, evaluate(model, self.test).accuracy, remark=remark)

    def _short(self, recipe: Recipe) -> Recipe:
        return replace(recipe, epochs=self.extent.epochs or recipe.epochs)

    def _climb(self, rung: Rung, seed: int) -> TimedRun:
        climbed = climb(rung, self.train, seed, self.device.type)
        return TimedRun(climbed.seconds, evaluate(climbed.model, self.test).accuracy)

    def _replayed(self, recipe: Recipe) -> Callable[[int], TimedRun]:
        @functools.cache
        def prepared() -> GraphedTraining:
            training = GraphedTraining(lambda: build_model(recipe.architecture, recipe.dropout), self.train, recipe)
            figure = Measurement(
                "capture", recipe.name, 0, training.preparation, remark="to warm up and capture one step"
            )
            self.record.once("capture", recipe.name, 0, lambda: figure)
            return training

        def once(seed: int) -> TimedRun:
            seconds = prepared().run(seed)
            return TimedRun(seconds, evaluate(prepared().model, self.test).accuracy, recipe.epochs)

        return once

    def _fitted(self, recipe: Recipe, seed: int) -> TimedRun:
        seed_everything(seed)
        model, val = build_model(recipe.architecture, recipe.dropout), load_part("mnist", "validation")
        history = fit(model, self.train, val, recipe, seed=seed, device=self.device.type)
        seconds = sum(epoch.seconds for epoch in history.epochs)
        return TimedRun(seconds, evaluate(model, self.test).accuracy, recipe.epochs)


def _command(arguments: list[str]) -> tuple[float, str]:
    """Run a module of Python's; return its seconds and all that it said."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    return time.perf_counter() - started, done.stdout or "It said nothing."


def measure(record: Measurements, device: torch.device, extent: Extent, page_file: Path) -> str:
    """Measure all parts, and write the page anew after each of them; return its text."""
    for part in GpuStudy(record, device, extent).parts():
        part()
        text = page(record)
        with whole_file(page_file) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return text


def page(record: Measurements) -> str:
    """Return the page about all that a record holds."""
    return f"""# The same on a GPU

`make gpu` wrote this page; no measured figure in it was typed. Seconds are those of training alone, as in
[speed.md](speed.md): files, scoring, and the first steps, in which the libraries prepare themselves, are left out. So
is the capture of a graph, which is made once and then serves every seed; the last table says how long it took. The test
images chose nothing.

## 99% in one epoch

{_trainings(record, "fastest")}

Trained in turn with the same seeds. The record recipe is train_mnist_fast by tuomaso, on all 60,000 images; ours takes
55,000, since its settings were chosen on the other 5,000. A step of `fastest-99` starts many kernels, and most of them
compute for less time than Python takes to start one. As **one graph**, a step is captured once and then replayed: the
kernels are the same and so are the weights, bit for bit (a test checks this). Order and learning rate are looked up on
the GPU.

## The ladder on this card

{_trainings(record, "ladder")}

All but the last two rungs compute with 32-bit numbers. The last is the one before it, captured.

## As accurate as one network can be

{_trainings(record, "accurate")}

`fit` keeps the epoch with the lowest validation loss; a graph trains to the end and keeps that. The row with smaller
batches ({LONGER.epochs} epochs, a rate of {LONGER.lr:g}) was chosen on training images alone.

## Everything else

{_others(record)}

Machine: {record.machine}.
"""


def _trainings(record: Measurements, section: str) -> str:
    rows = [
        TimedWay(way, [TimedRun(one.seconds, one.accuracy, one.epochs) for one in figures])
        for way, figures in record.of(section).items()
    ]
    return table(rows) if rows else NOT_YET


def _others(record: Measurements) -> str:
    rows = []
    for section in ("capture", "tests", "torchrun", "reading"):
        for way, figures in record.of(section).items():
            accuracy = "–" if figures[0].accuracy is None else f"{figures[0].accuracy:.2%}"
            seconds = median_and_range([one.seconds for one in figures])
            rows.append([f"{section}: {way}", seconds, accuracy, figures[0].remark])
    return markdown_table(["what", "seconds", "test accuracy", "found"], rows) if rows else NOT_YET
