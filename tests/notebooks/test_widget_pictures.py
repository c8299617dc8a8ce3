"""Each widget that a lesson shows has a picture for still pages, with a description, and no picture is left over."""

import json
import re

import nbformat
import pytest
from PIL import Image
from widget_pictures import LARGEST, WIDTH, widget_classes

from mnist_helpers.course.runner import WIDGET_IS_LIVE, WIDGET_PICTURES, find_notebooks

PICTURES = sorted(WIDGET_PICTURES.glob("*.png"))


def shown_in(page: nbformat.NotebookNode) -> set[str]:
    """Return the classes of the widgets that a lesson shows: each live cell ends with one."""
    live = [cell.source for cell in page.cells if WIDGET_IS_LIVE in json.dumps(cell.get("outputs", []))]
    return {re.match(r"\w+", source.splitlines()[-1])[0] for source in live}


SHOWN = {name for path in find_notebooks() for name in shown_in(nbformat.read(path, 4))}


def test_each_widget_that_a_lesson_shows_has_a_picture_and_each_picture_such_a_widget():
    assert [path.stem for path in PICTURES] == sorted(SHOWN)
    assert widget_classes().keys() >= SHOWN


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_fits_the_page_and_says_what_it_shows(path):
    with Image.open(path) as picture:
        assert picture.width <= WIDTH
        assert picture.convert("L").getextrema()[0] < 128  # not an empty sheet
        description = picture.text["Description"]
    assert widget_classes()[path.stem].__doc__.partition("\n")[0] in description
    assert len(description) >= 80
    assert path.stat().st_size <= LARGEST
