"""A glass box: a digit, every map that a network makes of it and the arithmetic behind each number, in the browser."""

import base64
import json
import re
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

import anywidget
import torch
import traitlets
from torch import nn

from mnist_helpers.data import LabelledImages, load_part
from mnist_helpers.exporting import export_web
from mnist_helpers.runtime import whole_file

FOLDER = Path(__file__).parent
IMAGES = 500  # test images that come with a box
PARTS = ("network", "strokes", "glass")


def bundled() -> str:
    """Return the modules of the glass box as one, which needs no server to find the others: it exports `mount`."""
    parts = []
    for name in PARTS:
        text = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
        exported = re.findall(r"^export (?:async )?(?:function|const) (\w+)", text, re.MULTILINE)
        plain = re.sub(r"^export ", "", re.sub(r"^import .*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
        known_as = {"strokes": "pen"}.get(name, name)
        parts.append(f"const {known_as} = (() => {{\n{plain}\nreturn {{ {', '.join(exported)} }};\n}})();")
    return "\n".join([*parts, "export const { mount, render } = glass;", "export default { render };"])


class GlassBox(anywidget.AnyWidget):
    """A network in the browser: draw, point at a number, switch filters off, edit kernels. No kernel takes part."""

    _esm = bundled()
    _css = FOLDER / "glass.css"
    header = traitlets.Dict().tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    images = traitlets.Bytes().tag(sync=True)
    labels = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(self, model: nn.Sequential, labelled: LabelledImages) -> None:
        """Make a box of a network and of images to show it; `classes` are the images' own.

        Raises: CourseError for a network with layers that the page does not know.
        """
        super().__init__(**_content(model, labelled))


def _content(model: nn.Sequential, labelled: LabelledImages) -> dict:
    with TemporaryDirectory() as folder:
        export_web(model, Path(folder), list(labelled.classes), torch.float16)
        header, weights = (Path(folder, f"network.{kind}").read_bytes() for kind in ("json", "bin"))
    return {
        "header": json.loads(header),
        "weights": weights,
        "images": labelled.images.numpy().tobytes(),
        "labels": labelled.labels.tolist(),
    }


def write_page(path: Path, model: nn.Sequential) -> None:
    """Write a glass box as one file that a browser opens without a server and without a network.

    Raises: CourseError for a network with layers that the page does not know; OSError if it cannot be written.
    """
    content = _content(model, load_part("mnist", "test", IMAGES))
    text = Template((FOLDER / "glass.html").read_text(encoding="utf-8")).substitute(
        css=(FOLDER / "glass.css").read_text(encoding="utf-8"),
        script=bundled(),
        header=json.dumps(content["header"]),
        labels=content["labels"],
        weights=base64.b64encode(content["weights"]).decode(),
        images=base64.b64encode(content["images"]).decode(),
    )
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
