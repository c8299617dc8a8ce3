"""What is said about a hint is said to all who got it; the table can be edited with any spreadsheet."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pupils import NAME

from mnist_helpers.checks.exercise import Status, Verdict
from mnist_helpers.classroom import marking
from mnist_helpers.classroom.gradebook import FOLDER_VARIABLE, Gradebook
from mnist_helpers.classroom.kept_runs import KeptRun
from mnist_helpers.classroom.remark_bank import COLUMNS, FILE, hint_of, read_bank
from mnist_helpers.classroom.spreadsheet import meant, plain_cell
from mnist_helpers.classroom.submissions import Submission
from mnist_helpers.errors import CourseError

HINT = "It counts from the wrong end."
wrong = Verdict(Status.NOT_YET, f"{HINT} For example, 3 should be 4.")


def lines(path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def saved(path, rows: list[list[str]], delimiter: str = ",", encoding: str = "utf-8") -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


def test_a_hint_is_counted_without_its_example_and_what_is_right_has_none(tmp_path):
    bank = read_bank(tmp_path)
    for own in ("For example, 3 should be 4.", "For example, 5 should be 1.", "The call was sizes(3)."):
        verdicts = {"sizes": Verdict(Status.NOT_YET, f"{HINT} {own}"), "shift": Verdict(Status.RIGHT, "Well.")}
        bank.count(NAME, verdicts)
        assert bank.about(NAME, verdicts) == {"sizes": "", "shift": ""}
    assert hint_of(Verdict(Status.NOT_ATTEMPTED, "Nothing.")) == ""
    (line,) = lines(bank.write())
    assert line == {"sheet": NAME, "task": "sizes", "hint": HINT, "students": "3", "remark": ""}


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(",", "utf-8"), (";", "cp1252"), ("\t", "utf-8-sig"), (",", "utf-8-sig")]
)
def test_what_a_spreadsheet_has_saved_is_read(tmp_path, delimiter, encoding):
    rows = [[*COLUMNS, "mine"], [NAME, "sizes", HINT, "2", "Look at the table of the header: größte first.", "x"]]
    saved(tmp_path / FILE, rows, delimiter, encoding)
    assert read_bank(tmp_path).about(NAME, {"sizes": wrong}) == {"sizes": rows[1][4]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"sheet,task,hint\n",
        b"PK\x03\x04",
        b"\n" * 9,
        b'sheet,task,hint,students,remark\n1,2,3,4,"open' + b"x" * 200_000,
    ],
)
def test_a_table_that_is_none_is_refused_in_a_sentence_and_stays(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(CourseError, match="has no column|cannot be read as a table"):
        read_bank(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_remark_outlives_a_run_in_which_nobody_got_its_hint(tmp_path):
    bank = read_bank(tmp_path)
    saved(tmp_path / FILE, [COLUMNS, [NAME, "sizes", HINT, "2", "Look again."]])  # while the class was being marked
    bank.write()
    again = read_bank(tmp_path)
    again.count(NAME, {"shift": wrong})
    assert [(line["task"], line["students"], line["remark"]) for line in lines(again.write())] == [
        ("shift", "1", ""),
        ("sizes", "0", "Look again."),
    ]


def test_remarks_given_by_hand_are_counted_and_are_no_hints(tmp_path):
    bank = read_bank(tmp_path)
    bank.write([(NAME, "which_digits", "Why?"), (NAME, "which_digits", "Good."), (NAME, "which_digits", "Why?")])
    assert [(one["students"], one["remark"]) for one in lines(bank.path)] == [("2", "Why?"), ("1", "Good.")]
    assert read_bank(tmp_path).remarks == {}


texts = st.text(st.sampled_from("=+-@';,\t\n a\xa0é"), max_size=12) | st.text(st.characters(exclude_categories=["Cs"]))


@given(texts)
def test_no_cell_is_a_formula_wherever_it_is_cut_and_the_text_comes_back(text):
    shown = plain_cell(text)
    assert not any(piece.lstrip(" \xa0")[:1] in tuple("=+-@") for piece in re.split(r"[;,\t\n\r]", shown))
    assert meant(shown) == text


@pytest.mark.parametrize("remark", ["- one\n- two", "'-' is missing", "=SUM(A1)", "a; =b", "**bold** " * 500])
def test_a_remark_comes_back_as_it_was_written(tmp_path, remark):
    saved(tmp_path / FILE, [COLUMNS, [NAME, "sizes", HINT, "2", plain_cell(remark)]])
    bank = read_bank(tmp_path)
    bank.write()
    assert read_bank(tmp_path).about(NAME, {"sizes": wrong})["sizes"] == remark.strip()


@pytest.mark.slow
def test_a_remark_is_in_the_feedback_of_all_who_got_the_hint_unless_a_person_wrote_another(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    page = Gradebook().hand_out(NAME)

    def mark(student: str, verdict: Verdict) -> None:
        run = KeptRun(student, NAME, "", {"sizes-check": verdict}, [])
        marking._record(Submission(student, NAME, page), page, run, marking.open_records())

    for student in ("ann", "bob", "cid"):
        mark(student, wrong if student != "cid" else Verdict(Status.RIGHT, "Well."))
    records = marking.open_records()
    list(marking.marked_before(records, [NAME]))
    saved(records.bank.write(), [COLUMNS, [NAME, "sizes", HINT, "2", "Read it **backwards**."]])
    with records.book._api.gradebook as book:
        book.find_comment("sizes", NAME, NAME, "bob").manual_comment = "Come and see me."
        book.db.commit()

    def feedback() -> dict[str, str]:
        return {one.student: one.feedback.read_text() for one in marking.marked_before(marking.open_records(), [NAME])}

    found = feedback()
    assert "backwards" in found["ann"]
    assert "Come and see me." in found["bob"]
    assert "backwards" not in found["bob"]
    assert "backwards" not in found["cid"]
    assert marking.open_records().book.remarks_by_hand(NAME) == [("sizes", "Come and see me.")]
    records.bank.path.unlink()  # and it goes when it is taken out of the table
    assert "backwards" not in feedback()["ann"]
