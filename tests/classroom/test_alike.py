"""Three planted copies lead the list of a class; what the sheet gives and what all write counts for nothing."""

import copy
import html
import random
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from pupils import ALL, NAME, SHEET, answer, page

sys.path.insert(0, str(Path(__file__).parent.parent / "exercises"))
from other_answers import RIGHT
from wrong_answers import WRONG

from mnist_helpers.classroom.alike import Alike, alike, page_of_pairs
from mnist_helpers.classroom.gradebook import SHEETS
from mnist_helpers.course.stripping import without_solutions

SOLUTION = nbformat.read(SHEETS / f"{NAME}.ipynb", as_version=4)
GIVEN = without_solutions(copy.deepcopy(SOLUTION))
OWN = {
    "sizes": ["rows = 4 * raw[3]\nreturn list(struct.unpack('>' + raw[3] * 'I', raw[4:4 + rows]))"],
    "class_shares": [
        "shares = torch.zeros(10)\nfor digit in range(10):\n    shares[digit] = (labels == digit).sum() / len(labels)\n"
        "return shares"
    ],
}


def pool(name: str) -> list[str]:
    """Return answers to an exercise as students give them: right in many ways, wrong in typical ones."""
    wrong = [SHEET.solutions[name].replace(old, new) for old, new, _ in WRONG[name]]
    own = [answer(name, body.strip("\n")) for body in [*RIGHT.get(name, []), *OWN.get(name, [])]]
    return [SHEET.solutions[name], *wrong, *own]


def disguised(source: str) -> str:
    """Rename what an answer has named itself, lay it out otherwise, and put other comments in."""
    names = set(re.findall(r"^\s+(\w+) = ", source, re.MULTILINE)) | set(re.findall(r"for (\w+) in", source))
    for number, name in enumerate(sorted(names)):
        source = re.sub(rf"\b{name}\b", f"value_{number}", source)
    return source.replace("    ", "  ").replace(", ", ",").replace("\n", "  # I see\n", 1)


def a_class(seed: int, planted: list[tuple[int, int]]) -> dict[str, NotebookNode]:
    chance = random.Random(seed)
    chosen = [{name: chance.choice(pool(name)) for name in sorted(ALL)} for _ in range(37)]
    for one, other in planted:
        own = {name: chance.choice(pool(name)) for name in sorted(ALL)}
        for name in sorted(ALL)[:5]:  # an answer of one's own, made of two that are known
            own[name] = own[name].replace("return", f"kept = [{one}, {one + 1}, len({name!r})]\n    return", 1)
        chosen[one] = own
        chosen[other] = {name: disguised(source) for name, source in own.items()}
    return {f"pupil_{number:02}": page(answers=answers) for number, answers in enumerate(chosen)}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_three_planted_copies_lead_the_list(seed):
    planted = [(3, 30), (11, 12), (0, 36)]
    found = alike(NAME, a_class(seed, planted), GIVEN, SOLUTION)
    assert {pair.students for pair in found[:3]} == {(f"pupil_{a:02}", f"pupil_{b:02}") for a, b in planted}


def test_what_the_sheet_gives_what_the_solution_says_and_what_many_write_is_nothing():
    assert alike(NAME, {"ann": page(), "bob": page(), "cid": page(ALL), "dora": page(ALL)}, GIVEN, SOLUTION) == []
    own = {name: pool(name)[-1] for name in ALL}
    two = {"ann": page(answers=own), "bob": page(answers=own)}
    (pair,) = alike(NAME, two, GIVEN, SOLUTION)
    assert pair.students == ("ann", "bob")
    class_of = {f"pupil_{number}": page(answers=own) for number in range(20)}
    assert alike(NAME, class_of, GIVEN, SOLUTION) == []


def test_what_is_marked_is_the_students_code_and_nothing_in_it_runs():
    own = {"sizes": pool("sizes")[-1] + "\n# <script>alert(1)</script>"}
    (pair,) = alike(NAME, {"ann": page(answers=own), "bob": page(answers=own)}, GIVEN, SOLUTION)
    text = page_of_pairs([pair])
    assert "<script" not in text
    marked = html.unescape("".join(re.findall(r"<mark>(.*?)</mark>", pair.pages[0], re.DOTALL)))
    assert "struct.unpack" in marked
    assert "default-src 'none'" in text


def test_the_page_gives_no_verdict():
    text = page_of_pairs([Alike(NAME, ("ann <b>", "bob"), 120, ("x", "x"))])
    assert "<h1>Look here</h1>" in text
    assert "120 signs in common" in text
    assert "ann &lt;b&gt;" in text
    assert not re.search(r"cheat|copied|plagiar|guilt|suspect|fraud", text, re.IGNORECASE)
    assert "No two submissions" in page_of_pairs([])


@pytest.mark.parametrize(
    "first",
    ["# nothing\n" * 800, "'''", "\n" * 500 + "x = 1", "((" * 4_000, "\x00", '"' * 5_000, "%matplotlib inline\n!ls"],
    ids=["comments", "an open text", "empty lines", "brackets", "a zero", "quotes", "magic"],
)
def test_cells_of_one_s_own_hide_nothing_and_highlight_the_same(first):
    own = {name: pool(name)[-1] for name in ALL}
    pages = {"ann": page(answers=own), "bob": page(answers={name: disguised(own[name]) for name in ALL})}
    (plain,) = alike(NAME, pages, GIVEN, SOLUTION)
    pages["ann"].cells[1:1] = [new_code_cell(first) for _ in range(3)]
    (hidden,) = alike(NAME, pages, GIVEN, SOLUTION)
    assert hidden.signs == plain.signs
    marks = [re.findall(r"<mark>.*?</mark>", pair.pages[0], re.DOTALL) for pair in (hidden, plain)]
    assert marks[0] == marks[1]


def test_what_one_has_many_times_over_counts_once():
    row = "x = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]\n"
    pages = {"ann": new_notebook(cells=[new_code_cell(row * 100)]), "bob": new_notebook(cells=[new_code_cell(row * 2)])}
    (pair,) = alike(NAME, pages, GIVEN, SOLUTION)
    (turned,) = alike(NAME, {"ann": pages["bob"], "bob": pages["ann"]}, GIVEN, SOLUTION)
    assert pair.signs == turned.signs < 200


@pytest.mark.parametrize("source", ["", "\n\n", "def f(:\n\t  x", "é" * 30_000])
def test_whatever_is_written_there_is_compared_with_itself(source):
    pages = {name: new_notebook(cells=[new_code_cell(source)]) for name in ("ann", "bob")}
    found = alike(NAME, pages, GIVEN, SOLUTION)
    assert [pair.students for pair in found] in ([], [("ann", "bob")])
    assert page_of_pairs(found).endswith("</html>\n")
