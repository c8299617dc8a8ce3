"""The wheel where no checkout is: it holds what lessons read; lessons and commands work, or say what they need."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import matplotlib as mpl
import nbformat
import pytest
from PIL import Image, ImageDraw

from mnist_helpers import cli
from mnist_helpers.course.runner import budget_of, find_notebooks, read_notebook
from mnist_helpers.runtime import ROOT

pytestmark = pytest.mark.slow
LARGEST = 17_000_000  # bytes
SHORT = {"epochs": 1, "train_limit": 2_000}  # parameters of lessons
# What the wheel does not ask for: it comes with extras, and lessons 1 to 5 must do without it, as on Colab.
OF_EXTRAS = (
    *("jupyterlab", "nbgrader", "nbval", "onnx", "onnxruntime", "onnxscript", "optuna", "papermill", "sphinx"),
    *("hypothesis", "playwright", "pytest", "voila"),
)
HERE = "they come with the repository, not with the installed package"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    for offline in (["--offline"], []):  # what built the environment lies in uv's cache
        command = [sys.executable, "-m", "uv", "build", "--wheel", "--quiet", *offline, "--out-dir", folder, ROOT]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode == 0:
            return next(folder.glob("*.whl"))
    if "hatchling" in built.stderr:
        pytest.skip("hatchling, which builds the wheel, is not at hand")
    pytest.fail(built.stderr)


class Outside:
    """A Python with the packages of this one, but without the checkout, and with a home of its own.

    Modules that are `hidden` cannot be imported there, as if they were not installed.
    """

    def __init__(self, folder: Path, hidden: tuple[str, ...] = ()) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=False, symlinks=os.name != "nt")
        self.python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        (folder / "home").mkdir()
        site = next((folder / "venv").rglob("site-packages"))
        # Only what lies in that folder is found: its own .pth files, one of which names the checkout, are not read.
        (site / "packages.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
        line = f"import sys; sys.modules.update(dict.fromkeys({hidden}))"
        (site / "hidden.pth").write_text(line, encoding="utf-8")
        for name in ("voila", "nbconvert"):  # their templates
            templates = Path(sys.prefix) / "share" / "jupyter" / name
            if templates.is_dir():
                shutil.copytree(templates, folder / "venv" / "share" / "jupyter" / name)
        self.run("-m", "ipykernel", "install", "--sys-prefix")

    def environment(self) -> dict[str, str]:
        hidden = ("PYTHON", "MNIST_", "JUPYTER_", "XDG_", "VIRTUAL_ENV", "CUDA_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        own = {"HOME": str(self.folder / "home"), "CUDA_VISIBLE_DEVICES": "", "MPLCONFIGDIR": mpl.get_cachedir()}
        return (
            kept | own | {"MNIST_THREADS": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "PYTHONUTF8": "1"}
        )

    def run(self, *arguments: str | Path, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess:
        where = cwd or self.folder
        where.mkdir(parents=True, exist_ok=True)
        return subprocess.run(
            [self.python, *map(str, arguments)], cwd=where, env=self.environment() | variables,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", check=False,
        )  # fmt: skip

    def install(self, wheel: Path) -> None:
        done = self.run("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Outside:
    outside = Outside(tmp_path_factory.mktemp("installed"))
    outside.install(wheel)
    return outside


def test_the_wheel_holds_the_digits_the_networks_the_records_and_nothing_that_was_made_here(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name.removeprefix("mnist_helpers/") for name in archive.namelist()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    ours = [name for name in tracked if name.startswith(("data/", "pretrained/"))]
    records = ["docs/ablation.csv", "docs/keras-tuned.journal", "docs/sizes.csv"]
    assert {name for name in inside if name.startswith("shipped/")} == {f"shipped/{name}" for name in ours + records}
    assert {"runtime.py", "widgets/pad.js", "widgets/app.ipynb"} <= inside
    assert wheel.stat().st_size <= LARGEST


def shortened(path: Path, folder: Path) -> Path:
    """Copy a lesson without its outputs and with little to compute."""
    page = nbformat.read(path, 4)
    for cell in page.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        for name, value in SHORT.items() if "parameters" in cell.metadata.get("tags", []) else []:
            cell.source = re.sub(rf"^({name}: [^=]+) = .*", rf"\1 = {value}", cell.source, flags=re.MULTILINE)
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(page, folder / path.name)
    return folder / path.name


@pytest.fixture(scope="module")
def lessons(tmp_path_factory) -> Outside:
    return Outside(tmp_path_factory.mktemp("lessons"), hidden=OF_EXTRAS)


def execute(outside: Outside, path: Path, **variables: str) -> None:
    """Run a lesson with another runner than ours."""
    runner = ["-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", outside.folder / "done"]
    done = outside.run(*runner, path, **variables)
    assert done.returncode == 0, f"{path.name}: {done.stderr[-2000:]}"


def test_a_lesson_alone_gets_the_wheel(wheel, lessons):
    (first,) = (shortened(path, lessons.folder / "bare") for path in find_notebooks("01"))
    refused = lessons.run("-m", "nbconvert", "--to", "notebook", "--execute", "--stdout", first)
    assert refused.returncode == 1
    assert "Missing here: mnist_helpers. In a checkout run `make lab`." in refused.stderr
    execute(lessons, first, MNIST_HELPERS_FROM=str(wheel))
    place = lessons.run("-c", "import mnist_helpers; print(mnist_helpers.__file__)").stdout
    assert str(lessons.folder) in place
    assert not [path for path in (lessons.folder / "bare").iterdir() if path.is_dir()]  # no unpacked data, say


@pytest.mark.weekly
def test_the_other_lessons_run_without_a_checkout(wheel, lessons):
    lessons.install(wheel)
    others = [shortened(path, lessons.folder / "others") for path in find_notebooks("02 03 04 05")]
    with ThreadPoolExecutor(2) as two:  # the longest first
        others.sort(key=lambda path: -budget_of(read_notebook(path)))
        list(two.map(lambda path: execute(lessons, path), others))
    # What lessons leave behind: the network and pictures that they speak of.
    assert {path.name for path in (lessons.folder / "others").iterdir() if path.is_dir()} == {"artifacts"}


def test_lessons_find_their_records_in_the_package(installed):
    code = (
        "from mnist_helpers.studies import ablation, search, sizes, variants;"
        "print(*(len(variants.read(one.RECORD)) for one in (ablation, sizes)), search.RECORD.is_file())"
    )
    ablation, sizes = (len((ROOT / f"docs/{name}.csv").read_text().splitlines()) - 1 for name in ("ablation", "sizes"))
    assert installed.run("-c", code).stdout == f"{ablation} {sizes} True\n"


# What each command does in an empty folder: arguments, exit status, what it says, and what it leaves behind.
ALONE = {
    "recipes": (["recipes"], 0, r"walkthrough +two-conv +121,930", set()),
    "evaluate": (["evaluate"], 0, r"Test: loss .* accuracy 99", set()),
    "predict": (["predict", "{seven}"], 0, r"seven\.png: 7 ", set()),
    "filters": (["filters", "--output", "f"], 0, r"filter_1\.png to filter_32\.png are in f", {"f"}),
    "export": (["export", "--output", "a.onnx"], 0, r"Written to a\.onnx", {"a.onnx"}),
    "reproduce": (
        ["reproduce", "--recipes", "fastest-99", "--seeds", "1", "--train-limit", "500"], 0, r"Written to .*artifacts",
        {"artifacts"},
    ),
    "search": (
        ["search", "--study", "s.journal", "--trials", "1", "--epochs", "1", "--train-limit", "100"], 0, r"1 complete",
        {"s.journal"},
    ),
    "train-numbers": (
        ["train-numbers", "--epochs", "1", "--count", "64", "--output", "n"], 0, r"The network is in n", {"n"},
    ),
    "robustness": (["robustness", "--device", "cuda:7"], 1, r"finds no such device here", set()),
    "bench": (["bench", "--device", "cuda:7"], 1, r"finds no such device here", set()),
    "gpu": (["gpu"], 1, r"finds no such device here", set()),
    "ablate": (["ablate", "--device", "cuda:7"], 1, r"finds no such device here", set()),
    "sizes": (["sizes", "--device", "cuda:7"], 1, r"finds no such device here", set()),
    "run-notebooks": (["run-notebooks"], 1, HERE, set()),
    "refresh-notebooks": (["refresh-notebooks"], 1, HERE, set()),
    "workspace": (["workspace"], 1, HERE, set()),
    "lab": (["lab"], 1, HERE, set()),
    "contact-sheet": (["contact-sheet"], 1, HERE, set()),
    "site": (["site", "site"], 1, HERE, set()),
    "student": (["student"], 1, HERE, set()),
    "solutions": (["solutions"], 1, HERE, set()),
    "exam": (["exam", "--seed", "7"], 1, HERE, set()),
    "grade": (["grade", "class.zip"], 1, HERE, set()),
    "hub": (["hub"], 1, HERE, set()),
}  # fmt: skip


# Runs commands, two at a time, each in its folder: forks of one process that has loaded what takes seconds.
FORKS = """
import json, os, runpy, sys
import matplotlib.pyplot, torch._dynamo

asked, names, statuses = json.loads(sys.argv[1]), {}, {}
while len(statuses) < len(asked):
    if len(names) < len(asked) and len(names) < len(statuses) + 2:
        name = list(asked)[len(names)]
        if number := os.fork():
            names[number] = name
            continue
        os.chdir(name)
        for stream, place in ((1, ".stdout"), (2, ".stderr")):
            os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT), stream)
        sys.argv[1:] = asked[name]
        runpy.run_module("mnist_helpers", run_name="__main__", alter_sys=True)
    number, status = os.wait()
    statuses[names[number]] = os.waitstatus_to_exitcode(status)
print(json.dumps(statuses))
"""


@pytest.fixture(scope="module")
def told(installed) -> Callable[[str], tuple[subprocess.CompletedProcess, set[str]]]:
    """Run the commands of the table, each in an empty folder of its own."""
    picture = Image.new("RGB", (300, 200), (240, 240, 230))
    ImageDraw.Draw(picture).line([(60, 40), (125, 40), (85, 140)], fill=(20, 20, 90), width=12)
    picture.save(installed.folder / "seven.png")
    asked = {
        name: [one.format(seven=installed.folder / "seven.png") for one in arguments]
        for name, (arguments, *_) in ALONE.items()
    }
    empty = installed.folder / "empty"
    for name in asked:
        (empty / name).mkdir(parents=True)
    statuses = json.loads(installed.run("-c", FORKS, json.dumps(asked), cwd=empty).stdout)

    def of(name: str) -> tuple[subprocess.CompletedProcess, set[str]]:
        said = [(empty / name / place).read_text(encoding="utf-8") for place in (".stdout", ".stderr")]
        left = {path.name for path in (empty / name).iterdir() if not path.name.startswith(".")}
        return subprocess.CompletedProcess(asked[name], statuses[name], *said), left

    return of


@pytest.mark.parametrize("name", ALONE)
def test_a_command_in_an_empty_folder_works_or_says_what_it_needs(told, name):
    _, status, said, left = ALONE[name]
    done, found = told(name)
    assert done.returncode == status, done.stderr
    assert re.search(said, done.stdout + done.stderr)
    assert "Traceback" not in done.stderr
    if status:
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
    assert found == left


def test_the_table_has_every_command():
    commands = {one.name or one.callback.__name__.replace("_", "-") for one in cli._app().registered_commands}
    assert commands == {*ALONE, "train", "app"}


def test_what_was_trained_is_used_when_it_is_named_and_pointed_out_when_it_is_not(installed):
    folder = installed.folder / "trained"
    done = installed.run("-m", "mnist_helpers", "train", "--recipe", "fastest-99", cwd=folder)
    assert done.returncode == 0, done.stderr
    own = folder / "artifacts" / "mnist" / "fastest-99"
    assert done.stdout.endswith(f"It is used with: evaluate --checkpoint {own}\n")
    shipped = installed.run("-m", "mnist_helpers", "evaluate", cwd=folder)
    assert "recipe handwriting" in shipped.stdout
    assert shipped.stderr == f"This is the network that comes with the project; for yours: --checkpoint {own}\n"
    mine = installed.run("-m", "mnist_helpers", "evaluate", "--checkpoint", own, cwd=folder)
    assert "recipe fastest-99" in mine.stdout
    assert mine.stderr == ""


def test_the_page_is_served(installed):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = installed.folder / "page"
    folder.mkdir()
    command = [installed.python, "-m", "mnist_helpers", "app", "--port", str(port), "--most", "2"]
    server = subprocess.Popen(
        command, cwd=folder, env=installed.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        text = ""
        while not text:
            try:
                text = urlopen(f"http://127.0.0.1:{port}/pad", timeout=120).read().decode()
            except HTTPError:  # it was served, but not what was asked for
                raise
            except (URLError, ConnectionError):
                assert server.poll() is None
                time.sleep(0.2)
    finally:
        server.terminate()
        server.wait(timeout=60)
    assert "Draw digits" in text
    assert "application/vnd.jupyter.widget-view+json" in text
    assert "There was an error" not in text
    assert list(folder.iterdir()) == []
