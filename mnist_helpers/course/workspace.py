"""The learner's own copies of the notebooks: clean, and never overwritten once changed."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from nbformat import NotebookNode

from mnist_helpers.course.runner import (
    KERNEL_OF_PAGES,
    SOURCES,
    as_text,
    copy_drawings,
    find_notebooks,
    read_notebook,
)
from mnist_helpers.course.stripping import has_solutions, without_outputs, without_solutions
from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import ROOT, whole_file

LAB_SETTINGS = ROOT / "lab"
SETTINGS_VARIABLE = "JUPYTER_CONFIG_PATH"
DOCUMENT = re.compile(r"\]\(\.\./(docs/[\w-]+\.md)\)")  # what a lesson links to outside of its folder


def copy_notebooks(workspace: Path, folder: Path = SOURCES) -> list[str]:
    """Put copies without outputs and solutions into a workspace; return a line for each that was made or kept.

    A copy that the learner changed is never touched: when the original has changed too, its new version is laid beside
    it under another name.
    """
    originals = [*find_notebooks(folder=folder), *sorted(folder.glob("*/**/*.ipynb"))]
    workspace.mkdir(parents=True, exist_ok=True)
    copy_drawings(folder, workspace)
    register = workspace / ".originals.json"
    known = _read_register(register)
    lines = []
    for path in originals:
        if ".ipynb_checkpoints" not in path.parts:
            name = path.relative_to(folder).as_posix()
            page = read_notebook(path)
            _copy_documents(page, folder.parent, workspace)
            page.metadata.kernelspec = NotebookNode(KERNEL_OF_PAGES)
            try:
                fresh = as_text(without_solutions(page) if has_solutions(page) else without_outputs(page))
            except CourseError as error:  # nbgrader is not installed
                lines.append(f"{name}: left out. {error}")
                continue
            lines += _copy_one(workspace, name, fresh, known.get(name))
            known[name] = _digest(fresh)
    with whole_file(register) as temporary:
        temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return lines


def open_lab(workspace: Path) -> int:
    """Open JupyterLab on a workspace, with the course's settings, in place of this process; return its exit status."""
    named = [str(LAB_SETTINGS), os.environ.get(SETTINGS_VARIABLE, "")]
    os.environ[SETTINGS_VARIABLE] = os.pathsep.join(filter(None, named))
    command = [sys.executable, "-m", "jupyterlab", "--notebook-dir", str(workspace)]
    if sys.platform == "win32":  # there no process takes the place of another
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is JupyterLab's to answer
        return subprocess.call(command)
    return os.execv(sys.executable, command)


def _copy_documents(page: NotebookNode, home: Path, workspace: Path) -> None:
    """Put the documents that a lesson links to into the workspace, above which JupyterLab opens nothing."""
    for cell in page.cells:
        for name in DOCUMENT.findall(cell.source):
            if (home / name).is_file():
                (workspace / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(home / name, workspace / name)


def _read_register(path: Path) -> dict[str, str]:
    """Return the digests of the originals as they were copied; with no register, every copy counts as changed."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _copy_one(workspace: Path, name: str, fresh: str, known: str | None) -> list[str]:
    copy, line = workspace / name, f"{name}: new"
    if copy.exists():
        mine = copy.read_text(encoding="utf-8", errors="replace")
        if mine == fresh or (known == _digest(fresh) and known != _digest(mine)):
            return []  # up to date, or changed by the learner alone
        if known != _digest(mine):
            copy = copy.with_name(f"{copy.stem}.new-{_digest(fresh)[:6]}.ipynb")
            if copy.exists():
                return []
            name = copy.relative_to(workspace).as_posix()
            line = f"{name}: the new version of a notebook that you changed; yours is kept as it is"
        else:
            line = f"{name}: brought up to date"
    with whole_file(copy) as temporary:
        temporary.write_text(fresh, encoding="utf-8")
    return [line]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
