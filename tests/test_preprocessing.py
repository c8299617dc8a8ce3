import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy.ndimage import center_of_mass

from mnist_helpers.preprocessing import PictureError, open_picture, read_digit


def drawn(size=(300, 200), paper=230, ink=20, move=(0, 0), width=12) -> Image.Image:
    picture = Image.new("L", size, paper)
    strokes = [(x + move[0], y + move[1]) for x, y in [(60, 40), (120, 40), (80, 130)]]
    ImageDraw.Draw(picture).line(strokes, fill=ink, width=width)
    return picture


@pytest.mark.parametrize(("paper", "ink"), [(230, 20), (20, 230), (255, 0), (0, 255), (150, 60)])
def test_a_drawn_digit_becomes_bright_on_black_fitted_and_centred(paper, ink):
    digit = read_digit(drawn(paper=paper, ink=ink)).digit
    assert digit.shape == (1, 28, 28)
    assert digit.dtype == torch.uint8
    rows, columns = torch.nonzero(digit[0] > 0, as_tuple=True)
    assert 18 <= max(rows.max() - rows.min(), columns.max() - columns.min()) + 1 <= 20
    assert digit.max() > 200
    assert np.abs(np.subtract(center_of_mass(digit[0].numpy()), 13.5)).max() <= 0.51


@settings(max_examples=20, deadline=None)
@given(st.integers(-45, 150), st.integers(-30, 55))
def test_the_place_on_the_paper_does_not_matter(x, y):
    assert torch.equal(read_digit(drawn(move=(x, y))).digit, read_digit(drawn()).digit)


def test_mnist_images_come_out_nearly_as_they_went_in(train):
    """MNIST's own images went through these steps once already."""
    differences = []
    for image in train.images[:40]:
        picture = Image.fromarray(image[0].numpy()).resize((280, 280), Image.Resampling.NEAREST)
        differences.append((read_digit(picture).digit.float() - image.float()).abs().mean() / 255)
    assert torch.stack(differences).median() < 0.04


def test_every_step_is_kept():
    steps = read_digit(drawn())
    assert steps.grey.shape == steps.ink.shape == (200, 300)
    assert steps.ink.max() == 255
    assert steps.ink[0, 0] == 0
    assert steps.cropped.shape[0] < 110


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_paper_without_ink_is_said_to_have_none(grey):
    with pytest.raises(PictureError, match="no ink"):
        read_digit(Image.new("L", (50, 50), grey))


def test_transparency_counts_as_white_paper(tmp_path):
    picture = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    ImageDraw.Draw(picture).line([(60, 40), (120, 40), (80, 130)], fill=(20, 20, 20, 255), width=12)
    picture.save(tmp_path / "a.png")
    assert (read_digit(open_picture(tmp_path / "a.png")).digit.float() - read_digit(drawn()).digit).abs().mean() < 3


def test_a_large_photo_is_made_smaller_before_any_work(tmp_path):
    drawn(size=(3000, 1500)).save(tmp_path / "a.png")
    assert max(open_picture(tmp_path / "a.png").size) == 1000


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_what_is_not_a_picture_is_said_plainly(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(PictureError, match="a.png cannot be read as a picture"):
        open_picture(tmp_path / "a.png")


def test_a_truncated_picture_is_said_plainly(tmp_path):
    drawn().save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(PictureError, match="cannot be read"):
        open_picture(tmp_path / "a.png")


def test_a_missing_picture_is_said_to_be_missing(tmp_path):
    with pytest.raises(PictureError, match="does not exist"):
        open_picture(tmp_path / "none.png")


def test_sixteen_bits_of_grey_are_brought_to_eight(tmp_path):
    wide = Image.fromarray(np.asarray(drawn()).astype(np.uint16) * 257)
    wide.save(tmp_path / "a.png")
    assert torch.equal(read_digit(open_picture(tmp_path / "a.png")).digit, read_digit(drawn()).digit)
