"""What came of running each submission, kept beside the book of marks: what has not changed need not run again."""

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import torch

from mnist_helpers.checks.exercise import Status, Verdict
from mnist_helpers.classroom.isolation import Limits
from mnist_helpers.classroom.platforms import NO_PLATFORM, Origin
from mnist_helpers.classroom.submissions import Submission, grade_id
from mnist_helpers.runtime import PACKAGE_PARENT, whole_file

FOLDER = "runs"  # beside the book


@dataclass(frozen=True)
class KeptRun:
    """What came of a submission: the verdicts by the names of checks' cells, the remarks, and what it was made from.

    `fingerprint` is that of the submission and of the code that judged it; "" if it has to run again, because a machine
    with more time might have come to another verdict.
    """

    student: str
    sheet: str
    fingerprint: str
    verdicts: dict[str, Verdict]
    remarks: list[str]
    origin: Origin = NO_PLATFORM


def fingerprint(submission: Submission, limits: Limits) -> str:
    """Return what changes with anything that a verdict may depend on, but for chance and the machine."""
    cells = [(cell.cell_type, cell.source, grade_id(cell)) for cell in submission.page.cells]
    told = json.dumps([submission.sheet, cells, asdict(limits), _code()])
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


@functools.cache
def _code() -> str:
    """Return the sum of the package's code and torch's version."""
    found = hashlib.sha256(torch.__version__.encode())
    for path in sorted((PACKAGE_PARENT / "mnist_helpers").rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


class KeptRuns:
    """A file for each student and sheet, in a folder beside the book of marks."""

    def __init__(self, course: Path) -> None:
        self.folder = course / FOLDER

    def keep(self, run: KeptRun) -> None:
        """Write a run's file, in place of an earlier one's."""
        told = asdict(run) | {"verdicts": {name: [one.status, one.message] for name, one in run.verdicts.items()}}
        told["origin"]["handed_in"] = str(run.origin.handed_in or "")
        path = self.folder / run.student / f"{run.sheet}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(told, indent=1), encoding="utf-8")

    def find(self, student: str, sheet: str) -> KeptRun | None:
        """Return a student's kept run of a sheet; None if there is none, or none that can be read."""
        try:
            told = json.loads((self.folder / student / f"{sheet}.json").read_text(encoding="utf-8"))
            verdicts = {name: Verdict(Status(status), text) for name, (status, text) in told["verdicts"].items()}
            handed_in = told["origin"].pop("handed_in")
            origin = Origin(**told["origin"], handed_in=datetime.fromisoformat(handed_in) if handed_in else None)
            return KeptRun(student, sheet, told["fingerprint"], verdicts, told["remarks"], origin)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def all(self, sheets: list[str]) -> Iterator[KeptRun]:
        """Yield the kept runs of sheets, student by student."""
        for path in sorted(self.folder.glob("*/*.json")):
            run = self.find(path.parent.name, path.stem) if path.stem in sheets else None
            if run:
                yield run
