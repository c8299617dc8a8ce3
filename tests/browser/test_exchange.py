"""A sheet's whole way through nbgrader's exchange: released, fetched, done, handed in, marked, feedback fetched."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import free_port, lab_command, serving
from nbgrader.utils import get_username
from playwright.sync_api import Locator, Page, expect
from processes import UNSHUT
from test_exercise import solve_class_shares
from test_lab import open_notebook
from visitor import screenshot

from mnist_helpers.classroom.gradebook import Gradebook
from mnist_helpers.runtime import ROOT

NAME, COURSE = "01_data", "mnist-cnn-notebooks"
SETTINGS = """
c.Exchange.root = {exchange!r}
c.Exchange.cache = {cache!r}
c.CourseDirectory.course_id = {course!r}
"""


@pytest.fixture
def variables(tmp_path) -> dict[str, str]:
    """Return what tells nbgrader where the exchange is, as a hub's administrator would."""
    (tmp_path / "settings").mkdir()
    (tmp_path / "exchange").mkdir(mode=0o777)
    settings = SETTINGS.format(exchange=str(tmp_path / "exchange"), cache=str(tmp_path / "cache"), course=COURSE)
    (tmp_path / "settings" / "nbgrader_config.py").write_text(settings)
    return {"JUPYTER_CONFIG_DIR": str(tmp_path / "settings"), "MNIST_COURSE": str(tmp_path / "course")}


@pytest.fixture
def students_lab(tmp_path, variables) -> Iterator[str]:
    """Serve JupyterLab in an empty folder, as the student edition does once the Assignment List is switched on."""
    folder, home, port = tmp_path / "lab", tmp_path / "home", free_port()
    folder.mkdir()
    home.mkdir()
    edition = Path(shutil.copytree(ROOT / "lab", tmp_path / "edition"))
    for name, off, switched in (
        ("labconfig/page_config.json", "true", ("menu", "assignment-list")),
        ("jupyter_server_config.json", "false", ("assignment_list",)),
    ):
        lines = (edition / name).read_text().splitlines()
        on = {"true": "false", "false": "true"}[off]
        found = [line.replace(off, on) if any(f'{one}": {off}' in line for one in switched) else line for line in lines]
        assert found != lines
        (edition / name).write_text("\n".join(found))
    own = {**variables, "JUPYTER_CONFIG_PATH": str(edition)}
    with serving(lab_command(port, home, folder), port, folder / "log", cwd=home, **own) as address:
        yield address


def instructor(variables: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def button(page: Page, which: str, name: str) -> Locator:
    """Return a button in one of the lists of assignments: released, fetched or submitted ones."""
    return page.locator(f"#{which}_assignments_list").get_by_role("button", name=name, exact=True)


def test_a_sheet_goes_to_a_student_and_back_and_the_feedback_too(students_lab, variables, visit, tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST_COURSE", variables["MNIST_COURSE"])
    Gradebook().hand_out(NAME)  # as `make student` does
    instructor(variables, "nbgrader", "release_assignment", NAME)

    page = visit(f"{students_lab}/lab")
    page.locator(".lm-MenuBar-itemLabel", has_text="Nbgrader").click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Assignment List", exact=True).click()
    button(page, "released", "Fetch").click()
    submit = button(page, "fetched", "Submit")
    submit.click()  # with nothing done, and once more when one exercise is
    submitted = page.locator("#submitted_assignments_list .list_item")
    expect(submitted.first).to_be_visible()
    sheet = open_notebook(visit, students_lab, f"{NAME}/{NAME}.ipynb")
    solve_class_shares(sheet)
    sheet.keyboard.press("Control+s")
    expect(sheet.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)
    submit.click()
    inbound = tmp_path / "exchange" / COURSE / "inbound"
    expect(submitted.and_(page.locator(".nested_list_item"))).to_have_count(2)
    screenshot(page, "exchange-handed-in")

    instructor(variables, "mnist_helpers", "grade", str(inbound), "--sheets", "01", *UNSHUT)
    (mark,) = json.loads((tmp_path / "course" / "marks" / "class.json").read_text())["submissions"]
    assert (mark["student"], mark["right"], mark["remarks"]) == (get_username(), ["class_shares"], [])
    instructor(variables, "nbgrader", "release_feedback", NAME)

    page.locator("#refresh_assignments_list").click()
    button(page, "submitted", "Fetch Feedback").first.click()
    expect(page.get_by_text("View Feedback").first).to_be_visible()
    screenshot(page, "exchange-feedback")
    (feedback,) = (tmp_path / "home" / NAME / "feedback").rglob("*.html")
    newest = max(folder.name.split("+")[2] for folder in inbound.iterdir())
    assert feedback.parent.name == newest
    assert "Right." in feedback.read_text(encoding="utf-8")
