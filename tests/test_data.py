import csv
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_helpers.data import (
    BatchLoader,
    LabelledImages,
    hold_out_validation,
    load_part,
    rejected_labels,
    stratified_split,
    to_float,
)
from mnist_helpers.datasets import DataError, read_images
from mnist_helpers.runtime import ROOT


@pytest.fixture(scope="module")
def numbered() -> LabelledImages:
    """Ten images whose first pixel is their number."""
    images = torch.zeros(10, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(10)
    return LabelledImages(images, torch.arange(10), tuple("0123456789"), "ours")


def test_the_three_parts_have_their_sizes_and_share_no_image():
    train, val, test = (load_part("mnist", part) for part in ("train", "validation", "test"))
    assert (len(train), len(val), len(test)) == (55_000, 5_000, 10_000)
    # MNIST's training set has no two equal images, so equal images would mean a shared one.
    images, _ = read_images("mnist", train=True)
    together = torch.cat([train.images, val.images]).flatten(1)
    assert len(together.unique(dim=0)) == len(images.flatten(1).unique(dim=0)) == 60_000


def test_the_split_is_the_one_that_every_published_figure_stands_on():
    assert load_part("mnist", "validation").digest() == "031147fb0bc36c2d"


def test_the_split_is_the_same_every_time_and_does_not_touch_the_global_seed():
    torch.manual_seed(1)
    first = load_part("mnist", "validation").labels
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.rand(1) == after
    assert torch.equal(first, load_part("mnist", "validation").labels)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=300), st.data())
def test_a_stratified_split_takes_every_class_in_proportion(labels, data):
    labels = torch.tensor(labels)
    size = data.draw(st.integers(1, len(labels)))
    kept, chosen = stratified_split(labels, size, seed=0)
    assert len(chosen) == size
    assert torch.equal(torch.cat([kept, chosen]).sort().values, torch.arange(len(labels)))
    share = torch.bincount(labels, minlength=10) * size / len(labels)
    assert ((torch.bincount(labels[chosen], minlength=10) - share).abs() <= 1).all()


@pytest.mark.parametrize("limit", [0, -1, 55_001])
def test_a_limit_out_of_range_is_refused(limit):
    with pytest.raises(DataError, match=f"limit={limit} is out of range: mnist has 55,000"):
        load_part("mnist", "train", limit=limit)


def test_an_unknown_part_is_refused():
    with pytest.raises(DataError, match="'val' is not known. Use one of: train, validation, test"):
        load_part("mnist", "val")


def test_a_fingerprint_tells_images_labels_and_their_order_apart(train):
    few = train.select(torch.arange(8))
    others = [few.select(torch.arange(8).flip(0)), replace(few, labels=few.labels.flip(0))]
    others.append(replace(few, images=255 - few.images))
    assert len({one.digest() for one in (few, *others)}) == 4
    assert few.digest() == train.select(torch.arange(8)).digest()


def test_all_images_may_be_asked_for_by_their_number():
    assert torch.equal(load_part("mnist", "test", limit=10_000).labels, load_part("mnist", "test").labels)


def test_one_image_is_a_part_too():
    assert len(load_part("mnist", "validation", limit=1)) == 1


def test_a_limited_part_keeps_the_mixture_of_classes(train):
    counts = torch.bincount(train.labels, minlength=10)
    assert len(train) == 640
    assert counts.min() >= 50


def test_to_float_maps_grey_values_to_zero_to_one():
    assert to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [0.0, 1.0]


def test_without_shuffling_all_images_come_once_and_in_order(numbered):
    loader = BatchLoader(numbered, batch_size=4)
    batches = list(loader)
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert len(loader) == 3
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(10))


def test_with_shuffling_batches_are_full_images_keep_their_labels_and_orders_differ(numbered):
    loader = BatchLoader(numbered, batch_size=4, shuffle=True, seed=1)
    passes = []
    for _ in range(2):
        batches = list(loader)
        assert [len(labels) for _, labels in batches] == [4, 4]
        for images, labels in batches:
            assert torch.equal((images[:, 0, 0, 0] * 255).round().long(), labels)
        passes.append(torch.cat([labels for _, labels in batches]).tolist())
    assert passes[0] != passes[1]
    assert len(set(passes[0])) == 8


def test_a_batch_larger_than_the_set_is_the_whole_set(numbered):
    assert len(BatchLoader(numbered, batch_size=100, shuffle=True)) == 1


def test_batches_are_floats_channels_last(numbered):
    images, labels = next(iter(BatchLoader(numbered, batch_size=4)))
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64


def test_a_twelfth_is_held_out_for_validation(train):
    kept, held_out = hold_out_validation(train)
    assert (len(kept), len(held_out)) == (587, 53)
    with pytest.raises(DataError, match="11 images are too few"):
        hold_out_validation(train.select(range(11)))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_what_is_a_fraction_already_is_not_made_one_again(train, kind):
    once = to_float(train.images[:2])
    with pytest.raises(TypeError, match=r"wants grey values \(uint8\).*enough to call it once"):
        to_float(once.to(kind))


def test_every_part_knows_its_dataset_and_keeps_it(train):
    assert {train.dataset, train.select(torch.arange(3)).dataset, train.to(torch.device("cpu")).dataset} == {"mnist"}


def test_the_votes_of_people_belong_to_mnist_s_test_images():
    test = load_part("mnist", "test")
    with (ROOT / "data" / "MNIST" / "label_votes.csv").open() as file:
        votes = [{name: int(number) for name, number in row.items()} for row in csv.DictReader(file)]
    assert len({row["image"] for row in votes}) == len(votes) == 100
    assert all(test.labels[row["image"]] == row["label"] for row in votes)
    assert {row["for_label"] + row["for_other"] + row["for_neither"] for row in votes} == {5}
    assert all(row["for_other"] == 0 for row in votes if row["other"] == row["label"])
    rejected = rejected_labels()
    assert rejected.tolist() == [row["image"] for row in votes if row["for_label"] in (0, 1, 2)]
    assert len(rejected) == 15
