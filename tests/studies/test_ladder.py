"""Each rung changes one thing, all rungs learn, and what is timed, stopped and counted is what the page says."""

from dataclasses import asdict, replace
from itertools import pairwise

import pytest
import torch
import torchvision
from torchvision import transforms

from mnist_helpers import runtime
from mnist_helpers.architectures import Standardise
from mnist_helpers.data import BatchLoader, LabelledImages, to_float
from mnist_helpers.datasets import class_names, read_images
from mnist_helpers.models import build_model, count_parameters
from mnist_helpers.recipes import get_recipe, make_optimizer
from mnist_helpers.runtime import ROOT
from mnist_helpers.studies import ladder
from mnist_helpers.studies.ladder import OneByOne, Until, accuracy, climb, operations, rungs, textbook_network

CPU = torch.device("cpu")
IDEAS = {"beta1": "memory", "beta2": "memory"}  # one idea in two settings
FOLLOWS = ("name", "architecture", "lr")  # a rate belongs to its optimizer, schedule and network


def ideas(rung):
    """Return all that can change from one rung to the next."""
    network = rung.network.__name__
    recipe = {IDEAS.get(name, name): value for name, value in asdict(rung.recipe).items() if name not in FOLLOWS}
    return recipe | {"network": network, "optimizer": rung.optimizer, "per": rung.per_image, "cl": rung.channels_last}


def test_each_rung_changes_one_thing_and_the_last_is_fastest_99():
    for lower, upper in pairwise(rungs()):
        before, after = ideas(lower), ideas(upper)
        changed = [name for name in before if before[name] != after[name]]
        assert len(changed) == 1, f"{upper.change}: {changed}"
    last = rungs()[-1]
    assert last.recipe == get_recipe("fastest-99")
    assert (last.per_image, last.channels_last, last.optimizer) == (False, True, make_optimizer)
    assert len({rung.change for rung in rungs()}) == len(rungs())


@pytest.mark.parametrize("on_gpu", [False, True])
def test_numbers_are_short_from_the_rung_on_that_says_so_wherever_it_runs(on_gpu):
    climbed = rungs(on_gpu=on_gpu)
    (first,) = [at for at, rung in enumerate(climbed) if rung.change == "16-bit numbers"]
    assert [rung.recipe.bfloat16 for rung in climbed] == [at >= first for at in range(len(climbed))]


def test_images_one_by_one_are_torchvision_s_and_the_network_s_own_scaling():
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    theirs = torchvision.datasets.MNIST(ROOT / "data", train=True, transform=transform)
    images, labels = read_images("mnist", train=True)
    ours = OneByOne(LabelledImages(images, labels, class_names("mnist"), "mnist"))
    assert len(ours) == len(theirs)
    for index in (0, 7, 59_999):
        torch.testing.assert_close(ours[index][0], theirs[index][0])
        assert ours[index][1] == theirs[index][1]
        torch.testing.assert_close(ours[index][0], Standardise()(to_float(images[index])), atol=1e-5, rtol=1e-5)


def in_small_batches(rung):
    return replace(rung, recipe=replace(rung.recipe, batch_size=32))


@pytest.mark.parametrize("rung", rungs(), ids=lambda rung: rung.change)
def test_every_rung_trains_for_a_whole_epoch(train, val, rung):
    climbed = climb(in_small_batches(rung), train, device="cpu")
    assert climbed.whole
    assert climbed.seconds > 0
    assert accuracy(climbed, val) > 0.4  # by chance a tenth; twenty steps are few


def test_a_rung_stopped_early_is_extrapolated_and_not_scored(train, val):
    climbed = climb(in_small_batches(rungs()[-1]), train, device="cpu", at_most=0)
    assert not climbed.whole
    assert climbed.seconds > 0
    assert accuracy(climbed, val) is None


@pytest.mark.parametrize(("at_most", "served", "seconds"), [(0, 1, 10.0), (1.5, 3, 5.0), (2.5, 10, 5.5)])
def test_no_batch_is_served_when_the_time_is_over_before_half_and_the_rest_is_extrapolated(
    train, monkeypatch, at_most, served, seconds
):
    clock = [0.0]
    monkeypatch.setattr(ladder.time, "perf_counter", lambda: clock[0])
    batches = Until(BatchLoader(train, 64), CPU, at_most)
    for number, _ in enumerate(batches):
        clock[0] += 0.5 if number else 1.0  # the first step is slow
    assert len(batches.moments) == served
    assert batches.whole is (served == 10)
    assert batches.seconds_of_all(clock[0]) == seconds


def test_the_same_seed_climbs_to_the_same_weights(train):
    first, second = (climb(rungs()[-1], train, seed=3, device="cpu").model.state_dict() for _ in range(2))
    for name, weights in first.items():
        assert torch.equal(weights, second[name]), name


def test_the_textbook_s_network_is_pytorch_s_example():
    assert count_parameters(textbook_network()) == 1_199_882
    assert textbook_network()(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_operations_are_counted_as_by_hand():
    # One dense layer: a product forward, one for the weights' gradient; none for the images, which need no gradient.
    dense = replace(rungs()[-1], network=lambda: build_model("linear"))
    assert operations(dense, images=100) == 100 * 2 * (2 * 784 * 10)


def test_the_processor_s_speed_is_measured():
    assert ladder.arithmetic_speed(CPU, bfloat16=False, repeats=2) > 0


def test_the_matrices_grow_until_they_fill_the_processor(monkeypatch):
    asked = []

    def product(side, device, bfloat16, repeats):
        asked.append((side, bfloat16))
        return ladder.FILLED * (side / 4_096) ** 3

    monkeypatch.setattr(ladder, "_seconds_of_a_product", product)
    speed = ladder.arithmetic_speed(CPU, bfloat16=True)
    assert asked == [(2_048, True), (4_096, True)]
    assert speed == 2 * 4_096**3 / ladder.FILLED


@pytest.mark.parametrize("bfloat16", [False, True])
def test_the_speed_of_16_bits_is_measured_with_16_bits_and_that_of_32_without(monkeypatch, bfloat16):
    seen = []
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, _b: seen.append(a.dtype))
    monkeypatch.setattr(runtime, "cpu_has_bfloat16", lambda: True)
    ladder._seconds_of_a_product(8, CPU, bfloat16, repeats=1)
    assert seen == [torch.bfloat16 if bfloat16 else torch.float32]


def test_the_clock_waits_for_the_gpu_that_is_measured(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    for name in ("cuda:1", "cpu"):
        ladder.synchronise(torch.device(name))
    assert waited == [torch.device("cuda:1")]
