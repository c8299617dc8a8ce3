"""What students have handed in through nbgrader's exchange, read where it lies: the folder `inbound` of the course.

Each submission has a folder of its own there, `alee+01_data+2026-11-26 10:00:00.123456 UTC+aB3_dE6-gH9j`, which its
student has made and can still change. So only names decide which one counts, and what lies in it is one student's.
"""

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path

from mnist_helpers.classroom.gradebook import SECRET
from mnist_helpers.classroom.platforms import Origin, is_notebook
from mnist_helpers.classroom.submissions import LARGEST, HandedInFile, escaped
from mnist_helpers.runtime import ROOT

NAMED = re.compile(r"(?P<user>.+)\+(?P<sheet>[^+]+)\+(?P<time>\d{4}-\d\d-\d\d [^+]+?)(\+[\w-]{12})?", re.DOTALL)
SECRETS = re.compile(r"[0-9a-f]{64,256}")
GUESSES = re.compile(r"guesses.*\.json", re.IGNORECASE | re.DOTALL)
MOST_FILES = 100  # that are looked at in a submission
CLOCKS_DIFFER = timedelta(hours=1)  # at most; what was handed in later than now has a wrong time


@dataclass(frozen=True)
class _Try:
    """One submission: its folder, whose it is, for which sheet, and when it was handed in (UTC), if that is known."""

    folder: Path
    user: str
    sheet: str
    handed_in: datetime | None


def is_inbound(place: Path) -> bool:
    """Say whether this is the folder of nbgrader's exchange into which students hand in."""
    if not place.is_dir():
        return False
    named = [bool(NAMED.fullmatch(path.name)) for path in place.iterdir()]
    return place.name == "inbound" or 2 * sum(named) > len(named)


def handed_in(place: Path, sheets: list[str]) -> list[HandedInFile]:
    """Return the files of the newest submission of each student and sheet; what is named otherwise is nobody's.

    A folder without a notebook, or that cannot be read, is a file that cannot be read.
    """
    found, strays = {}, []
    for path in sorted(place.iterdir()):
        match = NAMED.fullmatch(path.name)
        if match is None:
            strays.append(HandedInFile("", escaped(path.name), bytes))
        elif match["sheet"] in sheets:
            one = _Try(path, escaped(match["user"]), match["sheet"], _utc(match["time"]))
            key = one.user, one.sheet
            if key not in found or (one.handed_in or datetime.min) >= (found[key].handed_in or datetime.min):
                found[key] = one
    owners = {one.folder: _owner(one.folder) for one in found.values()}
    tell = len(set(owners.values())) > 1  # in containers everybody is the same user of the system
    return [file for one in found.values() for file in _files(one, owners[one.folder] if tell else "")] + strays


def hidden(place: Path) -> list[Path]:
    """Return what a submission must not see of the exchange: what others have handed in, and their feedback."""
    course = place.resolve().parent
    if not (course / "outbound").is_dir() or ROOT.is_relative_to(course.parent):
        return [place.resolve()]
    return [course.parent]


def _files(one: _Try, owner: str) -> list[HandedInFile]:
    """Return the notebook of a submission, or all if none has the sheet's name, and the guesses."""
    remarks = []
    if owner not in ("", one.user):
        remarks.append(f"In the exchange this belongs to {owner}: was it handed in under another's name?")
    if one.handed_in is None:
        remarks.append("When it was handed in is not known: the time in its name cannot be.")
    origin = Origin("nbgrader", one.user, handed_in=one.handed_in, sheet=one.sheet)
    try:
        origin = _with_secret(origin, one.folder)
        names = _names(one)
    except OSError as error:
        names = {f"{one.sheet}.ipynb": partial(_missing, f"cannot be read ({error.strerror})")}
    folder = escaped(one.folder.name)
    return [
        HandedInFile(one.user, f"{folder}/{escaped(name)}", read, origin, tuple(remarks))
        for name, read in names.items()
    ]


def _names(one: _Try) -> dict[str, Callable[[], bytes]]:
    """Return the names of what counts of a submission, and how each is read."""
    usual = f"{one.sheet}.ipynb"
    with os.scandir(one.folder) as entries:
        there = sorted(entry.name for entry in islice(entries, MOST_FILES) if not entry.name.startswith("."))
    notebooks = [usual] if (one.folder / usual).exists() else [name for name in there if is_notebook(name)]
    found = {name: partial(_read, one.folder, name) for name in there if GUESSES.fullmatch(name)}
    found |= {name: partial(_read, one.folder, name) for name in notebooks}
    return found if notebooks else found | {usual: partial(_missing, "is not there")}


def _with_secret(origin: Origin, folder: Path) -> Origin:
    """Add that by which the exchange gives the feedback to whoever has handed this in."""
    try:
        secret = _read(folder, SECRET).decode("ascii")
    except ValueError:
        return origin
    return replace(origin, secret=secret) if SECRETS.fullmatch(secret) else origin


def _read(folder: Path, name: str) -> bytes:
    """Read a file that somebody else may change at this moment: no link, no pipe, no more than a notebook may have.

    Raises: ValueError with the reason.
    """
    try:
        there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=there)
        finally:
            os.close(there)
        with os.fdopen(file, "rb") as opened:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise ValueError("is no file")
            content = opened.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    if len(content) > LARGEST:
        raise ValueError(f"is larger than {LARGEST // 10**6} MB")
    return content


def _missing(reason: str) -> bytes:
    raise ValueError(reason)


def _utc(text: str) -> datetime | None:
    """Return a time as nbgrader reads it, in UTC; None for one that cannot be, or is still to come."""
    from nbgrader.utils import parse_utc

    try:
        found = parse_utc(text)
    except (ValueError, OverflowError):
        return None
    return found if found < datetime.now(UTC).replace(tzinfo=None) + CLOCKS_DIFFER else None


def _owner(folder: Path) -> str:
    """Return the name of the user of this system to whom a folder belongs, or the user's number."""
    try:
        number = folder.lstat().st_uid
    except OSError:
        return ""
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return str(number)
