"""Published ways are run as published, and stopped when they are there."""

import importlib.util
import sys

import pytest
import torch
import torchvision

from mnist_helpers.errors import CourseError
from mnist_helpers.models import build_model, count_parameters
from mnist_helpers.runtime import ROOT
from mnist_helpers.studies import published
from mnist_helpers.studies.published import record, record_network, textbook, until_target

CPU = torch.device("cpu")


def test_the_published_scripts_get_all_images_in_the_order_of_the_file():
    theirs = torchvision.datasets.MNIST(ROOT / "data", train=True)
    ours = published.published_training_set()
    assert torch.equal(ours.images[:, 0], theirs.data)
    assert torch.equal(ours.labels, theirs.targets)


@pytest.mark.parametrize(
    ("accuracies", "epochs"), [([0.98, 0.9899, 0.99, 1.0], 3), ([0.999], 1), ([0.1, 0.2, 0.3, 0.4], 4)]
)
def test_a_training_stops_at_99_percent_or_at_its_end_and_scoring_is_not_timed(monkeypatch, accuracies, epochs):
    clock = [0.0]
    monkeypatch.setattr(published.time, "perf_counter", lambda: clock[0])
    scores = iter(accuracies)

    def pass_time(seconds):
        clock[0] += seconds

    run = until_target(lambda: pass_time(2), lambda: (pass_time(100), next(scores))[1], epochs=4)
    assert (run.epochs, run.seconds, run.accuracy) == (epochs, 2 * epochs, accuracies[epochs - 1])


def test_the_textbook_learns(train, val):
    run = textbook(train, val, CPU, seed=0, epochs=3)
    assert run.epochs == 3
    assert run.accuracy > 0.5


def test_the_record_s_network_is_the_published_one_and_learns(train, val):
    assert count_parameters(record_network()) == 24 * 26 + 32 * (24 * 9 + 1) + 256 * 801 + 10 * 257
    run = record(train, val, CPU, seed=0)
    assert run.seconds > 0
    assert run.accuracy > 0.2
    assert record(train, val, CPU, seed=0, channels_last=True).accuracy == pytest.approx(run.accuracy, abs=0.1)


def test_without_keras_its_extra_is_named(train, val, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)  # importing it fails from here on
    with pytest.raises(CourseError, match=r"Keras is not installed .*mnist-helpers\[bench\]"):
        published.published_keras(train, val, seed=0, epochs=1)


@pytest.mark.skipif(
    not importlib.util.find_spec("tensorflow"), reason="the extra `bench`, with Keras, is not installed"
)
@pytest.mark.filterwarnings("ignore")  # TensorFlow's own
@pytest.mark.slow
def test_keras_trains_the_published_network(train, val):
    assert published.keras_network().count_params() == count_parameters(build_model("two-conv"))
    run = published.published_keras(train, val, seed=0, epochs=2)
    assert run.epochs == 2
    assert run.accuracy > 0.5
