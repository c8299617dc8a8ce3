"""The shipped network and the preprocessing together, on other people's handwriting and on pictures like photos."""

import numpy as np
import pytest
import torch
from kinds import of_13_people
from PIL import Image
from scipy import ndimage

from mnist_helpers.checkpoints import SHIPPED, load_model
from mnist_helpers.data import LabelledImages, load_part
from mnist_helpers.evaluation import evaluate, predict_logits, steady_probabilities
from mnist_helpers.reading.pictures import PictureError
from mnist_helpers.reading.preprocessing import read_digit


@pytest.fixture(scope="module")
def shipped():
    return load_model(SHIPPED)[0]


def share_read(model, pictures: list[Image.Image], labels: list[int]) -> float:
    """Return the share of the pictures that `predict` would read correctly; one that it refuses counts as wrong."""
    digits, expected = [], []
    for picture, label in zip(pictures, labels, strict=True):
        try:
            digits.append(read_digit(picture).digit)
            expected.append(label)
        except PictureError:
            pass
    right = steady_probabilities(model, torch.stack(digits)).argmax(dim=1) == torch.tensor(expected)
    return right.sum().item() / len(pictures)


def test_the_shipped_network_s_card_keeps_its_word(shipped):
    model, card = load_model(SHIPPED)
    assert (card.recipe, card.architecture, card.train_images) == ("handwriting", "resnet", 62_700)
    scores = evaluate(model, load_part("mnist", "validation"))
    assert scores.accuracy == pytest.approx(card.val_accuracy, abs=5e-4)
    assert scores.accuracy > 0.994


@pytest.mark.slow
def test_handwriting_of_13_other_people_is_read(shipped):
    """Every third of their digits, for time's sake; docs/handwriting.md has all. None was ever trained on."""
    sheets, labels = (part[::3] for part in of_13_people())
    assert share_read(shipped, sheets, labels) >= 0.965  # measured: 97.3%; another processor may round otherwise
    squeezed = torch.stack([torch.from_numpy(255 - np.asarray(sheet.resize((28, 28))))[None] for sheet in sheets])
    naive = (predict_logits(shipped, squeezed).argmax(dim=1) == torch.tensor(labels)).float().mean()
    assert naive < 0.9  # what the preprocessing is there for


def as_photo(image: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Write an MNIST digit on paper or a board and photograph it: light, shadow, grain, a little crooked."""
    side = int(rng.integers(80, 320))
    enlarged = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)).astype(float)
    height, width = (int(side * rng.uniform(1.2, 4)) for _ in range(2))
    ink = np.zeros((height, width))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    ink[top : top + side, left : left + side] = ndimage.gaussian_filter(enlarged, side / 60) > 127
    ink = ndimage.gaussian_filter(ndimage.rotate(ink, rng.uniform(-8, 8), reshape=False, order=1), 1)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 - rng.uniform(0, 0.6) * (columns * np.cos(turn) + rows * np.sin(turn) + 1) / 2
    edge = (columns - rng.uniform(0.2, 0.8)) * np.cos(turn + 1) + (rows - rng.uniform(0.2, 0.8)) * np.sin(turn + 1)
    light *= 1 - rng.uniform(0, 0.5) / (1 + np.exp(-edge / rng.uniform(0.005, 0.08)))
    seen = rng.uniform(150, 245) * light * (1 - ink * rng.uniform(0.45, 0.9))
    seen = (seen + rng.normal(0, rng.uniform(0, 5), seen.shape)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(255 - seen if rng.random() < 0.2 else seen)


@pytest.mark.slow
def test_digits_are_read_in_pictures_like_photos(shipped, val: LabelledImages):
    rng = np.random.default_rng(0)
    photos = [as_photo(image[0].numpy(), rng) for image in val.images[:100]]
    assert share_read(shipped, photos, val.labels[:100].tolist()) >= 0.95


def test_the_mean_of_several_views_is_steadier_than_one(shipped, val: LabelledImages):
    val = val.select(torch.arange(100))
    probabilities = steady_probabilities(shipped, val.images)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(val)), atol=1e-4, rtol=0)
    assert torch.equal(probabilities, steady_probabilities(shipped, val.images))  # no chance is left in it
    single = predict_logits(shipped, val.images).softmax(dim=1)
    torch.testing.assert_close(steady_probabilities(shipped, val.images, views=1), single)
    moved = val.images.roll(1, dims=-1)  # what is read changes less when a digit moves by a pixel
    steady_change = (steady_probabilities(shipped, moved) - probabilities).abs().sum(dim=1).mean()
    change = (predict_logits(shipped, moved).softmax(dim=1) - single).abs().sum(dim=1).mean()
    assert steady_change < 0.7 * change


def test_what_is_read_in_one_picture_does_not_depend_on_the_others(shipped, val):
    together = steady_probabilities(shipped, val.images[:20])
    alone = torch.cat([steady_probabilities(shipped, image[None]) for image in val.images[:20]])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-4)
