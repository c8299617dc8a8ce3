"""Each way is run often enough, and the page holds what was measured."""

import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from mnist_helpers.commands import studies
from mnist_helpers.course.runner import find_notebooks, read_notebook
from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import ROOT, artifacts_folder
from mnist_helpers.studies import speed
from mnist_helpers.studies.ladder import rungs
from mnist_helpers.studies.published import TimedRun
from mnist_helpers.studies.speed import TimedWay, measure, table


def silent(_line: str) -> None:
    pass


@pytest.mark.parametrize(("seconds", "seeds", "runs"), [(1, 30, 30), (11, 30, 3), (11, 5, 1), (1, 2, 2)])
def test_what_is_slow_is_run_a_tenth_as_often(seconds, seeds, runs):
    row = measure("way", lambda seed: TimedRun(seconds + seed / 1000, 0.9), seeds, silent)
    assert len(row.runs) == runs


@pytest.mark.parametrize(("seeds", "runs"), [(30, 10), (2, 1)])
def test_99_5_is_trained_with_a_third_of_the_seeds_and_scored_on_test_images(monkeypatch, train, val, seeds, runs):
    trained = []

    def fit(_model, learned, _val, recipe, *, seed, device):
        trained.append((recipe.name, seed, device, learned))
        return SimpleNamespace(epochs=[SimpleNamespace(seconds=2.0), SimpleNamespace(seconds=1.5)])

    parts = {"train": train, "validation": val, "test": val.select(torch.arange(10))}
    scores = {id(parts["validation"]): 0.1, id(parts["test"]): 0.9}
    monkeypatch.setattr(speed, "evaluate", lambda _model, part: SimpleNamespace(accuracy=scores[id(part)]))
    monkeypatch.setattr(speed, "load_part", lambda _dataset, part: parts[part])
    monkeypatch.setattr(speed, "fit", fit)
    row = speed.train_to_99_5("cpu", seeds, silent)
    assert trained == [("fastest-99.5", seed, "cpu", train) for seed in range(runs)]
    assert row.runs == [TimedRun(3.5, 0.9, 2)] * runs


def test_the_table_gives_medians_ranges_spread_and_ratios():
    slow = TimedWay("slow", [TimedRun(30.0, 0.98), TimedRun(10.0, 0.99), TimedRun(20.0, 1.0)])
    text = table([slow, TimedWay("quick", [TimedRun(2.0, 0.99)])])
    assert "| slow | 3 | 1 | 20.00 (10.00–30.00) | 99.00% ± 1.00 | 10.0 |" in text
    assert "| quick | 1 | 1 | 2.00 (2.00–2.00) | 99.00% | 1.0 |" in text


@pytest.mark.slow
def test_a_small_benchmark_runs_from_end_to_end(monkeypatch, train, val):
    monkeypatch.setattr(speed, "load_part", lambda _dataset, part: train if part == "train" else val)
    monkeypatch.setattr(speed, "published_training_set", lambda: train)
    monkeypatch.setattr(speed, "TEXTBOOK_EPOCHS", 2)
    monkeypatch.setattr(speed, "time_published_apart", speed.time_published)  # what is replaced here is replaced there
    monkeypatch.setattr(speed, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
    monkeypatch.setattr(speed.crowd, "measure", lambda: {("`vgg`", "asleep", "alone"): 1.0})

    def without_keras(*_arguments):
        raise CourseError("Keras is not installed.")

    monkeypatch.setattr(speed, "published_keras", without_keras)
    studies.bench(seeds=1, device="cpu")
    text = (artifacts_folder() / "speed.md").read_text(encoding="utf-8")
    for name in [
        "textbook script",
        "record recipe",
        "`fastest-99`",
        "`fastest-99.5`",
        *(rung.change for rung in rungs()),
    ]:
        assert f"| {name} | 1 |" in text
    assert "| Keras on the CPU |" not in text
    assert "| `vgg` | asleep | 1.00 |" in text


@pytest.mark.parametrize(("seeds", "committed"), [(30, True), (29, False)])
def test_only_a_whole_benchmark_writes_the_committed_page(monkeypatch, tmp_path, seeds, committed):
    row = TimedWay("way", [TimedRun(1.0, 0.99)])
    for name in ("climb_ladder", "time_published_apart"):
        monkeypatch.setattr(speed, name, lambda *_: [row])
    monkeypatch.setattr(speed, "race", lambda *_: (row, row))
    monkeypatch.setattr(speed, "train_to_99_5", lambda *_: TimedWay("longer", row.runs))
    monkeypatch.setattr(speed, "arithmetic_speed", lambda *_: 1e11)
    monkeypatch.setattr(speed.crowd, "measure", lambda: {("`vgg`", "asleep", "alone"): 1.0})
    monkeypatch.setattr(studies, "SPEED_PAGE", tmp_path / "docs" / "speed.md")
    studies.bench(seeds=seeds, device="cpu")
    written = tmp_path / "docs" / "speed.md" if committed else artifacts_folder() / "speed.md"
    text = written.read_text(encoding="utf-8")
    assert "| way | 1 | 1 | 1.00 (1.00–1.00) | 99.00% | 1.0 |" in text
    assert "| longer | 1 | 1 | 1.00 (1.00–1.00) | 99.00% |" in text
    assert (tmp_path / "docs" / "speed.md").exists() is committed


def test_lesson_7_quotes_the_ladder_as_the_page_has_it():
    (path,) = find_notebooks("07")
    prose = "\n".join(cell.source for cell in read_notebook(path).cells if cell.cell_type == "markdown")
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8").split("## The ladder")[1].split("\n## ")[0]
    measured = re.findall(r"^\| ([^|]+) \| \d+ \| 1 \| ([\d.]+) \([^)]*\) \| ([^|]+) \|", page, re.MULTILINE)
    assert len(measured) == len(rungs())
    assert re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([^|]+ ± [^|]+) \|$", prose, re.MULTILINE) == measured
