"""The web site in a real browser: nothing fails to load, the glass box is live, without JavaScript the pages remain."""

from pathlib import Path

import pytest
from playwright.sync_api import expect
from strokes import drawings
from visitor import barriers, draw_on, screenshot

from mnist_helpers import cli

LESSONS = ["notebooks/02_model", "notebooks/03_training", "notebooks/exercises/01_data"]
PAGES = ["index", *LESSONS, "docs/glossary", "docs/speed", "reference/evaluation", "glass-box", "live/glass-box"]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["mnist-helpers", "site", str(folder)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert not ended.value.code
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_without_a_network_and_can_be_used_by_all(built, visit, name, scheme):
    failed = []
    page = visit(
        (built / f"{name}.html").as_uri(),
        before=lambda page: page.on("requestfailed", lambda request: failed.append(request.url)),
        offline=True,
        color_scheme=scheme,
    )
    page.wait_for_load_state("load")
    assert failed == []
    assert barriers(page) == {}
    screenshot(page, f"site-{name.replace('/', '-')}-{scheme}")


def test_the_lesson_s_picture_of_the_glass_box_gives_way_to_a_live_one(built, visit):
    page = visit((built / "notebooks" / "02_model.html").as_uri())
    frame = page.locator("iframe.glass")
    frame.scroll_into_view_if_needed()
    box = page.frame_locator("iframe.glass")
    sheet = box.locator(".sheet")
    sheet.scroll_into_view_if_needed()
    draw_on(page, sheet, drawings()[12].strokes)
    expect(box.locator(".reading")).to_contain_text(str(drawings()[12].digit))
    expect(box.locator("header")).to_be_hidden()
    screenshot(page, "site-lesson-live")


def test_without_javascript_the_text_and_the_picture_remain(built, visit):
    page = visit((built / "notebooks" / "02_model.html").as_uri(), java_script_enabled=False)
    expect(page.get_by_role("heading", name="Convolution by hand")).to_be_visible()
    assert page.locator(".tag_live-glass-box img").count() == 1
    assert page.locator("iframe").count() == 0


@pytest.mark.parametrize("width", [360, 1280])
def test_a_page_is_no_wider_than_the_screen(built, visit, width):
    for name in ("index", "notebooks/03_training", "docs/speed", "glass-box"):
        page = visit((built / f"{name}.html").as_uri())
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        screenshot(page, f"site-{name.replace('/', '-')}-{width}")
