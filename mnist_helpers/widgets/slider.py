"""A number to be chosen by sliding, which has a name for who cannot see it: ipywidgets' own slider has none."""

from pathlib import Path

import anywidget
import traitlets

FOLDER = Path(__file__).parent


class Slider(anywidget.AnyWidget):
    """A slider with its words before it and its value after it; a value beyond the limits becomes the nearest one."""

    _esm = FOLDER / "slider.js"
    _css = FOLDER / "slider.css"
    description = traitlets.Unicode().tag(sync=True)
    min = traitlets.Union([traitlets.Int(), traitlets.Float()]).tag(sync=True)
    max = traitlets.Union([traitlets.Int(), traitlets.Float()], default_value=100).tag(sync=True)
    step = traitlets.Union([traitlets.Int(), traitlets.Float()], default_value=1).tag(sync=True)
    value = traitlets.Union([traitlets.Int(), traitlets.Float()]).tag(sync=True)
    percent = traitlets.Bool(False).tag(sync=True)

    def __init__(self, description: str, **options) -> None:
        """Make a slider; `options` are its traits. With `percent`, 0.5 is written as 50.0%."""
        value = options.pop("value", options.get("min", 0))
        super().__init__(description=description, **options)
        self.value = value

    @traitlets.validate("value")
    def _within(self, proposal: dict) -> float:
        return min(max(proposal["value"], self.min), self.max)

    @traitlets.observe("min", "max")
    def _limits_changed(self, _change: dict) -> None:
        self.value = min(max(self.value, self.min), self.max)
