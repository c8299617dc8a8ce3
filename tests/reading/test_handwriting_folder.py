"""`evaluate --handwriting`: a folder of pictures with known digits is scored, kind by kind; what is wrong is named."""

import json
import os

import numpy as np
import pytest
from kinds import by_hand, write_folder
from PIL import Image, ImageDraw

from mnist_helpers.datasets import DataError
from mnist_helpers.reading.handwriting import load_labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("pictures")
    write_folder(place, 1, 5, by_hand)
    return place


def test_a_folder_is_scored_kind_by_kind_and_what_was_not_read_is_on_a_page(call, folder, tmp_path):
    page = tmp_path / "failures.html"
    done = call("evaluate", "--handwriting", folder, "--json", "--page", page)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["all"]["pictures"] == len(load_labels(folder)) == sum(k["pictures"] for k in facts["kinds"].values())
    assert facts["all"]["right"] >= 0.7 * facts["all"]["pictures"]
    wrong = facts["all"]["pictures"] - facts["all"]["right"]
    text = page.read_text(encoding="utf-8")
    assert text.count("<section>") == wrong
    assert "http" not in text
    assert text.count("data:image/png;base64,") >= wrong
    lines = call("evaluate", "--handwriting", folder, "--page", page).stdout.splitlines()
    assert lines[0].startswith("kind")
    assert sum(line.startswith("all ") for line in lines) == 1


def test_names_are_text_on_the_page_and_a_wrong_label_is_a_failure(call, tmp_path):
    picture = Image.new("L", (100, 100), 255)
    picture.paste(0, (45, 20, 55, 80))
    picture.save(tmp_path / "<b>1.png")
    (tmp_path / "labels.csv").write_text("\ufefffile,label,kind\n<b>1.png,8,<i>x\n", encoding="utf-8")
    done = call("evaluate", "--handwriting", tmp_path, "--page", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b>" not in text
    assert "<i>" not in text
    assert "there is 8" in text


@pytest.mark.parametrize("name", ["1.png", "labels.csv", "mine.html"])
def test_a_page_writes_over_no_file_that_is_no_such_page(call, tmp_path, name):
    Image.new("L", (100, 100), 255).save(tmp_path / "1.png")
    (tmp_path / "labels.csv").write_text("file,label\n1.png,\n")
    (tmp_path / "mine.html").write_text("<!DOCTYPE html><title>Mine</title>")
    before = (tmp_path / name).read_bytes()
    done = call("evaluate", "--handwriting", tmp_path, "--page", tmp_path / name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is there already, and is no page of this command" in done.stderr
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "cannot be read"),
        ("", "no column"),
        ("file\na.png\n", "no column label"),
        ("file,label\n", "names no picture"),
        ("file,label\nnone.png,3\n", "line 2: there is no file 'none.png'"),
        ("file,label\n,3\n", "line 2: there is no file ''"),
        ("file,label\na.png,three\n", "line 2: 'three' is no label"),
        ("file,label\na.png,٣\n", "is no label"),
        ("file,label\na.png," + "1" * 500 + "\n", "is no label"),
        ("file,label\na.png\n", None),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(tmp_path, table, message):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    if table is not None:
        (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    if message is None:
        assert load_labels(tmp_path)[0].label == ""
        return
    with pytest.raises(DataError, match=message):
        load_labels(tmp_path)


def test_labels_that_are_no_file_or_have_no_end_are_not_read(tmp_path, monkeypatch):
    place = tmp_path / "labels.csv"
    if hasattr(os, "mkfifo"):
        os.mkfifo(place)
        with pytest.raises(DataError, match="labels.csv is no file but a pipe"):
            load_labels(tmp_path)
        place.unlink()
    place.write_text("file,label\n" + "a.png,3\n" * 100)
    monkeypatch.setattr("mnist_helpers.reading.handwriting.LARGEST", 100)
    with pytest.raises(DataError, match="labels.csv has 0 MB; so many labels nobody has"):
        load_labels(tmp_path)


def test_what_does_not_go_together_is_said(call, folder):
    for others in (["--dataset", "mnist"], ["--figures", "x"]):
        assert call("evaluate", "--handwriting", folder, *others).returncode == 2
    assert call("evaluate", "--page", "x.html").returncode == 2
    assert "--turn goes with --handwriting" in call("evaluate", "--turn", "auto").stderr


def test_pictures_that_lie_on_their_side_are_turned_on_demand(call, tmp_path):
    sheet = Image.new("L", (120, 160), 250)
    ImageDraw.Draw(sheet).line([(30, 30), (90, 30), (50, 135)], fill=20, width=12)  # a 7
    sheet.rotate(90, expand=True).save(tmp_path / "7.png")
    (tmp_path / "labels.csv").write_text("file,label\n7.png,7\n")
    right = {
        turn: json.loads(call("evaluate", "--handwriting", tmp_path, "--json", "--turn", turn).stdout)["all"]["right"]
        for turn in ("none", "auto")
    }
    assert right == {"none": 0, "auto": 1}
