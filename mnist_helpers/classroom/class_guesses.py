"""What a class guessed at *Predict*, from the files that students hand in with their sheets, beside what came out.

A lesson keeps a learner's guesses in `guesses.json` (see `widgets.guesses`). Whoever hands that file in shares them.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nbformat

from mnist_helpers.classroom.outcomes import harmless
from mnist_helpers.classroom.submissions import HandedInFile
from mnist_helpers.course.runner import SOURCES
from mnist_helpers.runtime import whole_file
from mnist_helpers.widgets.guesses import FILE, LONGEST

FOLDER = "guesses"  # beside the book of marks
LARGEST = 200_000  # bytes of a file
COMPARED = "guesses.compare("  # the cell of a lesson that says what came out


@dataclass(frozen=True)
class Guessed:
    """One question of a lesson: what the class guessed, the most frequent first, and what came out."""

    lesson: str
    about: str
    guesses: list[tuple[str, int]]
    came_out: str


def guesses_apart(files: list[HandedInFile]) -> tuple[list[HandedInFile], dict[str, dict[str, dict[str, str]]]]:
    """Return the files that are no guesses, and the guesses of students, by their names, lessons and questions.

    Who has handed in nothing else keeps the file, and is told that it is no sheet.
    """
    named = [file for file in files if file.student and file.name.lower().endswith(FILE)]
    with_sheets = {file.student for file in files if file not in named}
    found: dict[str, dict[str, dict[str, str]]] = {}
    for file in named:
        found[file.student] = found.get(file.student, {}) | _read(file)
    return [file for file in files if file not in named or file.student not in with_sheets], found


def _read(file: HandedInFile) -> dict[str, dict[str, str]]:
    """Return what a stranger's file holds of guesses; nothing if it cannot be read as such."""
    try:
        content = file.read()
        told = json.loads(content.decode("utf-8-sig")) if len(content) <= LARGEST else {}
        return {
            str(lesson): {str(about): harmless(str(guess))[:LONGEST] for about, guess in guesses.items()}
            for lesson, guesses in told.items()
        }
    except (ValueError, AttributeError, RecursionError):
        return {}


def keep_guesses(course: Path, student: str, guesses: dict[str, dict[str, str]]) -> None:
    """Keep a student's guesses beside the book, with those of other lessons that were kept before."""
    path = course / FOLDER / f"{student}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(_kept(path) | guesses, indent=1, ensure_ascii=False), encoding="utf-8")


def _kept(path: Path) -> dict[str, dict[str, str]]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def class_guesses(course: Path, lessons: list[str]) -> list[Guessed]:
    """Return what was guessed in lessons, question by question; nothing of a lesson in which nobody shared a guess."""
    everyone = [_kept(path) for path in sorted((course / FOLDER).glob("*.json"))]
    found = []
    for lesson in lessons:
        noted = [one[lesson] for one in everyone if isinstance(one.get(lesson), dict)]
        for about, came_out in what_came_out(lesson).items() if noted else ():
            # Small and capital letters, and spaces, make no other guess.
            words = [" ".join(str(one.get(about, "")).split()) for one in noted]
            counts = Counter(word.casefold() for word in words if word)
            spelt = {word.casefold(): word for word in reversed(words)}
            found.append(
                Guessed(lesson, about, [(spelt[word], count) for word, count in counts.most_common()], came_out)
            )
    return found


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
