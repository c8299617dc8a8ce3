"""Each variant is the recipe but for one thing."""

from dataclasses import asdict, replace

import torch
from torch import nn

from mnist_helpers.models import build_model
from mnist_helpers.recipes import get_recipe
from mnist_helpers.studies.ablation import WHOLE, table, variants, without_normalisation
from mnist_helpers.studies.variants import VariantScore

ALONG = {"lr"}  # what has to follow another change


def test_each_variant_changes_one_thing_of_the_recipe():
    whole, *others = variants()
    assert replace(whole.recipe, epochs=get_recipe(WHOLE).epochs) == get_recipe(WHOLE)
    assert len({variant.name for variant in variants()}) == len(variants())
    for variant in others:
        changed = {name for name, value in asdict(variant.recipe).items() if value != asdict(whole.recipe)[name]}
        other_ways = variant.averaged + (variant.build is not whole.build)
        assert len(changed - ALONG) + other_ways == 1, variant.name


def test_without_normalisation_every_convolution_has_a_bias_and_learns():
    model = without_normalisation(get_recipe(WHOLE))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model)
    convolutions = [layer for layer in model if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 5
    assert all(layer.bias is not None for layer in convolutions)
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    names = [name for name, layer in build_model("accurate").named_children() if not isinstance(layer, nn.BatchNorm2d)]
    assert [name for name, _ in model.named_children()] == names


def test_the_table_sorts_by_mistakes_and_measures_by_the_whole_recipe():
    worse = [VariantScore("no augmentation", seed, 0.98 + seed / 100) for seed in (0, 1)]
    lines = table([*worse, VariantScore(WHOLE, 0, 0.99)]).splitlines()
    assert lines[1].split() == [WHOLE, "1", "1.00", "1.00"]
    assert lines[2].split() == ["no", "augmentation", "2", "1.50", "±", "0.71", "1.50"]
    assert len({len(line) for line in lines}) == 1
