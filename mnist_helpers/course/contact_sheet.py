"""One picture of what the notebooks show, for the README."""

import base64
import io
import re
from pathlib import Path

from PIL import Image

from mnist_helpers.course.runner import NotebookError, find_notebooks, read_notebook
from mnist_helpers.runtime import whole_file

# Rows of figures, by the numbers in their captions.
CHOICE = [["1.2", "2.1", "3.3"], ["4.2", "4.6", "5.2"], ["5.3", "5.6", "5.8"]]
CELL_WIDTH, CELL_HEIGHT, GAP = 560, 300, 24


def figures(notebooks: list[Path]) -> dict[str, Image.Image]:
    """Collect the figures of executed notebooks by the number in the caption that follows each."""
    found = {}
    for path in notebooks:
        for cell in read_notebook(path).cells:
            picture = None
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                number = re.match(r"\*Figure (\d+\.\d+)", data.get("text/markdown", ""))
                if number and picture:
                    found[number.group(1)] = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
                picture = data.get("image/png", picture)
    return found


def make_contact_sheet(path: Path) -> None:
    """Draw the chosen figures of the committed notebooks on one sheet.

    Raises: NotebookError if a figure is missing.
    """
    found = figures(find_notebooks())
    columns, rows = len(CHOICE[0]), len(CHOICE)
    sheet = Image.new("RGB", (columns * (CELL_WIDTH + GAP) + GAP, rows * (CELL_HEIGHT + GAP) + GAP), "white")
    for row, numbers in enumerate(CHOICE):
        for column, number in enumerate(numbers):
            if number not in found:
                raise NotebookError(f"Figure {number} is in no committed notebook. Run make refresh-notebooks first.")
            figure = found[number]
            factor = min(CELL_WIDTH / figure.width, CELL_HEIGHT / figure.height)
            small = figure.resize(
                (round(figure.width * factor), round(figure.height * factor)), Image.Resampling.LANCZOS
            )
            left = GAP + column * (CELL_WIDTH + GAP) + (CELL_WIDTH - small.width) // 2
            top = GAP + row * (CELL_HEIGHT + GAP) + (CELL_HEIGHT - small.height) // 2
            sheet.paste(small, (left, top))
    with whole_file(path) as temporary:
        sheet.save(temporary, optimize=True)
