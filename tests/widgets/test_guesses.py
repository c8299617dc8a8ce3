"""Guesses outlive the kernel, harm nothing, and stand beside what came out."""

import json

import pytest

from mnist_helpers.widgets import guesses
from mnist_helpers.widgets.guesses import LONGEST, NO_GUESS, Guesses


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("MNIST_ARTIFACTS", str(tmp_path))
    return tmp_path


@pytest.fixture
def shown(monkeypatch):
    outputs = []
    monkeypatch.setattr(guesses, "display", lambda data, **_: outputs.append(data))
    return outputs


def typed(lesson: Guesses, about: str, guess: str, monkeypatch) -> str:
    """Type into the box for a guess, and return what is remarked below it."""
    boxes = []
    monkeypatch.setattr(
        guesses.ipywidgets, "VBox", lambda children: boxes.append(children) or guesses.ipywidgets.HTML()
    )
    lesson.ask(about)
    box, remark = boxes[-1]
    box.value = guess
    return remark.value


def test_a_guess_is_there_after_a_restart_and_other_lessons_do_not_see_it(shown, monkeypatch):
    assert typed(Guesses("02_model"), "side", "26", monkeypatch) == ""
    assert typed(Guesses("03_training"), "side", "1 < 2 & „7“", monkeypatch) == ""
    assert Guesses("02_model").noted() == {"side": "26"}
    Guesses("03_training").compare({"side": 27.5, "loss": "2.303"})
    assert shown[-1]["text/plain"].splitlines()[1:] == ["side | 1 < 2 & „7“ | 27.5", f"loss | {NO_GUESS} | 2.303"]
    assert "<td>1 &lt; 2 &amp; „7“</td><td>27.5</td>" in shown[-1]["text/html"]


def test_a_box_has_no_words_of_its_own_so_that_a_still_page_shows_none(shown, monkeypatch):
    made, real = [], guesses.ipywidgets.VBox
    monkeypatch.setattr(guesses.ipywidgets, "VBox", lambda children: made.append(real(children)) or made[-1])
    Guesses("02_model").ask("side")
    assert shown == [made[0]._repr_mimebundle_() | {"text/plain": ""}]


def test_a_box_is_shown_where_ipywidgets_is_older(shown, monkeypatch):
    monkeypatch.delattr(guesses.ipywidgets.Widget, "_repr_mimebundle_")  # as in 7.7.1
    Guesses("02_model").ask("side")
    assert guesses.VIEW in shown[-1]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"02_model": 3}', "\x00", '{"02_model": {"side": 7}}'])
def test_a_file_of_other_content_is_no_obstacle(content, place, shown, monkeypatch):
    (place / guesses.FILE).write_text(content)
    lesson = Guesses("02_model")
    lesson.compare({"side": 26})
    assert typed(lesson, "side", "x" * (LONGEST + 1), monkeypatch).startswith("Only the first")
    assert json.loads((place / guesses.FILE).read_text())["02_model"]["side"] == "x" * LONGEST


def test_what_cannot_be_kept_is_said(place, shown, monkeypatch):
    (place / "file").write_text("")
    lesson = Guesses("02_model")
    lesson.file = place / "file" / guesses.FILE
    assert typed(lesson, "side", "26", monkeypatch).startswith("This guess could not be kept: ")
