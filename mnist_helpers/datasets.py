"""The files of MNIST and its relatives: found, checked, unpacked, and only then read.

torchvision trusts what lies in its folder. Here packed files, and the unpacked ones of MNIST and Fashion-MNIST, are
checked against their MD5 first, unpacking never touches a file that is in use, and a network that is down gives a
sentence. A file may be packed or not, and have a dot in its name, as copies on the web do. torchvision downloads, and
reads what has no MD5 here; it is imported only then, because that takes seconds. Splits and batches are in `data`.
"""

import gzip
import hashlib
import shutil
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from mnist_helpers.errors import CourseError, UsageError
from mnist_helpers.runtime import INSTALLED, ROOT, cache_folder, held_folder, shipped, whole_file

NETWORK_TIMEOUT_S = 20
DIGITS = tuple("0123456789")
# MD5 of the unpacked files: torchvision knows only those of the packed ones, and Debian packs them anew.
UNPACKED = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}
_IDX = ("images-idx3", "labels-idx1")
# name -> (torchvision's class, its arguments for the training part, and for the test part)
DATASETS = {
    "mnist": ("MNIST", {"train": True}, {"train": False}),
    "fashion_mnist": ("FashionMNIST", {"train": True}, {"train": False}),
    "kmnist": ("KMNIST", {"train": True}, {"train": False}),
    "qmnist": ("QMNIST", {"what": "train"}, {"what": "test"}),
    "emnist_digits": ("EMNIST", {"split": "digits", "train": True}, {"split": "digits", "train": False}),
}
# Debian's package dataset-fashion-mnist puts its four files here.
SYSTEM_FOLDERS = {"fashion_mnist": Path("/usr/share/datasets/fashion-mnist")}


class DataError(CourseError):
    """A data file is missing, damaged, or could not be fetched or unpacked."""


def class_names(dataset: str) -> tuple[str, ...]:
    """Return the ten class names of a dataset: the digits, or what the dataset calls its own classes."""
    kind, _, _ = _lookup(dataset)
    return tuple(_torchvision(kind).classes) if dataset in ("fashion_mnist", "kmnist") else DIGITS


def read_images(dataset: str, train: bool, data: Path | None = None) -> tuple[Tensor, Tensor]:
    """Read the training or the test part of a dataset, as published.

    `data` is the folder to look in first (default: the repository's `data/`), then come the system's, what is in the
    installed package, and the user's cache folder, then the network.

    Shapes: images (N, 1, 28, 28) uint8, labels (N,) int64.
    Raises: DataError, naming the file and the remedy.
    """
    kind, train_arguments, test_arguments = _lookup(dataset)
    root = dataset_root(dataset, data)
    if dataset in UNPACKED:  # their MD5 was right, so they have the form that they should have
        raw, part = root / kind / "raw", "train" if train else "t10k"
        images, labels = (read_idx(raw / f"{part}-{what}-ubyte") for what in _IDX)
        return images.unsqueeze(1), labels.long()
    arguments = train_arguments if train else test_arguments
    try:
        read = _torchvision(kind)(root, **arguments)
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise DataError(
            f"{dataset} in {root / kind} could not be read ({error}). Remove its unpacked files and try again."
        ) from error
    labels = read.targets[:, 0] if dataset == "qmnist" else read.targets
    # EMNIST's files hold each image transposed, as its authors wrote them.
    images = read.data.transpose(1, 2) if dataset == "emnist_digits" else read.data
    return images.unsqueeze(1).contiguous(), labels.to(torch.int64)


def read_idx(path: Path) -> Tensor:
    """Read a whole IDX file of bytes (LeCun): two zeros, the type, the number of dimensions, their sizes, the values.

    Shapes: as the file says, uint8.
    """
    content = np.fromfile(path, np.uint8)
    values_begin = 4 + 4 * int(content[3])
    sizes = content[4:values_begin].view(">u4").tolist()
    return torch.from_numpy(content[values_begin:]).reshape(sizes)


def dataset_root(dataset: str, data: Path | None = None) -> Path:
    """Return a folder that torchvision can read the unpacked dataset from, after making it if need be.

    Raises: DataError, naming the file and the remedy.
    """
    kind, data, names = _lookup(dataset)[0], data or ROOT / "data", _unpacked_names(dataset)
    for root in (data, cache_folder()):
        if _is_unpacked(root / kind / "raw", names):
            return root
    # Around an installed package lies a folder of the reader's, whichever they stand in: it is left as it is.
    roots, package = [cache_folder(), data] if INSTALLED else [data, cache_folder()], shipped("data") / kind / "raw"
    for folder in (data / kind / "raw", SYSTEM_FOLDERS.get(dataset), package, cache_folder() / kind / "raw"):
        if folder and any(_copies(folder, name) for name in names):
            packed = dict(_torchvision(kind).resources) if dataset not in ("qmnist", "emnist_digits") else {}
            if packed or all(_copies(folder, name) for name in names):
                return _unpack(_whole_copies(folder, names, packed), roots, kind)
    return _download(dataset, data)


def _torchvision(kind: str) -> type:
    import torchvision.datasets

    return getattr(torchvision.datasets, kind)


def _lookup(dataset: str) -> tuple[str, dict, dict]:
    if dataset not in DATASETS:
        raise UsageError(f"dataset={dataset!r} is not known. Use one of: {', '.join(DATASETS)}.")
    return DATASETS[dataset]


def _unpacked_names(dataset: str) -> dict[str, str]:
    """Return the names of a dataset's unpacked files, each with its MD5, or with an empty text if that is not known."""
    if dataset in UNPACKED:
        return UNPACKED[dataset]
    if dataset == "emnist_digits":
        names = [f"emnist-digits-{part}-{what}-ubyte" for part in ("train", "test") for what in _IDX]
    elif dataset == "qmnist":
        names = ["qmnist-train-images-idx3-ubyte", "qmnist-train-labels-idx2-int"]
        names += ["qmnist-test-images-idx3-ubyte", "qmnist-test-labels-idx2-int"]
    else:
        names = [f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in _IDX]
    return dict.fromkeys(names, "")


def _is_unpacked(raw: Path, names: dict[str, str]) -> bool:
    if not all((raw / name).is_file() for name in names):
        return False
    return all(_md5(raw / name) == md5 if md5 else not _is_packed(raw / name) for name, md5 in names.items())


def _copies(folder: Path, name: str) -> list[Path]:
    """Return the files that may be this one: packed or not, with a dot in its name, in a folder as archives have it."""
    called = (name, name.replace("-idx", ".idx"))
    copies = [folder / place / f"{one}{end}" for end in ("", ".gz") for one in called for place in ("", one, "gzip")]
    return [path for path in copies if path.is_file()]


def _whole_copies(folder: Path, names: dict[str, str], packed: dict[str, str]) -> dict[str, Path]:
    """Choose for each file a copy that has the published content; packed anew it may be."""
    chosen = {}
    for name, content in names.items():
        copies = _copies(folder, name)
        whole = [path for path in copies if _is_whole(path, content, packed.get(f"{name}.gz", ""))]
        if not whole:
            path = copies[-1] if copies else folder / f"{name}.gz"
            expected = packed.get(f"{name}.gz") if path.suffix == ".gz" else content
            sums = f": its MD5 should be {expected}, found {_md5(path) if copies else 'no file'}" if expected else ""
            remedy = "Get the file again, or remove all of"
            if folder == shipped("data/MNIST/raw"):
                restore = f"Restore it with `git checkout -- {name}.gz` in"
                remedy = "Install mnist-helpers again, which brings" if INSTALLED else restore
            raise DataError(f"{path} is missing, truncated or damaged{sums}. {remedy} {folder}. Nothing was changed.")
        chosen[name] = whole[-1]  # a packed one, if there is one: its MD5 is known for more sets
    return chosen


def _is_whole(path: Path, content: str, packed: str) -> bool:
    found = _md5_of_content(path)
    if content:
        return found == content
    return bool(found) and (not packed or not _is_packed(path) or _md5(path) == packed)


def _is_packed(path: Path) -> bool:
    """Say whether a file is packed, whatever its name says: some browsers unpack it and leave the name."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"\x1f\x8b"
    except OSError:  # which is said when it is read
        return False


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if _is_packed(path) else path.open("rb")


def _md5(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"


def _md5_of_content(path: Path) -> str:
    """Return the MD5 of what a file holds once it is unpacked, or an empty text if it cannot be unpacked."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with _opened(path) as file:
            while piece := file.read(2**20):
                digest.update(piece)
    except (OSError, EOFError, zlib.error):
        return ""
    return digest.hexdigest()


def _unpack(copies: dict[str, Path], roots: list[Path], kind: str) -> Path:
    """Unpack checked files into the first of `roots` that can be written, and return it."""
    errors = []
    for root in roots:
        try:
            for name, copy in copies.items():
                target = root / kind / "raw" / name
                if copy == target and not _is_packed(copy):
                    continue
                with whole_file(target) as temporary, _opened(copy) as source, temporary.open("wb") as unpacked:
                    shutil.copyfileobj(source, unpacked)
            return root
        except OSError as error:
            errors.append(f"{root}: {error.strerror or error}")
    raise DataError(
        f"The files in {next(iter(copies.values())).parent} are good but could not be unpacked. "
        + "; ".join(errors)
        + ". Free some space (MNIST takes 55 MB), or (on Linux) set XDG_CACHE_HOME to a folder that can be written."
    )


def _download(dataset: str, data: Path) -> Path:
    """Let torchvision download into a temporary folder; move it into the cache only when it is whole."""
    kind, train_arguments, test_arguments = DATASETS[dataset]
    target, local = cache_folder() / kind, data / kind / "raw"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with held_folder(target.parent, "download-") as temporary, _network_timeout():
            if local.is_dir():  # what lies there already is not fetched again
                shutil.copytree(local, temporary / kind / "raw")
            for arguments in (train_arguments, test_arguments):
                _torchvision(kind)(temporary, download=True, **arguments)
            (target / "raw").mkdir(parents=True, exist_ok=True)
            for file in (temporary / kind / "raw").iterdir():
                if file.is_file():
                    file.replace(target / "raw" / file.name)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        lying = [path.name for path in sorted(local.glob("[!.]*"))][:3]
        others = f" It is not read from {', '.join(lying)}; data/README.md says how to convert files." if lying else ""
        raise DataError(
            f"{dataset} is not on this machine and could not be downloaded ({reason}). Connect to the network and try "
            f"again, or copy its files ({next(iter(_unpacked_names(dataset)))}, …, packed or not) into {local}.{others}"
            " dataset='mnist' needs no network."
        ) from error
    return cache_folder()


@contextmanager
def _network_timeout() -> Iterator[None]:
    """Make every new connection give up after a while: torchvision itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
