"""What `make gpu` measures is on disk at once, and a run that was cut off goes on; the parts run on a real GPU."""

import pytest

from mnist_helpers.commands import studies
from mnist_helpers.runtime import artifacts_folder
from mnist_helpers.studies import speed_gpu
from mnist_helpers.studies.published import TimedRun
from mnist_helpers.studies.speed_gpu import Measurement, Measurements, page


def begun(path, machine: str = "a card", say=lambda _: None) -> Measurements:
    return Measurements(path, machine, say)


def test_what_was_measured_is_not_measured_again_even_by_the_next_run(tmp_path):
    said = []
    first = begun(tmp_path / "record.jsonl", say=said.append)
    first.once("reading", "walkthrough", 0, lambda: Measurement("reading", "walkthrough", 0, 1.5, 0.99))
    with pytest.raises(KeyboardInterrupt):
        first.trained("ladder", "one graph", 1, lambda _seed: interrupted())
    assert said == ["walkthrough, seed 0: 1.500 s, 99.00%"]
    again = begun(tmp_path / "record.jsonl")
    again.once("reading", "walkthrough", 0, lambda: pytest.fail("measured again"))
    again.trained("ladder", "one graph", 1, lambda seed: TimedRun(2.0 + seed, 0.98))
    assert [one.seconds for one in again.of("ladder")["one graph"]] == [3.0]
    assert len((tmp_path / "record.jsonl").read_text().splitlines()) == 3


def interrupted() -> TimedRun:
    raise KeyboardInterrupt


def test_figures_of_another_machine_or_of_other_code_do_not_count(tmp_path):
    begun(tmp_path / "record.jsonl").trained("ladder", "way", 0, lambda _: TimedRun(1.0, 0.9))
    assert begun(tmp_path / "record.jsonl", "another card").of("ladder") == {}


def test_a_page_of_a_run_that_was_cut_off_says_what_is_missing(tmp_path):
    record = begun(tmp_path / "record.jsonl")
    record.trained("ladder", "one graph", 0, lambda _: TimedRun(0.064, 0.99))
    assert "| one graph | 1 | 1 | 0.0640" in page(record)
    assert speed_gpu.NOT_YET in page(record)


def test_a_pretended_run_keeps_the_committed_page(monkeypatch):
    given = []
    monkeypatch.setattr(speed_gpu, "measure", lambda *arguments: given.append(arguments) or "the page")
    studies.gpu(pretend=True)
    ((record, device, extent, path),) = given
    assert record.path.parent == path.parent == artifacts_folder()
    assert device.type == "cpu"
    assert extent == speed_gpu.PRETENDED
