"""Browse the images of a class: as they come, the most usual first, or the strangest first."""

import ipywidgets
import torch
from matplotlib.figure import Figure
from torch import Tensor

from mnist_helpers.data import LabelledImages, to_float
from mnist_helpers.pages import Shown, described, watch
from mnist_helpers.visualization import draw_images
from mnist_helpers.widgets.slider import Slider

COLUMNS, ROWS = 10, 3
ORDERS = ("as they come", "closest to the class mean", "farthest from the class mean")


class DigitBrowser(ipywidgets.VBox):
    """Show the images of a class, a page at a time, in one of three orders."""

    def __init__(self, labelled: LabelledImages) -> None:
        self.labelled = labelled
        self.label = described(
            ipywidgets.Dropdown, "Class", options=list(zip(labelled.classes, range(10), strict=True))
        )
        self.order = described(ipywidgets.Dropdown, "Order", options=ORDERS)
        self.page = Slider("Page", min=1, max=1)
        self.shown = Shown()
        controls = ipywidgets.HBox([self.label, self.order, self.page], layout={"flex_flow": "row wrap"})
        super().__init__([controls, self.shown])
        watch(self.shown, self._draw, self.label, self.order, self.page)

    def _draw(self) -> None:
        indices = ordered(self.labelled, self.label.value, self.order.value)
        self.page.max = max(1, -(-len(indices) // (COLUMNS * ROWS)))
        here = indices[(self.page.value - 1) * COLUMNS * ROWS :][: COLUMNS * ROWS]
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        draw_images(figure.subplots(ROWS, COLUMNS), self.labelled.images[here], [f"{index}" for index in here.tolist()])
        name, order = self.labelled.classes[self.label.value], self.order.value
        self.shown.draw(
            figure,
            f"Class {name}, {order}: page {self.page.value} of {self.page.max}. Above each image its index.",
            f"Up to {COLUMNS * ROWS} images of class {name}, {order}.",
        )


def ordered(labelled: LabelledImages, label: int, order: str) -> Tensor:
    """Return the indices of a class in an order of `ORDERS`; the distance is taken pixel by pixel.

    Shapes: → (images of the class,) int64.
    """
    indices = torch.nonzero(labelled.labels == label).flatten()
    if order == ORDERS[0] or not len(indices):
        return indices
    images = to_float(labelled.images[indices]).flatten(1)
    distances = (images - images.mean(dim=0)).norm(dim=1)
    return indices[distances.argsort(descending=order == ORDERS[2])]
