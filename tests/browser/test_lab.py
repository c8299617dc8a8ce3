"""The lessons in a real JupyterLab: every cell runs, every widget shows, and its controls change what is seen."""

import json
import os
import re
import uuid
from pathlib import Path

import nbformat
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from playwright.sync_api import Page, expect
from strokes import drawings
from visitor import PATIENCE, Pad, barriers, draw_on, screenshot, sticking_out, zoom_in
from widget_pictures import FOLDER_VARIABLE, take_widget_picture

from mnist_helpers.reading.tables import load_csv
from mnist_helpers.runtime import ROOT

BY_DIGIT = {drawing.digit: drawing for drawing in drawings() if drawing.style == "shape 1, upright"}
WIDGETS = {  # the classes of the widgets that a lesson shows when it has run
    "01_data": ["DigitBrowser"],
    "02_model": ["KernelEditor", "GlassBox"],
    "03_training": ["TrainingBox"],
    "04_evaluation": ["ConfusionExplorer", "ThresholdExplorer", "DrawingPad"],
    "05_filter_visualization": ["FilterExplorer", "GlassBox"],
    "10_honest_evaluation": ["LabelVote"],
}
ROOTS = ".jp-OutputArea-output > .jupyter-widgets:not(:has(.guess))"  # boxes for guesses are on every page
QUICK = {
    "03_training": {"epochs": 2, "train_limit": 2_000},
    "10_honest_evaluation": {"seeds": 3},
}  # nbval and papermill run it as it is
OPEN = """async (path) => {
    const panel = await window.jupyterapp.commands.execute("docmanager:open", { path, factory: "Notebook" });
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
}"""
# From the notebook itself: a folded cell shows no number.
COUNTS = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .filter((cell) => cell.model.type === "code").map((cell) => cell.model.executionCount)"""


COUNT_SENT = """() => {
    const own = WebSocket.prototype.send;
    window.sentToKernels = 0;
    WebSocket.prototype.send = function (message) {
        window.sentToKernels += this.url.includes("/channels");
        return own.call(this, message);
    };
}"""


def open_notebook(visit, lab: str, name: str) -> Page:
    """Open a notebook as a click on its name does; an address with the name starts two kernels and drops one."""
    page = visit(f"{lab}/lab/workspaces/{uuid.uuid4().hex}")
    expect(page.locator(".jp-DirListing-item", has_text=name.split("/")[0])).to_be_visible()
    page.evaluate(OPEN, name)
    expect(page.locator(".jp-Notebook")).to_be_visible()
    return page


def command(page: Page, name: str) -> None:
    """Have JupyterLab begin one of its commands."""
    page.evaluate(
        "(name) => { window.done = false;"
        " window.jupyterapp.commands.execute(name).finally(() => { window.done = true; }); }",
        name,
    )


def ended(page: Page) -> None:
    """Wait until the command is over."""
    page.wait_for_function("window.done", timeout=10 * PATIENCE)


def run_all(page: Page) -> None:
    command(page, "notebook:run-all-cells")
    ended(page)


def errors(page: Page) -> list[str]:
    kinds = [f'[data-mime-type="application/vnd.jupyter.{kind}"]' for kind in ("error", "stderr")]
    return [
        *page.locator(", ".join(kinds)).all_inner_texts(),
        *page.get_by_text("Error displaying widget").all_inner_texts(),
    ]


def write_notebook(workspace: Path, name: str, *cells: str) -> None:
    kernel = {"name": "python3", "display_name": "Python 3"}
    page = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}}
    page["cells"] = [
        {"cell_type": "code", "id": f"c{i}", "source": s, "metadata": {}, "outputs": [], "execution_count": None}
        for i, s in enumerate(cells)
    ]
    (workspace / name).write_text(json.dumps(page))


def changes(page: Page, widget, action) -> None:
    """Do something to a widget and wait until its figure is another one."""
    image = widget.locator("img").first
    before = image.get_attribute("src")
    action()
    expect(image).not_to_have_attribute("src", before)


def slide(page: Page, widget, name: str) -> None:
    widget.get_by_role("slider", name=name, exact=True).focus()
    page.keyboard.press("ArrowRight")


WHOLE = ("01_data",)  # the others take minutes; their widgets are also tested on their own, and nbval runs them


@pytest.mark.parametrize(
    "lesson", [pytest.param(one, marks=[] if one in WHOLE else pytest.mark.weekly) for one in WIDGETS]
)
def test_a_lesson_runs_from_top_to_bottom_in_the_page(lesson, lab, workspace, visit, widget_pictures):
    if lesson in QUICK and FOLDER_VARIABLE not in os.environ:
        path = workspace / f"{lesson}.ipynb"
        nbformat.write(parameterize_notebook(load_notebook_node(str(path)), QUICK[lesson]), path)
    page = open_notebook(visit, lab, f"{lesson}.ipynb")
    run_all(page)
    assert errors(page) == []
    counts = page.evaluate(COUNTS)
    assert counts == list(range(1, len(counts) + 1))
    roots = page.locator(f"{ROOTS}, .jp-OutputArea-output :is(.drawing-pad, .glass-box)")
    expect(roots).to_have_count(len(WIDGETS[lesson]))
    for index, name in enumerate(WIDGETS[lesson]):
        roots.nth(index).scroll_into_view_if_needed()
        screenshot(page, f"lab-{lesson}-{index + 1}")
        if name == "DrawingPad":
            Pad(page).draw(BY_DIGIT[4])
        if name.endswith("Box"):
            roots.nth(index).locator(".maps").nth(2).hover(position={"x": 101, "y": 31})
        if (lesson, name) != ("05_filter_visualization", "GlassBox"):  # lesson 2 takes its picture
            take_widget_picture(roots.nth(index), name, widget_pictures)
    assert barriers(page, ".jp-OutputArea-output :is(.jupyter-widgets, .drawing-pad, .glass-box)") == {}
    PLAY.get(lesson, lambda _page: None)(page)
    zoom_in(page)
    for index in range(len(WIDGETS[lesson])):
        roots.nth(index).scroll_into_view_if_needed()
        screenshot(page, f"lab-{lesson}-{index + 1}-zoomed")
    assert sticking_out(page) == []


def play_with_digits(page: Page) -> None:
    widget = page.locator(ROOTS).first
    changes(page, widget, lambda: widget.get_by_label("Class").select_option("8"))
    changes(page, widget, lambda: widget.get_by_label("Order").select_option(index=2))
    changes(page, widget, lambda: slide(page, widget, "Page"))
    screenshot(page, "lab-digits")


def play_with_a_kernel(page: Page) -> None:
    widget = page.locator(ROOTS).first
    changes(page, widget, lambda: widget.get_by_label("Kernel").select_option("sharpen"))
    number = widget.locator("input[type=number]").nth(4)
    changes(page, widget, lambda: (number.fill("2"), number.press("Enter")))
    expect(widget.get_by_label("Kernel")).to_have_value("your own")
    for name in ("Image", "Window: row", "column"):
        changes(page, widget, lambda name=name: slide(page, widget, name))
    screenshot(page, "lab-kernel")
    box = page.locator(".glass-box")
    box.get_by_label("turned by").focus()
    page.keyboard.press("ArrowRight")
    expect(box.get_by_label("turned by")).to_have_value("5")
    place = re.compile(r"conv1, map (\d+), row (\d+), column (\d+)")
    told = box.locator(".arithmetic h2")
    before, down, right = map(int, place.search(told.inner_text()).groups())  # of the number that was pointed at
    box.locator(".maps").nth(2).focus()
    for key in ("ArrowRight", "PageDown"):
        page.keyboard.press(key)
    expect(told).to_contain_text(f"conv1, map {before + 1}, row {down}, column {right + 1}")
    box.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    expect(box.get_by_role("spinbutton", name="Image")).to_have_value("1")


def play_with_mistakes(page: Page) -> None:
    roots = page.locator(ROOTS)
    confusion, threshold = roots.nth(0), roots.nth(1)
    changes(page, confusion, lambda: confusion.get_by_title("images of 3 read as 3").click())
    confusion.scroll_into_view_if_needed()
    screenshot(page, "lab-confusion")
    slide(page, threshold, "Answer only if surer than")  # so small a step may leave the curve's point where it was
    expect(threshold.get_by_text("Surer than 90.1%")).to_be_visible()
    screenshot(page, "lab-threshold")


def play_with_filters(page: Page) -> None:
    widget = page.locator(ROOTS).first
    for name in ("Filter", "Image"):
        changes(page, widget, lambda name=name: slide(page, widget, name))
    changes(page, widget, lambda: widget.get_by_label("Switched off").select_option(["filter 0", "filter 1"]))
    changes(page, widget, lambda: widget.get_by_label("Layer").select_option(index=1))
    screenshot(page, "lab-filters")


PLAY = {
    "01_data": play_with_digits,
    "02_model": play_with_a_kernel,
    "04_evaluation": play_with_mistakes,
    "05_filter_visualization": play_with_filters,
}


def test_of_nbgrader_only_the_button_that_validates_is_there(lab, workspace, visit):
    write_notebook(workspace, "answer.ipynb", "assert 1 + 1 == 2")
    page = open_notebook(visit, lab, "answer.ipynb")
    page.locator(".jp-NotebookPanel-toolbar").get_by_role("button", name="Validate").click()
    expect(page.get_by_text("Success! Your notebook passes all the tests.")).to_be_visible()
    assert "File" in page.locator("#jp-MainMenu").inner_text()
    expect(page.locator("#jp-MainMenu").get_by_text("nbgrader")).to_have_count(0)
    side_bars = page.locator(".jp-SideBar")
    expect(side_bars.get_by_title("File Browser")).to_have_count(1)
    expect(side_bars.get_by_title("Create Assignment")).to_have_count(0)


def test_the_stop_button_ends_a_training_and_keeps_its_best_epoch(lab, workspace, visit):
    write_notebook(
        workspace,
        "stop.ipynb",
        "from dataclasses import replace\n"
        "from mnist_helpers.data import load_part\n"
        "from mnist_helpers.evaluation import evaluate\n"
        "from mnist_helpers.models import build_model\n"
        "from mnist_helpers.recipes import get_recipe\n"
        "from mnist_helpers.training import fit\n"
        "from mnist_helpers.widgets.live_curves import LiveCurves\n"
        "train, val = load_part('mnist', 'train', 5_000), load_part('mnist', 'validation', 500)\n"
        "recipe = replace(get_recipe('walkthrough'), epochs=5_000)\n"
        "network = build_model('two-conv')\n"
        "with LiveCurves(recipe.epochs, 'Curves.') as live:\n"
        "    history = fit(network, train, val, recipe, on_step=live.step, on_epoch=live.epoch)",
        "print(len(history.epochs) < 5_000, abs(evaluate(network, val).loss - history.best.val_loss) < 1e-4)",
    )
    page = open_notebook(visit, lab, "stop.ipynb")
    command(page, "notebook:run-all-cells")
    expect(page.get_by_text(re.compile(r"Epoch [2-9]\d* of 5000"))).to_be_visible()
    screenshot(page, "lab-training")
    page.get_by_role("button", name="Stop training").click()
    ended(page)
    assert errors(page) == []
    expect(page.get_by_text(re.compile(r"Curves\. Stopped after \d+ of 5000 epochs"))).to_be_visible()
    expect(page.get_by_text("True True")).to_be_visible()
    expect(page.get_by_role("button", name="Stop training")).to_have_count(0)
    screenshot(page, "lab-stopped")


# The network of the repository: lessons that ran before on the same server have trained another.
SHIPPED = str(ROOT / "pretrained" / "mnist" / "walkthrough")
BOX = f"""from pathlib import Path
from mnist_helpers.checkpoints import load_model
from mnist_helpers.data import load_part
from mnist_helpers.widgets.glass import GlassBox
GlassBox(load_model(Path({SHIPPED!r}))[0], load_part("mnist", "validation", 500))
"""
PAD = (
    "from pathlib import Path\nfrom mnist_helpers.widgets.pad import DrawingPad\n"
    "DrawingPad(keep_in=Path('kept.csv').resolve())"
)


EXPLORER = f"""from pathlib import Path
from mnist_helpers.checkpoints import load_model
from mnist_helpers.data import load_part
from mnist_helpers.widgets.filters import FilterExplorer
FilterExplorer(load_model(Path({SHIPPED!r}))[0], load_part("mnist", "validation", 100))
"""
TRAINED = """from dataclasses import replace
from mnist_helpers.data import load_part
from mnist_helpers.models import build_model
from mnist_helpers.recipes import get_recipe
from mnist_helpers.training import fit
from mnist_helpers.widgets.glass import TrainingBox
from mnist_helpers.widgets.moments import Snapshots
network, recipe = build_model("two-conv"), replace(get_recipe("walkthrough"), epochs=1, batch_size=64)
train, val = load_part("mnist", "train", 640), load_part("mnist", "validation", 100)
snapshots = Snapshots(network, 10, recipe.epochs)
fit(network, train, val, recipe, device="cpu", on_step=snapshots.step)
TrainingBox(network, val, snapshots)
"""


def test_filters_are_looked_at_and_switched_off(lab, workspace, visit):
    write_notebook(workspace, "explorer.ipynb", EXPLORER)
    page = open_notebook(visit, lab, "explorer.ipynb")
    run_all(page)
    assert errors(page) == []
    play_with_filters(page)
    assert barriers(page, ".jp-OutputArea-output .jupyter-widgets") == {}


def test_the_moments_of_a_training_are_gone_through_beside_it(lab, workspace, visit):
    write_notebook(workspace, "trained.ipynb", TRAINED)
    page = open_notebook(visit, lab, "trained.ipynb")
    run_all(page)
    assert errors(page) == []
    box = page.locator(".glass-box")
    box.get_by_label("moment of the training").focus()
    page.keyboard.press("Home")
    expect(box.locator(".training output")).to_contain_text("step 0: ")
    page.keyboard.press("End")
    expect(box.locator(".training output")).to_contain_text("at the end: ")
    assert barriers(page, ".glass-box") == {}


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_glass_box_asks_the_kernel_nothing_and_can_be_read_in_light_and_dark(lab, workspace, visit, theme):
    write_notebook(workspace, f"box-{theme.lower()}.ipynb", BOX)
    page = open_notebook(visit, lab, f"box-{theme.lower()}.ipynb")
    page.evaluate(f"() => window.jupyterapp.commands.execute('apputils:change-theme', {{theme: 'JupyterLab {theme}'}})")
    run_all(page)
    assert errors(page) == []
    box = page.locator(".glass-box")
    box.locator(".company").wait_for()
    ink = box.locator(".reading").evaluate("e => getComputedStyle(e).color")
    assert (sum(map(int, re.findall(r"\d+", ink)[:3])) > 380) == (theme == "Dark")
    page.evaluate(COUNT_SENT)
    draw_on(page, box.locator(".sheet"), BY_DIGIT[4].strokes)
    expect(box.locator(".reading")).to_contain_text(re.compile("^4, "))
    box.locator(".maps").nth(2).click(position={"x": 60, "y": 31})
    expect(box.locator(".arithmetic")).to_contain_text("sum")
    screenshot(page, f"lab-box-{theme.lower()}", height=1100)
    assert barriers(page, ".glass-box") == {}
    assert page.evaluate("window.sentToKernels") == 0


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_a_digit_is_drawn_read_and_kept(lab, workspace, visit, theme):
    write_notebook(workspace, "pad.ipynb", PAD)
    (workspace / "kept.csv").unlink(missing_ok=True)
    page = open_notebook(visit, lab, "pad.ipynb")
    page.evaluate(f"() => window.jupyterapp.commands.execute('apputils:change-theme', {{theme: 'JupyterLab {theme}'}})")
    run_all(page)
    pad = Pad(page)
    for digit in (2, 7):
        pad.draw(BY_DIGIT[digit])
        assert pad.reading.startswith(f"{digit} (")
        pad.root.get_by_label("This is a").select_option(str(digit))
        pad.root.get_by_role("button", name="Keep it").click()
        expect(pad.root.locator(".kept")).to_contain_text(f"{1 if digit == 2 else 2} kept")
        screenshot(page, f"lab-pad-{theme.lower()}-{digit}")
        pad.press("Clear")
    assert load_csv(workspace / "kept.csv").labels.tolist() == [2, 7]
    assert errors(page) == []


def test_while_a_digit_is_drawn_the_browser_reads_it_and_the_kernel_when_the_pen_is_lifted(lab, workspace, visit):
    write_notebook(workspace, "pad.ipynb", PAD, "pad = _\npad.drawing['number']")
    page = open_notebook(visit, lab, "pad.ipynb")
    run_all(page)
    pad = Pad(page)
    left, top, height = pad.box
    (stroke,) = BY_DIGIT[3].strokes
    places = [(left + x * height, top + y * height) for x, y in stroke]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    reading, state = pad.root.locator(".reading"), pad.root.locator(".state")
    expect(reading).to_contain_text("3 so far (")
    expect(state).to_have_text(re.compile(r"^Read in \d+ ms, by the browser\.$"))
    expect(pad.root.get_by_role("button", name="Keep it")).to_be_disabled()
    assert page.evaluate("document.querySelector('.drawing-pad .insight').childElementCount") == 0  # the kernel's
    page.mouse.up()
    pad.answered()
    assert re.match(r"3 \((\d+% sure|unsure)", pad.reading)
    expect(state).to_contain_text("in the kernel")
    page.mouse.move(left + 0.9 * height, top + 0.2 * height)  # beside it, another digit: the kernel tells them apart
    page.mouse.down()
    page.mouse.move(left + 0.9 * height, top + 0.8 * height)
    expect(reading).not_to_contain_text("so far")
    page.mouse.up()
    pad.answered()
    assert errors(page) == []


def test_after_a_restart_of_the_kernel_the_pad_says_that_it_is_disconnected(lab, workspace, visit):
    write_notebook(workspace, "pad.ipynb", PAD)
    page = open_notebook(visit, lab, "pad.ipynb")
    run_all(page)
    pad = Pad(page)
    pad.draw(BY_DIGIT[4])
    command(page, "notebook:restart-kernel")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    ended(page)
    left, top, _ = pad.box
    page.mouse.move(left + 50, top + 50)
    page.mouse.down()
    page.mouse.move(left + 90, top + 90)
    expect(pad.root.locator(".reading")).to_contain_text("so far")  # the browser reads on
    page.mouse.up()
    expect(pad.root.locator(".trouble")).to_contain_text("The kernel does not answer")
    screenshot(page, "lab-pad-disconnected")


def test_notebook_7_shows_the_glass_box_too(lab, workspace, browser):
    write_notebook(workspace, "seven.ipynb", BOX)
    # Not with `visit`: a setting of JupyterLab that Notebook 7 does not know makes it complain by itself.
    page = browser.new_page(viewport={"width": 1280, "height": 960})
    with page.expect_websocket(lambda socket: "/api/kernels/" in socket.url):
        page.goto(f"{lab}/notebooks/seven.ipynb")  # the same server: Notebook 7 is an extension of it
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()  # what is run before is lost
    page.locator(".jp-CodeCell").click()
    page.keyboard.press("Shift+Enter")
    box = page.locator(".glass-box")
    sheet = box.locator(".sheet")
    sheet.wait_for()
    sheet.scroll_into_view_if_needed()
    draw_on(page, sheet, BY_DIGIT[3].strokes)
    expect(box.locator(".reading")).to_contain_text("3, ")
    maps = box.locator(".maps").nth(2)
    maps.focus()
    page.keyboard.press("ArrowRight")  # which would go to the next cell, did the box not keep its keys
    expect(box.locator(".arithmetic h2")).to_contain_text("conv1, map 0")
    screenshot(page, "notebook-7")
    assert errors(page) == []
    page.close()


def test_an_error_in_a_widget_shows_in_the_widget(lab, workspace, visit):
    write_notebook(
        workspace,
        "broken.ipynb",
        "from mnist_helpers.data import load_part\nfrom mnist_helpers.widgets.digits import DigitBrowser\n"
        "browser = DigitBrowser(load_part('mnist', 'train', 100))\nbrowser.labelled = None\nbrowser",
    )
    page = open_notebook(visit, lab, "broken.ipynb")
    run_all(page)
    page.get_by_label("Class").select_option("3")
    expect(page.get_by_role("alert")).to_contain_text("This view failed")
