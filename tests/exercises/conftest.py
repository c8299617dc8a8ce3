"""Each exercise, and each notebook of them, is a parameter that a test may ask for."""

import random

import pytest
from sheets import EXERCISES, SHEETS

from mnist_helpers.checks import exercise


@pytest.fixture(autouse=True)
def seeded(monkeypatch) -> None:
    """Let the input that is fresh for a learner be the same in each run of the tests."""
    monkeypatch.setattr(exercise.secrets, "randbits", random.Random(0).getrandbits)


KNOWN: dict[tuple[str, int, int], exercise.Outcome] = {}


@pytest.fixture
def known_once(monkeypatch) -> None:
    """Try a solution, or a known mistake, once with the input of a seed, however many answers are compared with it."""
    call = exercise.Exercise._call

    def remembered(check, answer, seed, without=()):
        if without or answer not in (check.solve, *(mistake.answer for mistake in check.mistakes)):
            return call(check, answer, seed, without)
        key = (check.name, id(answer), seed)
        if key not in KNOWN:
            KNOWN[key] = call(check, answer, seed)
        return KNOWN[key]

    monkeypatch.setattr(exercise.Exercise, "_call", remembered)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `exercise` each exercise in turn, and one that asks for `sheet` each notebook."""
    if "exercise" in metafunc.fixturenames:
        metafunc.parametrize("exercise", EXERCISES, ids=[name for _, name in EXERCISES])
    if "sheet" in metafunc.fixturenames:
        metafunc.parametrize("sheet", SHEETS.values(), ids=list(SHEETS))
