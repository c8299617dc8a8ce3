"""Each exercise, and each notebook of them, is a parameter that a test may ask for."""

import pytest
from sheets import EXERCISES, SHEETS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `exercise` each exercise in turn, and one that asks for `sheet` each notebook."""
    if "exercise" in metafunc.fixturenames:
        metafunc.parametrize("exercise", EXERCISES, ids=[name for _, name in EXERCISES])
    if "sheet" in metafunc.fixturenames:
        metafunc.parametrize("sheet", SHEETS.values(), ids=list(SHEETS))
