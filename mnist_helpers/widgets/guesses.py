"""Guesses that a learner notes before a result, kept in a file, and set beside what came out."""

import html
import json

import ipywidgets
from IPython.display import display

from mnist_helpers.runtime import artifacts_folder, whole_file

FILE = "guesses.json"
LONGEST = 200  # characters of a guess
NO_GUESS = "–"
VIEW = "application/vnd.jupyter.widget-view+json"  # where a page puts a widget


class Guesses:
    """The guesses of one lesson: `ask` for each where the page says *Predict*, and `compare` them at its end.

    They are kept in the artifacts folder, so they outlive the kernel. A page that runs without a reader shows no boxes.
    """

    def __init__(self, lesson: str) -> None:
        self.lesson = lesson
        self.file = artifacts_folder() / FILE

    def ask(self, about: str) -> None:
        """Show a box for a guess, filled with the one that was noted before; what is typed is kept at once."""
        box = ipywidgets.Text(
            value=self.noted().get(about, ""),
            description="Your guess",
            placeholder=about,
            layout={"width": "min(30em, calc(100% - 4px))"},
        )
        box.add_class("guess")
        remark = ipywidgets.HTML()
        box.observe(lambda change: setattr(remark, "value", self._keep(about, change["new"])), "value")
        # Without words of its own, a box leaves nothing behind on a page that nobody answers. Written by hand, because
        # ipywidgets 7, which Colab has, shows a widget in another way than 8.
        view = {"version_major": 2, "version_minor": 0, "model_id": ipywidgets.VBox([box, remark]).model_id}
        display({VIEW: view, "text/plain": ""}, raw=True)

    def noted(self) -> dict[str, str]:
        """Return what was guessed in this lesson; a file that cannot be read holds nothing."""
        guesses = self._all().get(self.lesson)
        return {about: str(guess) for about, guess in guesses.items()} if isinstance(guesses, dict) else {}

    def compare(self, outcomes: dict[str, object]) -> None:
        """Show a table of what was guessed and what came out."""
        noted = self.noted()
        rows = [(about, noted.get(about, NO_GUESS), str(outcome)) for about, outcome in outcomes.items()]
        table = [("to guess", "your guess", "what came out"), *rows]
        text = "\n".join(" | ".join(row) for row in table)
        display({"text/html": _as_html(*table), "text/plain": text}, raw=True)

    def _all(self) -> dict:
        try:
            everything = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return everything if isinstance(everything, dict) else {}

    def _keep(self, about: str, guess: str) -> str:
        """Write a guess into the file, and return what the learner should know of it."""
        everything = self._all() | {self.lesson: self.noted() | {about: guess[:LONGEST]}}
        try:
            with whole_file(self.file) as temporary:
                temporary.write_text(json.dumps(everything, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            return f"This guess could not be kept: {html.escape(str(error))}"
        return "" if len(guess) <= LONGEST else f"Only the first {LONGEST} characters are kept."


def _as_html(heading: tuple[str, ...], *rows: tuple[str, ...]) -> str:
    def row(cells: tuple[str, ...], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<table><thead>{row(heading, 'th')}</thead><tbody>{body}</tbody></table>"
