"""A description of a network is read, counted and built as it says; what makes no network is named."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mnist_helpers.checks import smallest
from mnist_helpers.checks.blueprint import KINDS, BlueprintError, build, read_blueprint, table
from mnist_helpers.models import count_parameters

numbers = st.sampled_from([1, 2, 3, 5, 8, 10, 16])
layers = st.sampled_from(sorted(KINDS)).flatmap(lambda kind: st.tuples(st.just(kind), *[numbers] * len(KINDS[kind])))
SMALL = [("cut", 2), ("turned", 8, 3), ("pool", 2), ("norm",), ("relu",)]
for _maps, _more in [(8, 14), (14, 14), (14, 14), (14, 12)]:
    SMALL += [("turned", _maps, 3), ("mix", _more), ("norm",), ("relu",)]
SMALL += [("mean",), ("dense", 10)]


def longest_that_fits(described):
    """Return a description without the layers that do not fit behind those before them, and a dense layer at last."""
    kept = []
    for one in described:
        try:
            read_blueprint([*kept, one])
            kept.append(one)
        except BlueprintError as error:
            if "It ends with" in str(error):
                kept.append(one)
    try:
        read_blueprint([*kept, ("dense", 10)])
    except BlueprintError:
        kept.append(("flatten",))
    return [*kept, ("dense", 10)]


@settings(max_examples=40, deadline=None)
@given(st.lists(layers, max_size=9))
def test_a_network_is_as_its_description_says(described):
    found = read_blueprint(longest_that_fits(described))
    model = build(found).eval()
    assert count_parameters(model) == sum(one.parameters for one in found)
    values, steps = torch.rand(2, 1, 28, 28), {}

    def count(layer, _given, made):
        weight = getattr(layer, "weight", None)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            steps[layer] = weight[0].numel() * made[0].numel()

    for part in model.modules():
        part.register_forward_hook(count)
    values = model[0](values)
    for one, part in zip(found, list(model)[1:], strict=True):
        assert values.shape[1:] == one.before
        given_numbers = values[0].numel()
        values = part(values)
        assert values.shape[1:] == one.after
        assert one.steps == steps.get(part, given_numbers)
    assert values.shape == (2, 10)


def test_a_layer_without_numbers_may_be_a_word_alone():
    described = [("mean",), "relu", ("dense", 10)]
    assert read_blueprint(described) == read_blueprint([["mean"], ["relu"], ["dense", 10]])


def test_kernels_in_eight_ways_share_their_weights_while_they_learn():
    model = build(read_blueprint([("turned", 16, 3), ("mean",), ("dense", 10)]))
    model(torch.rand(4, 1, 28, 28)).square().sum().backward()
    (kernel,) = [one for one in model.parameters() if one.dim() == 4]
    assert (kernel.shape, kernel.grad.abs().min() > 0) == ((1, 1, 3, 3), True)


class Secretive:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("described", "why"),
    [
        (None, "returns None. Does it end with `return`?"),
        (["relu", "mean"], '("relu",)'),
        ([], "A list of layers"),
        ("conv", "A list of layers"),
        (("conv", 8, 3), "A list of layers"),
        ([("dense", 10)] * 41, "41 layers"),
        ([("flatten",), ("dense", True)], "Layer 2, ('dense', True): it should have whole numbers behind it: numbers."),
        ([("conv", 8.0, 3)], "whole numbers behind it: maps, side"),
        ([("conv", 8)], "whole numbers behind it: maps, side"),
        ([("relu", 1)], "nothing behind it"),
        ([("conv", 0, 3)], "between 1 and 256"),
        ([("conv", 8, -3)], "between 1 and 256"),
        ([("conv", 10**30, 3)], "between 1 and 256"),
        ([("conv", 8, 29)], "1 map of 28×28, which is too small"),
        ([("cut", 14)], "too small"),
        ([("pool", 29)], "too small"),
        ([("conv", 8, 3), ("apart", 12, 3)], "8 maps of 26×26. It can make as many"),
        ([("conv", 8, 3), ("turned", 4, 3)], "as many of them"),
        ([("dense", 10)], "It belongs behind mean or flatten"),
        ([("mean",), ("conv", 8, 3)], "1 number. It belongs behind layers with maps"),
        ([("mean",), ("mean",)], "behind layers with maps"),
        ([("mean",)], "It ends with 1 number. The last layer should give ten numbers."),
        ([("conv", 10, 28)], "It ends with 10 maps of 1×1."),
        ([("mean",), ("dense", 9)], "It ends with 9 numbers."),
        ([nn.ReLU()], "Layer 1, ReLU(): there is no such layer"),
        ([Secretive()], "Layer 1, <Secretive>: there is no such layer"),
        ([[]], "Layer 1, []: there is no such layer"),
        ([[["conv"], 8]], "there is no such layer"),
        ([{"conv": 8}], "there is no such layer"),
        ([("x" * 1000,)], "…: there is no such layer"),
    ],
)
def test_what_makes_no_network_is_named(described, why):
    with pytest.raises(BlueprintError) as caught:
        read_blueprint(described)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 250


def test_the_table_has_a_line_for_each_layer_and_the_sums(capsys):
    smallest.show_layers(SMALL)
    *lines, sums = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(SMALL)
    found = read_blueprint(SMALL)
    assert sums.split() == [
        "in",
        "all",
        f"{sum(one.parameters for one in found):,}",
        f"{sum(one.steps for one in found):,}",
    ]
    assert len({len(line) for line in table(found).splitlines()}) == 1
    smallest.show_layers([("conv",)])
    assert "Layer 1" in capsys.readouterr().out


def test_a_description_reads_the_same_share_each_time_and_is_trained_once(monkeypatch):
    monkeypatch.setattr(smallest, "IMAGES", 6400)
    found = tuple(read_blueprint([("pool", 4), ("flatten",), ("dense", 10)]))
    state = torch.get_rng_state()
    trained = []
    built = smallest.build
    monkeypatch.setattr(smallest, "build", lambda described: trained.append(1) or built(described))
    smallest.accuracy_of.cache_clear()
    first, again = smallest.accuracy_of(found), smallest.accuracy_of(found)
    smallest.accuracy_of.cache_clear()
    assert first == again == smallest.accuracy_of(found)
    assert len(trained) == 2
    assert 0.5 < first < 0.9
    assert torch.equal(state, torch.get_rng_state())
    smallest.accuracy_of.cache_clear()


def test_a_network_that_passes_is_ranked_by_its_parameters(monkeypatch):
    monkeypatch.setattr(smallest, "accuracy_of", lambda _layers: 0.9612)
    verdict = smallest.my_network(lambda: SMALL)
    assert verdict.right
    assert verdict.rank == sum(one.parameters for one in read_blueprint(SMALL))
    assert f"{verdict.rank:,} parameters, 96.12% of the validation images." in verdict.message
    monkeypatch.setattr(smallest, "accuracy_of", lambda _layers: 0.9599)
    verdict = smallest.my_network(lambda: SMALL)
    assert (verdict.right, verdict.rank) == (False, None)
    assert "read 95.99% of the validation images, and 96% is asked for" in verdict.message
