"""What is measured was not learned, and a record survives."""

from dataclasses import replace

import pytest
import torch

from mnist_helpers.commands import studies
from mnist_helpers.data import load_part
from mnist_helpers.errors import CourseError
from mnist_helpers.recipes import get_recipe
from mnist_helpers.runtime import artifacts_folder
from mnist_helpers.studies import ablation, sizes, variants
from mnist_helpers.studies.variants import Variant, VariantScore, read, split, train_variant, train_variants, write


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


@pytest.mark.parametrize("averaged", [False, True])
def test_a_variant_is_trained_and_scored(train, val, averaged):
    variant = Variant("a", replace(get_recipe("fastest-99"), epochs=12, batch_size=32), averaged=averaged)
    one = train_variant(variant, train, val, seed=0, device="cpu")
    assert one.accuracy > 0.5
    assert one.mistakes == pytest.approx(100 - 100 * one.accuracy)


def test_averaged_weights_are_other_weights(train, val):
    plain = Variant("a", replace(get_recipe("fastest-99"), epochs=2, batch_size=32))
    both = [train_variant(variant, train, val, 0, "cpu") for variant in (plain, replace(plain, averaged=True))]
    assert both[0].accuracy != both[1].accuracy


def stub(monkeypatch, trained):
    def train_one(variant, _learn, _measure, seed, _device):
        trained.append((variant.name, seed))
        return VariantScore(variant.name, seed, 0.99 + seed / 1000)

    monkeypatch.setattr(variants, "train_variant", train_one)
    monkeypatch.setattr(variants, "split", lambda: (None, None))


def test_an_interrupted_study_goes_on_where_it_was(tmp_path, monkeypatch):
    trained: list = []
    stub(monkeypatch, trained)
    path = tmp_path / "record.csv"
    compared = [Variant(name, get_recipe("fastest-99")) for name in "abc"]
    first = train_variants(compared, path, 1, resume=True)
    again = train_variants(compared, path, 2, resume=True)
    assert len(trained) == len(set(trained)) == 2 * len(compared)
    assert again[: len(first)] == first == read(path)[: len(first)]
    assert train_variants(compared, path, 1, resume=True) == first  # the other seed was not asked for
    assert train_variants(compared[1:], path, 1, resume=True) == first[1:]  # nor that variant
    train_variants(compared, path, 1)  # without resume all is trained again
    assert len(trained) == 3 * len(compared)


@pytest.mark.parametrize(
    ("command", "record", "study", "seeds", "committed"),
    [
        (studies.ablate, "ABLATION", ablation, 3, True),
        (studies.ablate, "ABLATION", ablation, 2, False),
        (studies.sizes, "SIZES", sizes, 5, True),
        (studies.sizes, "SIZES", sizes, 4, False),
    ],
)
def test_only_a_whole_study_writes_the_committed_record(
    tmp_path, monkeypatch, capsys, command, record, study, seeds, committed
):
    stub(monkeypatch, [])
    path = tmp_path / "docs" / f"{record.lower()}.csv"
    monkeypatch.setattr(studies, record, path)
    command(seeds=seeds, device="cpu")
    assert path.exists() is committed
    found = read(artifacts_folder() / path.name)
    assert len(found) == seeds * len(study.variants())
    assert study.table(found) in capsys.readouterr().out


def test_a_record_is_read_as_it_was_written(tmp_path):
    found = [VariantScore("no, dropout", 1, 0.9931), VariantScore("whole", 0, 0.995)]
    write(tmp_path / "record.csv", found)
    assert read(tmp_path / "record.csv") == found


@pytest.mark.parametrize("text", ["variant,seed\na,1\n", "variant,seed,accuracy\na,b,c\n", "\x00"])
def test_what_is_no_record_is_refused_by_name(tmp_path, text):
    (tmp_path / "record.csv").write_text(text if text != "\x00" else "variant\n\x00\n", encoding="utf-8")
    with pytest.raises(CourseError, match=r"record\.csv is not a record of trainings"):
        read(tmp_path / "record.csv")
