"""Judging what strangers returned: the verdicts of honest results, and results made to take for ever."""

import json
import multiprocessing
import os
import signal
import tempfile
import time
from dataclasses import replace

import numpy as np
import pytest

from mnist_helpers.checks import data, smallest
from mnist_helpers.checks.exercise import Outcome, Status
from mnist_helpers.classroom import judging
from mnist_helpers.classroom.judging import judged
from mnist_helpers.classroom.outcomes import write_outcomes

SEEDS = [1, 2, 3]


def results(value) -> str:
    return write_outcomes([Outcome(value)] * len(SEEDS))


def colliding(count: int) -> dict:
    """Return a dict as JSON of a result whose keys all have the same hash."""
    return {"dict": [[number * (2**61 - 1), 0] for number in range(1, count)]}


def written(value) -> str:
    return json.dumps([{"value": value, "error": "", "changed": False}] * len(SEEDS))


def test_the_verdicts_are_those_of_the_check():
    right = write_outcomes(data.shift.try_out(data.shift.solve, SEEDS))
    wrong = write_outcomes(data.image_at.try_out(lambda *_: None, SEEDS))
    seeds = dict.fromkeys(("shift", "image_at", "sizes"), SEEDS)
    found = judged("01_data", {"shift": right, "image_at": wrong, "sizes": "[{}]"}, seeds)
    assert found["shift"].status is Status.RIGHT
    assert "returns None" in found["image_at"].message
    assert "cannot be read" in found["sizes"].message


@pytest.mark.parametrize(
    "text",
    [
        written(colliding(110_000)),
        written({"tuple": [0] * 160_000}),
        results(np.zeros((1_000_000, 1), np.float32)),
        results("." * 1_000_000),
        "[" * 100_000,
        "",
    ],
    ids=["keys that collide", "a long tuple", "a long array", "long words", "nested", "nothing"],
)
def test_a_forged_result_is_judged_or_given_up_and_the_others_are_judged(text):
    right = write_outcomes(data.shift.try_out(data.shift.solve, SEEDS))
    found = judged("01_data", {"shift": right, "sizes": text}, dict.fromkeys(("shift", "sizes"), SEEDS), seconds=20)
    assert found["shift"].status is Status.RIGHT
    assert found["sizes"].status is Status.NOT_YET
    assert len(found["sizes"].message) < 400


def slow(monkeypatch, name: str, judge) -> None:
    """Let one exercise be judged by a function, in this process's children too."""
    monkeypatch.setattr(judging, "LOADED", [])
    monkeypatch.setattr(judging, "_context", lambda: multiprocessing.get_context("fork"))
    monkeypatch.setattr(type(data.shift), "judge", judge_of(name, judge, type(data.shift).judge))


def judge_of(name: str, judge, usual):
    return lambda exercise, *given: (judge if exercise.name == name else usual)(exercise, *given)


def honest(*names: str) -> dict[str, str]:
    return {name: write_outcomes(getattr(data, name).try_out(getattr(data, name).solve, SEEDS)) for name in names}


def busy_for_ever(*_given):
    while True:
        pass


FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="This system cannot fork a process.")


@FORKS
@pytest.mark.parametrize("place", [0, 1, 2])
def test_only_the_exercise_that_takes_too_long_loses_its_points(monkeypatch, place):
    names = ["shift", "image_at", "sizes"]
    slow(monkeypatch, names[place], busy_for_ever)
    found = judged("01_data", honest(*names), dict.fromkeys(names, SEEDS), seconds=1)
    assert list(found) == names
    assert [found[name].right for name in names] == [at != place for at in range(3)]
    assert found[names[place]] == judging.TOO_MUCH


def test_an_exercise_that_trains_says_itself_how_long_it_may_be_judged(monkeypatch):
    asked = []
    speaks = judging._speaks
    monkeypatch.setattr(judging, "_speaks", lambda *given: asked.append(given[-1]) or speaks(*given))
    longer = replace(data.shift, seconds=77)
    monkeypatch.setattr(data, "shift", longer)
    names = ["image_at", "shift"]
    judged("01_data", honest(*names), dict.fromkeys(names, SEEDS))
    assert asked == [judging.TO_BEGIN, data.image_at.seconds, 77]
    judged("01_data", honest("shift"), {"shift": SEEDS}, seconds=5)
    assert asked[3:] == [judging.TO_BEGIN, 5]


@pytest.mark.slow
def test_a_challenge_is_trained_in_the_judging_process_and_ranked():
    seeds = {"my_network": smallest.my_network.seeds()}
    network = write_outcomes([Outcome(smallest.my_network.solve())])
    found = judged("07_smallest_network", {"my_network": network}, seeds)["my_network"]
    assert found.right, found
    assert found.rank == 1714
    large = write_outcomes([Outcome([("flatten",), ("dense", 10)])])
    found = judged("07_smallest_network", {"my_network": large}, seeds)["my_network"]
    assert (found.right, found.rank) == (False, None)
    assert "7,850 parameters" in found.message


@FORKS
def test_what_the_beginning_takes_is_no_exercise_s_time(monkeypatch):
    def slowly(_memory):
        began = time.process_time()
        while time.process_time() < began + 1.5:
            pass

    slow(monkeypatch, "nothing", None)
    monkeypatch.setattr(judging, "limit", slowly)
    monkeypatch.setattr(judging, "LOOK_EVERY", 0.05)
    assert judged("01_data", honest("shift"), {"shift": SEEDS}, seconds=1)["shift"].right


@FORKS
def test_a_process_that_somebody_kills_takes_no_marks(monkeypatch, tmp_path):
    def killed_once(exercise, *given):
        mark = tmp_path / "killed"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(exercise, *given)

    usual = type(data.shift).judge
    slow(monkeypatch, "image_at", killed_once)
    names = ["shift", "image_at", "sizes"]
    found = judged("01_data", honest(*names), dict.fromkeys(names, SEEDS))
    assert all(verdict.right for verdict in found.values())


@FORKS
def test_on_a_machine_that_is_too_busy_nobody_is_marked(monkeypatch):
    slow(monkeypatch, "shift", lambda *_: time.sleep(3600))  # a process that gets no processor takes no time of it
    monkeypatch.setattr(judging, "PATIENCE", 1)
    with pytest.raises(judging.UnfinishedError, match="too busy to judge it"):
        judged("01_data", honest("shift"), {"shift": SEEDS}, seconds=0.1)


def test_a_temporary_folder_with_a_long_name_hinders_nobody(monkeypatch, tmp_path):
    folder = tmp_path / ("a" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    found = judged("01_data", honest("shift"), {"shift": SEEDS})
    assert found["shift"].right
