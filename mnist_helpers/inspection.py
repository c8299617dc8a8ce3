"""What goes on inside a network: filters, feature maps, saliency, silenced filters. Tensors only; no drawing."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnist_helpers.architectures import Residual
from mnist_helpers.data import BatchLoader, LabelledImages
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import BATCH_SIZE, predict_logits
from mnist_helpers.models import device_of, evaluating
from mnist_helpers.runtime import autocast


@contextmanager
def recorded(model: nn.Sequential, *layers: str) -> Iterator[dict[str, Tensor]]:
    """Record what the named layers give out while the block runs; the hooks remove themselves.

    The dictionary holds the last output of each layer.
    """
    outputs: dict[str, Tensor] = {}

    def hook_for(name: str):
        def keep(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
            outputs[name] = output

        return keep

    with ExitStack() as hooks:
        for name in layers:
            hooks.callback(model.get_submodule(name).register_forward_hook(hook_for(name)).remove)
        yield outputs


@contextmanager
def silenced(model: nn.Sequential, layer: str, *filter_indices: int) -> Iterator[None]:
    """Set one or more channels of a layer's output to zero while the block runs."""

    def mute(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, list(filter_indices)] = 0
        return output

    handle = model.get_submodule(layer).register_forward_hook(mute)
    try:
        yield
    finally:
        handle.remove()


def first_filters(model: nn.Module) -> Tensor:
    """Return the weights of a network's first convolution.

    Shapes: → (filters, 1, K, K) float32.
    Raises: CourseError if the network has no convolution.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module.weight.detach()
    raise CourseError("This network has no convolution, and so no filters. Choose one that has, such as 'two-conv'.")


def feature_maps(model: nn.Sequential, image: Tensor, *layers: str) -> dict[str, Tensor]:
    """Return what each named layer makes of one image.

    Shapes: image (1, 28, 28) uint8 or float in [0, 1] → {layer: (channels, height, width) float32}.
    """
    with recorded(model, *layers) as outputs:
        predict_logits(model, image.unsqueeze(0))
    return {name: output[0].float().cpu() for name, output in outputs.items()}


@dataclass(frozen=True)
class ReceptiveField:
    """The square of input pixels that one value of a layer depends on.

    The value at (row, column) sees `size` × `size` pixels; the first row is `start + stride * row`, and so for columns.
    """

    size: int
    stride: int
    start: int


def receptive_field(model: nn.Sequential, layer: str) -> ReceptiveField:
    """Work out how much of the input one value of a layer sees; after the maps, each value sees what they all see.

    Source: the recurrence of Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks"
    (2019), for layers in a row.
    """
    size, stride, start, side = 1, 1, 0, 28  # of the maps
    for name, child in model.named_children():
        for inner_name, module in child.named_modules():
            if inner_name == "shortcut":  # it sees less than the layers beside it
                continue
            kernel, step, padding = _reach(module, side)
            size += (kernel - 1) * stride
            start -= padding * stride
            stride *= step
            side = (side + 2 * padding - kernel) // step + 1
        if name == layer:
            return ReceptiveField(size, stride, start)
    raise KeyError(f"the network has no layer {layer!r}; it has {', '.join(dict(model.named_children()))}")


def _reach(module: nn.Module, side: int) -> tuple[int, int, int]:
    """Return kernel, stride and padding with which a layer goes over maps of `side`; 1, 1, 0 if over none."""
    if isinstance(module, nn.Conv2d | nn.MaxPool2d):
        sizes = (module.kernel_size, module.stride, module.padding, module.dilation)
        kernel, step, padding, dilation = (size[0] if isinstance(size, tuple) else size for size in sizes)
        return (kernel - 1) * dilation + 1, step, padding
    if isinstance(module, nn.ZeroPad2d):
        return 1, 1, module.padding[0]
    if isinstance(module, nn.AdaptiveMaxPool2d | nn.AdaptiveAvgPool2d):
        step = side // module.output_size
        return side - (module.output_size - 1) * step, step, 0
    return (side, 1, 0) if isinstance(module, nn.Flatten) else (1, 1, 0)


def top_patches(model: nn.Sequential, images: Tensor, layer: str, filter_index: int, count: int = 8) -> Tensor:
    """Cut out of the images the patches that excite one filter most, at most one from each image.

    Source: the idea of Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014).
    Shapes: images (N, 1, 28, 28) uint8 → (count, 1, size, size) uint8, where size is the layer's receptive field.
    For a dense layer that is all that its network sees of an image.
    """
    window = receptive_field(model, layer)
    peaks, places, width = [], [], 0
    for batch in images.split(BATCH_SIZE):
        with recorded(model, layer) as outputs:
            predict_logits(model, batch)
        maps = outputs[layer][:, filter_index].float().cpu()
        maps = maps.view(len(maps), 1, 1) if maps.dim() == 1 else maps  # a dense layer has one value for all places
        width = maps.shape[2]
        peak, place = maps.flatten(1).max(dim=1)
        peaks.append(peak)
        places.append(place)
    best = torch.cat(peaks).topk(count).indices
    rows, columns = torch.cat(places)[best] // width, torch.cat(places)[best] % width
    # Windows of padded layers can reach over the edge: there the network saw zeros.
    margin = window.size
    padded = F.pad(images[best], (margin,) * 4)
    patches = []
    for image, row, column in zip(padded, rows.tolist(), columns.tolist(), strict=True):
        top, left = (margin + window.start + window.stride * place for place in (row, column))
        patches.append(image[:, top : top + window.size, left : left + window.size])
    return torch.stack(patches)


def saliency(model: nn.Sequential, image: Tensor, label: int) -> Tensor:
    """Say how strongly each pixel, changed a little, would change the logit of a class.

    Source: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks" (2013).
    Shapes: image (1, 28, 28) float in [0, 1] → (28, 28) float32, the absolute gradient.
    """
    pixels = image.detach().clone().unsqueeze(0).to(device_of(model)).requires_grad_()
    with evaluating(model):
        (gradient,) = torch.autograd.grad(model(pixels)[0, label], pixels)
    return gradient.abs()[0, 0].cpu()


def occlusion(model: nn.Sequential, image: Tensor, label: int, size: int = 5) -> Tensor:
    """Cover a square of the image with background, everywhere in turn, and note how much probability the class loses.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014).
    Shapes: image (1, H, W) float in [0, 1] → (H, W) float32, the loss with the square centred on each pixel.
    """
    _, height, width = image.shape
    reach = size // 2
    covered = image.repeat(height * width, 1, 1, 1)
    for row in range(height):
        for column in range(width):
            rows = slice(max(0, row - reach), row + reach + 1)
            columns = slice(max(0, column - reach), column + reach + 1)
            covered[row * width + column, :, rows, columns] = 0
    # Elsewhere there is only background to cover, and nothing to lose.
    hiding = (covered != image).flatten(1).any(dim=1)
    asked = torch.cat([image.unsqueeze(0), covered[hiding]])
    probabilities = predict_logits(model, asked).softmax(dim=1)[:, label]
    losses = torch.zeros(height * width)
    losses[hiding] = probabilities[0] - probabilities[1:]
    return losses.view(height, width)


def up_to(model: nn.Sequential, layer: str) -> nn.Sequential:
    """Return the part of a network that leads up to a layer's maps, without the ReLU if the layer is one.

    After a ReLU, a filter that is silent gives no direction in which to change an image.
    """
    place = list(dict(model.named_children())).index(layer)
    return model[:place] if isinstance(model[place], nn.ReLU) else model[: place + 1]


def grow_input(
    model: nn.Sequential, layer: str, filter_index: int, steps: int = 100, lr: float = 0.2, seed: int = 0
) -> Tensor:
    """Start from faint noise and change the image step by step so that it excites one filter more and more.

    The answer of the filter is averaged over its whole map, before the ReLU if the layer is one. A small pull towards
    black and towards smoothness keeps the image readable.

    Source: Erhan, Bengio, Courville and Vincent, "Visualizing higher-layer features of a deep network" (2009).
    Shapes: → (28, 28) float32 in [0, 1].
    """
    noise = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(seed)) * 0.1
    values = (noise - 2).to(device_of(model)).requires_grad_()  # the sigmoid keeps the pixels between 0 and 1
    optimizer = torch.optim.Adam([values], lr=lr)
    for _ in range(steps):
        pixels = values.sigmoid()
        with evaluating(model):
            excitement = up_to(model, layer)(pixels)[0, filter_index].mean()
        roughness = pixels.diff(dim=2).abs().mean() + pixels.diff(dim=3).abs().mean()
        loss = -excitement + 0.5 * pixels.mean() + 0.5 * roughness
        (values.grad,) = torch.autograd.grad(loss, values)
        optimizer.step()
    return values.detach().sigmoid()[0, 0].cpu()


def on_the_image(heat: Tensor, window: ReceptiveField) -> Tensor:
    """Enlarge a map and lay it on the image, each value over the middle of the square of pixels that it sees.

    Shapes: heat (height, width) float, a layer's map; `window` is the layer's `receptive_field` → (28, 28) on the CPU.
    """
    large = F.interpolate(heat[None, None], scale_factor=window.stride, mode="bilinear")[0, 0].cpu()
    before = window.start + (window.size - window.stride) // 2
    below, right = (28 - before - side for side in large.shape)
    return F.pad(large, (before, right, before, below))


def embed(model: nn.Sequential, images: Tensor, layer: str) -> Tensor:
    """Return what a layer gives for each image, as one row of numbers an image.

    Shapes: images (N, 1, 28, 28) uint8 → (N, features) float32.
    """
    rows = []
    for batch in images.split(BATCH_SIZE):
        with recorded(model, layer) as outputs:
            predict_logits(model, batch)
        rows.append(outputs[layer].flatten(1).float().cpu())
    return torch.cat(rows)


def peaks(model: nn.Sequential, images: Tensor, layer: str) -> Tensor:
    """Return the largest value in each map of a layer. Shapes: images (N, 1, 28, 28) uint8 → (N, maps) float32."""
    shape = feature_maps(model, images[0], layer)[layer].shape
    return embed(model, images, layer).unflatten(1, shape).amax(dim=(2, 3))


@dataclass(frozen=True)
class Worth:
    """What each filter of a layer is worth: accuracy lost (0.01 is one point) and loss gained without it.

    Below 0 the network is better without. Shapes: (filters,) float32 each.
    """

    accuracy: Tensor
    loss: Tensor


@torch.inference_mode()
def ablate(model: nn.Sequential, labelled: LabelledImages, layer: str) -> Worth:
    """Silence each filter of a layer in turn and measure what it was worth.

    Source: the method of Morcos and others, "On the importance of single directions for generalization" (2018).
    """
    cut, device = list(dict(model.named_children())).index(layer) + 1, device_of(model)
    before, after = model[:cut], model[cut:]  # what comes before the layer is computed once
    sums: list[Tensor] = []
    with evaluating(model), autocast(device):
        for images, labels in BatchLoader(labelled.to(device), BATCH_SIZE):
            values = before(images)
            sums.append(_right_and_loss(after(values), labels))
            for filter_index in range(values.shape[1]):
                heard = values[:, filter_index].clone()
                values[:, filter_index] = 0
                sums.append(_right_and_loss(after(values), labels))
                values[:, filter_index] = heard
    means = torch.stack(sums).view(-1, values.shape[1] + 1, 2).sum(dim=0).cpu() / len(labelled)
    return Worth(accuracy=means[0, 0] - means[1:, 0], loss=means[1:, 1] - means[0, 1])


def _right_and_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return how many images are read correctly, and the sum of their losses. Shapes: → (2,) float32."""
    right = (logits.argmax(dim=1) == labels).sum()
    return torch.stack([right.float(), F.cross_entropy(logits.float(), labels, reduction="sum")])


def layers_with_maps(model: nn.Sequential) -> list[str]:
    """Return the names of the layers whose maps are worth seeing: each rectifier, or block, before the dense layers."""
    names = []
    for name, layer in model.named_children():
        if isinstance(layer, nn.Flatten):
            break
        if isinstance(layer, nn.ReLU | Residual):
            names.append(name)
    return names


def lit_maps(model: nn.Sequential, digit: Tensor) -> dict[str, Tensor]:
    """Return the maps of each layer for one digit, laid out side by side in one picture.

    The brightest value of a layer is white, and no activation is black.

    Shapes: digit (1, 28, 28) uint8 → {layer: (H, W) uint8}.
    """
    names = layers_with_maps(model)
    return {name: mosaic(maps) for name, maps in feature_maps(model, digit, *names).items()} if names else {}


def mosaic(maps: Tensor) -> Tensor:
    """Lay maps out in rows, twice as many side by side as above each other, a dark line between them.

    Shapes: maps (C, H, W) float, not below 0 → (rows × (H + 1) - 1, columns × (W + 1) - 1) uint8.
    """
    channels, height, width = maps.shape
    columns = min(channels, math.ceil(math.sqrt(2 * channels)))
    rows = math.ceil(channels / columns)
    laid = torch.zeros(rows * columns, height + 1, width + 1)
    laid[:channels, :height, :width] = maps / maps.max().clamp(min=1e-6)
    laid = laid.view(rows, columns, height + 1, width + 1).permute(0, 2, 1, 3)
    return (laid.reshape(rows * (height + 1), -1)[:-1, :-1] * 255).round().to(torch.uint8)


class Neighbours:
    """Known digits, and which of them a network finds most like another: those with the nearest last features."""

    def __init__(self, model: nn.Sequential, known: LabelledImages) -> None:
        self.model, self.known = model, known
        self.layer = list(dict(model.named_children()))[-2]  # what the last dense layer sees
        self.features = embed(model, known.images, self.layer)

    def of(self, digit: Tensor, count: int = 5) -> LabelledImages:
        """Return the known digits most like this one, the most like first.

        Shapes: digit (1, 28, 28) uint8.
        """
        features = embed(self.model, digit.unsqueeze(0), self.layer)
        return self.known.select(torch.cdist(features, self.features)[0].argsort()[:count])
