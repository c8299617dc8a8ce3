"""What has not changed is not run again; marks are written anew from the book, with what is late; and go back out."""

import csv
import io
import json
import math
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from threading import Event

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pupils import ALL, NAME, page, written
from traitlets.config import Config

from mnist_helpers.checks.exercise import Status, Verdict
from mnist_helpers.classroom import kept_runs, running
from mnist_helpers.classroom.gradebook import FOLDER_VARIABLE, Gradebook
from mnist_helpers.classroom.imports import write_imports
from mnist_helpers.classroom.isolation import Limits
from mnist_helpers.classroom.kept_runs import KeptRun, KeptRuns, fingerprint
from mnist_helpers.classroom.late import DAY, ShareADay
from mnist_helpers.classroom.marking import (
    ExerciseMark,
    MarkedSubmission,
    mark_class,
    marked_before,
    open_records,
)
from mnist_helpers.classroom.platforms import NO_PLATFORM, Origin, origins
from mnist_helpers.classroom.report import write_class, write_marks
from mnist_helpers.classroom.running import TrialResult
from mnist_helpers.classroom.submissions import HandedInFile, Submission, sort_out
from mnist_helpers.cli import main
from mnist_helpers.errors import CourseError

LIMITS = Limits()


@pytest.fixture
def book(tmp_path, monkeypatch) -> Gradebook:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return Gradebook()


@pytest.fixture
def runs(monkeypatch) -> list[str]:
    """Return whose pages have been run; no process is started for them, and no check comes to its end."""
    found = []

    def run(submission: Submission, *_: object) -> TrialResult:
        found.append(submission.student)
        return TrialResult({}, set())

    monkeypatch.setattr(running, "_run", run)
    return found


def handed_in(book: Gradebook, **answers: dict[str, str]) -> list[Submission]:
    sheets = {NAME: book.hand_out(NAME)}
    files = [
        HandedInFile(student, f"{student}/sheet.ipynb", lambda own=own: written(page(ALL, own)))
        for student, own in answers.items()
    ]
    return sort_out(files, sheets, {})


def mark(book: Gradebook, limits: Limits = LIMITS, again: bool = False, **answers: dict[str, str]) -> list:
    return list(mark_class(handed_in(book, **answers), open_records(), limits, [], 1, again))


@pytest.mark.slow
def test_only_what_has_changed_is_run_again(book, runs):
    first = mark(book, ann={}, bob={})
    assert runs == ["ann", "bob"]
    same = mark(book, ann={}, bob={})
    assert runs == ["ann", "bob"]
    assert [(one.student, one.points, one.marks, one.remarks) for one in same] == [
        (one.student, one.points, one.marks, one.remarks) for one in first
    ]
    mark(book, ann={"sizes": "def sizes(): return 1"}, bob={})
    assert runs == ["ann", "bob", "ann"]
    mark(book, again=True, bob={})
    mark(book, replace(LIMITS, cell_seconds=LIMITS.cell_seconds + 1), bob={})
    assert runs[3:] == ["bob", "bob"]


@pytest.mark.slow
def test_a_run_that_was_stopped_or_is_not_in_the_book_or_cannot_be_read_is_run_again(book, runs, monkeypatch):
    monkeypatch.setattr(running, "_run", lambda one, *_: (runs.append(one.student), TrialResult({}, set(), "late"))[1])
    for _ in range(2):
        mark(book, ann={})
    assert runs == ["ann", "ann"]  # a machine with more time might have come to an end
    monkeypatch.setattr(running, "_run", lambda one, *_: (runs.append(one.student), TrialResult({}, set()))[1])
    mark(book, ann={})
    kept = book.folder / "runs" / "ann" / f"{NAME}.json"
    text = kept.read_text()
    for spoiled in ("", "[]", "{}", '{"verdicts": 3}', text[:100]):
        kept.write_text(spoiled)
        assert KeptRuns(book.folder).find("ann", NAME) is None
    before = len(runs)
    mark(book, ann={})
    assert len(runs) == before + 1
    with book._api.gradebook as there:  # the book was put back from a copy, in which she had a right answer
        there.find_grade("sizes-check", NAME, NAME, "ann").auto_score = 2
        there.db.commit()
    before = len(runs)
    mark(book, ann={})
    assert len(runs) == before + 1
    with book._api.gradebook as there:
        there.remove_submission(NAME, "ann")
    mark(book, ann={})
    assert len(runs) == before + 2


def give(book: Gradebook, points: float) -> None:
    with book._api.gradebook as there:
        grade = there.find_grade("which_digits", NAME, NAME, "ann")
        grade.manual_score, grade.needs_manual_grade = points, False
        there.db.commit()


@pytest.mark.slow
def test_points_given_by_hand_are_in_the_tables_and_the_feedback_without_running_anything(book, runs):
    (before,) = mark(book, ann={})
    assert before.points == 0
    give(book, 2)
    (after,) = marked_before(open_records(), [NAME])
    assert (after.points, after.waiting, runs) == (2, 0, ["ann"])
    assert "score: 2.0" in after.feedback.read_text().lower() or "2.0 / " in after.feedback.read_text()
    assert [one for one in after.marks if not one.by_hand] == [one for one in before.marks if not one.by_hand]
    (book.folder / "runs" / "ann" / f"{NAME}.json").unlink()
    (without,) = marked_before(open_records(), [NAME])
    assert without.points == 2
    assert "was not kept" in without.remarks[0]


@pytest.mark.slow
def test_what_is_late_loses_points_by_the_rule_and_a_later_date_gives_them_back(book, runs):
    records = replace(open_records(), book=book)
    (ann,) = handed_in(book, ann={})
    ann.origin = Origin("Blackboard", "ann", handed_in=datetime(2026, 12, 2, 15, 0))
    list(mark_class([ann], records, LIMITS, [], 1))
    give(book, 2)
    book._api.config.ShareADay.share = 0.25

    def due(when: str) -> MarkedSubmission:
        with book._api.gradebook as there:
            there.update_or_create_assignment(NAME, duedate=when)
        (one,) = marked_before(records, [NAME])
        return one

    late = due("2026-12-01 12:00 UTC")  # two days have begun
    assert (late.penalty, late.points) == (1, 1)
    assert "Handed in late: 1 points deducted." in late.remarks
    assert due("2026-12-03 12:00 UTC").points == 2
    assert due("2020-12-03 12:00 UTC").points == 0  # but never less
    book.hand_out(NAME)  # which leaves the date as it is
    (still,) = marked_before(records, [NAME])
    assert still.points == 0


@example(share=1.0, grace=0.0, score=0.875, late=1.0)
@given(share=st.floats(0, 1), grace=st.floats(0, 10_000), score=st.floats(0, 100), late=st.floats(0, 1e9))
def test_a_penalty_is_between_nothing_and_all_and_grows_with_time(share, grace, score, late):
    rule = ShareADay(config=Config(ShareADay={"share": share, "grace": grace}))
    now, later = (rule.late_submission_penalty("ann", score, seconds) or 0 for seconds in (late, late + DAY))
    assert 0 <= now <= later <= score + 0.0051  # points have two decimals
    if late <= 60 * grace:
        assert now == 0
    elif share * math.ceil((late - 60 * grace) / DAY) >= 1:
        assert now == pytest.approx(score, abs=0.0051)


def test_the_names_of_files_say_who_it_is_on_a_platform():
    paths = {
        "a/Ann Lee_123456_assignsubmission_file_/sheet.ipynb": Origin("Moodle", "Ann Lee", "123456"),
        "b/Participant_77_assignsubmission_file_/sheet.ipynb": Origin("Moodle", "Participant", "77"),
        "c/leeann_LATE_12345_678901_sheet.ipynb": Origin("Canvas", "leeann", "12345", late=True),
        "c/bob_23456_678902_sheet.ipynb": Origin("Canvas", "bob", "23456"),
        "c/anon_a1b2c_678903_sheet.ipynb": Origin("Canvas"),
        "d/Sheet 1_alee_attempt_2026-11-26-10-00-00_sheet.ipynb": Origin(
            "Blackboard", "alee", handed_in=datetime(2026, 11, 26, 10)
        ),
        "d/Sheet 1_bob_attempt_2026-99-26-10-00-00_sheet.ipynb": Origin("Blackboard", "bob"),
        # What a student writes into a name of one's own changes nothing.
        "d/Sheet 1_cid_attempt_2026-12-02-10-00-00_x_attempt_2020-01-01-00-00-00_s.ipynb": Origin(
            "Blackboard", "cid", handed_in=datetime(2026, 12, 2, 10)
        ),
        "d/Sheet 1_dan_attempt_2026-12-02-10-00-00_Ann_77_assignsubmission_file_s.ipynb": Origin(
            "Blackboard", "dan", handed_in=datetime(2026, 12, 2, 10)
        ),
        "c/eve_34567_678904_Ann_77_assignsubmission_file_s.ipynb": Origin("Canvas", "eve", "34567"),
        "e/Ann Lee_5_assignsubmission_file_x_attempt_2020-01-01-00-00-00_s.ipynb": Origin("Moodle", "Ann Lee", "5"),
    }
    assert origins([PurePosixPath(path) for path in paths]) == {
        PurePosixPath(path): origin for path, origin in paths.items()
    }
    assert origins([PurePosixPath("Ann/sheet.ipynb")]) == {}


def marked(origin: Origin, points: float, sheet: str = NAME, most: float = 20, **more: object) -> MarkedSubmission:
    return MarkedSubmission("ann", sheet, [ExerciseMark("sizes", points, most, False)], [], origin=origin, **more)


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_moodle_and_canvas_get_the_marks_in_their_own_columns(tmp_path):
    found = [
        marked(Origin("Moodle", "Zoë Lee", "123"), 17.5, penalty=2.5),
        marked(Origin("Moodle", "Participant", "77"), 0),
        marked(Origin("Moodle", "=cmd()", "5"), 3, "02_model", 24),
        marked(Origin("Moodle", "No Number"), 3),
        marked(Origin("Moodle", "Un Readable", "9"), 0, unread=True),
        marked(Origin("Canvas", "leeann", "12345", late=True), 12),
        marked(Origin("Canvas", "leeann", "12345"), 20, "02_model", 24),
        marked(Origin("Canvas", "bob", "23456"), 1, "02_model", 24),
        replace(marked(Origin("Canvas", "cid", "34567"), 1), marks=[]),  # not marked
        marked(NO_PLATFORM, 9),
    ]
    written_to = write_imports(found, tmp_path)
    assert [path.name for path in written_to] == ["moodle-01_data.csv", "moodle-02_model.csv", "canvas.csv"]
    head = ["Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)"]
    assert rows(written_to[0]) == [
        head,
        ["Participant 123", "Zoë Lee", "15", "20", "-"],
        ["Participant 77", "", "0", "20", "-"],
    ]
    assert rows(written_to[1]) == [head, ["Participant 5", "'=cmd()", "3", "24", "-"]]
    assert rows(written_to[2]) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "01_data", "02_model"],
        ["    Points Possible", "", "", "", "", "20", "24"],
        ["leeann", "12345", "", "", "", "12", "20"],
        ["bob", "23456", "", "", "", "", "1"],
    ]
    assert write_imports([marked(NO_PLATFORM, 9)], tmp_path) == []
    assert not (tmp_path / "canvas.csv").exists()  # nobody uploads last week's
    assert not (tmp_path / "moodle-01_data.csv").exists()
    assert (tmp_path / "moodle-02_model.csv").exists()  # of a sheet that was not marked this time


def test_a_kept_run_comes_back_as_it_was(tmp_path):
    runs = KeptRuns(tmp_path)
    verdicts = {"a-check": Verdict(Status.RIGHT, "Well.", 909), "b-check": Verdict(Status.NOT_YET, "No.")}
    run = KeptRun(
        "ann", NAME, "f", verdicts, ["zoë"], Origin("Blackboard", "ann", handed_in=datetime(2026, 1, 2, 3, 4, 5))
    )
    runs.keep(run)
    assert runs.find("ann", NAME) == run
    path = tmp_path / "runs" / "ann" / f"{NAME}.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["verdicts"] = {name: one[:2] for name, one in told["verdicts"].items()}  # as it was before there were ranks
    path.write_text(json.dumps(told), encoding="utf-8")
    assert runs.find("ann", NAME) == replace(run, verdicts=verdicts | {"a-check": Verdict(Status.RIGHT, "Well.")})
    assert runs.students_with(NAME) == ["ann"]
    assert runs.students_with("02_model") == []
    runs.forget("ann", NAME)
    runs.forget("ann", NAME)
    assert runs.find("ann", NAME) is None


def test_a_challenge_s_ranking_survives_in_the_book_and_is_a_table_for_the_instructor(book, runs, tmp_path):
    mark(book, ann={}, bob={}, cid={}, dee={})
    records = open_records()
    for student, rank in {"ann": 909, "bob": 700.0, "cid": 909}.items():
        run = records.runs.find(student, NAME)
        said = Verdict(Status.RIGHT, f"{rank} parameters, <b>97%</b>.", rank)
        records.runs.keep(replace(run, verdicts=run.verdicts | {"sizes-check": said}))
    write_class(list(marked_before(records, [NAME])), [], tmp_path)
    (challenge,) = json.loads((tmp_path / "class.json").read_text(encoding="utf-8"))["challenges"]
    assert (challenge["sheet"], challenge["exercise"]) == (NAME, "sizes")
    assert [(one["place"], one["student"]) for one in challenge["ranking"]] == [(1, "bob"), (2, "ann"), (2, "cid")]
    page = (tmp_path / "class.html").read_text(encoding="utf-8")
    assert "<td>1</td><td>bob</td><td>700.0 parameters, &lt;b&gt;97%&lt;/b&gt;.</td>" in page


def test_without_a_challenge_there_is_no_ranking(book, runs, tmp_path):
    write_class(mark(book, ann={}), [], tmp_path)
    assert json.loads((tmp_path / "class.json").read_text(encoding="utf-8"))["challenges"] == []
    assert "Challenge" not in (tmp_path / "class.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name a folder or a zip to mark."),
        (["--rerun", "no", "somewhere"], "reads no submissions"),
        (["--rerun", "no"], "There are no marks of these sheets"),
        (["--rerun", "maybe"], "maybe"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_line(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["mnist-helpers", "grade", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (1, 2)
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_where_and_when_it_came_from_is_renewed_though_nothing_is_run(book, runs):
    mark(book, ann={})
    (ann,) = handed_in(book, ann={})
    ann.origin = Origin("Moodle", "Ann", "77")
    list(mark_class([ann], open_records(), LIMITS, [], 1))
    (later,) = marked_before(open_records(), [NAME])
    assert later.origin == ann.origin
    ann.origin = Origin("Moodle", "Ann", "78")
    (other,) = mark_class([ann], open_records(), LIMITS, [], 1)
    assert "the number 77 before, and 78 now" in " ".join(other.remarks)
    for day, secret in ((3, "first"), (5, "second")):  # once more without a change: no later, but with another secret
        ann.origin = Origin("nbgrader", "ann", handed_in=datetime(2026, 12, day), sheet=NAME, secret=secret)
        (same,) = mark_class([ann], open_records(), LIMITS, [], 1)
        assert (same.origin.handed_in, same.origin.secret) == (datetime(2026, 12, 3), secret)
        assert (same.feedback.parent / "submission_secret.txt").read_text() == secret
    ann.origin = Origin("Blackboard", "ann", handed_in=datetime(2026, 12, 2, 15, 0))
    list(mark_class([ann], open_records(), LIMITS, [], 1))
    with book._api.gradebook as there:
        assert there.find_submission(NAME, "ann").timestamp == datetime(2026, 12, 2, 15, 0)
    mark(book, ann={})
    with book._api.gradebook as there:
        assert there.find_submission(NAME, "ann").timestamp is None
    assert runs == ["ann"]


@pytest.mark.slow
def test_extra_points_count_and_lateness_never_leaves_less_than_none(book, runs, tmp_path):
    mark(book, ann={})
    with book._api.gradebook as there:
        grade = there.find_grade("which_digits", NAME, NAME, "ann")
        grade.manual_score, grade.extra_credit, grade.needs_manual_grade = 2, 3, False
        there.db.commit()
    (ann,) = marked_before(open_records(), [NAME])
    assert ann.points == 5
    late = replace(ann, penalty=7.5)
    assert late.points == 0
    write_marks([late], tmp_path / "marks.csv")
    assert rows(tmp_path / "marks.csv")[1][2:5] == ["0.0", f"{ann.most}", "7.5"]


@pytest.mark.slow
def test_what_could_not_be_read_or_marked_last_is_still_said_later(book, runs, monkeypatch):
    mark(book, ann={})
    sheets = {NAME: book.hand_out(NAME)}
    (broken,) = sort_out([HandedInFile("ann", "ann/sheet.pdf", lambda: b"%PDF")], sheets, {})
    list(mark_class([broken], open_records(), LIMITS, [], 1))
    (later,) = marked_before(open_records(), [NAME])
    assert "is not a notebook" in " ".join(later.remarks)
    assert "earlier version" in " ".join(later.remarks)
    assert not later.unread  # the marks are those of what could be read
    mark(book, ann={})  # what is handed in again is run again, and nothing is said any more
    (again,) = marked_before(open_records(), [NAME])
    assert "earlier version" not in " ".join(again.remarks)
    assert runs == ["ann", "ann"]

    def fails(*_: object) -> None:
        raise CourseError("no room")

    monkeypatch.setattr(running, "_run", fails)
    mark(book, bob={})
    assert [(one.student, bool(one.marks)) for one in marked_before(open_records(), [NAME])] == [
        ("ann", True),
        ("bob", False),
    ]


@pytest.mark.slow
def test_a_book_that_cannot_be_asked_loses_no_run(book, runs, monkeypatch):
    mark(book, ann={}, bob={})
    monkeypatch.setattr(Gradebook, "grades", lambda *_: (_ for _ in ()).throw(OSError("database is locked")))
    found = mark(book, ann={}, bob={})
    assert runs == ["ann", "bob"] * 2
    assert all("database is locked" in one.remarks[-1] for one in found)


def test_who_ends_the_marking_keeps_what_was_marked_and_begins_nothing_more(book, monkeypatch):
    begun, go_on = [], Event()

    def run(submission: Submission, *_: object) -> TrialResult:
        begun.append(submission.student)
        assert len(begun) == 1 or go_on.wait(60)
        return TrialResult({}, set())

    monkeypatch.setattr(running, "_run", run)
    marking_class = mark_class(handed_in(book, ann={}, bob={}, cid={}, dora={}), open_records(), LIMITS, [], 1)
    first = next(marking_class)
    go_on.set()
    marking_class.close()
    assert book.students_with(NAME) == [first.student]
    assert len(begun) <= 3  # the one in hand comes to its end


def test_what_may_change_a_verdict_changes_the_fingerprint(book, monkeypatch):
    (ann,) = handed_in(book, ann={})
    before = fingerprint(ann, LIMITS)
    assert fingerprint(ann, LIMITS) == before
    with monkeypatch.context() as patch:
        patch.setattr(kept_runs, "has_bubblewrap", lambda: "no more")
        assert fingerprint(ann, LIMITS) != before
    with monkeypatch.context() as patch:
        patch.setattr(kept_runs, "_installed", lambda: "another torch")
        assert fingerprint(ann, LIMITS) != before
    ann.page.cells[0].source += " "
    assert fingerprint(ann, LIMITS) != before
