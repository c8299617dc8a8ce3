"""The kernel in which pages run: ipykernel's own, in a process that is prepared first, and how a page talks to it.

`python -m mnist_helpers.course.kernel --install` makes it the kernel "python3" of this Python, so that JupyterLab,
VS Code, papermill and nbval all start it. No torch here: whoever only runs pages starts quickly.
"""

import contextlib
import json
import os
import socket
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from ipykernel.kernelapp import launch_new_instance
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from traitlets import default

from mnist_helpers.startup import prepare_process

NAME, MODULE = "python3", "mnist_helpers.course.kernel"
LONGEST_FOLDER = 70  # bytes
JUST_BORN = 60  # seconds; a kernel that begins may not answer yet


def folder_for_sockets() -> Path | None:
    """Return a folder for a kernel's sockets: the temporary one, or, as systems allow a socket 100 characters, /tmp.

    None where there is neither, as on Windows.
    """
    folders = [] if sys.platform == "win32" else [Path(tempfile.gettempdir()), Path("/tmp")]
    return next((one for one in folders if len(os.fsencode(one)) <= LONGEST_FOLDER and os.access(one, os.W_OK)), None)


def remove_dead_sockets(folder: Path) -> None:
    """Remove what kernels left that were killed together with who had started them: sockets at which nobody answers.

    With them goes the file in which each wrote how it is reached.
    """
    for path in folder.glob(f"kernel-{'[0-9a-f]' * 12}-[1-5]"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as caller:  # somebody else's, say
            caller.setblocking(False)
            try:
                caller.connect(str(path))
            except ConnectionRefusedError:
                if path.is_socket() and time.time() - path.stat().st_mtime > JUST_BORN:
                    path.unlink()
                    Path(f"{str(path)[:-2]}.json").unlink(missing_ok=True)


class LocalKernelManager(AsyncKernelManager):
    """Talk to a kernel through files in place of TCP: no open port, and pages run with the network cut off entirely."""

    @default("transport")
    def _use_files(self) -> str:
        return "ipc" if folder_for_sockets() else "tcp"

    @default("ip")
    def _own_files(self) -> str:
        folder = folder_for_sockets()
        if folder is None:
            return "127.0.0.1"
        remove_dead_sockets(folder)
        # jupyter_client's own choice can be the same for two kernels at once.
        return str(folder / f"kernel-{uuid.uuid4().hex[:12]}")

    @default("connection_file")
    def _beside_them(self) -> str:
        return f"{self.ip}.json" if self.transport == "ipc" else ""


# How every page runs, a lesson or a submission: what nbclient is told, by itself or through papermill.
RUNNING: dict[str, Any] = {
    "kernel_name": NAME,
    "kernel_manager_class": LocalKernelManager,
    "coalesce_streams": True,  # what a cell prints may arrive in pieces
    "extra_arguments": ["--log-level=CRITICAL"],  # its logs are for those who mend kernels
}


def install(prefix: Path = Path(sys.prefix)) -> Path:
    """Write the specification of the kernel "python3" of this Python, and return its folder."""
    folder = prefix / "share" / "jupyter" / "kernels" / NAME
    folder.mkdir(parents=True, exist_ok=True)
    specification = get_kernel_dict()
    specification["argv"] = [sys.executable, "-m", MODULE, "-f", "{connection_file}"]
    # Never written in place: an installer may have linked the file to one that it keeps for all environments.
    temporary = folder / ".kernel.json"
    temporary.write_text(json.dumps(specification, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / "kernel.json")
    return folder


def launch() -> None:
    """Be a kernel, as the command line says, until it is told to end."""
    prepare_process()
    launch_new_instance()


if __name__ == "__main__":
    if "--install" in sys.argv:
        install()
    else:
        launch()
