"""The kernel in which pages run: ipykernel's own, in a process that is prepared first, and how a page talks to it.

`python -m mnist_helpers.course.kernel --install` makes it the kernel "python3" of this Python, so that JupyterLab,
VS Code, papermill and nbval all start it. No torch here: whoever only runs pages starts quickly.
"""

import json
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from ipykernel.kernelapp import launch_new_instance
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from traitlets import default

from mnist_helpers.startup import prepare_process

NAME = "python3"


class LocalKernelManager(AsyncKernelManager):
    """Talk to a kernel through files in place of TCP: no open port, and pages run with the network cut off entirely."""

    @default("transport")
    def _use_files(self) -> str:
        return "tcp" if sys.platform == "win32" else "ipc"

    @default("ip")
    def _own_files(self) -> str:
        # jupyter_client's own choice can be the same for two kernels at once. Kept short: systems allow 100 characters.
        own = Path(tempfile.gettempdir()) / f"kernel-{uuid.uuid4().hex[:12]}"
        return "127.0.0.1" if sys.platform == "win32" else str(own)


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
    specification["argv"] = [sys.executable, "-m", "mnist_helpers.course.kernel", "-f", "{connection_file}"]
    # Never written in place: an installer may have linked the file to one that it keeps for all environments.
    temporary = folder / ".kernel.json"
    temporary.write_text(json.dumps(specification, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / "kernel.json")
    return folder


if __name__ == "__main__":
    if "--install" in sys.argv:
        install()
    else:
        prepare_process()
        launch_new_instance()
