"""Spoiled digits: seeded, in range, each changed by a rule of its own, independent of the others in the batch."""

import pytest
import torch
import torch.nn.functional as F

from mnist_helpers.corruptions import CORRUPTIONS, corrupted
from mnist_helpers.data import load_part, to_float

DIGITS = load_part("mnist", "validation", limit=60).images
MU_AND_GILMER = {  # the list of MNIST-C, as the paper names it
    "shot noise", "impulse noise", "glass blur", "motion blur", "shear", "scale", "rotate", "brightness", "translate",
    "stripe", "fog", "spatter", "dotted line", "zigzag", "edges",
}  # fmt: skip
GEOMETRY = ["shear", "scale", "rotate", "translate"]


def test_the_fifteen_are_those_of_mnist_c():
    assert CORRUPTIONS.keys() == MU_AND_GILMER  # "edges" are its Canny edges


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_gives_pictures_and_leaves_its_input(name):
    before, state = DIGITS.clone(), torch.get_rng_state()
    spoiled = corrupted(name, DIGITS)
    assert spoiled.shape == DIGITS.shape
    assert spoiled.dtype == torch.float32
    assert spoiled.min() >= 0
    assert spoiled.max() <= 1 + 1e-6
    assert torch.equal(DIGITS, before)
    assert torch.equal(torch.get_rng_state(), state)
    changed = (spoiled - to_float(DIGITS)).abs().flatten(1).amax(dim=1)
    assert (changed > 0.1).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_spoils_alike_and_another_one_otherwise(name):
    assert torch.equal(corrupted(name, DIGITS, 1), corrupted(name, DIGITS, 1))
    assert torch.equal(corrupted(name, DIGITS, 1), corrupted(name, DIGITS, 2)) is (name == "edges")


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_is_spoiled_in_its_own_way(name):
    """The same digit, many times over: each copy is changed otherwise, where chance has a part."""
    copies = corrupted(name, DIGITS[:1].repeat(30, 1, 1, 1))
    differ = (copies - copies[:1]).abs().flatten(1).amax(dim=1)[1:] > 1e-3
    assert differ.any() == (name != "edges")


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_picture_that_is_not_square_is_spoiled_too(name):
    tall = F.pad(DIGITS[:3], (0, 0, 6, 6))
    assert corrupted(name, tall).shape == (3, 1, 40, 28)


@pytest.mark.parametrize("name", GEOMETRY)
def test_what_moves_digits_adds_no_ink_outside_them(name):
    spoiled, ink = corrupted(name, DIGITS), to_float(DIGITS)
    assert (spoiled.flatten(1).amax(dim=1) <= ink.flatten(1).amax(dim=1) + 1e-5).all()
    assert (spoiled < 0.02).float().mean() > 0.6


def centre(images):
    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    weight = images.sum(dim=(1, 2, 3))
    return torch.stack([(images[:, 0] * axis).sum(dim=(1, 2)) / weight for axis in (rows, columns)], dim=1)


def test_translate_moves_by_four_or_five_pixels_both_ways():
    small = F.pad(F.interpolate(to_float(DIGITS), size=(14, 14)), (7, 7, 7, 7))  # nothing falls off the edge
    moved = CORRUPTIONS["translate"](small, torch.Generator().manual_seed(0))
    by = (centre(moved) - centre(small)).abs()
    assert by.min() > 3.9
    assert by.max() < 5.1


def test_scale_makes_digits_half_to_two_thirds_as_large():
    ratio = (corrupted("scale", DIGITS).sum(dim=(1, 2, 3)) / to_float(DIGITS).sum(dim=(1, 2, 3))).sqrt()
    assert ratio.min() > 0.47
    assert ratio.max() < 0.7


def test_brightness_keeps_the_order_of_pixels_and_shot_noise_their_mean():
    bright, ink = corrupted("brightness", DIGITS), to_float(DIGITS)
    assert (bright >= ink).all()
    grey = torch.full((50, 1, 28, 28), 0.3)
    noisy = CORRUPTIONS["shot noise"](grey, torch.Generator().manual_seed(0))
    assert abs(noisy.mean() - 0.3) < 0.01
    dark = CORRUPTIONS["shot noise"](torch.zeros(2, 1, 28, 28), torch.Generator().manual_seed(0))
    assert not dark.any()


def test_a_stripe_is_a_negative_of_six_columns_and_nothing_else():
    spoiled, ink = corrupted("stripe", DIGITS), to_float(DIGITS)
    columns = ((spoiled - ink).abs() > 1e-6).any(dim=(1, 2)) | ((spoiled + ink - 1).abs() < 1e-6).all(dim=2)[:, 0]
    assert (columns.sum(dim=1) == 6).all()


def test_an_unknown_corruption_is_an_error():
    with pytest.raises(KeyError):
        corrupted("coffee", DIGITS)
