"""Pairs of submissions whose code is similar, side by side, for a person to look at; never a verdict.

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
    raise MissingExtraError("Finding similar code needs copydetect", "classroom") from error

SHORTEST = 25  # signs that must be alike in a row, a name counting as one
LEAST = 50  # signs that a pair must have in common to be shown
MOST_PAIRS = 30
MANY = 0.2  # of a class …
AT_LEAST_MANY, AT_MOST_MANY = 4, 12  # … but a few friends are not many, and in a large class a dozen are
LONGEST_CODE = 20_000  # characters of a student's that are compared: first the answers, then other cells

HEAD = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Look here</title><style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1rem; }
pre { margin: 0 0 .6rem; padding: .6rem; border: 1px solid #999; font-size: .8rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; padding: .3rem 0; }
</style><h1>Look here</h1>
"""
WORDS = """<p>These pairs of submissions have code in common that is neither in the sheet nor in its solution, and that
few others have. The names of variables, comments and spaces were not compared. Matching passages are highlighted.</p>
<p>There are many reasons for it: two who worked together, as you may have asked them to; the same book; the same idea.
This page says where to look, and nothing about what happened.</p>
"""


@dataclass(frozen=True)
class Alike:
    """Two students' code of one sheet: how many signs of it are alike, and both as HTML with those highlighted."""

    sheet: str
    students: tuple[str, str]
    signs: int
    pages: tuple[str, str]


class Code:
    """A page's code, cell by cell, answers first, and the sums of all its passages."""

    def __init__(self, page: NotebookNode, given: NotebookNode | None = None) -> None:
        """Take the cells that are not as in what was `given`."""
        known = {"".join(cell.source.split()) for cell in given.cells} if given else set()
        cells = [cell for cell in page.cells if cell.cell_type == "code" and "".join(cell.source.split()) not in known]
        self.cells, left = [], LONGEST_CODE
        for cell in sorted(cells, key=lambda cell: not grade_id(cell)):
            source = cell.source.strip("\n")[:left]  # copydetect's lexer leaves such lines out, and counts on
            left -= len(source)
            # Every passage counts, where copydetect would choose some: the code is short.
            self.cells.append(CodeFingerprint("answers.py", SHORTEST, win_size=1, fp=io.StringIO(source)))

    @property
    def hashes(self) -> set[int]:
        """The sums of all passages."""
        return set().union(*(cell.hashes for cell in self.cells))

    def without(self, common: set[int]) -> None:
        """Leave passages out of what is compared."""
        for cell in self.cells:
            cell.hashes -= common
            cell.hash_idx = {one: places for one, places in cell.hash_idx.items() if one in cell.hashes}

    def like(self, hashes: set[int]) -> tuple[int, str]:
        """Return how many signs lie in passages with these sums, and the code as HTML with those highlighted."""
        other = CodeFingerprint("answers.py", SHORTEST, win_size=1, fp=io.StringIO(""))
        other.hashes, other.hash_idx = hashes, {one: [0] for one in hashes}
        signs, shown = 0, []
        for cell in self.cells:
            count, _, slices = compare_files(cell, other)
            text = html.escape(cell.raw_code)
            if count:
                text, _ = highlight_overlap(cell.raw_code, slices[0], "<mark>", "</mark>", escape_html=True)
            signs += int(count)
            shown.append(f"<pre>{text}</pre>" if cell.raw_code else "")
        return signs, "".join(shown)


def alike(sheet: str, pages: dict[str, NotebookNode], given: NotebookNode, solution: NotebookNode) -> list[Alike]:
    """Return the pairs of a class that have most in common, the closest first.

    `pages` are those of students, by their ids; `given` is the sheet as handed out.
    """
    codes = {student: Code(page, given) for student, page in pages.items()}
    counts = Counter(one for code in codes.values() for one in code.hashes)
    many = min(max(AT_LEAST_MANY, MANY * len(codes)), AT_MOST_MANY)
    common = {one for one, count in counts.items() if count > many} | Code(given).hashes | Code(solution).hashes
    for code in codes.values():
        code.without(common)
    hashes = {student: code.hashes for student, code in codes.items()}
    pairs = []
    for one, other in combinations(sorted(codes), 2):
        both = hashes[one] & hashes[other]
        if both:
            mine, theirs = codes[one].like(both), codes[other].like(both)
            signs = min(mine[0], theirs[0])  # what one of the two has many times over counts once
            if signs >= LEAST:
                pairs.append(Alike(sheet, (one, other), signs, (mine[1], theirs[1])))
    return sorted(pairs, key=lambda pair: (-pair.signs, pair.students))[:MOST_PAIRS]


def page_of_pairs(pairs: Iterable[Alike]) -> str:
    """Return a page with pairs side by side."""
    blocks = []
    for pair in pairs:
        one, other = map(html.escape, pair.students)
        blocks.append(
            f"<details><summary>{html.escape(pair.sheet)}: {one} and {other}, {pair.signs} signs in common</summary>"
            f'<div class="pair"><div><h2>{one}</h2>{pair.pages[0]}</div>'
            f"<div><h2>{other}</h2>{pair.pages[1]}</div></div></details>"
        )
    found = [WORDS, *blocks] if blocks else ["<p>No two submissions have anything in common that is worth a look.</p>"]
    return "\n".join([HEAD, *found, "</html>\n"])
