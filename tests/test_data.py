import gzip
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_helpers.data import (
    BatchLoader,
    LabelledImages,
    hold_out_validation,
    load_csv,
    load_part,
    stratified_split,
    to_float,
)
from mnist_helpers.datasets import DataError, read_images


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


def write_csv(path: Path, labelled: LabelledImages, header: bool = True) -> Path:
    names = ",".join(["label", *(f"{row}x{column}" for row in range(1, 29) for column in range(1, 29))])
    rows = torch.cat([labelled.labels[:, None], labelled.images.flatten(1).long()], dim=1).tolist()
    lines = [names] * header + [",".join(map(str, row)) for row in rows]
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("name", "header"), [("a.csv", True), ("a.csv", False), ("a.csv.gz", True)])
def test_a_csv_file_holds_the_same_images_as_the_original(tmp_path, train, name, header):
    read = load_csv(write_csv(tmp_path / name, train, header))
    assert torch.equal(read.images, train.images)
    assert torch.equal(read.labels, train.labels)
    assert read.digest() == train.digest()


PIXELS = ",".join(["7"] * 784)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no lines with images"),
        ("label,1x1\n", "has no lines with images"),
        ("3,1,2,3\n", "4 columns in 1 lines; a label and 784"),
        (f"12,{PIXELS}\n", "label 12 in its row 1"),
        (f"3,{PIXELS}\n10,{PIXELS}\n", "label 10 in its row 2"),
        (f"3,{PIXELS},5\n", "786 columns"),
        (f"3,{PIXELS}\n4,1,2\n", r"not in the form[^(]*\([^()']*columns[^()']*\)\.$"),
        (f"3,{PIXELS.replace('7', '256', 1)}\n", "not in the form.*256"),
        (f"3,{PIXELS.replace('7', '-1', 1)}\n", "not in the form.*-1"),
        (f"3,{PIXELS.replace('7', 'x', 1)}\n", "not in the form.*x"),
        ("\x00\x01", "not in the form"),
    ],
)  # fmt: skip
def test_a_csv_file_that_holds_something_else_is_said_plainly(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        load_csv(tmp_path / "a.csv")
    assert len(str(caught.value).splitlines()) == 1


def test_a_csv_file_that_is_missing_or_damaged_is_said_plainly(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        load_csv(tmp_path / "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"3,4\n" * 999)[:20])
    with pytest.raises(DataError, match="a.csv.gz cannot be read"):
        load_csv(tmp_path / "a.csv.gz")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        load_csv(tmp_path / "a.csv")


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


def test_every_part_knows_its_dataset_and_keeps_it(train, csv_file):
    assert {train.dataset, train.select(torch.arange(3)).dataset, train.to(torch.device("cpu")).dataset} == {"mnist"}
    assert load_csv(csv_file, "kmnist").dataset == "kmnist"
