"""Running notebooks: parameters, failures, interruptions, two runs at once. Real kernels, tiny pages."""

import errno
import os
import signal
import subprocess
import sys
import time
from base64 import b64decode
from pathlib import Path

import nbformat
import psutil
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mnist_helpers import cli
from mnist_helpers.course import runner
from mnist_helpers.course.runner import (
    WIDGET_IS_LIVE,
    WIDGET_MIME,
    NotebookError,
    RunResult,
    check_parameters,
    find_notebooks,
    normalise,
    read_parameters,
    refresh_notebooks,
    results_table,
    run_notebooks,
    slowest_cell,
)
from mnist_helpers.errors import CourseError
from mnist_helpers.pages import REPORT_MIME
from mnist_helpers.runtime import ROOT, RUNNING_FILE, artifacts_folder, hold

BUILD = "build {x} {0}"  # papermill would put parameters into its braces
REPORT = "from mnist_helpers.pages import report\nreport(value={})"


@pytest.fixture(autouse=True)
def _own_build(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "BUILD", tmp_path / BUILD)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("epochs=1 dataset=fashion_mnist device=cpu", {"epochs": "1", "dataset": "fashion_mnist", "device": "cpu"}),
        (
            r"picture=C:\Users\me\7.png study='D:\my study#1'",
            {"picture": r"C:\Users\me\7.png", "study": r"D:\my study#1"},
        ),
        ("picture='my digit.png'", {"picture": "my digit.png"}),
        ("picture=", {"picture": ""}),
    ],
)
def test_parameters_are_read_as_they_stand(text, expected):
    assert read_parameters(text) == expected


@pytest.mark.parametrize("text", ["epochs", "=3", "1x=2", "epochs = 3", "a='", "__import__('os')"])
def test_what_is_not_a_parameter_is_refused(text):
    with pytest.raises(NotebookError, match="PARAMS"):
        read_parameters(text)


@pytest.mark.parametrize(
    ("kinds", "given", "expected"),
    [
        ("int | None", "1", 1),
        ("int | None", "None", None),
        ("float", "3", 3),
        ("float", "1e-3", 1e-3),
        ("bool", "True", True),
        ("str", "7", "7"),
        ("str", "None", "None"),
    ],
)
def test_a_text_becomes_what_is_declared(write_notebook, kinds, given, expected):
    path = write_notebook("01_x.ipynb", "pass", parameters=f"value: {kinds} = None")
    parameters = read_parameters(f"value={given}")
    check_parameters(parameters, [path])
    assert parameters == {"value": expected}
    assert type(parameters["value"]) is type(expected)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epochs": "[1, 2]"}, r"epochs=\[1, 2\] should be of type int"),
        ({"epoch": 1}, "'epoch' is not a parameter of these notebooks: .*epochs"),
        ({"epochs": "many"}, "epochs='many' should be of type int or NoneType"),
        ({"epochs": True}, "epochs=True should be of type int"),
        ({"seed": 1.5}, "seed=1.5 should be of type int"),
        ({"dataset": 3}, "dataset=3 should be of type str"),
        ({"dataset": "minst"}, "'minst' is not known. Use one of: mnist"),
        ({"recipe": "x"}, "recipe='x' is not known"),
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"train_limit": -5}, "train_limit=-5 must be at least 1"),
        ({"seed": -1}, "seed=-1 must lie between 0"),
        ({"device": "tpu"}, "'tpu' is not a device name"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(parameters, message, tmp_path):
    with pytest.raises(CourseError, match=message):
        run_notebooks(find_notebooks(), parameters, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / BUILD).exists()


def test_every_default_of_every_lesson_is_accepted():
    for path in find_notebooks():
        page = nbformat.read(path, 4)
        namespace: dict = {}
        exec(
            page.cells[[("parameters" in c.metadata.get("tags", [])) for c in page.cells].index(True)].source, namespace
        )
        declared = runner.declared_parameters(page)
        assert "seed" in declared
        assert "dataset" in declared or path.stem[:2] in ("09", "10", "11")  # whose networks and votes are MNIST's
        check_parameters({name: namespace[name] for name in declared}, [path])


def test_notebooks_are_chosen_by_how_their_names_begin():
    assert [path.stem for path in find_notebooks("04 01")] == ["01_data", "04_evaluation"]
    with pytest.raises(NotebookError, match="no notebook begins with '9'. There are: 01_data"):
        find_notebooks("01 9")


def test_each_notebook_gets_the_parameters_that_it_declares_without_a_warning(write_notebook, tmp_path, caplog):
    with_it = write_notebook("01_a.ipynb", REPORT.format("x"), parameters="x: int | None = None")
    without = write_notebook("02_b.ipynb", REPORT.format("'untouched'"), parameters="y: int = 1")
    results = run_notebooks([with_it, without], {"x": 5}, tmp_path / "out")
    assert [result.numbers for result in results] == [{"value": 5}, {"value": "untouched"}]
    assert not any(result.failure for result in results)
    assert caplog.text == ""
    executed = nbformat.read(tmp_path / "out" / "01_a.ipynb", 4)
    assert [cell.execution_count for cell in executed.cells] == [1, 2, 3]
    assert nbformat.read(with_it, 4).cells[0].execution_count is None, "the source was touched"


def test_a_failure_is_named_the_other_notebooks_still_run_and_a_log_gets_no_bar(write_notebook, tmp_path, capsys):
    paths = [
        write_notebook("01_bad.ipynb", "x = 1", "1 / 0", "print('never')"),
        write_notebook("02_dies.ipynb", "import os\nos._exit(1)"),
        write_notebook("03_good.ipynb", REPORT.format("7")),
    ]
    bad, dies, good = run_notebooks(paths, {}, tmp_path / "out")
    assert "01_bad.ipynb, cell In [2]: ZeroDivisionError: division by zero" in bad.failure
    assert "02_dies.ipynb, cell In [1]: DeadKernelError" in dies.failure
    assert "died" in dies.failure
    assert good.numbers == {"value": 7}
    assert not good.failure
    table = results_table([bad, dies, good])
    assert "FAILED 01_bad.ipynb, cell In [2]" in table
    assert nbformat.read(tmp_path / "out" / "01_bad.ipynb", 4).cells
    assert capsys.readouterr().err == ""


def test_a_page_whose_kernel_dies_shows_what_it_did_until_then_and_nothing_of_an_earlier_run(write_notebook, tmp_path):
    path = write_notebook("01_a.ipynb", "print('alive')", "import os\nos._exit(1)", REPORT.format("1"))
    page = nbformat.read(path, 4)
    for cell in page.cells:
        cell.execution_count = 7
        cell.outputs = [nbformat.v4.new_output("display_data", data={REPORT_MIME: {"accuracy": 0.99}})]
    nbformat.write(page, path)
    (result,) = run_notebooks([path], {}, tmp_path / "out")
    assert "cell In [2]" in result.failure
    assert result.numbers == {}
    first, *rest = nbformat.read(tmp_path / "out" / "01_a.ipynb", 4).cells
    assert (first.outputs[0].text, first.execution_count) == ("alive\n", 1)
    assert [cell.outputs for cell in rest] == [[], []]


def test_a_full_disk_ends_the_run_and_is_named(write_notebook, tmp_path, monkeypatch, capsys):
    def half(_: str, target: str, *__: object, **___: object) -> None:
        Path(target.format()).write_text("{")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runner.papermill, "execute_notebook", half)
    path = write_notebook("01_a.ipynb", "1 + 1")
    monkeypatch.setattr(runner, "find_notebooks", lambda _: [path])
    monkeypatch.setattr(sys, "argv", ["mnist-helpers", "run-notebooks"])
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    said = f"error: {tmp_path / BUILD} cannot be written or read (No space left on device). Free some space there\n"
    assert capsys.readouterr() == ("", said)


def test_what_notebooks_make_is_published_at_the_end_and_nothing_is_left_over(write_notebook, tmp_path):
    make = "from mnist_helpers.runtime import artifacts_folder\nfolder = artifacts_folder() / 'a' / 'resume'\n"
    make += "folder.mkdir(parents=True)\n(folder / 'x').touch()\n(folder.parent / 'made.txt').write_text('yes')"
    run_notebooks([write_notebook("01_a.ipynb", make)], {}, tmp_path / "out")
    assert (artifacts_folder() / "a" / "made.txt").read_text() == "yes"
    assert not (artifacts_folder() / "a" / "resume").exists()
    assert list((tmp_path / BUILD).iterdir()) == []


@pytest.mark.slow
def test_two_runs_at_once_do_not_see_each_others_results(write_notebook, tmp_path):
    """The first page of each run waits until the other run is there too, so the two really overlap."""
    meet = tmp_path / "meet"
    meet.mkdir()
    write = (
        "import pathlib, time\nfrom mnist_helpers.runtime import artifacts_folder\n"
        "artifacts_folder().mkdir(parents=True, exist_ok=True)\n(artifacts_folder() / 'v').write_text(str(x))\n"
        f"(pathlib.Path({str(meet)!r}) / str(x)).touch()\nend = time.monotonic() + 60\n"
        f"while len(list(pathlib.Path({str(meet)!r}).iterdir())) < 2 and time.monotonic() < end: time.sleep(0.01)"
    )
    read = "from mnist_helpers.runtime import artifacts_folder\n" + REPORT.format(
        "(artifacts_folder() / 'v').read_text()"
    )
    paths = [write_notebook("01_a.ipynb", write, parameters="x: int = 0"), write_notebook("02_b.ipynb", read)]
    program = (
        "import sys, pathlib\nfrom mnist_helpers.course import runner\n"
        f"runner.BUILD = pathlib.Path({str(tmp_path / BUILD)!r})\n"
        f"paths = [pathlib.Path(p) for p in {[str(path) for path in paths]!r}]\n"
        f"out = pathlib.Path({str(tmp_path / 'out')!r})\n"
        "results = runner.run_notebooks(paths, {'x': int(sys.argv[1])}, out)\n"
        "print(results[1].numbers['value'], results[0].failure, results[1].failure)"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program, x], stdout=subprocess.PIPE, text=True) for x in ("1", "2")]
    assert [run.communicate()[0].strip() for run in runs] == ["1", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_who_is_stopped_leaves_the_old_page_whole_and_no_kernel_behind(write_notebook, tmp_path, stop):
    started = tmp_path / "started"
    started.mkdir()
    forever = (
        "import os, pathlib, subprocess, time\nchild = subprocess.Popen(['sleep', '600'])\n"
        f"for number in (child.pid, os.getpid()): (pathlib.Path({str(started)!r}) / str(number)).touch()\n"
        "time.sleep(600)"
    )
    paths = [str(write_notebook(name, forever)) for name in ("01_a.ipynb", "02_b.ipynb", "03_not_begun.ipynb")]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "01_a.ipynb").write_text("the old page")
    program = (
        "import pathlib, sys\nfrom mnist_helpers import cli\nfrom mnist_helpers.course import runner\n"
        f"runner.BUILD = pathlib.Path({str(tmp_path / BUILD)!r})\n"
        f"runner.find_notebooks = lambda choice: [pathlib.Path(path) for path in {paths}]\n"
        f"run = runner.run_notebooks\n"
        f"out = pathlib.Path({str(tmp_path / 'out')!r})\n"
        "runner.run_notebooks = lambda paths, p, at_once: run(paths, p, out, at_once)\n"
        "sys.argv = ['mnist-helpers', 'run-notebooks', '--jobs', '2']\ncli.main()"
    )
    # Where the tests themselves run in the background, a shell has them ignore Ctrl-C, and children inherit that.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    run = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    wait_for(lambda: len(list(started.iterdir())) == 4)  # two kernels, each with a process that it has started
    run.send_signal(stop)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Stopped. Every file that was written is whole." in errors
    assert (tmp_path / "out" / "01_a.ipynb").read_text() == "the old page"
    assert list((tmp_path / BUILD).iterdir()) == []
    kernels = [int(path.name) for path in started.iterdir()]
    assert len(kernels) == 4, "a page was begun when the run had been stopped"
    wait_for(lambda: not any(map(lives, kernels)))


def test_what_a_killed_run_left_is_removed_by_the_next_and_a_living_one_s_folder_stays(write_notebook, tmp_path):
    living, dead = (tmp_path / BUILD / name / RUNNING_FILE for name in ("run-living", "run-dead"))
    for file in (living, dead):
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (0, 0))
    with living.open("rb+") as held:
        assert hold(held)
        run_notebooks([write_notebook("01_a.ipynb", "1 + 1")], {}, tmp_path / "out")
    assert [folder.name for folder in (tmp_path / BUILD).iterdir()] == ["run-living"]


def test_what_a_killed_refreshing_left_is_removed_by_the_next(write_notebook, tmp_path):
    left = tmp_path / BUILD / "refresh-dead" / RUNNING_FILE
    left.parent.mkdir(parents=True)
    left.touch()
    os.utime(left, (0, 0))
    assert not refresh_notebooks([write_notebook("01_a.ipynb", "1 + 1")])[0].failure
    assert list((tmp_path / BUILD).iterdir()) == []


def lives(number: int) -> bool:
    """Say whether a process runs; one that nobody has waited for does not."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(condition, seconds: float = 60) -> None:
    """Give another process time; how long it takes is not what is tested."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the other process did not get there"
        time.sleep(0.02)


def test_the_table_marks_what_is_slow_and_shows_what_was_reported():
    results = [
        RunResult("01_data", 10, 15, (3, 4.5), {"accuracy": 0.81234}),
        RunResult("02_model", 23, 15, (7, 61.2)),
        RunResult("03_training", 1, 15, failure="03_training.ipynb, cell In [2]: KeyError: 'x'"),
    ]
    first, second, third, _, *rest = results_table(results).splitlines()[1:]
    assert "accuracy 0.8123" in first
    assert "[3] 4.5" in first
    assert "SLOW" not in first
    assert "LONG" not in first
    assert "SLOW: 1.5 times its budget LONG CELL: In [7] took more than 60 s" in second
    assert third.endswith("FAILED")
    assert rest[-1] == "FAILED 03_training.ipynb, cell In [2]: KeyError: 'x'"


def test_the_slowest_cell_is_found_in_what_papermill_recorded():
    times = [None, 0.5, 3.25, 1.0]
    cells = [nbformat.v4.new_code_cell("", execution_count=number) for number in range(1, 5)]
    for cell, duration in zip(cells, times, strict=True):
        cell.metadata["papermill"] = nbformat.from_dict({"duration": duration})
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("text"), *cells])
    assert slowest_cell(page) == (3, 3.25)


def test_papermill_records_what_each_cell_took(write_notebook, tmp_path):
    path = write_notebook("01_a.ipynb", "sum(range(1_000_000))")
    (result,) = run_notebooks([path], {}, tmp_path / "out")
    assert result.slowest[0] == 1
    assert 0 < result.slowest[1] <= result.seconds


def test_a_whole_number_will_do_where_a_broken_one_is_declared(write_notebook):
    path = write_notebook("01_a.ipynb", "1", parameters="seconds: float = 1.5")
    check_parameters({"seconds": 2}, [path])
    with pytest.raises(CourseError, match="seconds=True should be of type float"):
        check_parameters({"seconds": True}, [path])


def test_refreshing_is_idempotent_and_normalised(write_notebook):
    in_pieces = "for word in ('a', 'b'):\n    print(word, flush=True)"
    path = write_notebook("01_a.ipynb", in_pieces, "1 + 1", parameters="x: int = 1")
    page = nbformat.read(path, 4)
    page.cells[1].metadata = {"jupyter": {"source_hidden": True}, "scrolled": True}
    nbformat.write(page, path)
    assert not refresh_notebooks([path])[0].failure
    first = path.read_bytes()
    assert not refresh_notebooks([path])[0].failure
    assert path.read_bytes() == first
    page = nbformat.read(path, 4)
    assert [cell.execution_count for cell in page.cells] == [1, 2, 3]
    assert [output.text for output in page.cells[1].outputs] == ["a\nb\n"]
    assert [cell.metadata for cell in page.cells] == [
        {"tags": ["parameters"]},
        {"jupyter": {"source_hidden": True}},
        {},
    ]
    assert "papermill" not in first.decode()
    assert page.metadata.mnist_course.budget_seconds == 60


def test_a_live_widget_leaves_a_sentence_and_what_is_over_leaves_nothing(write_notebook):
    live = "import ipywidgets\nipywidgets.IntSlider()"
    over = "place = display('x', display_id=True)\nplace.update({'text/plain': ''}, raw=True)"
    guess = "from mnist_helpers.widgets.guesses import Guesses\nGuesses('01_a').ask('side')"
    path = write_notebook("01_a.ipynb", live, over, guess)
    assert not refresh_notebooks([path])[0].failure
    first, second, third = nbformat.read(path, 4).cells[-3:]
    assert [output.data for output in first.outputs] == [{"text/plain": WIDGET_IS_LIVE}]
    assert second.outputs == third.outputs == []
    assert "widgets" not in nbformat.read(path, 4).metadata


@pytest.mark.parametrize(
    "called", ["KernelEditor(children=(VBox(), Shown()))", "<mnist_helpers.widgets.pad.KernelEditor object at 0x7f5e>"]
)
def test_a_still_page_shows_the_picture_of_a_widget_that_was_taken_before(monkeypatch, tmp_path, called):
    view = {WIDGET_MIME: {"model_id": "1"}, "text/plain": called}
    shown = nbformat.v4.new_output("display_data", view)
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[shown])])
    about = PngInfo()
    about.add_text("Description", "Nine numbers and a map.")
    monkeypatch.setattr(runner, "WIDGET_PICTURES", tmp_path)
    Image.new("L", (3, 2)).save(tmp_path / "KernelEditor.png", pnginfo=about)
    (output,) = normalise(page).cells[0].outputs
    assert output.data["text/plain"] == WIDGET_IS_LIVE
    assert b64decode(output.data["image/png"]) == (tmp_path / "KernelEditor.png").read_bytes()
    assert output.metadata == {"image/png": {"alt": "Nine numbers and a map."}}


def test_drawings_come_along_with_what_was_run(write_notebook, tmp_path):
    path = write_notebook("01_a.ipynb", "1")
    (path.parent / "figures").mkdir()
    (path.parent / "figures" / "01-a.svg").write_text("<svg/>")
    run_notebooks([path], {}, output=tmp_path / "out")
    assert (tmp_path / "out" / "figures" / "01-a.svg").read_text() == "<svg/>"


def test_a_page_that_fails_keeps_its_old_outputs(write_notebook):
    path = write_notebook("01_a.ipynb", "1 / 0")
    before = path.read_bytes()
    assert refresh_notebooks([path])[0].failure
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", [ROOT, Path.home()])
def test_a_page_that_prints_a_folder_of_this_machine_is_not_committed(write_notebook, place):
    page = nbformat.read(write_notebook("01_a.ipynb", "x"), 4)
    page.cells[0].outputs = [nbformat.v4.new_output("stream", text=f"saved in {place}/x\n")]
    with pytest.raises(NotebookError, match="Cell 1 prints a folder of this machine"):
        normalise(page)


def test_a_file_that_is_not_a_notebook_is_said_to_be_none(tmp_path):
    (tmp_path / "01_x.ipynb").write_text("no json")
    with pytest.raises(NotebookError, match="01_x.ipynb is not a notebook"):
        run_notebooks([tmp_path / "01_x.ipynb"], {}, tmp_path / "out")


def test_the_environment_is_left_as_it_was(write_notebook, tmp_path):
    before = dict(os.environ)
    run_notebooks([write_notebook("01_a.ipynb", "pass")], {}, tmp_path / "out")
    assert dict(os.environ) == before


def test_a_lesson_finds_networks_that_were_published_before(write_notebook, tmp_path, monkeypatch):
    elsewhere = tmp_path / f"else{os.pathsep}where [1]"
    (elsewhere / "mnist" / "mine").mkdir(parents=True)
    (elsewhere / "mnist" / "mine" / "model.safetensors").touch()
    monkeypatch.setenv("MNIST_ARTIFACTS", str(elsewhere))
    find = "from mnist_helpers.checkpoints import find_model\n" + REPORT.format("str(find_model('mnist', 'mine'))")
    (result,) = run_notebooks([write_notebook("01_a.ipynb", find)], {}, tmp_path / "out")
    assert result.numbers == {"value": str(elsewhere / "mnist" / "mine")}


def test_results_are_published_to_another_file_system_too(write_notebook, tmp_path, monkeypatch):
    """Moving a file from one file system to another fails; copying does not."""
    monkeypatch.setattr(Path, "replace", refuse_to_move_across(tmp_path / BUILD, Path.replace))
    make = "from mnist_helpers.runtime import artifacts_folder\nartifacts_folder().mkdir(parents=True)\n"
    make += "(artifacts_folder() / 'x').touch()"
    run_notebooks([write_notebook("01_a.ipynb", make)], {}, tmp_path / BUILD / "out")
    assert (artifacts_folder() / "x").exists()


def refuse_to_move_across(disk, move):
    def replace(self, target):
        if self.is_relative_to(disk) != Path(target).is_relative_to(disk):
            raise OSError(18, "Invalid cross-device link")
        return move(self, target)

    return replace


def test_without_notebooks_the_reader_is_told_where_to_run_it(tmp_path):
    with pytest.raises(NotebookError, match="There are no notebooks in"):
        find_notebooks(folder=tmp_path)


def test_a_picture_is_looked_for_where_the_command_is_called(tmp_path, monkeypatch):
    (tmp_path / "my digit.png").touch()
    monkeypatch.chdir(tmp_path)
    parameters = {"picture": "my digit.png"}
    check_parameters(parameters, find_notebooks("04"))
    assert parameters == {"picture": str(tmp_path / "my digit.png")}
    with pytest.raises(NotebookError, match="picture='none.png' is no file"):
        check_parameters({"picture": "none.png"}, find_notebooks("04"))
