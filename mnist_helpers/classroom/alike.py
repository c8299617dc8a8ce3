"""Pairs of submissions whose code is alike, side by side, for a person to look at; never a verdict.

Code is compared as MOSS does it (Schleimer, Wilkerson and Aiken, 2003), by copydetect: the names of variables, comments
and spaces do not count. What the sheet gives, what its solution says and what many have written counts for nothing.
"""

import html
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from nbformat import NotebookNode

from mnist_helpers.classroom.submissions import grade_id
from mnist_helpers.errors import MissingExtraError

try:
    from copydetect import CodeFingerprint, compare_files
    from copydetect.utils import highlight_overlap
except ModuleNotFoundError as error:
    raise MissingExtraError("Finding code that is alike needs copydetect", "classroom") from error

SHORTEST = 25  # signs that must be alike in a row, a name counting as one
LEAST = 50  # signs that a pair must have in common to be shown
MOST_PAIRS = 30
MANY = 0.2  # of a class …
AT_LEAST_MANY = 4  # … but more than these: a few friends are not many
LONGEST_CODE = 20_000  # characters of a student's that are compared
BETWEEN = "§"  # two cells, so that nothing is alike across them: no part of Python

HEAD = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Look here</title><style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1rem; }
pre { margin: 0; padding: .6rem; border: 1px solid #999; font-size: .8rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; padding: .3rem 0; }
</style><h1>Look here</h1>
"""
WORDS = """<p>These pairs of submissions have code in common that is neither in the sheet nor in its solution, and that
few others have. The names of variables, comments and spaces were not compared. Marked is what is alike.</p>
<p>There are many reasons for it: two who worked together, as you may have asked them to; the same book; the same idea.
This page says where to look, and nothing about what happened.</p>
"""


@dataclass(frozen=True)
class Alike:
    """Two students' code of one sheet: how many signs of it are alike, and both as HTML with those marked."""

    sheet: str
    students: tuple[str, str]
    signs: int
    pages: tuple[str, str]


def code_of(page: NotebookNode, given: NotebookNode | None = None) -> str:
    """Return the code of a page, but for the cells that are as in what was `given`."""
    known = {"".join(cell.source.split()) for cell in given.cells} if given else set()
    cells = [cell for cell in page.cells if cell.cell_type == "code" and "".join(cell.source.split()) not in known]
    return f"\n{BETWEEN}\n".join(
        f"# {grade_id(cell)}\n{cell.source}" if grade_id(cell) else cell.source for cell in cells
    )


def alike(sheet: str, pages: dict[str, NotebookNode], given: NotebookNode, solution: NotebookNode) -> list[Alike]:
    """Return the pairs of a class that have most in common, the closest first.

    `pages` are those of students, by their ids; `given` is the sheet as handed out.
    """
    prints = {student: _fingerprint(code_of(page, given)) for student, page in pages.items()}
    counts = Counter(one for found in prints.values() for one in found.hashes)
    many = max(AT_LEAST_MANY, MANY * len(prints))
    common = {one for one, count in counts.items() if count > many}
    for known in (given, solution):
        common |= _fingerprint(code_of(known)).hashes
    for found in prints.values():
        found.hashes -= common
        found.hash_idx = {one: places for one, places in found.hash_idx.items() if one in found.hashes}
    pairs = []
    for one, other in combinations(sorted(prints), 2):
        if prints[one].hashes.isdisjoint(prints[other].hashes):
            continue
        signs, _, slices = compare_files(prints[one], prints[other])
        if signs >= LEAST:
            pairs.append((int(signs), one, other, slices))
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    return [
        Alike(sheet, (one, other), signs, (_marked(prints[one], slices[0]), _marked(prints[other], slices[1])))
        for signs, one, other, slices in pairs[:MOST_PAIRS]
    ]


def _fingerprint(code: str) -> CodeFingerprint:
    # Every place counts, where copydetect would choose some: the code is short.
    found = CodeFingerprint("answers.py", SHORTEST, win_size=1, fp=io.StringIO(code[:LONGEST_CODE]))
    pieces = (found.filtered_code[place : place + SHORTEST] for place in range(len(found.filtered_code)))
    found.hashes -= {hash(piece) for piece in pieces if BETWEEN in piece}
    return found


def _marked(found: CodeFingerprint, slices: list) -> str:
    text, _ = highlight_overlap(found.raw_code, slices, "<mark>", "</mark>", escape_html=True)
    return text


def page_of_pairs(pairs: Iterable[Alike]) -> str:
    """Return a page with pairs side by side."""
    blocks = []
    for pair in pairs:
        one, other = map(html.escape, pair.students)
        blocks.append(
            f"<details><summary>{html.escape(pair.sheet)}: {one} and {other}, {pair.signs} signs alike</summary>"
            f'<div class="pair"><div><h2>{one}</h2><pre>{pair.pages[0]}</pre></div>'
            f"<div><h2>{other}</h2><pre>{pair.pages[1]}</pre></div></div></details>"
        )
    found = [WORDS, *blocks] if blocks else ["<p>No two submissions have anything in common that is worth a look.</p>"]
    return "\n".join([HEAD, *found, "</html>\n"])
