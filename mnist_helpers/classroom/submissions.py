"""What a class hands in: renamed notebooks, deleted and doubled cells, zips, and files that are no notebooks."""

import copy
import json
import re
import warnings
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import category, normalize

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output

from mnist_helpers.classroom.outcomes import harmless
from mnist_helpers.classroom.platforms import NO_PLATFORM, Origin, is_notebook, origins, owners
from mnist_helpers.errors import CourseError

LARGEST = 20_000_000  # bytes of a notebook
LARGEST_SUM = 60_000_000  # bytes of all notebooks of a student
MOST_FILES = 10_000
MOST_CELLS = 1_000
LONGEST_CELL, MOST_TEXT = 8_000, 100_000  # characters of a cell, and of all cells: to colour code takes its time
LONGEST_OUTPUT = 20_000  # characters
MOST_PARTS = 300_000  # lists and objects in a notebook's JSON
MOST_OUTPUTS = 50  # of a cell
SHOWN = 3  # of many names or remarks
LONGEST_ID = 120  # bytes of a student's id, which names files
LONGEST_NAME = 100  # characters of a file's name that are shown
OLDER = "It was made with an older edition of the sheet; its locked cells are those of this one."
NUMBERED = re.compile(r" \(\d+\)$")  # as the second of one name is called
LARGEST_PICTURE = 2_000_000  # characters
DEFINED = re.compile(r"^(?:def|class)\s+(\w+)", re.MULTILINE)
PICTURES = ("image/png", "image/jpeg")


class SubmissionsError(CourseError):
    """A place from which no submissions can be read."""


@dataclass(frozen=True)
class HandedInFile:
    """A file as it came: whose ("" for nobody's), its name, and how its bytes are read: a class does not fit in memory.

    `read` raises ValueError with the reason if the bytes cannot be had. `remarks` are about how it came.
    """

    student: str
    name: str
    read: Callable[[], bytes]
    origin: Origin = NO_PLATFORM
    remarks: tuple[str, ...] = ()


@dataclass
class Submission:
    """One student's answers to one sheet; `page` is the student's own, put in order, or the empty sheet.

    `problem` says why it could not be read at all, and `remarks` what was put in order. `differences` are the cells
    that were changed though they are not to be, with what was in them, or None for those that were not there.
    """

    student: str
    sheet: str
    page: NotebookNode
    problem: str = ""
    remarks: list[str] = field(default_factory=list)
    differences: dict[str, str | None] = field(default_factory=dict)
    origin: Origin = NO_PLATFORM


def handed_in(place: Path) -> list[HandedInFile]:
    """Return the files of a folder or a zip: as a learning platform gives them, or a folder or a notebook a student.

    Raises: SubmissionsError if there is nothing to read.
    """
    if not place.exists():
        raise SubmissionsError(f"There is no {place}. SUBMISSIONS= takes a folder, or a zip, with a folder a student.")
    try:
        files = sorted(_zipped(place) if place.is_file() else _in_folder(place), key=lambda one: one[0])
    except zipfile.BadZipFile as error:
        raise SubmissionsError(f"{place} cannot be read as a zip ({error}). Give a folder or a whole zip.") from error
    paths = [path for path, _ in files]
    students, named = owners(paths), origins(paths)
    found = [
        HandedInFile(student, str(path), read, named.get(path, NO_PLATFORM))
        for (path, read), student in zip(files, students, strict=True)
        if student is not None
    ]
    if not any(one.student for one in found):
        others = f"; {', '.join(short(one.name) for one in found[:SHOWN])} is no student's" if found else ""
        raise SubmissionsError(
            f"There are no files of students in {place}{others}. It should hold a folder for each student, or what a "
            "learning platform gives."
        )
    return found


def left_out(files: list[HandedInFile]) -> list[str]:
    """Return a line that names the files that are no student's, if there are any."""
    strays = [short(file.name) for file in files if not file.student]
    more = f" and {len(strays) - SHOWN} more" if len(strays) > SHOWN else ""
    return [f"Left out, as no student's: {', '.join(strays[:SHOWN])}{more}."] if strays else []


def _zipped(place: Path) -> Iterator[tuple[PurePosixPath, Callable[[], bytes]]]:
    archive = zipfile.ZipFile(place)  # open as long as its files may be wanted
    _refuse_too_many(len(archive.infolist()), place)
    for member in archive.infolist():
        path = _meant(member.filename)
        if path and not member.is_dir():
            yield path, partial(_member, archive, member)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read one file of a zip.

    Raises: ValueError if that cannot be done, which is one student's trouble only.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("is packed in a way that may need any amount of memory; pack it as usual")  # LZMA, bzip2
    try:
        with archive.open(member) as file:
            content = file.read(LARGEST + 1)  # the size that a zip states may be a lie
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError) as error:
        raise ValueError("is encrypted or broken") from error
    return _not_too_large(content)


def _file(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return _not_too_large(opened.read(LARGEST + 1))
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error


def _not_too_large(content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise ValueError(f"is larger than {LARGEST // 10**6} MB")
    return content


def _in_folder(place: Path) -> Iterator[tuple[PurePosixPath, Callable[[], bytes]]]:
    for number, file in enumerate(place.rglob("*")):
        _refuse_too_many(number, place)
        path = _meant(file.relative_to(place).as_posix())
        if path and file.is_file() and not file.is_symlink():
            yield path, partial(_file, file)


def _refuse_too_many(count: int, place: Path) -> None:
    if count > MOST_FILES:
        raise SubmissionsError(f"{place} holds more than {MOST_FILES} files. Leave out what is not handed in.")


def _meant(name: str) -> PurePosixPath | None:
    """Return the path of a file that was handed in on purpose; None for what a system or JupyterLab left there."""
    parts = [escaped(part) for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts):  # ".." is among these
        return None
    return PurePosixPath(*parts)


def escaped(part: str) -> str:
    """Write out what files and terminals stumble over; names that differ stay different."""
    return "".join(one if category(one) not in ("Cc", "Cs") else f"\\x{ord(one):02x}" for one in part)


def short(name: str) -> str:
    """Return a file's name as it is shown, which may have been any number of letters long."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def student_ids(names: list[str], known: dict[str, str]) -> dict[str, str]:
    """Return an id for each name: letters that are safe in file names and in nbgrader's, and no two alike.

    Whoever is `known` from an earlier time keeps the id, whoever else hands in this time.
    """
    taken = {one.casefold() for one in known.values()}
    for name in names:
        if name not in known:
            plain = re.sub(r"[^\w@-]+", "_", normalize("NFC", NUMBERED.sub("", name))).strip("_-")[:60]
            plain = plain.encode()[:LONGEST_ID].decode(errors="ignore") or "student"
            number, chosen = 1, plain
            while chosen.casefold() in taken:
                number += 1
                chosen = f"{plain}_{number}"
            known[name] = chosen
            taken.add(chosen.casefold())
    return {name: known[name] for name in names}


def _namesakes(known: dict[str, str]) -> set[str]:
    """Return the ids of students whom their names alone do not tell apart: "Ann Lee" and "Ann Lee (2)"."""
    alike = Counter(NUMBERED.sub("", name) for name in known)
    return {one for name, one in known.items() if alike[NUMBERED.sub("", name)] > 1}


def sort_out(files: list[HandedInFile], sheets: dict[str, NotebookNode], known: dict[str, str]) -> list[Submission]:
    """Make of a class's files one submission for each student and sheet; every student gets at least one.

    `sheets` are the sheets that are marked, as the students got them; `known` are the ids of students, and grows.
    """
    files = [file for file in files if file.student]
    ids = student_ids(list(dict.fromkeys(file.student for file in files)), known)
    sums: Counter[str] = Counter()
    read = [(ids[file.student], file, *read_notebook(file, sums)) for file in files]
    sheet_of = {file: _sheet_of(file, page, sheets) if page else ("", 0) for _, file, page, _ in read}
    counts = Counter(sheet for sheet, _ in sheet_of.values() if sheet)
    usual = counts.most_common(1)[0][0] if counts else next(iter(sheets))
    found: dict[tuple[str, str], Submission] = {}
    read.sort(key=lambda one: sheet_of[one[1]][1])  # of several, the one with most of the sheet's cells comes last
    for student, file, page, problem in read:
        sheet, _ = sheet_of[file]
        if sheet and page:
            earlier = found.get((student, sheet))
            found[student, sheet] = restored(student, sheet, page, sheets[sheet])
            found[student, sheet].origin = file.origin
            found[student, sheet].remarks += file.remarks
            if earlier:
                remark = f"There is more than one notebook; {short(file.name)} was marked."
                found[student, sheet].remarks.append(remark)
        else:
            reason = problem or f"{short(file.name)} holds no cell of the sheets that are marked."
            name = file.origin.sheet or usual
            unread = Submission(student, name, copy.deepcopy(sheets[name]), reason, [*file.remarks], origin=file.origin)
            found.setdefault((student, f"? {file.name}"), unread)
    sorted_out = _without_doubles(found)
    _remark_differences(sorted_out, sheets)
    namesakes = _namesakes(known)
    for one in sorted_out:
        if one.student in namesakes:
            one.remarks.append("Another student has the same name; check which of the two this is.")
    return sorted_out


def _sheet_of(file: HandedInFile, page: NotebookNode, sheets: dict[str, NotebookNode]) -> tuple[str, int]:
    """Return the sheet of a page: that for which it was handed in, if that is known, or that of which it has most."""
    return best_sheet(page, {name: sheets[name] for name in [file.origin.sheet or name for name in sheets]})


def _without_doubles(found: dict[tuple[str, str], Submission]) -> list[Submission]:
    """Of a student who has a notebook that can be read, leave out what cannot, but mention it there."""
    good = [one for one in found.values() if not one.problem]
    first: dict[tuple[str, str], Submission] = {}
    problems: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in [*good, *(one for one in found.values() if one.problem)]:
        key = one.student, one.origin.sheet  # where that is known, each sheet counts for itself
        kept = first.setdefault(key, one)
        if one.problem and kept is not one:
            problems[key].append(one.problem)
    for key, said in problems.items():
        first[key].remarks += _few(said)
    return sorted([*good, *(one for one in first.values() if one.problem)], key=lambda one: (one.student, one.sheet))


def _few(remarks: list[str]) -> list[str]:
    """Return the first of many remarks of a kind, and how many there are."""
    return remarks if len(remarks) <= SHOWN else [*remarks[:SHOWN], f"And {len(remarks) - SHOWN} more like this."]


def _remark_differences(found: list[Submission], sheets: dict[str, NotebookNode]) -> None:
    """Say which cells were put back, in one sentence where most of a class has them alike: an older edition."""
    alike = Counter((one.sheet, *difference) for one in found for difference in one.differences.items())
    handed_in = Counter(one.sheet for one in found if not one.problem)
    for one in found:
        own = [
            (mark, source)
            for mark, source in one.differences.items()
            if alike[one.sheet, mark, source] <= max(2, handed_in[one.sheet] / 2)
        ]
        if len(own) < len(one.differences):
            one.remarks.append(OLDER)
        changed = [mark for mark, source in own if source is not None]
        locked = sum(cell.metadata.get("nbgrader", {}).get("locked", False) for cell in sheets[one.sheet].cells)
        if 2 * len(changed) > locked:
            one.remarks.append(f"{len(changed)} locked cells were edited; the originals have been restored.")
        else:
            said = "The cell {} was edited although it is locked; the original has been restored."
            one.remarks += _few([said.format(mark) for mark in changed])
        said = "The cell {} was deleted; it is back as it was handed out."
        one.remarks += _few([said.format(mark) for mark, source in own if source is None])


def read_notebook(file: HandedInFile, sums: Counter[str]) -> tuple[NotebookNode | None, str]:
    """Read a notebook, or say why that cannot be done; of its cells, only type, source and nbgrader's mark are kept.

    `sums` counts the bytes that each student has handed in so far.
    """
    if not is_notebook(file.name):
        return None, f"{short(file.name)} is not a notebook (.ipynb)."
    if sums[file.student] > LARGEST_SUM:
        return (
            None,
            f"{short(file.name)} was left out: its student's notebooks have more than {LARGEST_SUM // 10**6} MB.",
        )
    try:
        content = file.read()
    except ValueError as error:
        return None, f"{short(file.name)} {error}."
    sums[file.student] += len(content)
    try:
        page = nbformat.v4.new_notebook(cells=[_clean(cell) for cell in read_json_page(content).cells])
        if sum(len(cell.source) for cell in page.cells) > MOST_TEXT:
            raise ValueError(f"more than {MOST_TEXT} characters")
        return page, ""
    except Exception as error:  # whatever is wrong with a file, it is the reason, and stops no other
        reason = harmless(f"{type(error).__name__}: {str(error)[:80]}")
        return None, f"{short(file.name)} cannot be read as a notebook ({reason})."


def read_json_page(content: bytes) -> NotebookNode:
    """Read a notebook of a stranger's.

    Raises: ValueError if it has far too many parts, and whatever nbformat raises.
    """
    text = content.decode("utf-8-sig")
    if text.count("{") + text.count("[") > MOST_PARTS:
        raise ValueError(f"more than {MOST_PARTS} parts")
    plain = json.dumps(json.loads(text))  # a name can be written in many ways
    if plain.count('"cell_type"') > MOST_CELLS:
        raise ValueError(f"more than {MOST_CELLS} cells")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # doubled ids and the like, which are put in order later
        return nbformat.reads(text, as_version=4)


def _clean(cell: NotebookNode) -> NotebookNode:
    mark = cell.get("metadata", {}).get("nbgrader", {})
    metadata = {"nbgrader": dict(mark)} if isinstance(mark, dict) and isinstance(mark.get("grade_id"), str) else {}
    make = nbformat.v4.new_code_cell if cell["cell_type"] == "code" else nbformat.v4.new_markdown_cell
    source = harmless(str(cell["source"]).replace("\r\n", "\n").replace("\r", "\n"))
    if len(source) > LONGEST_CELL:
        source = f"# {len(source)} characters were left out: more than a cell may hold."
    return make(source=source, metadata=metadata)


def shown_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return what a cell showed, made anew of what is harmless: text, and pictures of pixels."""
    kept = []
    for output in outputs:
        if output.output_type == "stream":
            kept.append(new_output("stream", name=_stream(output), text=_words(output.get("text"))))
        elif output.output_type == "error":
            text = f"{output.get('ename')}: {output.get('evalue')}"
            kept.append(new_output("stream", name="stderr", text=_words(text)))
        else:
            data = output.get("data", {})
            shown = {kind: _words(data[kind]) for kind in ("text/plain",) if kind in data}
            shown |= {kind: data[kind] for kind in PICTURES if _is_base64(data.get(kind))}
            kept += [new_output("display_data", data=shown)] if shown else []
    return kept[:MOST_OUTPUTS]


def _stream(output: NotebookNode) -> str:
    return "stderr" if output.get("name") == "stderr" else "stdout"


def _words(text: Any) -> str:
    text = harmless(str(text))
    return text if len(text) <= LONGEST_OUTPUT else f"{text[:LONGEST_OUTPUT]} …"


def _is_base64(data: Any) -> bool:
    return isinstance(data, str) and len(data) < LARGEST_PICTURE and bool(re.fullmatch(r"[A-Za-z0-9+/=\s]+", data))


def grade_id(cell: NotebookNode) -> str:
    """Return nbgrader's name of a cell, or an empty text."""
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def best_sheet(page: NotebookNode, sheets: dict[str, NotebookNode]) -> tuple[str, int]:
    """Return the sheet to which a page belongs, whatever its file is called, and how many of its answers are there."""
    own = {grade_id(cell) for cell in page.cells}
    shared = {name: len(own & answers(sheet)) for name, sheet in sheets.items()}
    if not any(shared.values()):
        recognised = {name: len(_nameless(page, sheet).keys() & answers(sheet)) for name, sheet in sheets.items()}
        shared = {name: count if count > 1 else 0 for name, count in recognised.items()}  # one may be chance
    best = max(shared, key=shared.__getitem__)
    return (best, shared[best]) if shared[best] else ("", 0)


def answers(sheet: NotebookNode) -> set[str]:
    """Return the names of the cells for answers and checks; others, like `setup`, stand in more than one sheet."""
    marks = [cell.metadata.get("nbgrader", {}) for cell in sheet.cells]
    return {mark["grade_id"] for mark in marks if mark.get("solution") or mark.get("grade")}


def restored(student: str, sheet: str, page: NotebookNode, original: NotebookNode) -> Submission:
    """Put a page in order: locked cells as they were, deleted ones back in their places, doubles as plain cells."""
    submission = Submission(student, sheet, page)
    if nameless := _nameless(page, original):
        for mark, own in nameless.items():
            own.metadata = NotebookNode(nbgrader={"grade_id": mark})
        submission.remarks.append(
            f"Cells had lost their names (the notebook's metadata); {len(nameless)} of them were recognised by their "
            "functions and their places."
        )
    mine = _cells_by_id(page, {grade_id(cell) for cell in original.cells} - {""}, submission.remarks)
    place = 0
    for cell in original.cells:
        mark = grade_id(cell)
        fresh = copy.deepcopy(cell)
        if mark in mine:
            own, locked = mine[mark], cell.metadata.nbgrader.locked
            place = next(number for number, other in enumerate(page.cells) if other is own) + 1
            if own.cell_type != cell.cell_type or (locked and bare(own.source) != bare(cell.source)):
                submission.differences[mark] = own.source
            fresh.source = cell.source if locked else own.source
            page.cells[place - 1] = fresh
        elif mark:
            page.cells.insert(place, fresh)
            place += 1
            submission.differences[mark] = None
    for number, cell in enumerate(page.cells):
        cell["id"] = f"cell-{number}"
    return submission


def _nameless(page: NotebookNode, original: NotebookNode) -> dict[str, NotebookNode]:
    """Find cells that have lost nbgrader's names: answers by function, or by the task above, others by their text."""
    there = {grade_id(cell) for cell in page.cells}
    free = [cell for cell in page.cells if not grade_id(cell)]
    functions = {name: cell for cell in free if cell.cell_type == "code" for name in DEFINED.findall(cell.source)}
    texts = {bare(cell.source): cell for cell in free}
    below = {bare(task.source): cell for task, cell in pairwise(page.cells) if not grade_id(cell)}
    found: dict[str, NotebookNode] = {}
    for task, cell in pairwise(original.cells):  # the first cell of a sheet is its title
        mark = grade_id(cell)
        if not mark or mark in there:
            continue
        if cell.metadata.nbgrader.locked:
            own = texts.get(bare(cell.source))
        else:
            own = functions.get(mark) or below.get(bare(task.source))
        if own and own.cell_type == cell.cell_type and not any(own is other for other in found.values()):
            found[mark] = own
    return found


def bare(source: str) -> str:
    """Return a text without white space, which editors and platforms change on their own."""
    return "".join(source.split())


def _cells_by_id(page: NotebookNode, known: set[str], remarks: list[str]) -> dict[str, NotebookNode]:
    """Return the cells that nbgrader knows, and make plain cells of all others."""
    mine: dict[str, NotebookNode] = {}
    doubles: dict[str, None] = {}
    for cell in reversed(page.cells):  # of doubles the last one counts: it has run last
        mark = grade_id(cell)
        if mark in mine:
            doubles[mark] = None
        if mark in known and mark not in mine:
            mine[mark] = cell
        else:
            cell.metadata = NotebookNode()
    remarks += _few([f"The cell {mark} is there more than once; the last one counts." for mark in doubles])
    return mine
