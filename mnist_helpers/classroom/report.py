"""What marking found, for the instructor: a table of marks, and one page about the class as HTML and as JSON."""

import base64
import csv
import html
import io
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from matplotlib.figure import Figure

from mnist_helpers.checks.exercise import Status, Verdict
from mnist_helpers.classroom.alike import alike, page_of_pairs
from mnist_helpers.classroom.class_guesses import Guessed
from mnist_helpers.classroom.gradebook import Gradebook, with_solutions
from mnist_helpers.classroom.marking import MarkedSubmission
from mnist_helpers.classroom.remark_bank import hint_of
from mnist_helpers.classroom.spreadsheet import plain_cell
from mnist_helpers.runtime import whole_file

MOST_GUESSES = 8  # that are shown of each question
NEEDS_HELP = 0.5  # of the points that checks give: whoever has less is named
COLUMNS = (
    *("student", "sheet", "points", "of", "deducted as late"),
    *("waiting to be marked by hand", "not attempted", "remarks"),
)
STYLE = """:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #999; text-align: left; }
img { max-width: 100%; }"""


def write_marks(marked: Sequence[MarkedSubmission], path: Path) -> None:
    """Write a line for each submission as CSV: points, what waits for a person, and remarks."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for one in marked:
        untouched = sum(mark.status is Status.NOT_ATTEMPTED for mark in one.marks if not mark.by_hand)
        marks = (one.points, one.most, one.penalty, one.waiting, untouched)
        known = marks if one.marks else [""] * len(marks)  # unmarked is not 0
        row = (one.student, one.sheet, *known, " ".join(one.remarks))
        table.writerow([plain_cell(word) if isinstance(word, str) else word for word in row])
    with whole_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def summary(marked: Sequence[MarkedSubmission], isolation: Sequence[str]) -> dict[str, Any]:
    """Return what there is to know about a class, as plain data: exercises, marks, who needs help."""
    exercises: dict[tuple[str, str], list] = {}
    for one in marked:
        for mark in one.marks:
            if not mark.by_hand:
                exercises.setdefault((one.sheet, mark.exercise), []).append(mark)
    return {
        "submissions": [
            {
                "student": one.student,
                "sheet": one.sheet,
                "points": one.points if one.marks else None,
                "of": one.most,
                "remarks": one.remarks,
                "right": [mark.exercise for mark in one.marks if mark.status is Status.RIGHT],
                "waiting": [mark.exercise for mark in one.marks if mark.waits],
            }
            for one in marked
        ],
        "exercises": [_exercise(sheet, name, marks) for (sheet, name), marks in exercises.items()],
        "challenges": _challenges(marked),
        "need help": [f"{one.student} ({one.sheet})" for one in marked if one.marks and _share(one) < NEEDS_HELP],
        "not marked": [f"{one.student} ({one.sheet})" for one in marked if not one.marks],
        "isolation": list(isolation),
    }


def _exercise(sheet: str, name: str, marks: list) -> dict[str, Any]:
    hints = Counter(hint for mark in marks if (hint := hint_of(Verdict(mark.status, mark.message))))
    hint, count = hints.most_common(1)[0] if hints else ("", 0)
    return {
        "sheet": sheet,
        "exercise": name,
        "students": len(marks),
        "tried": sum(mark.status is not Status.NOT_ATTEMPTED for mark in marks),
        "solved": sum(mark.status is Status.RIGHT for mark in marks),
        "most frequent hint": hint,
        "times": count,
    }


def _challenges(marked: Sequence[MarkedSubmission]) -> list[dict[str, Any]]:
    """Return who did best where a class is ranked: the smallest rank first, and the same place for the same rank."""
    found: dict[tuple[str, str], list[tuple[float, str, str]]] = {}
    for one in marked:
        for mark in one.marks:
            if mark.rank is not None:
                found.setdefault((one.sheet, mark.exercise), []).append((mark.rank, one.student, mark.message))
    return [
        {
            "sheet": sheet,
            "exercise": name,
            "ranking": [
                {"place": 1 + sum(other[0] < rank for other in entries), "student": student, "said": said}
                for rank, student, said in sorted(entries)
            ],
        }
        for (sheet, name), entries in sorted(found.items())
    ]


def _share(one: MarkedSubmission) -> float:
    """Return the share of the points that checks give; a submission without marks has none."""
    most = sum(mark.most for mark in one.marks if not mark.by_hand)
    return sum(mark.points for mark in one.marks if not mark.by_hand) / most if most else 0.0


def write_class(marked: Sequence[MarkedSubmission], isolation: Sequence[str], folder: Path) -> None:
    """Write class.json and class.html into a folder."""
    found = summary(marked, isolation)
    texts = {
        "class.json": json.dumps(found, indent=1, ensure_ascii=False) + "\n",
        "class.html": _page(marked, found, folder),
    }
    for name, text in texts.items():
        with whole_file(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def write_alike(book: Gradebook, sheets: Sequence[str], folder: Path) -> int:
    """Write alike.html, with the pairs whose code of these sheets is alike, and return how many there are."""
    pairs = []
    for sheet in sheets:
        pairs += alike(sheet, book.pages(sheet), book.handed_out(sheet), with_solutions(sheet))
    with whole_file(folder / "alike.html") as temporary:
        temporary.write_text(page_of_pairs(pairs), encoding="utf-8")
    return len(pairs)


def _page(marked: Sequence[MarkedSubmission], found: dict[str, Any], folder: Path) -> str:
    exercises = [
        (
            *(one[name] for name in ("sheet", "exercise", "tried", "solved")),
            f"{one['most frequent hint']} ({one['times']}×)" if one["times"] else "",
        )
        for one in found["exercises"]
    ]
    students = [
        (
            *(one.student, one.sheet, f"{one.points:g} of {one.most:g}" if one.marks else "not marked"),
            f"{one.waiting:g}",
            *(" ".join(one.remarks), _link(one, folder)),
        )
        for one in marked
    ]
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>The class</title><style>{STYLE}</style>",
        f"<h1>The class</h1><p>{len({one.student for one in marked})} students, {len(marked)} submissions.</p>",
        "<h2>Marks</h2>",
        _picture(_distribution(marked), "How many submissions have which share of the points"),
        "<h2>Exercises</h2>",
        _picture(_solved(found["exercises"]), "How many students tried and solved each exercise; as numbers below"),
        _table(("sheet", "exercise", "tried", "solved", "most frequent hint"), exercises),
        *_rankings(found["challenges"]),
        "<h2>Who needs help</h2>",
        f"<p>Less than {NEEDS_HELP:.0%} of the points that the checks give:</p>"
        if found["need help"]
        else "<p>Nobody.</p>",
        "<ul>" + "".join(f"<li>{html.escape(name)}</li>" for name in found["need help"]) + "</ul>",
        "<h2>Students</h2>",
        _table(("student", "sheet", "points", "to be marked", "remarks", "feedback"), students),
        "<h2>How they were run</h2>",
        "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in found["isolation"]) + "</ul></html>\n",
    ]
    return "\n".join(parts)


def _rankings(challenges: Sequence[dict[str, Any]]) -> list[str]:
    parts = []
    for one in challenges:
        rows = [(entry["place"], entry["student"], entry["said"]) for entry in one["ranking"]]
        parts.append(f"<h2>Challenge: {html.escape(one['exercise'])} ({html.escape(one['sheet'])})</h2>")
        parts.append(_table(("place", "student", "what the check said"), rows))
    return parts


def write_guesses(guessed: Sequence[Guessed], folder: Path) -> Path | None:
    """Write guesses.html, to be shown to the class: no names are in it. Without guesses there is no such page."""
    path, rows = folder / "guesses.html", []
    for one in guessed:
        shown = [f"{guess} ({count}×)" for guess, count in one.guesses[:MOST_GUESSES]]
        others = sum(count for _, count in one.guesses[MOST_GUESSES:])
        said = ", ".join([*shown, *([f"others ({others}×)"] if others else [])])
        rows.append((one.lesson, one.about, said or "nobody noted a guess", one.came_out))
    if not rows:
        path.unlink(missing_ok=True)
        return None
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>What the class guessed</title>",
        f"<style>{STYLE}</style>",
        "<h1>What the class guessed</h1>",
        _table(("lesson", "to guess", "guesses", "what came out"), rows),
        "</html>\n",
    ]
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(parts), encoding="utf-8")
    return path


class _Link(str):
    """HTML that is ours and is not to be escaped."""


def _link(one: MarkedSubmission, folder: Path) -> str:
    if one.feedback is None:
        return ""
    place = quote(Path(os.path.relpath(one.feedback, folder)).as_posix())  # relative: the folder may move
    return _Link(f'<a href="{place}">feedback</a>')


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def cell(value: Any) -> str:
        return f"<td>{value if isinstance(value, _Link) else html.escape(str(value))}</td>"

    lines = ["<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows]
    return f"<table><tr>{''.join(f'<th>{html.escape(name)}</th>' for name in head)}</tr>{''.join(lines)}</table>"


def _distribution(marked: Sequence[MarkedSubmission]) -> Figure:
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    ax = figure.subplots()
    ax.hist([100 * one.points / one.most for one in marked if one.most], bins=range(0, 101, 10), edgecolor="white")
    ax.set(xlabel="points, in % of all", ylabel="submissions", xlim=(0, 100))
    ax.yaxis.get_major_locator().set_params(integer=True)
    return figure


def _solved(exercises: Sequence[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(7, 0.6 + 0.28 * max(2, len(exercises))), layout="constrained")
    ax = figure.subplots()
    names = [f"{one['sheet'].partition('_')[0]} {one['exercise']}" for one in exercises]
    ax.barh(names, [one["tried"] for one in exercises], color="#cccccc", height=0.8, label="tried")
    ax.barh(names, [one["solved"] for one in exercises], color="#1f77b4", height=0.4, label="solved")
    ax.set(xlabel="students")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.invert_yaxis()
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _picture(figure: Figure, text: str) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    source = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    return f'<p><img alt="{html.escape(text)}" src="{source}"></p>'
