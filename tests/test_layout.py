"""The package keeps its one rule: who imports whom; functions stay short; the core knows nothing of Jupyter."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from mnist_helpers.runtime import ROOT

PACKAGE = ROOT / "mnist_helpers"
READING = {"reading"}  # on the core
BESIDE = {"widgets", "studies", "checks", "course"}  # on both, and knowing nothing of each other
ABOVE = ["classroom", "commands", "cli"]  # each knows all that stands before it
CORE = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem not in ("__init__", "__main__", "cli"))


def place_of(path: Path) -> str:
    """Return the folder of the package that a source lies in, or its own name if it lies flat."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_places(source: str) -> set[str]:
    """Return the modules and folders of this package that a source imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "mnist_helpers":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mnist_helpers."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mnist_helpers.")}
    return names


def may_import(place: str) -> set[str]:
    """Return what a place may import beside itself: core ← reading ← the folders beside each other ← classroom ← …"""
    if place in CORE:
        return set(CORE) if place != "visualization" else set()
    if place in READING:
        return set(CORE)
    if place in BESIDE:
        return set(CORE) | READING
    return set(CORE) | READING | BESIDE | set(ABOVE[: ABOVE.index(place)])


SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name not in ("__init__.py", "__main__.py")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_what_the_rule_allows(path):
    mine = place_of(path)
    forbidden = imported_places(path.read_text(encoding="utf-8")) - {mine} - may_import(mine)
    assert not forbidden, f"{path.name} lies in {mine} and imports {forbidden}"


def test_the_core_has_no_circle():
    order = TopologicalSorter({name: imported_places((PACKAGE / f"{name}.py").read_text("utf-8")) for name in CORE})
    order.prepare()  # raises CycleError with the modules that make one


def test_the_check_sees_an_import_inside_a_function():
    assert imported_places("def f():\n    from mnist_helpers import cli\n    import mnist_helpers.data") == {
        "cli",
        "data",
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_function_is_longer_than_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 40, f"{path.name}: {node.name} has more than 40 lines"


def test_importing_the_core_brings_torch_nothing_of_jupyter_nothing_slow_and_touches_no_device():
    program = "; ".join(f"import mnist_helpers.{name}" for name in CORE if name != "pages")  # which speaks to Jupyter
    program += "; import sys, torch; print(torch.cuda.is_initialized(), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    initialized, *modules = done.stdout.split()
    assert initialized == "False"
    slow = {"torchvision", "scipy.stats", "sklearn", "torch._dynamo"}  # a second or more each
    assert {"torch", "mnist_helpers.training"} <= set(modules)
    assert not set(modules) & ({"IPython", "ipykernel", "nbformat", "papermill", "optuna", "nbgrader"} | slow)


def test_a_folder_beside_what_is_kept_is_held_so_that_the_next_process_can_clear_it_away():
    made = [path.name for path in sorted(PACKAGE.rglob("*.py")) if "TemporaryDirectory(dir=" in path.read_text("utf-8")]
    assert made == ["runtime.py"]
