"""An exercise of the student edition, done in a real JupyterLab: typed, checked, validated, handed in, and marked."""

import json
import shutil
import subprocess
import sys

import nbformat
from playwright.sync_api import Page, expect
from processes import UNSHUT
from test_lab import open_notebook
from visitor import PATIENCE, screenshot

from mnist_helpers.classroom.gradebook import Gradebook
from mnist_helpers.runtime import ROOT

ANSWER = "    return torch.bincount(labels, minlength=10) / len(labels)"


def solve_class_shares(page: Page) -> None:
    """Type the answer to one exercise of sheet 1, and run its check."""
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(0).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    answer = cells.filter(has_text="def class_shares(")
    stub = answer.get_by_text("raise NotImplementedError()")
    stub.click()
    page.keyboard.press("Home")  # to the first letter …
    page.keyboard.press("Home")  # … and to the margin
    page.keyboard.press("Shift+End")
    page.keyboard.type(ANSWER)
    page.keyboard.press("Shift+Enter")
    check = cells.filter(has_text="checks.class_shares(class_shares)")
    check.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(check.locator(".jp-OutputArea")).to_contain_text("Right.")


def test_an_exercise_is_done_validated_and_marked(lab, workspace, visit, tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST_COURSE", str(tmp_path / "course"))
    sheet = workspace / "handed_out.ipynb"
    nbformat.write(Gradebook().hand_out("01_data"), sheet)
    page = open_notebook(visit, lab, sheet.name)
    solve_class_shares(page)
    screenshot(page, "lab-exercise")
    page.keyboard.press("Control+s")
    # Validate saves too; two savings at once would find the file changed by each other.
    expect(page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)
    page.locator(".jp-NotebookPanel-toolbar").get_by_role("button", name="Validate").click()
    results = page.locator(".jp-Dialog")
    expect(results).to_contain_text("failed", timeout=5 * PATIENCE)  # the six that are not done
    expect(results).to_contain_text("checks.sizes(sizes)")
    expect(results).not_to_contain_text("checks.class_shares(class_shares)")
    screenshot(page, "lab-validated")
    handed_in = tmp_path / "class" / "ann"
    handed_in.mkdir(parents=True)
    shutil.move(sheet, handed_in)
    command = [sys.executable, "-m", "mnist_helpers", "grade", str(tmp_path / "class"), "--sheets", "01", *UNSHUT]
    subprocess.run(command, cwd=ROOT, check=True)
    (mark,) = json.loads((tmp_path / "course" / "marks" / "class.json").read_text())["submissions"]
    assert mark["right"] == ["class_shares"]
    assert mark["points"] == 2
