"""What came of running each submission, kept beside the book of marks: what has not changed need not run again."""

import functools
import hashlib
import json
import sys
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import distributions
from pathlib import Path

from mnist_helpers.checks.exercise import Status, Verdict
from mnist_helpers.classroom.isolation import Limits, has_bubblewrap
from mnist_helpers.classroom.platforms import NO_PLATFORM, Origin
from mnist_helpers.classroom.submissions import Submission, grade_id
from mnist_helpers.runtime import PACKAGE_PARENT, shipped, whole_file

FOLDER = "runs"  # beside the book


@dataclass(frozen=True)
class KeptRun:
    """What came of a submission: the verdicts by the names of checks' cells, the remarks, and what it was made from.

    `fingerprint` is that of the submission and of what judged it; "" if it has to run again, because a machine with
    more time or memory might have come to another verdict. `remarks` say what was put in order before the run, and
    `run_remarks` what was noticed in it. `problem` says why nothing could be read; `newest` is what is to be known of a
    later version that could not be read or marked: these verdicts are those of the one before.
    """

    student: str
    sheet: str
    fingerprint: str
    verdicts: dict[str, Verdict]
    remarks: list[str]
    origin: Origin = NO_PLATFORM
    run_remarks: list[str] = field(default_factory=list)
    problem: str = ""
    newest: str = ""


def fingerprint(submission: Submission, limits: Limits) -> str:
    """Return what changes with anything that a verdict may depend on, but for chance and the machine."""
    cells = [(cell.cell_type, cell.source, grade_id(cell)) for cell in submission.page.cells]
    told = json.dumps([submission.sheet, cells, asdict(limits), has_bubblewrap(), _installed()])
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


@functools.cache
def _installed() -> str:
    """Return the sum of this package's code and networks, of Python's version, and of all that is installed."""
    versions = sorted({f"{one.name} {one.version}" for one in distributions()})
    found = hashlib.sha256("\n".join([sys.version, *versions]).encode())
    for folder, files in ((PACKAGE_PARENT / "mnist_helpers", "*.py"), (shipped("pretrained"), "*.safetensors")):
        for path in sorted(folder.rglob(files)):
            found.update(path.read_bytes())
    return found.hexdigest()


class KeptRuns:
    """A file for each student and sheet, in a folder beside the book of marks."""

    def __init__(self, course: Path) -> None:
        self.folder = course / FOLDER

    def forget(self, student: str, sheet: str) -> None:
        """Remove a student's kept run of a sheet, if there is one."""
        (self.folder / student / f"{sheet}.json").unlink(missing_ok=True)

    def keep(self, run: KeptRun) -> None:
        """Write a run's file, in place of an earlier one's."""
        told = asdict(run) | {
            "verdicts": {name: [one.status, one.message, one.rank] for name, one in run.verdicts.items()}
        }
        told["origin"]["handed_in"] = str(run.origin.handed_in or "")
        path = self.folder / run.student / f"{run.sheet}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(told, indent=1), encoding="utf-8")

    def find(self, student: str, sheet: str) -> KeptRun | None:
        """Return a student's kept run of a sheet; None if there is none, or none that can be read."""
        try:
            told = json.loads((self.folder / student / f"{sheet}.json").read_text(encoding="utf-8"))
            said = told["verdicts"].items()  # of an earlier version they have no rank
            verdicts = {name: Verdict(Status(status), *rest) for name, (status, *rest) in said}
            handed_in = told["origin"].pop("handed_in")
            origin = Origin(**told["origin"], handed_in=datetime.fromisoformat(handed_in) if handed_in else None)
            texts = {name: str(told[name]) for name in ("fingerprint", "problem", "newest")}
            lists = {name: [str(remark) for remark in told[name]] for name in ("remarks", "run_remarks")}
            return KeptRun(student, sheet, verdicts=verdicts, origin=origin, **texts, **lists)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def students_with(self, sheet: str) -> list[str]:
        """Return the ids of those of whom a run of a sheet was kept."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{sheet}.json"))
