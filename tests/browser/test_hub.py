"""A real JupyterHub: log in, follow the link, run a lesson, get an update without losing work, draw on the pad."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.reader import NotJSONError
from playwright.sync_api import Page, expect
from running_hub import PASSWORD, needs_a_hub, running
from visitor import PATIENCE, screenshot

from mnist_helpers.classroom import hub as hubs
from mnist_helpers.classroom.hub import COURSE, Hub

pytestmark = [pytest.mark.weekly, needs_a_hub]


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running("test-hub", ("instructor", "ann", "bob"), 18_000) as (ours, _):
        yield ours


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def home(hub: Hub, name: str) -> Path:
    return hub.folder / "homes" / name


def test_a_user_logs_in_follows_the_link_and_runs_a_lesson(hub, visit):
    page = visit(hub.link())
    log_in(page, "ann")
    notebook = page.locator(".jp-Notebook")
    expect(notebook).to_be_visible(timeout=3 * PATIENCE)
    screenshot(page, "hub-lesson")
    # A notebook is visible before it is read, and "Run All Cells" then runs none.
    expect(notebook.locator("h1").first).to_be_visible(timeout=3 * PATIENCE)
    expect(page.locator(".jp-Toolbar-kernelName")).to_contain_text("Python", timeout=3 * PATIENCE)
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
    saved = home(hub, "ann") / COURSE / "notebooks" / "01_data.ipynb"

    def has_run() -> bool:
        page.keyboard.press("Control+s")
        try:
            cells = nbformat.read(saved, as_version=4).cells
        except NotJSONError:  # it is being written
            return False
        return all(cell.execution_count for cell in cells if cell.cell_type == "code")

    for _ in range(120):
        if has_run():
            break
        page.wait_for_timeout(1_000)
    assert has_run()
    page_now = nbformat.read(saved, as_version=4)
    assert not [
        output for cell in page_now.cells for output in cell.get("outputs", []) if output.output_type == "error"
    ]
    expect(page.get_by_text("Create Assignment")).to_have_count(0)  # that is for instructors
    screenshot(page, "hub-lesson-run")


def test_an_update_comes_by_the_same_link_and_takes_no_work_away(hub, visit):
    page = visit(hub.link("notebooks/02_model.ipynb"))
    log_in(page, "bob")
    expect(page.locator(".jp-Notebook")).to_be_visible(timeout=3 * PATIENCE)
    mine = home(hub, "bob") / COURSE / "notebooks" / "02_model.ipynb"
    work = nbformat.read(mine, as_version=4)
    work.cells[-1].source = "What bob wrote."
    nbformat.write(work, mine)
    edition = hub.folder / "edition"
    (edition / "notebooks" / "new.md").write_text("A page that is new.\n")
    changed = nbformat.read(edition / "notebooks" / "02_model.ipynb", as_version=4)
    changed.cells[0].source += "\n\nA sentence that is new."
    nbformat.write(changed, edition / "notebooks" / "02_model.ipynb")
    hubs.publish(edition, hub.folder / f"{COURSE}.git")
    again = page.context.new_page()
    again.goto(hub.link("notebooks/new.md"))
    expect(again.locator(".lm-TabBar-tabLabel", has_text="new.md").first).to_be_visible(timeout=3 * PATIENCE)
    assert (home(hub, "bob") / COURSE / "notebooks" / "new.md").exists()
    assert nbformat.read(mine, as_version=4).cells[-1].source == "What bob wrote."


def test_who_does_not_know_the_password_or_is_not_named_stays_out(hub, visit):
    for name, password in (("ann", "a guess of mine"), ("eve", PASSWORD)):
        page = visit(f"{hub.address}/hub/login")
        log_in(page, name, password)
        expect(page.locator("body")).to_contain_text("Invalid username or password")


def test_the_pad_is_a_service_of_the_hub(hub, visit):
    page = visit(f"{hub.address}/services/digits/")
    expect(page.locator("h1, h2").first).to_be_visible()
    expect(page.get_by_text("Draw").first).to_be_visible()


def test_nothing_of_the_environment_holds_a_solution(hub):
    (checks,) = (hub.folder / "env").glob("lib/python*/site-packages/mnist_helpers/checks")
    assert "b64decode" in (checks / "data.py").read_text()
    assert not (checks.parent / "classroom").exists()
