import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mnist_helpers import runtime
from mnist_helpers.runtime import CourseError, UsageError, is_named_pipe, pick_device, seed_everything, whole_file


def test_auto_takes_cuda_then_mps_then_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "meta", "xpu:1:2"])
def test_unknown_device_names_are_refused_with_the_known_ones(name):
    with pytest.raises(CourseError, match="'auto', 'cuda', 'mps' or 'cpu'"):
        pick_device(name)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CourseError, match="'cuda:1' was asked for.*finds no such device.*'cpu'"):
        pick_device("cuda:1")


def test_a_seed_fixes_every_source_of_random_numbers():
    def draws():
        seed_everything(5)
        return torch.rand(3).tolist(), np.random.rand(3).tolist()  # noqa: NPY002 - it is this one that libraries use

    assert draws() == draws()


def test_a_negative_seed_is_as_good_as_any():
    seed_everything(-1)


def test_the_environment_report_is_one_line_with_the_torch_version():
    assert torch.__version__ in runtime.environment_report()
    assert "\n" not in runtime.environment_report()


def test_a_whole_file_replaces_the_old_one_with_usual_permissions(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    for text in ("old", "new"):
        with whole_file(path) as temporary:
            temporary.write_text(text)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444 & ~_umask()
    assert list(path.parent.iterdir()) == [path]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_failed_write_leaves_the_old_file_and_no_debris(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:  # noqa: PT012 - the write must come first
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    program = (
        "import os, signal, sys, pathlib\n"
        "from mnist_helpers.runtime import whole_file\n"
        "with whole_file(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_what_is_no_ordinary_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for place in ("pipe", "folder"):
        with pytest.raises(OSError, match="not an ordinary file") as refused, whole_file(tmp_path / place):
            pass
        assert refused.value.filename == str(tmp_path / place)
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with whole_file(tmp_path / "link") as path:
        path.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_is_told_from_a_file_and_from_what_a_shell_hands_over(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    assert is_named_pipe(tmp_path / "pipe")
    assert not is_named_pipe(tmp_path / "file")
    assert not is_named_pipe(tmp_path / "missing")
    reading, writing = os.pipe()
    assert not is_named_pipe(Path(f"/dev/fd/{reading}"))
    os.close(reading)
    os.close(writing)


@pytest.fixture
def threads():
    """Put back the number of threads that torch had."""
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_the_number_of_threads_can_be_set_and_reaches_torch(threads, monkeypatch):
    monkeypatch.setenv("MNIST_THREADS", "3")
    pick_device("cpu")
    assert torch.get_num_threads() == 3
    assert "3 CPU threads" in runtime.environment_report("cpu")


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(threads, monkeypatch, value):
    monkeypatch.setenv("MNIST_THREADS", value)
    with pytest.raises(UsageError, match=f"MNIST_THREADS='{value}' must be a whole number above 0"):
        pick_device("cpu")
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("share", "expected"), [("max 100000", 8), ("150000 100000", 2), ("1600000 100000", 8)])
def test_a_container_s_share_of_the_cores_is_respected(threads, monkeypatch, tmp_path, share, expected):
    monkeypatch.delenv("MNIST_THREADS", raising=False)
    (tmp_path / "cpu.max").write_text(share + "\n")
    monkeypatch.setattr(runtime, "CPU_SHARE", tmp_path / "cpu.max")
    torch.set_num_threads(8)
    assert runtime.use_threads() == expected
    assert torch.get_num_threads() == expected


@pytest.mark.parametrize(("accepts", "expected"), [(True, [-3, -1]), (False, [-3])])
def test_a_c_library_that_will_not_keep_so_much_is_left_as_it_is(monkeypatch, accepts, expected):
    settings = []

    def mallopt(setting: int, _value: int) -> int:
        settings.append(setting)
        return int(accepts)

    monkeypatch.setattr(runtime.platform, "libc_ver", lambda: ("glibc", "2.31"))
    monkeypatch.setattr(runtime.ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=mallopt))
    runtime.keep_memory.__wrapped__()
    assert settings == expected


def test_another_c_library_is_not_asked(monkeypatch):
    monkeypatch.setattr(runtime.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(runtime.ctypes, "CDLL", lambda _: pytest.fail("asked"))
    runtime.keep_memory.__wrapped__()
