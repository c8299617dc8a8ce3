"""Digits drawn by rule, and pairs that touch: MNIST's in size, place and strokes; the same for the same seed."""

import torch
from scipy import ndimage

from mnist_helpers.data import LabelledImages
from mnist_helpers.forms import DRAWN, FORMS, PAIRS, drawn_digits, touching_pairs, with_forms
from mnist_helpers.recipes import get_recipe
from mnist_helpers.training import make_loader


def test_drawn_digits_fill_mnist_s_box_and_are_centred_by_their_mass(train):
    images, labels = drawn_digits(200, torch.Generator().manual_seed(3))
    assert (images.shape, images.dtype) == ((200, 1, 28, 28), torch.uint8)
    assert set(labels.tolist()) == set(FORMS)
    ink = images[:, 0].double()
    assert ink.amax(dim=(1, 2)).min() > 240
    rows = (ink.sum(dim=2) > 60).sum(dim=1)
    assert 18 <= rows.min() <= rows.max() <= 22
    assert off_centre(ink) <= 0.6  # moved by whole pixels
    share = (ink > 127).double().mean()
    assert 0.6 < share / (train.images > 127).double().mean() < 1.6


def off_centre(ink: torch.Tensor) -> float:
    """Return how many pixels the centre of mass of any image is off the middle."""
    places = torch.arange(28.0, dtype=torch.double) + 0.5
    middles = [along @ places / along.sum(dim=1) for along in (ink.sum(dim=1), ink.sum(dim=2))]
    return float((torch.cat(middles) - 14).abs().max())


def test_pairs_are_as_large_as_one_digit_and_in_the_middle(train):
    images, labels = touching_pairs(train, 200, torch.Generator().manual_seed(3))
    assert (images.shape, images.dtype, labels.dtype) == ((200, 1, 28, 28), torch.uint8, torch.int64)
    ink = images[:, 0].double()
    longer = torch.maximum((ink.amax(dim=1) > 40).sum(dim=1), (ink.amax(dim=2) > 40).sum(dim=1))
    assert 18 <= longer.min() <= longer.max() <= 21
    assert off_centre(ink) <= 0.6


def test_the_two_of_a_pair_touch_and_are_not_laid_over_each_other():
    ring = torch.zeros(1, 28, 28, dtype=torch.uint8)
    ring[:, 8:20, 8:20] = 255
    ring[:, 11:17, 11:17] = 0
    rings = LabelledImages(ring.repeat(4, 1, 1, 1), torch.tensor([0, 0, 6, 6]), tuple("0123456789"), "mnist")
    for image in touching_pairs(rings, 20, torch.Generator().manual_seed(3))[0]:
        assert ndimage.label(image[0] > 60)[1] == 1
        assert ndimage.label(image[0] <= 60)[1] == 3, "both holes, and what is around them"


def test_a_pair_is_called_by_either_of_its_digits_and_an_equal_pair_by_any(train):
    two = train.select(torch.stack([(train.labels == digit).nonzero()[0, 0] for digit in (3, 5)]))
    labels = touching_pairs(two, 2_000, torch.Generator().manual_seed(3))[1]
    share = labels.bincount(minlength=10) / 2_000
    # Half of them are 33 or 55: a tenth of those has each label. The others are 3 and 5 by turns.
    assert (share[[3, 5]] - 0.3).abs().max() < 0.05
    assert (share[[0, 1, 2, 4, 6, 7, 8, 9]] - 0.05).abs().max() < 0.03


def test_a_blank_image_ends_no_training():
    blank = LabelledImages(torch.zeros(3, 1, 28, 28, dtype=torch.uint8), torch.tensor([1, 2, 3]), ("",), "mnist")
    assert touching_pairs(blank, 5, torch.Generator().manual_seed(3))[0].shape == (5, 1, 28, 28)


def test_the_same_seed_draws_the_same_and_another_draws_others(train):
    first, again, other = (with_forms(train, seed) for seed in (1, 1, 2))
    assert len(first) == len(train) + round(DRAWN * len(train)) + round(PAIRS * len(train))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(first.images[: len(train)], train.images)


def test_only_handwriting_learns_from_them(train):
    for recipe, count in (
        ("handwriting", len(train) + round(DRAWN * len(train)) + round(PAIRS * len(train))),
        ("most-accurate", len(train)),
    ):
        assert len(make_loader(train, get_recipe(recipe), seed=0).labelled) == count
