"""nbgrader's exchange: the newest of each student and sheet counts, and no folder there is more than its student's."""

import copy
import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import pytest
from pupils import ALL, NAME, SHEETS, page, written

from mnist_helpers.classroom import exchange
from mnist_helpers.classroom.exchange import handed_in, is_inbound
from mnist_helpers.classroom.isolation import Limits, has_bubblewrap, run_shut_in
from mnist_helpers.classroom.submissions import left_out, sort_out
from mnist_helpers.course.stripping import without_solutions
from mnist_helpers.runtime import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nbgrader's exchange is not for Windows.")
SECRET = "0f" * 64
OTHER = "02_model"
GIVEN = {name: without_solutions(copy.deepcopy(SHEETS[name].page)) for name in (NAME, OTHER)}
GOOD = written(page(ALL))


@pytest.fixture
def inbound(tmp_path):
    """Return a function that hands in: a student, a time, what lies in the folder, and for which sheet it is."""
    place = tmp_path / "exchange" / "course" / "inbound"
    place.mkdir(parents=True)

    def hand_in(
        user: str, when: str, files: dict[str, bytes], sheet: str = NAME, chance: str = "+aB3_dE6-gH9j"
    ) -> Path:
        folder = place / f"{user}+{sheet}+{when}{chance}"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder

    hand_in.place = place
    return hand_in


def stubs(notebook) -> int:
    return sum("raise NotImplementedError" in cell.source for cell in notebook.cells)


def sorted_out(place: Path, *sheets: str):
    return sort_out(handed_in(place, list(sheets or [NAME])), {name: GIVEN[name] for name in sheets or [NAME]}, {})


def test_the_newest_of_each_student_and_sheet_counts_by_the_clock_and_not_by_the_letters(inbound):
    old = written(page(set()))
    inbound("ann", "2026-11-26 09:30:00.000001 UTC", {f"{NAME}.ipynb": GOOD})
    inbound("ann", "2026-11-26 10:00:00.000001 CET", {f"{NAME}.ipynb": old})  # nine o'clock in UTC
    inbound("bob.k@x", "2026-11-26 10:00:00 UTC", {f"{NAME}.ipynb": old}, chance="")  # without microseconds
    inbound("bob.k@x", "2026-11-26 10:00:01 UTC", {f"{NAME}.ipynb": GOOD})
    inbound("c+d", "2026-11-26 10:00:00.5 UTC", {f"{NAME}.ipynb": GOOD, f"{NAME} old.ipynb": old, "notes.txt": b"x"})
    found = {one.student: one for one in sorted_out(inbound.place)}
    assert {name: one.origin.handed_in for name, one in found.items()} == {
        "ann": datetime(2026, 11, 26, 9, 30, 0, 1),
        "bob_k@x": datetime(2026, 11, 26, 10, 0, 1),
        "c_d": datetime(2026, 11, 26, 10, 0, 0, 500000),
    }
    assert all(stubs(one.page) < stubs(page(set())) for one in found.values())
    assert all(not one.remarks and not one.problem for one in found.values())


def test_a_time_that_cannot_be_is_the_oldest_and_said(inbound):
    inbound("ann", "2026-11-26 09:30:00 UTC", {f"{NAME}.ipynb": GOOD})
    for number, when in enumerate(["2199-01-01 00:00:00 UTC", "9999-99-99 00:00:00 UTC"]):
        inbound("ann", when, {f"{NAME}.ipynb": written(page(set()))})
        inbound(f"bob{number}", when, {f"{NAME}.ipynb": GOOD})
    ann, *others = sorted_out(inbound.place)
    assert (ann.origin.handed_in, ann.remarks) == (datetime(2026, 11, 26, 9, 30), [])
    assert [one.origin.handed_in for one in others] == [None, None]
    assert all("When it was handed in is not known" in " ".join(one.remarks) for one in others)


def test_each_sheet_counts_for_itself_whatever_else_lies_in_its_folder(inbound):
    inbound("ann", "2026-11-26 10:00:00 UTC", {f"{NAME}.ipynb": GOOD})
    draft = written(page(set()))
    inbound("ann", "2026-12-03 10:00:00 UTC", {f"{OTHER}.ipynb": b"{", f"{NAME}.ipynb": draft}, OTHER)
    inbound("bob", "2026-12-03 10:00:00 UTC", {"report.ipynb": GOOD}, "project")
    inbound("cem", "2026-12-03 10:00:00 UTC", {f"{NAME}.ipynb": GOOD}, OTHER)  # into the wrong folder
    one, two, cem = sorted_out(inbound.place, NAME, OTHER)
    assert (cem.sheet, cem.problem.partition(".ipynb ")[2]) == (OTHER, "holds no cell of the sheets that are marked.")
    assert (one.sheet, one.problem, one.origin.handed_in.month) == (NAME, "", 11)
    assert two.sheet == OTHER
    assert "cannot be read as a notebook" in two.problem
    assert [one.sheet for one in sorted_out(inbound.place)] == [NAME]


def test_what_is_named_otherwise_is_left_out_and_named(inbound):
    inbound("ann", "2026-11-26 10:00:00 UTC", {f"{NAME}.ipynb": GOOD})
    (inbound.place / "README").write_text("hello")
    (inbound.place / "x").mkdir()
    files = handed_in(inbound.place, [NAME])
    assert left_out(files) == ["Left out, as no student's: README, x."]
    assert [one.student for one in sort_out(files, {NAME: GIVEN[NAME]}, {})] == ["ann"]


def test_one_s_trouble_is_one_s_own(inbound, tmp_path):
    when = "2026-11-26 10:00:00 UTC"
    inbound("good", when, {f"{NAME}.ipynb": GOOD, "submission_secret.txt": SECRET.encode()})
    inbound("empty", when, {"timestamp.txt": b"x"})
    (inbound.place / f"file+{NAME}+{when}").write_text("no folder")
    folder = inbound("deep", when, {f"{NAME}.ipynb": GOOD, "submission_secret.txt": b"../" + SECRET.encode()})
    (folder / Path(*["d"] * 500)).mkdir(parents=True)
    many = inbound("many", when, {f"{NAME}.ipynb": GOOD, "submission_secret.txt": b"\xff" * 128})
    for number in range(300):
        (many / f"{number}.ipynb").touch()
    private = tmp_path / "private.ipynb"
    private.write_bytes(GOOD)
    (inbound("linked", when, {}) / f"{NAME}.ipynb").symlink_to(private)
    (inbound.place / f"folder+{NAME}+{when}").symlink_to(many)
    os.mkfifo(inbound("pipe", when, {}) / f"{NAME}.ipynb")
    found = {one.student: one for one in sorted_out(inbound.place)}
    problems = {name: one.problem.partition(".ipynb ")[2] for name, one in found.items() if one.problem}
    assert problems == {
        "empty": "is not there.",
        "file": "cannot be read (Not a directory).",
        "folder": "cannot be read (Not a directory).",
        "linked": "cannot be read (Too many levels of symbolic links).",
        "pipe": "is no file.",
    }
    assert {name: one.origin.secret for name, one in found.items() if not one.problem} == {
        "good": SECRET,
        "deep": "",
        "many": "",
    }
    assert {one.origin.sheet for one in found.values()} == {NAME}


def test_another_s_folder_is_said_to_be_another_s_where_users_are_users(inbound, monkeypatch):
    for name in ("ann", "bob"):
        inbound(name, "2026-11-26 10:00:00 UTC", {f"{NAME}.ipynb": GOOD})
    monkeypatch.setattr(exchange, "_owner", lambda _: "jovyan")  # as in containers
    assert [one.remarks for one in sorted_out(inbound.place)] == [[], []]
    monkeypatch.setattr(exchange, "_owner", lambda folder: "mallory" if folder.name.startswith("ann") else "bob")
    ann, bob = sorted_out(inbound.place)
    assert "belongs to mallory" in ann.remarks[0]
    assert bob.remarks == []


def test_a_class_in_which_one_folder_is_so_named_is_no_exchange(inbound, tmp_path):
    assert is_inbound(inbound.place), "even while it is empty"
    for name in ("ann+01_data+2026-11-26 10:00:00 UTC", "bob", "cem"):
        (tmp_path / "class" / name).mkdir(parents=True)
    assert not is_inbound(tmp_path / "class")
    assert not is_inbound(tmp_path / "class.zip")


def test_what_is_hidden_is_the_whole_exchange_and_of_a_copy_only_the_copy(inbound, tmp_path):
    course = inbound.place.parent
    assert exchange.hidden(inbound.place) == [inbound.place.resolve()], "whose neighbours are none of the exchange's"
    (course / "outbound").mkdir()
    assert exchange.hidden(inbound.place) == [course.parent.resolve()]


@pytest.mark.skipif(not has_bubblewrap(), reason="bubblewrap is not installed, or may not make namespaces here")
def test_a_submission_sees_nothing_of_the_exchange():
    build = ROOT / "build"  # what lies in a temporary folder is hidden in any case
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as place:
        course = Path(place) / "exchange" / "course"
        for name in ("inbound", "outbound", "feedback"):
            (course / name).mkdir(parents=True)
        (course / "feedback" / "x.html").write_text("marks of another")
        look = f"from pathlib import Path; print([one.name for one in Path({place!r}).rglob('*')])"
        seen = [
            run_shut_in([sys.executable, "-c", look], b"", Limits(), 1000, hidden).output.decode()
            for hidden in ([], exchange.hidden(course / "inbound"))
        ]
    assert "x.html" in seen[0]
    assert seen[1] == "['exchange']\n"
