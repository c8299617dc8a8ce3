"""What a notebook becomes before it is handed out: without outputs, and an exercise without its solutions."""

from nbformat import NotebookNode

from mnist_helpers.errors import MissingExtraError

STUB = "raise NotImplementedError()"


def without_outputs(notebook: NotebookNode) -> NotebookNode:
    """Return the notebook with no outputs and no execution counts."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def has_solutions(notebook: NotebookNode) -> bool:
    """Say whether a notebook holds solutions to take out."""
    return any("BEGIN SOLUTION" in cell.source for cell in notebook.cells)


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """Return an exercise notebook as a student gets it: no solutions, no hidden tests, its checks locked.

    Raises: CourseError if nbgrader is not installed.
    """
    try:
        from nbgrader import preprocessors
    except ModuleNotFoundError as error:
        raise MissingExtraError("Exercises need nbgrader to take their solutions out", "classroom") from error
    for step in (
        preprocessors.LockCells(),
        preprocessors.ClearSolutions(code_stub={"python": STUB}),
        preprocessors.ClearOutput(),
        preprocessors.ClearHiddenTests(),
        preprocessors.ComputeChecksums(),
    ):
        notebook, _ = step.preprocess(notebook, {})
    return notebook
