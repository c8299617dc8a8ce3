"""What comes in is sorted out, whatever it is; what comes out of a submission's process is read, and not believed."""

import json
import re
import warnings
import zipfile
from pathlib import PurePosixPath

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pupils import ALL, NAME, delete, double, page, written

from mnist_helpers.checks.exercise import Outcome, same
from mnist_helpers.checks.inputs import own_choice
from mnist_helpers.classroom import submissions
from mnist_helpers.classroom.plaintext import read_outcomes, write_outcomes
from mnist_helpers.classroom.submissions import HandedIn, common_folder, grade_id, handed_in, sort_out, student_ids
from mnist_helpers.editions import without_solutions

SHEETS = {NAME: without_solutions(page())}

numbers = st.integers(-(2**40), 2**40) | st.floats() | st.booleans() | st.none() | st.text(max_size=20)
arrays = st.sampled_from(["f4", "f8", "i8", "u1", "?"]).flatmap(
    lambda kind: st.lists(st.integers(0, 3), max_size=3).map(lambda shape: np.ones(shape, kind))
)
values = st.recursive(
    numbers | arrays,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
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
        json.dumps([{"value": {"dict": [[{"dict": []}, 1]]}, "error": "", "changed": False}]),
    ],
)
def test_what_no_check_wrote_is_refused(text):
    with pytest.raises(ValueError, match="."):
        read_outcomes(text)


@given(st.lists(st.text(min_size=1, max_size=80), unique=True, max_size=8))
def test_every_student_has_an_id_that_is_safe_in_a_path_and_nobody_elses(names):
    ids = student_ids(names)
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
    ],
)
def test_the_folder_around_all_students_is_not_a_student(paths, above):
    assert common_folder({PurePosixPath(path) for path in paths}) == PurePosixPath(above)


def test_a_zip_cannot_reach_out_of_itself_or_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "LARGEST", 1_000)
    with zipfile.ZipFile(tmp_path / "class.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../evil/sheet.ipynb", b"{}")
        file.writestr("ann/sheet.ipynb", b" " * 10**7)
        file.writestr("bob/sheet.ipynb", b"{}")
    found = {one.student: one.content for one in handed_in(tmp_path / "class.zip")}
    assert found == {"ann": None, "bob": b"{}"}
    assert (
        "larger than"
        in {one.student: one for one in sort_out(handed_in(tmp_path / "class.zip"), SHEETS)}["ann"].problem
    )


def test_a_link_in_a_folder_is_not_followed(tmp_path):
    (tmp_path / "class" / "ann").mkdir(parents=True)
    (tmp_path / "class" / "ann" / "a.ipynb").write_text("{}")
    (tmp_path / "secret.ipynb").write_text("{}")
    (tmp_path / "class" / "ann" / "b.ipynb").symlink_to(tmp_path / "secret.ipynb")
    assert [one.name for one in handed_in(tmp_path / "class")] == ["ann/a.ipynb"]


def sorted_out(content: bytes) -> submissions.Submission:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (one,) = sort_out([HandedIn("ann", "ann/x.ipynb", content)], SHEETS)
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
