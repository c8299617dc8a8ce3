"""The course's kernel is the one that everybody starts, and installing it touches no other environment."""

import json
import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from mnist_helpers.course import kernel
from mnist_helpers.course.kernel import LocalKernelManager, install
from mnist_helpers.course.runner import run_notebooks


def test_the_kernel_is_this_python_s_and_a_linked_file_elsewhere_stays(tmp_path):
    kept = tmp_path / "cache.json"
    kept.write_text("{}")
    folder = tmp_path / "share" / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    os.link(kept, folder / "kernel.json")  # as uv lays the files of a package out
    assert install(tmp_path) == folder
    specification = json.loads((folder / "kernel.json").read_text())
    assert specification["argv"][:3] == [sys.executable, "-m", "mnist_helpers.course.kernel"]
    assert kept.read_text() == "{}"
    assert [path.name for path in folder.iterdir()] == ["kernel.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such sockets.")
def test_a_page_runs_where_the_temporary_folder_s_name_is_too_long_for_a_socket(write_notebook, tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(kernel.tempfile, "tempdir", str(long))
    (result,) = run_notebooks([write_notebook("01_x.ipynb", "1 + 1")], {}, output=tmp_path / "out")
    assert not result.failure


@pytest.mark.parametrize(("platform", "writable"), [("win32", True), ("linux", False)])
def test_without_a_folder_for_sockets_this_machine_s_own_address_is_used(monkeypatch, platform, writable):
    monkeypatch.setattr(kernel.sys, "platform", platform)
    monkeypatch.setattr(kernel.os, "access", lambda *_: writable)
    manager = LocalKernelManager(kernel_name="python3")
    assert (manager.transport, manager.ip) == ("tcp", "127.0.0.1")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such sockets.")
def test_a_new_kernel_removes_the_sockets_of_dead_ones_and_no_others(monkeypatch):
    # pytest's own folders have names that are too long for a socket
    with tempfile.TemporaryDirectory(dir="/tmp") as name, socket.socket(socket.AF_UNIX) as alive:
        folder, dead, young, living = (Path(name), *(Path(name) / f"kernel-{kind * 12}-1" for kind in "012"))
        for path in (dead, young):
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(str(path))
        alive.bind(str(living))
        alive.listen(0)
        strange = folder / f"kernel-{'3' * 12}-1"  # no socket: another program's
        strange.touch()
        for path in (dead, young, living):
            Path(f"{str(path)[:-2]}.json").touch()
        for path in (dead, living, strange):
            os.utime(path, (0, 0))
        monkeypatch.setattr(kernel.tempfile, "tempdir", name)
        assert LocalKernelManager(kernel_name="python3").ip.startswith(name)
        assert sorted(path.name[7] for path in folder.iterdir()) == ["1", "1", "2", "2", "3"]
        assert not dead.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such sockets.")
def test_how_a_kernel_is_reached_stands_beside_its_sockets_and_goes_with_them(write_notebook, monkeypatch, tmp_path):
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        monkeypatch.setattr(kernel.tempfile, "tempdir", name)
        look = "from pathlib import Path\nfrom ipykernel import get_connection_file\n"
        page = write_notebook("01_x.ipynb", f"{look}assert Path(get_connection_file()).parent == Path({name!r})")
        (result,) = run_notebooks([page], {}, output=tmp_path / "out")
        assert not result.failure
        assert not list(Path(name).glob("kernel-*"))
