"""What a hub is prepared with; that it works is for tests/browser/test_hub.py."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from mnist_helpers.classroom import hub as hubs
from mnist_helpers.classroom.hub import BRANCH, COURSE, Hub, check_users, new_password, publish
from mnist_helpers.errors import CourseError

git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed.")


def cloned(repository: Path, place: Path) -> dict[str, str]:
    subprocess.run(["git", "clone", "--quiet", "--branch", BRANCH, repository, place], check=True)
    return {path.name: path.read_text() for path in place.iterdir() if path.is_file()}


def commits(repository: Path) -> int:
    done = subprocess.run(
        ["git", "--git-dir", repository, "rev-list", "--count", BRANCH], capture_output=True, text=True
    )
    return int(done.stdout)


@git
def test_the_repository_holds_the_course_as_it_is_now_whatever_it_ignores(tmp_path):
    edition, repository = tmp_path / "edition", tmp_path / "a folder" / "course.git"
    edition.mkdir()
    (edition / "lesson.md").write_text("one")
    (edition / ".gitignore").write_text("*.zip\n")
    (edition / "data.zip").write_text("digits")
    publish(edition, repository)
    assert cloned(repository, tmp_path / "first") == {"lesson.md": "one", ".gitignore": "*.zip\n", "data.zip": "digits"}
    publish(edition, repository)  # nothing is new
    assert commits(repository) == 1
    (edition / "lesson.md").write_text("two")
    (edition / "data.zip").unlink()
    publish(edition, repository)
    assert cloned(repository, tmp_path / "second") == {"lesson.md": "two", ".gitignore": "*.zip\n"}
    assert commits(repository) == 2


def test_the_link_brings_the_course_and_opens_a_page(tmp_path):
    link = urlsplit(Hub(tmp_path / "my hub", 8000, ("ann",), "x").link("notebooks/02_model.ipynb"))
    assert (link.netloc, link.path) == ("127.0.0.1:8000", "/hub/user-redirect/git-pull")
    (repository,) = parse_qs(link.query)["repo"]
    assert repository == (tmp_path / "my hub" / f"{COURSE}.git").as_uri()
    assert parse_qs(link.query)["urlpath"] == [f"lab/tree/{COURSE}/notebooks/02_model.ipynb"]


@pytest.mark.parametrize("names", ["", "  ", "ann ../bob", "a/b", "ann;ls", "zoë"])
def test_names_that_cannot_be_folders_are_refused(names):
    with pytest.raises(CourseError):
        check_users(names)


def test_a_user_is_named_once_in_small_letters():
    assert check_users("Ann bob ann x_1 y-2") == ("ann", "bob", "x_1", "y-2")


def test_a_password_is_made_where_none_is_wanted_and_a_short_one_is_refused():
    assert new_password("long enough") == "long enough"
    assert len(new_password()) >= 12
    assert new_password() != new_password()
    with pytest.raises(CourseError, match="8 or more"):
        new_password("short")


@pytest.mark.parametrize("missing", ["git", "npm"])
def test_a_program_that_is_missing_is_named_before_anything_is_made(tmp_path, monkeypatch, missing):
    monkeypatch.setattr(hubs.shutil, "which", lambda name: None if name == missing else "/usr/bin/it")
    folder = tmp_path / "hub"
    with pytest.raises(CourseError, match=f"no {missing} here"):
        hubs.prepare(Hub(folder, 8000, ("ann",), "x"))
    assert not folder.exists()


SERVER = """#!{python}
import os, pathlib, subprocess, sys
server = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
place = pathlib.Path(os.environ["MNIST_HUB"])
(place / "new").write_text(str(server.pid))
(place / "new").rename(place / "pid")
server.wait()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="This system knows no closed terminals.")
@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN])
def test_a_hub_ends_with_the_servers_that_it_has_started_in_sessions_of_their_own(tmp_path, before):
    program = tmp_path / "env" / "bin" / "jupyterhub"
    program.parent.mkdir(parents=True)
    program.write_text(SERVER.format(python=sys.executable))
    program.chmod(0o755)
    usual = signal.signal(signal.SIGHUP, before)
    try:
        with hubs.started(Hub(tmp_path, 8000, ("ann",), "x")) as process:
            while not (tmp_path / "pid").exists():
                assert process.poll() is None
            server = psutil.Process(int((tmp_path / "pid").read_text()))
            assert (signal.getsignal(signal.SIGHUP) is before) is (before is signal.SIG_IGN)  # nohup is heeded
        assert process.poll() is not None
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
        assert signal.getsignal(signal.SIGHUP) is before
        assert (tmp_path / "homes" / "ann").is_dir()
    finally:
        signal.signal(signal.SIGHUP, usual)
