"""Rows read as numbers: touching digits, shaded paper, several rows, turned pages; and `predict --number`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kinds import by_hand, touching
from PIL import Image

import mnist_helpers
from mnist_helpers import read_numbers
from mnist_helpers.data import load_part
from mnist_helpers.numbers import Numbers, write_numbers
from mnist_helpers.reading.pictures import PictureError
from mnist_helpers.reading.preprocessing import read_digits
from mnist_helpers.reading.reader import (
    NumberReading,
    Reader,
    _per_digit,
    read_picture,
    shipped_reader,
    side_by_side,
)
from mnist_helpers.reading.rows import row_of
from mnist_helpers.reading.segmentation import Part, cut_between

FINE = 6  # pixels for one of a written number's


@pytest.fixture(scope="module")
def written() -> Numbers:
    return write_numbers(load_part("mnist", "validation"), 40, seed=11, lengths=(2, 5), gaps=(-1, 4))


def on_paper(image: torch.Tensor, dark: float = 0.7) -> Image.Image:
    """Return a number, (1, 28, W) uint8, large, on grey paper that darkens to one side."""
    ink = F.interpolate(image[None].float(), scale_factor=FINE, mode="bicubic")[0, 0].clamp(0, 255) / 255
    ink = F.pad(ink, (60, 60, 60, 60))
    paper = 220 * torch.linspace(1, 0.6, ink.shape[1]) * (1 - dark * ink)
    return Image.fromarray(paper.round().to(torch.uint8).numpy())


def test_numbers_on_shaded_paper_are_read_as_they_were_written(written):
    right = sure = sure_and_right = 0
    for image, text in zip(written.images, written.texts, strict=True):
        (reading,) = read_numbers(on_paper(image))
        assert sum(p for _text, p in reading.likely) <= 1 + 1e-6
        assert reading.likely == sorted(reading.likely, key=lambda one: -one[1])
        right += reading.text == text
        sure += reading.sure
        sure_and_right += reading.sure and reading.text == text
    assert right >= 0.85 * len(written)
    assert sure >= 0.6 * len(written)
    assert sure_and_right >= 0.95 * sure


def test_the_row_s_picture_has_the_form_of_the_written_ones(written):
    for image in written.images[:8]:
        digits = read_digits(on_paper(image))
        row = row_of(digits)
        assert row.image.dtype == torch.uint8
        assert row.image.shape[:2] == (1, 28)
        assert row.image.shape[2] % 4 == 0
        ink = row.image[0] >= 64
        rows, columns = (torch.nonzero(ink.any(dim=axis)).flatten() for axis in (1, 0))
        assert 17 <= rows[-1] - rows[0] + 1 <= 25
        assert 4 <= columns[0] <= 8
        assert 4 <= row.image.shape[2] - 1 - columns[-1] <= 12
        left = row.left + columns[0].item() / row.scale
        inked = np.flatnonzero((np.asarray(on_paper(image)) < 110).any(axis=0))
        assert left * on_paper(image).width / digits[0].grey.shape[1] == pytest.approx(inked[0], abs=10)


def test_each_row_is_a_number_with_its_box_and_a_turned_picture_is_said_to_be(written):
    apart = write_numbers(load_part("mnist", "validation"), 2, seed=4, lengths=(3, 3), gaps=(3, 3))
    one, other = (np.asarray(on_paper(image)) for image in apart.images)
    page = Image.fromarray(np.concatenate([one, other]))
    readings = read_numbers(page)
    assert [(reading.text, reading.row) for reading in readings] == [
        (text, row) for row, text in enumerate(apart.texts)
    ]
    for row, reading in enumerate(readings):
        left, top, width, height = reading.box
        assert len(one) * row < top < top + height < len(one) * (row + 1)
        assert 60 < left < left + width < page.width
    lying = page.transpose(Image.Transpose.ROTATE_90)
    turned = read_numbers(lying, turn=True)
    assert [reading.text for reading in turned] == apart.texts
    assert {reading.turned for reading in turned} == {90}
    left, top, width, height = turned[0].box
    assert width < height
    with pytest.raises(PictureError, match="no ink"):
        read_numbers(Image.new("L", (200, 100), 230))
    assert mnist_helpers.read_numbers is read_numbers


def test_digits_that_touch_are_read_together_each_in_its_place():
    part, right, apart = load_part("mnist", "validation"), 0, 0
    written = write_numbers(part, 30, seed=21, lengths=(2, 2), gaps=(0, 0))
    alone = Reader(shipped_reader().model, shipped_reader().most_energy)  # without the network that reads numbers
    for image, text in zip(written.images, written.texts, strict=True):
        picture = on_paper(image)
        readings = read_picture(picture)
        right += "".join(str(reading.digit) for reading in readings) == text
        apart += "".join(str(reading.digit) for reading in alone.read(picture)) == text
        if len(readings) == 2:
            first, second = (reading.box for reading in readings)
            assert first[0] < second[0]
            assert [reading.place for reading in readings] == [0, 1]
            assert all(reading.probabilities.sum().item() == pytest.approx(1, abs=1e-4) for reading in readings)
    assert right >= 25
    assert right >= apart


def test_a_number_is_read_alike_alone_in_a_row_of_a_page_and_beside_other_files(written, tmp_path):
    pictures = [on_paper(image) for image in written.images[:4]]
    alone = [read_numbers(picture)[0].likely for picture in pictures]
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, picture in zip(paths, pictures, strict=True):
        picture.save(path)
    together = dict(side_by_side([*paths[::-1], *paths], read_numbers))
    assert [together[path][0].likely for path in paths] == alone
    widest = max(picture.width for picture in pictures[:2])
    rows = [np.pad(np.asarray(picture), ((0, 0), (0, widest - picture.width)), "edge") for picture in pictures[:2]]
    page = read_numbers(Image.fromarray(np.concatenate(rows)))
    assert [reading.text for reading in page] == [likely[0][0] for likely in alone[:2]]
    sample = touching(np.random.default_rng(2), by_hand).picture
    first, again = ([one.probabilities.tolist() for one in read_picture(sample)] for _ in range(2))
    assert first == again


def test_what_spells_nothing_is_never_sure():
    steps = read_digits(on_paper(torch.nn.functional.pad(torch.full((1, 20, 4), 255.0), (12, 12, 4, 4))))[0]
    nothing = NumberReading([("", 1.0), ("1", 0.0)], torch.zeros(1, 28, 32), steps, (0, 0, 4, 4), 0, 0)
    assert not nothing.sure
    assert _per_digit(nothing) == 0
    six = NumberReading([("123456", 0.9)], torch.zeros(1, 28, 32), steps, (0, 0, 4, 4), 0, 0)
    one = NumberReading([("1", 0.95)], torch.zeros(1, 28, 32), steps, (0, 0, 4, 4), 0, 0)
    assert _per_digit(six) > _per_digit(one)


@pytest.fixture
def page(tmp_path, written) -> Path:
    path = tmp_path / "meter.png"
    on_paper(written.images[0]).save(path)
    return path


def test_predict_number_says_the_number_its_rivals_and_its_box(call, page, written, tmp_path):
    (reading,) = read_numbers(page)
    done = call("predict", "--number", page)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{page}: {reading.text}   ({reading.text} {reading.confidence:.1%}, ")
    (answer,) = json.loads(call("predict", "--number", "--json", page).stdout)
    assert (answer["number"], answer["sure"], answer["row"], answer["turned"]) == (reading.text, reading.sure, 0, 0)
    assert answer["box"] == list(reading.box)
    assert answer["likely"] == pytest.approx(dict(reading.likely))
    Image.new("L", (200, 100), 230).save(tmp_path / "blank.png")
    done = call("predict", "--number", "--json-lines", "--show", tmp_path / "steps.png", page, tmp_path / "blank.png")
    assert done.returncode == 1
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["number"], second["number"], second["box"]) == (reading.text, None, None)
    assert "no ink" in second["error"]
    with Image.open(tmp_path / "steps.png") as steps:
        assert steps.width > 1_000


def test_number_goes_with_neither_a_network_nor_all(call, page):
    for other in (["--all"], ["--checkpoint", "pretrained/mnist/walkthrough"], ["--device", "cpu"]):
        done = call("predict", "--number", *other, page)
        assert (done.returncode, done.stdout) == (2, "")
        assert other[0] in done.stderr


@pytest.mark.parametrize("places", [[-3.0, 4.0], [2.0, 40.0], [5.0, 5.5], [9.0, 2.0], [1.0, 6.0, 11.0]])
def test_a_part_is_cut_wherever_digits_are_said_to_be_and_no_ink_is_lost(places):
    mask = np.zeros((16, 12), bool)
    mask[2:14, 1:5] = mask[2:14, 8:11] = mask[7:9, 4:9] = True
    pieces = cut_between(Part(mask, top=3, left=20), places)
    assert 1 <= len(pieces) <= len(places)
    assert sum(piece.mask.sum() for piece in pieces) <= mask.sum()
    assert sum(piece.mask.sum() for piece in pieces) >= 0.9 * mask.sum()
