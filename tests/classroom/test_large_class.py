"""Three hundred hand in: all are marked, an interruption costs nothing that was marked, and memory stays flat."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import psutil
import pytest
from needs import SIGNALS
from processes import UNSHUT
from pupils import ALL, NAME, POINTS, edited, page, written

from mnist_helpers.runtime import ROOT

STUDENTS, UNTIL_THE_BREAK = 300, 100
A_LINE_OF_MARKS = re.compile(rf"student_\d{{3}} +{NAME}")

pytestmark = [pytest.mark.weekly, pytest.mark.slow, SIGNALS]


def hand_in(place: Path) -> dict[str, int]:
    """Write what each student hands in: some exercises solved, some wrong; return the points of each."""
    chance, points = random.Random(0), {}
    for number in range(STUDENTS):
        student = f"student_{number:03}"
        solved = set(chance.sample(sorted(ALL), chance.randint(1, len(ALL))))
        wrong = {name: edited(name, 0)[0] for name in sorted(ALL - solved) if chance.random() < 0.5}
        (place / student).mkdir()
        (place / student / "sheet.ipynb").write_bytes(written(page(solved, wrong)))
        points[student] = sum(POINTS[name] for name in solved)
    return points


def begin(place: Path, folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "mnist_helpers", "grade", str(place), "--sheets", "01", *UNSHUT]
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # where tests run in the background, it may be ignored
    process = subprocess.Popen(
        command, env=os.environ | {"MNIST_COURSE": str(folder)}, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    signal.signal(signal.SIGINT, before)
    return process


def test_three_hundred_are_marked_with_a_break_in_between(tmp_path):
    place, folder = tmp_path / "handed in", tmp_path / "course"
    place.mkdir()
    points = hand_in(place)
    started = time.monotonic()
    first = begin(place, folder)
    seen = list(islice(filter(A_LINE_OF_MARKS.match, first.stdout), UNTIL_THE_BREAK))
    first.send_signal(signal.SIGINT)
    rest = first.communicate(timeout=600)[0].splitlines()
    seen += filter(A_LINE_OF_MARKS.match, rest)
    assert first.returncode == 130
    assert UNTIL_THE_BREAK <= len(seen) < STUDENTS / 2, "what had not begun was begun all the same"

    megabytes = []
    with begin(place, folder) as second:
        command = psutil.Process(second.pid)
        for line in second.stdout:
            if A_LINE_OF_MARKS.match(line):
                megabytes.append(command.memory_info().rss / 1e6)
    assert second.returncode == 0
    minutes = (time.monotonic() - started) / 60
    found = json.loads((folder / "marks" / "class.json").read_text())["submissions"]
    assert {one["student"]: one["points"] for one in found} == points
    (kept,) = re.findall(rf"(\d+) of {STUDENTS} were not run this time", (folder / "marks" / "class.html").read_text())
    assert int(kept) == len(seen)
    print(f"\n{STUDENTS} submissions with a break after {len(seen)}: {minutes:.1f} minutes; the command's own memory:")
    print(*(f"{rss:.0f}" for rss in megabytes[::20]), "MB after each twenty")
    assert megabytes[-1] < 1.3 * megabytes[len(seen) + 20]
