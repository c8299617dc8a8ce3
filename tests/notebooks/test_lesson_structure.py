"""What nbval cannot see: order of counts, lengths, captions, alt texts, sizes. Each rule is shown to bite."""

import copy
import json
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from docutils.utils.math import mathml_elements
from docutils.utils.math.latex2mathml import parse_latex_math

from mnist_helpers.course.runner import SOURCES, WIDGET_IS_LIVE, find_notebooks
from mnist_helpers.course.site import repository
from mnist_helpers.runtime import ROOT

LESSONS = find_notebooks()
LONGEST_CELL, ONE_LONG_CELL, WIDEST_LINE = 15, 25, 110
CHECKED = "nbval-check-output"
OPENING = "the first code cell is not the folded one that installs what is missing"


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(page: dict) -> list[dict]:
    return [cell for cell in page["cells"] if cell["cell_type"] == "code"]


def lines(cell: dict) -> list[str]:
    text = "".join(cell["source"]).splitlines()
    return [line for line in text if line.strip() and not line.strip().startswith("#")]


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def live(output: dict) -> bool:
    """Say whether a widget stands here in a live page, and on a still one its picture."""
    return WIDGET_IS_LIVE in output.get("data", {}).get("text/plain", "")


def folded(cell: dict) -> bool:
    return cell["metadata"].get("jupyter", {}).get("source_hidden", False)


def problems(page: dict) -> list[str]:
    return [*order_and_outputs(page), *cells(page), *prose(page)]


def order_and_outputs(page: dict):
    code = code_cells(page)
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        yield "the execution counts are not 1…n"
    for cell in code:
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                yield "a cell ended in an error"
            if output.get("name") == "stderr":
                yield "a cell wrote to stderr"
            data = output.get("data", {})
            if "image/png" in data and len(output["metadata"].get("image/png", {}).get("alt", "")) < 20:
                yield "a figure has no alt text"
            if "application/vnd.jupyter.widget-view+json" in data:
                yield "an output is a widget"
        pictures = sum("image/png" in output.get("data", {}) and not live(output) for output in cell["outputs"])
        captions = sum("text/markdown" in output.get("data", {}) for output in cell["outputs"])
        if pictures != captions:
            yield "a figure has no caption"
        text = [o for o in cell["outputs"] if "text" in o or set(o.get("data", {})) - {"image/png", "text/markdown"}]
        if CHECKED in tags(cell) and not text:
            yield "a checked cell has nothing to check"


def cells(page: dict):
    code = code_cells(page)
    if "MNIST_HELPERS_FROM" not in "".join(code[0]["source"]) or not code[0]["metadata"].get("jupyter"):
        yield OPENING
    if [("parameters" in tags(cell)) for cell in code].count(True) != 1 or "parameters" not in tags(code[1]):
        yield "the second code cell is not the one cell tagged parameters"
    if sum(len(lines(cell)) > LONGEST_CELL for cell in code if not folded(cell)) > 1 or any(
        len(lines(cell)) > ONE_LONG_CELL for cell in code
    ):
        yield "a cell is too long"
    if any(len(line) > WIDEST_LINE for cell in code for line in lines(cell)):
        yield "a line is too wide for the page"
    if sum(not folded(cell) for cell in code) > len(page["cells"]) - len(code):
        yield "there are more code cells than prose cells"
    if [folded(cell) for cell in code if draws(cell)].count(False):
        yield "a cell that only draws is not folded"
    if len({cell["id"] for cell in page["cells"]}) != len(page["cells"]):
        yield "two cells have the same id"
    if "papermill" in json.dumps([page["metadata"], [cell["metadata"] for cell in page["cells"]]]):
        yield "papermill left metadata"


def draws(cell: dict) -> bool:
    """Say whether a cell draws a figure, or asks for a guess, and does nothing else that a reader must see."""
    source = "".join(cell["source"])
    return "guesses.ask(" in source or (source.rstrip().endswith(")") and "\nshow_figure(" in source)


def prose(page: dict):
    text = ["".join(cell["source"]) for cell in page["cells"] if cell["cell_type"] == "markdown"]
    together = "\n".join(text)
    levels = [len(marks) for marks in re.findall(r"^(#+) ", together, flags=re.MULTILINE)]
    if levels[:1] != [1] or levels.count(1) != 1 or any(b > a + 1 for a, b in pairwise(levels)):
        yield "the headings do not begin with one title or skip a level"
    for part in (
        *("**After this notebook you can**", "**You need**", "**Time:**"),
        *("## Recap", "## Recall", "## Read on", "## Try next"),
    ):
        if part not in together:
            yield f"the page has no {part}"
    if not 3 <= len(re.findall(r"\*\*(\w+)\*\*", together.split("**You need**")[0])) <= 6:
        yield "the page does not name three to six things that one can do after it"
    questions, answers = recall(together)
    if questions != [1, 2, 3, 4, 5] or answers != 5:
        yield "there are not five questions, each with a folded answer"
    if not 2 <= together.split("## Read on")[-1].split("\n## ")[0].count("](http") <= 4:
        yield "there are not two or three things to read on"
    asked = re.findall(r"guesses\.ask\(\"(.+?)\"", "\n".join(code_sources(page)))
    compared = "".join(source for source in code_sources(page) if "guesses.compare(" in source)
    if not asked or not all(f'"{about}":' in compared for about in asked):
        yield "what is guessed is not compared with what came out"
    if not 2 <= together.count("> **Predict.**") <= 6:
        yield "there are too few or too many predictions to make"
    figures = [float(number) for number in re.findall(r"Figure \d+\.(\d+)\. ", json.dumps(code_sources(page)))]
    if figures != sorted(set(figures)):
        yield "the figures are not numbered in order"


def recall(text: str) -> tuple[list[int], int]:
    """Return the numbers of the questions of a page, and how many answers are folded in well-formed blocks."""
    section = text.split("## Recall")[-1].split("\n## ")[0]
    questions = [int(number) for number in re.findall(r"^\*\*(\d)\.\*\* ", section, flags=re.MULTILINE)]
    answers = re.findall(
        r"^<details><summary>Answer</summary>\n\n.+?\n\n</details>$", section, re.MULTILINE | re.DOTALL
    )
    return questions, len(answers)


def code_sources(page: dict) -> list[str]:
    return ["".join(cell["source"]) for cell in code_cells(page)]


def test_there_are_eleven_lessons():
    assert [path.stem for path in LESSONS] == [
        "01_data", "02_model", "03_training", "04_evaluation", "05_filter_visualization", "06_hyperparameter_search",
        "07_speed", "08_backpropagation", "09_beyond_the_data", "10_honest_evaluation",
        "11_reading_numbers",
    ]  # fmt: skip
    for page, said in (("README.md", "Eleven Jupyter notebooks"), ("docs/site/index.md", "eleven lessons")):
        assert said in (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_keeps_the_rules(path):
    assert problems(read(path)) == []
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    "path",
    [*LESSONS, *find_notebooks(folder=SOURCES / "exercises")],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_the_web_site_can_show_every_formula(path):
    prose = ["".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == "markdown"]
    for display, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", "\n".join(prose), flags=re.DOTALL):
        parse_latex_math(mathml_elements.math(), display or inline)  # what Sphinx calls; it raises where it cannot


OPENINGS = [code_sources(read(path))[0] for path in LESSONS]


def test_all_lessons_open_alike_but_for_what_they_need():
    assert len({re.sub(r"^needed = .*", "", opening, flags=re.MULTILINE) for opening in OPENINGS}) == 1
    assert ["optuna" in opening for opening in OPENINGS] == [path.stem.startswith("06") for path in LESSONS]
    assert all(len(lines({"source": opening.splitlines(keepends=True)})) <= LONGEST_CELL for opening in OPENINGS)


def test_lessons_come_from_the_repository_that_the_project_names():
    source = f"git+{repository()}" if repository() else ""
    assert all(f'os.environ.get("MNIST_HELPERS_FROM", "{source}")' in opening for opening in OPENINGS)


@pytest.mark.parametrize("opening", {*OPENINGS})
def test_a_lesson_alone_installs_its_package_from_where_the_setting_says(monkeypatch, opening):
    commands = []
    monkeypatch.setenv("MNIST_HELPERS_FROM", "git+https://example.org/the course")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if commands else None)
    monkeypatch.setattr("subprocess.run", lambda command, **_: commands.append(command))
    exec(opening, {})
    extra = ["optuna"] if "optuna" in opening else []
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    assert commands == [[*pip, "git+https://example.org/the course", *extra]]


@pytest.mark.parametrize("opening", {*OPENINGS})
@pytest.mark.parametrize("given", ["", "https://example.org/nothing-is-there"])
def test_a_lesson_that_cannot_get_its_package_says_what_to_do(monkeypatch, opening, given):
    monkeypatch.setenv("MNIST_HELPERS_FROM", given)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("subprocess.run", lambda *_, **__: None)
    with pytest.raises(SystemExit, match=r"^Missing here: mnist_helpers.* run `make lab`.*MNIST_HELPERS_FROM"):
        exec(opening, {})


@pytest.mark.parametrize("opening", {*OPENINGS})
def test_where_the_package_is_a_lesson_installs_nothing(monkeypatch, opening):
    monkeypatch.setenv("MNIST_HELPERS_FROM", "https://example.org/another")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("something was installed"))
    exec(opening, {})


def test_three_in_five_of_the_cells_that_tell_something_are_checked_by_nbval():
    code = [cell for path in LESSONS for cell in code_cells(read(path)) if cell["outputs"] and not folded(cell)]
    assert sum(CHECKED in tags(cell) for cell in code) >= 0.6 * len(code)


def swap_counts(page):
    first, second = code_cells(page)[1:3]
    first["execution_count"], second["execution_count"] = second["execution_count"], first["execution_count"]


def forget_count(page):
    code_cells(page)[2]["execution_count"] = None


def first_figure(page):
    return next(o for cell in code_cells(page) for o in cell["outputs"] if "image/png" in o.get("data", {}))


def replace_prose(page, old, new):
    for cell in page["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = "".join(cell["source"]).replace(old, new).splitlines(keepends=True)


FAULTS = {
    "the execution counts are not 1…n": [swap_counts, forget_count],
    "a figure has no alt text": [lambda page: first_figure(page)["metadata"].clear()],
    "a cell wrote to stderr": [
        lambda page: code_cells(page)[1]["outputs"].append(
            {"output_type": "stream", "name": "stderr", "text": ["a warning"]}
        )
    ],
    "a cell ended in an error": [
        lambda page: code_cells(page)[1]["outputs"].append(
            {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}
        )
    ],
    "a checked cell has nothing to check": [
        lambda page: next(cell for cell in code_cells(page) if CHECKED in tags(cell))["outputs"].clear()
    ],
    OPENING: [
        lambda page: code_cells(page)[0]["metadata"].clear(),
        lambda page: code_cells(page)[0].update(source=["import os\n"]),
    ],
    "the second code cell is not the one cell tagged parameters": [
        lambda page: code_cells(page)[1]["metadata"].clear(),
        lambda page: code_cells(page)[3]["metadata"].update(tags=["parameters"]),
    ],
    "a cell is too long": [lambda page: code_cells(page)[1].update(source=["x = 1\n"] * 30)],
    "a line is too wide for the page": [lambda page: code_cells(page)[1].update(source=["x = " + "1" * 120])],
    "two cells have the same id": [lambda page: page["cells"][3].update(id=page["cells"][4]["id"])],
    "papermill left metadata": [lambda page: page["metadata"].update(papermill={})],
    "there are more code cells than prose cells": [
        lambda page: page.update(cells=[c for c in page["cells"] if c["cell_type"] == "code"] + page["cells"][:1])
    ],
    "a cell that only draws is not folded": [
        lambda page: next(cell for cell in code_cells(page) if draws(cell))["metadata"].clear()
    ],
    "there are not five questions, each with a folded answer": [
        lambda page: replace_prose(page, "<details>", "<p>"),
        lambda page: replace_prose(page, "**3.** ", "**4.** "),
    ],
    "there are not two or three things to read on": [lambda page: replace_prose(page, "](http", "](#")],
    "what is guessed is not compared with what came out": [
        lambda page: next(c for c in code_cells(page) if "guesses.compare(" in "".join(c["source"])).update(source=[])
    ],
    "the headings do not begin with one title or skip a level": [
        lambda page: page["cells"][0].update(source=["### Deep\n", *page["cells"][0]["source"][1:]])
    ],
}


@pytest.mark.parametrize(("message", "fault"), [(m, f) for m, faults in FAULTS.items() for f in faults])
def test_each_rule_bites(message, fault):
    page = copy.deepcopy(read(LESSONS[0]))
    fault(page)
    try:
        found = [*order_and_outputs(page), *cells(page), *prose(page)]
    except (IndexError, KeyError):  # a page that lost its prose has no recap to compare
        found = [*order_and_outputs(page), *cells(page)]
    assert message in found
