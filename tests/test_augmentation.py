import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torchvision.transforms.v2.functional import InterpolationMode, affine

from mnist_helpers.augmentation import AUGMENTATIONS, random_affine, random_coarseness, random_shift, random_strokes
from mnist_helpers.data import to_float


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
    assert torch.corrcoef(torch.stack([rows, columns]))[0, 1].abs() < 0.25  # each drawn for itself


def test_random_affine_is_different_for_each_image_and_the_same_for_the_same_seed(train):
    images = to_float(train.images[:1]).repeat(5, 1, 1, 1)
    first = random_affine(images, torch.Generator().manual_seed(1))
    again = random_affine(images, torch.Generator().manual_seed(1))
    assert torch.equal(first, again)
    assert len(first.flatten(1).unique(dim=0)) == 5


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 3), st.integers(0, 1000), st.integers(1, 2))
def test_random_shift_moves_whole_pixels_as_padding_and_cutting_do(most, seed, channels):
    images = torch.rand(20, channels, 9, 11)
    moved = random_shift(images, torch.Generator().manual_seed(seed), most)
    padded = F.pad(images, (most,) * 4)
    offsets = [(row, column) for row in range(2 * most + 1) for column in range(2 * most + 1)]
    found = [
        {offset for offset in offsets if torch.equal(padded[one][:, offset[0] :, offset[1] :][:, :9, :11], moved[one])}
        for one in range(20)
    ]
    assert all(found)
    assert len(set.union(*found)) > most, "all images move alike"


def test_random_shift_reaches_every_move_and_no_other():
    dots = torch.zeros(2_000, 1, 9, 9)
    dots[:, :, 4, 4] = 1
    moved = random_shift(dots, torch.Generator().manual_seed(0))
    assert torch.equal(moved.sum(dim=(1, 2, 3)), torch.ones(2_000))
    places = {tuple(place) for place in moved[:, 0].nonzero()[:, 1:].tolist()}
    assert places == {(row, column) for row in range(2, 7) for column in range(2, 7)}


def test_squeeze_and_slant_move_pixels_where_geometry_says():
    """A slant of s moves the row at height y (in units of half the image) sideways by s·y."""
    images = torch.zeros(200, 1, 28, 28)
    images[:, 0, 5, 14] = 1.0  # 8.5 of 14 rows above the middle
    slanted = random_affine(images, torch.Generator().manual_seed(0), degrees=0, shift=0, scale=0, slant=0.3)
    columns = (slanted * torch.arange(28)).sum(dim=(1, 2, 3)) / slanted.sum(dim=(1, 2, 3))
    assert 14 - 0.3 * 8.5 - 0.6 < columns.min() < 13
    assert 15 < columns.max() < 14 + 0.3 * 8.5 + 0.6
    squeezed = random_affine(torch.ones(50, 1, 28, 28), torch.Generator(), degrees=0, shift=0, scale=0, squeeze=0.3)
    widths = squeezed[:, 0, 14].sum(dim=1)
    assert widths.min() < 23
    assert (squeezed[:, 0, :, 14].sum(dim=1) > 27.9).all()  # no image became lower


def test_all_changes_of_form_together_are_one_after_the_other(train):
    """A point of the output comes from: squeezed and slanted first, then turned and resized."""
    images = to_float(train.images[:6])
    ours = random_affine(
        images, torch.Generator().manual_seed(5), degrees=20, shift=2, scale=0.2, squeeze=0.3, slant=0.4
    )
    generator = torch.Generator().manual_seed(5)
    draws, form = torch.rand(6, 4, generator=generator) * 2 - 1, torch.rand(2, 6, generator=generator) * 2 - 1
    for image, mine, (turn, size, right, down), slant, squeeze in zip(images, ours, draws, *form, strict=True):
        angle = torch.deg2rad(20 * turn)
        turned = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]]) / (1 + 0.2 * size)
        formed = torch.tensor([[1 / (1 + 0.3 * squeeze), 0.4 * slant], [0, 1]])
        theta = torch.cat([turned @ formed, torch.stack([right, down])[:, None] * 2 / 14], dim=1)
        grid = F.affine_grid(theta[None], [1, 1, 28, 28], align_corners=False)
        torch.testing.assert_close(mine, F.grid_sample(image[None], grid, align_corners=False)[0], atol=1e-4, rtol=0)


def test_a_bend_moves_points_by_about_as_many_pixels_both_ways():
    ramp = torch.linspace(0, 1, 28).expand(200, 1, 28, 28)
    for image in (ramp, ramp.transpose(2, 3)):
        bent = random_affine(image, torch.Generator().manual_seed(0), degrees=0, shift=0, scale=0, bend=0.8)
        moves = (bent - image)[:, :, 4:-4, 4:-4] * 27  # pixels
        assert 0.55 < moves.std() < 0.75  # between the points of the grid it is less than at them


def test_the_points_of_a_bend_s_grid_move_by_what_is_drawn_for_them():
    """On a ramp the grey value says where a pixel comes from; every seventh of 29 pixels is a point of the grid."""
    ramp = torch.arange(29.0).expand(20, 1, 29, 29)
    for axis, image in enumerate((ramp, ramp.transpose(2, 3))):
        bent = random_affine(image, torch.Generator().manual_seed(2), degrees=0, shift=0, scale=0, bend=0.8)
        generator = torch.Generator().manual_seed(2)
        torch.rand(20, 4, generator=generator)  # for turning, moving and resizing
        drawn = torch.randn(20, 2, 5, 5, generator=generator)[:, axis, 1:-1, 1:-1] * 0.8
        torch.testing.assert_close((bent - image)[:, 0, 7:22:7, 7:22:7], drawn, atol=1e-3, rtol=0)


def test_a_bend_is_smooth(train):
    ramp = torch.linspace(0, 1, 28).expand(8, 1, 28, 28)
    bent = random_affine(ramp, torch.Generator().manual_seed(0), degrees=0, shift=0, scale=0, bend=0.8)
    inner = bent[:, :, 5:-5, 5:-5]
    assert not torch.allclose(inner, ramp[:, :, 5:-5, 5:-5], atol=0.01)
    assert inner.diff(dim=2).abs().max() < 0.05  # neighbours move together


def test_strokes_become_thinner_and_thicker(train):
    images = to_float(train.images[:1]).expand(200, 1, 28, 28)
    varied = random_strokes(images, torch.Generator().manual_seed(0))
    inked = (varied > 0.5).sum(dim=(1, 2, 3)) / (images[0] > 0.5).sum()
    assert inked.min() < 0.75
    assert inked.max() > 1.5


def test_strokes_are_changed_as_scipys_filters_change_them(train):
    """Spread or thinned by the brightest or darkest neighbour, blurred by two means, stretched to white, then bent."""
    images = to_float(train.images[:40])
    varied = random_strokes(images, torch.Generator().manual_seed(4))
    draws = torch.rand(40, 3, generator=torch.Generator().manual_seed(4)).tolist()
    for image, mine, (width, blur, darkness) in zip(images[:, 0].numpy(), varied[:, 0], draws, strict=True):
        change = 2 * width - 1
        spread, share = (ndimage.maximum_filter, change) if change > 0 else (ndimage.minimum_filter, -0.6 * change)
        image = (1 - share) * image + share * spread(image, 3, mode="nearest")
        blurred = ndimage.uniform_filter(ndimage.uniform_filter(image, 3, mode="constant"), 3, mode="constant")
        share = max(0, 1.3 * blur - 0.3)
        image = (1 - share) * image + share * blurred
        expected = torch.from_numpy((image / image.max()).clip(0) ** (0.6 + 0.8 * darkness))
        torch.testing.assert_close(mine, expected, atol=2e-3, rtol=1e-3, check_dtype=False)


def test_coarse_images_are_means_of_areas_enlarged_smoothly_or_in_squares(train):
    images, kinds, sides = to_float(train.images[:6]), set(), set()
    for seed in range(40):
        coarse = random_coarseness(images, torch.Generator().manual_seed(seed), share=1)
        generator = torch.Generator().manual_seed(seed)
        side = torch.randint(10, 20, (1,), generator=generator).item()
        kind = "bilinear" if torch.rand(1, generator=generator) < 0.5 else "nearest"
        torch.testing.assert_close(coarse, F.interpolate(F.adaptive_avg_pool2d(images, side), 28, mode=kind))
        kinds.add(kind)
        sides.add(side)
    assert len(kinds) == 2
    assert sides == {*range(10, 20)}


def test_where_a_gpu_refuses_areas_that_do_not_divide_the_cpu_makes_the_images_small(train, monkeypatch):
    images, interpolate, refused = to_float(train.images[:6]), F.interpolate, []
    expected = random_coarseness(images, torch.Generator().manual_seed(0))

    def refuse_once(images: torch.Tensor, size: tuple[int, int], mode: str) -> torch.Tensor:
        if mode == "area" and not refused:
            refused.append(size)
            raise RuntimeError("Adaptive pool MPS: input sizes must be divisible by output sizes.")
        return interpolate(images, size=size, mode=mode)

    monkeypatch.setattr(F, "interpolate", refuse_once)
    torch.testing.assert_close(random_coarseness(images, torch.Generator().manual_seed(0)), expected)
    assert refused


def test_another_refusal_than_that_of_areas_is_not_hidden(train, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(F, "interpolate", refuse)
    with pytest.raises(RuntimeError, match="out of memory"):
        random_coarseness(to_float(train.images[:2]), torch.Generator())


def test_coarseness_touches_its_share_of_the_images(train):
    images = to_float(train.images[:400])
    coarse = random_coarseness(images, torch.Generator().manual_seed(0), share=0.3)
    changed = (coarse != images).flatten(1).any(dim=1).float().mean()
    assert 0.22 < changed < 0.38


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_keeps_the_form_and_repeats_with_its_seed(name, train):
    images = to_float(train.images[:64])
    first, again, other = (AUGMENTATIONS[name](images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == images.shape
    assert first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 1.0001
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first.sum(dim=(1, 2, 3)) > 0.2 * images.sum(dim=(1, 2, 3))).all()  # no digit is lost


def test_every_name_stands_for_another_change(train):
    images = to_float(train.images[:8])
    changed = [augment(images, torch.Generator().manual_seed(1)).flatten() for augment in AUGMENTATIONS.values()]
    assert len(torch.stack(changed).unique(dim=0)) == len(AUGMENTATIONS)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_empty_image_stays_empty_and_finite(name):
    changed = AUGMENTATIONS[name](torch.zeros(4, 1, 28, 28), torch.Generator().manual_seed(0))
    assert torch.equal(changed, torch.zeros(4, 1, 28, 28))
