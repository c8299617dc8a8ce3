"""Published ways are run as published, each often enough, and the page holds what was measured."""

import os

import pytest
import torch
import torchvision

from mnist_helpers import benchmark
from mnist_helpers.benchmark import Row, measure, on_one_thread, page, record, record_network, table, textbook
from mnist_helpers.commands import studies
from mnist_helpers.ladder import rungs
from mnist_helpers.models import count_parameters
from mnist_helpers.runtime import ROOT, THREADS_VARIABLE, artifacts_folder

CPU = torch.device("cpu")


def silent(_line: str) -> None:
    pass


def test_the_published_scripts_get_all_images_in_the_order_of_the_file():
    theirs = torchvision.datasets.MNIST(ROOT / "data", train=True)
    ours = benchmark.published_training_set()
    assert torch.equal(ours.images[:, 0], theirs.data)
    assert torch.equal(ours.labels, theirs.targets)


def test_the_record_s_network_is_the_published_one_and_learns(train, val):
    assert count_parameters(record_network()) == 24 * 26 + 32 * (24 * 9 + 1) + 256 * 801 + 10 * 257
    seconds, accuracy = record(train, val, CPU, seed=0)
    assert seconds > 0
    assert accuracy > 0.2
    assert record(train, val, CPU, seed=0, channels_last=True)[1] == pytest.approx(accuracy, abs=0.1)


@pytest.mark.parametrize(("target", "epochs"), [(0.0001, 1), (1.1, 3)])
def test_the_textbook_stops_at_the_target_or_at_its_end(train, val, monkeypatch, target, epochs):
    monkeypatch.setattr(benchmark, "TARGET", target)
    row = textbook(train, val, CPU, seed=0, epochs=3)
    assert row.epochs == epochs
    assert row.accuracies[0] > 0.2


@pytest.mark.parametrize(("seconds", "seeds", "runs"), [(1, 30, 30), (11, 30, 3), (11, 5, 1), (1, 2, 2)])
def test_what_is_slow_is_run_a_tenth_as_often(seconds, seeds, runs):
    row = measure("way", lambda seed: (seconds + seed / 1000, 0.9), seeds, silent)
    assert len(row.seconds) == len(row.accuracies) == runs


def test_the_table_gives_medians_ranges_spread_and_ratios():
    text = table([Row("slow", [30.0, 10.0, 20.0], [0.98, 0.99, 1.0]), Row("quick", [2.0], [0.99])])
    assert "| slow | 3 | 1 | 20.00 (10.00–30.00) | 99.00% ± 1.00 | 10.0 |" in text
    assert "| quick | 1 | 1 | 2.00 (2.00–2.00) | 99.00% | 1.0 |" in text


def test_one_thread_is_one_and_everything_is_put_back(monkeypatch, train, val):
    monkeypatch.setattr(benchmark, "load_part", lambda _dataset, part: train if part == "train" else val)
    monkeypatch.setenv(THREADS_VARIABLE, "2")
    seen, climb = [], benchmark.climb

    def watched(*arguments):
        climbed = climb(*arguments)
        seen.append(torch.get_num_threads())
        return climbed

    monkeypatch.setattr(benchmark, "climb", watched)
    before = torch.get_num_threads()
    assert len(on_one_thread(1, silent).seconds) == 1
    assert seen == [1]
    assert torch.get_num_threads() == before
    assert os.environ[THREADS_VARIABLE] == "2"


def test_a_small_benchmark_runs_from_end_to_end(monkeypatch, train, val):
    monkeypatch.setattr(benchmark, "load_part", lambda _dataset, part: train if part == "train" else val)
    monkeypatch.setattr(benchmark, "published_training_set", lambda: train)
    monkeypatch.setattr(benchmark, "TEXTBOOK_EPOCHS", 2)
    studies.bench(seeds=1, device="cpu")
    text = (artifacts_folder() / "speed.md").read_text(encoding="utf-8")
    for name in ["textbook script", "record recipe", "`fastest-99`", *(rung.change for rung in rungs())]:
        assert f"| {name} | 1 |" in text
    assert "the last rung on one thread" in text


@pytest.mark.parametrize(("seeds", "committed"), [(30, True), (29, False)])
def test_only_a_whole_benchmark_writes_the_committed_page(monkeypatch, tmp_path, seeds, committed):
    row = Row("way", [1.0], [0.99])
    for name in ("ladder", "peers"):
        monkeypatch.setattr(benchmark, name, lambda *_: [row])
    monkeypatch.setattr(benchmark, "on_one_thread", lambda *_: row)
    monkeypatch.setattr(studies, "SPEED_PAGE", tmp_path / "docs" / "speed.md")
    studies.bench(seeds=seeds, device="cpu")
    written = tmp_path / "docs" / "speed.md" if committed else artifacts_folder() / "speed.md"
    assert "| way | 1 | 1 | 1.00 (1.00–1.00) | 99.00% | 1.0 |" in written.read_text(encoding="utf-8")
    assert (tmp_path / "docs" / "speed.md").exists() is committed


def test_the_page_says_what_is_missing_on_a_gpu():
    row = Row("way", [1.0], [0.99])
    assert "Not measured: this was a GPU." in page([row], [row], None, "cpu")
