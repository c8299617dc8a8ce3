"""The tour of the glass box, step by step; `make widget-pictures` puts its pictures into docs/glass-box/."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from strokes import Drawing, drawings
from visitor import SCREENSHOTS, draw_on
from widget_pictures import FOLDER_VARIABLE

from mnist_helpers.checkpoints import load_model
from mnist_helpers.runtime import ROOT
from mnist_helpers.widgets.glass import write_page
from mnist_helpers.widgets.moments import read_moments

NETWORK = ROOT / "docs" / "site" / "network"
ON_THE_STROKE = {"x": 2 * 56 + 26, "y": 9}  # of map 2 of conv1
LETTER = [[(0.25, 0.8), (0.5, 0.2), (0.75, 0.8)], [(0.35, 0.6), (0.65, 0.6)]]


@pytest.fixture
def page(visit, tmp_path) -> Page:
    write_page(tmp_path / "box.html", load_model(NETWORK)[0], read_moments(NETWORK / "moments.npz"))
    opened = visit((tmp_path / "box.html").as_uri())
    opened.set_viewport_size({"width": 1080, "height": 900})
    opened.locator(".company").wait_for()
    return opened


def draw(page: Page, strokes: list) -> None:
    page.evaluate("window.scrollTo(0, 0)")
    draw_on(page, page.locator(".sheet"), strokes)


def maps(page: Page, name: str) -> Locator:
    return page.locator("section", has=page.locator("h2", has_text=re.compile(f"^{name} "))).locator("canvas").first


def test_the_six_steps_of_the_tour(page):
    folder = ROOT / "docs" / "glass-box" if FOLDER_VARIABLE in os.environ else SCREENSHOTS / "glass-box"
    folder.mkdir(parents=True, exist_ok=True)
    reading, sums, score = page.locator(".reading"), page.locator(".arithmetic"), page.locator(".score")

    def take(name: str) -> None:
        page.screenshot(path=folder / f"{name}.png", animations="disabled")
        assert Path(folder / f"{name}.png").stat().st_size > 10_000

    five: Drawing = drawings()[30]
    draw(page, five.strokes)
    expect(reading).to_contain_text(f"{five.digit}, ")
    take("1-draw")

    maps(page, "conv1").click(position=ON_THE_STROKE)
    expect(sums).to_contain_text("products")
    take("2-point")
    maps(page, "conv1").click(position=ON_THE_STROKE)  # let go

    page.get_by_role("button", name="Slide the window").click()
    expect(sums.locator("h2")).to_contain_text("row 3,")
    page.get_by_role("button", name="Stop the window").click()
    take("3-play")

    maps(page, "conv1").click(position=ON_THE_STROKE)
    page.get_by_label("row 2, column 2 of the kernel").focus()
    page.get_by_label("moment of the training").fill("10")
    expect(page.locator(".training output")).to_contain_text("step ")
    expect(page.locator(".followed")).to_contain_text("The step changed the weight by")
    page.locator(".company").wait_for()
    page.evaluate("window.scrollTo(0, 280)")  # both charts above the arithmetic
    take("4-time")
    page.evaluate("window.scrollTo(0, 0)")
    page.get_by_label("moment of the training").fill("27")

    sums.locator("input").first.fill("2")
    sums.locator("input").first.press("Enter")
    expect(page.get_by_role("button", name="Take the changes back")).to_be_enabled()
    expect(score).to_contain_text("of 500 images")
    take("5-edit")
    page.get_by_role("button", name="Take the changes back").click()

    page.get_by_role("button", name="Clear").click()
    draw(page, LETTER)
    expect(page.locator(".neighbours p").first).to_contain_text("Unlike anything it knows")
    take("6-doubt")
