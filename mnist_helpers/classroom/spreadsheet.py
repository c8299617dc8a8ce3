"""Cells of a table that a spreadsheet opens: none of them is a formula, wherever the spreadsheet cuts the line."""

import re

BEFORE = r"(^|[;,\t\n\r])([ \xa0]*)"  # where a cell may begin
FORMULA = r"('*[=+\-@])"


def plain_cell(text: str) -> str:
    """Return a text with ' before what a spreadsheet would run."""
    return re.sub(BEFORE + FORMULA, r"\1\2'\3", text)


def meant(text: str) -> str:
    """Return the text that `plain_cell` was given."""
    return re.sub(f"{BEFORE}'{FORMULA}", r"\1\2\3", text)
