"""An answer in words is marked by hand in nbgrader's Formgrader, in a real JupyterLab, and the points stay."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect
from processes import UNSHUT
from visitor import screenshot

from mnist_helpers.classroom.gradebook import SHEETS
from mnist_helpers.course.stripping import without_solutions
from mnist_helpers.runtime import ROOT

# Stands in for a script that nbgrader's page would fetch from the network.
NO_MATHEMATICS = "window.MathJax = {Hub: {Config() {}, Queue() {}, Startup: {signal: {Interest() {}}}}};"
ANSWER = "4 and 9: their upper strokes are alike."


@pytest.fixture
def handed_in(tmp_path) -> Path:
    """Return a class with one student, who has only answered in words."""
    notebook = without_solutions(nbformat.read(SHEETS / "01_data.ipynb", as_version=4))
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "which_digits":
            cell.source = ANSWER
    folder = tmp_path / "class" / "ann"
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / "sheet.ipynb")
    return folder.parent


def grade(handed_in: Path) -> dict:
    course = handed_in.parent / "course"
    command = [sys.executable, "-m", "mnist_helpers", "grade", str(handed_in), "--sheets", "01", *UNSHUT]
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"MNIST_COURSE": str(course)})
    (mark,) = json.loads((course / "marks" / "class.json").read_text())["submissions"]
    return mark


def test_points_are_given_by_hand_and_stay(handed_in, instructors_lab, visit):
    before = grade(handed_in)
    assert (before["points"], before["waiting"]) == (0, ["which_digits"])
    page = visit(f"{instructors_lab}/lab", lambda page: page.add_init_script(NO_MATHEMATICS))
    page.locator(".lm-MenuBar-itemLabel", has_text="Nbgrader").click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Formgrader", exact=True).click()
    grader = page.frame_locator("iframe")
    for link in ("Manual Grading", "01_data", "01_data", "Submission #1"):
        grader.get_by_role("link", name=link).first.click()
    points = grader.locator("input#which_digits")
    expect(points).to_have_class(re.compile("needs_manual_grade"))  # from now on the page listens to the field
    expect(grader.locator("body")).to_contain_text(ANSWER)
    with page.expect_response(lambda answer: "/api/grade/" in answer.url and answer.request.method == "PUT"):
        points.fill("2")
        points.press("Tab")
    screenshot(page, "lab-formgrader")
    after = grade(handed_in)
    assert (after["points"], after["waiting"]) == (2, [])
