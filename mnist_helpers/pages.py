"""What a notebook page shows: figures with a caption and an alt text, still or changing, and reported numbers."""

import base64
import html
import io
from collections.abc import Callable

import ipywidgets
import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.figure import Figure

from mnist_helpers.errors import CourseError

REPORT_MIME = "application/vnd.mnist-course.report+json"
DOTS_PER_INCH = 96


def show_figure(figure: Figure, caption: str, alt: str) -> None:
    """Show a figure with its caption below it and its alt text in the output's metadata, then close it.

    The caption is for everyone and says what to look at; the alt text is for those who cannot see the figure and says
    what it shows.
    """
    data, metadata = picture_output(figure, alt)
    display(data, metadata=metadata, raw=True)
    display(caption_output(caption), raw=True)


def picture_output(figure: Figure, alt: str) -> tuple[dict, dict]:
    """Turn a figure into the data and the metadata of a notebook output, and close it."""
    buffer = io.BytesIO()
    # Without matplotlib's version in the file, the same figure gives the same bytes for longer.
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": None})
    plt.close(figure)
    picture = base64.b64encode(buffer.getvalue()).decode()
    return {"image/png": picture, "text/plain": alt}, {"image/png": {"alt": alt}}


def caption_output(caption: str) -> dict:
    """Turn a caption into the data of a notebook output."""
    return {"text/markdown": f"*{caption}*", "text/plain": caption}


def claims_if(usual: bool) -> Callable[[bool], None]:
    """Return what stops a page where its text claims something that did not come out.

    The text of a page is about one dataset and one recipe. Where a reader has chosen others, it is not `usual`, and
    nothing is checked.
    """

    def claim(holds: bool) -> None:
        """Raises: CourseError where the page's text does not hold."""
        if usual and not holds:
            raise CourseError(
                "What the text of this page says of these numbers did not come out. Restart the kernel and run the "
                "page from the top. If it stops here again, please tell the authors, with your versions and processor."
            )

    return claim


def report(**numbers: float | int | str) -> None:
    """Print numbers and leave them in the output for `make run-notebooks`, which shows them in its table."""
    named = {name.replace("_", " "): value for name, value in numbers.items()}
    text = "\n".join(f"{name}: {readable(value)}" for name, value in named.items())
    display({REPORT_MIME: named, "text/plain": text}, raw=True)


def readable(value: float | int | str) -> str:
    """Write a reported number with four decimals, and anything else as it is."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


class Shown(ipywidgets.HTML):
    """A place for one figure, its caption below it."""

    def draw(self, figure: Figure, caption: str, alt: str) -> None:
        """Show a figure in place of the one before, and close it."""
        data, _ = picture_output(figure, alt)
        source = f"data:image/png;base64,{data['image/png']}"
        picture = f'<img src="{source}" alt="{html.escape(alt, quote=True)}" style="max-width: 100%">'
        self.value = f"{picture}<br><em>{html.escape(caption)}</em>"

    def say(self, message: str) -> None:
        """Show words in place of the figure."""
        self.value = f'<p role="alert"><strong>{html.escape(message)}</strong></p>'


def guarded(shown: Shown, respond: Callable[[], None]) -> Callable[..., None]:
    """Return what a control may call in place of `respond`: what goes wrong in it is shown, and not raised."""

    def call(*_change: object) -> None:
        try:
            respond()
        except CourseError as error:
            shown.say(str(error))
        except Exception as error:  # out of sight otherwise
            shown.say(f"This view failed: {type(error).__name__}: {error}")

    return call


def watch(shown: Shown, redraw: Callable[[], None], *controls: ipywidgets.Widget) -> None:
    """Call `redraw` now and whenever a control changes; what goes wrong in it is shown in its place."""
    call = guarded(shown, redraw)
    for control in controls:
        control.observe(call, "value")
    call()


def described(control: type[ipywidgets.Widget], description: str, **options) -> ipywidgets.Widget:
    """Make a control whose description is written out, however long it is, and which a narrow page does not cut off."""
    style, layout = {"description_width": "initial"}, {"max_width": "calc(100% - 4px)", **options.pop("layout", {})}
    return control(description=description, style=style, layout=layout, **options)
