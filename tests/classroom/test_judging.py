"""Judging what strangers returned: the verdicts of honest results, and results made to take for ever."""

import json

import numpy as np
import pytest

from mnist_helpers.checks import data
from mnist_helpers.checks.exercise import Outcome, Status
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
