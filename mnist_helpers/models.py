"""The networks, and the register that finds them by name.

A network takes float images in [0, 1] and gives logits. It standardises its input itself, so its weights can never be
used with another scaling than the one they were trained with. How it is trained is in `recipes` and `training`.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mnist_helpers.runtime import CourseError

# Mean and standard deviation of MNIST's training images in [0, 1]; notebook 01 computes them.
MNIST_MEAN, MNIST_STD = 0.1307, 0.3081


class Standardise(nn.Module):
    """Shift and scale images so that MNIST has mean 0 and standard deviation 1.

    The two numbers are buffers, not parameters: they are saved with the weights and never trained.
    """

    def __init__(self, mean: float = MNIST_MEAN, std: float = MNIST_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        """Standardise float images of any shape.

        Raises: TypeError for whole numbers, which would come out 255 times too large.
        """
        if not images.is_floating_point():
            raise TypeError(
                f"The network wants float images in [0, 1] but got {images.dtype}. Pass them through to_float first."
            )
        return (images - self.mean) / self.std


def linear(dropout: float = 0.0) -> nn.Sequential:
    """One dense layer on the raw pixels: the smallest network there is."""
    return _network(flatten=nn.Flatten(), dropout=nn.Dropout(dropout), dense=nn.Linear(784, 10))


def dense(dropout: float = 0.0) -> nn.Sequential:
    """Two dense layers with as many parameters, roughly, as `two_conv`, and no convolution."""
    return _network(
        flatten=nn.Flatten(),
        dense1=nn.Linear(784, 154),
        relu1=nn.ReLU(),
        dropout=nn.Dropout(dropout),
        dense2=nn.Linear(154, 10),
    )


def lenet5(dropout: float = 0.0) -> nn.Sequential:
    """LeNet-5 with today's parts: ReLU and max-pooling in place of tanh and trained averages.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition" (1998).
    """
    return _network(
        conv1=nn.Conv2d(1, 6, 5, padding=2),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        dense1=nn.Linear(400, 120),
        relu3=nn.ReLU(),
        dense2=nn.Linear(120, 84),
        relu4=nn.ReLU(),
        dropout=nn.Dropout(dropout),
        dense3=nn.Linear(84, 10),
    )


def two_conv(dropout: float = 0.0) -> nn.Sequential:
    """The network of the walkthrough: two convolutions with pooling, two dense layers, 121,930 parameters."""
    return _network(
        conv1=nn.Conv2d(1, 32, 3),  # (B, 32, 26, 26)
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),  # (B, 32, 13, 13)
        conv2=nn.Conv2d(32, 64, 3),  # (B, 64, 11, 11)
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),  # (B, 64, 5, 5)
        flatten=nn.Flatten(),  # (B, 1600)
        dropout=nn.Dropout(dropout),
        dense1=nn.Linear(1600, 64),
        relu3=nn.ReLU(),
        dense2=nn.Linear(64, 10),
    )


def _network(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(standardise=Standardise(), **layers)).to(memory_format=torch.channels_last)


ARCHITECTURES: dict[str, Callable[..., nn.Sequential]] = {
    "linear": linear,
    "dense": dense,
    "lenet-5": lenet5,
    "two-conv": two_conv,
}


def build_model(architecture: str, dropout: float = 0.0) -> nn.Sequential:
    """Build a network by name with fresh random weights.

    Raises: CourseError for a name that is not in the register.
    """
    if architecture not in ARCHITECTURES:
        raise CourseError(f"architecture={architecture!r} is not known. Use one of: {', '.join(ARCHITECTURES)}.")
    return ARCHITECTURES[architecture](dropout=dropout)


def check_architecture(model: nn.Module, architecture: str) -> None:
    """Make sure that a network is of the architecture that its recipe names.

    Raises: CourseError if its weights have other names or shapes.
    """
    with torch.random.fork_rng(devices=[]):  # building one to compare with must not change what comes next
        expected = build_model(architecture).state_dict()
    if {n: t.shape for n, t in model.state_dict().items()} != {n: t.shape for n, t in expected.items()}:
        raise CourseError(
            f"The recipe is for the network {architecture!r}, and this network has other weights. "
            f"Build it with build_model({architecture!r})."
        )


def count_parameters(model: nn.Module) -> int:
    """Count the numbers that training can change."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@dataclass(frozen=True)
class LayerSummary:
    """One layer of a network: its name, its kind, the shape it gives for one image, and its parameters."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int


@torch.no_grad()
def summarise(model: nn.Sequential) -> list[LayerSummary]:
    """Follow one blank image through the layers of a network and note what each makes of it."""
    rows = []
    values = torch.zeros(1, 1, 28, 28, device=next(model.parameters()).device)
    for name, layer in model.named_children():
        values = layer(values)
        rows.append(LayerSummary(name, type(layer).__name__, tuple(values.shape[1:]), count_parameters(layer)))
    return rows
