"""Each widget that a lesson shows has a picture for still pages, with a description, and no picture is left over."""

import json
import re
from base64 import b64decode

import nbformat
import pytest
from PIL import Image
from widget_pictures import LARGEST, WIDTH, widget_classes

from mnist_helpers.course.runner import WIDGET_IS_LIVE, WIDGET_PICTURES, find_notebooks

PICTURES = sorted(WIDGET_PICTURES.glob("*.png"))


def shown_in(page: nbformat.NotebookNode) -> dict[str, nbformat.NotebookNode]:
    """Return the output of each widget that a lesson shows, by its class: each live cell ends with one."""
    live = [cell for cell in page.cells if WIDGET_IS_LIVE in json.dumps(cell.get("outputs", []))]
    return {re.match(r"\w+", cell.source.splitlines()[-1])[0]: cell.outputs[-1] for cell in live}


SHOWN = {name: output for path in find_notebooks() for name, output in shown_in(nbformat.read(path, 4)).items()}


def test_each_widget_that_a_lesson_shows_has_a_picture_and_each_picture_such_a_widget():
    assert [path.stem for path in PICTURES] == sorted(SHOWN)
    assert widget_classes().keys() >= SHOWN.keys()


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_the_committed_page_shows_the_picture_as_it_is_now(path):
    assert b64decode(SHOWN[path.stem].data.get("image/png", "")) == path.read_bytes()


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_fits_the_page_and_says_what_it_shows(path):
    with Image.open(path) as picture:
        assert picture.width <= WIDTH
        assert picture.convert("L").getextrema()[0] < 128  # not an empty sheet
        description = picture.text["Description"]
    assert widget_classes()[path.stem].__doc__.partition("\n")[0] in description
    assert len(description) >= 80
    assert path.stat().st_size <= LARGEST
