"""The moments of a training, packed: every weight within half a level, the file whole or refused."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from unpacking import unpacked

from mnist_helpers.checkpoints import DRAWINGS, load_model
from mnist_helpers.data import BatchLoader, load_part
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import evaluate
from mnist_helpers.exporting import for_answers, for_web
from mnist_helpers.models import build_model
from mnist_helpers.training import fit, make_loader
from mnist_helpers.widgets.moments import Moments, Snapshots, pack, read_moments


def packed(labelled, *networks: nn.Sequential) -> Moments:
    """Pack a training that gave these networks, one after each step."""
    model = copy.deepcopy(networks[0])
    kept = Snapshots(model, steps=len(networks))
    for network in networks[1:]:
        model.load_state_dict(network.state_dict())
        kept.step()
    assert len(kept.networks) == len(networks)
    return pack(kept, labelled)


@pytest.mark.parametrize("name", ["linear", "two-conv", "fast", "accurate"])
def test_each_weight_at_each_moment_is_within_half_a_level(name, val):
    torch.manual_seed(0)
    networks = [build_model(name) for _ in range(3)]  # farther apart than a training takes them
    moments = packed(val, *networks)
    exact = np.stack([np.frombuffer(for_web(network, [], torch.float32)[1], np.float32) for network in networks])
    sizes = [tensor.numel() for tensor in for_answers(networks[0]).parameters()]
    level = np.repeat(moments.scales, sizes)
    assert (np.abs(unpacked(moments, networks[0]) - exact) <= 0.501 * level).all()


def test_packing_changes_no_network(val):
    network = build_model("two-conv")
    before = [tensor.clone() for tensor in network.parameters()]
    packed(val, network)
    assert all(map(torch.equal, before, network.parameters()))


def test_what_is_saved_is_read_again(val, tmp_path):
    moments = packed(val, *(build_model("two-conv") for _ in range(2)))
    moments.save(tmp_path / "moments.npz")
    found = read_moments(tmp_path / "moments.npz")
    assert found.described() == moments.described()
    assert found.packed == moments.packed
    assert found.followed() == moments.followed() != b""
    assert found.scales.tolist() == moments.scales.tolist()


@pytest.mark.parametrize("kept", [0, 10, 500, -1])
def test_a_file_that_is_cut_off_is_refused(val, tmp_path, kept):
    path = tmp_path / "moments.npz"
    packed(val, build_model("linear")).save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CourseError, match="holds no moments of a training"):
        read_moments(path)


def test_eight_bits_cost_next_to_nothing_in_the_network_of_the_site():
    moments, (model, card) = read_moments(DRAWINGS / "moments.npz"), load_model(DRAWINGS)
    assert len(moments.steps) >= 25
    assert moments.steps[-1] == card.best_epoch * (card.train_images // 128)  # the end of the best epoch is there
    assert moments.weights[-1] == pytest.approx(model.conv1.weight.detach().flatten().numpy(), abs=1e-7)
    assert (DRAWINGS / "moments.npz").stat().st_size < 4_000_000
    val, row, at = load_part("mnist", "validation"), unpacked(moments, model)[-1], 0
    exact, network = evaluate(model, val).accuracy, for_answers(model)
    for tensor in network.parameters():
        tensor.data = torch.from_numpy(row[at : at + tensor.numel()]).float().reshape(tensor.shape)
        at += tensor.numel()
    assert evaluate(network, val).accuracy == pytest.approx(exact, abs=0.001)


def test_what_came_after_the_best_epoch_is_left_out(train, val, recipe):
    """The last step of all finds the logits turned round, so `fit` goes back to an earlier epoch."""
    model = build_model("two-conv")
    steps = len(make_loader(train, recipe, seed=0))
    kept = Snapshots(model, 3 * steps, epochs=3, count=4)
    assert {steps, 2 * steps, 3 * steps} <= kept.wanted

    def spoil(*_numbers: int) -> None:
        if kept.done == 3 * steps - 1:
            with torch.no_grad():
                model.dense2.weight.mul_(-1)
        kept.step()

    history = fit(model, train, val, replace(recipe, epochs=3), on_step=spoil)
    best = history.best.epoch
    assert best < 3
    assert kept.moments[-1] == 3 * steps
    assert kept.until(model).moments[-1] == best * steps
    moments = pack(kept.until(model), val)
    assert moments.weights[-1] == pytest.approx(model.conv1.weight.detach().flatten().numpy(), abs=0)
    assert moments.accuracy[-1] == pytest.approx(history.best.val_accuracy, abs=0.01)
    torch.manual_seed(5)
    assert kept.until(build_model("two-conv")).moments == kept.moments  # never like this one


def test_a_weight_is_followed_with_its_gradient_and_its_step(train, val):
    """Plain descent: each step is the gradient times the negative learning rate, and the steps add up to the way."""
    model = build_model("two-conv")
    kept, optimizer = Snapshots(model, steps=8, count=100), torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in BatchLoader(train, batch_size=80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        kept.step()
    moments = pack(kept, val)
    assert moments.steps.tolist() == list(range(9))
    assert moments.weights.shape == moments.gradients.shape == moments.changes.shape == (9, model.conv1.weight.numel())
    assert moments.changes[1:] == pytest.approx(-0.1 * moments.gradients[1:], abs=1e-6)
    assert moments.weights[1:] == pytest.approx(moments.weights[0] + moments.changes.cumsum(axis=0)[1:], abs=1e-6)
    assert (moments.gradients[0] == 0).all()
    assert (moments.gradients[1:] != 0).any(axis=1).all()


@pytest.mark.parametrize("name", ["linear", "vgg"])
def test_where_there_is_no_convolution_or_its_weights_are_not_those_of_the_page_none_is_followed(name, val):
    network = build_model(name)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.fill_(4)
    assert packed(val, network, network).followed() == b""
