"""The exercise notebooks, and the solutions in them."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat

from mnist_helpers.runtime import ROOT

SOLUTION = re.compile(r"^ *### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION\n?", re.DOTALL | re.MULTILINE)
PAGES = sorted((ROOT / "notebooks" / "exercises").glob("*.ipynb"))


@dataclass
class Sheet:
    """An exercise notebook."""

    path: Path

    @cached_property
    def page(self) -> nbformat.NotebookNode:
        return nbformat.read(self.path, as_version=4)

    def cells(self, **marks: bool) -> list[nbformat.NotebookNode]:
        """Return the cells whose nbgrader marks are these."""
        found = [cell for cell in self.page.cells if "nbgrader" in cell.metadata]
        return [cell for cell in found if all(cell.metadata.nbgrader[name] == value for name, value in marks.items())]

    @cached_property
    def solutions(self) -> dict[str, str]:
        """Return the source of each solution, by the name of its function."""
        cells = [cell for cell in self.cells(solution=True, grade=False) if cell.cell_type == "code"]
        return {cell.metadata.nbgrader.grade_id: cell.source.replace("### ", "# ") for cell in cells}

    @cached_property
    def surroundings(self) -> dict:
        """Run the first cell and all solutions; return what they have defined."""
        names: dict = {}
        exec(self.cells(grade=False, solution=False)[0].source, names)
        for source in self.solutions.values():
            exec(source, names)
        return names

    def answer(self, name: str, source: str):
        """Return the function that a source defines, beside the solutions of the others."""
        names = dict(self.surroundings)
        exec(source, names)
        return names[name]

    def check(self, name: str):
        return getattr(self.surroundings["checks"], name)

    def stub(self, name: str) -> str:
        """Return a solution as a learner finds it."""
        (cell,) = [cell for cell in self.cells(solution=True) if cell.metadata.nbgrader.grade_id == name]
        return SOLUTION.sub("    raise NotImplementedError()\n", cell.source + "\n")


SHEETS = {path.stem: Sheet(path) for path in PAGES}
EXERCISES = [(sheet, name) for sheet in SHEETS.values() for name in sheet.solutions]


def by_name(name: str) -> Sheet:
    return next(sheet for sheet in SHEETS.values() if name in sheet.solutions)
