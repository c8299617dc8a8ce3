"""A network at many moments of its training, small enough for a page: 8 bits a weight, and only what changes."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import nn

from mnist_helpers.data import LabelledImages
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import evaluate
from mnist_helpers.exporting import for_answers
from mnist_helpers.runtime import whole_file

LEVELS = 127  # on each side of zero


@dataclass(frozen=True)
class Moments:
    """The moments of a training: how far it was, how good the network was, and its weights.

    Shapes: steps (M,) int64, accuracy and loss (M,) float64; scales (T,) float32, one for each tensor of weights, the
    same at all moments; packed: bytes, compressed by zlib: for each tensor and moment its weights as multiples (int8)
    of the tensor's scale, less those of the moment before, modulo 256.
    """

    steps: np.ndarray
    accuracy: np.ndarray
    loss: np.ndarray
    scales: np.ndarray
    packed: bytes

    def described(self) -> list[dict]:
        """Return step, accuracy and loss of each moment."""
        rows = zip(self.steps.tolist(), self.accuracy.tolist(), self.loss.tolist(), strict=True)
        return [{"step": step, "accuracy": accuracy, "loss": loss} for step, accuracy, loss in rows]

    def save(self, path: Path) -> None:
        """Write the moments into a file."""
        rows = {"steps": self.steps, "accuracy": self.accuracy, "loss": self.loss, "scales": self.scales}
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **rows, packed=np.frombuffer(self.packed, np.uint8))


def read_moments(path: Path) -> Moments:
    """Read what `Moments.save` wrote.

    Raises: CourseError if it is something else, or cut off.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            rows = {name: found[name] for name in ("steps", "accuracy", "loss", "scales", "packed")}
        packed = rows.pop("packed").tobytes()
        zlib.decompress(packed)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise CourseError(f"{path} holds no moments of a training ({error}). `make pretrained` writes them.") from error
    return Moments(**rows, packed=packed)


def pack(steps: Sequence[int], networks: Sequence[nn.Sequential], labelled: LabelledImages) -> Moments:
    """Pack a network as it was at some steps of its training, and score each packed one on labelled images.

    Raises: CourseError for a network with layers that the page does not know.
    """
    used = [for_answers(network) for network in networks]
    scales, levels = _levels(used)
    for at, network in enumerate(used):  # scored is what the page computes with
        for parameter, tensor, scale in zip(network.parameters(), levels, scales, strict=True):
            parameter.data = torch.from_numpy(tensor[at] * scale).reshape(parameter.shape)
    scores = [evaluate(network, labelled) for network in used]
    changes = [np.diff(tensor, axis=0, prepend=0).astype(np.int8).tobytes() for tensor in levels]  # modulo 256
    return Moments(
        np.array(steps),
        np.array([score.accuracy for score in scores]),
        np.array([score.loss for score in scores]),
        scales,
        zlib.compress(b"".join(changes), 9),
    )


def _levels(networks: Sequence[nn.Sequential]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a scale for each tensor, and its weights at all moments as multiples of it, (M, numbers) int16."""
    tensors = [
        np.stack([tensor.detach().numpy().ravel() for tensor in same])
        for same in zip(*(network.parameters() for network in networks), strict=True)
    ]
    scales = np.array([max(np.abs(tensor).max(), 1e-12) / LEVELS for tensor in tensors], np.float32)
    return scales, [np.rint(one / scale).astype(np.int16) for one, scale in zip(tensors, scales, strict=True)]
