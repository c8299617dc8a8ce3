"""Look into a layer: a filter's weights, its map on a digit, what excites it, and what the network does without it."""

import copy
import functools

import ipywidgets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from mnist_helpers.data import LabelledImages
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import predict_logits
from mnist_helpers.inspection import feature_maps, layers_with_maps, silenced, top_patches
from mnist_helpers.pages import Shown, described, guarded, watch
from mnist_helpers.visualization import draw_images, draw_probabilities
from mnist_helpers.widgets.slider import Slider

PATCHES = 6
AMONG = 1_000  # images in which patches are sought


class FilterExplorer(ipywidgets.VBox):
    """Pick a layer, a filter and an image; switch filters off and see the prediction change."""

    def __init__(self, model: nn.Sequential, labelled: LabelledImages) -> None:
        """Make an explorer of a network, on given images.

        Raises: CourseError for a network that has no feature maps.
        """
        # A copy: filters are switched off also while a cell trains or evaluates the network.
        self.model, self.labelled = copy.deepcopy(model).eval(), labelled
        layers = layers_with_maps(model)
        if not layers:
            raise CourseError("This network has no feature maps. Choose one with convolutions, such as 'two-conv'.")
        self.layer = described(ipywidgets.Dropdown, "Layer", options=layers)
        self.filter = Slider("Filter", max=0)
        self.image = Slider("Image", max=len(labelled) - 1)
        self.off = described(ipywidgets.SelectMultiple, "Switched off", rows=6)
        self.shown = Shown()
        self.patches = functools.cache(self._find_patches)  # they depend neither on the image nor on what is off
        self._layer_chosen()
        self.layer.observe(guarded(self.shown, self._layer_chosen), "value")
        left = ipywidgets.VBox([self.layer, self.filter, self.image])
        controls = ipywidgets.HBox([left, self.off], layout={"flex_flow": "row wrap", "grid_gap": "0 2em"})
        super().__init__([controls, self.shown])
        watch(self.shown, self._draw, self.layer, self.filter, self.image, self.off)

    def _layer_chosen(self) -> None:
        filters = len(feature_maps(self.model, self.labelled.images[0], self.layer.value)[self.layer.value])
        self.changing = True  # the other controls follow, and no view is drawn of a half-changed choice
        self.filter.max = filters - 1
        self.off.options = [(f"filter {index}", index) for index in range(filters)]
        self.changing = False

    def _find_patches(self, layer: str, index: int) -> Tensor:
        some = self.labelled.images[:AMONG]
        return top_patches(self.model, some, layer, index, min(PATCHES, len(some)))

    def _draw(self) -> None:
        if self.changing:
            return
        image, index, layer = self.labelled.images[self.image.value], self.filter.value, self.layer.value
        maps = feature_maps(self.model, image, layer)[layer]
        patches = self.patches(layer, index)
        figure = Figure(figsize=(9, 4.4), layout="constrained")
        places = [["weights", "image", "map", "bars"], [*"abc", "bars"], [*"def", "bars"]]
        axes = figure.subplot_mosaic(places, width_ratios=[1, 1, 1, 1.8])
        _draw_weights(axes["weights"], first_weights(self.model, layer), index)
        draw_images(axes["image"], image, [f"image {self.image.value}"])
        draw_images(axes["map"], maps[index], [f"map {index}"], cmap="viridis")
        for name, patch in zip("abcdef", patches, strict=False):
            draw_images(axes[name], patch, ["excites it most"] if name == "a" else ())
            axes[name].set(xticks=[], yticks=[])
            axes[name].axis("on")  # a frame, without which white pixels vanish into the page
        before, after = predictions_without(self.model, image, layer, self.off.value)
        label = int(self.labelled.labels[self.image.value])
        draw_probabilities(axes["bars"], after, self.labelled.classes, label)
        now, was = (self.labelled.classes[int(shares.argmax())] for shares in (after, before))
        muted = len(self.off.value)
        without = f" Without {muted} of them: {now}, {after.max():.1%} sure." if muted else ""
        axes["bars"].set_title(f"without {muted} of the filters" if muted else "all filters on")
        self.shown.draw(
            figure,
            f"{layer}, filter {index}. With all filters: {was}, {before.max():.1%} sure.{without}",
            f"Weights, map and exciting patches of filter {index}, and the probabilities of the ten classes.",
        )


def _draw_weights(ax: Axes, weights: Tensor | None, index: int) -> None:
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.set_title("weights", fontsize=9)
    if weights is None:
        words = "of many maps:\nsee what\nexcites it"
        ax.text(0.5, 0.5, words, ha="center", va="center", fontsize=8, transform=ax.transAxes)
        return
    largest = weights.abs().max().item()
    ax.imshow(weights[index, 0].numpy(), cmap="PuOr", vmin=-largest, vmax=largest)


def first_weights(model: nn.Sequential, layer: str) -> Tensor | None:
    """Return the weights that look at the image itself, if `layer` is the first after them, and otherwise None.

    Shapes: → (filters, 1, K, K) float32.
    """
    before: list[nn.Conv2d] = []
    for name, module in model.named_children():
        before += [module] if isinstance(module, nn.Conv2d) else []
        if name == layer:
            break
    return before[0].weight.detach().cpu() if len(before) == 1 and layers_with_maps(model)[0] == layer else None


def predictions_without(model: nn.Sequential, image: Tensor, layer: str, off: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the probabilities for an image with all filters of a layer, and without some.

    Shapes: image (1, 28, 28) uint8 → (10,) and (10,) float32.
    """
    before = predict_logits(model, image[None]).softmax(dim=1)[0]
    with silenced(model, layer, *off):
        return before, predict_logits(model, image[None]).softmax(dim=1)[0]
