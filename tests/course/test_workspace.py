"""The learner's copies: clean, and never overwritten once changed."""

import os
import re
import signal
import subprocess
import sys

import nbformat
import pytest

from mnist_helpers.course.runner import find_notebooks
from mnist_helpers.course.workspace import SETTINGS_VARIABLE, copy_notebooks, open_lab
from mnist_helpers.runtime import ROOT


@pytest.fixture
def lessons(write_notebook):
    path = write_notebook("01_a.ipynb", "print(1)")
    page = nbformat.read(path, 4)
    page.cells[0].outputs = [nbformat.v4.new_output("stream", text="1\n")]
    page.cells[0].execution_count = 1
    nbformat.write(page, path)
    return path.parent


def change(path, source):
    page = nbformat.read(path, 4)
    page.cells[0].source = source
    nbformat.write(page, path)


def source(path):
    return nbformat.read(path, 4).cells[0].source


def test_copies_have_no_outputs_and_the_originals_keep_theirs(lessons, tmp_path):
    (lessons / "figures").mkdir()
    (lessons / "figures" / "01-a.svg").write_text("<svg/>")
    assert copy_notebooks(tmp_path / "work", lessons) == ["01_a.ipynb: new"]
    assert (tmp_path / "work" / "figures" / "01-a.svg").read_text() == "<svg/>"
    copy = nbformat.read(tmp_path / "work" / "01_a.ipynb", 4)
    assert copy.cells[0].outputs == []
    assert copy.cells[0].execution_count is None
    assert copy.metadata.kernelspec.name == "python3"  # and not that of another machine
    assert nbformat.read(lessons / "01_a.ipynb", 4).cells[0].outputs


def test_the_documents_that_lessons_link_to_come_along_as_jupyterlab_opens_nothing_above_the_workspace(tmp_path):
    copy_notebooks(tmp_path / "work")
    linked = [cell.source for path in find_notebooks() for cell in nbformat.read(path, 4).cells]
    names = set(re.findall(r"\]\(\.\./([^)]+)\)", "\n".join(linked)))  # ../ at the top is taken for the top itself
    assert "docs/reproduction.md" in names
    for name in names:
        assert (tmp_path / "work" / name).read_bytes() == (ROOT / name).read_bytes()


def test_a_second_time_there_is_nothing_to_do(lessons, tmp_path):
    copy_notebooks(tmp_path / "work", lessons)
    assert copy_notebooks(tmp_path / "work", lessons) == []


def test_an_untouched_copy_follows_the_original(lessons, tmp_path):
    copy_notebooks(tmp_path / "work", lessons)
    change(lessons / "01_a.ipynb", "print(2)")
    assert copy_notebooks(tmp_path / "work", lessons) == ["01_a.ipynb: brought up to date"]
    assert source(tmp_path / "work" / "01_a.ipynb") == "print(2)"


def test_a_changed_copy_is_kept_and_the_new_original_is_laid_beside_it_once(lessons, tmp_path):
    work = tmp_path / "work"
    copy_notebooks(work, lessons)
    change(work / "01_a.ipynb", "mine")
    assert copy_notebooks(work, lessons) == []
    change(lessons / "01_a.ipynb", "print(2)")
    (line,) = copy_notebooks(work, lessons)
    assert "a notebook that you changed; yours is kept" in line
    name = line.split(":")[0]
    assert name.startswith("01_a.new-")
    assert source(work / name) == "print(2)"
    assert source(work / "01_a.ipynb") == "mine"
    change(work / name, "mine too")
    assert copy_notebooks(work, lessons) == []
    change(lessons / "01_a.ipynb", "print(3)")
    copy_notebooks(work, lessons)
    assert source(work / name) == "mine too"
    assert len(list(work.glob("01_a.new-*.ipynb"))) == 2


@pytest.mark.parametrize("content", ["", "no json", "[1, 2]"])
def test_without_its_register_every_changed_copy_is_still_kept(lessons, tmp_path, content):
    work = tmp_path / "work"
    copy_notebooks(work, lessons)
    change(work / "01_a.ipynb", "mine")
    (work / ".originals.json").write_text(content)
    copy_notebooks(work, lessons)
    assert source(work / "01_a.ipynb") == "mine"


def test_a_copy_that_is_no_longer_a_notebook_is_kept_too(lessons, tmp_path):
    copy_notebooks(tmp_path / "work", lessons)
    (tmp_path / "work" / "01_a.ipynb").write_bytes(b"\xff\xfe broken")
    change(lessons / "01_a.ipynb", "print(2)")
    copy_notebooks(tmp_path / "work", lessons)
    assert (tmp_path / "work" / "01_a.ipynb").read_bytes() == b"\xff\xfe broken"


def test_a_copy_that_was_removed_comes_back(lessons, tmp_path):
    copy_notebooks(tmp_path / "work", lessons)
    (tmp_path / "work" / "01_a.ipynb").unlink()
    assert copy_notebooks(tmp_path / "work", lessons) == ["01_a.ipynb: new"]


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_jupyterlab_opens_on_the_workspace_with_the_settings_of_the_course(monkeypatch, tmp_path, platform):
    started = []
    monkeypatch.setenv(SETTINGS_VARIABLE, "mine")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "execv", lambda _program, command: started.append(command))
    monkeypatch.setattr(subprocess, "call", started.append)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    open_lab(tmp_path)
    assert started == [[sys.executable, "-m", "jupyterlab", "--notebook-dir", str(tmp_path)]]
    assert os.environ[SETTINGS_VARIABLE].split(os.pathsep) == [str(ROOT / "lab"), "mine"]
