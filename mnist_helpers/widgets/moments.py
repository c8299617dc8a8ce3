"""A network at many moments of its training, small enough for a page: 8 bits a weight, and only what changes."""

import copy
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from mnist_helpers.data import LabelledImages
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import evaluate
from mnist_helpers.exporting import for_answers
from mnist_helpers.runtime import whole_file

LEVELS = 127  # on each side of zero
ROWS = ("steps", "accuracy", "loss", "scales", "weights", "gradients", "changes")  # of a file, beside `packed`


class Snapshots:
    """Keeps a network's weights now and then while it is trained, closer together at the beginning.

    `fit` calls `step` after each step, or what `then` returns. `moments` are the steps kept, 0 for the weights before
    the first, and `networks` the network as it was then. Of the first convolution it is also kept what the batch of a
    step said (`gradients`) and what the step did to the weights (`changes`), of each (weights,), zero before the first.
    """

    def __init__(self, model: nn.Sequential, steps: int, epochs: int = 1, count: int = 30) -> None:
        """Keep about `count` moments of a training of so many steps, the one before it, and the end of each epoch."""
        self.model, self.done = model, 0
        growth = steps ** (1 / max(count - 2, 1))
        self.wanted = {round(growth**power) for power in range(count - 1)}
        self.wanted |= {steps * epoch // epochs for epoch in range(1, epochs + 1)}
        self.before = followed(model).detach().clone()
        self.moments, self.networks = [0], [copy.deepcopy(model).cpu()]
        self.gradients, self.changes = ([torch.zeros(self.before.numel())] for _ in range(2))

    def then(self, other: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """Return a function for `fit` that keeps what is to be kept, and then calls another."""

        def on_step(step: int, steps: int) -> None:
            self.step()
            other(step, steps)

        return on_step

    def step(self, *_numbers: int) -> None:
        """Count a step, and keep the weights if it is one of the moments."""
        self.done += 1
        weight = followed(self.model)
        if self.done in self.wanted:
            self.moments.append(self.done)
            self.networks.append(copy.deepcopy(self.model).cpu())
            gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
            for row, numbers in ((self.gradients, gradient), (self.changes, weight - self.before)):
                row.append(numbers.detach().cpu().flatten().clone())
        if self.done + 1 in self.wanted:
            self.before = weight.detach().clone()

    def until(self, model: nn.Sequential) -> "Snapshots":
        """Return the moments up to the last at which the network was what `model` is now; all of them if it never was.

        A training may go on for some epochs after its best; `fit` goes back to that, and so does a page.
        """
        own = [tensor.cpu() for tensor in model.state_dict().values()]
        same = [at for at, one in enumerate(self.networks) if all(map(torch.equal, one.state_dict().values(), own))]
        cut = copy.copy(self)
        for name in ("moments", "networks", "gradients", "changes"):
            setattr(cut, name, getattr(self, name)[: same[-1] + 1 if same else None])
        return cut


def followed(model: nn.Module) -> Tensor:
    """Return the weights of a network that can be followed, those of its first convolution; none where it has none."""
    first = next((layer for layer in model.modules() if isinstance(layer, nn.Conv2d)), None)
    return torch.zeros(0) if first is None else first.weight


@dataclass(frozen=True)
class Moments:
    """The moments of a training: how far it was, how good the network was, and its weights.

    Shapes: steps (M,) int64, accuracy and loss (M,) float64; scales (T,) float32, one for each tensor of weights, the
    same at all moments; packed: bytes, compressed by zlib: for each tensor and moment its weights as multiples (int8)
    of the tensor's scale, less those of the moment before, modulo 256; weights, gradients and changes (M, W) float32:
    of the weights that can be followed, with all their digits; W = 0 where the page has others.
    """

    steps: np.ndarray
    accuracy: np.ndarray
    loss: np.ndarray
    scales: np.ndarray
    weights: np.ndarray
    gradients: np.ndarray
    changes: np.ndarray
    packed: bytes

    def described(self) -> list[dict]:
        """Return step, accuracy and loss of each moment."""
        rows = zip(self.steps.tolist(), self.accuracy.tolist(), self.loss.tolist(), strict=True)
        return [{"step": step, "accuracy": accuracy, "loss": loss} for step, accuracy, loss in rows]

    def followed(self) -> bytes:
        """Return weights, gradients and changes as the page reads them: float32, little-endian, moment after moment."""
        return np.stack([self.weights, self.gradients, self.changes]).astype("<f4").tobytes()

    def save(self, path: Path) -> None:
        """Write the moments into a file."""
        rows = {name: getattr(self, name) for name in ROWS}
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **rows, packed=np.frombuffer(self.packed, np.uint8))


def read_moments(path: Path) -> Moments:
    """Read what `Moments.save` wrote.

    Raises: CourseError if it is something else, or cut off.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            rows = {name: found[name] for name in (*ROWS, "packed")}
        packed = rows.pop("packed").tobytes()
        zlib.decompress(packed)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise CourseError(f"{path} holds no moments of a training ({error}). `make pretrained` writes them.") from error
    return Moments(**rows, packed=packed)


def pack(kept: Snapshots, labelled: LabelledImages) -> Moments:
    """Pack what was kept of a training, and score each packed network on labelled images.

    Raises: CourseError for a network with layers that the page does not know.
    """
    used = [for_answers(network) for network in kept.networks]
    weights = [followed(network).detach().flatten() for network in kept.networks]
    # Batch normalisation made part of a convolution leaves other weights than those that were trained.
    own = torch.equal(followed(used[-1]).flatten(), weights[-1])
    scales, levels = _levels(used)
    for at, network in enumerate(used):  # scored is what the page computes with
        for parameter, tensor, scale in zip(network.parameters(), levels, scales, strict=True):
            parameter.data = torch.from_numpy(tensor[at] * scale).reshape(parameter.shape)
    scores = [evaluate(network, labelled) for network in used]
    return Moments(
        np.array(kept.moments),
        np.array([score.accuracy for score in scores]),
        np.array([score.loss for score in scores]),
        scales,
        *(torch.stack(rows).numpy()[:, : None if own else 0] for rows in (weights, kept.gradients, kept.changes)),
        zlib.compress(b"".join(np.diff(one, axis=0, prepend=0).astype(np.int8).tobytes() for one in levels), 9),
    )


def _levels(networks: Sequence[nn.Sequential]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a scale for each tensor, and its weights at all moments as multiples of it, (M, numbers) int16."""
    tensors = [
        np.stack([tensor.detach().numpy().ravel() for tensor in same])
        for same in zip(*(network.parameters() for network in networks), strict=True)
    ]
    scales = np.array([max(np.abs(tensor).max(), 1e-12) / LEVELS for tensor in tensors], np.float32)
    return scales, [np.rint(one / scale).astype(np.int16) for one, scale in zip(tensors, scales, strict=True)]
