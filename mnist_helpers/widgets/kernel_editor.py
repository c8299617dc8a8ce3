"""Nine numbers to play with: a kernel, what it makes of a digit, and the window on its way over the image."""

import ipywidgets
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from mnist_helpers.data import to_float
from mnist_helpers.pages import Shown, described, watch
from mnist_helpers.visualization import ORANGE, draw_images
from mnist_helpers.widgets.slider import Slider

PRESETS = {
    "upright edges": [-1, 0, 1, -2, 0, 2, -1, 0, 1],  # Sobel's pair, as in notebook 02
    "level edges": [-1, -2, -1, 0, 0, 0, 1, 2, 1],
    "all edges": [-1, -1, -1, -1, 8, -1, -1, -1, -1],
    "blur": [round(1 / 9, 3)] * 9,
    "sharpen": [0, -1, 0, -1, 5, -1, 0, -1, 0],
    "nothing changes": [0, 0, 0, 0, 1, 0, 0, 0, 0],
}
OWN = "your own"


class KernelEditor(ipywidgets.VBox):
    """Edit a 3×3 kernel; the map follows, and a window shows how one of its values comes about."""

    def __init__(self, images: Tensor) -> None:
        """Make an editor for images.

        Shapes: images (N, 1, 28, 28) uint8.
        """
        self.images = images
        self.preset = described(ipywidgets.Dropdown, "Kernel", options=[*PRESETS, OWN])
        self.numbers = [
            described(ipywidgets.FloatText, place, step=0.5, layout={"width": "6em"}) for place in "↖↑↗←·→↙↓↘"
        ]
        self.image = Slider("Image", max=len(images) - 1)
        self.row = Slider("Window: row", max=25, value=8)
        self.column = Slider("column", max=25, value=12)
        self.shown = Shown()
        grid = ipywidgets.GridBox(self.numbers, layout={"grid_template_columns": "repeat(3, 6.5em)"})
        sliders = ipywidgets.VBox([self.preset, self.image, self.row, self.column])
        controls = ipywidgets.HBox([grid, sliders], layout={"flex_flow": "row wrap", "grid_gap": "0 2em"})
        super().__init__([controls, self.shown])
        self._follow()
        self.preset.observe(self._follow, "value")
        for number in self.numbers:
            number.observe(self._own, "value")
        watch(self.shown, self._draw, self.preset, *self.numbers, self.image, self.row, self.column)

    def _follow(self, _change: dict | None = None) -> None:
        wanted = PRESETS.get(self.preset.value, self.kernel())
        self.filling = True
        for number, value in zip(self.numbers, wanted, strict=True):
            number.value = value
        self.filling = False

    def _own(self, _change: dict) -> None:
        if not self.filling:
            self.preset.value = OWN

    def kernel(self) -> list[float]:
        """Return the nine numbers, row by row."""
        return [number.value for number in self.numbers]

    def _draw(self) -> None:
        if self.filling:
            return
        image = to_float(self.images[self.image.value, 0])
        kernel = torch.tensor(self.kernel()).view(3, 3)
        made, row, column = convolved(image, kernel), self.row.value, self.column.value
        figure = Figure(figsize=(9, 3.1), layout="constrained")
        axes = figure.subplots(1, 3, width_ratios=[1, 0.8, 1])
        draw_images(axes[0], image, ["image"])
        axes[0].add_patch(Rectangle((column - 0.5, row - 0.5), 3, 3, fill=False, ec=ORANGE, lw=2))
        _draw_window(axes[1], image[row : row + 3, column : column + 3], kernel)
        largest = max(made.abs().max().item(), 1e-6)
        axes[2].imshow(made.numpy(), cmap="PuOr", vmin=-largest, vmax=largest)
        axes[2].add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec="black", lw=2))
        axes[2].set(xticks=[], yticks=[])
        axes[2].set_title("map: purple positive, orange negative", fontsize=9)
        self.shown.draw(
            figure,
            "Left: the window on the image. Middle: pixel × number of the kernel. Right: their sum, marked.",
            f"An image, nine products with the sum {made[row, column]:.2f}, and the map of all sums.",
        )


def _draw_window(ax: Axes, window: Tensor, kernel: Tensor) -> None:
    for place, (pixel, number) in enumerate(zip(window.flatten(), kernel.flatten(), strict=True)):
        text = f"{pixel:.2f}\n× {number:g}"
        ax.text(place % 3, place // 3, text, ha="center", va="center", fontsize=9)
    ax.set(xlim=(-0.5, 2.5), ylim=(2.5, -0.5), xticks=[], yticks=[], aspect="equal")
    ax.set_title(f"sum: {(window * kernel).sum():.2f}", fontsize=9)


def convolved(image: Tensor, kernel: Tensor) -> Tensor:
    """Slide a kernel over an image.

    Shapes: image (H, W), kernel (3, 3) float → (H - 2, W - 2).
    """
    return F.conv2d(image[None, None], kernel[None, None])[0, 0]
