"""What a class guessed at *Predict*, from the files that students hand in with their sheets, beside what came out.

A lesson keeps a learner's guesses in `guesses.json` (see `widgets.guesses`). Whoever hands that file in shares them.
"""

import functools
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nbformat

from mnist_helpers.classroom.outcomes import harmless
from mnist_helpers.classroom.submissions import HandedInFile
from mnist_helpers.course.runner import SOURCES
from mnist_helpers.runtime import whole_file
from mnist_helpers.widgets.guesses import LONGEST

FOLDER = "guesses"  # beside the book of marks
NAMED = re.compile(r".*guesses(-\d+| ?\(\d+\))?\.json", re.IGNORECASE | re.DOTALL)  # also by platforms and browsers
LARGEST = 200_000  # bytes of a file
COMPARED = "guesses.compare("  # the cell of a lesson that says what came out

OfOne = dict[str, dict[str, str]]  # guesses by lesson and question


@dataclass(frozen=True)
class Guessed:
    """One question of a lesson: what the class guessed, the most frequent first, and what came out."""

    lesson: str
    about: str
    guesses: list[tuple[str, int]]
    came_out: str


def guesses_apart(files: list[HandedInFile]) -> tuple[list[HandedInFile], dict[str, OfOne]]:
    """Return the files that are no guesses, and the guesses of students by their names; of several files the last."""
    named = {file.student: file for file in files if file.student and NAMED.fullmatch(file.name)}
    rest = [file for file in files if not (file.student and NAMED.fullmatch(file.name))]
    return rest, {student: _read(file) for student, file in named.items()}


def _read(file: HandedInFile) -> OfOne:
    """Return what a stranger's file holds of guesses at questions that there are; nothing if it cannot be read."""
    try:
        content = file.read()
        told = json.loads(content.decode("utf-8-sig")) if len(content) <= LARGEST else {}
    except (ValueError, RecursionError):
        return {}
    found = {}
    for path in sorted(SOURCES.glob("[0-9][0-9]_*.ipynb")):
        own = told.get(path.stem) if isinstance(told, dict) else None
        if isinstance(own, dict):
            asked = [about for about in what_came_out(path.stem) if isinstance(own.get(about), str)]
            found[path.stem] = {about: harmless(own[about])[:LONGEST] for about in asked}
    return found


def keep_guesses(course: Path, student: str, guesses: OfOne) -> None:
    """Keep a student's guesses beside the book, with those of other lessons that were kept before.

    Raises: OSError if the file cannot be written.
    """
    path = course / FOLDER / f"{student}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(_kept(path) | guesses, indent=1, ensure_ascii=False), encoding="utf-8")


def _kept(path: Path) -> OfOne:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def class_guesses(course: Path, lessons: list[str]) -> list[Guessed]:
    """Return what was guessed in lessons, question by question; nothing of a lesson in which nobody shared a guess."""
    everyone = [_kept(path) for path in sorted((course / FOLDER).glob("*.json"))]
    found = []
    for lesson in lessons:
        noted = [one[lesson] for one in everyone if one.get(lesson)]
        for about, came_out in what_came_out(lesson).items() if noted else ():
            # Small and capital letters, and spaces, make no other guess.
            words = [" ".join(one.get(about, "").split()) for one in noted]
            counts = Counter(word.casefold() for word in words if word)
            spelt = {word.casefold(): word for word in reversed(words)}
            guesses = [(spelt[word], count) for word, count in counts.most_common()]
            found.append(Guessed(lesson, about, guesses, came_out))
    return found


@functools.cache
def what_came_out(lesson: str) -> dict[str, str]:
    """Return the answers that a committed lesson gives at its end, by its questions; none if there is no lesson."""
    path = SOURCES / f"{lesson}.ipynb"
    if not path.exists():
        return {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and COMPARED in cell.source and cell.outputs:
            lines = cell.outputs[0].data["text/plain"].splitlines()[1:]
            return {about: came_out for about, _, came_out in (line.split(" | ", 2) for line in lines)}
    return {}
