"""Each exercise, and each notebook of them, is a parameter that a test may ask for."""

import random

import pytest
from sheets import EXERCISES, SHEETS

from mnist_helpers.checks import exercise


@pytest.fixture(autouse=True)
def seeded(monkeypatch) -> None:
    """Let the input that is fresh for a learner be the same in each run of the tests."""
    monkeypatch.setattr(exercise.secrets, "randbits", random.Random(0).getrandbits)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `exercise` each exercise in turn, and one that asks for `sheet` each notebook."""
    if "exercise" in metafunc.fixturenames:
        metafunc.parametrize("exercise", EXERCISES, ids=[name for _, name in EXERCISES])
    if "sheet" in metafunc.fixturenames:
        metafunc.parametrize("sheet", SHEETS.values(), ids=list(SHEETS))
