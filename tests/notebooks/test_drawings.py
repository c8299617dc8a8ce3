"""The drawings of the lessons: shown, described, legible on any background, and with nothing in them that acts."""

import re
import xml.etree.ElementTree as ET

import nbformat
import pytest

from mnist_helpers.course.runner import DRAWINGS, SOURCES, find_notebooks

SVG = "{http://www.w3.org/2000/svg}"
FOLDER = SOURCES / DRAWINGS
FILES = sorted(FOLDER.glob("*.svg"))
HARMLESS = {"svg", "title", "desc", "defs", "marker", "g", "rect", "circle", "ellipse", "line", "polyline", "polygon"}
HARMLESS |= {"path", "text", "tspan", "pattern", "use"}
WIDEST, SMALLEST_TEXT = 760, 12


def shown_in(lesson: str) -> dict[str, str]:
    """Return the drawings that a lesson shows, by file name, with their alt texts."""
    (path,) = find_notebooks(lesson)
    prose = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
    return {name: alt for alt, name in re.findall(r"!\[([^]]*)\]\(figures/([^)]+)\)", prose)}


@pytest.mark.parametrize("lesson", ["01", "02", "03", "04", "05"])
def test_each_lesson_of_the_path_has_a_drawing(lesson):
    assert shown_in(lesson)


def test_what_is_shown_is_there_and_what_is_there_is_shown_where_its_name_says():
    shown = {name: path.stem[:2] for path in find_notebooks() for name in shown_in(path.stem)}
    assert sorted(shown) == [path.name for path in FILES]
    assert all(name.startswith(lesson) for name, lesson in shown.items())


@pytest.mark.parametrize("lesson", [path.stem for path in find_notebooks()])
def test_a_drawing_is_described_and_has_a_caption(lesson):
    (path,) = find_notebooks(lesson)
    cells = [cell.source for cell in nbformat.read(path, 4).cells if "](figures/" in cell.source]
    for source in cells:
        assert re.search(r"\]\(figures/[^)]+\)\n\n\*Drawing \d+\.\d+\. .+\*", source)
    assert all(len(alt) >= 40 for alt in shown_in(lesson).values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_drawing_reads_alike_everywhere_and_does_nothing(path):
    root = ET.parse(path).getroot()
    assert root.find(f"{SVG}title").text
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= HARMLESS
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]
    assert not re.search(r"https?://(?!www\.w3\.org/)|url\((?!#)|href=\"(?!#)", path.read_text())
    _left, _top, width, height = map(float, root.get("viewBox").split())
    assert float(root.get("width")) <= WIDEST
    panel = next(element for element in root.iter(f"{SVG}rect"))
    assert panel.get("fill") == "#fcfcfb"  # its own paper, in light and dark
    assert float(panel.get("width")) >= width - 2
    assert float(panel.get("height")) >= height - 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_words_of_a_drawing_can_be_read(path):
    root = ET.parse(path).getroot()
    scale = float(root.get("width")) / float(root.get("viewBox").split()[2])
    inherited = float(root.get("font-size", 0))

    def sizes(element, size):
        size = float(element.get("font-size", size))
        if element.tag in (f"{SVG}text", f"{SVG}tspan"):
            yield size * scale
        for child in element:
            yield from sizes(child, size)

    assert all(size >= SMALLEST_TEXT for size in sizes(root, inherited))
