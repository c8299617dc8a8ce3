"""Whose a handed-in file is: how Canvas, Moodle and Blackboard name what they give for "download all"; plain folders.

Canvas       leeann_LATE_12345_678901_sheet.ipynb                    name, student's number, file's number
Moodle       Ann Lee_123456_assignsubmission_file_/sheet.ipynb       another number for each assignment;
             Ann Lee_123456_assignsubmission_file_sheet.ipynb        so, too, without folders
Blackboard   Sheet 1_alee_attempt_2026-11-26-10-00-00_sheet.ipynb    and a .txt that has no name after the date
a folder     Ann Lee/sheet.ipynb                                     or a notebook named after its student
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from pathlib import PurePosixPath
from unicodedata import normalize

MOODLE = re.compile(r"(?P<name>.+?)(?P<number>_\d+)?_assignsubmission_[a-z]+.*", re.DOTALL)
BLIND = "Participant"  # whom Moodle does not name; then only the number tells one from another
CANVAS = re.compile(  # a name has letters and accents, but no space and no punctuation
    r"((LATE_)?(?P<anonymous>anon_\w{5})|(?P<name>[^\s!-/:-@[-^`{-~]+?)(?P<late>_LATE)?(?P<number>_\d{2,}))"
    r"_((?P<file>\d{3,})_.+|(text|link)\.html)",
    re.DOTALL,
)
BLACKBOARD = re.compile(r"(?P<head>.+?)_attempt_(?P<time>\d{4}(-\d\d){5})(?P<file>_.+|\.txt)", re.DOTALL)
ABOUT_FILES = (".txt", ".csv", ".html", ".md")  # what lies beside a class's notebooks and is no student's


@dataclass(frozen=True)
class Origin:
    """What a platform's name for a file says of its student besides the name: who it is when the marks go back.

    `number` is Canvas's number of the student, or Moodle's of the student in this assignment. `late` is what Canvas
    says; `handed_in` is Blackboard's, by its own clock, or nbgrader's, in UTC. Its exchange also says for which `sheet`
    it was handed in, and by `secret` gives the feedback to whoever has done so, and to nobody else.
    """

    platform: str = ""
    name: str = ""
    number: str = ""
    late: bool = False
    handed_in: datetime | None = None
    sheet: str = ""
    secret: str = ""


NO_PLATFORM = Origin()


@dataclass(frozen=True)
class _Owner:
    """A student as a download names one, and what tells two of the same name apart in it."""

    download: PurePosixPath
    identity: str
    name: str
    origin: Origin = field(default=NO_PLATFORM, compare=False)


def owners(paths: list[PurePosixPath]) -> list[str | None]:
    """Return for each path whose it is: one name for a person in all downloads; "" for nobody's, None for a mere note.

    Of two students of one name in a download the second is called "Ann Lee (2)".
    """
    found = _on_platforms(paths)
    downloads = {one.download for one in found.values()}
    rest = [path for path in paths if path not in found and path.parent not in downloads]
    above = common_folder(set(rest))
    flat = all(path.parent == above for path in rest)
    for path in paths:
        if path in found:
            continue
        inside = path.relative_to(path.parent if path.parent in downloads else above)
        if len(inside.parts) > 1:
            found[path] = _Owner(above, inside.parts[0], inside.parts[0])
        elif is_notebook(path.name) or (flat and not downloads and not path.name.lower().endswith(ABOUT_FILES)):
            found[path] = _Owner(path.parent, path.stem, path.stem)
    names = _told_apart(found)
    busy = {name for path, name in names.items() if not _is_note(path)}
    noted: dict[PurePosixPath, str | None] = {
        path: None if names[path] in busy else "" for path in paths if _is_note(path)
    }
    return [noted.get(path, names.get(path, "")) for path in paths]


def origins(paths: list[PurePosixPath]) -> dict[PurePosixPath, Origin]:
    """Return what the names of files say that are named as a platform names them."""
    return {path: one.origin for path, one in _on_platforms(paths).items()}


def _on_platforms(paths: list[PurePosixPath]) -> dict[PurePosixPath, _Owner]:
    """Return the owners of the files that are named as a platform names them."""
    canvas = _on_canvas(paths)
    heads = defaultdict(set)
    for path in paths:
        if match := BLACKBOARD.fullmatch(path.name):
            heads[path.parent].add(match["head"])
    assignments = {folder: _assignment(heads[folder]) for folder in heads}
    found = {}
    for path in paths:
        folders = zip([*reversed(path.parents)][:-1], path.parts[:-1], strict=True)
        moodle = next(((place, match) for place, part in folders if (match := _on_moodle(part))), None)
        blackboard, flat = BLACKBOARD.fullmatch(path.name), _on_moodle(path.name)
        # Of two platforms' words in a name, the first is not the student's own.
        later = flat and blackboard and blackboard.end("head") < flat.end("name")
        if flat and not (moodle or later or path in canvas):
            moodle = path.parent, flat
        if moodle:
            place, match = moodle
            who = match["name"] + (match["number"] or "")
            origin = Origin("Moodle", match["name"], (match["number"] or "").lstrip("_"))
            found[path] = _Owner(place, who, who if match["name"] == BLIND else match["name"], origin)
        elif path in canvas:
            match = canvas[path]
            who = match["anonymous"] or match["name"] + match["number"]
            origin = Origin("Canvas", match["name"] or "", (match["number"] or "").lstrip("_"), bool(match["late"]))
            found[path] = _Owner(path.parent, who, who, origin)
        elif blackboard:
            assignment = assignments[path.parent] or blackboard["head"].rpartition("_")[0]
            user = blackboard["head"].removeprefix(f"{assignment}_")
            origin = Origin("Blackboard", user, handed_in=_time(blackboard["time"]))
            found[path] = _Owner(path.parent, user, user, origin)
    return found


def _on_moodle(name: str) -> re.Match | None:
    """Return what the name of a file or a folder says, if Moodle has given it."""
    return MOODLE.fullmatch(normalize("NFC", name))


def _on_canvas(paths: list[PurePosixPath]) -> dict[PurePosixPath, re.Match]:
    """Return the names of files as Canvas makes them, unless the numbers cannot be Canvas's: "lab_11_200_ann"."""
    matches, users, files = {}, set(), defaultdict(set)
    for path in paths:
        if match := CANVAS.fullmatch(normalize("NFC", path.name)):
            matches[path] = match
            users.add(match["anonymous"] or match["name"] + match["number"])
            files[match["file"]].add(path.name)
    clashes = any(len(names) > 1 for number, names in files.items() if number)  # a file's number is only its own
    several = sum(is_notebook(path.name) for path in matches) > 1
    return {} if clashes or (several and len(users) == 1) else matches


def _time(text: str) -> datetime | None:
    """Return the time in a name of Blackboard's, if there is such a time."""
    try:
        return datetime.strptime(text, "%Y-%m-%d-%H-%M-%S")
    except ValueError:
        return None


def _assignment(heads: set[str]) -> str:
    """Return "Sheet 1" of "Sheet 1_alee" and "Sheet 1_bob", which all begin with; a user may have a "_", too."""
    words = zip(*(head.split("_")[:-1] for head in heads), strict=False)
    return "_".join(word[0] for word in takewhile(lambda word: len(set(word)) == 1, words)) if len(heads) > 1 else ""


def _is_note(path: PurePosixPath) -> bool:
    """Say whether this is the text that Blackboard writes about a submission."""
    match = BLACKBOARD.fullmatch(path.name)
    return bool(match) and match["file"] == ".txt"


def _told_apart(found: dict[PurePosixPath, _Owner]) -> dict[PurePosixPath, str]:
    """Return a name for each owner, the same in all downloads, but two names for two of a download."""
    every = {normalize("NFC", one.name) for one in found.values()}
    names: dict[_Owner, str] = {}
    given: dict[PurePosixPath, set[str]] = defaultdict(set)
    for one in found.values():
        if one not in names:
            plain = name = normalize("NFC", one.name)
            number = 1
            while name in given[one.download] or (number > 1 and name in every):
                number += 1
                name = f"{plain} ({number})"
            names[one] = name
            given[one.download].add(name)
    return {path: names[one] for path, one in found.items()}


def is_notebook(name: str) -> bool:
    """Say whether a file is called as a notebook is."""
    return name.lower().endswith(".ipynb")


def common_folder(paths: set[PurePosixPath]) -> PurePosixPath:
    """Return the folder around the students' folders or notebooks; a single student's own is not taken for it."""
    if not paths:
        return PurePosixPath()
    tops, depths = {path.parts[0] for path in paths}, {len(path.parts) for path in paths}
    below = {path.parts[1] for path in paths if len(path.parts) > 1}
    working = {path.parts[1] for path in paths if len(path.parts) > 2 and is_notebook(path.name)}
    beside = any(is_notebook(path.name) for path in paths if len(path.parts) < 3)
    folders = (min(depths) > 2 and len(below) > 1) or (len(working) > 1 and not beside)
    # One student may hand in two tries, or several sheets under their own names; more notebooks are a class.
    notebooks = depths == {2} and len(below) > 2 and all(is_notebook(n) and not n[:2].isdigit() for n in below)
    return PurePosixPath(*tops) if len(tops) == 1 and (folders or notebooks) else PurePosixPath()
