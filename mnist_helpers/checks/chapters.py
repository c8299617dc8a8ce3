"""Where the exercise of a sheet, or of a mock exam, is found by its name."""

import importlib

from mnist_helpers.checks.exercise import Exercise

CHAPTERS = {
    "01": "data",
    "02": "model",
    "03": "training",
    "04": "evaluation",
    "05": "filters",
    "06": "clinic",
    "07": "smallest",
    "08": "backpropagation",
    "09": "beyond",
    "10": "honesty",
    "11": "numbers",
}
EXAM = "exam-"  # what the name of an exam begins with, before its seed


def exercise_of(sheet: str, name: str) -> Exercise:
    """Return an exercise by its name and that of its sheet, or of the paper of an exam: "exam-7/ann"."""
    if sheet.startswith(EXAM):
        from mnist_helpers.checks.papers import paper

        seed, _, owner = sheet.removeprefix(EXAM).partition("/")
        return paper(int(seed), owner).questions[name].exercise
    return getattr(importlib.import_module(f"mnist_helpers.checks.{CHAPTERS[sheet[:2]]}"), name)
