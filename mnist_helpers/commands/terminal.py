"""What commands print: what a stranger named or wrote cannot move the cursor, colour the screen or hide a line."""

import unicodedata

import typer

# Control characters, signs that turn the direction of a line, bytes that are no text, and separators of lines.
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def say(text: str = "", err: bool = False, end: str = "\n") -> None:
    """Print a text to standard output, or to standard error, so that all of it is seen, and at once."""
    typer.echo(printable(text) + end, err=err, nl=False)


def printable(text: str) -> str:
    """Write what a terminal would obey, and not show, as Python writes it: \\x1b for Escape."""
    return "".join(sign if _is_shown(sign) else repr(sign)[1:-1] for sign in text)


def _is_shown(sign: str) -> bool:
    return sign in "\n\t" or unicodedata.category(sign) not in HIDDEN
