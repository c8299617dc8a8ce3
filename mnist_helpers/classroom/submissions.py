"""What a class hands in: renamed notebooks, deleted and doubled cells, zips, and files that are no notebooks."""

import copy
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode

from mnist_helpers.runtime import CourseError

LARGEST = 20_000_000  # bytes of a notebook
MOST_FILES = 10_000


class SubmissionsError(CourseError):
    """A place from which no submissions can be read."""


@dataclass(frozen=True)
class HandedIn:
    """A file as it came: whose, its name, and its bytes; None where it is too large."""

    student: str
    name: str
    content: bytes | None


@dataclass
class Submission:
    """One student's answers to one sheet; `page` is the student's own, put in order, or the empty sheet.

    `problem` says why it could not be read at all, and `remarks` what was put in order.
    """

    student: str
    sheet: str
    page: NotebookNode
    problem: str = ""
    remarks: list[str] = field(default_factory=list)


def handed_in(place: Path) -> list[HandedIn]:
    """Return the files of a folder or a zip: a folder for each student, or a notebook named after its student.

    Raises: SubmissionsError if there is nothing to read.
    """
    if not place.exists():
        raise SubmissionsError(f"There is no {place}. SUBMISSIONS= takes a folder, or a zip, with a folder a student.")
    try:
        files = dict(sorted(_zipped(place) if place.is_file() else _in_folder(place)))
    except zipfile.BadZipFile as error:
        raise SubmissionsError(f"{place} cannot be read as a zip ({error}). Give a folder or a whole zip.") from error
    if not files:
        raise SubmissionsError(f"There are no files in {place}. It should hold a folder for each student.")
    paths = {PurePosixPath(name) for name in files}
    above = common_folder(paths)
    found = [(path.relative_to(above), files[str(path)]) for path in sorted(paths)]
    whose = [path.parts[0] if len(path.parts) > 1 else path.stem for path, _ in found]
    ids = student_ids(whose)
    return [HandedIn(ids[who], str(path), content) for who, (path, content) in zip(whose, found, strict=True)]


def _zipped(place: Path) -> Iterator[tuple[str, bytes | None]]:
    with zipfile.ZipFile(place) as archive:
        for number, member in enumerate(archive.infolist()):
            if number < MOST_FILES and not member.is_dir() and _is_meant(PurePosixPath(member.filename)):
                content = None
                if member.file_size <= LARGEST and not member.flag_bits & 1:  # else encrypted
                    with archive.open(member) as file:
                        content = file.read(LARGEST + 1)  # the size that a zip states may be a lie
                yield member.filename, None if content is None or len(content) > LARGEST else content


def _in_folder(place: Path) -> Iterator[tuple[str, bytes | None]]:
    for path in place.rglob("*"):
        name = path.relative_to(place)
        if path.is_file() and not path.is_symlink() and _is_meant(PurePosixPath(name.as_posix())):
            yield name.as_posix(), path.read_bytes() if path.stat().st_size <= LARGEST else None


def _is_meant(path: PurePosixPath) -> bool:
    """Say whether a file was handed in on purpose, not left there by a system or by JupyterLab."""
    return ".." not in path.parts and not any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def common_folder(paths: set[PurePosixPath]) -> PurePosixPath:
    """Return the folder around the students' folders; of a single student's, the student's own is not taken for it."""
    tops = {path.parts[0] for path in paths}
    below = {path.parts[1] for path in paths if len(path.parts) > 2}
    whole = len(tops) == 1 and len(below) > 1 and all(len(path.parts) > 2 for path in paths)
    return PurePosixPath(*tops) if whole else PurePosixPath()


def student_ids(names: list[str]) -> dict[str, str]:
    """Return an id for each name: letters that are safe in file names and in nbgrader's, and no two alike."""
    ids: dict[str, str] = {}
    for name in names:
        person = re.sub(r"_\d+_assignsubmission_\w*$", "", name)  # Moodle's number is another one for each assignment
        plain = re.sub(r"[^\w@-]+", "_", person).strip("_-")[:60] or "student"
        taken = {taken.casefold() for other, taken in ids.items() if other != name}
        number, chosen = 1, plain
        while chosen.casefold() in taken:
            number += 1
            chosen = f"{plain}_{number}"
        ids.setdefault(name, chosen)
    return ids


def sort_out(files: list[HandedIn], sheets: dict[str, NotebookNode]) -> list[Submission]:
    """Make of a class's files one submission for each student and sheet; every student gets at least one.

    `sheets` are the sheets that are marked, as the students got them.
    """
    read = [(file, *read_notebook(file)) for file in files]
    counts = Counter(sheet for _, page, _ in read if page and (sheet := sheet_of(page, sheets)))
    usual = counts.most_common(1)[0][0] if counts else next(iter(sheets))
    found: dict[tuple[str, str], Submission] = {}
    for file, page, problem in read:
        sheet = sheet_of(page, sheets) if page else None
        if sheet and page:
            earlier = found.get((file.student, sheet))
            found[file.student, sheet] = restored(file.student, sheet, page, sheets[sheet])
            if earlier:
                found[file.student, sheet].remarks.append(f"There is more than one notebook; {file.name} was marked.")
        elif page and not problem:
            problem = f"{file.name} holds no cell of the sheets that are marked."
        if problem:
            empty = copy.deepcopy(sheets[sheet or usual])
            found.setdefault((file.student, f"? {file.name}"), Submission(file.student, sheet or usual, empty, problem))
    return _without_doubles(found)


def _without_doubles(found: dict[tuple[str, str], Submission]) -> list[Submission]:
    """Leave out what could not be read where the student has another notebook that could, but mention it there."""
    good = {(one.student, one.sheet): one for one in found.values() if not one.problem}
    for one in found.values():
        if one.problem:
            kept = good.setdefault((one.student, one.sheet), one)
            if kept is not one:
                kept.remarks.append(one.problem)
    return sorted(good.values(), key=lambda one: (one.student, one.sheet))


def read_notebook(file: HandedIn) -> tuple[NotebookNode | None, str]:
    """Read a notebook, or say why that cannot be done; of its cells, only type, source and nbgrader's mark are kept."""
    if not file.name.endswith(".ipynb"):
        return None, f"{file.name} is not a notebook (.ipynb)."
    if file.content is None:
        return None, f"{file.name} is larger than {LARGEST // 10**6} MB, or encrypted."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # doubled ids and the like, which are put in order here
            page = nbformat.reads(file.content.decode("utf-8"), as_version=4)
        return nbformat.v4.new_notebook(cells=[_clean(cell) for cell in page.cells]), ""
    except Exception as error:  # whatever is wrong with a file, it is the reason, and stops no other
        return None, f"{file.name} cannot be read as a notebook ({type(error).__name__}: {str(error)[:80]})."


def _clean(cell: NotebookNode) -> NotebookNode:
    mark = cell.get("metadata", {}).get("nbgrader", {})
    metadata = {"nbgrader": dict(mark)} if isinstance(mark, dict) and isinstance(mark.get("grade_id"), str) else {}
    make = nbformat.v4.new_code_cell if cell["cell_type"] == "code" else nbformat.v4.new_markdown_cell
    return make(source=str(cell["source"]), metadata=metadata)


def grade_id(cell: NotebookNode) -> str:
    """Return nbgrader's name of a cell, or an empty text."""
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def sheet_of(page: NotebookNode, sheets: dict[str, NotebookNode]) -> str | None:
    """Return the sheet to which a page belongs, whatever its file is called: the one it shares most cells with."""
    marks = {grade_id(cell) for cell in page.cells} - {""}
    shared = {name: len(marks & {grade_id(cell) for cell in sheet.cells}) for name, sheet in sheets.items()}
    best = max(shared, key=shared.__getitem__)
    return best if shared[best] else None


def restored(student: str, sheet: str, page: NotebookNode, original: NotebookNode) -> Submission:
    """Put a page in order: locked cells as they were, deleted ones back in their places, doubles as plain cells."""
    submission = Submission(student, sheet, page)
    mine = _cells_by_id(page, {grade_id(cell) for cell in original.cells} - {""}, submission.remarks)
    place = 0
    for cell in original.cells:
        mark = grade_id(cell)
        fresh = copy.deepcopy(cell)
        if mark in mine:
            own, locked = mine[mark], cell.metadata.nbgrader.locked
            place = next(number for number, other in enumerate(page.cells) if other is own) + 1
            if own.cell_type != cell.cell_type or (locked and own.source != cell.source):
                submission.remarks.append(f"The cell {mark} was changed in what is not to be changed; that is undone.")
            fresh.source = cell.source if locked else own.source
            page.cells[place - 1] = fresh
        elif mark:
            page.cells.insert(place, fresh)
            place += 1
            submission.remarks.append(f"The cell {mark} was deleted; it is back as it was handed out.")
    for number, cell in enumerate(page.cells):
        cell["id"] = f"cell-{number}"
    return submission


def _cells_by_id(page: NotebookNode, known: set[str], remarks: list[str]) -> dict[str, NotebookNode]:
    """Return the cells that nbgrader knows, and make plain cells of all others."""
    mine: dict[str, NotebookNode] = {}
    for cell in reversed(page.cells):  # of doubles the last one counts: it has run last
        mark = grade_id(cell)
        if mark in mine:
            remarks.append(f"The cell {mark} is there more than once; the last one counts.")
        if mark in known and mark not in mine:
            mine[mark] = cell
        else:
            cell.metadata = NotebookNode()
    return mine
