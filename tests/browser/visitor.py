"""A visitor's hand, which draws on a pad, and eyes, which take screenshots into build/screenshots/."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, expect
from strokes import Drawing

from mnist_helpers.runtime import ROOT

SCREENSHOTS = ROOT / "build" / "screenshots"
PATIENCE = 60_000  # milliseconds that a loaded machine may need; nothing is asserted about time


class Pad:
    """A drawing pad on a page, and a hand that draws on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator(".drawing-pad").first
        self.sheet = self.root.locator(".sheet")
        failed = page.get_by_text("Error displaying widget")
        expect(self.sheet.or_(failed)).to_be_visible()
        if failed.count():  # Voilà, on a crowded machine, one page in hundreds; a person loads it again
            page.reload()
            admitted(page)
            expect(self.sheet).to_be_visible()
        self.sheet.scroll_into_view_if_needed()

    def draw(self, drawing: Drawing, right: float = 0.0) -> None:
        """Draw with the mouse, so many heights of the sheet to the right, and wait for the answer."""
        self.root.locator("input[type=range]").fill(str(drawing.pen))
        left, top, height = self.box
        for stroke in drawing.strokes:
            trace(self.page, [(left + (x + right) * height, top + y * height) for x, y in stroke])
        self.answered()

    @property
    def box(self) -> list[float]:
        """Return left, top and height of the sheet on the page, without its border."""
        return self.sheet.evaluate(
            "(e) => { const box = e.getBoundingClientRect();"
            " return [box.left + e.clientLeft, box.top + e.clientTop, e.clientHeight]; }"
        )

    def answered(self) -> None:
        """Wait until nothing that was drawn waits for an answer."""
        expect(self.root).not_to_have_attribute("aria-busy", "true")

    def press(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).click()
        self.answered()

    @property
    def reading(self) -> str:
        return self.root.locator(".reading").inner_text()

    @property
    def state(self) -> str:
        return self.root.locator(".state").inner_text()


def trace(page: Page, places: list[tuple[float, float]]) -> None:
    """Press the mouse's button at the first place of a page, move it to every second one and the last, and let go."""
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in [*places[2:-1:2], *places[-1:]]:  # of every move, the network reads what is drawn so far
        page.mouse.move(*place)
    page.mouse.up()


def draw_on(page: Page, sheet: Locator, strokes: list[list[tuple[float, float]]]) -> None:
    """Draw strokes, in parts of the sheet's width and height, on the sheet of a glass box."""
    box = sheet.bounding_box()
    for stroke in strokes:
        trace(page, [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke])


def admitted(page: Page) -> None:
    """Come again until there is a place."""
    for _ in range(300):
        if not page.get_by_text("All places are taken").count():
            break
        page.wait_for_timeout(200)
        page.reload()


def screenshot(page: Page, name: str, height: int | None = None) -> None:
    """Take a screenshot; with a `height`, of a window so high that nothing lies below it."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    if height:
        page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
    page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")


def barriers(page: Page, within: str = "html", rules: list[str] | None = None) -> dict[str, list[str]]:
    """Return what keeps some people from using a page, or a part of it, as axe-core finds it: serious or critical.

    `rules` are those of axe-core that are to be kept, in place of all.
    """
    options = {"runOnly": rules} if rules else {}
    found = Axe().run(page, context={"include": [[within]]}, options=options).response["violations"]
    return {
        one["id"]: [node["html"][:150] for node in one["nodes"]][:3]
        for one in found
        if one["impact"] in ("serious", "critical")
    }


def nothing_sticks_out(page: Page) -> bool:
    """Return whether the page can be read without scrolling sideways."""
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def zoom_in(page: Page) -> None:
    """Look at JupyterLab in a window of 1280 × 960 at 200 %, with its side bar closed."""
    page.set_viewport_size({"width": 640, "height": 480})
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    page.wait_for_function("document.querySelector('.jp-NotebookPanel').getBoundingClientRect().right <= innerWidth")


def sticking_out(page: Page) -> list[str]:
    """Return what of the widgets lies beyond the right edge of its cell's output."""
    return page.locator(".jp-OutputArea-output").evaluate_all(
        "(areas) => areas.flatMap((area) => [...area.querySelectorAll('.jupyter-widgets, .jupyter-widgets *')]"
        " .filter((e) => e.getBoundingClientRect().right > area.getBoundingClientRect().right + 1)"
        " .map((e) => `${e.tagName} ${e.className}`))"
    )


def leave(context: BrowserContext) -> None:
    """Close a visitor's pages as a person does."""
    for page in context.pages:
        with page.expect_event("close"):
            page.close(run_before_unload=True)
    context.close()
