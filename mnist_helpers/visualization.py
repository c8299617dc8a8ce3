"""Tensors and histories drawn on matplotlib axes that the caller gives; each function returns what it drew on.

Nothing is computed here that a reader would want to check: that is done in `evaluation` and `inspection`.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor

# Okabe and Ito's colours (2008), told apart with every common form of colour blindness.
BLUE, ORANGE, BLACK = "#0072B2", "#E69F00", "#000000"
MARKERS = "osD^vP*X<>"
DIVERGING = "PuOr"
ROUNDS = 8  # in which points are drawn, a share of every class in each


def draw_images(
    axes: np.ndarray | Axes, images: Tensor, titles: Sequence[str] = (), cmap: str = "gray", limit: float | None = None
) -> np.ndarray:
    """Draw one image on each of the axes, row by row, with a title each; axes left over are hidden.

    Colours run from -limit to +limit if there is a `limit`, over 0 … 255 for uint8, else from the lowest to the
    highest value of all images.

    Shapes: images (N, 1, H, W) or (N, H, W), any number type.
    """
    flat = np.atleast_1d(axes).ravel()
    pictures = images.reshape(-1, *images.shape[-2:]).detach().cpu().numpy()
    if limit:
        low, high = -limit, limit
    else:
        low, high = (0, 255) if pictures.dtype == np.uint8 else (pictures.min(), pictures.max())
    for ax in flat:
        ax.axis("off")
    for ax, picture in zip(flat, pictures, strict=False):
        ax.imshow(picture, cmap=cmap, vmin=low, vmax=high)
    for ax, title in zip(flat, titles, strict=False):
        ax.set_title(title, fontsize=9)
    return flat


def draw_bars(ax: Axes, values: Tensor | Sequence[float], labels: Sequence[str], highlight: Sequence[int] = ()) -> Axes:
    """Draw one bar for each value; highlighted bars are orange and hatched."""
    marked = [index in set(highlight) for index in range(len(labels))]
    colors = [ORANGE if mark else BLUE for mark in marked]
    hatches = ["//" if mark else "" for mark in marked]
    ax.bar(range(len(labels)), values, color=colors, hatch=hatches, edgecolor=BLACK, tick_label=list(labels))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def draw_parameters(ax: Axes, lines: Sequence[dict[str, Sequence[Tensor]]]) -> Axes:
    """Draw each number of a network as a square: lines of named layers, each a row of blocks with a scale of its own.

    Shapes: each block (H, W) float.
    """
    gap, tallest = 2, max(len(block) for line in lines for blocks in line.values() for block in blocks)
    ax.axis("off")
    for number, line in enumerate(lines):
        top, left = number * (tallest + gap), 0
        for name, blocks in line.items():
            ax.text(left, top - 0.3, name, fontsize=8)
            for block in blocks:
                height, width = block.shape
                place, limit = (left, left + width, top + height, top), block.abs().max().item()
                ax.imshow(block.detach().cpu().numpy(), cmap=DIVERGING, vmin=-limit, vmax=limit, extent=place)
                left += width + 1
            left += gap
        ax.set_xlim(0, max(left, ax.get_xlim()[1]))
    ax.set_ylim(len(lines) * (tallest + gap), -gap)
    return ax


def draw_history(axes: Sequence[Axes], epochs: Sequence) -> Sequence[Axes]:
    """Draw loss on the first and accuracy on the second of two axes, for training and validation.

    `epochs` are records with the fields of `training.Epoch`.
    """
    numbers = [epoch.epoch for epoch in epochs]
    for ax, quantity in zip(axes, ("loss", "accuracy"), strict=True):
        for part, color, style in (("train", BLUE, "o--"), ("val", ORANGE, "s-")):
            values = [getattr(epoch, f"{part}_{quantity}") for epoch in epochs]
            label = {"train": "training (while learning)", "val": "validation"}[part]
            ax.plot(numbers, values, style, color=color, label=label)
        ax.set(xlabel="epoch", ylabel=quantity, xticks=numbers)
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    return axes


def draw_confusion(ax: Axes, matrix: Tensor, classes: Sequence[str]) -> Axes:
    """Draw a confusion matrix with its counts; colour follows the mistakes, so the diagonal stays white.

    Shapes: matrix (C, C) integers, row = true class.
    """
    counts = matrix.numpy()
    mistakes = counts.copy()
    np.fill_diagonal(mistakes, 0)
    ax.imshow(mistakes, cmap="Oranges", vmax=max(1, mistakes.max()) * 1.3)
    for row, column in np.ndindex(counts.shape):
        if counts[row, column]:
            weight = "bold" if row == column else "normal"
            ax.text(column, row, counts[row, column], ha="center", va="center", fontsize=8, fontweight=weight)
    ticks = range(len(classes))
    rotation = 45 if max(map(len, classes)) > 2 else 0
    ax.set_xticks(ticks, classes, rotation=rotation, ha="right" if rotation else "center")
    ax.set_yticks(ticks, classes)
    ax.set(xlabel="predicted class", ylabel="true class")
    return ax


def draw_probabilities(ax: Axes, probabilities: Tensor, classes: Sequence[str], label: int | None = None) -> Axes:
    """Draw the probabilities of the classes as horizontal bars; the true class, if given, is marked by its name.

    Shapes: probabilities (C,) float.
    """
    ax.barh(range(len(classes)), probabilities.numpy(), color=BLUE)
    names = [f"▸ {name}" if index == label else name for index, name in enumerate(classes)]
    ax.set_yticks(range(len(classes)), names, fontsize=8)
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel="probability")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def draw_calibration(ax: Axes, confidence: Tensor, accuracy: Tensor, count: Tensor) -> Axes:
    """Draw accuracy against confidence, a point a bin, its area growing with the bin's count; empty bins are left out.

    Shapes: all (bins,).
    """
    ax.plot([0, 1], [0, 1], color=BLACK, linewidth=1, linestyle=":", label="perfectly calibrated")
    filled = (count > 0).numpy()
    x, y, n = (values.numpy()[filled] for values in (confidence, accuracy, count))
    ax.scatter(x, y, s=20 + 4 * np.sqrt(n), color=BLUE, alpha=0.7, label="bins of the test set")
    for x_value, y_value, number in zip(x, y, n, strict=True):
        ax.annotate(
            f"{number:,}",
            (x_value, y_value),
            textcoords="offset points",
            xytext=(0, 5 + number**0.25),
            ha="center",
            fontsize=7,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
    ax.set(xlabel="confidence of the prediction", ylabel="share that is right", xlim=(0, 1.05), ylim=(0, 1.12))
    ax.legend(frameon=False, loc="lower right")
    return ax


def draw_points(ax: Axes, points: Tensor | np.ndarray, labels: Tensor, classes: Sequence[str]) -> Axes:
    """Draw points in two dimensions, one colour and marker a class, with the class named where its points lie.

    Names that would cover each other are moved apart, with a line to where they belong.

    Shapes: points (N, 2) float, labels (N,) int64.
    """
    points, labels = np.asarray(points), labels.numpy()
    palette = plt.get_cmap("tab10")
    groups = [points[labels == index] for index in range(len(classes))]
    for part in range(ROUNDS):  # so that no class covers all others
        for index, mine in enumerate(groups):
            share = mine[part::ROUNDS]
            ax.scatter(*share.T, s=26, color=palette(index), marker=MARKERS[index], alpha=0.5, linewidths=0)
    middles = np.array([_nearest(mine, np.median(mine, axis=0)) for mine in groups])
    short = max(map(len, classes)) < 3
    places = _apart(middles, np.ptp(points, axis=0) * ([0.1, 0.1] if short else [0.3, 0.1]))
    box = {"boxstyle": "circle" if short else "round", "facecolor": "white", "alpha": 0.85}
    for name, middle, place in zip(classes, middles, places, strict=True):
        line = {"arrowstyle": "-", "shrinkA": 0, "shrinkB": 0}
        ax.annotate(name, middle, place, fontweight="bold", ha="center", va="center", bbox=box, arrowprops=line)
    ax.set(xticks=[], yticks=[])
    return ax


def _nearest(points: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Return the one of some points (N, 2) nearest to a place (2,): a class may lie in two heaps, and none there."""
    return points[np.linalg.norm(points - to, axis=1).argmin()]


def _apart(places: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Push places away from each other, as little as is needed for any two to be `distance` apart.

    Shapes: places (N, 2), distance (2,), one for each direction.
    """
    places = places / distance
    for _ in range(500):
        gaps = places[:, None] - places
        lengths = np.linalg.norm(gaps, axis=2)
        missing = np.clip(1 - lengths, 0, None) * (lengths > 0)  # a place stays where it is, as far as it is concerned
        if missing.max() < 0.01:
            break
        places = places + (gaps * (missing / np.maximum(lengths, 1e-9) / 2)[..., None]).sum(axis=1)
    return places * distance


def draw_overlay(ax: Axes, image: Tensor, heat: Tensor, cmap: str = "Reds") -> Axes:
    """Draw an image in grey with a heat map over it, transparent where it is 0.

    Shapes: image (1, H, W) or (H, W), heat (H, W), any range.
    """
    ax.imshow(image.reshape(heat.shape).numpy(), cmap="gray_r", alpha=0.5)
    strength = heat.clamp(min=0).numpy()
    strength = strength / max(strength.max(), 1e-12)
    ax.imshow(strength, cmap=cmap, alpha=strength**0.7 * 0.85, vmin=0, vmax=1)
    ax.axis("off")
    return ax


def save_filters(filters: Tensor, folder: Path, side: int = 240) -> list[Path]:
    """Save each filter as filter_1.png, filter_2.png, …: grey, its lowest weight black, its highest white, enlarged.

    Shapes: filters (F, 1, K, K) float; more than one input channel is averaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, weights in enumerate(filters.detach().cpu().mean(dim=1), start=1):
        spread = (weights.max() - weights.min()).clamp(min=1e-12)
        grey = ((weights - weights.min()) / spread * 255).round().byte().numpy()
        path = folder / f"filter_{number}.png"
        # Hard-edged squares: each is one weight.
        Image.fromarray(grey).resize((side, side), Image.Resampling.NEAREST).save(path)
        paths.append(path)
    return paths
