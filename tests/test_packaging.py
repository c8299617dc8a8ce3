"""What the project says about itself in several places must agree."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import needs
import pytest
import yaml

from mnist_helpers import cli
from mnist_helpers.commands import course
from mnist_helpers.course.runner import budget_of, find_notebooks
from mnist_helpers.runtime import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_IN_CONDA_FORGE = {"axe-playwright-python"}
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "playwright": "playwright-python"}
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


HEAVY = {"bench", "labels"}  # only for those who compare with Keras, or with cleanlab


def requirements(without: set[str] = frozenset()) -> list[str]:
    """Return all requirements, those of the extras too; `dev` holds the other extras by name."""
    extras = PROJECT["project"]["optional-dependencies"]
    ours = [one for name, extra in extras.items() if name not in without for one in extra]
    return PROJECT["project"]["dependencies"] + [one for one in ours if not one.startswith("mnist-helpers[")]


def tried_pythons() -> list[int]:
    """Return the versions of Python 3 that the project says it was tried with."""
    return [int(minor) for minor in re.findall(r"Python :: 3\.(\d+)", " ".join(PROJECT["project"]["classifiers"]))]


def test_the_pythons_that_are_claimed_are_those_that_are_tried():
    assert PROJECT["project"]["requires-python"] == f">=3.{tried_pythons()[0]}"
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in tried_pythons()]
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            version = step.get("with", {}).get("python-version", "${{ matrix.python }}")
            assert version in ["${{ matrix.python }}", f"3.{tried_pythons()[-1]}"]
    for step in workflow["jobs"]["without-make"]["steps"]:
        assert step.get("run", "") in README
    others = yaml.safe_dump(workflow["jobs"]["without-make"])
    assert "macos-latest" in others
    assert "windows-latest" in others
    assert workflow["jobs"]["newest"]["if"] == "github.event_name == 'schedule'"


def test_the_developers_extra_brings_all_others_but_the_heavy():
    extras = PROJECT["project"]["optional-dependencies"]
    assert f"mnist-helpers[{','.join(name for name in extras if name not in {'dev', *HEAVY})}]" in extras["dev"]


def test_a_student_without_make_gets_all_that_the_sheets_and_lessons_need():
    (line,) = re.findall(r'pip install .*"\.\[(.+)\]"', (ROOT / "docs" / "student.md").read_text(encoding="utf-8"))
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(line.split(",")) == set(extras) - {"dev", "site", *HEAVY}


def from_pip(environment: dict) -> list[str]:
    """Return what conda leaves to pip."""
    return environment["dependencies"][-1]["pip"]


def test_conda_gets_the_same_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    assert 12 in tried_pythons()
    expected = {"python=3.12", "pip"}  # of a range, repo2docker understands nothing
    for requirement in set(requirements(without=HEAVY)) - set(from_pip(environment)):
        name, version = re.fullmatch(r"([\w-]+)(>=[\d.]+)", requirement).groups()
        assert name not in NOT_IN_CONDA_FORGE
        expected.add(CONDA_NAMES.get(name, name) + version)
    assert set(conda) == expected
    assert environment["channels"] == ["conda-forge"]


def test_binder_gets_the_package_itself_from_the_file_that_it_reads():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert from_pip(environment)[-1] == "-e ."
    # repo2docker would take a file of these in its place, or beside it.
    for name in ("binder", ".binder", "requirements.txt", "Pipfile", "Dockerfile", "setup.py", "postBuild"):
        assert not (ROOT / name).exists(), name


def test_the_container_for_editors_is_made_by_the_same_commands():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    version = container["image"].rpartition(":")[2]
    assert f">={version}" == PROJECT["project"]["requires-python"]
    assert f"--python-version {version}" in MAKEFILE  # the lock's
    setup, then = container["postCreateCommand"].split(" && ")
    assert setup == "make setup TORCH_BACKEND=cpu"
    python, _, command = then.partition(" -m mnist_helpers ")
    assert python == ".venv/bin/python"
    assert callable(getattr(course, command))
    assert "VENV = .venv\n" in MAKEFILE
    settings = container["customizations"]["vscode"]["settings"]
    assert settings == {"python.defaultInterpreterPath": f"${{workspaceFolder}}/{python}"}
    pad = inspect.signature(course.app).parameters["port"].default
    assert f"PORT ?= {pad}\n" in MAKEFILE
    assert container["forwardPorts"] == [pad, 8888]
    assert set(container["portsAttributes"]) == {str(port) for port in container["forwardPorts"]}


@needs.MAKE
@pytest.mark.parametrize(
    ("given", "told"), [("NVIDIA=", True), ("NVIDIA=a-driver", False), ("TORCH_BACKEND=cpu", False)]
)
def test_setting_up_says_where_the_small_build_will_do(given, told):
    command = ["make", "--dry-run", "--what-if=requirements-lock.txt", "setup", "TORCH_BACKEND=", "NVIDIA=", given]
    plan = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ("make setup TORCH_BACKEND=cpu takes about 1.7 GB" in plan) is (told and sys.platform == "linux")


def test_the_lock_holds_every_requirement_exactly_and_no_address():
    lock = (ROOT / "requirements-lock.txt").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--" not in lock
    pinned = set(re.findall(r"^([\w.-]+)==", lock, flags=re.MULTILINE))
    assert all("==" in line for line in lock.splitlines())
    for requirement in requirements():
        assert re.split(">=", requirement)[0] in pinned
    assert pinned.isdisjoint(PROJECT["tool"]["uv"]["exclude-dependencies"])


def test_every_dependency_is_justified_in_one_line():
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for requirement in requirements():
        name = re.split(">=", requirement)[0]
        assert re.search(rf"^\| `{name}` \| .+ \|$", contributing, flags=re.MULTILINE), name


@pytest.mark.parametrize("path", find_notebooks(), ids=lambda path: path.stem)
def test_the_readme_the_notebook_and_its_budget_name_the_same_seconds(path):
    notebook = nbformat.read(path, as_version=4)
    row = re.search(rf"^\| \[.*\]\(notebooks/{path.name}\) \|.*\| (\d+) min \| (\d+) s \|$", README, flags=re.MULTILINE)
    assert row, f"the README's table has no row for {path.name}"
    minutes, seconds = map(int, row.groups())
    head = notebook.cells[0].source
    assert f"**Time:** {minutes} minutes to read; the code runs in about {seconds} seconds on two cores." in head
    assert seconds <= budget_of(notebook) <= 2 * seconds


def test_every_make_target_that_the_readme_names_exists():
    made = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= made


def test_what_the_readme_does_with_make_is_done_without_it_too():
    commands = {command.callback.__name__.replace("_", "-") for command in cli._app().registered_commands}
    lines = set(re.findall(r"^\| `make ([a-z-]+)` \|", README, flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) - commands - lines == {"setup"}  # which has a paragraph


def numbered(places: str) -> set[int]:
    """Return the notebooks that "all" or "2 to 7, 9" means."""
    spans = [part.split(" to ") for part in places.replace("all", "1 to 11").split(", ")]
    return {number for span in spans for number in range(int(span[0]), int(span[-1]) + 1)}


def test_the_table_of_parameters_is_that_of_the_notebooks():
    rows = re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| .+ \| (all|[0-9 to,]+) \|$", README, flags=re.MULTILINE)
    table = {name: numbered(places) for names, places in rows for name in re.findall("[a-z_]+", names)}
    for path in find_notebooks():
        cells = nbformat.read(path, 4).cells
        (parameters,) = (cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))
        told = {name for name, numbers in table.items() if int(path.name[:2]) in numbers}
        assert set(re.findall("^([a-z_]+):", parameters, flags=re.MULTILINE)) == told, path.name


@needs.MAKE
@needs.LINKS
@pytest.mark.parametrize("place", ["plain", "[CS101] Mein Kurs.v2 ü?", "link"])
def test_make_hands_values_over_as_they_stand_wherever_it_is(tmp_path, place):
    (tmp_path / "plain").mkdir()
    (tmp_path / "link").symlink_to("plain")
    folder = tmp_path / place
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    unwanted = ("PYTHONOPTIMIZE", "PYTHONDONTWRITEBYTECODE")  # no checks; each process compiles all that it imports
    seen = "".join(f"${{{name}-}}" for name in unwanted)
    python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$MNIST_ARTIFACTS" "unwanted: {seen}" "$@"')
    python.chmod(0o755)
    needed = ("requirements-lock.txt", "pyproject.toml", "mnist_helpers/course/kernel.py")
    for file in (*needed, "notebooks/01_a.ipynb", ".venv/.ready"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    shutil.copy(ROOT / "Makefile", folder)
    params = r"""picture="my digit.png" study='C:\a\b c' seed=-1"""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    variables |= dict.fromkeys(unwanted, "1")
    for arguments in (["run-notebooks", f"PARAMS={params}", "NOTEBOOKS=01 04"], ["test"]):
        command = ["make", "-s", *arguments]
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[1] == "unwanted: "
        if arguments == ["test"]:
            assert Path(lines[0]).resolve() == folder.resolve() / "build" / "test-artifacts"
            assert lines[-2:] == ["notebooks/01_a.ipynb", "tests"]
        else:
            assert lines[-4:] == ["--notebooks", "01 04", "--params", params]


def test_every_link_in_the_readme_and_the_notebooks_leads_somewhere():
    pages = [(ROOT, README), (ROOT, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))]
    for path in find_notebooks():
        pages += [(path.parent, cell.source) for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    for folder, text in pages:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (folder / target).exists(), target


@needs.MAKE
def test_make_alone_lists_every_target():
    listing = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, flags=re.MULTILINE)
    for target in phony.group(1).split():
        assert f"make {target} " in listing


@pytest.fixture
def committed_texts() -> list[str]:
    """The names of all committed files that hold text."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not listed:
        pytest.skip("this is not a git checkout")
    return [name for name in listed.splitlines() if not name.endswith((".gz", ".png", ".safetensors", ".npz"))]


def test_git_lays_out_the_same_lines_on_windows(committed_texts):
    command = ["git", "check-attr", "eol", "--", *committed_texts]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {line.rpartition(" ")[2] for line in said} == {"lf"}


def test_no_committed_text_names_a_machine_or_a_registry(committed_texts):
    """The home of "jovyan" is one in containers: Zero to JupyterHub's, wherever it runs."""
    for name in committed_texts:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"/home/(?!jovyan\b)[a-z]|/Users/[a-z]|[-]-(extra-)?index-url|/simple[/\s]", text), name


def test_ci_runs_the_readme_s_commands_and_the_short_set_with_another_python():
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    # `make test` runs the lessons as they are committed, so papermill's run can show that other settings reach them.
    for line in ("make lint", 'make run-notebooks PARAMS="epochs=1.*"', "make test test-all", "with_the_other quick"):
        assert re.search(rf"^ *{line}$", commands, re.MULTILINE), line


def test_the_workers_of_lesson_6_compute_where_the_lesson_does():
    (lesson,) = find_notebooks("06")
    assert 'command += [f"--device={device}"]' in "\n".join(cell.source for cell in nbformat.read(lesson, 4).cells)
