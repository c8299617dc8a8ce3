"""Each entry of the glossary leads to a lesson in which its term stands."""

import re

import nbformat
import pytest

from mnist_helpers.runtime import ROOT

GLOSSARY = ROOT / "docs" / "glossary.md"
ENTRY = re.compile(r"^\*\*(?P<term>[^*]+)\*\* (?P<meaning>.+) \[(?P<place>[^]]+)\]\((?P<file>[^)#]+)\)$", re.MULTILINE)
ENTRIES = [match.groupdict() for match in ENTRY.finditer(GLOSSARY.read_text(encoding="utf-8"))]


def plain(text: str) -> str:
    return re.sub(r"[*_`]", "", text).casefold()


def test_every_line_that_begins_a_term_is_an_entry_and_they_are_in_order():
    begun = re.findall(r"^\*\*([^*]+)\*\*", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    terms = [entry["term"] for entry in ENTRIES]
    assert begun == terms
    assert terms == sorted(set(terms), key=str.casefold)
    assert len(terms) >= 60


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["term"])
def test_a_term_stands_in_the_section_that_its_entry_names(entry):
    path = (GLOSSARY.parent / entry["file"]).resolve()
    prose = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    sections = re.split(r"^#+ ", "\n\n".join(prose), flags=re.MULTILINE)
    named = entry["place"].split(" · ", 1)[1]
    (section,) = [text for text in sections if plain(text).startswith(plain(named) + "\n")]
    assert re.search(rf"(?<!\*)\*\[?{re.escape(entry['term'])}", section, re.IGNORECASE), "not in italics there"
    assert 1 <= len(re.findall(r"[.!?)](?:\s|$)", entry["meaning"])) <= 3
