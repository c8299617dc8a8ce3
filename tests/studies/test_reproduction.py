"""Claims are held against what was found, and the page says so."""

import math

import pytest

from mnist_helpers.recipes import RECIPES, Recipe
from mnist_helpers.runtime import processor
from mnist_helpers.studies.reproduction import (
    CLAIMS,
    DEFAULT,
    OURS,
    PUBLISHED,
    Claim,
    Reproduction,
    holds,
    page,
    reproduce,
    table,
)


def found(recipe: str, *accuracies: float, parameters: int = 121_930, seconds: float = 60.0) -> Reproduction:
    count = len(accuracies)
    fewer = [accuracy + 0.0012 for accuracy in accuracies]
    return Reproduction(recipe, parameters, list(accuracies), fewer, [0.995] * count, [10] * count, [seconds] * count)


def test_every_published_system_is_a_recipe_and_every_claim_belongs_to_one():
    assert set(PUBLISHED) | set(OURS) <= set(RECIPES)
    assert set(CLAIMS) <= set(PUBLISHED)
    assert set(DEFAULT) >= set(PUBLISHED) | set(OURS)


@pytest.mark.parametrize(
    ("claim", "held"),
    [
        (Claim("test_accuracy", "", 0.98), True),
        (Claim("test_accuracy", "", 0.9851), False),
        (Claim("train_accuracy", "", 0.99), True),
        (Claim("parameters", "", 121_930), True),
        (Claim("parameters", "", 122_930), False),
        (Claim("seconds", "", 300), True),
        (Claim("seconds", "", 59), False),
    ],
)
def test_a_claim_is_held_or_not(claim, held):
    assert holds(claim, found("keras-csv", 0.98, 0.99)) is held


def test_the_table_names_what_does_not_hold_and_who_is_best():
    results = [found("keras-csv", 0.985, 0.987), found("vgg", 0.995, 0.995), found("resnet", 0.98, 0.98)]
    lines = {line.split("`")[1]: line for line in table(results).splitlines()[2:]}
    assert "| **no**; yes; **no** |" in lines["keras-csv"]
    assert "98.60% | 0.14 | 98.50%, 98.70% | 98.72% | 99.50%" in lines["keras-csv"]
    assert "above all published ones here | yes |" in lines["vgg"]
    assert "above all published ones here | **no** |" in lines["resnet"]
    widths = {line.count("|") for line in table(results).splitlines()}
    assert len(widths) == 1


def test_ours_claim_nothing_when_no_published_one_was_trained():
    assert "| – | – |" in table([found("vgg", 0.995, 0.995)])


def test_one_seed_has_no_spread():
    assert math.isnan(found("vgg", 0.99).spread)


def test_the_page_names_the_machine_and_the_seeds():
    text = page([found("keras-csv", 0.98, 0.99, 0.99)], "cpu")
    assert "seeds 0 to 2" in text
    assert "torch" in text
    assert processor() in text
    assert all(len(line) <= 125 or line.startswith(("|", "Machine")) for line in text.splitlines())


def test_a_reproduction_that_was_interrupted_keeps_what_it_finished(tmp_path, monkeypatch):
    small = Recipe("small", "ten-twenty", epochs=1, batch_size=64, lr=2e-3, schedule="constant")
    monkeypatch.setitem(RECIPES, "small", small)
    epochs = []
    first = reproduce("small", 1, tmp_path, "cpu", limit=640, on_epoch=lambda seed, _: epochs.append(seed))
    both = reproduce("small", 2, tmp_path, "cpu", resume=True, limit=640, on_epoch=lambda seed, _: epochs.append(seed))
    assert epochs == [0, 1]
    assert both.test_accuracies[0] == first.test_accuracies[0]
    assert both.test_accuracies[0] != both.test_accuracies[1]
    assert 0.5 < both.test_accuracy < 1
    assert both.parameters == 21_840
    for whole, fewer in zip(both.test_accuracies, both.confirmed_accuracies, strict=True):
        assert 0 <= round(10_000 * (1 - whole)) - round(9_985 * (1 - fewer)) <= 15
        assert fewer != whole
