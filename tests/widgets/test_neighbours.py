"""How often the glass box's doubt is right, in torch: the figures that docs/glass-box.md gives."""

import re

import pytest
import torch
from torch import Tensor, nn

from mnist_helpers.checkpoints import DRAWINGS, load_model
from mnist_helpers.data import load_part
from mnist_helpers.datasets import SYSTEM_FOLDERS
from mnist_helpers.widgets.glass import FOLDER, shipped_images

SHARE = float(re.search(r"SHARE = ([\d.]+)", (FOLDER / "neighbours.js").read_text(encoding="utf-8"))[1])


@torch.no_grad()
def seen(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the directions of the last maps, and the strengths."""
    model = load_model(DRAWINGS)[0].eval()
    before = [name for name, _ in model.named_children()].index("dense1")
    return nn.functional.normalize(model[:before](images).flatten(1)), model(images).logsumexp(dim=1)


@pytest.fixture(scope="module")
def strangers():
    known, strengths = seen(shipped_images().images.float() / 255)
    among = 1 - known @ known.T
    among.fill_diagonal_(torch.inf)
    limit = among.min(dim=1).values.sort().values[int(SHARE * len(known))]
    least = strengths.sort().values[round((1 - SHARE) * len(known))]

    def share(images: Tensor) -> float:
        directions, strength = seen(images)
        far = (1 - directions @ known.T).min(dim=1).values > limit
        return (far | (strength < least)).float().mean().item()

    return share


def test_digits_are_seldom_called_strangers_and_what_is_none_nearly_always(strangers):
    digits = load_part("mnist", "validation").images[:3_000].float() / 255
    assert strangers(digits) == pytest.approx(0.042, abs=0.006)
    assert strangers(digits.rot90(dims=(2, 3))) == pytest.approx(0.89, abs=0.02)
    assert strangers(torch.rand(1_000, 1, 28, 28)) == 1


@pytest.mark.skipif(
    not SYSTEM_FOLDERS["fashion_mnist"].is_dir(),
    reason="Fashion-MNIST is not on this machine (Debian: apt-get install dataset-fashion-mnist)",
)
def test_clothes_are_strangers(strangers):
    assert strangers(load_part("fashion_mnist", "test", 2_000).images.float() / 255) == pytest.approx(0.99, abs=0.01)
