"""What students noted at *Predict* is handed in with a sheet, and shown for the class beside what came out."""

import json
import re

import pytest
from pupils import NAME, page, written

from mnist_helpers.classroom.class_guesses import class_guesses, guesses_apart, keep_guesses, what_came_out
from mnist_helpers.classroom.report import write_guesses
from mnist_helpers.classroom.submissions import HandedInFile
from mnist_helpers.course.runner import find_notebooks


def file(student: str, name: str, content: bytes) -> HandedInFile:
    return HandedInFile(student, name, lambda: content)


def guesses(**own: str) -> bytes:
    return json.dumps(
        {NAME: {"the rarest digit": own.get("rarest", ""), "something else": "x"}, "02_model": {}}
    ).encode()


@pytest.mark.parametrize("path", find_notebooks(), ids=lambda path: path.stem)
def test_every_lesson_says_what_came_out(path):
    found = what_came_out(path.stem)
    assert len(found) >= 2
    assert all(found.values())


def test_what_the_class_guessed_stands_beside_what_came_out(tmp_path):
    sheet = written(page())
    files = [
        file("Ann", "Ann/sheet.ipynb", sheet),
        file("Ann", "Ann/guesses.json", guesses(rarest="The  5")),
        file("Bob", "bob_1_2_sheet.ipynb", sheet),
        file("Bob", "bob_1_3_guesses.json", guesses(rarest="the 5")),
        file("Cid", "Cid/sheet.ipynb", sheet),
        file("Cid", "Cid/guesses.json", guesses(rarest="<script>alert(1)</script>")),
        file("Dora", "Dora/sheet.ipynb", sheet),
    ]
    rest, found = guesses_apart(files)
    assert [one.name for one in rest] == [one.name for one in files if not one.name.endswith("guesses.json")]
    for name, own in found.items():
        keep_guesses(tmp_path, name.lower(), own)
    (rarest, *others) = class_guesses(tmp_path, [NAME])
    assert rarest.guesses == [("The 5", 2), ("<script>alert(1)</script>", 1)]
    assert rarest.came_out == what_came_out(NAME)["the rarest digit"]
    assert all(one.guesses == [] for one in others)
    assert class_guesses(tmp_path, ["03_training", "06_broken_training_loop"]) == []
    text = write_guesses([rarest, *others], tmp_path).read_text(encoding="utf-8")
    assert "The 5 (2×), &lt;script&gt;" in text
    assert "nobody noted a guess" in text
    assert not re.search(r"\b(ann|bob|cid)\b", text, re.IGNORECASE)
    assert write_guesses([], tmp_path) is None
    assert not (tmp_path / "guesses.html").exists()  # an older one is gone


def test_a_later_lesson_s_guesses_join_those_of_earlier_ones(tmp_path):
    keep_guesses(tmp_path, "ann", {NAME: {"the rarest digit": "5"}})
    keep_guesses(tmp_path, "ann", {"02_model": {"first loss": "2.3"}})
    assert class_guesses(tmp_path, [NAME])[0].guesses == [("5", 1)]
    assert {one.lesson for one in class_guesses(tmp_path, [NAME, "02_model"])} == {NAME, "02_model"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"3",
        b'{"01_data": 3}',
        b'{"01_data": []}',
        b'{"\\ud800": {}}',
        b'{"../../x": {"a": "b"}}',
        b'{"01_data": {"the rarest digit": []}}',
        b"[" * 100_000,
        b'{"a": "' + b"x" * 300_000 + b'"}',
    ],
)
def test_a_file_that_holds_no_guesses_shares_none_and_harms_nobody(content):
    sheet = file("Ann", "Ann/sheet.ipynb", b"")
    rest, found = guesses_apart([sheet, file("Ann", "Ann/guesses.json", content)])
    assert rest == [sheet]
    assert not any(found["Ann"].values())


def test_guesses_alone_are_no_sheet_and_of_several_files_the_last_counts():
    alone = [
        file("Ann", name, guesses(rarest=name)) for name in ("guesses.json", "x_guesses-1.json", "guesses (1).json")
    ]
    rest, found = guesses_apart(alone)
    assert rest == []
    assert found["Ann"][NAME]["the rarest digit"] == "guesses (1).json"
    assert guesses_apart([file("", "guesses.json", b"{}"), file("Ann", "guesses.json.ipynb", b"")])[1] == {}


def test_a_guess_is_no_longer_than_a_box_lets_it_be():
    _, found = guesses_apart([file("Ann", "a.ipynb", b""), file("Ann", "guesses.json", guesses(rarest="5" * 9_000))])
    assert len(found["Ann"][NAME]["the rarest digit"]) == 200
