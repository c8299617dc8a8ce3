import os
import platform
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path

import needs
import numpy as np
import pytest
import torch

from mnist_helpers import runtime
from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import (
    ARTIFACTS_VARIABLE,
    ROOT,
    RUNNING_FILE,
    held_folder,
    hold,
    is_abandoned,
    is_named_pipe,
    pick_device,
    random_states,
    restore_random_states,
    seed_everything,
    whole_file,
)


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


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused(monkeypatch, name):
    for place in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(place, "is_available", lambda: False)
    with pytest.raises(CourseError, match=f"'{name}' was asked for.*finds no such device.*'cpu'"):
        pick_device(name)


def test_only_as_many_gpus_are_chosen_as_there_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("cuda") == torch.device("cuda")
    assert pick_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(CourseError, match="'cuda:1' was asked for.*finds no such device"):
        pick_device("cuda:1")


@pytest.mark.parametrize("installed", [True, False])
def test_what_comes_with_the_project_lies_in_the_checkout_or_in_the_package(monkeypatch, installed):
    monkeypatch.setattr(runtime, "INSTALLED", installed)
    package = Path(runtime.__file__).parent
    expected = package / "shipped" / "data" if installed else package.parent / "data"
    assert runtime.shipped("data") == expected


def test_a_seed_fixes_every_source_of_random_numbers():
    def draws():
        seed_everything(5)
        return random.random(), torch.rand(3).tolist(), np.random.rand(3).tolist()  # noqa: NPY002 - libraries use it

    assert draws() == draws()


def test_the_state_of_the_cpu_s_random_numbers_is_put_back_as_it_was():
    states = runtime.random_states(torch.device("cpu"))
    drawn = torch.rand(5)
    runtime.restore_random_states(states, torch.device("cpu"))
    assert torch.equal(torch.rand(5), drawn)


def test_a_negative_seed_is_as_good_as_any(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    seed_everything(-1)
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark


def test_the_environment_report_is_one_line_with_the_torch_version():
    assert torch.__version__ in runtime.environment_report()
    assert "\n" not in runtime.environment_report()


def test_the_environment_report_names_device_threads_and_system():
    report = runtime.environment_report("cpu")
    assert f" CPU, {torch.get_num_threads()} CPU thread" in report
    assert platform.python_version() in report
    assert platform.system() in report


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (
            "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz \nprocessor\t: 1\nmodel name\t: Another\n",
            "Some CPU @ 2 GHz",
        ),
        ("Features\t: neon\n", "of the platform"),
        (None, "of the platform"),
    ],
)
def test_the_processor_is_named_as_far_as_the_system_tells(monkeypatch, cpuinfo, name):
    def read_text(_path, encoding):
        if cpuinfo is None:
            raise FileNotFoundError
        return cpuinfo

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(platform, "processor", lambda: "of the platform")
    assert runtime.processor() == name
    monkeypatch.setattr(platform, "processor", str)
    assert runtime.processor() == (platform.machine() if name == "of the platform" else name)


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx512_bf16": True}, True),
        ({"bf16": True, "avx512_bf16": False}, True),
        ({"avx512": True}, False),
        (None, False),
    ],
)
def test_a_cpu_computes_in_16_bits_if_torch_says_so(monkeypatch, able, expected):
    if able is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert runtime.cpu_has_bfloat16() is expected
    for wanted in (True, False, None):
        with runtime.autocast(torch.device("cpu"), wanted):
            assert torch.is_autocast_enabled("cpu") is (expected and wanted is True)


def test_artifacts_lie_in_the_checkout_or_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv(ARTIFACTS_VARIABLE, f"{tmp_path / 'a, b'}\nnear")
    assert runtime.artifacts_folders() == [tmp_path / "a, b", Path.cwd() / "near"]
    assert runtime.artifacts_folder() == tmp_path / "a, b"
    monkeypatch.delenv(ARTIFACTS_VARIABLE)
    assert runtime.artifacts_folders() == [ROOT / "artifacts"]


@pytest.mark.parametrize(("policy", "said"), [("passive", False), ("PASSIVE", False), ("active", True), (None, True)])
def test_the_environment_report_says_once_if_threads_wait_awake(monkeypatch, policy, said):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if policy:
        monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    assert ("OMP_WAIT_POLICY=passive" in runtime.environment_report("cpu")) is said


def test_a_whole_file_replaces_the_old_one_with_usual_permissions(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    for text in ("old", "new"):
        with whole_file(path) as temporary:
            temporary.write_text(text)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
    assert list(path.parent.iterdir()) == [path]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permissions of this kind")
def test_a_whole_file_has_the_permissions_that_the_process_gives_and_leaves_them_so(tmp_path):
    before = os.umask(0o027)
    try:
        with whole_file(tmp_path / "file.txt") as temporary:
            temporary.touch()
        assert _umask() == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == 0o640


def test_a_failed_write_leaves_the_old_file_and_no_debris(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:  # noqa: PT012 - the write must come first
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@needs.SIGNALS
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
    (left,) = tmp_path.glob(".*")
    os.utime(left, (0, 0))  # it was killed a while ago
    with whole_file(tmp_path / "another.txt"):
        assert not left.exists()
    assert sorted(tmp_path.iterdir()) == [tmp_path / "another.txt", path]


@pytest.mark.skipif(runtime.fcntl is None, reason="This system's Python cannot lock files.")
def test_what_another_is_still_writing_is_not_removed(tmp_path):
    mine = tmp_path / ".my.unfinished"  # named by a person
    mine.touch()
    os.utime(mine, (0, 0))
    with whole_file(tmp_path / "slow.txt") as temporary:
        temporary.write_text("half")
        os.utime(temporary, (0, 0))
        with whole_file(tmp_path / "quick.txt") as other:
            other.write_text("whole")
        assert temporary.exists()
    assert (tmp_path / "slow.txt").read_text() == "half"
    assert mine.exists()


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


@needs.LINKS
def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with whole_file(tmp_path / "link") as path:
        path.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@needs.LINKS
def test_links_in_a_circle_lead_somewhere(tmp_path):
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    assert runtime.real_path(tmp_path / "one").parent == tmp_path.resolve()


def test_an_error_names_the_file_that_was_asked_for_and_not_the_temporary_one(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    with pytest.raises(OSError, match="No space") as error, whole_file(path) as temporary:
        raise OSError(28, "No space left on device", str(temporary))
    assert error.value.filename == str(path)
    with pytest.raises(OSError, match="No space") as error, whole_file(path):
        raise OSError(28, "No space left on device")
    assert error.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as error, whole_file(path):
        (tmp_path / "another").read_text()
    assert error.value.filename == str(tmp_path / "another")

    def refuse(**_kwargs):
        raise PermissionError(13, "Permission denied", "/a/name/of/chance")

    monkeypatch.setattr(runtime.tempfile, "mkstemp", refuse)
    with pytest.raises(PermissionError) as error, whole_file(path):
        pass
    assert error.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_made_and_seen_to_take_files(tmp_path, monkeypatch):
    folder = tmp_path / "deep" / "folder"
    runtime.check_folder(folder)
    runtime.check_folder(folder)
    assert not list(folder.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        runtime.check_folder(tmp_path / "file")

    def refuse(**_kwargs):
        raise PermissionError(13, "Permission denied", "/a/name/of/chance")

    monkeypatch.setattr(runtime.tempfile, "TemporaryFile", refuse)
    with pytest.raises(PermissionError) as error:
        runtime.check_folder(folder)
    assert error.value.filename == str(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_is_told_from_a_file_and_from_what_a_shell_hands_over(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    assert is_named_pipe(tmp_path / "pipe")
    assert not is_named_pipe(tmp_path / "file")
    assert not is_named_pipe(tmp_path / "missing")
    reading, writing = os.pipe()
    assert not is_named_pipe(Path(f"/dev/fd/{reading}"))
    monkeypatch.chdir("/dev")
    assert not is_named_pipe(Path(f"fd/{reading}"))
    os.close(reading)
    os.close(writing)


@pytest.mark.skipif(runtime.fcntl is None, reason="This system's Python cannot lock files.")
def test_abandoned_is_what_is_old_enough_and_held_by_nobody(tmp_path, monkeypatch):
    file = tmp_path / "file"
    assert not is_abandoned(file)
    file.touch()
    assert not is_abandoned(file)  # whoever made it may be about to hold it
    os.utime(file, (0, 0))
    assert is_abandoned(file)
    with file.open("rb+") as held:
        assert hold(held)
        assert not is_abandoned(file)
    assert is_abandoned(file)
    assert not is_abandoned(tmp_path)
    monkeypatch.setattr(runtime, "fcntl", None)
    assert not is_abandoned(file)  # where nothing can be held, nobody knows


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locks of this kind")
def test_a_held_folder_goes_at_the_end_and_takes_those_of_the_dead_with_it(tmp_path):
    living, dead, another = (tmp_path / name / RUNNING_FILE for name in ("page-living", "page-dead", "run-dead"))
    for file in (living, dead, another):
        file.parent.mkdir()
        file.touch()
        os.utime(file, (0, 0))
    with living.open("rb+") as held:
        assert hold(held)
        with held_folder(tmp_path, "page-") as folder:
            assert folder.parent == tmp_path
            assert {path.name for path in tmp_path.iterdir()} == {"page-living", "run-dead", folder.name}
            with (folder / RUNNING_FILE).open("rb+") as mine:
                assert not hold(mine)
    assert {path.name for path in tmp_path.iterdir()} == {"page-living", "run-dead"}


def test_work_on_the_second_gpu_draws_its_random_numbers_there(monkeypatch):
    asked, second = [], torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: asked.append(device) or torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda _state, device: asked.append(device))
    restore_random_states(random_states(second), second)
    assert asked == [second, second]
