"""nbval is only worth its time if a wrong output fails: shown on copies of a committed page."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mnist_helpers.course.runner import find_notebooks

CHECKED = "nbval-check-output"


@pytest.fixture
def beginning(tmp_path) -> Path:
    """The first cells of a committed page, with their committed outputs."""
    page = nbformat.read(find_notebooks("02")[0], as_version=4)
    page.cells = page.cells[: next(i for i, cell in enumerate(page.cells) if "F.conv2d(image" in cell.source) + 1]
    assert sum(CHECKED in cell.metadata.get("tags", []) for cell in page.cells) >= 2
    nbformat.write(page, tmp_path / "page.ipynb")
    return tmp_path / "page.ipynb"


def run_nbval(path: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=path.parent)


@pytest.mark.slow
def test_a_committed_page_passes(beginning):
    done = run_nbval(beginning)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_one_altered_output_fails_and_is_named(beginning):
    page = nbformat.read(beginning, as_version=4)
    cell = next(cell for cell in page.cells if CHECKED in cell.metadata.get("tags", []))
    cell.outputs[0].text = cell.outputs[0].text.replace("26", "27")
    nbformat.write(page, beginning)
    done = run_nbval(beginning)
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    assert "(27, 27)" in done.stdout


@pytest.mark.slow
def test_an_altered_source_fails(beginning):
    page = nbformat.read(beginning, as_version=4)
    cell = next(cell for cell in page.cells if "def convolve" in cell.source)
    cell.source = cell.source.replace("(window * kernel).sum()", "(window + kernel).sum()")
    nbformat.write(page, beginning)
    assert "values agree" in (done := run_nbval(beginning)).stdout or "Tensor-likes are not close" in done.stdout
    assert done.returncode == 1
