import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2.functional import InterpolationMode, affine

from mnist_helpers.data import BatchLoader, LabelledImages, load_part, random_affine, stratified_split, to_float
from mnist_helpers.datasets import DataError, read_images


@pytest.fixture(scope="module")
def numbered() -> LabelledImages:
    """Ten images whose first pixel is their number."""
    images = torch.zeros(10, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(10)
    return LabelledImages(images, torch.arange(10), tuple("0123456789"))


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


def test_random_affine_with_no_range_changes_nothing(train):
    images = to_float(train.images[:8])
    same = random_affine(images, torch.Generator(), degrees=0, shift=0, scale=0)
    torch.testing.assert_close(same, images, atol=1e-5, rtol=0)


def test_random_affine_turns_and_resizes_as_torchvision_does(train):
    images = to_float(train.images[:6])
    ours = random_affine(images, torch.Generator().manual_seed(3), degrees=20, shift=0, scale=0.2)
    draws = torch.rand(6, 4, generator=torch.Generator().manual_seed(3)) * 2 - 1
    for image, mine, (angle, scale, _, _) in zip(images, ours, draws.tolist(), strict=True):
        theirs = affine(image, -20 * angle, [0, 0], 1 + 0.2 * scale, [0.0, 0.0], InterpolationMode.BILINEAR)
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=0)


def test_random_affine_stays_within_its_ranges():
    """A dot in the middle moves by at most `shift` pixels when nothing is turned or resized."""
    dots = torch.zeros(200, 1, 29, 29)
    dots[:, :, 14, 14] = 1
    moved = random_affine(dots, torch.Generator().manual_seed(0), degrees=0, shift=3, scale=0)
    mass = moved.sum(dim=(1, 2, 3))
    rows = (moved.sum(dim=(1, 3)) * torch.arange(29)).sum(dim=1) / mass - 14
    columns = (moved.sum(dim=(1, 2)) * torch.arange(29)).sum(dim=1) / mass - 14
    torch.testing.assert_close(mass, torch.ones(200), atol=1e-4, rtol=0)
    for offsets in (rows, columns):
        assert offsets.abs().max() <= 3.001
        assert offsets.max() > 2.5
        assert offsets.min() < -2.5


def test_random_affine_is_different_for_each_image_and_the_same_for_the_same_seed(train):
    images = to_float(train.images[:1]).repeat(5, 1, 1, 1)
    first = random_affine(images, torch.Generator().manual_seed(1))
    again = random_affine(images, torch.Generator().manual_seed(1))
    assert torch.equal(first, again)
    assert len(first.flatten(1).unique(dim=0)) == 5
