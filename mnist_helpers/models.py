"""The networks by name: built, checked, counted, summarised. What they are made of is in `architectures`.

How a network is trained is in `recipes` and `training`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from mnist_helpers.architectures import (
    accurate,
    dense,
    fast,
    keras_dropout,
    keras_tuned,
    lenet5,
    linear,
    quick,
    resnet,
    small,
    ten_twenty,
    three_conv,
    two_conv,
    vgg,
)
from mnist_helpers.errors import CourseError, UsageError

ARCHITECTURES: dict[str, Callable[..., nn.Sequential]] = {
    "linear": linear,
    "dense": dense,
    "lenet-5": lenet5,
    "two-conv": two_conv,
    "three-conv": three_conv,
    "keras-dropout": keras_dropout,
    "ten-twenty": ten_twenty,
    "keras-tuned": keras_tuned,
    "small": small,
    "fast": fast,
    "quick": quick,
    "vgg": vgg,
    "accurate": accurate,
    "resnet": resnet,
}


def build_model(architecture: str, dropout: float = 0.0) -> nn.Sequential:
    """Build a network by name with fresh random weights.

    Raises: UsageError for a name that is not in the registry.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"architecture={architecture!r} is not known. Use one of: {', '.join(ARCHITECTURES)}.")
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


def device_of(model: nn.Module) -> torch.device:
    """Return the device that a network, or a part of one, is on."""
    return next((tensor.device for tensor in [*model.parameters(), *model.buffers()]), torch.device("cpu"))


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


@contextmanager
def mode_kept(model: nn.Module) -> Iterator[None]:
    """Put every part of a network back into the train or eval mode that it was in, when the block is over."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, training in modes.items():
            if module.training != training:  # to set it takes far longer than to look
                module.training = training


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Have a network in evaluation mode while the block runs: no dropout, and batch normalisation learns nothing."""
    with mode_kept(model):
        if any(module.training for module in model.modules()):
            model.eval()
        yield


@torch.no_grad()
def summarise(model: nn.Sequential) -> list[LayerSummary]:
    """Follow one blank image through the layers of a network, in evaluation mode, and note what each makes of it."""
    rows = []
    values = torch.zeros(1, 1, 28, 28, device=device_of(model))
    with evaluating(model):
        for name, layer in model.named_children():
            values = layer(values)
            rows.append(LayerSummary(name, type(layer).__name__, tuple(values.shape[1:]), count_parameters(layer)))
    return rows
