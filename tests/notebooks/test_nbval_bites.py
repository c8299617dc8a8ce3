"""nbval is only worth its time if a wrong output fails: shown on copies of a committed page."""

import re
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
def test_an_altered_output_and_an_altered_source_fail_and_are_named(beginning):
    page = nbformat.read(beginning, as_version=4)
    checked = next(cell for cell in page.cells if CHECKED in cell.metadata.get("tags", []))
    checked.outputs[0].text = re.sub(r"\d", "7", checked.outputs[0].text)
    by_hand = next(cell for cell in page.cells if "def convolve" in cell.source)
    by_hand.source = by_hand.source.replace("(window * kernel).sum()", "(window + kernel).sum()")
    nbformat.write(page, beginning)
    done = run_nbval(beginning)
    assert done.returncode == 1
    assert checked.outputs[0].text.strip() in done.stdout
    assert "Tensor-likes are not close" in done.stdout
