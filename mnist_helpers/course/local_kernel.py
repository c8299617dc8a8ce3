"""How pages talk to the kernels that run them. No torch here: whoever only runs pages starts quickly."""

import sys
import tempfile
import uuid
from pathlib import Path

from jupyter_client import AsyncKernelManager
from traitlets import default


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
