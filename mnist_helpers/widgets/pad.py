"""A pad to draw digits on, with what the network reads in them, and why."""

import copy
import time
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import torch
import traitlets
from PIL import Image
from torch import Tensor, nn

from mnist_helpers.checkpoints import DRAWINGS, find_model, load_model
from mnist_helpers.data import LabelledImages, load_part, to_float
from mnist_helpers.errors import CourseError
from mnist_helpers.exporting import for_web
from mnist_helpers.inspection import Neighbours, lit_maps, saliency
from mnist_helpers.reading.preprocessing import DigitSteps
from mnist_helpers.reading.reader import MOST_ENERGY
from mnist_helpers.reading.rows import shipped_numbers
from mnist_helpers.widgets.modules import as_constants
from mnist_helpers.widgets.strokes import Reading, keep_digit, read_drawing, read_photo, strokes_from

INVITATION = "Draw a digit with the mouse, a pen or a finger, or drop a photo of one here."
KNOWN_DIGITS = 2_000  # among which the most similar are sought
LONGEST_SIDE = 112  # of a step's picture, in pixels
ORANGE = torch.tensor([230.0, 159.0, 0.0])  # bright on dark: seen without colour, too


def close_other_doors() -> None:
    """Let no page create further widgets in this kernel: for kernels that serve strangers."""
    import comm  # an older Jupyter, which lessons run in, has none

    comm.get_comm_manager().unregister_target("jupyter.widget", ipywidgets.Widget.handle_comm_opened)


def for_browser(model: nn.Sequential, classes: list[str]) -> tuple[dict, bytes]:
    """Return a network as `for_web` does, or nothing where the browser does not know its layers.

    Without one the kernel reads while the pen is down, too.
    """
    try:
        return for_web(model, classes)
    except CourseError:
        return {}, b""


class DrawingPad(anywidget.AnyWidget):
    """A sheet to draw on: what a network reads is shown while one draws.

    `drawing` is what the browser sends: a number, the strokes (or the bytes of a `photo`), whether the pen is lifted,
    and which digit is looked into (-1: the last). `answer` is what comes back, under the same number. Setting `drawing`
    from Python draws, too. While the pen is down, the network in `header` and `weights` reads in the browser, as long
    as there is one digit.
    """

    _esm = "\n".join([*as_constants(("network", "strokes", "tiles", "pad")), "export default { render: pad.render };"])
    _css = Path(__file__).parent / "pad.css"
    drawing = traitlets.Dict({"number": 0, "strokes": [], "lifted": True, "chosen": -1}).tag(sync=True)
    answer = traitlets.Dict({"number": 0, "message": INVITATION}).tag(sync=True)
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    header = traitlets.Dict().tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    aspect = traitlets.Float(1.0).tag(sync=True)
    pen = traitlets.Float(0.08).tag(sync=True)
    keeps = traitlets.Bool(False).tag(sync=True)
    kept = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        model: nn.Sequential | None = None,
        classes: tuple[str, ...] | None = None,
        known: LabelledImages | None = None,
        keep_in: Path | None = None,
        aspect: float = 1.0,
    ) -> None:
        """Make a pad for a network and its classes; without one, for the shipped network that reads handwriting.

        `known` are digits to show the most similar of; `keep_in` is a file that "Keep it" adds to; a pad that is
        `aspect` times as wide as high has room for several digits.
        """
        # What is known of the shipped network only, and what reads nothing but digits.
        self.of_shipped = {"most_energy": MOST_ENERGY, "numbers": shipped_numbers()} if model is None else {}
        quick = model
        if model is None:
            model, card = load_model(find_model("mnist", "handwriting"))
            classes = tuple(card.classes)
            quick, _ = load_model(DRAWINGS)
        # A copy: the pad answers also while a cell trains or evaluates the network.
        self.model, self.keep_in = copy.deepcopy(model).eval(), keep_in
        self.neighbours = Neighbours(self.model, load_part("mnist", "train", KNOWN_DIGITS) if known is None else known)
        self.digits: list[DigitSteps] = []
        names = list(classes or self.neighbours.known.classes)
        header, weights = for_browser(quick, names)
        super().__init__(classes=names, aspect=aspect, keeps=bool(keep_in), header=header, weights=weights)
        self.observe(self._answer, "drawing")
        self.on_msg(self._keep)

    def set_state(self, sync_data: dict) -> None:
        """Take over what the browser sent, and say so if it is no state of a pad."""
        try:
            super().set_state(sync_data)
        except Exception as error:  # out of sight otherwise
            message = f"The pad did not understand what it was sent ({type(error).__name__}: {error}). Reload the page."
            self.digits, self.answer = [], {"number": self.drawing.get("number", 0), "message": message}

    def _answer(self, change: dict) -> None:
        started, number = time.perf_counter(), change["new"].get("number", 0)
        try:
            answer = self._read(change["new"])
        except CourseError as error:
            self.digits, answer = [], {"message": str(error)}
        except Exception as error:  # out of sight otherwise
            self.digits, answer = [], {"message": f"The pad failed: {type(error).__name__}: {error}"}
        milliseconds = round(1_000 * (time.perf_counter() - started))
        self.answer = {"number": number, "milliseconds": milliseconds, **answer}

    def _read(self, drawing: dict) -> dict:
        photo = drawing.get("photo")
        strokes = [] if photo else strokes_from(drawing["strokes"])
        if not (photo or strokes):
            self.digits = []
            return {"message": INVITATION}
        if photo:
            reading = read_photo(self.model, photo, **self.of_shipped)
        else:
            reading = read_drawing(self.model, strokes, self.aspect, **self.of_shipped)
        self.digits, labels = reading.steps, reading.labels
        chosen = drawing.get("chosen", -1) if -len(labels) <= drawing.get("chosen", -1) < len(labels) else -1
        digit, label = self.digits[chosen], labels[chosen]
        return {
            "reading": f"{self._name(labels)} ({self._how_sure(reading)})",
            "probabilities": reading.probabilities.tolist(),
            "chosen": chosen % len(labels),
            "steps": pictures_of_steps(digit, "your photo" if photo else "your drawing"),
            "maps": [
                picture(f"layer {name}: dark where a filter answers", 255 - maps)
                for name, maps in lit_maps(self.model, digit.digit).items()
            ],
            "why": self._why(digit.digit, label) if drawing.get("lifted", True) else [],
        }

    def _name(self, labels: list[int]) -> str:
        names = [self.classes[label] for label in labels]
        return (" " if max(map(len, names)) > 1 else "").join(names)

    def _how_sure(self, reading: Reading) -> str:
        """Say how sure the network is; what else it may be, if it is not; that it is perhaps no digit."""
        if reading.perhaps_no_digit:
            return "perhaps no digit"
        best = reading.probabilities.amax(dim=1)
        if reading.sure:
            return f"{best.prod():.0%} sure"
        other, doubtful = reading.labels, int(best.argmin())
        other[doubtful] = int(reading.probabilities[doubtful].argsort(descending=True)[1])
        return f"unsure: perhaps {self._name(other)}"

    def _why(self, digit: Tensor, label: int) -> list[dict]:
        heat = saliency(self.model, to_float(digit), label)
        caption = f"Orange: where a change would move the {self.classes[label]} most"
        like = self.neighbours.of(digit)
        names = [f"training image: {like.classes[known]}" for known in like.labels]
        return [picture(caption, overlay(digit, heat)), *map(picture, names, like.images[:, 0])]

    def _keep(self, _widget: anywidget.AnyWidget, content: dict, _buffers: list) -> None:
        try:
            if content["number"] != self.answer["number"]:  # pressed before the last strokes had arrived
                self.kept = "Nothing was kept: the drawing had changed. Press again."
                return
            self.keep(content["keep"])
        except (CourseError, OSError) as error:
            self.kept = str(error)
        except Exception as error:  # out of sight otherwise
            self.kept = f"Keeping failed: {type(error).__name__}: {error}"

    def keep(self, label: int) -> None:
        """Add the digit on the sheet to the file of kept digits, under its true label."""
        if not self.keep_in or len(self.digits) != 1:
            self.kept = "Nothing was kept: there must be just one digit on the sheet."
            return
        count = keep_digit(self.keep_in, self.digits[0].digit, label, len(self.classes))
        self.kept = f"{count} kept in {self.keep_in.name}"


def picture(caption: str, values: Tensor) -> dict:
    """Return a picture for the browser.

    Shapes: values (H, W) or (H, W, 3) uint8.
    """
    height, width = values.shape[:2]
    return {"caption": caption, "width": width, "height": height, "pixels": values.contiguous().numpy().tobytes()}


def pictures_of_steps(steps: DigitSteps, what: str) -> list[dict]:
    """Return the pictures of a digit's way from the sheet to the network."""
    return [
        picture(f"{what}, smoothed", smaller(steps.grey)),
        picture("the digit, as ink", smaller(steps.cropped)),
        picture("28 × 28, centred by its mass", steps.digit[0]),
    ]


def smaller(values: Tensor) -> Tensor:
    """Make a grey picture small enough to show beside others.

    Shapes: values (H, W) uint8 → the same with its longer side at most `LONGEST_SIDE`.
    """
    small = Image.fromarray(values.numpy())
    small.thumbnail((10 * LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small))


def overlay(digit: Tensor, heat: Tensor) -> Tensor:
    """Lay saliency in orange over a digit in grey.

    Shapes: digit (1, 28, 28) uint8, heat (28, 28) float → (28, 28, 3) uint8.
    """
    strength = (heat / heat.max().clamp(min=1e-12)).unsqueeze(-1)
    grey = digit[0].float().unsqueeze(-1).expand(-1, -1, 3) * 0.5
    return ((1 - strength) * grey + strength * ORANGE).round().to(torch.uint8)
