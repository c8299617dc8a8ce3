"""Run several pages at once: each begins when those that it waits for are done, and whoever ends the run ends all."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from graphlib import TopologicalSorter
from typing import Any, TypeVar

import psutil
import torch

from mnist_helpers.course.forking import ForkingKernelManager
from mnist_helpers.runtime import pick_device
from mnist_helpers.startup import THREADS_VARIABLE, cores

MOST_AT_ONCE = 4
MEMORY = 2 * 2**30  # bytes that a lesson's kernel may come to need
Page, Result = TypeVar("Page"), TypeVar("Result")


def pages_at_once(pages: int, device: str = "auto") -> int:
    """Return how many of so many pages to run at once: one per core, if memory allows; one where a GPU computes."""
    if pick_device(device).type != "cpu":
        return 1
    return max(1, min(pages, cores(), MOST_AT_ONCE, psutil.virtual_memory().available // MEMORY))


def shared_cores(at_once: int) -> AbstractContextManager:
    """Let each of the kernels that run at once use its share of the threads that this process may use."""
    if at_once == 1:
        return nullcontext()
    return environment(THREADS_VARIABLE, str(max(1, torch.get_num_threads() // at_once)))


class RunEnded(Exception):  # noqa: N818 - nothing went wrong
    """Whoever began the run has ended it."""


class Kernels:
    """The kernels of a run, which may be ended while the threads that run pages wait for them."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.begun = begun = []

        class Remembered(ForkingKernelManager):
            def __init__(self, **options: Any) -> None:
                super().__init__(**options)
                begun.append(self)

        self.manager_class = Remembered

    def end(self) -> None:
        """End those that run, and let none begin a cell any more."""
        self.ended.set()
        for provisioner in [manager.provisioner for manager in self.begun]:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                if getattr(provisioner, "pgid", None):  # the kernel with what it has started
                    os.killpg(provisioner.pgid, signal.SIGKILL)
                elif getattr(provisioner, "process", None):
                    provisioner.process.kill()

    def go_on(self) -> None:
        """Do nothing, unless the run was ended.

        Raises: RunEnded.
        """
        if self.ended.is_set():
            raise RunEnded("The run was ended.")


def run_at_once(
    work: Callable[[Page], Result], waits_for: Mapping[Page, list[Page]], at_once: int, end: Callable[[], None]
) -> dict[Page, Result]:
    """Call `work` for pages, at most so many at once, and return the results.

    Of those that may begin, the first of `waits_for` goes first. What `work` raises ends the run, as an interruption
    does: `end` is called, and what has begun is waited for.
    """
    order = TopologicalSorter(waits_for)
    order.prepare()
    place = {page: number for number, page in enumerate(waits_for)}
    ready: list[Page] = []
    running: dict[Future[Result], Page] = {}
    results = {}
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while order.is_active():
                ready = sorted([*ready, *order.get_ready()], key=place.__getitem__)
                while ready and len(running) < at_once:
                    page = ready.pop(0)
                    running[pool.submit(work, page)] = page
                # Without a timeout nothing would interrupt it on Windows.
                for done in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
                    page = running.pop(done)
                    results[page] = done.result()
                    order.done(page)
        except BaseException:
            end()
            raise
    return results


@contextmanager
def environment(variable: str, value: str) -> Iterator[None]:
    """Set an environment variable for a while: what is begun meanwhile has it, too."""
    before = os.environ.get(variable)
    os.environ[variable] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
