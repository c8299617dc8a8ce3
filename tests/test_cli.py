"""The command line as a person uses it: in a process of its own, rightly and wrongly."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from mnist_helpers.cli import main
from mnist_helpers.notebooks import find_notebooks
from mnist_helpers.runtime import ROOT


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def call(monkeypatch, capsys):
    """Call the command line in this process, which saves importing torch again; one test below starts a real one."""

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["mnist-helpers", *arguments])
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
        return Done(status, *capsys.readouterr())

    return call


def test_the_module_and_the_installed_command_are_the_same_program():
    for command in ([sys.executable, "-m", "mnist_helpers"], [str(Path(sys.executable).with_name("mnist-helpers"))]):
        done = subprocess.run([*command, "nonsense"], capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 2
        assert "No such command 'nonsense'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run-notebooks", "--params", "epoch=1"], "error: PARAMS: 'epoch' is not a parameter of these notebooks"),
        (
            ["run-notebooks", "--params", "epochs=many"],
            "error: PARAMS: epochs='many' should be of type int or NoneType",
        ),
        (["run-notebooks", "--notebooks", "9"], "error: NOTEBOOKS='9': no notebook begins with '9'"),
        (["run-notebooks", "--notebooks", "01", "--params", "epochs=1"], "error: PARAMS: 'epochs' is not a parameter"),
        (["pretrain", "--recipe", "none"], "error: recipe='none' is not known"),
        (["pretrain", "--dataset", "none"], "error: dataset='none' is not known"),
        (["pretrain", "--device", "cuda:99"], "error: device='cuda:99' was asked for"),
    ],
)
def test_what_cannot_work_is_said_in_one_line_with_status_1(call, arguments, message):
    done = call(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert len(done.stderr.strip().splitlines()) <= 2


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["run-notebooks", "--nonsense"], ["seeds", "--count", "1"]])
def test_wrong_use_gives_status_2_and_no_traceback(call, arguments):
    done = call(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr + done.stdout


def test_help_lists_the_commands(call):
    done = call("--help")
    assert done.returncode == 0
    for command in ("run-notebooks", "refresh-notebooks", "workspace", "pretrain", "seeds", "contact-sheet"):
        assert command in done.stdout


def test_the_workspace_is_filled_with_every_lesson(call, tmp_path):
    done = call("workspace", str(tmp_path / "work"))
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"{path.name}: new" for path in find_notebooks()]
    assert call("workspace", str(tmp_path / "work")).stdout == "The workspace is up to date.\n"


def test_a_workspace_that_cannot_be_written_is_said_plainly(call, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = call("workspace", str(tmp_path / "file" / "work"))
    assert done.returncode == 1
    assert re.match(r"error: .*cannot be written or read", done.stderr)


def test_the_contact_sheet_is_a_picture_that_fits_a_page(call, tmp_path):
    done = call("contact-sheet", str(tmp_path / "docs" / "sheet.png"))
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "docs" / "sheet.png") as picture:
        assert 1200 < picture.width < 2400
