"""How `make test` compares the pages: each with artifacts of its own, and on the CPU.

So 04 and 05 show the network that comes with the course, and not one that 03 has just trained; and
the committed outputs were made on a CPU.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.provisioning import KernelProvisionerFactory

from mnist_helpers.course.forking import NAME

ARTIFACTS = Path(os.environ.get("MNIST_ARTIFACTS", "build/test-artifacts")).absolute()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Start the kernel, which the first cell of a page does, in an environment of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNIST_ARTIFACTS", str(ARTIFACTS / item.path.stem))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setattr(KernelProvisionerFactory.instance(), "default_provisioner_name", NAME)
        return (yield)
