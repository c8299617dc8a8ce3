"""A JupyterHub that tests run: made anew but for its environment, with ports, users and a gradebook of its own."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from mnist_helpers.classroom import hub as hubs
from mnist_helpers.classroom.hub import COURSE, PORTS, Hub
from mnist_helpers.course.runner import BUILD

PASSWORD = "one for all of the class"
needs_a_hub = pytest.mark.skipif(
    not all(map(shutil.which, ("git", "npm"))) or not Path(sys.executable).with_name("uv").exists(),
    reason="git, npm and the uv that `make setup` installs are needed for a hub.",
)


@contextmanager
def running(name: str, users: tuple[str, ...], first_port: int) -> Iterator[tuple[Hub, subprocess.Popen]]:
    """Run a hub in build/NAME; `first_port` is where to begin to look for free ones, as two hubs may begin at once."""
    ours = Hub(BUILD / name, _free_ports(first_port), users, PASSWORD)
    for left in ("homes", "gradebook", f"{COURSE}.git"):  # the environment and the proxy need not be installed again
        shutil.rmtree(ours.folder / left, ignore_errors=True)
    (ours.folder / "hub.sqlite").unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNIST_COURSE", str(ours.folder / "gradebook"))  # and not that of a real class
        hubs.prepare(ours)
    with hubs.started(ours) as process:
        _wait_for(f"{ours.address}/hub/api", process)
        yield ours, process


def _free_ports(first_port: int) -> int:
    """Return the first of so many ports in a row that nobody listens on."""
    for first in range(first_port, first_port + 500, PORTS):
        if not any(_is_taken(first + more) for more in range(PORTS)):
            return first
    raise AssertionError("no ports are free")


def _is_taken(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(address: str, process: subprocess.Popen) -> None:
    """Wait until a hub answers, or has ended."""
    while process.poll() is None:
        try:
            with urlopen(address, timeout=5) as answer:
                assert "version" in json.load(answer)
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"The hub ended with {process.returncode}.")
