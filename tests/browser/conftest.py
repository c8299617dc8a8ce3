"""A real Chromium, a real JupyterLab and a real Voilà, all on loopback."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from visitor import PATIENCE, SCREENSHOTS, leave
from widget_pictures import FOLDER_VARIABLE

from mnist_helpers.runtime import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--force-prefers-reduced-motion"]


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is marked slow
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that needs a browser as slow, and skip it where there is none."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="No Chromium was found (apt-get install chromium)."))


@pytest.fixture(scope="module")  # while it lives, an event loop runs, beside which other tests cannot start theirs
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield launched
        launched.close()


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., Page]]:
    """Open pages, each as a visitor with cookies of its own; what a page complains of fails the test."""
    complaints, contexts = [], []

    def opened(address: str, before: Callable[[Page], object] = lambda _page: None, **options) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 960}, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        before(page)
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        leave(context)
    assert not complaints


@pytest.fixture
def widget_pictures() -> Path:
    """Return where pictures of widgets go: `make widget-pictures` names the folder that lessons take them from."""
    return Path(os.environ.get(FOLDER_VARIABLE, SCREENSHOTS / "widgets"))


@contextmanager
def serving(
    command: list[str], port: int, log: Path, ready: str = "", cwd: Path | None = None, **variables: str
) -> Iterator[str]:
    """Run a server until the end of the block and yield its address, when it has written `ready` into its log."""
    with log.open("w") as file:
        place = cwd or log.parent
        server = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | variables, cwd=place)
    try:
        while server.poll() is None:
            with socket.socket() as connection:
                connection.settimeout(1)
                if connection.connect_ex(("127.0.0.1", port)) == 0 and ready in log.read_text():
                    break
            time.sleep(0.2)
        assert server.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=60)


def free_port() -> int:
    with socket.socket() as connection:
        connection.bind(("127.0.0.1", 0))
        return connection.getsockname()[1]


@pytest.fixture(scope="session")
def serve_app(tmp_path_factory) -> Callable:
    """Serve the page with a number of places, as `make app` does."""

    def start(most: int, *options: str):
        folder, port = tmp_path_factory.mktemp("app"), free_port()
        command = [sys.executable, "-m", "mnist_helpers", "app", "--port", str(port), "--most", str(most), *options]
        return serving(command, port, folder / "log", "is filled with", MNIST_ARTIFACTS=str(folder / "artifacts"))

    return start


@pytest.fixture(scope="session")
def app(serve_app) -> Iterator[str]:
    with serve_app(most=20) as address:
        yield address


@pytest.fixture
def serve_with_voila(tmp_path) -> Callable:
    """Serve a notebook as Voilà alone does."""

    def start(notebook: Path):
        port = free_port()
        command = [sys.executable, "-m", "voila", str(notebook), "--no-browser", f"--port={port}"]
        return serving(command, port, tmp_path / "voila.log")

    return start


@pytest.fixture(scope="session")
def workspace(tmp_path_factory) -> Path:
    """Return a learner's workspace with copies of the notebooks, as `make lab` makes it."""
    folder = tmp_path_factory.mktemp("workspace")
    subprocess.run([sys.executable, "-m", "mnist_helpers", "workspace", str(folder)], check=True, cwd=ROOT)
    return folder


def lab_command(port: int, root: Path, folder: Path) -> list[str]:
    """Return the command that serves JupyterLab on `root`; a `folder` keeps its settings.

    All cells are attached to the page, also out of sight.
    """
    settings = {
        "notebook-extension/tracker": {"windowingMode": "none"},
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    for name, values in settings.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))
    return [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}",
        f"--notebook-dir={root}", "--IdentityProvider.token=", "--expose-app-in-browser",
        f"--LabApp.user_settings_dir={folder / 'settings'}", f"--LabApp.workspaces_dir={folder / 'workspaces'}",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def lab(workspace, tmp_path_factory) -> Iterator[str]:
    """Serve JupyterLab on the workspace as `make lab` does."""
    folder, port = tmp_path_factory.mktemp("lab"), free_port()
    variables = {
        "MNIST_ARTIFACTS": str(tmp_path_factory.mktemp("artifacts")),
        "JUPYTER_CONFIG_PATH": str(ROOT / "lab"),
    }
    with serving(lab_command(port, workspace, folder), port, folder / "log", **variables) as address:
        yield address


@pytest.fixture
def instructors_lab(tmp_path) -> Iterator[str]:
    """Serve JupyterLab as an instructor starts it in the repository, with the course in a folder of the test's."""
    folder, port = tmp_path / "lab", free_port()
    folder.mkdir()
    variables = {"MNIST_COURSE": str(tmp_path / "course")}
    with serving(lab_command(port, tmp_path, folder), port, folder / "log", cwd=ROOT, **variables) as address:
        yield address
