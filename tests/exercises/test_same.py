"""What counts as the same answer, what is too large to be one, and how it is shown."""

import numpy as np
import pytest
import torch

from mnist_helpers.checks.exercise import (
    LONGEST_REMARK,
    LONGEST_SHOWN,
    MOST_NUMBERS,
    MOST_THINGS,
    Exercise,
    Gap,
    Outcome,
    crowded,
    same,
    shown,
    snapshot,
)


@pytest.mark.parametrize(
    ("value", "truth", "expected"),
    [
        (5, {1, 2}, False),
        ({1, 2}, {2, 1}, True),
        ({1, 2}, frozenset({1, 2}), False),
        (None, {1, 2}, False),
        (range(3), range(3), True),
        ([0, 1, 2], range(3), True),  # numbers in a row
        (1j, 1j, True),
        (5, 1j, False),
        (torch.float32, torch.float32, True),
        (5, torch.float32, False),
        (5, object(), False),
        ([1, {2}], [1, {3}], False),
        (np.float64(0.5), 0.5, True),
        ("7", 7, False),
        (torch.nn.Linear(1, 1), torch.nn.Linear(1, 1), True),  # compared by what it measures
    ],
)
def test_a_value_is_the_same_only_if_it_is_of_the_same_kind(value, truth, expected):
    assert same(value, truth) is expected


def endless():
    found = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, False),
        ([0] * (MOST_THINGS - 1), False),
        ([0] * MOST_THINGS, True),
        ([[0] * 1000] * 1000, True),
        (endless(), True),
        ({number: number for number in range(MOST_THINGS)}, True),
        (torch.zeros(MOST_NUMBERS), False),
        (torch.zeros(1).expand(MOST_NUMBERS + 1), True),
        ([np.zeros(MOST_NUMBERS // 2), np.zeros(MOST_NUMBERS)], True),
        (np.zeros((0, 10**12)), True),  # of nothing, but a side that long
        ({1, 2}, False),
    ],
)
def test_a_result_that_is_too_large_is_found_without_looking_at_all_of_it(value, expected):
    assert crowded(value) is expected


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        list(range(10**5)),
        tuple(range(10**5)),
        (("x" * 150,) * 12,) * 12,
        np.zeros((1,) * 32, np.longdouble),
        np.full(3, object()),
        10**5000,
    ],
    ids=["text", "list", "tuple", "nested", "longdouble", "objects", "digits"],
)
def test_what_is_shown_is_short(value):
    assert 0 < len(shown(value)) <= LONGEST_SHOWN


def doubled(number):
    return 2 * number


NUMBERS = Exercise(
    "doubled",
    doubled,
    lambda random: (int(random.integers(3, 9)),),
    "Right.",
    "Twice the number.",
    gaps=[Gap(lambda number: number > 0, "Nothing stays nothing."), Gap(lambda number: number > 1, "And one is two.")],
    edges=[lambda: (5,), lambda: (0,), lambda: (1,)],
)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda number: 2 * number if number else 1, "Nothing stays nothing."),
        (lambda number: 2 * number // (number > 0), "Nothing stays nothing."),  # stops there, so 1 is not tried
        (lambda number: 2 * number if number > 1 else 7, "And one is two."),
        (lambda number: 3 * number, "Twice the number."),
        (lambda _: 7, "the same whatever it is given"),
        (lambda number, kept=[]: kept.append(2 * number) or sum(kept), "Each call adds"),
        (lambda number: [[number] * 1000] * 1000, "far larger"),
        (lambda _: "long " * 10**6, "made of numbers"),
        (lambda _: np.zeros(10**7), "far larger"),
        (lambda _: float("nan"), "NaN"),
        (lambda _: torch.set_grad_enabled(False), "Gradients are still off"),
        (lambda _: 1 / 0, "The call was doubled(5)."),
    ],
)
def test_an_answer_gets_the_hint_for_the_input_that_it_forgets(answer, hint):
    verdict = NUMBERS(answer)
    assert not verdict.right
    assert hint in verdict.message
    assert len(verdict.message) <= LONGEST_REMARK


@pytest.mark.parametrize(
    "forged",
    [
        Outcome(np.zeros((10**6, 1))),
        Outcome([[0.0] * 1000] * 1000),
        Outcome({str(number): 0 for number in range(10**5)}),
        Outcome(np.zeros(3, np.longdouble)),
        Outcome(np.full((300, 300), np.nan)),
        Outcome("\n#" * 10**6),
        Outcome(error="x" * 10**6),
    ],
)
def test_forged_outcomes_get_a_short_remark(forged):
    seeds = NUMBERS.seeds()
    verdict = NUMBERS.judge(seeds, [forged] * len(seeds))
    assert not verdict.right
    assert len(verdict.message) <= LONGEST_REMARK


def test_a_snapshot_tells_values_modes_settings_and_who_learns():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5))
    kept = snapshot(model)
    assert same(snapshot(model), kept)
    for change in (
        lambda: model.eval(),
        lambda: model.train() and setattr(model[1], "p", 0.0),
        lambda: setattr(model[1], "p", 0.5) or model[0].requires_grad_(False),
        lambda: model[0].requires_grad_(True) and model[0].weight.data.zero_(),
    ):
        change()
        assert not same(snapshot(model), kept)
    image = torch.zeros(3)
    kept = snapshot(image)
    assert not same(snapshot(image.requires_grad_()), kept)
