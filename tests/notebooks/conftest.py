"""Small notebooks, made for one test each."""

from pathlib import Path

import nbformat
import pytest


@pytest.fixture
def write_notebook(tmp_path):
    def write(name: str, *sources: str, parameters: str = "", budget: float = 60) -> Path:
        page = nbformat.v4.new_notebook(
            metadata={
                "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                "language_info": {"name": "python"},
                "mnist_course": {"budget_seconds": budget},
            }
        )
        if parameters:
            page.cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        page.cells += [nbformat.v4.new_code_cell(source) for source in sources]
        path = tmp_path / "lessons" / name
        path.parent.mkdir(exist_ok=True)
        nbformat.write(page, path)
        return path

    return write
