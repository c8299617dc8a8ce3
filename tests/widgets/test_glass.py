"""What a glass box is given: the weights as they were at each moment, and a sentence where a network is not known."""

import itertools
import re
import zlib

import numpy as np
import pytest
import torch

from mnist_helpers.models import build_model
from mnist_helpers.widgets.glass import COMPUTES, SHOWS, GlassBox, TrainingBox, bundled
from mnist_helpers.widgets.moments import Snapshots


@pytest.mark.parametrize("steps", [1, 2, 10, 1_287, 100_000])
def test_the_moments_are_about_thirty_from_before_the_first_step_to_the_last(steps):
    snapshots = Snapshots(build_model("linear"), steps)
    for _ in range(steps):
        snapshots.step()
    moments = snapshots.moments
    assert moments[0] == 0
    assert moments[-1] == steps
    assert moments == sorted(set(moments))
    assert min(steps, 20) <= len(moments) <= 31
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert gaps == sorted(gaps) or max(a - b for a, b in itertools.pairwise(gaps)) <= 1  # rounded


def test_a_moment_holds_the_weights_as_they_were(val):
    model = build_model("linear")
    model.dense.weight.data.clamp_(min=0)
    snapshots = Snapshots(model, steps=1)
    model.dense.weight.data.add_(1)
    snapshots.step()
    box = TrainingBox(model, val, snapshots)
    first, change = np.frombuffer(zlib.decompress(box.packed), np.int8)[: 2 * 7840].reshape(2, -1)
    assert (first >= 0).all()
    assert set(change.tolist()) <= {round(1 / box.scales[0]) + rounded for rounded in (-1, 0, 1)}  # all grew by one
    assert [moment["step"] for moment in box.moments] == [0, 1]
    assert all(0 <= moment["accuracy"] <= 1 for moment in box.moments)


def test_a_network_that_the_page_does_not_know_is_said_in_the_box(val):
    assert "does not know the layer block1: Residual." in GlassBox(build_model("resnet"), val).header["message"]


def test_the_images_come_with_their_labels(val):
    box = GlassBox(build_model("two-conv"), val)
    assert torch.frombuffer(bytearray(box.images), dtype=torch.uint8).equal(val.images.flatten())
    assert box.labels == val.labels.tolist()
    assert box.moments == []


def test_the_modules_are_one_that_asks_for_no_other():
    script = bundled()
    assert not re.search(r"^import ", script, re.MULTILINE)
    constants = re.findall(r"^const (\w+) = \(\(\)", script, re.MULTILINE)
    assert constants == ["pen" if name == "strokes" else name for name in COMPUTES + SHOWS]
