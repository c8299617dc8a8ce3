"""The figures at the end of docs/glass-box.md: tests in a browser measure them, `make widget-pictures` keeps them."""

import os

from widget_pictures import FOLDER_VARIABLE

from mnist_helpers.runtime import ROOT, environment_report

PAGE = ROOT / "docs" / "glass-box.md"
HEADING = "\n## Figures\n"


def put_figures(figures: dict[str, str]) -> None:
    """Put figures into the table, each in place of an older one, if pictures are being taken; else print them."""
    print(figures)
    if FOLDER_VARIABLE not in os.environ:
        return
    text, _, table = PAGE.read_text(encoding="utf-8").partition(HEADING)
    rows = dict(
        line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ") and "---" not in line
    )
    rows.pop("what", None)
    lines = [
        "| what | measured |",
        "| --- | --- |",
        *(f"| {what} | {value} |" for what, value in (rows | figures).items()),
    ]
    machine = f"Measured by `make widget-pictures` (times in Chromium) on: {environment_report('cpu')}."
    PAGE.write_text(f"{text}{HEADING}\n{machine}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
