"""Modules of JavaScript, put together as one: a widget, or a page without a server, cannot ask for a second one."""

import re
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
KNOWN_AS = {"strokes": "pen"}  # to the modules that import it, where that is not its name


def as_constants(names: Sequence[str]) -> list[str]:
    """Return modules as constants that hold what each exports; where one imports another, that one's is meant.

    A module comes after those that it imports, each by `import * as name from "./file.js"`.
    """
    return [_as_constant(name) for name in names]


def _as_constant(name: str) -> str:
    text = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    exported = re.findall(r"^export (?:async )?(?:function|const|class) (\w+)", text, re.MULTILINE)
    plain = re.sub(r"^export ", "", re.sub(r"^import .*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
    return f"const {KNOWN_AS.get(name, name)} = (() => {{\n{plain}\nreturn {{ {', '.join(exported)} }};\n}})();"
