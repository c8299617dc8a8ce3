"""Images of your own, to train on: a folder of pictures for each class, and NumPy's files, such as Keras's `mnist.npz`.

Tables (CSV) are read by `tables`.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mnist_helpers.data import LabelledImages
from mnist_helpers.datasets import DataError, class_names
from mnist_helpers.reading.pictures import PictureError, open_picture
from mnist_helpers.reading.preprocessing import read_digit
from mnist_helpers.reading.tables import OTHER_FORMS
from mnist_helpers.runtime import is_named_pipe

LARGEST = 10**9  # bytes of an array; MNIST's as 64-bit numbers takes less than half
LITTER = ("Thumbs.db", "desktop.ini")  # what systems leave in folders; hidden files are left out, too


def load_folder(folder: Path, dataset: str = "mnist") -> LabelledImages:
    """Read a folder that holds a folder of pictures for each class, called 0 to 9 or by the name of its class.

    A picture of 28 × 28 pixels is taken as it is, but bright on dark, as MNIST's are; every other goes through the
    steps that `predict` takes.

    Raises: DataError naming the folder, or the first pictures that no digit can be read from.
    """
    classes = class_names(dataset)
    labels_by_name = {name.lower(): label for label, name in enumerate(classes)} | {str(n): n for n in range(10)}
    try:
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}). Name a folder that holds folders 0 to 9."
        ) from error
    folders = [path for path in inside if path.is_dir()]
    if not folders or any(path.name.lower() not in labels_by_name for path in folders):
        shown = ", ".join(path.name for path in (folders or inside)[:4]) or "nothing"
        raise DataError(f"{folder} should hold a folder of pictures for each class, 0 to 9, but holds {shown}.")
    images, labels, failures = [], [], []
    for place in folders:
        for path in sorted(place.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(place).parts)
            if path.is_file() and path.name not in LITTER and not hidden:
                try:
                    images.append(_picture(path))
                    labels.append(labels_by_name[place.name.lower()])
                except PictureError as error:
                    failures.append(error if str(path) in str(error) else f"{path}: {error}")
    if failures:
        raise DataError(
            f"{len(failures)} of {len(failures) + len(images)} files in {folder} cannot be trained on. Mend or remove "
            f"them. The first: {failures[0]}"
        )
    if not images:
        raise DataError(f"There are no pictures in the folders of {folder}.")
    return LabelledImages(torch.stack(images), torch.tensor(labels), classes, dataset)


def _picture(path: Path) -> Tensor:
    picture = open_picture(path)
    if picture.size != (28, 28):
        return read_digit(picture).digit
    pixels = torch.from_numpy(np.array(picture))
    border = torch.cat([pixels[[0, -1]].flatten(), pixels[:, [0, -1]].flatten()])
    return (255 - pixels if border.median() > 127 else pixels)[None]


def load_npz(path: Path, dataset: str = "mnist") -> tuple[LabelledImages, LabelledImages | None]:
    """Read x_train and y_train of a NumPy file such as Keras's `mnist.npz`, and x_test and y_test, if it has them.

    Raises: DataError naming what is missing or has another form. Python objects in it are not unpacked.
    """
    if is_named_pipe(path):
        raise DataError(f"{path} is a pipe, which other programs write to. Name a file.")
    try:
        with path.open("rb") as opened:
            start = opened.read(8)
        if not start.startswith(b"PK"):
            forms = (said for form, said in OTHER_FORMS.items() if start.startswith(form))
            raise DataError(f"{path} is {next(forms, 'no .npz file of NumPy. --train-csv reads tables')}.")
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            _refuse_bombs(path, file.zip.infolist())
            if "x_train" not in file or "y_train" not in file:
                raise DataError(
                    f"{path} holds {', '.join(file.files[:4])}; x_train and y_train are wanted, and x_test and y_test "
                    "are scored. numpy.savez(…, x_train=…, y_train=…) writes them."
                )
            parts = [part for part in ("train", "test") if f"x_{part}" in file and f"y_{part}" in file]
            read = [_checked(path, part, file[f"x_{part}"], file[f"y_{part}"]) for part in parts]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    except (EOFError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        objects = (
            "it holds Python objects, which could run code and are not unpacked" if "pickle" in str(error) else error
        )
        raise DataError(f"{path} is no whole .npz file of plain numbers ({objects}).") from error
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}). Get it again.") from error
    found = [LabelledImages(*arrays, class_names(dataset), dataset) for arrays in read]
    return found[0], found[1] if len(found) > 1 else None


def _refuse_bombs(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse what would unpack to more than a set of digits can need, before it is unpacked."""
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{path} is packed in another way than NumPy packs. Write it with numpy.savez_compressed.")
        if member.file_size > LARGEST:
            size = f"{member.file_size / 10**9:.1f} GB"
            raise DataError(f"{member.filename} in {path} would take {size}; a set of digits takes less than 1 GB.")


def _checked(path: Path, part: str, images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    count = len(images) if images.ndim else 0
    if not count or tuple(side for side in images.shape[1:] if side != 1) not in ((28, 28), (784,)):
        raise DataError(f"x_{part} in {path} has the shape {images.shape}; N × 28 × 28 is wanted.")
    if labels.size != count:
        raise DataError(
            f"y_{part} in {path} has the shape {labels.shape}; a number for each of {count} images is wanted."
        )
    for name, array, highest in (("x", images, 255), ("y", labels, 9)):
        if array.dtype.kind not in "iub" or array.min() < 0 or array.max() > highest:
            raise DataError(
                f"{name}_{part} in {path} holds {array.dtype} from {array.min():g} to {array.max():g}; whole "
                f"numbers from 0 to {highest} are wanted, fractions multiplied by 255 and rounded."
            )
    pixels = torch.from_numpy(np.ascontiguousarray(images.reshape(-1, 1, 28, 28), dtype=np.uint8))
    return pixels, torch.from_numpy(labels.reshape(-1).astype(np.int64))
