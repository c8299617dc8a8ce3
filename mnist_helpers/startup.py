"""What a process is told before it computes: threads, waiting, memory, its home, and what it hands on to others.

All of it holds for the whole process, so it is done in one place, where a process begins: the command line and the
kernels of the course call `prepare_process`, and nothing else changes such settings but `one_thread`, which puts them
back. No torch here: how threads wait must be said before torch is loaded.
"""

import atexit
import contextlib
import ctypes
import gc
import math
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mnist_helpers.errors import UsageError

THREADS_VARIABLE = "MNIST_THREADS"
WAITING_VARIABLE, SPIN_VARIABLE = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
SPINS = "2000"  # looks, about a fiftieth of a millisecond, before a waiting thread sleeps (docs/speed.md)
CPU_SHARE = Path("/sys/fs/cgroup/cpu.max")  # where Linux says how much of its cores a container may use
COUNTS = re.compile(r"(\s*[1-9]\d*\s*)(,\s*[1-9]\d*\s*)*")  # a number of threads, or one for each level of nesting
KEPT_BYTES = 2**28  # of freed memory, by the process


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """While it holds, torch computes with one thread: then sums come out the same however many cores there are."""
    torch = sys.modules["torch"]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def prepare_process() -> None:
    """Set threads, waiting, memory and home of this process, as far as they can still be set; hand asserts on.

    Raises: UsageError if MNIST_THREADS is not a number above 0.
    """
    find_a_home()
    hand_asserts_on()
    soon_sleep()
    limit_threads()
    keep_memory()


def leave_out_iri_grammar() -> None:
    """Let jsonschema, which whoever reads a notebook loads, do without a grammar that takes two seconds to build.

    It would check international addresses (IRI, RFC 3987), which no schema of notebooks has; jsonschema manages without
    it, and `make setup` does not install it. Without effect once jsonschema is loaded.
    """
    if "jsonschema" not in sys.modules:
        sys.modules.setdefault("rfc3987_syntax", None)


def find_a_home() -> None:
    """Let a process whose home folder is missing or cannot be written be at home in a temporary folder until it ends.

    Jupyter, IPython and matplotlib write into it, and most of them stop with a traceback where they cannot.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path's own raises an error where there is no home
    if not (home.is_dir() and os.access(home, os.W_OK)):
        os.environ["HOME"] = tempfile.mkdtemp(prefix="mnist-helpers-home-")
        atexit.register(shutil.rmtree, os.environ["HOME"], ignore_errors=True)


def hand_asserts_on() -> None:
    """Let the Pythons that this process starts keep their asserts, on which lessons rely."""
    os.environ.pop("PYTHONOPTIMIZE", None)


def soon_sleep() -> None:
    """Let a thread that waits for others soon sleep, and not keep its core busy; without effect once torch is loaded.

    The threads of OpenMP share each operation of a training and wait for each other after it. Usually they wait awake,
    until another program needs a core: then a thread that waits keeps the core from the one that it waits for, and a
    step takes forty times as long. To sleep at once is no better when nothing else runs: a virtual machine takes longer
    to wake a thread than the thread has to wait. What is set already is left alone.

    Source: the OpenMP specification, OMP_WAIT_POLICY; the manual of GCC's libgomp, GOMP_SPINCOUNT.
    """
    if "torch" in sys.modules:
        return
    if os.environ.setdefault(WAITING_VARIABLE, "passive").lower() == "passive":
        os.environ.setdefault(SPIN_VARIABLE, SPINS)


def limit_threads() -> None:
    """Let torch use as many CPU threads as MNIST_THREADS says, or no more than the cores that this process may use.

    torch counts the machine's cores. In a container that may use two of sixty-four, sixty-four threads would wait for
    each other; so do the threads of thirty students who each take all cores.

    Raises: UsageError if MNIST_THREADS is not a number above 0.
    """
    named = os.environ.get(THREADS_VARIABLE, "")
    if named and not (named.isdecimal() and int(named) > 0):
        raise UsageError(f"{THREADS_VARIABLE}={named!r} must be a whole number above 0, or not be set.")
    if not COUNTS.fullmatch(os.environ.get("OMP_NUM_THREADS", "1")):
        del os.environ["OMP_NUM_THREADS"]  # libgomp would complain about it, and take all cores of the machine
    if named:
        _use_threads(int(named))
    elif cores() < (os.cpu_count() or 1) and "OMP_NUM_THREADS" not in os.environ:
        _use_threads(cores())


def cores() -> int:
    """Return how many cores this process may use: those it may run on, or a container's share of them, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not CPU_SHARE.is_file():
        return allowed
    share, _, period = CPU_SHARE.read_text(encoding="utf-8").partition(" ")
    return allowed if share == "max" else min(allowed, math.ceil(int(share) / int(period)))


def _use_threads(count: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(count)
    if "torch" in sys.modules:  # it has read the variable already
        sys.modules["torch"].set_num_threads(count)


def keep_memory() -> None:
    """Keep freed memory for what comes next; do nothing where the C library is not glibc.

    Each step of a training takes and frees the same blocks of a few megabytes. glibc gives such blocks back to the
    system, and the system hands them out again in pieces of 4 KB, at a price: up to half of a step on a CPU.

    Source: the manual page mallopt(3), M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library, trim_threshold, mmap_threshold = ctypes.CDLL(None), -1, -3
    # An older glibc refuses so much, and a limit set alone would stop it from raising the other by itself.
    if library.mallopt(mmap_threshold, KEPT_BYTES):
        library.mallopt(trim_threshold, KEPT_BYTES)


def end_quickly() -> None:
    """Let this process end without a last look at all that is loaded; only for one that closes its files itself.

    Python looks for unused cycles among all objects once more as it ends. torch brings several hundred thousand, and
    the look takes a fifth of the time that a short command takes. A file left open may lose its end without it.
    """
    atexit.register(_spare_the_last_look)


def _spare_the_last_look() -> None:
    if "triton" not in sys.modules:  # what binds it to Python would complain of all that it finds left
        gc.freeze()
