"""What counts as the same answer."""

import numpy as np
import pytest
import torch

from mnist_helpers.checks.exercise import same


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
