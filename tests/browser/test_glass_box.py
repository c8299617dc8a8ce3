"""The glass box as one file: drawn digits are read, each number shows what it is made of, changes are taken back."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlparse

import nbformat
import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from strokes import Drawing, drawings
from visitor import draw_on, leave, nothing_sticks_out, screenshot

from mnist_helpers.checkpoints import find_model, load_model
from mnist_helpers.data import load_part
from mnist_helpers.evaluation import evaluate, predict_logits
from mnist_helpers.inspection import lit_maps
from mnist_helpers.models import build_model
from mnist_helpers.widgets import glass
from mnist_helpers.widgets.glass import shipped_images, write_page
from mnist_helpers.widgets.moments import Snapshots, pack

FEW = 60  # images on most pages here: to count all 500 takes a core for seconds, whatever is tested


@pytest.fixture(scope="module")
def few_images():
    few = shipped_images().select(torch.arange(FEW))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glass, "shipped_images", lambda: few)
        yield few


@pytest.fixture(scope="module")
def written(tmp_path_factory, few_images) -> str:
    path = tmp_path_factory.mktemp("glass") / "glass.html"
    write_page(path, load_model(find_model("mnist", "walkthrough"))[0])
    return path.as_uri()


def asking_for_nothing_else(visit, address: str, **options) -> Page:
    asked = []
    page = visit(address, before=lambda page: page.on("request", lambda request: asked.append(request.url)), **options)
    # All it needs is in the file; a blob is the worker that the page itself made.
    assert [one for one in asked if not one.startswith("blob:")] == [address]
    return page


@pytest.fixture
def box(visit, written):
    return partial(asking_for_nothing_else, visit, written)


@pytest.fixture
def whole_box(visit, tmp_path):
    """Open the page as it is, with all its images."""
    images = load_part("mnist", "test", glass.IMAGES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glass, "shipped_images", lambda: images)
        write_page(tmp_path / "glass.html", load_model(find_model("mnist", "walkthrough"))[0])
    return partial(asking_for_nothing_else, visit, (tmp_path / "glass.html").as_uri())


def significant(number: float) -> str:
    """Write a number as the page does: three digits that count."""
    return f"{number:#.3g}".replace("-", "−").removesuffix(".")


def draw(page: Page, drawing: Drawing) -> None:
    draw_on(page, page.locator(".sheet"), drawing.strokes)


def row(page: Page, name: str):
    return page.locator("section", has=page.locator("h2", has_text=re.compile(rf"^{name} "))).locator("canvas")


def test_a_drawn_digit_is_read_while_one_draws(box):
    page = box()
    for drawing in drawings()[::12]:
        page.get_by_role("button", name="Clear").click()
        draw(page, drawing)
        expect(page.locator(".reading")).to_have_text(re.compile(rf"^{drawing.digit}, "))


def test_without_javascript_its_first_image_its_maps_and_its_answer_remain(box):
    page = box(java_script_enabled=False)
    expect(page.get_by_text("JavaScript is switched off")).to_be_visible()
    label = shipped_images().labels[0]
    expect(page.get_by_text("The answer:")).to_contain_text(f"{label}: 100.0%")
    maps = lit_maps(load_model(find_model("mnist", "walkthrough"))[0], shipped_images().images[0])
    for caption, pixels in {"the image": shipped_images().images[0, 0], "layer relu1": maps["relu1"]}.items():
        picture = page.get_by_role("img", name=caption)
        expect(picture).to_be_visible()
        height, width = pixels.shape
        assert picture.evaluate("picture => [picture.naturalHeight, picture.naturalWidth]") == [height, width]
    screenshot(page, "glass-box-still")
    page = box()
    expect(page.locator(".reading")).to_be_visible()
    expect(page.locator("figure.still")).to_have_count(0)


def test_a_number_shows_its_patch_and_its_products(box):
    page = box()
    sums = page.locator(".arithmetic")
    row(page, "conv1").hover(position={"x": 31, "y": 21})
    expect(sums).to_contain_text("conv1, map 0, row 10, column 15")
    expect(sums).to_contain_text("(bias) =")
    expect(sums.locator("table")).to_have_count(3)
    row(page, "pool1").hover(position={"x": 15, "y": 15})
    expect(sums).to_contain_text("the largest:")
    row(page, "dense1").hover(position={"x": 12, "y": 4})
    expect(sums).to_contain_text(re.compile(r"most for it\s*map \d+, row \d, column \d: "))
    screenshot(page, "glass-dense", height=1900)


def test_the_keyboard_points_and_the_window_slides_and_stops(box):
    page = box()
    maps = row(page, "conv2")
    assert maps.get_attribute("role") == "application"  # to a screen reader, which else keeps the arrow keys
    maps.focus()
    for key in ("ArrowRight", "ArrowDown", "PageDown"):
        page.keyboard.press(key)
    expect(page.locator(".arithmetic h2")).to_contain_text("conv2, map 1, row 1, column 1")
    expect(page.locator(".arithmetic table")).to_have_count(12)
    page.get_by_role("button", name="Slide the window").click()
    expect(page.locator(".arithmetic h2")).to_have_text(re.compile("conv2, map 1, row [3-9]"))
    page.get_by_role("button", name="Stop the window").click()
    expect(page.get_by_role("button", name="Slide the window")).to_be_visible()


def test_a_click_holds_a_number_until_the_next(box):
    page = box()
    heading = page.locator(".arithmetic h2")
    row(page, "conv1").click(position={"x": 31, "y": 21})
    row(page, "relu1").hover(position={"x": 31, "y": 21})
    expect(heading).to_contain_text("conv1, map 0, row 10, column 15 (held")
    row(page, "conv1").click(position={"x": 31, "y": 21})
    row(page, "relu1").hover(position={"x": 31, "y": 21})
    expect(heading).to_contain_text(re.compile(r"relu1, map 0, row \d+, column \d+: "))


def test_what_was_changed_comes_back(box):
    page = box()
    before = page.locator(".answers").inner_text()
    row(page, "pool2").hover(position={"x": 4, "y": 4})
    page.get_by_role("button", name="Switch map 0 off").click()
    expect(page.get_by_role("button", name="Switch map 0 on")).to_be_visible()
    row(page, "conv1").hover(position={"x": 30, "y": 20})
    page.get_by_label("row 2, column 2 of the kernel").fill("5")
    page.get_by_label("row 2, column 2 of the kernel").press("Enter")
    expect(page.locator(".answers")).not_to_have_text(before)
    page.get_by_role("button", name="Take the changes back").click()
    assert page.locator(".answers").inner_text() == before


def test_the_share_of_right_answers_follows_what_is_changed(whole_box):
    page, model = whole_box(), load_model(find_model("mnist", "walkthrough"))[0]
    images = load_part("mnist", "test", 500)
    score = page.locator(".score")
    expect(score).to_have_text(f"{evaluate(model, images).accuracy:.1%} of 500 images")
    page.get_by_label("moved right by").fill("6")
    moved = images.images.roll(6, dims=3)
    moved[..., :6] = 0
    predictions = predict_logits(model, moved).argmax(dim=1)
    expect(score).to_have_text(f"{(predictions == images.labels).float().mean():.1%} of 500 images")


def test_nothing_is_counted_while_one_draws_and_afterwards_it_is(whole_box):
    page = whole_box()
    score = page.locator(".score")
    expect(score).to_contain_text("of 500 images")
    with page.expect_worker():
        page.get_by_label("moved right by").fill("3")
    sheet = page.locator(".desk canvas").bounding_box()
    page.mouse.move(sheet["x"] + 60, sheet["y"] + 40)
    page.mouse.down()
    for step in range(200):  # on a busy machine a movement may come so late that counting has begun again
        page.mouse.move(sheet["x"] + 60, sheet["y"] + 40 + step % 80)
        if not page.workers:
            break
    assert not page.workers
    expect(score).not_to_contain_text("of 500 images")
    page.mouse.up()
    expect(score).to_contain_text("of 500 images")
    expect(page.locator(".neighbours p").first).to_be_visible()
    page.wait_for_function("() => document.querySelector('.score').getAttribute('aria-busy') === null")
    page.get_by_label("moved right by").fill("0")
    model, images = load_model(find_model("mnist", "walkthrough"))[0], load_part("mnist", "test", 500)
    expect(score).to_have_text(f"{evaluate(model, images).accuracy:.1%} of 500 images")


@pytest.fixture(scope="module")
def timed(tmp_path_factory, few_images) -> str:
    """Write the page of a network that became the shipped one in three steps."""
    torch.manual_seed(0)
    model = build_model("two-conv")
    snapshots = Snapshots(model, steps=3, count=4)
    trained, _ = load_model(find_model("mnist", "walkthrough"))
    for share in (0.1, 0.5, 1.0):
        for now, end in zip(model.parameters(), trained.parameters(), strict=True):
            now.data.lerp_(end, share)
        snapshots.step()
    path = tmp_path_factory.mktemp("timed") / "time.html"
    write_page(path, model, pack(snapshots, few_images))
    return path.as_uri()


def test_the_slider_of_time_goes_through_all_moments_and_plays(visit, timed):
    page = visit(timed)
    told, answers = page.locator(".training output"), page.locator(".answers")
    expect(told).to_contain_text(re.compile(r"^at the end: (9\d|100)\.\d%"))
    at_the_end = answers.inner_text()
    page.get_by_label("moment of the training").fill("0")
    expect(told).to_contain_text("step 0: ")
    assert answers.inner_text() != at_the_end
    page.get_by_role("button", name="Play the training").click()
    expect(told).to_contain_text("at the end: ")
    expect(page.get_by_role("button", name="Play the training")).to_be_visible()
    assert answers.inner_text() == at_the_end
    screenshot(page, "glass-time", height=1200)


def test_kernels_are_pictures_that_change_with_time_and_by_hand(visit, timed):
    page, seen = visit(timed), []

    def kernels() -> str:
        return row(page, "kernels of conv1").evaluate("(canvas) => canvas.toDataURL()")

    seen.append(kernels())
    for moment in ("0", "1", "2"):
        page.get_by_label("moment of the training").fill(moment)
        expect(page.locator(".training output")).to_contain_text(f"step {moment}: ")
        seen.append(kernels())
    page.get_by_label("moment of the training").fill("3")
    assert len(set(seen)) == 4
    assert kernels() == seen[0]
    row(page, "kernels of conv1").click(position={"x": 60, "y": 40})
    followed = page.locator(".followed")
    expect(followed).to_contain_text("conv1, kernel 1, row 3, column 1: ")
    expect(page.locator(".arithmetic h2")).to_contain_text("conv1, map 1, row 13, column 13")
    page.keyboard.press("PageDown")
    page.keyboard.press("ArrowRight")
    expect(followed).to_contain_text("conv1, kernel 2, row 3, column 2: ")
    weight = load_model(find_model("mnist", "walkthrough"))[0].conv1.weight[2, 0, 2, 1].item()
    expect(followed.locator("strong")).to_have_text(significant(weight))
    page.get_by_label("row 3, column 2 of the kernel").fill("5")
    page.get_by_label("row 3, column 2 of the kernel").press("Enter")
    row(page, "image").hover()
    assert kernels() not in seen


def test_a_weight_that_is_too_large_for_the_network_is_not_taken(box):
    page = box()
    row(page, "conv1").click(position={"x": 20, "y": 20})
    answers = page.locator(".answers").inner_text()
    page.get_by_label("row 2, column 2 of the kernel").fill("1e39")  # infinity in 32 bits
    page.get_by_label("row 2, column 2 of the kernel").press("Enter")
    expect(page.get_by_role("button", name="Take the changes back")).to_be_disabled()
    assert page.locator(".answers").inner_text() == answers


def test_a_weight_is_followed_through_the_training_by_mouse_and_by_key(visit, tmp_path):
    model = build_model("two-conv")
    kept, optimizer = Snapshots(model, steps=4, count=9), torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    images = load_part("mnist", "train", 40)
    for _ in range(4):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images.images.float() / 255), images.labels).backward()
        optimizer.step()
        kept.step()
    moments = pack(kept, load_part("mnist", "test", 500))
    write_page(tmp_path / "time.html", model, moments)
    page = visit((tmp_path / "time.html").as_uri())
    told = page.locator(".followed")
    expect(told).to_contain_text("Click on a weight of a kernel, below, to follow it")
    row(page, "conv1").click(position={"x": 2 * 56 + 20, "y": 20})  # in map 2
    page.get_by_label("row 2, column 3 of the kernel").click()
    weight = (2 * 9) + 3 + 2
    for moment, step in enumerate(moments.steps):
        page.get_by_label("moment of the training").fill(str(moment))
        value, gradient, change = (
            float(rows[moment, weight]) for rows in (moments.weights, moments.gradients, moments.changes)
        )
        expect(told).to_contain_text(f"conv1, kernel 2, row 2, column 3: {significant(value)}.")
        if not step:
            expect(told).to_contain_text("This is before the first step.")
            continue
        expect(told).to_contain_text(f"The gradient of this step's batch: {significant(gradient)}.")
        wish = "smaller" if gradient > 0 else "larger"
        expect(told).to_contain_text(f"A {wish} weight would have made the loss of this batch smaller.")
        against = ", the other way: the optimizer also remembers the batches before" if gradient * change > 0 else ""
        expect(told).to_contain_text(f"The step changed the weight by {significant(change)}{against}.")
    page.get_by_label("row 2, column 3 of the kernel").focus()
    page.keyboard.press("Tab")
    expect(told).to_contain_text("conv1, kernel 2, row 3, column 1: ")
    row(page, "conv2").click(position={"x": 20, "y": 20})
    page.get_by_label("row 1, column 1 of the kernel").first.focus()
    expect(told).to_contain_text("conv2, kernel 0 for map ")
    expect(told).to_contain_text("No gradients were kept of this weight.")
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_an_edited_kernel_keeps_the_keyboard_s_place(box):
    page = box()
    row(page, "conv2").click(position={"x": 20, "y": 20})
    field = page.get_by_label("row 2, column 1 of the kernel").nth(1)
    place = field.get_attribute("data-place")
    field.fill("3")
    field.press("Enter")
    expect(page.get_by_role("button", name="Take the changes back")).to_be_enabled()
    assert page.evaluate("document.activeElement.dataset.place") == place


@pytest.mark.parametrize(
    ("name", "value"), [("turned by", "90"), ("moved right by", "5"), ("moved down by", "-5"), ("noise", "0.5")]
)
def test_a_slider_changes_the_digit_and_back(box, name, value):
    page = box()
    before = page.locator(".answers").inner_text()
    page.get_by_label(name).fill(value)
    assert page.locator(".answers").inner_text() != before
    page.get_by_label(name).fill("0")
    assert page.locator(".answers").inner_text() == before


@pytest.mark.parametrize("kind", ["touch", "pen"])
def test_a_finger_and_a_pen_draw_and_point(box, kind):
    page = box(has_touch=True)
    # Pointing comes before drawing: Chromium takes a tap that follows a stroke at once for a part of that stroke.
    row(page, "conv1").tap(position={"x": 20, "y": 20})
    pointed = page.locator(".arithmetic h2")
    expect(pointed).to_contain_text("conv1, map 0")
    before = pointed.inner_text()
    hand = page.context.new_cdp_session(page)
    page.locator(".sheet").scroll_into_view_if_needed()
    sheet = page.locator(".sheet").bounding_box()
    for stroke in drawings()[12].strokes:
        places = [(sheet["x"] + x * sheet["width"], sheet["y"] + y * sheet["height"]) for x, y in stroke]
        for number, (x, y) in enumerate(places):
            if kind == "touch":
                touched = {"type": "touchMove" if number else "touchStart", "touchPoints": [{"x": x, "y": y}]}
                hand.send("Input.dispatchTouchEvent", touched)
            else:
                moved = {"type": "mouseMoved" if number else "mousePressed", "x": x, "y": y, "button": "left"}
                hand.send("Input.dispatchMouseEvent", moved | {"buttons": 1, "clickCount": 1, "pointerType": "pen"})
        if kind == "touch":
            hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        else:
            lifted = {"type": "mouseReleased", "x": x, "y": y, "button": "left", "pointerType": "pen"}
            hand.send("Input.dispatchMouseEvent", lifted)
    expect(page.locator(".reading")).to_contain_text(re.compile(rf"^{drawings()[12].digit}, .*entropy [0-9.]+ of"))
    expect(pointed).not_to_have_text(before)  # the same place, of another image


HANDS = ["mouse", "touch", "keyboard"]


def reach(hand: str, place: Locator) -> None:
    """Click on something, tap it, or come to it with the keyboard."""
    {"mouse": place.click, "touch": place.tap, "keyboard": place.focus}[hand]()


def press(page: Page, hand: str, place: str | Locator) -> None:
    """Press a button, by its name, as somebody with a mouse, a touch screen, or a keyboard alone does."""
    reach(hand, page.get_by_role("button", name=place, exact=True) if isinstance(place, str) else place)
    if hand == "keyboard":
        page.keyboard.press("Enter")


def slide(page: Page, hand: str, name: str) -> None:
    """Move a slider to the right by hand."""
    slider = page.get_by_label(name)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    place = {"x": 0.8 * box["width"], "y": box["height"] / 2}
    if hand == "mouse":
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + place["y"])
        page.mouse.down()
        page.mouse.move(box["x"] + place["x"], box["y"] + place["y"], steps=4)
        page.mouse.up()
    elif hand == "touch":
        slider.tap(position=place)
    else:
        slider.focus()
        for _ in range(4):
            page.keyboard.press("ArrowRight")


def point_at(page: Page, hand: str, name: str, x: int, y: int) -> None:
    """Point at the number of a row's first map that is drawn at a place of its canvas."""
    maps = row(page, name)
    if hand == "keyboard":
        maps.focus()
        for key in ("ArrowRight", "ArrowDown"):
            page.keyboard.press(key)
    elif hand == "touch":
        maps.tap(position={"x": x, "y": y})
    else:
        maps.click(position={"x": x, "y": y})


@pytest.mark.parametrize("hand", HANDS)
def test_everything_can_be_worked_by_mouse_by_touch_and_by_key(visit, timed, hand):
    page = visit(timed, has_touch=hand == "touch")
    answers, heading, score = (page.locator(place) for place in (".answers", ".arithmetic h2", ".score"))
    page.locator(".company").wait_for()

    def differs(act: Callable[[], None]) -> None:
        before = answers.inner_text()
        act()
        expect(answers).not_to_have_text(before, use_inner_text=True)

    differs(lambda: press(page, hand, "Next"))
    for name in ("turned by", "moved right by", "moved down by", "noise"):
        differs(lambda name=name: slide(page, hand, name))
    expect(score).to_contain_text(f"of {FEW} images")
    point_at(page, hand, "conv1", 20, 20)
    expect(heading).to_contain_text("conv1, map 0, row ")
    press(page, hand, "Slide the window")
    expect(page.get_by_role("button", name="Stop the window")).to_be_visible()
    press(page, hand, "Stop the window")
    expect(page.get_by_role("button", name="Slide the window")).to_be_visible()
    differs(lambda: press(page, hand, "Switch map 0 off"))
    expect(page.get_by_role("button", name="Switch map 0 on")).to_be_visible()
    reach(hand, page.get_by_label("row 2, column 2 of the kernel"))
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    expect(page.locator(".followed")).to_be_visible()
    press(page, hand, "Switch map 0 on")
    differs(lambda: press(page, hand, "Take the changes back"))
    page.get_by_label("moment of the training").press("Home")
    expect(page.locator(".training output")).to_contain_text("step 0: ")
    differs(lambda: slide(page, hand, "moment of the training"))
    press(page, hand, "Play the training")
    expect(page.locator(".training output")).to_contain_text("at the end: ")
    page.locator(".company").wait_for()
    press(page, hand, page.locator(".neighbours summary"))
    expect(page.locator(".neighbours details")).to_have_attribute("open", "")
    press(page, hand, "Clear")


def test_no_webgl_is_needed(visit, written):
    refuse = """() => { const own = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
            return kind.startsWith("webgl") ? null : own.call(this, kind, ...more); }; }"""
    page = visit(written, before=lambda page: page.add_init_script(f"({refuse})()"))
    draw(page, drawings()[12])
    expect(page.locator(".reading")).to_contain_text(f"{drawings()[12].digit}, ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_on_a_phone_and_in_light_and_dark(visit, written, scheme):
    page = visit(written, color_scheme=scheme)
    draw(page, drawings()[12])
    screenshot(page, f"glass-{scheme}", height=2200)
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    screenshot(page, f"glass-phone-{scheme}", height=3000)


def test_it_can_be_read_at_twice_the_size(visit, written):
    page = visit(written, device_scale_factor=2)
    page.set_viewport_size({"width": 640, "height": 480})  # a window of 1280 × 960 at 200 %
    draw(page, drawings()[12])
    row(page, "conv1").click(position={"x": 20, "y": 20})
    assert nothing_sticks_out(page)
    screenshot(page, "glass-zoomed", height=2600)


def test_voila_shows_it_too(visit, serve_with_voila, tmp_path):
    page = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    page.cells = [
        nbformat.v4.new_code_cell(
            "from mnist_helpers.checkpoints import find_model, load_model\nfrom mnist_helpers.data import load_part\n"
            "from mnist_helpers.widgets.glass import GlassBox\n"
            "GlassBox(load_model(find_model())[0], load_part('mnist', 'validation', limit=20))"
        )
    ]
    nbformat.write(page, tmp_path / "box.ipynb")
    with serve_with_voila(tmp_path / "box.ipynb") as address:
        opened = visit(address)
        opened.locator(".glass-box .sheet").wait_for()
        draw(opened, drawings()[12])
        expect(opened.locator(".reading")).to_contain_text(f"{drawings()[12].digit}, ")
        screenshot(opened, "glass-voila", height=1600)
        leave(opened.context)


def test_weights_that_are_cut_off_are_said_to_be(visit, written, tmp_path):
    whole = Path(urlparse(written).path).read_text(encoding="utf-8")
    text = re.sub(r'weights: bytes\("[^"]{8}', 'weights: bytes("', whole)
    (tmp_path / "cut.html").write_text(text)
    page = visit((tmp_path / "cut.html").as_uri())
    expect(page.get_by_role("alert")).to_contain_text("Was it cut off?")


def without(name: str, letters: int):
    """Return what takes the first letters from a part of a page."""
    return lambda text: re.sub(rf'({name}: (network.inflated\()?bytes\(")[^"]{{{letters}}}', r"\1", text)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text[: len(text) // 2], "this file was cut off"),
        (without("weights", 7), "Was it cut off?"),
        (without("images", 400), ""),
    ],
    ids=["half a page", "half a letter", "images"],
)
def test_a_page_that_is_broken_is_never_blank(visit, written, tmp_path, spoil, said):
    text = Path(urlparse(written).path).read_text(encoding="utf-8")
    (tmp_path / "broken.html").write_text(spoil(text))
    page = visit((tmp_path / "broken.html").as_uri())
    expect(page.locator("#box p").first).to_contain_text(said or re.compile("[a-z]"))
    expect(page.locator("#box .sheet")).to_have_count(0)


def test_the_nearest_known_digits_are_shown_and_the_limit_is_that_of_the_known_ones(whole_box):
    page = whole_box()
    page.locator(".company").wait_for()
    model = load_model(find_model("mnist", "walkthrough"))[0].eval()
    images = load_part("mnist", "test", 500)
    with torch.no_grad():
        maps = model[: [name for name, _ in model.named_children()].index("dense1")](images.images.float() / 255)
        strengths = model(images.images.float() / 255).logsumexp(dim=1)
    least = strengths.sort().values[10]
    alike = torch.nn.functional.normalize(maps.flatten(1))
    distances = 1 - alike @ alike.T
    distances.fill_diagonal_(torch.inf)
    limit = distances.min(dim=1).values.sort().values[int(0.98 * 500)]
    names = page.locator(".company canvas")
    for shown in (0, 7):
        page.get_by_role("spinbutton", name="Image").fill(str(shown))
        page.get_by_role("spinbutton", name="Image").press("Enter")
        nearest = distances[shown].argsort()[:5].tolist()
        expect(names.first).to_have_attribute("aria-label", re.compile(f"^image {nearest[0]}, "))
        assert [name.get_attribute("aria-label") for name in names.all()] == [
            f"image {at}, a {images.labels[at]}" for at in nearest
        ]
        told = f"distance {distances[shown].min():.2f}, limit {limit:.2f}; "
        told += f"strength {strengths[shown]:.2f}, at least {least:.2f}"
        expect(page.locator(".neighbours p").first).to_contain_text(told)


FACE = [
    [(0.5 + 0.4 * math.cos(angle), 0.5 + 0.4 * math.sin(angle)) for angle in (math.tau * i / 24 for i in range(25))],
    [(0.35, 0.35), (0.35, 0.45)], [(0.65, 0.35), (0.65, 0.45)], [(0.5, 0.45), (0.5, 0.58)],
    [(0.3, 0.65), (0.5, 0.75), (0.7, 0.65)],
]  # fmt: skip


def test_what_is_no_digit_is_called_a_stranger_and_digits_are_not(whole_box):
    page = whole_box()
    page.locator(".company").wait_for()
    said = page.locator(".neighbours p").first
    for drawing in drawings()[::15]:
        page.get_by_role("button", name="Clear").click()
        draw(page, drawing)
        expect(said).to_contain_text("Like digits that it knows")
    page.get_by_role("button", name="Clear").click()
    letter = [[(0.2, 0.8), (0.5, 0.2), (0.8, 0.8)], [(0.3, 0.6), (0.7, 0.6)], [(0.2, 0.2), (0.8, 0.3)]]
    draw(page, replace(drawings()[0], strokes=letter))
    expect(said).to_contain_text("Unlike anything it knows")
    page.get_by_role("button", name="Clear").click()
    draw(page, replace(drawings()[0], strokes=FACE))
    expect(said).to_contain_text("Unlike anything it knows: weak (")  # near to an 8, and nothing speaks for one
    page.get_by_role("button", name="Clear").click()
    expect(said).to_contain_text("Like digits that it knows")
    page.get_by_label("noise").fill("1")
    expect(said).to_contain_text("Unlike anything it knows")
    page.get_by_label("noise").fill("0")
    page.get_by_label("turned by").fill("90")
    expect(said).to_contain_text("Unlike anything it knows")


def test_another_network_knows_other_digits(whole_box):
    page = whole_box()
    page.locator(".company").wait_for()
    before = page.locator(".neighbours p").first.inner_text()
    row(page, "conv1").click(position={"x": 20, "y": 20})
    page.get_by_role("button", name="Switch map 0 off").click()
    assert page.locator(".company").count() == 0  # those of the network before are gone at once
    page.locator(".company").wait_for()
    assert page.locator(".neighbours p").first.inner_text() != before
    page.get_by_role("button", name="Take the changes back").click()
    expect(page.locator(".neighbours p").first).to_have_text(before)


def test_what_explains_the_neighbours_stays_open_and_keeps_the_keyboard_while_they_change(box):
    page = box()
    page.locator(".company").wait_for()
    before = page.locator(".neighbours p").first.inner_text()
    page.locator(".neighbours summary").press("Enter")
    turned = "slider => { slider.value = 60; slider.dispatchEvent(new Event('input')); }"
    page.get_by_label("turned by").evaluate(turned)
    expect(page.locator(".neighbours p").first).not_to_have_text(before)
    expect(page.locator(".neighbours details")).to_have_attribute("open", "")
    expect(page.locator(".neighbours summary")).to_be_focused()


def test_the_frames_stay_when_the_button_below_them_takes_its_place(box):
    page = box()
    image = row(page, "image")
    before = image.evaluate("canvas => canvas.toDataURL()")
    row(page, "conv1").click(position={"x": 20, "y": 20})
    expect(page.get_by_role("button", name="Switch map 0 off")).to_be_visible()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    framed = image.evaluate("canvas => canvas.toDataURL()")
    assert framed != before
    page.set_viewport_size({"width": 700, "height": 900})
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert image.evaluate("canvas => canvas.toDataURL()") == framed


def test_at_twice_the_size_the_sums_leave_the_sheet_free(box):
    page = box(device_scale_factor=2)
    page.set_viewport_size({"width": 640, "height": 480})  # a window of 1280 × 960 at 200 %
    row(page, "conv1").click(position={"x": 20, "y": 20})
    page.evaluate("scrollTo(0, 0)")
    on_top = """([left, top]) => document.elementFromPoint(left, top).className"""
    sheet = page.locator(".sheet").bounding_box()
    for part in (0.1, 0.5, 0.9):
        assert page.evaluate(on_top, [sheet["x"] + 50, sheet["y"] + part * sheet["height"]]) == "sheet"
