"""The tour of the glass box, step by step; `make widget-pictures` puts its pictures into docs/glass-box/."""

import os
import re
from pathlib import Path
from statistics import median

import pytest
from figures import put_figures
from playwright.sync_api import Locator, Page, expect
from strokes import Drawing, drawings
from visitor import SCREENSHOTS, draw_on
from widget_pictures import FOLDER_VARIABLE

from mnist_helpers.checkpoints import DRAWINGS, load_model
from mnist_helpers.runtime import ROOT
from mnist_helpers.widgets.glass import write_page
from mnist_helpers.widgets.moments import read_moments

ON_THE_STROKE = {"x": 2 * 56 + 26, "y": 9}  # of map 2 of conv1
LETTER = [[(0.25, 0.8), (0.5, 0.2), (0.75, 0.8)], [(0.35, 0.6), (0.65, 0.6)]]


@pytest.fixture
def page(visit, tmp_path) -> Page:
    write_page(tmp_path / "box.html", load_model(DRAWINGS)[0], read_moments(DRAWINGS / "moments.npz"))
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
    page.get_by_label("moment of the training").press("End")

    sums.locator("input").first.fill("2")
    sums.locator("input").first.press("Enter")
    expect(page.get_by_role("button", name="Take the changes back")).to_be_enabled()
    expect(score).to_contain_text("of 500 images")
    page.locator(".company").wait_for()
    take("5-edit")
    page.get_by_role("button", name="Take the changes back").click()

    page.get_by_role("button", name="Clear").click()
    draw(page, LETTER)
    expect(page.locator(".neighbours p").first).to_contain_text("Unlike anything it knows")
    take("6-doubt")


FIRST_READING = """() => new Promise(done => {
    const said = () => document.querySelector(".reading")?.textContent;
    const look = () => said() ? done(performance.now()) : requestAnimationFrame(look);
    look();
})"""
COUNTED = """by => new Promise(done => {
    const slider = document.querySelectorAll("input[type=range]")[1], started = performance.now();
    const score = document.querySelector(".score");
    new MutationObserver(() => score.textContent.includes("of 500 ") && done(performance.now() - started))
        .observe(score, { childList: true, characterData: true, subtree: true });
    slider.value = by;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
})"""


@pytest.mark.weekly  # nothing is asserted about it
def test_the_first_answer_and_the_count_of_500_images_come_soon_enough_to_be_written_down(visit, tmp_path):
    """What they take is written into docs/glass-box.md by `make widget-pictures`, as test_network.py's figures are."""
    path = tmp_path / "box.html"
    write_page(path, load_model(DRAWINGS)[0], read_moments(DRAWINGS / "moments.npz"))
    firsts = []
    for _ in range(5):
        page = visit(path.as_uri())
        firsts.append(page.evaluate(FIRST_READING))
        page.close()  # its workers, which count the images, would keep the next one waiting
    page = visit(path.as_uri())
    page.locator(".company").wait_for()
    counts = []
    for by in range(1, 6):
        counts.append(page.evaluate(COUNTED, by))
        page.wait_for_function("() => document.querySelector('.score').getAttribute('aria-busy') === null")
    put_figures(
        {
            "size of the page, with its network at all moments and 500 images": f"{path.stat().st_size / 1e6:.2f} MB",
            "from opening the page to the first reading": f"{median(firsts):.0f} ms (median of 5)",
            "500 images counted after a change": f"{median(counts) / 1_000:.1f} s (median of 5)",
        }
    )
