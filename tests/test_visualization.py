"""Charts are checked by what is on their axes, not by pixels."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from mnist_helpers import visualization as draw
from mnist_helpers.training import Epoch


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_grey_images_keep_one_scale_and_axes_left_over_are_hidden():
    figure, axes = plt.subplots(1, 3)
    images = torch.tensor([[[10, 200]], [[0, 50]]], dtype=torch.uint8)
    draw.draw_images(axes, images, ["a", "b"])
    assert [ax.images[0].get_clim() for ax in axes[:2]] == [(0, 255)] * 2
    assert [ax.get_title() for ax in axes] == ["a", "b", ""]
    assert not axes[2].images
    assert not axes[2].axison
    plt.close(figure)


def test_weights_are_drawn_symmetrically_about_zero(ax):
    draw.draw_images(ax, torch.tensor([[[-1.0, 3.0]]]), cmap="PuOr", limit=4.0)
    assert ax.images[0].get_clim() == (-4, 4)


def test_all_numbers_of_a_network_are_drawn_each_block_in_its_place_and_scale(ax):
    first = {"conv1": [torch.full((3, 3), -2.0), torch.eye(4)], "conv2": [torch.zeros(1, 1)]}
    draw.draw_parameters(ax, [first, {"dense": [torch.rand(5, 9) + 4]}])
    assert [image.get_array().size for image in ax.images] == [9, 16, 1, 45]
    assert [image.get_clim()[1] for image in ax.images[:2]] == [2, 1]
    assert [text.get_text() for text in ax.texts] == ["conv1", "conv2", "dense"]
    shown = [image.get_extent() for image in ax.images]  # left, right, bottom, top
    for one, (left, right, bottom, top) in enumerate(shown):
        assert 0 <= left < right <= ax.get_xlim()[1]
        assert ax.get_ylim()[1] <= top < bottom <= ax.get_ylim()[0]
        for other_left, other_right, other_bottom, other_top in shown[:one]:
            assert right <= other_left or other_right <= left or bottom <= other_top or other_bottom <= top


def test_highlighted_bars_differ_in_more_than_colour(ax):
    draw.draw_bars(ax, [1, 2, 3], ["a", "b", "c"], highlight=[1])
    hatches = [bar.get_hatch() for bar in ax.patches]
    assert [bar.get_height() for bar in ax.patches] == [1, 2, 3]
    assert hatches[1]
    assert not hatches[0]


def test_a_history_is_drawn_with_labels_and_two_kinds_of_line():
    figure, axes = plt.subplots(1, 2)
    draw.draw_history(axes, [Epoch(n, 1 / n, 0.5, 2 / n, 0.6, 0.1, 1.0) for n in (1, 2, 3)])
    train_line, val_line = axes[0].lines
    assert train_line.get_ydata().tolist() == pytest.approx([1, 0.5, 1 / 3])
    assert val_line.get_ydata().tolist() == pytest.approx([2, 1, 2 / 3])
    assert train_line.get_marker() != val_line.get_marker()
    assert [ax.get_xlabel() for ax in axes] == ["epoch", "epoch"]
    plt.close(figure)


def test_the_confusion_matrix_shows_its_counts_and_colours_mistakes_only(ax):
    draw.draw_confusion(ax, torch.tensor([[9, 1], [0, 5]]), ["cat", "dog"])
    assert {text.get_text() for text in ax.texts} == {"9", "1", "5"}
    assert ax.images[0].get_array().tolist() == [[0, 1], [0, 0]]
    assert ax.get_ylabel() == "true class"


def test_a_perfect_confusion_matrix_can_be_drawn(ax):
    draw.draw_confusion(ax, torch.eye(3, dtype=torch.int64), ["a", "b", "c"])


def test_probabilities_mark_the_true_class_by_a_sign(ax):
    draw.draw_probabilities(ax, torch.tensor([0.2, 0.8]), ["a", "b"], label=1)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "▸ b"]
    assert ax.get_xlim() == (0, 1)


def test_empty_bins_are_left_out_of_the_calibration_chart(ax):
    nan = float("nan")
    draw.draw_calibration(ax, torch.tensor([0.1, nan, 0.9]), torch.tensor([0.2, nan, 1.0]), torch.tensor([3, 0, 7]))
    assert ax.collections[0].get_offsets().tolist() == [
        [pytest.approx(0.1), pytest.approx(0.2)],
        [pytest.approx(0.9), 1.0],
    ]
    assert [text.get_text() for text in ax.texts] == ["3", "7"]


def test_points_have_a_marker_and_a_name_for_each_class(ax):
    labels = torch.arange(10).repeat(3)
    draw.draw_points(ax, torch.rand(30, 2), labels, [str(n) for n in range(10)])
    assert [text.get_text() for text in ax.texts] == [str(n) for n in range(10)]
    assert len({str(c.get_paths()[0].vertices.tolist()) for c in ax.collections}) >= 8


def test_names_of_classes_that_lie_on_each_other_are_moved_apart(ax):
    labels = torch.arange(4).repeat_interleave(5)
    points = torch.tensor([[0.0, 0.0], [0.01, 0.0], [0.0, 0.02], [9.0, 9.0]]).repeat_interleave(5, dim=0)
    draw.draw_points(ax, points, labels, list("abcd"))
    places = np.array([text.get_position() for text in ax.texts])
    assert [text.xy for text in ax.texts] == [pytest.approx(points[5 * n].tolist()) for n in range(4)]
    assert places[3] == pytest.approx([9, 9])
    gaps = np.linalg.norm(places[:, None] - places, axis=2) + 9 * np.eye(4)
    assert gaps.min() > 0.85  # a tenth of the width


def test_a_class_in_two_heaps_is_named_at_one_of_them_and_not_between(ax):
    heaps = torch.tensor([[0.0, 0.0], [9.0, 9.0]]).repeat_interleave(5, dim=0)
    draw.draw_points(ax, torch.cat([heaps, torch.tensor([[4.5, 4.5]])]), torch.tensor([0] * 10 + [1]), ["a", "b"])
    assert tuple(ax.texts[0].xy) in {(0.0, 0.0), (9.0, 9.0)}


def test_no_class_is_drawn_over_all_others(ax):
    draw.draw_points(ax, torch.rand(32, 2), torch.arange(2).repeat_interleave(16), ["a", "b"])
    colours = [tuple(collection.get_facecolor()[0]) for collection in ax.collections]
    assert len({*colours}) == 2
    assert colours[0] in colours[-2:]
    assert sum(len(collection.get_offsets()) for collection in ax.collections) == 32


def test_an_overlay_of_nothing_is_drawn_without_a_warning(ax):
    draw.draw_overlay(ax, torch.zeros(1, 4, 4), torch.zeros(4, 4))
    assert len(ax.images) == 2


def test_filters_are_saved_enlarged_grey_and_numbered_from_one(tmp_path):
    filters = torch.stack([torch.linspace(-1, 1, 9).view(1, 3, 3), torch.zeros(1, 3, 3)])
    paths = draw.save_filters(filters, tmp_path / "filters")
    assert [path.name for path in paths] == ["filter_1.png", "filter_2.png"]
    with Image.open(paths[0]) as picture:
        assert picture.mode == "L"
        pixels = np.asarray(picture)
    assert pixels.shape == (240, 240)
    assert pixels[0, 0] == 0
    assert pixels[-1, -1] == 255
    assert (pixels[:80, :80] == 0).all()
