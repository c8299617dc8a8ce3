"""A crowd trains at once, with the variables it is told, and its table has a column for each crowd."""

import os

import pytest
import torch

from mnist_helpers.studies import crowd
from mnist_helpers.studies.crowd import Crowd, seconds_in, table


def student(training: str, seed: int) -> list[float]:
    """Stand in for a training; one that is alone would wait here for ever."""
    crowd.all_there.wait(timeout=100)
    return [float(seed), float(torch.get_num_threads()), float(os.environ.get("OMP_WAIT_POLICY") == "passive")]


@pytest.fixture
def stands_in(monkeypatch):
    monkeypatch.setattr(crowd, "_student", student)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")  # what the reader has set is not what is measured


@pytest.mark.slow
def test_students_train_at_once_in_processes_that_are_told_how_to_wait(stands_in):
    found = seconds_in(Crowd("two", students=2, neighbours=1), "one thread: nobody waits", "`vgg`")
    assert found == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert os.environ["OMP_WAIT_POLICY"] == "active"


def test_the_table_has_a_row_for_each_way_and_a_column_for_each_crowd():
    measured = {("`vgg`", "asleep", "alone"): 1.0, ("`vgg`", "asleep", "four"): 2.5, ("`vgg`", "awake", "alone"): 0.9}
    assert table(measured).splitlines()[0] == "| training | threads wait | alone | four |"
    assert "| `vgg` | asleep | 1.00 | 2.50 |" in table(measured)


def test_a_student_trains_as_often_as_is_asked(monkeypatch):
    import threading

    monkeypatch.setattr(crowd, "IMAGES", 100)
    crowd._meet_at(threading.Barrier(1))
    assert len(crowd._student("`fastest-99`", 0)) == crowd.TIMES
