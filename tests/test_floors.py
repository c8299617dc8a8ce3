"""The package keeps its floors: imports go down, modules stay small, and the lower floors know nothing of Jupyter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_helpers.runtime import ROOT

PACKAGE = ROOT / "mnist_helpers"
FLOORS = [
    {"runtime", "architectures", "augmentation", "kernels"},
    {"datasets", "distributed", "history", "models", "pictures", "recipes"},
    {"data", "checkpoints", "preprocessing"},
    {"evaluation"},
    {"inspection", "training"},
    {"graphs"},
    {"visualization", "pages", "ladder", "drawings"},
    {"widgets", "checks", "notebooks", "editions", "search", "reproduction", "exporting", "peers"},
    {"workspace", "gallery", "benchmark", "ablation", "serving", "classroom"},
    {"gpu"},
    {"commands"},
    {"cli"},
]
CORE = sorted((set.union(*FLOORS[:5]) - {"kernels"}) | {"visualization"})  # kernels belong to Jupyter


def module_name(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_modules(source: str) -> set[str]:
    """Return the modules of this package that a source imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "mnist_helpers":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mnist_helpers."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mnist_helpers.")}
    return names


def floor_of(name: str) -> int:
    return next(number for number, modules in enumerate(FLOORS) if name in modules)


SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name not in ("__init__.py", "__main__.py")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_from_floors_below_its_own(path):  # and from its own package, if it lies in one
    mine = floor_of(module_name(path))
    for name in imported_modules(path.read_text(encoding="utf-8")) - {module_name(path)}:
        assert floor_of(name) < mine, f"{path.name} is on floor {mine} and imports {name} on floor {floor_of(name)}"


def test_the_check_sees_an_import_inside_a_function():
    assert imported_modules("def f():\n    from mnist_helpers import cli\n    import mnist_helpers.data") == {
        "cli",
        "data",
    }


def test_visualization_imports_nothing_of_ours():
    assert not imported_modules((PACKAGE / "visualization.py").read_text(encoding="utf-8"))


def test_the_core_stays_small():
    lines = {name: len((PACKAGE / f"{name}.py").read_text(encoding="utf-8").splitlines()) for name in CORE}
    assert max(lines.values()) <= 250, lines
    assert sum(lines.values()) <= 2_820, lines


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_function_is_longer_than_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 40, f"{path.name}: {node.name} has more than 40 lines"


def imported_with_the_core(names: list[str], expression: str = "") -> list[str]:
    """Import the core in a process of its own; return which names came along, and the value of an expression."""
    program = "; ".join(f"import mnist_helpers.{name}" for name in CORE)
    program += f"; import sys, torch; print(*[name for name in {names} if name in sys.modules], {expression})"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def test_the_core_imports_nothing_of_jupyter():
    assert imported_with_the_core(["IPython", "ipykernel", "nbformat", "papermill", "optuna", "nbgrader"]) == []


def test_importing_the_core_costs_little_more_than_torch_and_touches_no_device():
    slow = ["torchvision", "scipy.stats", "sklearn", "torch._dynamo"]  # a second or more each
    assert imported_with_the_core(slow, "torch.cuda.is_initialized()") == ["False"]
