"""Pictures of the widgets, for pages on which nothing moves: taken by running them in a browser."""

import io
import pkgutil
from importlib import import_module
from pathlib import Path

import ipywidgets
from PIL import Image, ImageChops, ImageOps
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Locator

import mnist_helpers.widgets

FOLDER_VARIABLE = "MNIST_WIDGET_PICTURES"
WIDTH, MARGIN, HIGHEST = 760, 8, 2_400  # in pixels
LARGEST = 90_000  # bytes
DEEP = ".layers > section:nth-of-type(n + 5)"  # of a glass box: all layers would be taller than a page
WORDS_BELOW = "A picture of the widget{}. Its controls work when the page runs in JupyterLab."
NOT_ALL = ", without {}"


def widget_classes() -> dict[str, type[ipywidgets.DOMWidget]]:
    """Return the widgets that the package has, by name."""
    folder = mnist_helpers.widgets.__path__
    modules = [import_module(f"mnist_helpers.widgets.{module.name}") for module in pkgutil.iter_modules(folder)]
    classes = [kind for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    return {
        kind.__name__: kind
        for kind in classes
        if issubclass(kind, ipywidgets.DOMWidget) and kind.__module__.startswith("mnist_helpers.widgets.")
    }


def take_widget_picture(root: Locator, name: str, folder: Path) -> None:
    """Save a picture of a widget on a page of JupyterLab, with its description in it."""
    page, size = root.page, root.page.viewport_size
    width = round(size["width"] + WIDTH - 2 * MARGIN - root.bounding_box()["width"])
    page.set_viewport_size({"width": width, "height": HIGHEST})  # what lies below a window's edge is not in a picture
    _hide(root, True)
    missing = [title.split()[0] for title in root.locator(f"{DEEP} h2").all_text_contents()]
    words = WORDS_BELOW.format(NOT_ALL.format(", ".join(missing)) if missing else "")
    root.evaluate(
        "(root, words) => { const note = document.createElement('p'); note.id = 'note'; note.textContent = words;"
        " note.style.cssText = 'font: italic 13px sans-serif; color: #555; margin: 8px 2px'; root.append(note); }",
        words,
    )
    root.scroll_into_view_if_needed()
    taken = Image.open(io.BytesIO(root.screenshot(animations="disabled")))
    root.evaluate("() => document.getElementById('note').remove()")
    _hide(root, False)
    page.set_viewport_size(size)
    folder.mkdir(parents=True, exist_ok=True)
    _save(_trimmed(taken.convert("RGB")), folder / f"{name}.png", _described(root, name))


def _hide(root: Locator, hidden: bool) -> None:
    root.evaluate(
        f"(root, hidden) => root.querySelectorAll('{DEEP}').forEach(one => {{ one.hidden = hidden; }})", hidden
    )


def _described(root: Locator, name: str) -> str:
    """Say what a picture shows in the widget's own words: those of its class, and those of what it shows now."""
    own = widget_classes()[name].__doc__.partition("\n")[0]
    shown = [alt for alt in root.locator("img").evaluate_all("(all) => all.map((img) => img.alt)") if alt]
    shown += [f"It reads {words.rstrip('.')}." for words in root.locator(".reading").all_inner_texts()]
    return f"Picture of a widget that works in JupyterLab. {own} Seen here: {' '.join(shown)}"


def _trimmed(picture: Image.Image) -> Image.Image:
    """Cut off what is empty, and leave a margin of paper."""
    paper = picture.getpixel((2, 2))  # within: at the very edge JupyterLab's own grey may begin
    drawn = ImageChops.difference(picture, Image.new("RGB", picture.size, paper)).getbbox()
    return ImageOps.expand(picture.crop(drawn), MARGIN, paper)


def _save(picture: Image.Image, path: Path, description: str) -> None:
    """Write a picture with as many colours as fit into `LARGEST` bytes."""
    about = PngInfo()
    about.add_text("Description", description)
    for colours in (256, 128, 64, 32):
        few = picture.quantize(colours, dither=Image.Dither.NONE)
        few.save(path, optimize=True, pnginfo=about)
        if path.stat().st_size <= LARGEST:
            return
