"""The web site in a real browser: nothing fails to load, the glass box is live, without JavaScript the pages remain."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from playwright.sync_api import expect
from strokes import drawings
from unpacking import unpacked
from visitor import barriers, draw_on, nothing_sticks_out, screenshot

from mnist_helpers.checkpoints import DRAWINGS, load_model
from mnist_helpers.data import to_float
from mnist_helpers.exporting import for_answers
from mnist_helpers.widgets.glass import MOMENTS, shipped_images
from mnist_helpers.widgets.moments import read_moments

LESSONS = ["notebooks/02_model", "notebooks/exercises/01_data"]
PAGES = ["index", *LESSONS, "docs/glossary", "docs/speed", "reference/evaluation", "glass-box", "live/glass-box"]
PAGES += ["docs/instructor", "docs/teaching/01_data", "docs/student", "search"]


SCHEMES = {"light": None, "dark": ["color-contrast", "link-in-text-block"]}  # in the dark only colours differ


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_without_a_network_and_can_be_used_by_all(site_folder, visit, name):
    failed = []
    page = visit(
        (site_folder / f"{name}.html").as_uri(),
        before=lambda page: page.on("requestfailed", lambda request: failed.append(request.url)),
        offline=True,
    )
    page.wait_for_load_state("load")
    assert failed == []
    for scheme, rules in SCHEMES.items():
        page.emulate_media(color_scheme=scheme)
        assert barriers(page, rules=rules) == {}, scheme
        screenshot(page, f"site-{name.replace('/', '-')}-{scheme}")


@pytest.mark.weekly
def test_none_of_the_other_pages_keeps_anybody_out_or_is_wider_than_a_phone(site_folder, visit):
    others = sorted({*site_folder.rglob("*.html")} - {site_folder / f"{name}.html" for name in PAGES})
    page = visit(others[0].as_uri())
    page.set_viewport_size({"width": 360, "height": 800})
    for path in others:
        page.goto(path.as_uri())
        assert nothing_sticks_out(page), path
        for scheme, rules in SCHEMES.items():
            page.emulate_media(color_scheme=scheme)
            assert barriers(page, rules=rules) == {}, (path, scheme)


def test_the_lesson_s_picture_of_the_glass_box_gives_way_to_a_live_one(site_folder, visit):
    page = visit((site_folder / "notebooks" / "02_model.html").as_uri())
    frame = page.locator("iframe.glass")
    frame.scroll_into_view_if_needed()
    box = page.frame_locator("iframe.glass")
    sheet = box.locator(".sheet")
    sheet.scroll_into_view_if_needed()
    draw_on(page, sheet, drawings()[12].strokes)
    expect(box.locator(".reading")).to_contain_text(str(drawings()[12].digit))
    expect(box.locator("header")).to_be_hidden()
    expect(page.get_by_text("Its network was trained for drawings").first).to_be_visible()
    screenshot(page, "site-lesson-live")


STILL = {"notebooks/02_model": "Convolution by hand", "glass-box": "Glass box"}  # pages of a box, and a heading of each


@pytest.mark.parametrize(("name", "heading"), STILL.items())
def test_without_javascript_and_on_paper_the_text_and_the_picture_remain(site_folder, visit, name, heading):
    address = (site_folder / f"{name}.html").as_uri()
    still, live = ".tag_live-glass-box img, .live-glass-box img", "iframe.glass"
    page = visit(address, java_script_enabled=False)
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.locator(still)).to_be_visible()
    assert page.locator(live).count() == 0
    page = visit(address)
    expect(page.locator(still)).to_be_hidden()
    expect(page.locator(live)).to_be_visible()
    page.emulate_media(media="print")
    expect(page.locator(still)).to_be_visible()
    expect(page.locator(live)).to_be_hidden()


def test_below_another_address_all_loads_and_words_are_found(site_folder, visit):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_words) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site_folder.parent)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            answers = []
            page = visit(
                f"http://127.0.0.1:{server.server_port}/site/search.html?q=pooling",
                before=lambda page: page.on("response", lambda answer: answers.append(answer)),
            )
            found = page.locator("#search-results li a")
            expect(found.filter(has_text="Lesson 2").or_(found.filter(has_text="2 ·")).first).to_be_visible()
            found.first.click()
            page.wait_for_load_state("load")
        finally:
            server.shutdown()
    assert [answer.url for answer in answers if answer.status >= 400] == []
    assert all(f":{server.server_port}/site/" in answer.url for answer in answers)


@pytest.mark.parametrize("width", [360, 1280])
def test_a_page_is_no_wider_than_the_screen(site_folder, visit, width):
    for name in ("index", "notebooks/03_training", "docs/speed", "glass-box"):
        page = visit((site_folder / f"{name}.html").as_uri())
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        screenshot(page, f"site-{name.replace('/', '-')}-{width}")


def test_all_moments_of_the_training_are_stepped_through_by_key_and_each_answers_as_torch_does(site_folder, visit):
    model, moments = load_model(DRAWINGS)[0], read_moments(DRAWINGS / MOMENTS)
    network, image = for_answers(model), to_float(shipped_images().images[:1])
    page = visit((site_folder / "live" / "glass-box.html").as_uri())
    page.get_by_label("moment of the training").focus()
    page.keyboard.press("Home")
    for moment, weights in zip(moments.described(), torch.from_numpy(unpacked(moments, model)).float(), strict=True):
        when = "at the end" if moment["step"] == moments.steps[-1] else f"step {moment['step']:,}"
        expect(page.locator(".training output")).to_contain_text(f"{when}: {moment['accuracy']:.1%} of 500 images")
        torch.nn.utils.vector_to_parameters(weights, network.parameters())
        with torch.inference_mode():  # at the end the page takes the weights with all their digits
            logits = (model.eval() if when == "at the end" else network)(image)[0]
        rows = page.locator(".answers tbody tr td:nth-of-type(1)").all_inner_texts()
        read = torch.tensor([float(text.replace("−", "-")) for text in rows])
        torch.testing.assert_close(read, logits, rtol=6e-3, atol=6e-3)  # three digits are shown
        page.keyboard.press("ArrowRight")
