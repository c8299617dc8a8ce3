"""The networks differ in their size and in the kind of their layers, and in nothing else."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from mnist_helpers.models import count_parameters
from mnist_helpers.studies import sizes
from mnist_helpers.studies.variants import VariantScore, read, train_variant

GOALS = (300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000)


@pytest.mark.parametrize("kind", sizes.KINDS)
def test_no_other_width_comes_nearer_to_its_number_of_parameters(kind):
    for width, goal in zip(sizes.WIDTHS[kind], GOALS, strict=False):  # the largest only of ordinary layers
        away = [abs(count_parameters(sizes.network(kind, width + step)) - goal) for step in (-1, 0, 1)]
        assert min(away) == away[1], (width, goal)


def test_a_size_says_how_many_parameters_its_network_has():
    for size, variant in zip(sizes.sizes(), sizes.variants(), strict=True):
        model = variant.build(variant.recipe)
        assert count_parameters(model) == size.parameters
        assert variant.name == f"{size.kind}, {size.parameters} parameters"
        assert model(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert len({variant.recipe for variant in sizes.variants()}) == 1


def test_the_kinds_of_layers_need_fewer_parameters_each_and_make_maps_of_the_same_size():
    layers = [make(14, 14) for make in sizes.KINDS.values()]
    assert [count_parameters(layer) for layer in layers] == [14 * 14 * 9, 14 * 9 + 14 * 14, 9 + 14 * 14]
    assert {layer(torch.rand(1, 14, 9, 9)).shape for layer in layers} == {(1, 14, 7, 7)}


def test_a_layer_in_two_parts_is_an_ordinary_convolution_with_a_product_for_each_kernel():
    layer = sizes.in_two_parts(3, 5)
    apart, mix = layer
    kernels = mix.weight * apart.weight.transpose(0, 1)  # (5, 3, 1, 1) times (1, 3, 3, 3)
    maps = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(layer(maps), nn.functional.conv2d(maps, kernels))


@pytest.mark.parametrize("number", [1, 8, 13])  # the second size of each kind
def test_a_small_network_of_each_kind_learns(train, val, number):
    variant = sizes.variants()[number]
    small_batches = replace(variant, recipe=replace(variant.recipe, batch_size=32))
    assert train_variant(small_batches, train, val, seed=0, device="cpu").accuracy > 0.6


def test_curves_are_sorted_by_size_and_leave_out_what_was_not_trained():
    first, second, *_ = sizes.sizes()
    found = [VariantScore(second.name, 0, 0.98), VariantScore(first.name, 1, 0.9), VariantScore(first.name, 0, 0.8)]
    curves = sizes.curves(found)
    assert list(curves) == list(sizes.KINDS)
    assert list(curves["ordinary"].items()) == [
        (first.parameters, pytest.approx([10, 20])),
        (second.parameters, pytest.approx([2])),
    ]
    lines = sizes.table(found).splitlines()
    assert lines[1].split() == ["ordinary", "212", "2", "15.00", "±", "7.07"]
    assert lines[2].split() == ["ordinary", "1,055", "1", "2.00"]
    assert len({len(line) for line in lines}) == 1


def test_the_committed_study_is_whole():
    found = read(sizes.RECORD)
    curves = sizes.curves(found)
    assert len(found) == 5 * len(sizes.sizes())
    assert [len(curve) for curve in curves.values()] == [7, 5, 5]
    for curve in curves.values():
        assert {len(runs) for runs in curve.values()} == {5}
        assert all(fewer < more for fewer, more in pairwise(curve))
