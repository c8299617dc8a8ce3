"""Run what a stranger wrote: limits of time, memory and processes, and with bubblewrap also of files and network.

What goes in and what comes out is a file in memory, so that a full disk takes nothing from anybody.
bubblewrap (`bwrap`) is a small program of most Linux distributions, made for this by the Flatpak project.
"""

import contextlib
import functools
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import PACKAGE_PARENT, held_folder

FILES_IN_MEMORY = 100_000_000  # bytes that may be written to each folder in memory: its own, the home, /tmp
MOST_FILES = 50_000  # in each of them: an empty one takes none of these bytes, but memory
LOOK_EVERY = 0.2  # seconds between two looks at what a submission has started
TOGETHER = 2  # times the memory of one process, for all


@dataclass(frozen=True)
class Limits:
    """How much a submission may take: seconds for all of it and for one cell, bytes of memory for each process."""

    seconds: int = 300
    cell_seconds: int = 60
    memory: int = 2 * 2**30
    processes: int = 50  # at once


@dataclass(frozen=True)
class Ran:
    """What a command wrote, and why it was stopped, if it was."""

    output: bytes
    stopped: str = ""


@functools.cache
def has_bubblewrap() -> bool:
    """Say whether bubblewrap is installed and allowed to do its work."""
    if shutil.which("bwrap") is None:
        return False
    tried = subprocess.run([*_bubblewrap(), "true"], capture_output=True, timeout=60, check=False)
    return tried.returncode == 0


def need_bubblewrap() -> None:
    """Do nothing where bubblewrap does its work.

    Raises: CourseError elsewhere, saying what to do.
    """
    if has_bubblewrap():
        return
    found = shutil.which("bwrap")
    missing = f"{found} is not allowed to create namespaces here" if found else "There is no bubblewrap here"
    install = "allow it to" if found else "install it (Debian, Ubuntu: apt-get install bubblewrap)"
    raise CourseError(
        f"{missing}, and without it a submission can read and change whatever you can, and send it anywhere. "
        + (f"Either {install}, or mark" if sys.platform == "linux" else "It exists on Linux only. Mark there, or")
        + " on a machine that holds nothing else, with --not-shut-in (make: SHUT_IN=no)."
    )


def what_is_isolated(limits: Limits) -> list[str]:
    """Say plainly what a submission can and cannot do while it is marked."""
    lines = [
        f"Each submission runs in its own process, for at most {limits.seconds} s ({limits.cell_seconds} s a cell)."
    ]
    together = TOGETHER * limits.memory / 2**30
    lines.append(f"It is stopped when it runs more than {limits.processes} processes at once, or takes more than")
    lines[-1] += f" {together:.1f} GiB of memory together."
    if sys.platform == "linux":
        lines.append(f"Each of its processes gets {limits.memory / 2**30:.1f} GiB of memory.")
    if has_bubblewrap():
        lines.append(
            "It has no network, sees no other submission, and can write to folders of its own only, which are in memory"
            f" and hold {FILES_IN_MEMORY / 10**6:.0f} MB each (bubblewrap). It is stopped when there are more than"
            f" {MOST_FILES:,} files in one of them."
        )
        lines.append("It can read the other files of this machine that you can read, outside your home folder.")
    else:
        lines.append("It is NOT isolated: it can reach the network and your files, and fill the disk.")
    return lines


def run_shut_in(command: Sequence[str], given: bytes, limits: Limits, most: int, hidden: Sequence[Path] = ()) -> Ran:
    """Run a command in a folder of its own: it reads what is `given` from its standard input, and writes to its output.

    Of that, `most` bytes are taken. `hidden` folders look empty to it, and `hidden` files cannot be read.
    """
    with _own_folder() as folder, _nameless_file() as source, _nameless_file() as output:
        source.write(given)
        source.seek(0)
        process = subprocess.Popen(
            [*(_bubblewrap(folder, hidden) if has_bubblewrap() else []), *command],
            stdin=source,
            stdout=output,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_environment(folder),
            start_new_session=True,
        )
        try:
            stopped = _wait(process, limits, folder)
        finally:
            _end(process)
        output.seek(0)
        return Ran(output.read(most), stopped)


@contextlib.contextmanager
def _own_folder() -> Iterator[Path]:
    """Give a submission a folder of its own for a while; with bubblewrap it lies in memory, over this one."""
    with held_folder(Path(tempfile.gettempdir()), "marking-") as place:
        folder = place.resolve() / "own"  # what says that this process lives is no business of the submission's
        folder.mkdir()
        yield folder


def _nameless_file() -> BinaryIO:
    """Return a file without a name, in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        return io.FileIO(os.memfd_create("marking"), "r+")
    return tempfile.TemporaryFile()


def _wait(process: subprocess.Popen, limits: Limits, folder: Path) -> str:
    """Wait for the end of a process; return why it has to be stopped, if it has to."""
    end = time.monotonic() + limits.seconds
    while time.monotonic() < end:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_EVERY)
            return ""
        members = _started_by(process)
        if len(members) > limits.processes:
            return f"it was stopped, as it ran more than {limits.processes} processes at once"
        if _memory(members) > TOGETHER * limits.memory:
            return f"it was stopped, as it took more than {TOGETHER * limits.memory / 2**30:.1f} GiB of memory"
        if has_bubblewrap() and _most_files(members, folder) > MOST_FILES:
            return f"it was stopped, as it made more than {MOST_FILES:,} files"
    return f"it was stopped after {limits.seconds} seconds, the time for a whole sheet"


def _started_by(process: subprocess.Popen) -> list[psutil.Process]:
    """Return the processes that a process has started, and those that they have."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _memory(members: list[psutil.Process]) -> int:
    """Return how many bytes of memory processes take together."""
    memory = 0
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            memory += member.memory_info().rss
    return memory


def _most_files(members: list[psutil.Process], folder: Path) -> int:
    """Return how many files lie in the fullest of the folders in memory, as the processes in there see them."""
    found = [0]
    for member in members:
        for place in _places_in_memory(folder):
            seen = f"/proc/{member.pid}/root{place}"
            with contextlib.suppress(OSError):  # it has just ended, or not yet begun
                if Path(seen).stat().st_dev != Path(place).stat().st_dev:  # else bubblewrap has only just begun
                    room = os.statvfs(seen)
                    found.append(room.f_files - room.f_ffree)
    return max(found)


def _environment(folder: Path) -> dict[str, str]:
    """Return the few variables that a page needs; what else stands in ours (passwords, tokens) is nobody's business."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    places = ("HOME", "IPYTHONDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "JUPYTER_RUNTIME_DIR")
    if sys.platform == "win32":  # what a home and a temporary folder are called there
        places += ("USERPROFILE", "APPDATA", "LOCALAPPDATA", "TEMP", "TMP")
    own = dict.fromkeys(places, str(folder))
    threads = dict.fromkeys(("MNIST_THREADS", "OMP_NUM_THREADS"), "1")
    artifacts = {"MNIST_ARTIFACTS": str(folder / "artifacts")}
    return kept | own | threads | artifacts | {"PYTHONPATH": str(PACKAGE_PARENT), "PYTHONDONTWRITEBYTECODE": "1"}


def _bubblewrap(folder: Path | None = None, hidden: Sequence[Path] = ()) -> list[str]:
    """Return the command that isolates: no network, own processes, files to be read only, home and /tmp empty."""
    size = ["--size", str(FILES_IN_MEMORY)]
    words = ["bwrap", "--unshare-all", "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--ro-bind", "/", "/"]
    words += ["--dev", "/dev", "--proc", "/proc"]
    for place in _places_in_memory():
        words += [*size, "--tmpfs", place]
    words += ["--remount-ro", "/dev"]  # itself, not what lies in it
    for place in (PACKAGE_PARENT, Path(sys.base_prefix), Path(sys.prefix)):  # wherever they lie, they are needed
        words += ["--ro-bind", str(place), str(place)]
    for place in hidden:
        words += (
            ["--tmpfs", str(place), "--remount-ro", str(place)]
            if place.is_dir()
            else ["--ro-bind", "/dev/null", str(place)]
        )
    if folder is None:
        return words
    words += [*size, "--tmpfs", str(folder), "--chdir", str(folder)]
    for note in _known_fonts():
        words += ["--ro-bind", str(note), str(folder / note.name)]
    return words


@functools.cache
def _known_fonts() -> tuple[Path, ...]:
    """Return the file in which matplotlib notes what fonts there are: searching for them takes longer than a check.

    Nothing, if that names fonts in the home folder, of which a submission is to see nothing.
    """
    from matplotlib import font_manager, get_cachedir  # which makes the file if there is none

    note = Path(get_cachedir(), f"fontlist-v{font_manager.FontManager.__version__}.json")
    return (note,) if note.is_file() and str(Path.home()) not in note.read_text(encoding="utf-8") else ()


def _places_in_memory(*own: Path) -> list[str]:
    """Return the folders that look empty to a submission, and can be written to."""
    # In /run are the sockets of this machine's services, which a network that is cut off does not cut off.
    shared = ("/dev/shm", "/run", "/tmp", tempfile.gettempdir(), str(Path.home()))
    return [*(place for place in shared if Path(place).is_dir() and place != "/"), *map(str, own)]


def _end(process: subprocess.Popen) -> None:
    """End a process with all that it has started, as far as they can be found."""
    if process.poll() is not None:  # its number may be another's by now; what was isolated has ended with it
        return
    for member in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            member.kill()
    process.kill()
    process.wait()
