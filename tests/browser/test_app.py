"""The page that `make app` serves: digits drawn with the mouse are read, visitors are apart, and none runs code."""

import io
import json
import re
import statistics
import struct
import time
import uuid
from collections.abc import Iterator

import psutil
import pytest
from figures import put_figures
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from PIL import Image, ImageDraw
from playwright.sync_api import expect
from processes import children_with
from strokes import drawings
from visitor import PATIENCE, Pad, admitted, barriers, draw_on, leave, nothing_sticks_out, screenshot

from mnist_helpers.widgets.serving import PROTOCOL

INVITATION = "Draw a digit"
BY_DIGIT = {drawing.digit: drawing for drawing in drawings() if drawing.style == "shape 1, upright"}


def test_the_first_page_reads_what_is_drawn_without_a_kernel_and_leads_to_the_pad(serve_app, visit):
    with serve_app(most=1) as address:
        (server,) = children_with(address.rpartition(":")[2])
        before = kernels(server)
        asked = []
        page = visit(address, before=lambda page: page.on("request", lambda request: asked.append(request.url)))
        for digit in (3, 8):
            page.get_by_role("button", name="Clear").click()
            draw_on(page, page.locator(".sheet"), BY_DIGIT[digit].strokes)
            expect(page.locator(".reading")).to_contain_text(f"{digit}, ")
        assert barriers(page) == {}
        page.locator(".company").wait_for()  # its worker works under this server's rules, too
        assert [url for url in asked if not url.startswith("blob:")] == [f"{address}/"]
        assert kernels(server) == before
        page.get_by_role("link", name="Several digits at once").click()
        pad = Pad(page)
        pad.draw(BY_DIGIT[3])
        assert pad.reading.startswith("3 (")
        page.get_by_role("link", name="The network number by number, in your browser alone").click()
        page.locator(".glass-box").wait_for()
        leave(page.context)


@pytest.fixture(scope="module")
def at_the_pad(app, browser) -> Iterator[tuple[Pad, list[str]]]:
    """Bring one visitor to the pad, whom several tests share: a kernel for each would take most of their time.

    With the pad comes what the page has complained of.
    """
    context, complaints = browser.new_context(viewport={"width": 1280, "height": 960}), []
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{app}/pad")
    yield Pad(page), complaints
    leave(context)


@pytest.fixture
def pad(at_the_pad) -> Iterator[Pad]:
    """Give a test the visitor's pad with an empty sheet; what the page complains of fails the test."""
    pad, complaints = at_the_pad
    pad.page.set_viewport_size({"width": 1280, "height": 960})
    pad.sheet.scroll_into_view_if_needed()
    pad.root.locator("input[type=range]").fill("0.08")
    pad.press("Clear")
    yield pad
    assert not complaints


def test_drawn_digits_are_read(pad):
    for digit, drawing in BY_DIGIT.items():  # tests/widgets/test_pad.py has the other shapes read, without a browser
        pad.draw(drawing)
        assert pad.reading.startswith(f"{digit} (")
        pad.press("Clear")


def test_digits_side_by_side_are_read_as_a_number_and_each_can_be_looked_into(pad):
    pad.draw(BY_DIGIT[4])
    pad.draw(BY_DIGIT[2], right=1.0)
    assert pad.reading.startswith("42 (")
    choices = pad.root.get_by_role("radio")
    expect(choices).to_have_count(2)
    expect(choices.nth(1)).to_be_checked()
    seen = pad.root.locator(".bars .best .name")
    expect(seen).to_have_text("2")
    choices.nth(0).check()
    pad.answered()
    expect(seen).to_have_text("4")
    screenshot(pad.page, "app-number", height=1500)


def as_file(strokes: list[list[tuple[float, float]]], pen: float) -> bytes:
    """Draw strokes on grey paper, as a photo has it, in a PNG file."""
    sheet, file = Image.new("L", (900, 700), 190), io.BytesIO()
    for stroke in strokes:
        ImageDraw.Draw(sheet).line([(150 + 600 * x, 50 + 600 * y) for x, y in stroke], fill=40, width=round(600 * pen))
    sheet.save(file, "PNG")
    return file.getvalue()


LAID = """([pad, kind, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "photo.png", { type: "image/png" }));
    const options = { bubbles: true, cancelable: true };
    pad.dispatchEvent(kind === "drop" ? new DragEvent("drop", { ...options, dataTransfer: data })
        : new ClipboardEvent("paste", { ...options, clipboardData: data }));
}"""


def test_a_photo_is_read_when_it_is_chosen_dropped_or_pasted_and_none_is_said(pad):
    page = pad.page
    seven, four = (as_file(BY_DIGIT[digit].strokes, BY_DIGIT[digit].pen) for digit in (7, 4))
    pad.root.locator("input[type=file]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": seven})
    reading = pad.root.locator(".reading")
    expect(reading).to_contain_text("7 (")
    for kind, file, digit in (("drop", four, 4), ("paste", seven, 7)):
        page.evaluate(LAID, [pad.root.element_handle(), kind, list(file)])
        expect(reading).to_contain_text(f"{digit} (")
        pad.answered()
    screenshot(page, "app-photo", height=1500)
    page.evaluate(LAID, [pad.root.element_handle(), "drop", list(b"no picture")])
    expect(pad.root.locator(".trouble")).to_contain_text("photo.png is no picture that a browser can show")
    pad.press("Clear")
    assert pad.reading.startswith(INVITATION)
    pad.draw(BY_DIGIT[1])
    assert pad.reading.startswith("1 (")


def test_undo_clear_and_the_pen(pad):
    assert pad.reading.startswith(INVITATION)
    pad.draw(BY_DIGIT[1])
    first = pad.reading
    pad.draw(BY_DIGIT[0], right=1.0)
    assert pad.reading != first
    pad.press("Undo")
    assert pad.reading == first
    pad.sheet.focus()
    pad.page.keyboard.press("Control+z")
    pad.answered()
    assert pad.reading.startswith(INVITATION)
    pad.draw(BY_DIGIT[8])
    pad.press("Clear")
    assert pad.reading.startswith(INVITATION)
    expect(pad.root.locator(".bars")).to_have_count(0)


INKED = """([canvas, x, y]) => {
    const [red] = canvas.getContext("2d").getImageData(x * canvas.height, y * canvas.height, 1, 1).data;
    return red < 128;
}"""


def test_a_pen_that_leaves_the_sheet_and_returns_draws_no_line_between(pad):
    page, (left, top, height) = pad.page, pad.box

    def inked(x: float, y: float) -> bool:
        return page.evaluate(INKED, [pad.sheet.element_handle(), x, y])

    page.mouse.move(left + 0.3 * height, top + 0.5 * height)
    page.mouse.down()
    for x, y in ((0.3, 0.05), (0.3, -0.02), (0.9, -0.02), (0.9, 0.05), (0.9, 0.5)):
        page.mouse.move(left + x * height, top + y * height)
    page.mouse.up()
    pad.answered()
    assert [inked(x, y) for x, y in ((0.3, 0.3), (0.6, 0.05), (0.9, 0.3))] == [True, False, True]


def test_what_is_drawn_while_an_answer_is_awaited_is_sent_once(app, visit):
    """Drawings that a kernel cannot keep up with must not queue up: of all that wait, only the newest is sent."""
    sent = []

    def count(socket) -> None:
        socket.on("framesent", lambda frame: sent.append(frame) if b'"strokes"' in bytes(frame) else None)

    page = visit(f"{app}/pad", before=lambda page: page.on("websocket", count))
    pad = Pad(page)
    box = pad.sheet.bounding_box()
    draw = """([canvas, left, top]) => {
        const at = (kind, step) => canvas.dispatchEvent(new PointerEvent(kind, { pointerId: 1, button: 0, bubbles: true,
            clientX: left + 40 + step, clientY: top + 40 + step }));
        canvas.setPointerCapture = () => {};  // of a pointer that is none
        for (let step = 0; step < 200; step += 20) {
            at("pointerdown", step);
            at("pointerup", step);
        }
    }"""
    page.evaluate(draw, [pad.sheet.element_handle(), box["x"], box["y"]])
    pad.answered()
    assert len(sent) == 2  # the first dot, and all the others at once
    assert pad.reading


def test_the_answer_explains_itself(pad):
    page = pad.page
    pad.draw(BY_DIGIT[7])
    for title in ("From your drawing to what the network sees", "Why?", "What its layers see"):
        section = pad.root.locator("section", has=page.get_by_role("heading", name=title))
        pictures = section.get_by_role("img")
        assert pictures.count() >= 3
        for index in range(pictures.count()):
            assert pictures.nth(index).get_attribute("aria-label")
    assert barriers(page) == {}
    screenshot(page, "app-light", height=1150)


def brightness(page, selector: str, what: str) -> float:
    colour = page.locator(selector).first.evaluate(f"(e) => getComputedStyle(e).{what}")
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


def test_the_page_can_be_read_in_the_dark(serve_app, visit):
    with serve_app(2, "--theme", "dark") as address:
        page = visit(f"{address}/pad")
        pad = Pad(page)
        pad.draw(BY_DIGIT[5])
        assert pad.reading.startswith("5 (")
        assert brightness(page, "body", "backgroundColor") < 60
        for selector in (".reading", ".state", ".bars .name", "figcaption", "button", "label"):
            assert brightness(page, f".drawing-pad {selector}", "color") > 120, selector
        assert barriers(page) == {}
        screenshot(page, "app-dark", height=1150)
        leave(page.context)


@pytest.mark.parametrize("argument", ["theme", "voila-template", "template"])
def test_an_address_cannot_put_anything_into_the_page(app, browser, argument):
    context = browser.new_context()
    page = context.request.get(f"{app}/pad", params={argument: '"><script>alert(1)</script>'}).text()
    assert "Draw digits" in page
    assert "alert(1)" not in page
    context.close()


def test_a_finger_draws_on_a_small_screen_and_a_palm_does_not(app, visit):
    page = visit(f"{app}/pad", has_touch=True, is_mobile=True, device_scale_factor=2)
    page.set_viewport_size({"width": 400, "height": 800})
    pad = Pad(page)
    left, top, height = pad.box
    assert left >= 0
    assert left + 2 * height <= 400
    touch = page.context.new_cdp_session(page)
    palm = {"x": left + 1.8 * height, "y": top + 0.9 * height, "id": 2}
    for stroke in BY_DIGIT[3].strokes:
        places = [{"x": left + x * height, "y": top + y * height, "id": 1} for x, y in stroke]
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": places[:1]})
        for place in places[1:]:
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [place, palm]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    pad.answered()
    assert pad.reading.startswith("3 (")
    screenshot(page, "app-phone", height=2600)


def test_the_page_can_be_read_at_twice_the_size(app, visit):
    page = visit(f"{app}/pad", device_scale_factor=2)
    page.set_viewport_size({"width": 640, "height": 480})  # a window of 1280 × 960 at 200 %
    pad = Pad(page)
    pad.draw(BY_DIGIT[9])
    assert pad.reading.startswith("9 (")
    assert nothing_sticks_out(page)
    screenshot(page, "app-zoomed", height=1800)


def test_two_visitors_do_not_see_each_other(app, visit):
    first, second = Pad(visit(f"{app}/pad")), Pad(visit(f"{app}/pad"))
    first.draw(BY_DIGIT[6])
    second.draw(BY_DIGIT[9])
    assert first.reading.startswith("6 (")
    assert second.reading.startswith("9 (")
    second.press("Clear")
    assert first.reading.startswith("6 (")


def test_nothing_is_fetched_from_elsewhere(app, browser):
    fetched, elsewhere = [], []
    context = browser.new_context()

    def answer(route) -> None:
        here = route.request.url.startswith(app)
        (fetched if here else elsewhere).append(route.request.url)
        route.continue_() if here else route.fulfill(body="")

    context.route("**/*", answer)
    page = context.new_page()
    headers = page.goto(f"{app}/pad").headers
    Pad(page).draw(BY_DIGIT[2])
    leave(context)
    assert len(fetched) > 3
    assert not elsewhere
    assert "default-src 'self'" in headers["content-security-policy"]


CONVERSATION = """async ([address, protocols, messages, awaited]) => {
    const socket = new WebSocket(address, protocols);
    const replies = [];
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
        socket.addEventListener("close", resolve);
        socket.addEventListener("open", () => messages.forEach((parts) => socket.send(new Uint8Array(parts))));
        socket.addEventListener("message", ({ data }) => {
            replies.push(Array.from(new Uint8Array(data)));
            const text = new TextDecoder().decode(data);
            if (text.includes(awaited) && /"execution_state": *"idle"/.test(text)) resolve();
        });
    });
    return replies;
}"""


def converse(page, address: str, messages: list[dict], protocols: tuple[str, ...] = (PROTOCOL,)) -> list[dict]:
    """Send messages to a kernel from within a page; return what comes back until the last one has been worked off."""
    parts = [list(serialize_msg_to_ws_v1(one, one["channel"], pack)) for one in messages]
    replies = page.evaluate(CONVERSATION, [address, protocols, parts, messages[-1]["header"]["msg_id"]])
    found = [deserialize_msg_from_ws_v1(bytes(reply))[1] for reply in replies]
    return [{"header": json.loads(one[0]), "parent_header": json.loads(one[1])} for one in found]


def pack(content: dict) -> bytes:
    return json.dumps(content).encode()


def message(kind: str, channel: str, content: dict) -> dict:
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "visitor", "session": "s", "version": "5.3"}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}


def test_a_visitor_cannot_run_code(app, browser, tmp_path):
    """Ask the visitor's own kernel for it, on the channel that the page itself uses."""
    context, sockets = browser.new_context(), []
    page = context.new_page()
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"{app}/pad")
    pad = Pad(page)
    pad.draw(BY_DIGIT[2])
    trace = tmp_path / "trace"
    code = {"code": f"open({str(trace)!r}, 'w')", "silent": False, "store_history": False, "allow_stdin": False}
    attempts = [message("execute_request", channel, code) for channel in ("shell", "control")]
    debug = {"command": "evaluate", "arguments": {"expression": code["code"]}}
    attempts.append(message("debug_request", "control", debug))
    widget = {"target_name": "jupyter.widget", "comm_id": "c", "data": {"state": {"_model_name": "HTMLModel"}}}
    opening = message("comm_open", "shell", widget)
    last = message("kernel_info_request", "shell", {})  # allowed: when it is answered, the others have passed
    address = next(url for url in sockets if "/channels" in url).partition("?")[0] + f"?session_id={uuid.uuid4().hex}"
    answers = [
        (reply["parent_header"].get("msg_id"), reply["header"]["msg_type"])
        for reply in converse(page, address, [*attempts, opening, last])
    ]
    assert not trace.exists()
    tried = {attempt["header"]["msg_id"] for attempt in attempts}
    assert not [kind for parent, kind in answers if parent in tried]
    # It may open a comm, as a page does, but no widget comes of it.
    assert (opening["header"]["msg_id"], "comm_close") in answers
    # Other protocols, and what promises too many parts or the same one often, end the conversation and nothing else.
    for protocols in ((), (f"x{PROTOCOL}",)):
        assert not converse(page, address, [last], protocols=protocols)
    often = struct.pack("<4096Q", 4095, *([0, 2**15] * 2048)[:4095])
    for frame in (b"\xff" * 8, often):
        page.evaluate(CONVERSATION, [address, [PROTOCOL], [list(frame)], "an answer that never comes"])
    pad.draw(BY_DIGIT[0], right=1.0)
    assert pad.reading.startswith("20 (")
    leave(context)


@pytest.mark.parametrize("path", ["/api/kernels", "/api/contents", "/voila/files/app.ipynb", "/voila/files/pad.py"])
def test_the_server_hands_out_nothing_else(app, browser, path):
    context = browser.new_context()
    assert context.request.get(f"{app}{path}").status in (403, 404)
    assert context.request.post(f"{app}/api/kernels", data="{}").status in (403, 404, 405)
    context.close()


def kernels(server: psutil.Process) -> list[psutil.Process]:
    (loaded,) = children_with("mnist_helpers.course.loaded", server)  # from which they are forked
    return children_with("", loaded)


@pytest.mark.weekly  # nothing is asserted about it
def test_what_an_answer_costs_by_the_browser_and_by_a_kernel_is_written_down(serve_app, visit):
    """Of one stroke, on the pad, which asks both; `make widget-pictures` writes the figures into docs/glass-box.md."""
    here, there = [], []
    with serve_app(most=1) as address:
        (server,) = children_with(address.rpartition(":")[2])
        page = visit(f"{address}/pad")
        admitted(page)
        pad = Pad(page)
        state = pad.root.locator(".state")
        for _ in range(10):
            pad.sheet.scroll_into_view_if_needed()
            left, top, height = pad.box
            places = [(left + x * height, top + y * height) for x, y in BY_DIGIT[3].strokes[0]]
            page.mouse.move(*places[0])
            page.mouse.down()
            for place in places[1:]:
                page.mouse.move(*place)
            expect(state).to_contain_text("by the browser")
            here.append(int(re.search(r"in (\d+) ms", pad.state)[1]))
            page.mouse.up()
            expect(state).to_contain_text("in the kernel")
            there.append(int(re.search(r"in (\d+) ms", pad.state)[1]))
            pad.press("Clear")
        memory = max(kernel.memory_full_info().uss for kernel in kernels(server))
        leave(page.context)
    put_figures(
        {
            "a stroke on the pad, answered by the browser": f"{statistics.median(here):.0f} ms (median of 10)",
            "a stroke on the pad, answered by a kernel": f"{statistics.median(there):.0f} ms (median of 10)",
            "memory of a visitor's kernel, beside what all share": f"{memory / 1e6:.0f} MB",
        }
    )


def test_a_waiting_kernel_that_dies_is_replaced(serve_app, visit):
    with serve_app(most=1) as address:
        port = address.rpartition(":")[2]
        (server,) = children_with(port)
        (waiting,) = kernels(server)
        waiting.kill()
        for _ in range(300):  # the server looks after its kernels every few seconds
            if [kernel for kernel in kernels(server) if kernel != waiting]:
                break
            time.sleep(0.2)
        page = visit(f"{address}/pad")
        admitted(page)
        pad = Pad(page)
        pad.draw(BY_DIGIT[6])
        assert pad.reading.startswith("6 (")
        leave(page.context)


def test_when_all_places_are_taken_the_next_visitor_is_told_and_can_come_later(serve_app, visit, browser):
    with serve_app(most=2) as address:
        first, second = visit(f"{address}/pad"), visit(f"{address}/pad")
        Pad(first).draw(BY_DIGIT[1])
        Pad(second).draw(BY_DIGIT[2])
        refused = browser.new_context()
        assert refused.request.get(f"{address}/pad").status == 503
        refused.close()
        leave(first.context)
        late = visit(f"{address}/pad")
        admitted(late)
        pad = Pad(late)
        pad.draw(BY_DIGIT[3])
        assert pad.reading.startswith("3 (")
        for page in (second, late):
            leave(page.context)
