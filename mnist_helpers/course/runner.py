"""Run the notebooks from end to end and refresh their outputs.

papermill and nbclient do the running. What is added here: parameters are checked before anything starts, two runs at
once stay apart, and every file appears whole.
"""

import ast
import base64
import contextlib
import json
import logging
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_core.utils import ensure_event_loop
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from PIL import Image
from tqdm import tqdm

from mnist_helpers.course.at_once import Kernels, environment, run_at_once, shared_cores
from mnist_helpers.course.kernel import NAME, RUNNING
from mnist_helpers.course.stripping import without_outputs
from mnist_helpers.datasets import DATASETS
from mnist_helpers.errors import DISK_FULL, CourseError
from mnist_helpers.pages import REPORT_MIME, readable
from mnist_helpers.recipes import RECIPES
from mnist_helpers.runtime import (
    ARTIFACTS_VARIABLE,
    ROOT,
    artifacts_folder,
    artifacts_folders,
    held_folder,
    pick_device,
    whole_file,
)

SOURCES = ROOT / "notebooks"
BUILD = ROOT / "build"
DRAWINGS = "figures"  # the folder beside the lessons from which they show drawings
WIDGET_PICTURES = SOURCES / DRAWINGS / "widgets"  # taken in a browser, each named after its class
# Folders that no committed page may name; a home that is the root of the disk, or is not known ("~"), names nothing.
PRIVATE_PLACES = [place for place in (ROOT, Path(os.path.expanduser("~"))) if len(place.parts) > 1]  # noqa: PTH111
SLOW_BY = 1.5  # a run that takes this many times its budget is marked
NOTHING = {"text/plain": ""}  # what a live display leaves when it is over
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
WIDGET_IS_LIVE = "A widget to play with is here when the page runs in JupyterLab."
# What every page names; one that was written elsewhere may name a kernel that is not here.
KERNEL_OF_PAGES = {"display_name": "Python 3", "language": "python", "name": NAME}
KEPT = ("jupyter", "tags")  # of a cell's metadata: is it folded, and what is it
LONGEST_CELL = 60  # seconds; whoever waits longer looks elsewhere


# `check_parameters` knows better: papermill does not read a declaration like `int | None`.
logging.getLogger("papermill").addFilter(lambda record: "unknown parameter" not in record.getMessage())

AT_LEAST_ONE = (lambda value: value is None or value >= 1), "must be at least 1"
# What a parameter may be, beside its type, and what is said of a value that is something else.
ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "dataset": (lambda value: value in DATASETS, f"is not known. Use one of: {', '.join(DATASETS)}"),
    "recipe": (lambda value: value in RECIPES, f"is not known. Use one of: {', '.join(RECIPES)}"),
    **dict.fromkeys(("epochs", "train_limit", "trials", "images", "seeds"), AT_LEAST_ONE),
    "seed": (lambda value: 0 <= value < 2**32, f"must lie between 0 and {2**32 - 1}"),
    "picture": (lambda value: not value or Path(value).is_file(), "is no file"),
}


class NotebookError(CourseError):
    """A notebook or a parameter that does not exist, or a page that must not be committed."""


@dataclass
class RunResult:
    """What running one notebook gave; `failure` is empty when all went well.

    `slowest` is the cell that took longest: the number that stands before it, and its seconds.
    """

    name: str
    seconds: float
    budget: float
    slowest: tuple[int, float] = (0, 0.0)
    numbers: dict[str, Any] = field(default_factory=dict)
    failure: str = ""


def find_notebooks(choice: str = "", folder: Path = SOURCES, option: str = "NOTEBOOKS") -> list[Path]:
    """Return the numbered notebooks, or those whose names begin with the words of `choice` ("01 04").

    `option` is what the choice is called where it was made.

    Raises: NotebookError for a word that fits none.
    """
    notebooks = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    words = choice.split()
    if not notebooks:
        raise NotebookError(
            f"There are no notebooks in {folder}: they come with the repository, not with the installed package. "
            "Run this in a checkout of it."
        )
    for word in words:
        if not any(path.name.startswith(word) for path in notebooks):
            names = ", ".join(path.stem for path in notebooks)
            raise NotebookError(f"{option}={choice!r}: no notebook begins with {word!r}. There are: {names}.")
    return [path for path in notebooks if not words or any(path.name.startswith(word) for word in words)]


def read_parameters(text: str) -> dict[str, str]:
    """Read "epochs=1 dataset=kmnist" into {"epochs": "1", "dataset": "kmnist"}; `check_parameters` knows their kinds.

    Raises: NotebookError for a word that is not name=value.
    """
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""  # a backslash stands in Windows's paths
    try:
        words = list(lexer)
    except ValueError as error:
        raise NotebookError(f"PARAMS={text!r} cannot be read ({error}).") from error
    parameters = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name.isidentifier() and equals):
            raise NotebookError(f"PARAMS: {word!r} is not name=value, as in PARAMS='epochs=1 dataset=fashion_mnist'.")
        parameters[name] = value
    return parameters


def _value(text: str) -> Any:
    """Return what a text stands for, as Python reads it: 1 for "1"; the text itself where it is no literal."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def declared_parameters(notebook: NotebookNode) -> dict[str, tuple[type, ...]]:
    """Return a notebook's parameters with the kinds of value each takes, as its `parameters` cell declares them."""
    kinds = {"str": str, "int": int, "float": float, "bool": bool, "None": type(None)}
    declared = {}
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            for line in ast.parse(cell.source).body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    names = re.findall(r"\w+", ast.unparse(line.annotation))
                    declared[line.target.id] = tuple(kinds[name] for name in names)
    return declared


def check_parameters(parameters: dict[str, Any], paths: list[Path]) -> None:
    """Give parameters their kinds; refuse those that no chosen notebook declares, or whose value is wrong or not known.

    A text stays a text where one is declared ("7" as the name of a picture), and else is what it stands for. Paths
    become absolute.

    Raises: CourseError saying what is allowed.
    """
    declared: dict[str, tuple[type, ...]] = {}
    for path in paths:
        for name, kinds in declared_parameters(read_notebook(path)).items():
            declared[name] = tuple(dict.fromkeys(declared.get(name, ()) + kinds))
    for name, value in parameters.items():
        if name not in declared:
            raise NotebookError(f"PARAMS: {name!r} is not a parameter of these notebooks: {', '.join(declared)}.")
        if isinstance(value, str) and str not in declared[name]:
            value = parameters[name] = _value(value)
        # bool is a kind of int in Python, but epochs=True is a slip; a whole number of seconds is none.
        if type(value) not in (*declared[name], *([int] if float in declared[name] else [])):
            kinds = " or ".join(kind.__name__ for kind in declared[name])
            raise NotebookError(f"PARAMS: {name}={value!r} should be of type {kinds}.")
    for name, value in parameters.items():
        allowed, must = ALLOWED.get(name, (lambda _: True, ""))
        if not allowed(value):
            raise NotebookError(f"PARAMS: {name}={value!r} {must}.")
    if "device" in parameters:
        pick_device(parameters["device"])
    for name in ("picture", "study"):  # the notebook runs in another folder
        if parameters.get(name) and "://" not in parameters[name]:
            parameters[name] = str(Path(parameters[name]).resolve())


def run_notebooks(
    paths: list[Path], parameters: dict[str, Any], output: Path = BUILD / "notebooks", at_once: int = 1
) -> list[RunResult]:
    """Run notebooks, each in a fresh kernel, and put the executed copies into `output`.

    One by one they run in the order given. Several at once share the cores; one whose `after` names others waits for
    them. A notebook that fails does not stop the others. Each is given the parameters that it declares.

    Raises: CourseError before anything runs if a parameter is wrong.
    """
    check_parameters(parameters, paths)
    at_once = min(at_once, len(paths))
    pages = {path: read_notebook(path) for path in paths}
    output.mkdir(parents=True, exist_ok=True)

    def run(path: Path) -> RunResult:
        # The loop of this thread, in which its kernel is talked to: nobody else would close it.
        with contextlib.closing(ensure_event_loop(prefer_selector_loop=True)):
            result = _run_one(path, parameters, staging, bar, kernels)
        kernels.go_on()  # else the page is no more than what was done until then
        (staging / path.name).replace(output / path.name)
        return result

    kernels = Kernels()
    cells = sum(len(page.cells) for page in pages.values())
    with _apart() as staging, shared_cores(at_once), _bar(cells) as bar:
        results = run_at_once(run, _waits_for(pages, at_once), at_once, kernels.end)
    copy_drawings(paths[0].parent, output)
    return [results[path] for path in paths]


def _waits_for(pages: dict[Path, NotebookNode], at_once: int) -> dict[Path, list[Path]]:
    """Return for each page those that it is to run after, in the order in which to begin.

    Several at once end soonest if those begin first for which others wait, and then the longest.
    """
    named = {path.stem: path for path in pages}
    after = {path: [named[name] for name in _said(page, "after", []) if name in named] for path, page in pages.items()}
    if at_once == 1:
        return after
    needed = {path for paths in after.values() for path in paths}
    return {path: after[path] for path in sorted(pages, key=lambda path: (path not in needed, -budget_of(pages[path])))}


def copy_drawings(lessons: Path, folder: Path) -> None:
    """Put the drawings that lessons show beside copies of them in another folder."""
    if (lessons / DRAWINGS).is_dir() and lessons.resolve() != folder.resolve():
        shutil.copytree(lessons / DRAWINGS, folder / DRAWINGS, dirs_exist_ok=True)


def _bar(cells: int) -> tqdm:
    """Return one bar for the cells of all notebooks; a log file gets none."""
    return tqdm(total=cells, unit="cell", file=sys.stderr, dynamic_ncols=True, disable=None)


@contextlib.contextmanager
def _apart() -> Iterator[Path]:
    """Give a run its own folder and artifacts, so that runs at the same time do not mix; publish them at the end."""
    BUILD.mkdir(exist_ok=True)
    published = artifacts_folder()
    with held_folder(BUILD, "run-") as staging:
        places = [staging / "artifacts", *artifacts_folders()]  # written to the first, looked for in all
        with environment(ARTIFACTS_VARIABLE, "\n".join(map(str, places))):
            yield staging
        for file in (staging / "artifacts").rglob("*"):
            # The state for going on with a training is of use only where it was interrupted.
            if file.is_file() and file.parent.name != "resume":
                with whole_file(published / file.relative_to(staging / "artifacts")) as target:
                    shutil.copyfile(file, target)


def _run_one(path: Path, parameters: dict[str, Any], staging: Path, bar: tqdm, kernels: Kernels) -> RunResult:
    notebook = read_notebook(path)
    mine = {name: value for name, value in parameters.items() if name in declared_parameters(notebook)}
    bar.set_description(path.stem)
    begun = []

    def begin(cell: NotebookNode, **_: Any) -> None:
        kernels.go_on()
        begun.append(cell)
        bar.update()

    started, failure = time.perf_counter(), ""
    try:
        papermill.execute_notebook(
            _without_fields(path),
            _without_fields(staging / path.name),
            mine,
            language="python",
            progress_bar=False,
            request_save_on_cell_execute=False,  # to check and write a page hundreds of times takes a core's time
            on_cell_start=begin,
            # Not papermill's `cwd`, which is the whole process's: other pages begin at the same time.
            resources={"metadata": {"path": str(path.parent)}},
            **RUNNING | {"kernel_manager_class": kernels.manager_class},
        )
    except PapermillExecutionError as error:
        failure = f"{path.name}, cell In [{error.exec_count}]: {error.ename}: {error.evalue}"
    except Exception as error:  # a kernel that died, say: whatever it was, the other notebooks still run
        if isinstance(error, OSError) and error.errno in DISK_FULL:  # where they would find no room either
            error.filename = error.filename or str(BUILD)
            raise
        count = sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in begun)
        failure = f"{path.name}{f', cell In [{count}]' if count else ''}: {type(error).__name__}: {error}"
    if not (staging / path.name).exists():
        nbformat.write(_as_far_as_it_went(notebook, begun), staging / path.name)
    bar.update(len(notebook.cells) - len(begun))
    seconds = time.perf_counter() - started
    page = read_notebook(staging / path.name)
    return RunResult(path.stem, seconds, budget_of(notebook), slowest_cell(page), _reported(page), failure)


def _as_far_as_it_went(notebook: NotebookNode, begun: list[NotebookNode]) -> NotebookNode:
    """Return a page whose kernel died with what its cells showed until then, and nothing of an earlier run."""
    page, shown = without_outputs(notebook), {cell.get("id"): cell for cell in begun}
    for cell in page.cells:
        if cell.cell_type == "code" and (ran := shown.get(cell.get("id"))):
            cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
    return page


def _without_fields(path: Path) -> str:
    """Write a path so that papermill, which puts parameters into the braces of paths, arrives at it."""
    return str(path).replace("{", "{{").replace("}", "}}")


def budget_of(notebook: NotebookNode) -> float:
    """Return the seconds that a notebook may take on two cores, from its metadata."""
    return float(_said(notebook, "budget_seconds", 120))


def _said(page: NotebookNode, name: str, otherwise: Any) -> Any:
    return page.metadata.get("mnist_course", {}).get(name, otherwise)


def slowest_cell(page: NotebookNode) -> tuple[int, float]:
    """Return the cell that took longest, as papermill recorded it: its execution count and its seconds."""
    times = [
        (cell.execution_count, cell.metadata.papermill.duration)
        for cell in page.cells
        if cell.get("execution_count") and cell.metadata.get("papermill", {}).get("duration")
    ]
    return max(times, key=lambda time: time[1], default=(0, 0.0))


def _reported(page: NotebookNode) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for cell in page.cells:
        for output in cell.get("outputs", []):
            numbers |= output.get("data", {}).get(REPORT_MIME, {})
    return numbers


def results_table(results: list[RunResult]) -> str:
    """Lay out results as a table, and below it what failed."""
    lines = [f"{'notebook':26} {'seconds':>8} {'budget':>7} {'slowest cell':>13}  reported"]
    for result in results:
        mark = " FAILED" if result.failure else ""
        if result.seconds > SLOW_BY * result.budget:
            mark += f" SLOW: {result.seconds / result.budget:.1f} times its budget"
        number, longest = result.slowest
        if longest > LONGEST_CELL:
            mark += f" LONG CELL: In [{number}] took more than {LONGEST_CELL} s"
        cell = f"[{number}] {longest:.1f}"
        numbers = ", ".join(f"{name} {readable(value)}" for name, value in result.numbers.items())
        lines.append(
            f"{result.name:26} {result.seconds:8.1f} {result.budget:7.0f} {cell:>13}  {numbers}{mark}".rstrip()
        )
    lines.append(f"{'together':26} {sum(r.seconds for r in results):8.1f} {sum(r.budget for r in results):7.0f}")
    lines += [f"\nFAILED {result.failure}" for result in results if result.failure]
    return "\n".join(lines)


def refresh_notebooks(paths: list[Path]) -> list[RunResult]:
    """Run the committed notebooks with their default parameters and put the normalised outputs in place.

    A notebook that fails keeps its old outputs.
    """
    BUILD.mkdir(exist_ok=True)
    with held_folder(BUILD, "refresh-") as folder:
        results = run_notebooks(paths, {}, output=folder)
        for path, result in zip(paths, results, strict=True):
            if result.failure:
                continue
            try:
                text = as_text(normalise(read_notebook(folder / path.name)))
            except NotebookError as error:
                result.failure = f"{path.name}: {error}"
                continue
            with whole_file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    return results


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Take out of an executed notebook what differs from machine to machine or from run to run.

    Raises: NotebookError if an output names a folder of this machine.
    """
    course = notebook.metadata.get("mnist_course", {})
    notebook.metadata = NotebookNode(
        kernelspec=NotebookNode(KERNEL_OF_PAGES),
        language_info=NotebookNode(name="python", file_extension=".py", mimetype="text/x-python"),
        mnist_course=course,
    )
    for number, cell in enumerate(notebook.cells, start=1):
        cell.metadata = NotebookNode({name: cell.metadata[name] for name in KEPT if cell.metadata.get(name)})
        if "outputs" in cell:
            cell.outputs = [output for output in map(_still, cell.outputs) if output.get("data") != NOTHING]
        printed = json.dumps(cell.get("outputs", []), ensure_ascii=False)
        if any(json.dumps(str(place), ensure_ascii=False)[1:-1] in printed for place in PRIVATE_PLACES):
            raise NotebookError(f"Cell {number} prints a folder of this machine; print a path relative to the project.")
    return notebook


def _still(output: NotebookNode) -> NotebookNode:
    output.pop("transient", None)
    if output.get("data", {}).pop(WIDGET_MIME, None) and output.data != NOTHING:
        # Its class: widgets call themselves `Name(value=…)` or `<package.module.Name object at …>`.
        name = re.match(r"\W*(?:\w+\.)*(\w*)", output.data["text/plain"])[1]
        output.data = NotebookNode({"text/plain": WIDGET_IS_LIVE})  # in place of its Python name
        picture = WIDGET_PICTURES / f"{name}.png"
        if picture.is_file():
            output.data["image/png"] = base64.b64encode(picture.read_bytes()).decode()
            output.metadata = NotebookNode({"image/png": {"alt": Image.open(picture).text["Description"]}})
    return output


def as_text(notebook: NotebookNode) -> str:
    """Write a notebook the way it is committed."""
    return nbformat.writes(notebook, version=4, indent=1) + "\n"


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook file.

    Raises: NotebookError if it is none.
    """
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise NotebookError(f"{path} is not a notebook ({error}).") from error
