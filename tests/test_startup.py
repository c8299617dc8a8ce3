"""A process is told how many threads it has, how they wait, and to keep its memory; what is set already stays."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mnist_helpers import startup
from mnist_helpers.errors import UsageError
from mnist_helpers.runtime import environment_report
from mnist_helpers.startup import limit_threads, one_thread


@pytest.fixture
def threads(monkeypatch):
    """Put back the number of threads that torch had."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(before))  # and then the variable, when the test is over
    yield before
    torch.set_num_threads(before)


def test_the_number_of_threads_can_be_set_and_reaches_torch(threads, monkeypatch):
    monkeypatch.setenv("MNIST_THREADS", "3")
    limit_threads()
    assert torch.get_num_threads() == 3
    assert "3 CPU threads" in environment_report("cpu")


def test_one_thread_is_for_a_while_and_whatever_happens_in_it(threads):
    def fails():
        with one_thread():
            seen.append(torch.get_num_threads())
            raise KeyError

    seen = []
    torch.set_num_threads(3)
    with pytest.raises(KeyError):
        fails()
    assert [*seen, torch.get_num_threads()] == [1, 3]


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(threads, monkeypatch, value):
    monkeypatch.setenv("MNIST_THREADS", value)
    with pytest.raises(UsageError, match=f"MNIST_THREADS='{value}' must be a whole number above 0"):
        limit_threads()
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("share", "named", "expected"),
    [
        ("max 100000", None, 8),
        ("150000 100000", None, 2),
        ("1600000 100000", None, 8),
        ("150000 100000", "", 2),  # libgomp would complain about it
        ("150000 100000", "4", 8),  # said by the reader; torch has read it already
        ("150000 100000", "4,1", 8),
        *[("150000 100000", odd, 2) for odd in ("0", "-2", "abc", "2;3", "1.5", " ")],
        ("150000 100000", " 4 ", 8),
    ],
)
def test_a_container_s_share_of_the_cores_is_respected(threads, monkeypatch, tmp_path, share, named, expected):
    monkeypatch.delenv("MNIST_THREADS", raising=False)
    (tmp_path / "cpu.max").write_text(share + "\n")
    monkeypatch.setattr(startup, "CPU_SHARE", tmp_path / "cpu.max")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if named is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", named)
    monkeypatch.setattr(startup.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(startup.os, "sched_getaffinity", lambda _process: set(range(8)), raising=False)
    torch.set_num_threads(8)
    limit_threads()
    assert torch.get_num_threads() == expected
    assert os.environ.get("OMP_NUM_THREADS") != ""


@pytest.mark.parametrize(
    ("share", "expected"), [(None, 3), ("max 100000", 3), ("150000 100000", 2), ("800000 100000", 3)]
)
def test_the_cores_of_a_process_are_those_it_may_run_on_or_its_container_s_share(
    monkeypatch, tmp_path, share, expected
):
    monkeypatch.setattr(startup.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(startup.os, "sched_getaffinity", lambda _process: {0, 5, 9}, raising=False)
    monkeypatch.setattr(startup, "CPU_SHARE", tmp_path / "cpu.max")
    if share:
        (tmp_path / "cpu.max").write_text(share + "\n")
    assert startup.cores() == expected


@pytest.mark.parametrize(("accepts", "expected"), [(True, [-3, -1]), (False, [-3])])
def test_a_c_library_that_will_not_keep_so_much_is_left_as_it_is(monkeypatch, accepts, expected):
    settings = []

    def mallopt(setting: int, _value: int) -> int:
        settings.append(setting)
        return int(accepts)

    monkeypatch.setattr(startup.platform, "libc_ver", lambda: ("glibc", "2.31"))
    monkeypatch.setattr(startup.ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=mallopt))
    startup.keep_memory()
    assert settings == expected


def test_another_c_library_is_not_asked(monkeypatch):
    monkeypatch.setattr(startup.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(startup.ctypes, "CDLL", lambda _: pytest.fail("asked"))
    startup.keep_memory()


def variables_after(program: str, **environment: str) -> str:
    """Run a program in a process of its own, and return what it prints."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "MNIST_"))}
    done = subprocess.run([sys.executable, "-c", program], env=known | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


WAITING = "print(*map(os.environ.get, ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'))); "
PREPARED = "from mnist_helpers.startup import prepare_process; prepare_process(); import os, torch; "


def test_waiting_threads_soon_sleep_and_are_as_many_as_was_said():
    program = PREPARED + WAITING + "print(torch.get_num_threads())"
    assert variables_after(program, MNIST_THREADS="1") == "passive 2000\n1"
    assert variables_after(program, MNIST_THREADS="1", OMP_WAIT_POLICY="Passive") == "Passive 2000\n1"  # from make
    assert variables_after(program, MNIST_THREADS="1", GOMP_SPINCOUNT="7") == "passive 7\n1"


def test_preparing_a_process_does_not_load_torch_and_keeps_what_the_reader_says():
    waiting = "print(*map(os.environ.get, ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')), 'torch' in sys.modules)"
    assert (
        variables_after(PREPARED.replace("torch; ", "sys; ") + waiting, OMP_WAIT_POLICY="active") == "active None False"
    )


def test_the_pythons_that_a_process_starts_keep_their_asserts():
    program = PREPARED.replace("torch; ", "subprocess, sys; ")
    program += "print(sys.flags.optimize, subprocess.call([sys.executable, '-c', 'assert False']))"
    assert variables_after(program, PYTHONOPTIMIZE="1") == "1 1"


@pytest.mark.slow
def test_who_has_no_home_gets_one_until_the_process_ends():
    program = "import os; os.getuid = lambda: 54321; os.environ.pop('HOME', None); " + PREPARED
    program += "from pathlib import Path; from mnist_helpers.course import runner; Path('~/x').expanduser().touch(); "
    home = Path(variables_after(program + "print(Path.home())"))
    assert home.is_absolute()
    assert not home.exists()


@pytest.mark.parametrize(("folder", "may_write", "kept"), [(".", True, True), (".", False, False), ("x", True, False)])
def test_a_home_that_cannot_be_written_is_not_used(monkeypatch, tmp_path, folder, may_write, kept):
    monkeypatch.setenv("HOME", str(tmp_path / folder))
    monkeypatch.setattr(startup.os, "access", lambda *_: may_write)
    monkeypatch.setattr(startup.tempfile, "tempdir", str(tmp_path))
    startup.find_a_home()
    assert (Path.home() == tmp_path / folder) == kept
    (Path.home() / "x").touch()


def test_what_comes_too_late_is_not_claimed():
    assert variables_after("import torch; " + PREPARED + WAITING) == "None None"


@pytest.mark.slow
def test_whoever_reads_notebooks_does_not_wait_for_a_grammar_of_addresses(tmp_path):
    (tmp_path / "rfc3987_syntax.py").write_text("print('built')\ndef is_valid_syntax(*_): return True\n")
    installed = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    assert variables_after("import nbformat", **installed) == "built"  # if it is not, nothing is left to do
    quick = "from mnist_helpers.startup import leave_out_iri_grammar; leave_out_iri_grammar(); import nbformat"
    assert variables_after(quick, **installed) == ""
    assert variables_after("import mnist_helpers.classroom.trial, nbformat", **installed) == ""
    command = "import sys; sys.argv[1:] = ['run-notebooks', '--notebooks', 'none']; from mnist_helpers import cli; "
    ended = "import contextlib\nwith contextlib.suppress(SystemExit): cli.main()\nprint('nbformat' in sys.modules)"
    assert variables_after(command + ended, **installed) == "True"


@pytest.mark.parametrize("also", ["", "sys.modules['triton'] = sys; "])
def test_a_command_ends_without_a_last_look_unless_a_library_would_complain(also):
    program = (
        "import gc, sys; from mnist_helpers.startup import end_quickly; end_quickly(); "
        "seen = type('Seen', (), {'__del__': lambda _: print('looked at')}); one = seen(); one.itself = one; "
    )
    assert variables_after(program + also + "gc.disable(); del one") == ("looked at" if also else "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "loaded",
    ["torch, torchvision", "onnx, onnxruntime, torch", "torch; torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))])"],
)
def test_no_library_complains_when_a_process_ends_quickly(loaded):
    program = f"from mnist_helpers.startup import end_quickly; end_quickly(); import {loaded}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
