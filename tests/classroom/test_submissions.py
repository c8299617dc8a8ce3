"""What comes in is sorted out, whatever it is; what comes out of a submission's process is read, and not believed."""

import copy
import json
import re
import tracemalloc
import warnings
import zipfile
from pathlib import PurePosixPath

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pupils import ALL, NAME, delete, double, page, written
from pupils import SHEETS as SHEETS_BY_NAME

from mnist_helpers.checks.exercise import Outcome, same
from mnist_helpers.checks.inputs import own_choice
from mnist_helpers.classroom import submissions
from mnist_helpers.classroom.outcomes import read_outcomes, write_outcomes
from mnist_helpers.classroom.platforms import common_folder, owners
from mnist_helpers.classroom.submissions import HandedInFile, grade_id, handed_in, sort_out, student_ids
from mnist_helpers.course.stripping import without_solutions

SHEETS = {NAME: without_solutions(page())}

words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
numbers = st.integers(-(2**40), 2**40) | st.floats() | st.booleans() | st.none() | words
arrays = st.sampled_from(["f4", "f8", "i8", "u1", "?"]).flatmap(
    lambda kind: st.lists(st.integers(0, 3), max_size=3).map(lambda shape: np.ones(shape, kind))
)
values = st.recursive(
    numbers | arrays,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(words, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(values, max_size=3))
def test_outcomes_come_back_as_they_were_sent(sent):
    back = read_outcomes(write_outcomes([Outcome(value, "", False) for value in sent]))
    assert [type(one.value) for one in back] == [type(value) for value in sent]
    for one, value in zip(back, sent, strict=True):
        assert repr(one.value) == repr(value)
        assert isinstance(value, float) or same(one.value, value) or "nan" in repr(value)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.bool_])
def test_a_number_of_numpy_stays_a_number(kind):
    (one,) = read_outcomes(write_outcomes([Outcome(kind(1))]))
    assert same(one.value, 1)


def test_an_object_comes_back_as_its_text_alone():
    (one,) = read_outcomes(write_outcomes([Outcome(object())]))
    assert repr(one.value).startswith("<object object")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "[{}]",
        '{"value": 1}',
        "[" * 100_000,
        json.dumps([{"value": {"array": "AAAA", "dtype": "|O", "shape": [1]}, "error": "", "changed": False}]),
        json.dumps([{"value": {"array": "AAAA", "dtype": "<f4", "shape": [10**9]}, "error": "", "changed": False}]),
        json.dumps([{"value": {"array": "AAAA", "dtype": "<f4", "shape": [-1, -1]}, "error": "", "changed": False}]),
        json.dumps([{"value": {"array": "AAAA", "dtype": "nonsense", "shape": []}, "error": "", "changed": False}]),
        json.dumps([{"value": {"array": "AAAA", "dtype": "(1i4,i", "shape": []}, "error": "", "changed": False}]),
        json.dumps([{"value": {"array": "", "dtype": "<f4", "shape": [10**7, 0]}, "error": "", "changed": False}]),
        json.dumps(
            [{"value": {"array": "", "dtype": "<f4", "shape": [10**4000] * 900}, "error": "", "changed": False}]
        ),
        json.dumps([{"value": [0] * 600_000, "error": "", "changed": False}]),
        json.dumps([{"value": {"dict": [[{"dict": []}, 1]]}, "error": "", "changed": False}]),
    ],
)
def test_what_no_check_wrote_is_refused(text):
    with pytest.raises(ValueError, match="."):
        read_outcomes(text)


def test_long_words_of_a_submission_are_cut():
    (one,) = read_outcomes(json.dumps([{"value": ["a" * 10**6], "error": "b" * 10**6, "changed": False}]))
    assert len(one.value[0]) == len(one.error) == 200


@given(st.lists(st.text(min_size=1, max_size=80), unique=True, max_size=8))
def test_every_student_has_an_id_that_is_safe_in_a_path_and_nobody_elses(names):
    ids = student_ids(names, {})
    assert list(ids) == names
    assert len({one.casefold() for one in ids.values()}) == len(names)
    for one in ids.values():
        assert re.fullmatch(r"[\w@-]+", one)


@pytest.mark.parametrize(
    ("paths", "above"),
    [
        (["ann/a.ipynb", "bob/b.ipynb"], ""),
        (["export/ann/a.ipynb", "export/bob/b.ipynb"], "export"),
        (["ann/01_data/01_data.ipynb"], ""),
        (["ann/a.ipynb", "ann/b.ipynb"], ""),
        (["ann.ipynb", "bob.ipynb"], ""),
        (["export/ann.ipynb", "export/bob.ipynb", "export/cem.ipynb"], "export"),
        (["ann/sheet.ipynb", "ann/sheet (1).ipynb", "ann/photo.png"], ""),
        (["export/ann/a.ipynb", "export/bob/b.ipynb", "export/readme.txt"], "export"),
        (["ann/a.ipynb", "ann/tries/1.ipynb", "ann/old/2.ipynb"], ""),
        (["ann/data/1.csv", "ann/work/1.ipynb", "ann/readme.txt"], ""),
        (["ann/01_data.ipynb", "ann/02_model.ipynb", "ann/03_training.ipynb"], ""),
    ],
)
def test_the_folder_around_all_students_is_not_a_student(paths, above):
    assert common_folder({PurePosixPath(path) for path in paths}) == PurePosixPath(above)


def handed(student: str, name: str, content: bytes) -> HandedInFile:
    return HandedInFile(student, name, lambda: content)


def test_a_zip_cannot_reach_out_of_itself_or_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "LARGEST", 1_000)
    with zipfile.ZipFile(tmp_path / "class.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../evil/sheet.ipynb", b"{}")
        file.writestr("ann/sheet.ipynb", b" " * 10**7)
        file.writestr("bob/sheet.ipynb", b"{}")
    files = {one.student: one for one in handed_in(tmp_path / "class.zip")}
    assert list(files) == ["ann", "bob"]
    assert files["bob"].read() == b"{}"
    with pytest.raises(ValueError, match="larger than"):
        files["ann"].read()
    assert "larger than" in sort_out(list(files.values()), SHEETS, {})[0].problem


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_may_need_any_amount_of_memory_are_refused_unread(tmp_path, packing):
    with zipfile.ZipFile(tmp_path / "class.zip", "w", packing) as file:
        file.writestr("ann/sheet.ipynb", written(page(ALL)))
        file.writestr("bob/sheet.ipynb", written(page(ALL)), zipfile.ZIP_DEFLATED)
    ann, bob = sort_out(handed_in(tmp_path / "class.zip"), SHEETS, {})
    assert "any amount of memory" in ann.problem
    assert not bob.problem


def test_a_class_is_read_one_file_at_a_time_and_a_student_s_sum_is_limited(monkeypatch):
    large = written(page(ALL)) + b" " * 1_000_000
    monkeypatch.setattr(submissions, "LARGEST_SUM", 3 * len(large))
    read = []
    files = [HandedInFile("ann", f"ann/{n:03}.ipynb", lambda n=n: read.append(n) or large) for n in range(30)]
    files.append(HandedInFile("bob", "bob/sheet.ipynb", lambda: large))
    tracemalloc.start()
    ann, bob = sort_out(files, SHEETS, {})
    assert tracemalloc.get_traced_memory()[1] < 8 * len(large)
    tracemalloc.stop()
    assert len(read) == 4
    assert "ann/004.ipynb was left out: its student's notebooks have more than" in " ".join(ann.remarks)
    assert not bob.remarks


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("ann\\01\\sheet.ipynb", "ann"),
        ("./ann//sheet.IPYNB", "ann"),
        ("/ann/sheet.ipynb", "ann"),
        ("L\udcf6.ipynb", "L_"),
    ],
)
def test_an_odd_name_in_a_zip_still_finds_its_student(tmp_path, monkeypatch, name, student):
    class Archive(zipfile.ZipFile):
        def infolist(self):
            member = super().infolist()[0]
            member.filename = name
            return [member]

    with zipfile.ZipFile(tmp_path / "class.zip", "w") as file:
        file.writestr("x", b"{}")
    monkeypatch.setattr(submissions.zipfile, "ZipFile", Archive)
    (one,) = sort_out(handed_in(tmp_path / "class.zip"), SHEETS, {})
    assert one.student.startswith(student[:1])
    one.problem.encode("utf-8")


def test_a_broken_member_of_a_zip_is_one_students_trouble(tmp_path):
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as file:
        file.writestr("ann/a.ipynb", b"x" * 1_000)
        file.writestr("bob/b.ipynb", written(page(ALL)))
    content = (tmp_path / "class.zip").read_bytes()
    (tmp_path / "class.zip").write_bytes(content.replace(b"x" * 1_000, b"y" * 1_000))  # the sum is no longer right
    found = {one.student: one.problem for one in sort_out(handed_in(tmp_path / "class.zip"), SHEETS, {})}
    assert "broken" in found["ann"]
    assert not found["bob"]


def test_too_many_files_are_refused_before_any_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "MOST_FILES", 3)
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("")
    with pytest.raises(submissions.SubmissionsError, match="more than 3 files"):
        handed_in(tmp_path)


CLASSES = {  # what is handed in, and whose it is
    "Canvas, two weeks": {
        "week 1/leeann_12345_678901_01_data.ipynb": "leeann_12345",
        "week 1/leeann_12345_678902_photo.png": "leeann_12345",
        "week 1/mu\u0308llerbob_12346_678909_notes.txt": "müllerbob_12346",
        "week 1/müllerbob_LATE_12346_678903_my homework-1.ipynb": "müllerbob_12346",
        "week 1/kimcem_12347_text.html": "kimcem_12347",
        "week 1/anon_x7Yz2_678905_01_data.ipynb": "anon_x7Yz2",
        "week 1/LATE_anon_aaaaa_678906_01_data.ipynb": "anon_aaaaa",
        "week 2/leeann_LATE_12345_699901_02_model.ipynb": "leeann_12345",
        "week 2/müllerbob_12346_699902_02_model.ipynb": "müllerbob_12346",
        "week 2/README.txt": "",
    },
    "Moodle, folders": {
        "Ann Lee_123456_assignsubmission_file_/01_data.ipynb": "Ann Lee",
        "Ann Lee_123456_assignsubmission_file_/more/photo.png": "Ann Lee",
        "Ann Lee_123457_assignsubmission_file_/01_data.ipynb": "Ann Lee (2)",
        "Bob_123458_assignsubmission_file/sheet.ipynb": "Bob",
        "Bob_123458_assignsubmission_onlinetext/onlinetext.html": "Bob",
        "Participant_123459_assignsubmission_file/sheet.ipynb": "Participant_123459",
        "Participant_123460_assignsubmission_file/sheet.ipynb": "Participant_123460",
        "Group A_17_assignsubmission_file/sheet.ipynb": "Group A",
        "Default group_assignsubmission_file/sheet.ipynb": "Default group",
        "grades.xlsx": "",
    },
    "Moodle, flat, two weeks": {
        "1/Ann Lee_111_assignsubmission_file_01_data (1).ipynb": "Ann Lee",
        "1/Bob_112_assignsubmission_file_sheet (2).ipynb": "Bob",
        "1/Bob_112_assignsubmission_file_sheet (1).ipynb": "Bob",
        "2/Ann Lee_211_assignsubmission_file_02_model.ipynb": "Ann Lee",
        "2/Bob_212_assignsubmission_file_02_model.ipynb": "Bob",
    },
    "Blackboard, two weeks": {
        "gradebook 1/Sheet_1_alee_attempt_2026-11-26-10-00-00_01_data.ipynb": "alee",
        "gradebook 1/Sheet_1_alee_attempt_2026-11-26-10-00-00.txt": None,
        "gradebook 1/Sheet_1_b_kim_attempt_2026-11-26-11-00-00_sheet (1).ipynb": "b_kim",
        "gradebook 1/Sheet_1_b_kim_attempt_2026-11-26-11-00-00.txt": None,
        "gradebook 1/Sheet_1_cem_attempt_2026-11-26-12-00-00.txt": "",
        "gradebook 2/Sheet_2_alee_attempt_2026-12-03-10-00-00_02.ipynb": "alee",
        "gradebook 2/Sheet_2_b_kim_attempt_2026-12-03-10-00-00_02.ipynb": "b_kim",
    },
    "Blackboard, one": {"Sheet 1_alee_attempt_2026-11-26-10-00-00_01_data.ipynb": "alee"},
    "a folder a student": {
        "class/Ann/01.ipynb": "Ann",
        "class/Ann/data/notes.txt": "Ann",
        "class/Bob/01.docx": "Bob",
        "class/Cem/01.ipynb": "Cem",
        "class/readme.txt": "",
    },
    "a notebook a student": {
        "Ann.ipynb": "Ann",
        "ann.ipynb": "ann",
        "week_1_2_bob.ipynb": "week_1_2_bob",  # no number of Canvas's, which no two files share
        "dan_2026_1126.ipynb": "dan_2026_1126",
        "lab_11_200_eve.ipynb": "lab_11_200_eve",
        "lab_11_200_fay.ipynb": "lab_11_200_fay",
        "cem.docx": "cem",
        "points.csv": "",
    },
    "a folder a student, and numbers in names": {
        "ann/hw_11_200_final.ipynb": "ann",
        "bob/hw_11_201_final.ipynb": "bob",
    },
    "one name in two forms": {
        "Jose\u0301/sheet.ipynb": "José",
        "José/sheet.ipynb": "José (3)",
        "José (2)/sheet.ipynb": "José (2)",
    },
}


@pytest.mark.parametrize("name", CLASSES)
def test_whose_a_file_is_is_read_from_its_platform_s_names(name):
    whose = CLASSES[name]
    paths = [PurePosixPath(path) for path in whose]
    assert dict(zip(whose, owners(paths), strict=True)) == whose


@given(st.lists(st.lists(st.sampled_from([*"ab_1(). ", "é", "e\u0301"]), min_size=1).map("".join), min_size=1))
def test_two_folders_of_a_download_are_never_one_student(names):
    folders = list(dict.fromkeys(name for name in names if name.strip(".")))
    found = owners([PurePosixPath(name, "sheet.ipynb") for name in folders])
    assert len(set(found)) == len(folders)


def zip_of(place, *files: tuple[str, bytes]):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        with zipfile.ZipFile(place, "w") as file:
            for name, content in files:
                file.writestr(name, content)
    return place


def test_one_person_has_one_id_in_all_weeks(tmp_path):
    known: dict[str, str] = {}
    for number in ("678901", "699901"):
        place = zip_of(
            tmp_path / f"{number}.zip",
            (f"leeann_LATE_12345_{number}_01_data.ipynb", written(page(ALL))),
            (f"leeann_12399_{number[:-1]}7_01_data.ipynb", written(page(ALL))),
        )
        assert {one.student for one in sort_out(handed_in(place), SHEETS, known)} == {"leeann_12345", "leeann_12399"}
    assert len(known) == 2


def test_the_text_that_blackboard_writes_is_no_student_and_no_remark(tmp_path):
    head = "Sheet 1_{}_attempt_2026-11-26-10-00-00"
    files = [(f"{head.format(name)}_a.ipynb", written(page(ALL))) for name in ("ann", "bob")]
    files += [(f"{head.format(name)}.txt", b"Name: Ann") for name in ("ann", "bob", "cem")]
    found = handed_in(zip_of(tmp_path / "class.zip", *files))
    assert [one.name for one in found if not one.student] == ["Sheet 1_cem_attempt_2026-11-26-10-00-00.txt"]
    assert [(one.student, one.remarks) for one in sort_out(found, SHEETS, {})] == [("ann", []), ("bob", [])]
    assert submissions.left_out(found) == [f"Left out, as no student's: {head.format('cem')}.txt."]
    assert not submissions.left_out([one for one in found if one.student])
    assert "d.txt" not in submissions.left_out([handed("", f"{name}.txt", b"") for name in "abcdef"])[0]


def test_a_place_with_nothing_but_notes_is_refused_with_their_names(tmp_path):
    (tmp_path / "README.txt").write_text("hello")
    with pytest.raises(submissions.SubmissionsError, match=r"no files of students in .*; README.txt is no student's"):
        handed_in(tmp_path)


def test_a_name_that_is_there_twice_in_a_zip_is_not_lost_in_silence(tmp_path):
    for contents in ([written(page(ALL)), b"{}"], [b"{}", written(page(ALL))]):
        place = zip_of(tmp_path / "class.zip", *(("ann/a.ipynb", content) for content in contents))
        (one,) = sort_out(handed_in(place), SHEETS, {})
        assert not one.problem
        assert "ann/a.ipynb" in " ".join(one.remarks)
    twice = zip_of(tmp_path / "class.zip", *[("ann/a.ipynb", written(page(ALL)))] * 2)
    (one,) = sort_out(handed_in(twice), SHEETS, {})
    assert one.remarks == ["There is more than one notebook; ann/a.ipynb was marked."]


@pytest.mark.parametrize("names", [("ann\x01", "ann\x02"), ("Ann", "ann"), ("Jose\u0301", "José"), ("a\u200b", "a")])
def test_students_whose_names_look_alike_stay_two(tmp_path, names):
    place = zip_of(tmp_path / "class.zip", *((f"{name}/a.ipynb", written(page(ALL))) for name in names))
    known: dict[str, str] = {}
    found = sort_out(handed_in(place), SHEETS, known)
    assert len({one.student.casefold() for one in found}) == 2
    assert not any(one.problem for one in found)
    assert len(known) == 2
    assert json.loads(json.dumps(known, ensure_ascii=False).encode()) == known


def test_namesakes_are_said_to_be_two(tmp_path):
    files = [(f"Ann Lee_{n}_assignsubmission_file_/a.ipynb", written(page(ALL))) for n in (11, 12)]
    known: dict[str, str] = {}
    found = sort_out(handed_in(zip_of(tmp_path / "1.zip", *files)), SHEETS, known)
    assert [one.student for one in found] == ["Ann_Lee", "Ann_Lee_2"]
    later = sort_out(handed_in(zip_of(tmp_path / "2.zip", files[1])), SHEETS, known)
    for one in [*found, *later]:
        assert one.remarks == ["Another student has the same name; check which of the two this is."]


def test_one_name_in_another_form_a_week_later_is_the_same_person(tmp_path):
    known: dict[str, str] = {}
    for name in ("José", "Jose\u0301"):
        place = zip_of(tmp_path / "class.zip", (f"{name}/a.ipynb", written(page(ALL))))
        (one,) = sort_out(handed_in(place), SHEETS, known)
        assert (one.student, one.remarks) == ("José", [])


def test_a_long_name_is_shown_cut(tmp_path):
    place = zip_of(tmp_path / "class.zip", ("ann/" + "x" * 5_000, b""), ("ann/a.ipynb", written(page(ALL))))
    (one,) = sort_out(handed_in(place), SHEETS, {})
    assert len(" ".join(one.remarks)) < 300


def test_of_many_stray_files_the_first_are_named(tmp_path):
    files = [(f"ann/{n}.png", b"") for n in range(500)]
    (one,) = sort_out(
        handed_in(zip_of(tmp_path / "class.zip", *files, ("ann/a.ipynb", written(page(ALL))))), SHEETS, {}
    )
    assert one.remarks[3:] == ["And 497 more like this."]


def older(change) -> bytes:
    notebook = page(ALL)
    for cell in notebook.cells:
        if grade_id(cell) == "setup" or grade_id(cell).endswith("-check"):
            cell.source = change(cell.source)
    return written(notebook)


def test_white_space_in_a_locked_cell_is_nothing_to_be_said():
    one = sorted_out(older(lambda source: source.replace("\n", "\r\n") + "  \n"))
    assert one.remarks == []
    assert {grade_id(cell): cell.source for cell in one.page.cells}["sizes-check"] == "checks.sizes(sizes)"


def test_an_answer_keeps_its_lines_whatever_ends_them():
    for end in ("\r\n", "\r"):
        notebook = page(ALL)
        for cell in notebook.cells:
            cell.source = cell.source.replace("\n", end)
        one = sorted_out(written(notebook))
        kept = {grade_id(cell): cell.source for cell in one.page.cells}
        expected = {grade_id(cell): cell.source for cell in page(ALL).cells}
        assert (one.remarks, kept["shift"]) == ([], expected["shift"])


def test_a_class_with_sheets_of_an_older_edition_gets_one_sentence_each():
    content = older(lambda source: f"{source}\nprint('older')")
    for one in sort_out([handed(name, f"{name}/a.ipynb", content) for name in ("ann", "bob", "cem")], SHEETS, {}):
        assert one.remarks == [submissions.OLDER]
    assert sorted_out(content).remarks == ["8 locked cells were edited; the originals have been restored."]


def test_what_a_class_has_alike_is_an_older_edition_and_what_one_has_is_not():
    def content(own: str) -> bytes:
        notebook = page(ALL)
        for cell in notebook.cells:
            if grade_id(cell) == "setup":
                cell.source = "import torch"
            if grade_id(cell) == "sizes-check" and own:
                cell.source = own
        notebook.cells = [cell for cell in notebook.cells if grade_id(cell) != "shift-check"]
        return written(notebook)

    names = ["ann", "bob", "cem", "dan"]
    files = [handed(name, f"{name}/a.ipynb", content("print()" * (name == "bob"))) for name in names]
    ann, bob, *_ = sort_out(files, SHEETS, {})
    assert ann.remarks == [submissions.OLDER]
    assert bob.remarks == [
        submissions.OLDER,
        "The cell sizes-check was edited although it is locked; the original has been restored.",
    ]
    (alone,) = sort_out(files[:1], SHEETS, {})
    assert "setup was edited" in alone.remarks[0]
    assert "shift-check was deleted" in alone.remarks[1]


def test_remarks_stay_short_whatever_was_deleted_or_doubled():
    notebook = page(ALL)
    notebook.cells = [cell for cell in notebook.cells if grade_id(cell) in ("", "sizes", "image_at")] * 3
    one = sorted_out(written(notebook))
    assert len(" ".join(one.remarks)) < 500
    assert "more like this" in " ".join(one.remarks)


def nameless(notebook) -> bytes:
    for cell in notebook.cells:
        cell.metadata = {}
        cell.pop("id", None)
    notebook.metadata = {}
    notebook.nbformat_minor = 0
    return written(notebook)


def test_answers_are_recognised_when_all_metadata_is_lost():
    notebook = page(ALL - {"shift", "sizes"}, {"sizes": "size = 3"})
    for cell in notebook.cells:
        if grade_id(cell) == "which_digits":
            cell.source = "4 and 9"
    one = sorted_out(nameless(notebook))
    assert not one.problem
    assert marks(one) == [grade_id(cell) for cell in SHEETS[NAME].cells if grade_id(cell)]
    cells = {grade_id(cell): cell.source for cell in one.page.cells}
    assert "def nearest_mean" in cells["nearest_mean"]
    assert (cells["sizes"], cells["which_digits"]) == ("size = 3", "4 and 9")
    assert one.remarks == [
        "Cells had lost their names (the notebook's metadata); 16 of them were recognised by their functions and their "
        "places."
    ]


def test_an_answer_in_a_cell_of_one_s_own_is_recognised():
    notebook = page(ALL)
    (cell,) = [cell for cell in notebook.cells if grade_id(cell) == "shift"]
    cell.metadata = {}
    notebook.cells.remove(cell)
    notebook.cells.insert(1, cell)
    one = sorted_out(written(notebook))
    assert "def shift" in {grade_id(cell): cell.source for cell in one.page.cells}["shift"]
    assert "1 of them were recognised" in " ".join(one.remarks)


def test_a_page_without_names_is_the_sheet_of_which_it_has_most():
    other = copy.deepcopy(SHEETS_BY_NAME["02_model"].page)
    sheets = {NAME: SHEETS[NAME], "02_model": without_solutions(copy.deepcopy(other))}
    (one,) = sort_out([handed("ann", "ann/a.ipynb", nameless(page(ALL)))], sheets, {})
    assert (one.sheet, one.problem) == (NAME, "")
    chance = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("def shift(image):\n    return image")])
    assert "holds no cell" in sorted_out(written(chance)).problem


@pytest.mark.parametrize("minor", [6, 99])
def test_a_notebook_of_a_newer_jupyter_is_read(minor, caplog):
    notebook = page(ALL)
    notebook.nbformat_minor = minor
    notebook.metadata["new_of_this_version"] = {"a": 1}
    for cell in notebook.cells:
        cell["another"] = True
    one = sorted_out(written(notebook))
    assert (one.problem, one.remarks) == ("", [])
    assert marks(one) == [grade_id(cell) for cell in SHEETS[NAME].cells if grade_id(cell)]
    assert not caplog.records


def test_a_student_keeps_the_id_whoever_else_hands_in():
    known: dict[str, str] = {}
    assert student_ids(["bob", "bob!", "Ann Lee"], known) == {"bob": "bob", "bob!": "bob_2", "Ann Lee": "Ann_Lee"}
    assert student_ids(["Ann Lee", "bob!"], known) == {"Ann Lee": "Ann_Lee", "bob!": "bob_2"}


def test_another_sheet_is_not_taken_for_the_one_that_is_marked():
    other = SHEETS_BY_NAME["02_model"].page
    files = [
        handed("ann", "ann/01.ipynb", written(page(ALL))),
        handed("ann", "ann/02.ipynb", written(other)),
    ]
    (one,) = sort_out(files, SHEETS, {})
    assert not one.problem
    assert len(marks(one)) > 10
    assert "02.ipynb holds no cell" in " ".join(one.remarks)


def test_a_stray_file_beside_a_notebook_makes_no_submission_of_its_own():
    sheets = {"00_other": nbformat.v4.new_notebook(), **SHEETS}
    files = [handed("ann", "ann/01.ipynb", written(page(ALL))), handed("ann", "ann/photo.png", b"")]
    (one,) = sort_out(files, sheets, {})
    assert one.sheet == NAME
    assert not one.problem
    assert one.remarks == ["ann/photo.png is not a notebook (.ipynb)."]


def test_of_several_notebooks_the_one_with_most_answers_is_marked():
    little = page(ALL)
    little.cells = little.cells[:4]
    files = [
        handed("ann", "ann/a.ipynb", written(page(ALL))),
        handed("ann", "ann/z.ipynb", written(little)),
    ]
    (one,) = sort_out(files, SHEETS, {})
    assert one.remarks == ["There is more than one notebook; ann/a.ipynb was marked."]


def test_what_a_page_showed_is_made_anew_of_what_is_harmless():
    shown = nbformat.v4.new_code_cell()
    shown.outputs = [
        nbformat.v4.new_output("display_data", {"image/png": "AAAA"}, metadata={"image/png": {"width": "1 onerror=x"}}),
        nbformat.v4.new_output("display_data", {"text/html": "<script>", "text/plain": "\udce9\x1b[2J" + "x" * 10**5}),
        nbformat.v4.new_output("display_data", {"image/svg+xml": "<svg onload=x>", "image/png": '"><script>'}),
    ]
    picture, words = submissions.shown_outputs(shown.outputs)
    assert picture.data == {"image/png": "AAAA"}
    assert not picture.metadata
    assert set(words.data) == {"text/plain"}
    assert words.data["text/plain"].startswith("??[2Jx")
    assert len(words.data["text/plain"]) < 21_000


def test_a_notebook_with_a_byte_order_mark_or_of_far_too_many_parts():
    assert not sorted_out(b"\xef\xbb\xbf" + written(page(ALL))).problem
    assert "parts" in sorted_out(b'{"cells": [' + b"{}," * 400_000 + b"{}]}").problem
    long = page(ALL)
    long.cells += [nbformat.v4.new_markdown_cell("<b>" * 10_000)]
    assert "left out" in sorted_out(written(long)).page.cells[-1].source


def test_a_link_in_a_folder_is_not_followed(tmp_path):
    (tmp_path / "class" / "ann").mkdir(parents=True)
    (tmp_path / "class" / "ann" / "a.ipynb").write_text("{}")
    (tmp_path / "secret.ipynb").write_text("{}")
    (tmp_path / "class" / "ann" / "b.ipynb").symlink_to(tmp_path / "secret.ipynb")
    assert [one.name for one in handed_in(tmp_path / "class")] == ["ann/a.ipynb"]


@pytest.mark.parametrize("name", [b"cell_type", b"cell\\u005ftype"])
def test_a_page_of_far_too_many_cells_is_refused_before_it_is_looked_at(monkeypatch, name):
    monkeypatch.setattr(submissions, "MOST_CELLS", 100)
    long = page(ALL)
    long.cells += [copy.deepcopy(long.cells[0]) for _ in range(101)]
    monkeypatch.setattr(submissions.nbformat, "reads", lambda *_a, **_k: pytest.fail("it was looked at"))
    assert "more than 100 cells" in sorted_out(written(long).replace(b"cell_type", name)).problem


def test_a_page_whose_cells_hold_too_much_together_is_refused(monkeypatch):
    long = page(ALL)
    monkeypatch.setattr(submissions, "MOST_TEXT", sum(len(cell.source) for cell in long.cells))
    assert not sorted_out(written(long)).problem
    long.cells[-1].source += "#"
    assert f"more than {submissions.MOST_TEXT} characters" in sorted_out(written(long)).problem


def sorted_out(content: bytes) -> submissions.Submission:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (one,) = sort_out([handed("ann", "ann/x.ipynb", content)], SHEETS, {})
    return one


def marks(one: submissions.Submission) -> list[str]:
    return [grade_id(cell) for cell in one.page.cells if grade_id(cell)]


def test_a_page_in_order_stays_as_it_is():
    one = sorted_out(written(page(ALL)))
    assert not one.problem
    assert not one.remarks
    assert marks(one) == [grade_id(cell) for cell in SHEETS[NAME].cells if grade_id(cell)]


def test_every_deleted_cell_comes_back_in_its_place():
    whole = [grade_id(cell) for cell in SHEETS[NAME].cells if grade_id(cell)]
    for mark in whole:
        one = sorted_out(delete(mark))
        assert marks(one) == whole
        assert [f"{mark} was deleted" in remark for remark in one.remarks] == [True]


def test_of_doubled_cells_only_the_last_is_marked():
    notebook = page(ALL)
    double(notebook.cells)
    one = sorted_out(written(notebook))
    assert len(marks(one)) == len(set(marks(one)))
    assert len({cell.id for cell in one.page.cells}) == len(one.page.cells)


def test_a_changed_check_is_as_it_was_and_a_changed_kind_of_cell_too():
    notebook = page(ALL)
    for cell in notebook.cells:
        if grade_id(cell) == "sizes-check":
            cell.source = "print('Right.')"
        if grade_id(cell) == "shift":
            cell.cell_type = "markdown"
    one = sorted_out(written(notebook))
    cells = {grade_id(cell): cell for cell in one.page.cells}
    assert cells["sizes-check"].source == "checks.sizes(sizes)"
    assert cells["shift"].cell_type == "code"
    assert "pad" in cells["shift"].source
    assert len(one.remarks) == 2


@given(
    st.recursive(numbers, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=20)
)
def test_no_json_whatever_stops_the_sorting(value):
    assert sorted_out(json.dumps(value).encode()).problem


@given(st.binary(max_size=200))
def test_no_bytes_whatever_stop_the_sorting(content):
    assert sorted_out(content).problem


def test_cells_of_wrong_kinds_do_not_stop_the_sorting():
    for cell in ({}, 3, None, {"cell_type": "code"}, {"cell_type": "raw", "source": 3, "metadata": {"nbgrader": []}}):
        content = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}).encode()
        assert sorted_out(content).problem


def test_a_notebook_of_an_old_version_is_read():
    old = nbformat.convert(page(ALL), 3)
    assert len(marks(sorted_out(nbformat.writes(old, version=3).encode()))) > 10


def test_own_images_are_the_same_each_time_and_others_for_another_name():
    mine = own_choice("Ann Example", 500, 5_000)
    assert mine.equal(own_choice(" ann  example", 500, 5_000))
    assert mine.unique().numel() == 500
    assert not mine.equal(own_choice("Bob Example", 500, 5_000))
