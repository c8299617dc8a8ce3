import base64
import io

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from mnist_helpers import pages
from mnist_helpers.errors import CourseError
from mnist_helpers.training import Epoch, History, StopTraining
from mnist_helpers.widgets import live_curves


class Handle:
    """Stands in for IPython's handle of an output that can be replaced."""

    def __init__(self, shown):
        self.shown = shown

    def update(self, data, metadata=None, raw=False):
        self.shown.append((data, metadata))


@pytest.fixture
def shown(monkeypatch):
    outputs = []

    def display(data, metadata=None, raw=False, display_id=None):
        outputs.append((data, metadata))
        return Handle(outputs) if display_id else None

    monkeypatch.setattr(pages, "display", display)
    monkeypatch.setattr(live_curves, "display", display)
    return outputs


def test_a_claim_that_does_not_hold_stops_a_page_with_the_usual_settings_and_no_other():
    for holds in (True, torch.tensor(2.0) > 1):
        pages.claims_if(True)(holds)
    for fails in (False, torch.tensor(2.0) < 1, torch.tensor(float("nan")) > 1):
        pages.claims_if(False)(fails)
        with pytest.raises(CourseError, match="did not come out"):
            pages.claims_if(True)(fails)


def test_a_figure_is_a_picture_with_alt_text_followed_by_its_caption(shown):
    figure, _ = plt.subplots()
    pages.show_figure(figure, "Figure 1. What to see.", "A chart.")
    (picture, metadata), (caption, _) = shown
    assert metadata == {"image/png": {"alt": "A chart."}}
    with Image.open(io.BytesIO(base64.b64decode(picture["image/png"]))) as image:
        assert image.width > 300
    assert caption["text/markdown"] == "*Figure 1. What to see.*"
    assert not plt.get_fignums()


def test_a_report_can_be_read_by_people_and_by_the_runner(shown):
    pages.report(test_accuracy=0.98765, best_epoch=3)
    ((data, _),) = shown
    assert data[pages.REPORT_MIME] == {"test accuracy": 0.98765, "best epoch": 3}
    assert data["text/plain"] == "test accuracy: 0.9877\nbest epoch: 3"


def epochs_done(count: int) -> History:
    return History([Epoch(n, 0.5 / n, 0.8, 0.4 / n, 0.9, 0.1, 1.0) for n in range(1, count + 1)])


def test_live_curves_end_as_one_figure_with_its_caption(shown, monkeypatch):
    monkeypatch.setattr(live_curves, "SECONDS_BETWEEN_UPDATES", 0)
    with live_curves.LiveCurves(2, "Figure 3. Curves.") as live:
        live.step(5, 10)
        assert shown[-1][0]["text/plain"].startswith("Epoch 1 of 2, step 5 of 10; about ")
        live.epoch(epochs_done(1))
        live.step(1, 10)
        assert shown[-1][0]["text/plain"].startswith("Epoch 2 of 2, step 1 of 10; about ")
        live.epoch(epochs_done(2))
    (picture, metadata), (caption, _), (button, _) = shown[-3:]
    assert button == {"text/plain": ""}
    assert "2 epochs" in metadata["image/png"]["alt"]
    assert "image/png" in picture
    assert caption["text/plain"] == "Figure 3. Curves."


def test_live_curves_end_cleanly_whatever_ends_the_training(shown):
    live = live_curves.LiveCurves(2, "Figure 3. Curves.")
    with pytest.raises(ZeroDivisionError), live:
        raise ZeroDivisionError
    assert [data for data, _ in shown[-2:]] == [pages.caption_output("Figure 3. Curves."), {"text/plain": ""}]


def test_the_time_left_is_extrapolated_from_the_steps_done(shown, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(live_curves.time, "monotonic", lambda: clock[0])
    live = live_curves.LiveCurves(4, "Figure")
    clock[0] += 10
    live.step(5, 10)  # an eighth of all
    assert shown[-1][0]["text/plain"].endswith("about 70 s left")


def test_the_button_stops_at_the_next_step_but_not_before_the_first_epoch_is_over(shown):
    live = live_curves.LiveCurves(4, "Figure 3. Curves.")
    live.button.click()
    assert live.button.disabled
    live.step(5, 10)  # nothing to keep yet
    with pytest.raises(StopTraining), live:
        live.epoch(epochs_done(1))
    assert shown[-2][0]["text/plain"] == "Figure 3. Curves. Stopped after 1 of 4 epochs."
    assert shown[-1][0] == {"text/plain": ""}
    assert live.button.comm is None  # closed: the next run of the cell makes another
    live = live_curves.LiveCurves(4, "Figure 3. Curves.")
    live.epoch(epochs_done(1))
    live.step(1, 10)
    live.button.click()
    with pytest.raises(StopTraining):
        live.step(2, 10)


def test_a_press_in_the_last_epoch_stops_nothing_early(shown):
    with live_curves.LiveCurves(2, "Figure 3. Curves.") as live:
        live.done = 2
        live.button.click()
    assert shown[-2][0]["text/plain"] == "Figure 3. Curves."


def test_live_curves_do_not_redraw_at_every_step(shown, monkeypatch):
    monkeypatch.setattr(live_curves, "SECONDS_BETWEEN_UPDATES", 1000)
    live = live_curves.LiveCurves(1, "Figure")
    before = len(shown)
    for step in range(100):
        live.step(step, 100)
    assert len(shown) == before
