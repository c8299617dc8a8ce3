"""Checks of exercise notebook 5: pictures of kernels, places, silence, saliency, covering, neighbours, worth."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from mnist_helpers import inspection
from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import Mistake, exercise


def a_kernel(random: np.random.Generator) -> tuple[Tensor]:
    """Draw a kernel whose largest weight is, as often as not, a negative one."""
    side = int(random.integers(3, 7))
    kernel = inputs.normal(random, side, side)
    kernel[tuple(random.integers(side, size=2))] = float(random.choice([-4, 4]))
    return (kernel * float(random.uniform(0.2, 3)),)


@exercise(
    draw=a_kernel,
    notice="Grey is 0, so one sees at once where a kernel wants ink (light) and where it wants none (dark).",
    hint="One factor for all weights, then add 0.5. Which factor brings the weight furthest from 0 to 0 or 1?",
    mistakes=[
        Mistake(
            lambda kernel: (kernel - kernel.min()) / (kernel.max() - kernel.min()),
            "All numbers fit, but 0 is another grey in each kernel. Let 0 always be 0.5.",
        ),
        Mistake(
            lambda kernel: kernel / kernel.abs().max(),
            "These numbers lie between -1 and 1, and a picture's between 0 and 1.",
        ),
        Mistake(
            lambda kernel: kernel / (2 * kernel.max()) + 0.5,
            "Where the largest weight is a negative one, it leaves the range: take the largest *absolute* weight.",
        ),
        Mistake(
            lambda kernel: kernel.abs() / kernel.abs().max(),
            "The signs are lost: wanting ink and wanting none look the same.",
        ),
    ],
)
def as_picture(kernel: Tensor) -> Tensor:
    """Return a kernel as a picture: numbers from 0 to 1, and 0 becomes 0.5. Shapes: (K, K) → (K, K)."""
    return kernel / (2 * kernel.abs().max()) + 0.5


def a_map(random: np.random.Generator) -> tuple[Tensor]:
    """Draw a feature map that is wider than high, all its numbers negative in some rounds."""
    values = inputs.normal(random, int(random.integers(4, 7)), int(random.integers(8, 12)))
    return (values - float(random.choice([0, 5])),)


@exercise(
    draw=a_map,
    notice="`argmax` counts through the rows one after the other; `divmod` undoes that.",
    hint="Find the place of the largest number, and say its row and its column.",
    mistakes=[
        Mistake(lambda values: values.argmax(), "One number: it counts through all rows. Turn it into row and column."),
        Mistake(
            lambda values: divmod(values.argmax().item(), values.shape[1])[::-1],
            "Row and column are exchanged.",
        ),
        Mistake(
            lambda values: divmod(values.argmax().item(), values.shape[0]),
            "A row is as long as there are *columns*: divide by the width.",
        ),
        Mistake(
            lambda values: divmod(values.abs().argmax().item(), values.shape[1]),
            "It takes the largest absolute number. A filter is excited where its answer is large and positive.",
        ),
        Mistake(
            lambda values: (values.amax(dim=1).argmax() + 1, values.amax(dim=0).argmax() + 1),
            "It counts from 1. Rows and columns are counted from 0.",
        ),
    ],
)
def strongest_place(values: Tensor) -> tuple[int, int]:
    """Return row and column of the largest number. Shapes: (H, W) → two whole numbers, from 0."""
    return divmod(values.argmax().item(), values.shape[1])


def network_and_filter(random: np.random.Generator) -> tuple[nn.Sequential, str, int, Tensor]:
    """Draw a network, a filter of one of its layers, and images."""
    layer, filters = (("conv1", 4), ("conv2", 6))[int(random.integers(2))]
    images, _ = inputs.float_digits(random, 6)
    return inputs.network(random).eval(), layer, int(random.integers(filters)), images


def with_silence(model: nn.Sequential, layer: str, index: int, images: Tensor) -> Tensor:
    """Return the logits while a filter is silent."""
    with inspection.silenced(model, layer, index), torch.no_grad():
        return model(images)


def without_weights(model: nn.Sequential, layer: str, index: int, images: Tensor, bias: bool = True) -> Tensor:
    """Set the weights of a filter to zero for good, with or without its bias."""
    with torch.no_grad():
        model.get_submodule(layer).weight[index] = 0
        if bias:
            model.get_submodule(layer).bias[index] = 0
        return model(images)


def kept_bias(model: nn.Sequential, layer: str, index: int, images: Tensor) -> Tensor:
    """Set the weights of a filter to zero for a while, but not its bias."""
    before = model.get_submodule(layer).weight.detach().clone()
    logits = without_weights(model, layer, index, images, bias=False)
    with torch.no_grad():
        model.get_submodule(layer).weight.copy_(before)
    return logits


def left_hook(model: nn.Sequential, layer: str, index: int, images: Tensor, silent: bool = True) -> Tensor:
    """Silence a filter by a hook and leave it there, still at work or not."""
    logits = with_silence(model, layer, index, images)

    def hook(_layer: nn.Module, _given: tuple, output: Tensor) -> Tensor:
        kept = torch.ones(output.shape[1])
        kept[index] = 0 if silent else 1
        return output * kept[:, None, None]

    model.get_submodule(layer).register_forward_hook(hook)
    return logits


def in_training(model: nn.Sequential, layer: str, index: int, images: Tensor) -> Tensor:
    """Silence a filter and leave the network in another mode."""
    logits = with_silence(model, layer, index, images)
    model.train()
    return logits


def logits_during_and_after(logits: object, model: nn.Sequential, *given: object) -> tuple:
    """Return the logits while the filter was silent, and what the network answers and how it stands afterwards."""
    hooked = any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    learns = all(parameter.requires_grad for parameter in model.parameters())
    return None if logits is None else (logits, model(given[-1]), model.training, hooked, learns)


@exercise(
    draw=network_and_filter,
    rounds=5,
    notice="Nothing of the network was changed, so the next filter can be tried at once.",
    hint="Set channel `index` of the layer's output to 0, for all images, and let the rest of the network go on.",
    measure=logits_during_and_after,
    mistakes=[
        Mistake(
            without_weights,
            "The logits are right, but afterwards the network still answers as if the filter were silent. "
            "Put back what you changed.",
        ),
        Mistake(
            left_hook,
            "The logits are right, but afterwards the network still answers as if the filter were silent. "
            "Your hook has to be removed.",
        ),
        Mistake(
            lambda *given: left_hook(*given, silent=False),
            "The logits are right, but a hook of yours is still registered. It has to be removed.",
        ),
        Mistake(
            in_training,
            "The logits are right, but the network is left in another mode.",
        ),
        Mistake(
            kept_bias,
            "The bias still speaks: without its weights a filter answers with its bias everywhere. Silence its output.",
        ),
        Mistake(
            lambda model, layer, index, images: model(images),
            "No filter is silent: these are the network's usual logits.",
        ),
    ],
)
def silenced_logits(model: nn.Sequential, layer: str, index: int, images: Tensor) -> Tensor:
    """Return the logits while one filter of a layer answers 0. Shapes: images (N, 1, 28, 28) float → (N, 10)."""
    return with_silence(model, layer, index, images)


def network_image_label(random: np.random.Generator) -> tuple[nn.Sequential, Tensor, int]:
    """Draw a network, an image on paper that is nowhere quite white, so that each pixel counts, and a class."""
    images, _ = inputs.float_digits(random, 1)
    stains = torch.from_numpy(random.uniform(0, 0.3, size=images.shape).astype(np.float32))
    return inputs.network(random).eval(), torch.maximum(images, stains), int(random.integers(10))


def gradient(
    model: nn.Sequential,
    image: Tensor,
    label: int,
    of: Callable[[Tensor, int], Tensor] = lambda logits, k: logits[0, k],
) -> Tensor:
    """Return how a number made of the logits changes with each pixel."""
    pixels = image.clone().requires_grad_()
    return torch.autograd.grad(of(model(pixels), label), pixels)[0][0, 0]


@exercise(
    draw=network_image_label,
    rounds=5,
    notice="Bright pixels are those that the network listens to, not those that are inked.",
    hint="Let the image require a gradient, and go back from the logit of the class.",
    mistakes=[
        Mistake(
            gradient,
            "The signs are still there. How strongly a pixel matters is the absolute value.",
        ),
        Mistake(
            lambda model, image, label: gradient(model, image, label, lambda logits, k: logits.softmax(1)[0, k]).abs(),
            "This is the gradient of the probability, which vanishes where the network is sure. Take the logit.",
        ),
        Mistake(
            lambda model, image, label: gradient(model, image, label, lambda logits, _k: logits.sum()).abs(),
            "This is the gradient of all ten logits together. Take that of the class.",
        ),
        Mistake(
            lambda model, image, label: gradient(model, image, label).abs() * image[0, 0],
            "It is multiplied with the image. Pixels without ink matter, too.",
        ),
    ],
)
def saliency(model: nn.Sequential, image: Tensor, label: int) -> Tensor:
    """Return how strongly each pixel changes the logit of a class. Shapes: image (1, 1, 28, 28) float → (28, 28)."""
    return gradient(model, image, label).abs()


def losses(
    model: nn.Sequential,
    image: Tensor,
    label: int,
    fill: float = 0.0,
    logits: bool = False,
    pile: bool = False,
    apart: int = 4,
) -> Tensor:
    """Cover each 4 × 4 square in turn and return what the class loses; the arguments put mistakes in."""
    covered = image.repeat(50, 1, 1, 1)  # the last one stays as it is
    for place in range(49):
        row, column = apart * (place // 7), apart * (place % 7)
        covered[place : 49 if pile else place + 1, :, row : row + 4, column : column + 4] = fill
    with torch.no_grad():
        scores = model(covered) if logits else model(covered).softmax(dim=1)
    return (scores[-1, label] - scores[:-1, label]).view(7, 7)


@exercise(
    draw=network_image_label,
    rounds=4,
    notice="Negative numbers are places that spoke against the class: without them it becomes more likely.",
    hint="For each of 7 × 7 squares: a copy of the image with it set to 0, and the probability before minus after.",
    mistakes=[
        Mistake(
            lambda model, image, label: -losses(model, image, label),
            "The sign is turned: asked for is what the class *loses*, before minus after.",
        ),
        Mistake(
            lambda model, image, label: losses(model, image, label, fill=1.0),
            "It covers with ink. The paper is 0.",
        ),
        Mistake(
            lambda model, image, label: losses(model, image, label, logits=True),
            "It compares logits. Asked for are probabilities.",
        ),
        Mistake(
            lambda model, image, label: losses(model, image, label, pile=True),
            "The covers pile up: begin each time with a fresh copy.",
        ),
        Mistake(
            lambda model, image, label: losses(model, image, label, apart=1),
            "The squares overlap: the next one begins four pixels further on.",
        ),
        Mistake(
            lambda model, image, label: losses(model, image, label).T,
            "Rows and columns are exchanged.",
        ),
    ],
)
def covering_losses(model: nn.Sequential, image: Tensor, label: int) -> Tensor:
    """Return how much probability a class loses if a 4 × 4 square is covered with paper, for each of the 7 × 7 squares.

    Shapes: image (1, 1, 28, 28) float → (7, 7).
    """
    return losses(model, image, label)


def points(random: np.random.Generator) -> tuple[Tensor, int, int]:
    """Draw embedded images, one of them, and how many neighbours are asked for."""
    embedded = inputs.normal(random, 40, 6) * torch.tensor([3.0, 1, 1, 1, 1, 1])
    return embedded * inputs.normal(random, 40, 1).exp(), int(random.integers(40)), int(random.integers(3, 6))


def by_distance(embedded: Tensor, one: int, distance: Tensor, count: int) -> Tensor:
    """Return the nearest others."""
    distance = distance.clone()
    distance[one] = torch.inf
    return distance.argsort()[:count]


@exercise(
    draw=points,
    notice="Images that lie close together here look alike to the network, whatever their pixels are.",
    hint="The distance of each to the chosen one, in order; the chosen one itself is no neighbour.",
    mistakes=[
        Mistake(
            lambda embedded, one, count: (embedded - embedded[one]).norm(dim=1).argsort()[:count],
            "The nearest one is the image itself, at distance 0. Leave it out.",
        ),
        Mistake(
            lambda embedded, one, count: (embedded - embedded[one]).norm(dim=1).argsort(descending=True)[:count],
            "These are the farthest.",
        ),
        Mistake(
            lambda embedded, one, count: by_distance(embedded, one, -(embedded @ embedded[one]), count),
            "The largest product with the chosen one favours what is far from the origin. Take the distance.",
        ),
        Mistake(
            lambda embedded, one, count: by_distance(embedded, one, (embedded - embedded[one]).abs().sum(dim=1), count),
            "It sums the absolute differences. The distance asked for is the root of the sum of their squares.",
        ),
        Mistake(
            lambda embedded, one, count: (
                (torch.cat([embedded[:one], embedded[one + 1 :]]) - embedded[one]).norm(dim=1).argsort()[:count]
            ),
            "Where the image itself is taken out of the row, all later ones move up by one.",
        ),
    ],
)
def neighbours(embedded: Tensor, one: int, count: int) -> Tensor:
    """Return the indices of the `count` others that lie nearest to one.

    Shapes: embedded (N, D) → (count,), nearest first.
    """
    return by_distance(embedded, one, (embedded - embedded[one]).norm(dim=1), count)


def network_layer_digits(random: np.random.Generator) -> tuple[nn.Sequential, str, Tensor, Tensor]:
    """Draw a network, one of its layers, and digits with labels by which one filter of the layer does harm."""
    model, layer, index, _ = network_and_filter(random)
    images, labels = inputs.float_digits(random, 120)
    with torch.no_grad():
        labels[20:] = model(images[20:]).argmax(dim=1)
        labels[20:90] = with_silence(model, layer, index, images[20:90]).argmax(dim=1)
    return model, layer, images, labels


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share of right answers."""
    return (logits.argmax(dim=1) == labels).float().mean()


def worth_of(model: nn.Sequential, layer: str, images: Tensor, labels: Tensor) -> Tensor:
    """Return what accuracy is lost without each filter."""
    before = accuracy(model(images), labels)
    filters = range(model.get_submodule(layer).out_channels)
    return torch.stack([before - accuracy(with_silence(model, layer, one, images), labels) for one in filters])


@exercise(
    draw=network_layer_digits,
    rounds=5,
    notice="The worths do not add up to the accuracy: filters stand in for each other.",
    hint="The accuracy with all filters, minus the accuracy with one of them silent, for each in turn.",
    mistakes=[
        Mistake(
            lambda model, layer, images, labels: -worth_of(model, layer, images, labels),
            "The sign is turned: a filter that helps has a positive worth.",
        ),
        Mistake(
            lambda model, layer, images, labels: (
                accuracy(model(images), labels) - worth_of(model, layer, images, labels)
            ),
            "These are the accuracies without each filter. Subtract them from the accuracy with all.",
        ),
        Mistake(
            lambda model, layer, images, labels: 100 * worth_of(model, layer, images, labels),
            "These are percentage points. An accuracy here is a share between 0 and 1.",
        ),
        Mistake(
            lambda model, layer, images, labels: len(labels) * worth_of(model, layer, images, labels),
            "These are counts. Divide by the number of images.",
        ),
        Mistake(
            lambda model, layer, images, labels: worth_of(model, layer, images, labels).abs(),
            "The sign is lost: without some filters the network reads better.",
        ),
        Mistake(
            lambda model, layer, images, labels: worth_of(model, layer, images, labels).clamp(min=0),
            "Negative worths are cut off: without some filters the network reads better.",
        ),
    ],
)
def worth(model: nn.Sequential, layer: str, images: Tensor, labels: Tensor) -> Tensor:
    """Return the accuracy (0 … 1) that is lost when each filter of a layer, alone, is silent. Shapes: → (filters,)."""
    return worth_of(model, layer, images, labels)
