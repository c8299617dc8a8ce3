"""The kernel in which lessons run: ipykernel's own, in a process that is prepared first.

`python -m mnist_helpers.course.kernel --install` makes it the kernel "python3" of this Python, so that JupyterLab,
VS Code, papermill and nbval all start it.
"""

import json
import sys
from pathlib import Path

from ipykernel.kernelapp import launch_new_instance
from ipykernel.kernelspec import get_kernel_dict

from mnist_helpers.startup import prepare_process


def install(prefix: Path = Path(sys.prefix)) -> Path:
    """Write the specification of the kernel "python3" of this Python, and return its folder."""
    folder = prefix / "share" / "jupyter" / "kernels" / "python3"
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
