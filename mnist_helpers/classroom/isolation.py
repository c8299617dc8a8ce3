"""Run what a stranger wrote, shut in: limits of time and memory everywhere, and with bubblewrap also files and network.

bubblewrap (`bwrap`) is a small program of most Linux distributions, made for this by the Flatpak project.
"""

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from mnist_helpers.runtime import PACKAGE_PARENT

FILES_IN_MEMORY = 100_000_000  # bytes that may be written to /tmp and the home folder, which are in memory


@dataclass(frozen=True)
class Limits:
    """How much a submission may take: seconds for all of it and for one cell, bytes of memory for each process."""

    seconds: int = 300
    cell_seconds: int = 60
    memory: int = 2 * 2**30


@functools.cache
def has_bubblewrap() -> bool:
    """Say whether bubblewrap is installed and allowed to do its work."""
    if shutil.which("bwrap") is None:
        return False
    tried = subprocess.run([*_bubblewrap(), "true"], capture_output=True, timeout=60, check=False)
    return tried.returncode == 0


def what_is_isolated(limits: Limits) -> list[str]:
    """Say plainly what a submission can and cannot do while it is marked."""
    lines = [
        f"Each submission runs in its own process, for at most {limits.seconds} s ({limits.cell_seconds} s a cell)."
    ]
    if sys.platform == "linux":
        lines.append(f"Each of its processes gets {limits.memory / 2**30:.1f} GiB of memory.")
        lines.append("How many processes it starts, and how many files it writes, is NOT limited.")
    else:
        lines.append("Its memory is NOT limited on this system.")
    if has_bubblewrap():
        lines.append(
            "It has no network, sees no other submission, and can write to a folder of its own only (bubblewrap)."
        )
        lines.append("It can read the other files of this machine that you can read, outside your home folder.")
    else:
        lines.append(
            "It is NOT shut in: it can reach the network, and your files. Install bubblewrap (Linux) to change that."
        )
    return lines


def run_shut_in(command: Sequence[str], folder: Path, seconds: float, hidden: Sequence[Path] = ()) -> bool:
    """Run a command that may write to `folder` alone; return False if it was stopped when its time was up.

    `hidden` folders look empty to it, and `hidden` files cannot be read.
    """
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [*(_bubblewrap(folder, hidden) if has_bubblewrap() else []), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=_environment(folder),
            start_new_session=True,
        )
        try:
            process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False
        finally:
            _end(process)


def _environment(folder: Path) -> dict[str, str]:
    """Return the few variables that a page needs; what else stands in ours (passwords, tokens) is nobody's business."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    places = ("HOME", "IPYTHONDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "JUPYTER_RUNTIME_DIR")
    own = dict.fromkeys(places, str(folder))
    threads = dict.fromkeys(("MNIST_THREADS", "OMP_NUM_THREADS"), "1")
    artifacts = {"MNIST_ARTIFACTS": str(folder / "artifacts")}
    return kept | own | threads | artifacts | {"PYTHONPATH": str(PACKAGE_PARENT), "PYTHONDONTWRITEBYTECODE": "1"}


def _bubblewrap(folder: Path | None = None, hidden: Sequence[Path] = ()) -> list[str]:
    """Return the command that shuts in: no network, own processes, files to be read only, home and /tmp empty."""
    size = ["--size", str(FILES_IN_MEMORY)]
    words = ["bwrap", "--unshare-all", "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--ro-bind", "/", "/"]
    words += ["--dev", "/dev", "--proc", "/proc"]
    # In /run are the sockets of this machine's services, which a network that is cut off does not cut off.
    for place in ("/dev/shm", "/run", "/tmp", tempfile.gettempdir(), str(Path.home())):
        words += [*size, "--tmpfs", place] if Path(place).is_dir() and place != "/" else []
    for place in (PACKAGE_PARENT, Path(sys.base_prefix), Path(sys.prefix)):  # wherever they lie, they are needed
        words += ["--ro-bind", str(place), str(place)]
    for place in hidden:
        words += ["--tmpfs", str(place)] if place.is_dir() else ["--ro-bind", "/dev/null", str(place)]
    return [*words, "--bind", str(folder), str(folder), "--chdir", str(folder)] if folder else words


def _end(process: subprocess.Popen) -> None:
    """End a process with all that it has started, as far as they can be found."""
    if process.poll() is not None:  # its number may be another's by now; what was shut in has ended with it
        return
    for member in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            member.kill()
    process.kill()
    process.wait()
