"""What all tests share. Sizes are small for speed; the images are real MNIST."""

import functools
import importlib
import os
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pytest

from mnist_helpers import startup

startup.soon_sleep()  # before torch is loaded
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each worker has a core

import torch

import mnist_helpers
from mnist_helpers import runtime
from mnist_helpers.cli import main
from mnist_helpers.data import LabelledImages, load_part
from mnist_helpers.errors import MissingExtraError
from mnist_helpers.recipes import Recipe

mpl.use("agg")
# Each test has a cache of its own, and the processes that it starts would look for the machine's fonts anew.
os.environ.setdefault("MPLCONFIGDIR", mpl.get_cachedir())


def pytest_configure():
    """Give each worker's lessons a place of their own: one must not take the network that another is training."""
    place, worker = os.environ.get(runtime.ARTIFACTS_VARIABLE), os.environ.get("PYTEST_XDIST_WORKER")
    if place and worker:
        os.environ[runtime.ARTIFACTS_VARIABLE] = str(Path(place) / worker)


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is marked slow
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is left to `make test-weekly` as slow, too, so that `make test` leaves it out."""
    for item in items:
        if "weekly" in item.keywords:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    runtime.seed_everything(0)


@pytest.fixture(autouse=True, scope="session")
def _all_of_ours_is_loaded():
    """Load what functions import on their way: loaded later, it would keep what a test put in place of a name."""
    for module in pkgutil.walk_packages(mnist_helpers.__path__, "mnist_helpers."):
        if not module.name.endswith("__main__"):
            with suppress(ImportError, MissingExtraError):
                importlib.import_module(module.name)


def _own_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep every test away from the reader's artifacts and cache, and from those of the lessons before it."""
    folder = tmp_path_factory.mktemp("places")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(runtime.ARTIFACTS_VARIABLE, str(folder / "artifacts"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


_own_places_of_a_file = pytest.fixture(autouse=True, scope="module")(_own_places)  # what its fixtures make, too
_own_places_of_a_test = pytest.fixture(autouse=True)(_own_places)


@pytest.fixture(autouse=True)
def _on_the_cpu(request, monkeypatch):
    """Compute on the CPU where there is a GPU, too, with what a CPU gives to compare; tests marked `gpu` take it."""
    if "gpu" not in request.keywords:
        for place in (torch.cuda, torch.backends.mps):
            monkeypatch.setattr(place, "is_available", functools.cache(lambda: False))  # torch unwraps it


@pytest.fixture(scope="session")
def train() -> LabelledImages:
    return load_part("mnist", "train", limit=640)


@pytest.fixture(scope="session")
def val() -> LabelledImages:
    return load_part("mnist", "validation", limit=300)


@pytest.fixture
def recipe() -> Recipe:
    """Settings that learn something in a second."""
    return Recipe("small", "two-conv", epochs=2, batch_size=32, lr=2e-3, schedule="constant", dropout=0.3)


@pytest.fixture(scope="session")
def csv_file(tmp_path_factory, train) -> Path:
    """Write the few training images as a file of "MNIST in CSV"."""
    path = tmp_path_factory.mktemp("csv") / "some.csv"
    rows = torch.cat([train.labels[:, None], train.images.flatten(1).long()], dim=1).tolist()
    path.write_text("\n".join(",".join(map(str, row)) for row in rows))
    return path


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory) -> Path:
    """Return the web site, built once for all workers."""
    from filelock import FileLock  # torch brings it; not there where only a GPU is tested

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "a site, with a comma" / "site"
    with FileLock(shared / "site.lock"):
        if not (shared / "site.done").exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", ["mnist-helpers", "site", str(folder)])
                with pytest.raises(SystemExit) as ended:
                    main()
            assert not ended.value.code
            (shared / "site.done").touch()
    return folder.resolve()


@pytest.fixture
def write_notebook(tmp_path):
    """Write a small notebook, made for one test."""
    import nbformat  # not there where only a GPU is tested

    def write(name: str, *sources: str, parameters: str = "", budget: float = 60) -> Path:
        page = nbformat.v4.new_notebook(
            metadata={
                "kernelspec": {"name": "conda-env-ml-py", "display_name": "ml"},  # of another machine
                "mnist_course": {"budget_seconds": budget},
            }
        )
        if parameters:
            page.cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        page.cells += [nbformat.v4.new_code_cell(source) for source in sources]
        path = tmp_path / "lessons {y}" / name
        path.parent.mkdir(exist_ok=True)
        nbformat.write(page, path)
        return path

    return write


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def call(monkeypatch, capsys):
    """Call the command line in this process, which saves importing torch again; one test below starts a real one."""

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["mnist-helpers", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(ended.value.code or 0, *capsys.readouterr())

    return call
