"""Kernels that begin at once: forked from a process that has loaded already what pages load for seconds.

What has been loaded they share, so that a kernel more takes less memory. Where that cannot be (another system than
Linux, another kernel, another environment or other libraries than those that were loaded), a kernel begins as ever.
"""

import asyncio
import atexit
import functools
import json
import os
import socket
import subprocess
import sys
import sysconfig
import threading
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import psutil
from jupyter_client import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

from mnist_helpers.course.kernel import MODULE, LocalKernelManager
from mnist_helpers.startup import soon_sleep

NAME = "mnist-forked"  # by which Jupyter knows the provisioner
# Which variables may differ: what Jupyter, Voilà and pytest tell a kernel, and what is read when it has begun. The
# last one torch sets by itself, in any process in which an optimizer is made.
FREE = (
    *("JPY_", "PATH_INFO", "PYTEST_", "QUERY_STRING", "SCRIPT_NAME", "SERVER_", "VOILA_"),
    *("CUDA_VISIBLE_DEVICES", "MNIST_", "PWD", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR"),
)
HUB_USER = "JUPYTERHUB_USER"  # the variable that says whose server this is

FIRST = threading.Lock()  # of pages that begin at once, only one starts the process, for all of them


def fixed(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables that must be those under which the libraries were loaded."""
    return {name: value for name, value in environment.items() if not name.startswith(FREE)}


def installed() -> int:
    """Return when something was installed or removed last, in nanoseconds."""
    return Path(sysconfig.get_path("purelib")).stat().st_mtime_ns


class Loaded:
    """The process that kernels are forked from, with what it was started with."""

    def __init__(self) -> None:
        soon_sleep()
        self.environment, self.installed = fixed(dict(os.environ)), installed()
        self.one_at_a_time = threading.Lock()
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "mnist_helpers.course.loaded", str(theirs.fileno())]
        with theirs:
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
            )
        atexit.register(self.close)  # where this process is killed, the other one notices it

    def close(self) -> None:
        """End the process, and its kernels."""
        self.channel.close()
        self.process.terminate()
        self.process.wait()

    def fits(self, environment: dict[str, str]) -> bool:
        """Say whether a kernel with this environment would load what has been loaded."""
        return (fixed(environment), installed()) == (self.environment, self.installed)

    def fork(self, arguments: list[str], environment: dict[str, str], folder: str) -> int:
        """Return the number of a new kernel's process, as soon as all is loaded.

        Raises: OSError if there is no such process any more, or no room, or if the environment is too long.
        """
        request = {"arguments": arguments, "environment": environment, "folder": folder}
        with self.one_at_a_time:
            self.channel.send(json.dumps(request).encode())
            answer = self.channel.recv(100)
        if not answer or int(answer) < 0:
            raise ChildProcessError("There is no process to fork a kernel from, or no room for one more.")
        return int(answer)


@functools.cache
def loaded() -> Loaded:
    """Return the one such process of this one, which is started when it is asked for first."""
    return Loaded()


def can_be_forked(command: list[str], environment: dict[str, str]) -> bool:
    """Say whether a kernel may be forked: the course's own, with this Python and what has been loaded."""
    own = system_forks() and command[:3] == [sys.executable, "-m", MODULE]
    with FIRST:
        return own and loaded().fits(environment)


def system_forks() -> bool:
    """Say whether kernels are forked here: libraries of macOS do not stand it, and on Windows nothing forks."""
    return sys.platform == "linux"


class ForkedKernel(psutil.Process):
    """A forked process, with what a provisioner asks of `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        """Return None while it lives, and then some number: how it ended is known to its parent alone."""
        try:  # in some containers nobody waits for the dead
            return None if self.status() != psutil.STATUS_ZOMBIE else -1
        except psutil.NoSuchProcess:
            return -1

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        with suppress(psutil.NoSuchProcess):
            super().send_signal(number)


class ForkedProvisioner(LocalProvisioner):
    """Fork a kernel where that can be done; else start it as ever."""

    async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
        """Begin a kernel, and return how it is reached."""
        folder = str(options.get("cwd") or Path.cwd())
        with suppress(OSError, psutil.NoSuchProcess):
            if can_be_forked(cmd, options["env"]):
                number = await asyncio.to_thread(loaded().fork, cmd[3:], options["env"], folder)
                self.process = ForkedKernel(number)
                self.pid = self.pgid = number  # it leads a group of its own
                self.cwd = folder
                return self.connection_info
        return await super().launch_kernel(cmd, **options)


# Known from here, and not from what is installed: where this package is only on the path, its kernels begin, too.
KernelProvisionerFactory.provisioners[NAME] = EntryPoint(
    NAME, f"{__name__}:{ForkedProvisioner.__name__}", KernelProvisionerFactory.GROUP_NAME
)


class ForkingKernelManager(LocalKernelManager):
    """Talk through files, with a kernel that is forked where that can be done."""

    @property
    def kernel_spec(self) -> KernelSpec | None:
        """Return the kernel's specification, with how it is to begin."""
        specification = super().kernel_spec
        if specification is not None:
            specification.metadata = {**specification.metadata, "kernel_provisioner": {"provisioner_name": NAME}}
        return specification


def fork_all() -> None:
    """Have all kernels that this process begins from now on forked, where that can be done."""
    KernelProvisionerFactory.instance().default_provisioner_name = NAME


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(_server: object) -> None:
    """Begin to load when JupyterLab begins, before the first page is opened; not where many servers share a machine.

    What has been loaded takes some 400 MB, and of thirty who have logged in to a hub most run nothing.
    """
    if system_forks() and HUB_USER not in os.environ:
        fork_all()
        loaded()
