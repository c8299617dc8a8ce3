"""Each variant is the recipe but for one thing, what is measured was not learned, and a record survives."""

from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

from mnist_helpers.commands import studies
from mnist_helpers.data import load_part
from mnist_helpers.errors import CourseError
from mnist_helpers.models import build_model
from mnist_helpers.recipes import get_recipe
from mnist_helpers.runtime import artifacts_folder
from mnist_helpers.studies import ablation
from mnist_helpers.studies.ablation import (
    WHOLE,
    Variant,
    VariantScore,
    read,
    split,
    table,
    variants,
    without_normalisation,
    write,
)

ALONG = {"lr"}  # what has to follow another change


def test_each_variant_changes_one_thing_of_the_recipe():
    whole, *others = variants()
    assert replace(whole.recipe, epochs=get_recipe(WHOLE).epochs) == get_recipe(WHOLE)
    assert len({variant.change for variant in variants()}) == len(variants())
    for variant in others:
        changed = {name for name, value in asdict(variant.recipe).items() if value != asdict(whole.recipe)[name]}
        other_ways = variant.averaged + (variant.prepare is not whole.prepare)
        assert len(changed - ALONG) + other_ways == 1, variant.change


def test_no_image_is_learned_and_measured_and_none_is_a_test_image():
    learn, measure = split()
    assert (len(learn), len(measure)) == (20_000, 40_000)
    together = torch.cat([learn.images, measure.images]).flatten(1)
    published = torch.cat([load_part("mnist", part).images for part in ("train", "validation")]).flatten(1)
    # The same images, each once: the same sums, in some order.
    weights = torch.arange(784)
    assert torch.equal((together.long() @ weights).sort().values, (published.long() @ weights).sort().values)
    shares = learn.labels.bincount() / 20_000 - load_part("mnist", "train").labels.bincount() / 55_000
    assert shares.abs().max() < 1e-4


def test_without_normalisation_every_convolution_has_a_bias_and_learns():
    model = without_normalisation(build_model("accurate", 0.3))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model)
    convolutions = [layer for layer in model if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 5
    assert all(layer.bias is not None for layer in convolutions)
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    names = [name for name, layer in build_model("accurate").named_children() if not isinstance(layer, nn.BatchNorm2d)]
    assert [name for name, _ in model.named_children()] == names


@pytest.mark.parametrize("averaged", [False, True])
def test_a_variant_is_trained_and_scored(train, val, averaged):
    variant = Variant("a", replace(get_recipe("fastest-99"), epochs=12, batch_size=32), averaged=averaged)
    one = ablation.train(variant, train, val, seed=0, device="cpu")
    assert one.accuracy > 0.5
    assert one.mistakes == pytest.approx(100 - 100 * one.accuracy)


def test_averaged_weights_are_other_weights(train, val):
    plain = Variant("a", replace(get_recipe("fastest-99"), epochs=2, batch_size=32))
    both = [ablation.train(variant, train, val, 0, "cpu") for variant in (plain, replace(plain, averaged=True))]
    assert both[0].accuracy != both[1].accuracy


def stub(monkeypatch, trained):
    def train(variant, _learn, _measure, seed, _device):
        trained.append((variant.change, seed))
        return VariantScore(variant.change, seed, 0.99 + seed / 1000)

    monkeypatch.setattr(ablation, "train", train)
    monkeypatch.setattr(ablation, "split", lambda: (None, None))


def test_an_interrupted_ablation_goes_on_where_it_was(tmp_path, monkeypatch):
    trained: list = []
    stub(monkeypatch, trained)
    path = tmp_path / "record.csv"
    first = ablation.train_variants(path, 1, resume=True)
    again = ablation.train_variants(path, 2, resume=True)
    assert len(trained) == len(set(trained)) == 2 * len(variants())
    assert again[: len(first)] == first == read(path)[: len(first)]
    assert ablation.train_variants(path, 1, resume=True) == first  # the other seed was not asked for
    ablation.train_variants(path, 1)  # without resume all is trained again
    assert len(trained) == 3 * len(variants())


@pytest.mark.parametrize(("seeds", "committed"), [(3, True), (2, False)])
def test_only_a_whole_ablation_writes_the_committed_record(tmp_path, monkeypatch, seeds, committed):
    stub(monkeypatch, [])
    monkeypatch.setattr(studies, "ABLATION", tmp_path / "docs" / "ablation.csv")
    studies.ablate(seeds=seeds, device="cpu")
    assert (tmp_path / "docs" / "ablation.csv").exists() is committed
    assert len(read(artifacts_folder() / "ablation.csv")) == seeds * len(variants())


def test_a_record_is_read_as_it_was_written(tmp_path):
    found = [VariantScore("no, dropout", 1, 0.9931), VariantScore(WHOLE, 0, 0.995)]
    write(tmp_path / "record.csv", found)
    assert read(tmp_path / "record.csv") == found


@pytest.mark.parametrize("text", ["change,seed\na,1\n", "change,seed,accuracy\na,b,c\n", "\x00"])
def test_what_is_no_record_is_refused_by_name(tmp_path, text):
    (tmp_path / "record.csv").write_text(text if text != "\x00" else "change\n\x00\n", encoding="utf-8")
    with pytest.raises(CourseError, match=r"record\.csv is not the record of an ablation"):
        read(tmp_path / "record.csv")


def test_the_table_sorts_by_mistakes_and_measures_by_the_whole_recipe():
    worse = [VariantScore("no augmentation", seed, 0.98 + seed / 100) for seed in (0, 1)]
    lines = table([*worse, VariantScore(WHOLE, 0, 0.99)]).splitlines()
    assert lines[1].split() == [WHOLE, "1", "1.00", "1.00"]
    assert lines[2].split() == ["no", "augmentation", "2", "1.50", "±", "0.71", "1.50"]
    assert len({len(line) for line in lines}) == 1
