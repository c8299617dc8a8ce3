"""What the explorers share: a figure that changes, with its alt text, and errors that show instead of vanishing."""

import html
from collections.abc import Callable

import ipywidgets
from matplotlib.figure import Figure

from mnist_helpers.pages import picture_output
from mnist_helpers.runtime import CourseError


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


def watch(shown: Shown, redraw: Callable[[], None], *controls: ipywidgets.Widget) -> None:
    """Call `redraw` now and whenever a control changes; what goes wrong in it is shown in its place."""

    def guarded(_change: dict | None = None) -> None:
        try:
            redraw()
        except CourseError as error:
            shown.say(str(error))
        except Exception as error:  # out of sight otherwise
            shown.say(f"This view failed: {type(error).__name__}: {error}")

    for control in controls:
        control.observe(guarded, "value")
    guarded()


def described(control: type[ipywidgets.Widget], description: str, **options) -> ipywidgets.Widget:
    """Make a control whose description is written out, however long it is."""
    style = {"description_width": "initial"}
    return control(description=description, style=style, **options)
