"""Digits drawn by rule look like MNIST's in size, place and strokes; the same for the same seed."""

import torch

from mnist_helpers.forms import FORMS, SHARE, drawn_digits, with_forms
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
    places = torch.arange(28.0, dtype=torch.double) + 0.5
    for along in (ink.sum(dim=1), ink.sum(dim=2)):
        middles = along @ places / along.sum(dim=1)
        assert (middles - 14).abs().max() <= 0.6  # moved by whole pixels
    share = (ink > 127).double().mean()
    assert 0.6 < share / (train.images > 127).double().mean() < 1.6


def test_the_same_seed_draws_the_same_and_another_draws_others(train):
    first, again, other = (with_forms(train, seed) for seed in (1, 1, 2))
    assert len(first) == round(len(train) * (1 + SHARE))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(first.images[: len(train)], train.images)


def test_only_handwriting_learns_from_them(train):
    for recipe, count in (("handwriting", round(len(train) * (1 + SHARE))), ("most-accurate", len(train))):
        assert len(make_loader(train, get_recipe(recipe), seed=0).labelled) == count
