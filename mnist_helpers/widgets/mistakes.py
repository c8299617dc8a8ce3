"""A confusion matrix whose cells open the images behind them, and a threshold below which a network is not believed."""

import ipywidgets
import torch
from matplotlib.figure import Figure
from torch import Tensor

from mnist_helpers.data import LabelledImages
from mnist_helpers.evaluation import confusion_matrix
from mnist_helpers.pages import Shown, guarded, watch
from mnist_helpers.visualization import BLUE, ORANGE, draw_images
from mnist_helpers.widgets.slider import Slider

MOST_SHOWN = 20


class ConfusionExplorer(ipywidgets.VBox):
    """A confusion matrix of buttons; each shows the images that are counted in it."""

    def __init__(self, labelled: LabelledImages, logits: Tensor) -> None:
        """Make an explorer for images and what a network said of them.

        Shapes: logits (N, 10) float32.
        """
        self.labelled, self.logits, self.predictions = labelled, logits, logits.argmax(dim=1)
        self.matrix = confusion_matrix(labelled.labels, self.predictions)
        self.shown = Shown()
        off = self.matrix - torch.diag(self.matrix.diagonal())
        worst = divmod(int(off.argmax()), len(labelled.classes))
        super().__init__([self._grid(off), self.shown])
        self.open_cell(*worst)

    def _grid(self, off: Tensor) -> ipywidgets.GridBox:
        names = self.labelled.classes
        corner = ipywidgets.HTML("<small style='white-space: nowrap'>true ↓ read as →</small>")
        children = [corner, *(ipywidgets.HTML(f"<b>{name}</b>") for name in names)]
        for label, name in enumerate(names):
            children.append(ipywidgets.HTML(f"<b>{name}</b>"))
            children += [self._button(label, prediction, off) for prediction in range(len(names))]
        columns = f"minmax(min-content, 8.5em) repeat({len(names)}, minmax(3.1em, 4.6em))"
        return ipywidgets.GridBox(children, layout={"grid_template_columns": columns, "grid_gap": "2px"})

    def _button(self, label: int, prediction: int, off: Tensor) -> ipywidgets.Button:
        count, names = int(self.matrix[label, prediction]), self.labelled.classes
        shade = 0 if label == prediction else count / max(1, int(off.max()))
        border = "2px solid" if label == prediction else "1px solid #8888"
        button = ipywidgets.Button(
            description=str(count) if count else "·",
            tooltip=f"{count} images of {names[label]} read as {names[prediction]}",
            layout={"width": "auto", "margin": "0", "padding": "0", "border": border},
        )
        # The number says how many; the shade only helps to find the large ones.
        button.style.button_color = f"rgba(230, 159, 0, {shade:.2f})"
        button.on_click(guarded(self.shown, lambda: self.open_cell(label, prediction)))
        return button

    def open_cell(self, label: int, prediction: int) -> None:
        """Show the images of a class that were read as a class, the surest reading first."""
        names = self.labelled.classes
        indices = behind(self.labelled.labels, self.logits, label, prediction)
        if not len(indices):
            self.shown.say(f"No {names[label]} was read as {names[prediction]}.")
            return
        here, sure = indices[:MOST_SHOWN], self.logits.softmax(dim=1)[indices[:MOST_SHOWN], prediction]
        rows = -(-len(here) // 10)
        figure = Figure(figsize=(9, 1.25 * rows), layout="constrained")
        draw_images(figure.subplots(rows, 10), self.labelled.images[here], [f"{share:.0%}" for share in sure])
        more = f" (the first {MOST_SHOWN} of {len(indices)})" if len(indices) > MOST_SHOWN else ""
        caption = f"{names[label]} read as {names[prediction]}{more}. Above each: how sure the network was."
        self.shown.draw(figure, caption, f"{len(here)} images of {names[label]} that were read as {names[prediction]}.")


def behind(labels: Tensor, logits: Tensor, label: int, prediction: int) -> Tensor:
    """Return the indices of the images of a class that were read as a class, the surest reading first.

    Shapes: labels (N,) int64, logits (N, classes) float32 → (count,) int64.
    """
    indices = torch.nonzero((labels == label) & (logits.argmax(dim=1) == prediction)).flatten()
    return indices[logits.softmax(dim=1)[indices, prediction].argsort(descending=True)]


class ThresholdExplorer(ipywidgets.VBox):
    """A threshold of confidence: how many images a network still answers, and how many of those correctly."""

    def __init__(self, labels: Tensor, logits: Tensor) -> None:
        """Make an explorer for labels and logits.

        Shapes: labels (N,) int64, logits (N, 10) float32.
        """
        self.confidence, predictions = logits.softmax(dim=1).max(dim=1)
        self.right = predictions == labels
        self.threshold = Slider(
            "Answer only if surer than", max=0.999, step=0.001, value=0.9, percent=True, layout={"width": "36em"}
        )
        self.shown = Shown()
        super().__init__([self.threshold, self.shown])
        watch(self.shown, self._draw, self.threshold)

    def _draw(self) -> None:
        thresholds = torch.cat([torch.linspace(0, 0.98, 50), torch.linspace(0.981, 0.999, 19)])
        curve = [coverage(self.confidence, self.right, float(at)) for at in thresholds]
        answered, accuracy = coverage(self.confidence, self.right, self.threshold.value)
        if not answered:
            self.shown.say(f"Nothing is answered: no image is surer than {self.threshold.value:.1%}.")
            return
        figure = Figure(figsize=(6, 2.8), layout="constrained")
        ax = figure.subplots()
        ax.plot([100 * share for share, _ in curve], [100 * right for _, right in curve], color=BLUE)
        ax.plot(100 * answered, 100 * accuracy, "o", color=ORANGE, markersize=10)
        ax.set(xlabel="images answered (%)", ylabel="of these right (%)")
        self.shown.draw(
            figure,
            f"Surer than {self.threshold.value:.1%}: {answered:.1%} of the images are answered, {accuracy:.2%} of "
            f"these correctly. {round((1 - answered) * len(self.right)):,} are left to a person.",
            f"A curve; the point at the threshold is at {answered:.1%} answered and {accuracy:.2%} right.",
        )


def coverage(confidence: Tensor, right: Tensor, threshold: float) -> tuple[float, float]:
    """Return the share of images answered above a threshold, and the share of these that are right (NaN for none).

    Shapes: confidence (N,) float, right (N,) bool.
    """
    answered = confidence > threshold
    return answered.float().mean().item(), right[answered].float().mean().item()
