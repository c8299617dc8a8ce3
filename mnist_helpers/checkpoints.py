"""Trained networks on disk: written whole or not at all, read without running anything that a stranger wrote.

A trained network is one file, `model.safetensors`: the weights, and in its header the card that says where they come
from. `card.json` beside it repeats the card for people. `resume/` holds what an interrupted training needs.
"""

import hashlib
import json
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mnist_helpers.errors import CourseError
from mnist_helpers.models import build_model
from mnist_helpers.runtime import artifacts_folder, artifacts_folders, check_folder, is_named_pipe, shipped, whole_file

MODEL_FILE = "model.safetensors"
DIGEST = "sha256 of the weights"  # in the state that goes with them
SHIPPED = shipped("pretrained/mnist/handwriting")  # what reads pictures, if nothing else is named
DRAWINGS = shipped("pretrained/mnist/drawings")  # what reads in a browser, on the site and in the app
NUMBERS = shipped("pretrained/numbers")  # what reads whole numbers, and digits that touch


class CheckpointError(CourseError):
    """A checkpoint is missing, damaged, of another network, or cannot be written."""


@dataclass(frozen=True)
class Card:
    """Where a trained network comes from; `epochs` are those that were done when it was written."""

    architecture: str
    recipe: str
    dataset: str
    classes: list[str]
    seed: int
    epochs: int
    best_epoch: int
    train_images: int
    val_loss: float
    val_accuracy: float
    dropout: float
    torch_version: str


def model_folder(dataset: str, recipe: str) -> Path:
    """Return the folder under the artifacts where training with this dataset and recipe leaves its network."""
    return artifacts_folder() / dataset / recipe


def find_model(dataset: str = "mnist", recipe: str = "walkthrough") -> Path:
    """Return the folder of a trained network: your own from `artifacts/` if there is one, else the shipped one.

    Raises: CheckpointError if there is neither.
    """
    for folder in (place / dataset / recipe for place in [*artifacts_folders(), shipped("pretrained")]):
        if (folder / MODEL_FILE).is_file():
            return folder
    raise CheckpointError(
        f"There is no trained network for dataset={dataset!r} and recipe={recipe!r} in artifacts/ or pretrained/. "
        f"Run notebook 03 with these two parameters first; it trains one."
    )


def newest_model() -> Path | None:
    """Return the folder of the network that the reader has trained last, or None if there is none in `artifacts/`."""
    files = [file for place in artifacts_folders() for file in place.glob(f"*/*/{MODEL_FILE}")]
    return max(files, key=lambda file: file.stat().st_mtime).parent if files else None


def save_model(folder: Path, model: nn.Module, card: Card) -> None:
    """Write a network and its card.

    Raises: CheckpointError if the folder cannot be written; an older checkpoint there stays as it was.
    """
    facts = json.dumps(asdict(card), indent=2) + "\n"
    with _writing(folder):
        with whole_file(folder / MODEL_FILE) as path:
            save_file(_contiguous(model.state_dict()), path, metadata={"card": facts})
        with whole_file(folder / "card.json") as path:
            path.write_text(facts, encoding="utf-8")


def load_model(folder: Path, device: torch.device | str = "cpu") -> tuple[nn.Sequential, Card]:
    """Read a network and its card; the network is in evaluation mode.

    Raises: CheckpointError if the file is missing, damaged, not safetensors, or of another network than it says.
    """
    weights, card, path = read_checkpoint(folder)
    try:
        model = build_model(card.architecture, card.dropout)
    except (CourseError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} names a network that cannot be built: {error}") from error
    load_weights(model, weights, path)
    check_logits(model.eval(), card, path)
    return model.to(device), card


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], Card, Path]:
    """Read the weights of a network, the card that says what they are, and return both with the file's path.

    Raises: CheckpointError if the file is missing, damaged, or has no card.
    """
    path = Path(folder) if Path(folder).name == MODEL_FILE else Path(folder) / MODEL_FILE
    with _reading(path):
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        weights = load_file(path)
    try:
        return weights, _card(metadata["card"]), path
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} holds weights but no card that says what they are ({error}). Only files that this project wrote "
            "can be loaded; train the network again."
        ) from error


def check_logits(model: nn.Module, card: Card, path: Path) -> None:
    """See that a network gives a finite logit for each class of its card.

    Raises: CheckpointError.
    """
    with torch.inference_mode():
        logits = model(torch.zeros(1, 1, 28, 28))
    if logits.shape[1] != len(card.classes):
        raise CheckpointError(f"The network in {path} gives {logits.shape[1]} logits for {len(card.classes)} classes.")
    if not logits.isfinite().all():
        raise CheckpointError(f"The network in {path} gives logits that are not finite. Train it again.")


def _card(text: str) -> Card:
    facts = json.loads(text)
    kinds = get_type_hints(Card)  # types, also where annotations are kept as text
    for name, kind in kinds.items():
        if not _is_a(facts[name], kind):
            raise TypeError(f"{name} is {str(facts[name])[:40]!r}")
    return Card(**{name: facts[name] for name in kinds})


def _is_a(value: object, kind: type) -> bool:
    if kind == list[str]:
        return isinstance(value, list) and all(_is_a(name, str) for name in value)
    if kind is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max  # NaN is not
    return type(value) is kind and (kind is not str or value.isprintable())  # it may be shown in a terminal


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Put weights into a network, or say in one line why they do not fit.

    Raises: CheckpointError naming the first difference.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            raise CheckpointError(
                f"{path} belongs to another network: {name} is {found.get(name, 'missing')} in the file and "
                f"{expected.get(name, 'missing')} in the network. Choose the recipe it was trained with."
            )
        if weights[name].is_complex() or not weights[name].isfinite().all():
            raise CheckpointError(
                f"{path} is damaged: {name} holds values that are not finite numbers. Train it again."
            )
    model.load_state_dict(weights)


def save_training_state(folder: Path, epoch: int, weights: dict[str, dict[str, Tensor]], state: dict) -> None:
    """Write all that is needed to go on after `epoch`, then remove what earlier epochs left.

    `weights` are named sets of tensors ("last", "best"); `state` holds numbers, strings and tensors only. The two files
    carry the epoch in their names, and the second the first one's SHA-256, so they can never be of different epochs or
    trainings.
    """
    resume = folder / "resume"
    tensors = {f"{which}/{name}": tensor for which, group in weights.items() for name, tensor in group.items()}
    with _writing(resume):
        with whole_file(resume / f"epoch-{epoch:03}.safetensors") as path:
            save_file(_contiguous(tensors), path)
            digest = _digest(path)
        with whole_file(resume / f"epoch-{epoch:03}.pt") as path:
            torch.save({**state, DIGEST: digest}, path)
        for old in resume.glob("epoch-*"):
            if old.stem != f"epoch-{epoch:03}":
                old.unlink(missing_ok=True)


def load_training_state(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict] | None:
    """Read the newest training state, or return None where there is none.

    Raises: CheckpointError if the files are damaged, of two trainings, or hold more than numbers, strings and tensors.
    """
    whole = [path for path in (folder / "resume").glob("epoch-[0-9]*.pt") if path.with_suffix(".safetensors").is_file()]
    if not whole:
        return None
    newest = max(whole, key=lambda path: int(path.stem.removeprefix("epoch-")))
    with _reading(newest.with_suffix(".safetensors")):
        tensors, digest = load_file(newest.with_suffix(".safetensors")), _digest(newest.with_suffix(".safetensors"))
    with _reading(newest):
        state = torch.load(newest, weights_only=True, map_location="cpu")
        found = state.pop(DIGEST, digest) if isinstance(state, dict) else digest  # older versions wrote none
    if found != digest:
        raise CheckpointError(
            f"{newest} and the .safetensors file beside it belong to two different training runs. Put the right one "
            "back, or start anew without --resume (resume=False)."
        )
    weights: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        which, _, name = key.partition("/")
        weights.setdefault(which, {})[name] = tensor
    return weights, state


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_training_state(folder: Path) -> None:
    """Forget an earlier, interrupted training in this folder.

    Raises: CheckpointError if the folder cannot be written, before any work is done.
    """
    resume = folder / "resume"
    with _writing(resume):
        check_folder(resume)
        for old in resume.glob("epoch-*"):
            old.unlink(missing_ok=True)


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    # safetensors writes plain row-major memory; channels_last weights are copied into it.
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:  # torch.save meets a full disk with a RuntimeError
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise CheckpointError(
            f"{folder} cannot be written ({reason}). Free some space or choose another folder: the variable "
            "MNIST_ARTIFACTS names the one that training writes to. What was saved there before is untouched."
        ) from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    if is_named_pipe(path):
        raise CheckpointError(f"{path} is a pipe, not a checkpoint. Name another folder.")
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist. Train a network first, or name another folder.") from error
    except PermissionError as error:
        raise CheckpointError(
            f"{path} cannot be read with your permissions. Change its permissions, or name another folder."
        ) from error
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        lines = str(error).strip().splitlines()
        reason = lines[0][:200] if lines else type(error).__name__
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint ({reason}); nothing in it was run. Remove it and train again."
        ) from error
