"""The moments of a training, packed: every weight within half a level, the file whole or refused."""

import zlib

import numpy as np
import pytest
import torch

from mnist_helpers.checkpoints import load_model
from mnist_helpers.data import load_part
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import evaluate
from mnist_helpers.exporting import for_answers, for_web
from mnist_helpers.models import build_model
from mnist_helpers.runtime import ROOT
from mnist_helpers.widgets.moments import LEVELS, pack, read_moments

NETWORK = ROOT / "docs" / "site" / "network"


def unpacked(moments, model):
    """Return the weights at each moment as rows, by another way than the page's: sums of the changes."""
    changes = np.frombuffer(zlib.decompress(moments.packed), np.uint8).astype(int)
    parts, count, at = [], len(moments.steps), 0
    for tensor, scale in zip(for_answers(model).parameters(), moments.scales, strict=True):
        size = tensor.numel() * count
        levels = changes[at : at + size].reshape(count, -1).cumsum(axis=0) % 256
        parts.append(np.where(levels > LEVELS, levels - 256, levels) * scale)
        at += size
    assert at == len(changes)
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("name", ["linear", "two-conv", "fast", "accurate"])
def test_each_weight_at_each_moment_is_within_half_a_level(name, val):
    torch.manual_seed(0)
    networks = [build_model(name) for _ in range(3)]  # farther apart than a training takes them
    moments = pack([0, 1, 2], networks, val)
    exact = np.stack([np.frombuffer(for_web(network, [], torch.float32)[1], np.float32) for network in networks])
    sizes = [tensor.numel() for tensor in for_answers(networks[0]).parameters()]
    level = np.repeat(moments.scales, sizes)
    assert (np.abs(unpacked(moments, networks[0]) - exact) <= 0.501 * level).all()


def test_packing_changes_no_network(val):
    network = build_model("two-conv")
    before = [tensor.clone() for tensor in network.parameters()]
    pack([0], [network], val)
    assert all(map(torch.equal, before, network.parameters()))


def test_what_is_saved_is_read_again(val, tmp_path):
    moments = pack([0, 7], [build_model("linear") for _ in range(2)], val)
    moments.save(tmp_path / "moments.npz")
    found = read_moments(tmp_path / "moments.npz")
    assert found.described() == moments.described()
    assert found.packed == moments.packed
    assert found.scales.tolist() == moments.scales.tolist()


@pytest.mark.parametrize("kept", [0, 10, 500, -1])
def test_a_file_that_is_cut_off_is_refused(val, tmp_path, kept):
    path = tmp_path / "moments.npz"
    pack([0], [build_model("linear")], val).save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CourseError, match="holds no moments of a training"):
        read_moments(path)


def test_eight_bits_cost_next_to_nothing_in_the_network_of_the_site():
    moments, (model, _card) = read_moments(NETWORK / "moments.npz"), load_model(NETWORK)
    assert len(moments.steps) >= 25
    assert (NETWORK / "moments.npz").stat().st_size < 4_000_000
    val, row, at = load_part("mnist", "validation"), unpacked(moments, model)[-1], 0
    exact, network = evaluate(model, val).accuracy, for_answers(model)
    for tensor in network.parameters():
        tensor.data = torch.from_numpy(row[at : at + tensor.numel()]).float().reshape(tensor.shape)
        at += tensor.numel()
    assert evaluate(network, val).accuracy == pytest.approx(exact, abs=0.001)
