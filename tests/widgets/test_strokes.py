"""Strokes become the picture that was drawn, garbage is refused, and what is kept can be read again."""

import io

import numpy as np
import pytest
import torch

from mnist_helpers.checkpoints import find_model, load_model
from mnist_helpers.data import load_part
from mnist_helpers.reading.pictures import PictureError
from mnist_helpers.reading.rows import shipped_numbers
from mnist_helpers.reading.tables import load_csv
from mnist_helpers.widgets.strokes import (
    MOST_POINTS,
    PEN,
    SIDE,
    DrawingError,
    Stroke,
    digit_of,
    draw_strokes,
    keep_digit,
    read_drawing,
    read_photo,
    strokes_from,
)

SEVEN = [Stroke([(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)], 0.08)]


@pytest.fixture(scope="module")
def network():
    return load_model(find_model("mnist", "handwriting"))[0]


def test_strokes_are_drawn_where_they_were_and_as_wide():
    sheet = np.asarray(draw_strokes([Stroke([(0.25, 0.5), (0.75, 0.5)], 0.1)]))
    assert sheet.shape == (SIDE, SIDE)
    column = sheet[:, SIDE // 2] < 128
    assert column.sum() == pytest.approx(0.1 * SIDE, abs=2)
    assert np.nonzero(column)[0].mean() == pytest.approx(0.5 * SIDE, abs=1)
    row = sheet[SIDE // 2] < 128  # with round ends
    assert row.sum() == pytest.approx(0.6 * SIDE, abs=2)


def test_a_dot_is_a_dot_and_a_wide_sheet_is_wide():
    sheet = np.asarray(draw_strokes([Stroke([(1.5, 0.5)], 0.1)], aspect=2))
    assert sheet.shape == (SIDE, 2 * SIDE)
    assert (sheet < 128).sum() == pytest.approx(np.pi * (0.05 * SIDE) ** 2, rel=0.15)
    assert np.nonzero(sheet < 128)[1].mean() == pytest.approx(1.5 * SIDE, abs=1)


def test_a_drawing_is_read(network):
    reading = read_drawing(network, SEVEN)
    assert reading.labels == [7]
    assert reading.probabilities.shape == (1, 10)
    torch.testing.assert_close(reading.probabilities.sum(), torch.tensor(1.0))


def test_digits_that_touch_are_read_together_in_a_drawing_and_in_a_photo(network):
    ring = [(0.45 + 0.22 * np.cos(turn), 0.5 + 0.35 * np.sin(turn)) for turn in np.linspace(0, 2 * np.pi, 30)]
    strokes = [Stroke(ring, 0.08), Stroke([(0.66, 0.16), (1.1, 0.16), (0.82, 0.86)], 0.08)]  # touches the ring
    assert read_drawing(network, strokes, aspect=1.4, numbers=shipped_numbers()).labels == [0, 7]
    file = io.BytesIO()
    draw_strokes(strokes, aspect=1.4).save(file, "PNG")
    assert read_photo(network, file.getvalue(), numbers=shipped_numbers()).labels == [0, 7]


def test_digits_side_by_side_are_read_from_left_to_right(network):
    one = [Stroke([(1.5, 0.15), (1.5, 0.85)], 0.08)]
    assert read_drawing(network, [*one, *SEVEN], aspect=2).labels == [7, 1]


def test_strokes_become_a_digit_of_mnist_s_size_wherever_they_are_and_however_large():
    digit = digit_of(SEVEN)
    moved = [Stroke([(2 + 3 * x, 3 * y - 1) for x, y in SEVEN[0].points], 3 * SEVEN[0].width)]
    assert (digit.int() - digit_of(moved).int()).abs().max() <= 1
    assert digit.shape == (1, 28, 28)
    inked = torch.nonzero((digit[0] > 127).any(dim=1)).flatten()
    assert abs(inked[-1] - inked[0] + 1 - 20) <= 1
    mass = digit[0].double()
    at = torch.arange(28, dtype=torch.float64)
    for other in (0, 1):
        assert (mass.sum(dim=other) @ at / mass.sum()).item() == pytest.approx(13.5, abs=0.51)


@pytest.mark.parametrize(("pen", "width"), [(0.01, PEN[0]), (0.4, PEN[1])])
def test_a_fine_pen_is_made_as_wide_as_mnist_s_and_a_marker_as_thin(pen, width):
    upright = digit_of([Stroke([(0.5, 0.1), (0.5, 0.9)], pen)])
    assert upright[0, 14].sum().item() / 255 == pytest.approx(width, abs=0.3)


def test_a_dot_alone_is_a_dot_in_the_middle_and_nothing_is_refused():
    dot = digit_of([Stroke([(0.1, 0.9)], 0.05)])[0]
    assert dot[12:16, 12:16].double().sum() > 0.5 * dot.double().sum() > 0
    with pytest.raises(DrawingError, match="no stroke on the sheet"):
        digit_of([Stroke([], 0.1)])


def test_an_empty_sheet_holds_no_ink(network):
    with pytest.raises(PictureError, match="no ink"):
        read_drawing(network, [])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "not a list of strokes"),
        ([{"points": [[0, 0]]}], "not a list of strokes"),
        ([{"points": [[0]], "width": 0.1}], "not a list of strokes"),
        ([{"points": [["a", 0]], "width": 0.1}], "not a list of strokes"),
        ([{"points": 5, "width": 0.1}], "not a list of strokes"),
        ([{"points": [[0, float("nan")]], "width": 0.1}], "leaves the sheet"),
        ([{"points": [[0, 1e9]], "width": 0.1}], "leaves the sheet"),
        ([{"points": [[0, 0]], "width": 0}], "A pen must"),
        ([{"points": [[0, 0]], "width": float("inf")}], "A pen must"),
        ([{"points": [[0, 0]] * (MOST_POINTS + 1), "width": 0.1}], "too many"),
        ([{"points": [[0, 0]], "width": 0.1}] * 201, "too many"),
    ],
)
def test_what_is_no_drawing_is_refused(value, message):
    with pytest.raises(DrawingError, match=message):
        strokes_from(value)


def test_strokes_without_points_draw_nothing():
    assert np.asarray(draw_strokes(strokes_from([{"points": [], "width": 0.1}]))).min() == 255


def test_kept_digits_are_read_again_as_they_were(tmp_path):
    images, labels = load_part("mnist", "train", 20).images, load_part("mnist", "train", 20).labels
    path = tmp_path / "folder" / "mine.csv"
    counts = [keep_digit(path, image, int(label)) for image, label in zip(images, labels, strict=True)]
    assert counts == list(range(1, 21))
    kept = load_csv(path)
    assert torch.equal(kept.images, images)
    assert torch.equal(kept.labels, labels)


def test_a_file_that_was_edited_by_hand_is_continued_on_a_line_of_its_own(tmp_path):
    path, image = tmp_path / "mine.csv", load_part("mnist", "train", 12).images[0]
    keep_digit(path, image, 3)
    path.write_text(path.read_text().rstrip("\n"))
    assert keep_digit(path, image, 4) == 2
    assert load_csv(path).labels.tolist() == [3, 4]


@pytest.mark.parametrize("label", [-1, 10, "7", None, 1.5])
def test_a_label_that_is_no_class_is_not_kept(tmp_path, label):
    with pytest.raises(DrawingError, match="is not a class"):
        keep_digit(tmp_path / "mine.csv", torch.zeros(1, 28, 28, dtype=torch.uint8), label)
    assert not (tmp_path / "mine.csv").exists()
