"""A glass box: a digit, every map that a network makes of it and the arithmetic behind each number, in the browser."""

import base64
import html
import io
import json
import zlib
from itertools import starmap
from pathlib import Path
from string import Template

import anywidget
import traitlets
from PIL import Image
from torch import Tensor, nn

from mnist_helpers.data import LabelledImages, load_part
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import predict_logits
from mnist_helpers.exporting import for_web
from mnist_helpers.inspection import lit_maps
from mnist_helpers.models import build_model
from mnist_helpers.recipes import get_recipe
from mnist_helpers.runtime import seed_everything, whole_file
from mnist_helpers.training import History, fit, make_loader
from mnist_helpers.widgets.modules import as_constants
from mnist_helpers.widgets.moments import Moments, Snapshots, pack

FOLDER = Path(__file__).parent
IMAGES = 500  # test images that come with a box
MOMENTS = "moments.npz"  # of its training, beside a network that was trained for a page
COMPUTES = ("network", "strokes", "neighbours")  # what a worker needs, too
SHOWS = ("tiles", "arithmetic", "training", "glass")


def bundled() -> str:
    """Return the modules of the glass box as one, which needs no server to find the others: it exports `mount`."""
    computes, shows = as_constants(COMPUTES), as_constants(SHOWS)
    sources = f"const SOURCES = {json.dumps(chr(10).join(computes))};"
    exports = "export const { mount, render } = glass;\nexport default { render };"
    return "\n".join([*computes, sources, *shows, exports])


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
    followed = traitlets.Bytes().tag(sync=True)

    def __init__(self, model: nn.Sequential, labelled: LabelledImages, snapshots: Snapshots | None = None) -> None:
        """Make a box of a network and of images to show it, and perhaps of how it was while it was trained.

        Where a layer is not known to the page, it says so there.
        """
        try:
            moments = pack(snapshots.until(model), labelled) if snapshots else None
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
        "followed": moments.followed() if moments else b"",
    }


def shipped_images() -> LabelledImages:
    """Return the images that come with a page."""
    return load_part("mnist", "test", IMAGES)


def page_text(model: nn.Sequential, moments: Moments | None = None, more: str = "") -> str:
    """Return a glass box as one page (HTML) that asks for nothing else; `more` stands below its heading.

    Raises: CourseError for a network with layers that the page does not know.
    """
    images = shipped_images()
    content = _content(model, images, moments)
    return Template((FOLDER / "glass.html").read_text(encoding="utf-8")).substitute(
        css=(FOLDER / "glass.css").read_text(encoding="utf-8"),
        script=bundled(),
        header=json.dumps(content["header"]),
        labels=content["labels"],
        weights=base64.b64encode(content["weights"]).decode(),
        images=base64.b64encode(zlib.compress(content["images"], 9)).decode(),
        moments=json.dumps(content["moments"]),
        scales=content["scales"],
        packed=base64.b64encode(content["packed"]).decode(),
        followed=base64.b64encode(content["followed"]).decode(),
        more=more,
        still=_still(model, images),
    )


def _still(model: nn.Sequential, labelled: LabelledImages) -> str:
    """Return what a page shows without JavaScript, or not yet with it: its first image, the maps, and the answer."""
    image = labelled.images[0]
    maps = {f"layer {name}": 255 - maps for name, maps in lit_maps(model, image).items()}
    probabilities = predict_logits(model, labelled.images[:1]).softmax(dim=1)[0]
    answers = [f"{name}: {share:.1%}" for name, share in zip(labelled.classes, probabilities, strict=True)]
    return "\n".join(
        [*starmap(_figure, {"the image": image[0], **maps}.items()), f"<p>The answer: {', '.join(answers)}.</p>"]
    )


def _figure(caption: str, pixels: Tensor) -> str:
    """Return a picture as HTML, three times as large. Shapes: pixels (H, W) uint8."""
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, format="png")
    source, caption = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}", html.escape(caption)
    return (
        f'<figure class="still"><img src="{source}" width="{3 * pixels.shape[1]}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def write_page(path: Path, model: nn.Sequential, moments: Moments | None = None) -> None:
    """Write a glass box as one file that a browser opens without a server and without a network.

    Raises: CourseError for a network with layers that the page does not know; OSError if it cannot be written.
    """
    text = page_text(model, moments)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def train_for_page(folder: Path) -> History:
    """Train the walkthrough's network for drawings, and leave it in a folder with the moments of its training."""
    train, val, recipe = load_part("mnist", "train"), load_part("mnist", "validation"), get_recipe("drawings")
    seed_everything(0)
    model = build_model(recipe.architecture, recipe.dropout)
    steps = recipe.epochs * len(make_loader(train, recipe, seed=0))
    snapshots = Snapshots(model, steps, recipe.epochs)
    history = fit(model, train, val, recipe, device="cpu", folder=folder, on_step=snapshots.step)
    pack(snapshots.until(model), shipped_images()).save(folder / MOMENTS)
    return history
