"""What a stranger's program may take: time, processes, memory, room on the disk; and that its words arrive."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib import font_manager

from mnist_helpers import cli
from mnist_helpers.classroom import isolation
from mnist_helpers.classroom.isolation import FILES_IN_MEMORY, Limits, Ran, has_bubblewrap, run_shut_in
from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import RUNNING_FILE

MEGABYTE = 2**20
FORKS = "import os, time\nwhile True:\n    os.fork() or time.sleep(100)"
FORKS_FEW = "import os, time\nfor _ in range(12): os.fork() or time.sleep(100)\ntime.sleep(100)"
TAKES = "import os, time\nos.fork(); os.fork()\nheld = bytearray(150 * 2**20)\ntime.sleep(100)"
FILLS = """
for folder in (".", "/tmp", "/dev/shm"):
    size = 0
    try:
        for number in range(20):
            size += open(f"{folder}/full-{number}", "wb").write(bytes(10_000_000))
    except OSError as error:
        print(folder, size, error.errno)
"""


def run(code: str, given: bytes = b"", most: int = 1000, **limits) -> Ran:
    return run_shut_in([sys.executable, "-c", code], given, Limits(**limits), most)


def test_what_goes_in_and_what_comes_out_is_the_same_whatever_it_is():
    given = bytes(range(256)) * 4000
    echo = "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())"
    assert run(echo, given, most=2 * len(given)) == Ran(given)
    assert run(echo, given, most=10) == Ran(given[:10])


def test_what_was_written_stays_when_its_time_is_up():
    ran = run("import time\nprint('so far', flush=True)\ntime.sleep(100)", seconds=3)
    assert ran.output == b"so far\n"
    assert "stopped after 3 seconds" in ran.stopped


@pytest.mark.parametrize("code", [FORKS_FEW, FORKS] if has_bubblewrap() else [FORKS_FEW])  # what else could end them?
def test_whoever_starts_too_many_processes_is_stopped(code):
    ran = run(code, processes=10)
    assert "more than 10 processes at once" in ran.stopped


def test_the_memory_of_all_processes_together_is_limited():
    assert "GiB of memory" in run(TAKES, memory=250 * MEGABYTE).stopped
    assert run("import time\nheld = bytearray(150 * 2**20)\ntime.sleep(0.5)", memory=250 * MEGABYTE).stopped == ""


@pytest.mark.skipif(not has_bubblewrap(), reason="bubblewrap is not installed, or may not make namespaces here")
def test_it_cannot_fill_a_disk():
    lines = run(FILLS).output.decode().splitlines()
    assert len(lines) == 3
    for line in lines:
        _, size, number = line.split()
        assert int(size) <= FILES_IN_MEMORY
        assert number == "28"  # no space left on the device


@pytest.mark.skipif(not has_bubblewrap(), reason="bubblewrap is not installed, or may not make namespaces here")
@pytest.mark.parametrize("place", [".", "/dev/shm", "/tmp"])
def test_files_without_end_are_stopped_though_they_are_empty(place, monkeypatch):
    monkeypatch.setattr(isolation, "MOST_FILES", 500)
    code = "import os, time\nfor number in range({}): open('{}/' + str(number), 'w').close()\ntime.sleep({})"
    assert "more than 500 files" in run(code.format(600, place, 100)).stopped
    assert run(code.format(400, place, 0.5)).stopped == ""


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="This system has no files in memory.")
def test_on_a_full_disk_a_result_still_arrives(monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(isolation.tempfile, "TemporaryFile", full)
    assert run("print('x' * 500)").output == b"x" * 500 + b"\n"


@pytest.mark.skipif(not has_bubblewrap(), reason="bubblewrap is not installed, or may not make namespaces here")
def test_the_fonts_of_this_machine_are_known_already_and_the_note_of_them_is_out_of_reach():
    if not isolation._known_fonts():
        pytest.skip("Fonts in this user's home are named to nobody.")
    (note,) = isolation._known_fonts()
    look = "import logging, sys; logging.basicConfig(level=10, stream=sys.stdout); import matplotlib.font_manager"
    said = run(look, most=10_000).output.decode()
    assert "Using fontManager instance from" in said
    assert "generated" not in said
    spoil = "import glob; [open(name, 'w') for name in glob.glob('fontlist*')]"
    before = note.read_bytes()
    run(spoil)
    assert note.read_bytes() == before


def test_fonts_that_lie_in_a_home_are_not_named_to_a_submission(tmp_path, monkeypatch):
    note = tmp_path / f"fontlist-v{font_manager.FontManager.__version__}.json"
    note.write_text(json.dumps({"fname": str(Path.home() / ".fonts" / "mine.ttf")}))
    monkeypatch.setattr("matplotlib.get_cachedir", lambda: str(tmp_path))
    assert isolation._known_fonts.__wrapped__() == ()


def test_no_folder_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run("open('left', 'w').write('x')")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_marking_left_is_removed_by_the_next_and_the_submission_cannot_touch_its_sign(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = tmp_path / "marking-dead"
    (dead / "own" / "deep").mkdir(parents=True)
    (dead / RUNNING_FILE).touch()
    os.utime(dead / RUNNING_FILE, (0, 0))
    seen = json.loads(run("import json, os\nprint(json.dumps(os.listdir('.')))").output)
    assert {"deep", RUNNING_FILE}.isdisjoint(seen)
    assert len(seen) <= 1  # the note of fonts
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Names of files are not that long there.")
def test_thousands_of_folders_in_each_other_end_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(isolation, "has_bubblewrap", lambda: False)  # where they are on the disk
    ran = run("import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')\nprint('done')", seconds=60)
    assert ran == Ran(b"done\n")
    for left in tmp_path.iterdir():  # pytest would stumble, too, before Python 3.13
        subprocess.run(["rm", "-r", left], check=True)


@pytest.mark.parametrize(
    ("found", "system", "said"),
    [
        (None, "linux", "There is no bubblewrap here, .* Either install it .*, or mark on a machine"),
        (
            "/usr/bin/bwrap",
            "linux",
            "/usr/bin/bwrap is not allowed to create namespaces here, .* Either allow it to, or mark",
        ),
        (None, "darwin", "There is no bubblewrap here, .* It exists on Linux only. Mark there, or on a machine"),
    ],
)
def test_where_nothing_shuts_a_submission_in_marking_is_refused_unless_one_says_so(monkeypatch, found, system, said):
    monkeypatch.setattr(isolation, "has_bubblewrap", lambda: False)
    monkeypatch.setattr(isolation.shutil, "which", lambda _: found)
    monkeypatch.setattr(isolation.sys, "platform", system)
    with pytest.raises(CourseError, match=f"{said}.*--not-shut-in .make: SHUT_IN=no"):
        isolation.need_bubblewrap()


@pytest.mark.parametrize(
    ("words", "marked"), [([], False), pytest.param(["--not-shut-in"], True, marks=pytest.mark.slow)]
)
def test_the_command_marks_nothing_unless_it_is_told_to(monkeypatch, tmp_path, capsys, words, marked):
    monkeypatch.setattr(isolation, "has_bubblewrap", lambda: False)
    monkeypatch.setenv("MNIST_COURSE", str(tmp_path / "course"))
    (tmp_path / "class" / "ann").mkdir(parents=True)
    (tmp_path / "class" / "ann" / "sheet.ipynb").write_text("no notebook")
    monkeypatch.setattr(sys, "argv", ["mnist-helpers", "grade", str(tmp_path / "class"), "--sheets", "01", *words])
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr()
    assert ("NOT isolated" in said.out) is marked
    assert ("--not-shut-in" in said.err) is not marked
    assert (tmp_path / "course").exists() is marked
