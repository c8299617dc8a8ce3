"""Where things lie, the device, how a run is made repeatable, what it ran on, and how files are written whole.

No digits, no networks: this module knows nothing about either.
"""

import errno
import os
import platform
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

import numpy as np
import platformdirs
import torch

from mnist_helpers.errors import CourseError, UsageError
from mnist_helpers.startup import WAITING_VARIABLE

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

PACKAGE_PARENT = Path(__file__).resolve().parent.parent
IN_THE_WHEEL = Path(__file__).resolve().parent / "shipped"  # pyproject.toml puts there what comes with the project
INSTALLED = IN_THE_WHEEL.is_dir()
# Installed as a plain wheel there is no checkout around the package: then the current folder is the workplace.
ROOT = Path.cwd() if INSTALLED else PACKAGE_PARENT
ARTIFACTS_VARIABLE = "MNIST_ARTIFACTS"
RUNNING_FILE = ".running"  # held by the process whose folder this is
UNFINISHED = ".unfinished"  # in the name of a file that is being written
JUST_MADE = 1.0  # seconds
AWAKE = f" that wait awake (slow on a busy machine: set {WAITING_VARIABLE}=passive before torch is imported)"


def shipped(path: str) -> Path:
    """Return where a file or folder lies that comes with the project: in the checkout, or in the installed package."""
    return (IN_THE_WHEEL if INSTALLED else ROOT) / path


def artifacts_folders() -> list[Path]:
    """Return the folders in which trained networks are looked for: `artifacts/`, or that named in MNIST_ARTIFACTS.

    A run of the notebooks names several there, a line each: any other character may occur in a folder's name.
    """
    named = os.environ.get(ARTIFACTS_VARIABLE)
    return [Path(name).absolute() for name in named.split("\n")] if named else [ROOT / "artifacts"]


def artifacts_folder() -> Path:
    """Return the folder for what training makes: the first of `artifacts_folders`."""
    return artifacts_folders()[0]


def cache_folder() -> Path:
    """Return the user's cache folder for data that cannot lie in the repository."""
    return Path(platformdirs.user_cache_dir("mnist-cnn-notebooks", appauthor=False))


def pick_device(device: str = "auto") -> torch.device:
    """Return the torch device for a name; "auto" takes CUDA when present, then MPS, then the CPU.

    Raises: CourseError if the name is unknown or the device is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(kind for kind, present in available.items() if present))
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in available:
        raise UsageError(f"device={device!r} is not a device name. Use 'auto', 'cuda', 'mps' or 'cpu'.")
    missing_gpu = chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()
    if not available[chosen.type] or missing_gpu:
        raise CourseError(
            f"device={device!r} was asked for, but torch {torch.__version__} finds no such device here. "
            "Use device='auto' to take the best one present, or 'cpu'."
        )
    return chosen


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices) and ask cuDNN for its repeatable algorithms."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries still draw from it
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def random_states(device: torch.device) -> dict[str, torch.Tensor]:
    """Return the states of the random numbers that work on this device draws from: the CPU's and its own."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_states(states: dict[str, torch.Tensor], device: torch.device) -> None:
    """Put back what `random_states` returned, as far as it was for this kind of device."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def autocast(device: torch.device, bfloat16: bool | None = None) -> AbstractContextManager:
    """Return bfloat16 autocast where it is wanted and the processor computes in it, else a context that does nothing.

    With `bfloat16=None` a CUDA GPU takes it and a CPU does not.
    """
    if device.type == "cuda" and bfloat16 is not False and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    if device.type == "cpu" and bfloat16 and cpu_has_bfloat16():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


def cpu_has_bfloat16() -> bool:
    """Say whether this CPU multiplies 16-bit numbers itself; where it only imitates that, it is slower for it."""
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch does not say
        return False
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def environment_report(device_name: str = "auto") -> str:
    """Return one line that says what a measurement was made on."""
    device = pick_device(device_name)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    awake = "" if os.environ.get(WAITING_VARIABLE, "").lower() == "passive" else AWAKE
    threads = torch.get_num_threads()
    return (
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"{name}, {threads} CPU thread{'s' if threads > 1 else ''}{awake}, {platform.system()}"
    )


def processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    try:
        names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        names = []
    return (names[0] if names else platform.processor() or platform.machine()).strip()


def real_path(path: Path) -> Path:
    """Follow links to where a file lies; unlike Path.resolve, a circle of links is no error here."""
    return Path(os.path.realpath(path))


def is_named_pipe(path: Path) -> bool:
    """Say whether reading this file would wait, perhaps for ever, until another program writes to it.

    What a shell hands over in /dev/fd is a pipe too, but has its writer.
    """
    return path.is_fifo() and not path.absolute().is_relative_to("/dev")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path` in one step, on failure it is removed.

    A reader therefore sees the old file or the new one, never half of either, whatever interrupts the writing. A link
    stays, and what it points to is replaced. What killed processes have left in the folder is removed.

    Raises: OSError with the name of `path` if it cannot be written, or is a folder, a device or a pipe.
    """
    path = real_path(path)
    if path.exists() and not path.is_file():
        raise OSError(errno.EISDIR if path.is_dir() else errno.EINVAL, "it is not an ordinary file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(path.parent)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED + path.suffix)
    except OSError as error:
        error.filename = str(path)
        raise
    temporary = Path(name)
    try:
        with os.fdopen(handle, "rb+") as written:
            hold(written)
            yield temporary
            # mkstemp makes files private; a shared classroom folder wants the usual permissions.
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path) if error.filename in (None, name) else error.filename
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(folder: Path) -> None:
    """Make a folder where there is none, and see that it takes files, before long work is done for them.

    Raises: OSError with the name of the folder if it does not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        error.filename = str(folder)
        raise


def _remove_unfinished(folder: Path) -> None:
    """Remove the temporary files whose writers are dead."""
    for path in folder.glob(f".*.????????{UNFINISHED}*"):  # as mkstemp names them
        if is_abandoned(path):
            path.unlink(missing_ok=True)


@contextmanager
def held_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a folder of this process's own, which is removed at the end.

    Those that killed processes have left are removed, too.
    """
    for held in parent.glob(f"{prefix}*/{RUNNING_FILE}"):
        if is_abandoned(held):
            with suppress(RecursionError):
                shutil.rmtree(held.parent, ignore_errors=True)
    temporary = tempfile.TemporaryDirectory(dir=parent, prefix=prefix, ignore_cleanup_errors=True)
    try:
        with (Path(temporary.name) / RUNNING_FILE).open("wb") as held:
            hold(held)
            yield Path(temporary.name)
    finally:
        with suppress(RecursionError):  # thousands of folders in each other
            temporary.cleanup()


def is_abandoned(path: Path) -> bool:
    """Say whether nobody holds this file any more: a process does, with `hold`, until it is done or dies."""
    try:
        # One that has just been made may not be held yet.
        if not path.is_file() or time.time() - path.stat().st_mtime < JUST_MADE:
            return False
        with path.open("rb+") as file:
            return hold(file)
    except OSError:
        return False


def hold(file: IO[bytes]) -> bool:
    """Lock a file until it is closed, or its process ends; return False if that cannot be done, or another has it."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # there are file systems without locks
        return False
    return True
