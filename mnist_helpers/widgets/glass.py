"""A glass box: a digit, every map that a network makes of it and the arithmetic behind each number, in the browser."""

import base64
import copy
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from string import Template

import anywidget
import traitlets
from torch import nn

from mnist_helpers.data import BatchLoader, LabelledImages, load_part
from mnist_helpers.errors import CourseError
from mnist_helpers.exporting import for_web
from mnist_helpers.models import build_model
from mnist_helpers.recipes import get_recipe
from mnist_helpers.runtime import seed_everything, whole_file
from mnist_helpers.training import History, fit
from mnist_helpers.widgets.moments import Moments, pack

FOLDER = Path(__file__).parent
IMAGES = 500  # test images that come with a box
MOMENTS = "moments.npz"  # beside a network that was trained for a page
PARTS = ("network", "strokes", "neighbours", "glass")


def bundled() -> str:
    """Return the modules of the glass box as one, which needs no server to find the others: it exports `mount`."""
    parts: list[str] = []
    for name in PARTS:
        if name == "glass":  # its worker computes with the modules before it
            parts.append(f"const SOURCES = {json.dumps(chr(10).join(parts))};")
        text = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
        exported = re.findall(r"^export (?:async )?(?:function|const) (\w+)", text, re.MULTILINE)
        plain = re.sub(r"^export ", "", re.sub(r"^import .*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
        known_as = {"strokes": "pen"}.get(name, name)
        parts.append(f"const {known_as} = (() => {{\n{plain}\nreturn {{ {', '.join(exported)} }};\n}})();")
    return "\n".join([*parts, "export const { mount, render } = glass;", "export default { render };"])


class Snapshots:
    """Keeps a network's weights now and then while it is trained, closer together at the beginning.

    `fit` calls `step` after each step, or what `then` returns. `moments` are the steps kept, 0 for the weights before
    the first, and `networks` the network as it was then.
    """

    def __init__(self, model: nn.Sequential, steps: int, count: int = 30) -> None:
        """Keep about `count` moments of a training of so many steps, and the one before it."""
        self.model, self.done = model, 0
        growth = steps ** (1 / max(count - 2, 1))
        self.wanted = {round(growth**power) for power in range(count - 1)} | {steps}
        self.moments, self.networks = [0], [copy.deepcopy(model).cpu()]

    def then(self, other: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """Return a function for `fit` that keeps what is to be kept, and then calls another."""

        def on_step(step: int, steps: int) -> None:
            self.step()
            other(step, steps)

        return on_step

    def step(self, *_numbers: int) -> None:
        """Count a step, and keep the weights if it is one of the moments."""
        self.done += 1
        if self.done in self.wanted:
            self.moments.append(self.done)
            self.networks.append(copy.deepcopy(self.model).cpu())


class GlassBox(anywidget.AnyWidget):
    """A network in the browser: draw, point at a number, switch maps off, edit kernels. No kernel takes part."""

    _esm = bundled()
    _css = FOLDER / "glass.css"
    header = traitlets.Dict().tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    images = traitlets.Bytes().tag(sync=True)
    labels = traitlets.List(traitlets.Int()).tag(sync=True)
    moments = traitlets.List(traitlets.Dict()).tag(sync=True)
    scales = traitlets.List(traitlets.Float()).tag(sync=True)
    packed = traitlets.Bytes().tag(sync=True)

    def __init__(self, model: nn.Sequential, labelled: LabelledImages, snapshots: Snapshots | None = None) -> None:
        """Make a box of a network and of images to show it, and perhaps of how it was while it was trained.

        Where a layer is not known to the page, it says so there.
        """
        try:
            moments = pack(snapshots.moments, snapshots.networks, labelled) if snapshots else None
            content = _content(model, labelled, moments)
        except CourseError as error:
            content = {"header": {"message": str(error)}}
        super().__init__(**content)


class TrainingBox(GlassBox):
    """A glass box through a training: a slider of time, along which all maps, weights and answers change."""

    def __init__(self, model: nn.Sequential, labelled: LabelledImages, snapshots: Snapshots) -> None:
        """Make a box of a network at all moments that were kept of its training."""
        super().__init__(model, labelled, snapshots)


def _content(model: nn.Sequential, labelled: LabelledImages, moments: Moments | None) -> dict:
    header, weights = for_web(model, list(labelled.classes))
    return {
        "header": header,
        "weights": weights,
        "images": labelled.images.numpy().tobytes(),
        "labels": labelled.labels.tolist(),
        "moments": moments.described() if moments else [],
        "scales": moments.scales.tolist() if moments else [],
        "packed": moments.packed if moments else b"",
    }


def shipped_images() -> LabelledImages:
    """Return the images that come with a page."""
    return load_part("mnist", "test", IMAGES)


def write_page(path: Path, model: nn.Sequential, moments: Moments | None = None) -> None:
    """Write a glass box as one file that a browser opens without a server and without a network.

    Raises: CourseError for a network with layers that the page does not know; OSError if it cannot be written.
    """
    content = _content(model, shipped_images(), moments)
    text = Template((FOLDER / "glass.html").read_text(encoding="utf-8")).substitute(
        css=(FOLDER / "glass.css").read_text(encoding="utf-8"),
        script=bundled(),
        header=json.dumps(content["header"]),
        labels=content["labels"],
        weights=base64.b64encode(content["weights"]).decode(),
        images=base64.b64encode(zlib.compress(content["images"], 9)).decode(),
        moments=json.dumps(content["moments"]),
        scales=content["scales"],
        packed=base64.b64encode(content["packed"]).decode(),
    )
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def train_for_page(folder: Path) -> History:
    """Train the walkthrough's network, as lesson 3 does, and leave it in a folder with the moments of its training."""
    train, val, recipe = load_part("mnist", "train"), load_part("mnist", "validation"), get_recipe("walkthrough")
    seed_everything(0)
    model = build_model(recipe.architecture, recipe.dropout)
    snapshots = Snapshots(model, recipe.epochs * len(BatchLoader(train, recipe.batch_size)))
    history = fit(model, train, val, recipe, device="cpu", folder=folder, on_step=snapshots.step)
    pack(snapshots.moments, snapshots.networks, shipped_images()).save(folder / MOMENTS)
    return history
