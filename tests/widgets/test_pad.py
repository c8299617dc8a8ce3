"""The pad without a browser: its traits are the truth, so a drawing set from Python is read as one from the mouse."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import comm
import ipywidgets
import pytest
import torch
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parent.parent / "browser"))
from strokes import drawings

from mnist_helpers.checkpoints import DRAWINGS, find_model, load_model
from mnist_helpers.exporting import for_web
from mnist_helpers.models import build_model
from mnist_helpers.reading.tables import load_csv
from mnist_helpers.widgets import pad as module
from mnist_helpers.widgets.pad import INVITATION, DrawingPad, close_other_doors, overlay, smaller

SEVEN = [{"points": [[0.25, 0.2], [0.75, 0.2], [0.45, 0.85]], "width": 0.08}]
ONE = [{"points": [[1.5, 0.15], [1.5, 0.85]], "width": 0.08}]


@pytest.fixture(scope="module")
def network():
    return load_model(find_model("mnist", "handwriting"))[0]


@pytest.fixture
def pad(network, train):
    return DrawingPad(network, known=train)


def draw(pad, strokes, number=1, lifted=True, chosen=-1):
    pad.drawing = {"number": number, "strokes": strokes, "lifted": lifted, "chosen": chosen}
    return pad.answer


def test_a_network_comes_with_the_pad_to_read_in_the_browser_where_that_can_be(train, pad):
    assert (pad.header, pad.weights) == ({}, b"")  # the page does not know its layers
    walkthrough = load_model(find_model("mnist", "walkthrough"))[0]
    header, weights = for_web(walkthrough, list(train.classes))
    own, wide, shipped = DrawingPad(walkthrough, known=train), DrawingPad(walkthrough, aspect=2.0), DrawingPad()
    assert (own.header, own.weights) == (wide.header, wide.weights) == (header, weights)
    assert (shipped.header, shipped.weights) == for_web(load_model(DRAWINGS)[0], list(train.classes))


def test_a_drawing_is_answered_under_its_number(pad):
    answer = draw(pad, SEVEN, number=41)
    assert answer["number"] == 41
    assert answer["reading"].startswith("7 (")
    assert max(range(10), key=answer["probabilities"][0].__getitem__) == 7
    assert [picture["caption"] for picture in answer["steps"]][-1].startswith("28 × 28")
    assert len(answer["maps"]) == 4
    assert len(answer["why"]) == 6


def test_at_least_59_of_60_drawings_are_read(pad):
    right = 0
    for drawing in drawings():
        strokes = [{"points": stroke, "width": drawing.pen} for stroke in drawing.strokes]
        right += draw(pad, strokes, lifted=False)["reading"].startswith(f"{drawing.digit} ")
    assert right >= 59


def test_every_picture_has_as_many_pixels_as_it_says(pad):
    answer = draw(pad, SEVEN)
    for picture in [*answer["steps"], *answer["maps"], *answer["why"]]:
        size = picture["width"] * picture["height"]
        assert len(picture["pixels"]) in (size, 3 * size), picture["caption"]
        assert picture["caption"]


def test_while_the_pen_is_down_nothing_is_explained(pad):
    answer = draw(pad, SEVEN, lifted=False)
    assert answer["reading"].startswith("7")
    assert answer["why"] == []


def test_an_empty_sheet_invites_instead_of_predicting(pad):
    draw(pad, SEVEN)
    answer = draw(pad, [], number=2)
    assert answer["message"] == INVITATION
    assert "probabilities" not in answer


def test_several_digits_are_read_as_a_number_and_each_can_be_looked_into(network, train):
    pad = DrawingPad(network, known=train, aspect=2.0)
    both = draw(pad, [*ONE, *SEVEN])
    assert both["reading"].startswith("71 (")
    assert both["chosen"] == 1
    first = draw(pad, [*ONE, *SEVEN], number=2, chosen=0)
    assert first["chosen"] == 0
    assert first["steps"][-1]["pixels"] != both["steps"][-1]["pixels"]
    assert draw(pad, [*ONE, *SEVEN], number=3, chosen=7)["chosen"] == 1


def test_a_photo_in_place_of_strokes_is_read_and_shown_in_steps(pad):
    file = io.BytesIO()
    sheet = Image.new("L", (400, 300), 210)
    ImageDraw.Draw(sheet).line([(150, 60), (260, 60), (190, 240)], fill=60, width=16)
    sheet.save(file, "JPEG")
    pad.drawing = {"number": 3, "strokes": [], "photo": memoryview(file.getvalue()), "lifted": True, "chosen": -1}
    assert pad.answer["reading"].startswith("7 (")
    assert pad.answer["steps"][0]["caption"].startswith("your photo")
    pad.drawing = {"number": 4, "strokes": SEVEN, "lifted": True, "chosen": -1}
    assert pad.answer["steps"][0]["caption"].startswith("your drawing")


@pytest.mark.parametrize("photo", [b"no picture", b"\x89PNG", "text", 10**12, [1, 2], {"a": 1}])
def test_a_photo_that_is_none_is_answered_with_a_message(pad, photo):
    pad.drawing = {"number": 6, "strokes": [], "photo": photo, "lifted": True, "chosen": -1}
    assert pad.answer["number"] == 6
    assert "probabilities" not in pad.answer
    assert "failed" not in pad.answer["message"]


def test_the_pad_says_what_else_it_may_be_when_it_is_not_sure(pad, monkeypatch):
    drawn = module.read_drawing(pad.model, module.strokes_from(SEVEN))
    shares = torch.full((1, 10), 0.01)
    shares[0, 7], shares[0, 1] = 0.6, 0.32
    for changes, said in (
        ({"probabilities": shares, "sure": False}, "7 (unsure: perhaps 1)"),
        ({"sure": False, "perhaps_no_digit": True}, "7 (perhaps no digit)"),
        ({"sure": True}, "7 (100% sure)"),
    ):
        changed = replace(drawn, **changes)
        monkeypatch.setattr(module, "read_drawing", lambda *_arguments, changed=changed, **_options: changed)
        assert draw(pad, SEVEN, number=id(changes))["reading"] == said


@pytest.mark.parametrize("strokes", [None, "x", [{}], [{"points": [[9e9, 0]], "width": 0.1}]])
def test_garbage_is_answered_with_a_message(pad, strokes):
    answer = draw(pad, strokes, number=5)
    assert answer["number"] == 5
    assert answer["message"]
    assert "probabilities" not in answer


@pytest.mark.parametrize("state", [5, None, "x", [], {"drawing": 5}, {"classes": 5}, {"aspect": "wide"}])
def test_a_state_that_is_none_is_answered_and_the_pad_goes_on(pad, state):
    pad._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})
    assert "did not understand" in pad.answer["message"]
    assert draw(pad, SEVEN)["reading"].startswith("7 (")


def test_an_error_inside_shows_in_the_pad(pad, monkeypatch):
    def broken(*_arguments, **_options):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(module, "read_drawing", broken)
    assert draw(pad, SEVEN)["message"] == "The pad failed: ZeroDivisionError: by nothing"


def test_classes_are_those_of_the_checkpoint(train):
    names = tuple(f"class {number}" for number in range(10))
    pad = DrawingPad(build_model("two-conv"), names, train)
    assert pad.classes == list(names)
    assert any(draw(pad, SEVEN)["reading"].startswith(name) for name in names)


def test_what_is_kept_is_what_the_network_saw(network, train, tmp_path):
    pad = DrawingPad(network, known=train, keep_in=tmp_path / "mine.csv")
    draw(pad, SEVEN)
    pad._handle_custom_msg({"keep": 7, "number": 1}, [])
    pad._handle_custom_msg({"keep": 2, "number": 1}, [])
    kept = load_csv(tmp_path / "mine.csv")
    assert kept.labels.tolist() == [7, 2]
    assert torch.equal(kept.images[0], pad.digits[0].digit)
    assert pad.kept == "2 kept in mine.csv"


@pytest.mark.parametrize(
    "content", [{}, {"keep": 12, "number": 1}, {"keep": "x", "number": 1}, {"number": 1}, {"keep": 7, "number": 0}]
)
def test_keeping_garbage_says_so(network, train, tmp_path, content):
    pad = DrawingPad(network, known=train, keep_in=tmp_path / "mine.csv")
    draw(pad, SEVEN)
    pad._handle_custom_msg(content, [])
    assert pad.kept
    assert not (tmp_path / "mine.csv").exists()


def test_nothing_is_kept_without_a_digit_or_without_a_place(network, train, pad, tmp_path):
    keeping = DrawingPad(network, known=train, keep_in=tmp_path / "mine.csv")
    keeping.keep(7)
    assert "Nothing was kept" in keeping.kept
    draw(pad, SEVEN)
    pad._handle_custom_msg({"keep": 7, "number": 1}, [])
    assert "Nothing was kept" in pad.kept


def test_a_place_that_cannot_be_written_to_is_named(network, train, tmp_path):
    (tmp_path / "file").write_text("")
    pad = DrawingPad(network, known=train, keep_in=tmp_path / "file" / "mine.csv")
    draw(pad, SEVEN)
    pad._handle_custom_msg({"keep": 7, "number": 1}, [])
    assert "file" in pad.kept


def test_small_pictures_stay_and_large_ones_shrink():
    assert smaller(torch.zeros(28, 28, dtype=torch.uint8)).shape == (28, 28)
    assert smaller(torch.zeros(320, 320, dtype=torch.uint8)).shape == (112, 112)


def test_saliency_is_orange_where_it_is_strongest():
    heat = torch.zeros(28, 28)
    heat[3, 4] = 2.0
    laid = overlay(torch.full((1, 28, 28), 200, dtype=torch.uint8), heat)
    assert laid[3, 4].tolist() == [230, 159, 0]
    assert laid[0, 0].tolist() == [100, 100, 100]
    assert overlay(torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(28, 28)).sum() == 0


def test_a_pad_works_on_a_copy_of_the_network(train):
    model = build_model("two-conv", dropout=0.5).train()
    pad = DrawingPad(model, known=train)
    draw(pad, SEVEN)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert pad.model is not model


def test_after_the_doors_are_closed_no_page_can_make_widgets():
    manager = comm.get_comm_manager()
    before = dict(manager.targets)
    manager.register_target("jupyter.widget", ipywidgets.Widget.handle_comm_opened)
    try:
        close_other_doors()
        assert "jupyter.widget" not in manager.targets
    finally:
        manager.targets.clear()
        manager.targets.update(before)
