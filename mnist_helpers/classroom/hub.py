"""A JupyterHub for the course on this machine: its environment, the course in a git repository, and the start of it.

What a user works on is the student edition: a link of nbgitpuller's brings it into the user's home, and later what has
changed in it, without touching what the user has changed.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psutil

from mnist_helpers.classroom.handouts import make_student_edition
from mnist_helpers.course.runner import BUILD
from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import ROOT

FOLDER = BUILD / "hub"
SETTINGS = ROOT / "deploy" / "jupyterhub_config.py"
PROXY = "configurable-http-proxy@5.3.0"
PACKAGES = ("jupyterhub>=6.1", "jupyterhub-idle-culler>=2", "nbgitpuller>=1.3")
EXTRAS = "course,search,app,classroom"
BRANCH = "main"
COURSE = "course"  # the folder in a user's home
PORTS = 4  # the proxy's, the hub's own, the proxy's own, the pad's
MEMORY = 6 * 2**30  # bytes of data for each process of a user
SHORTEST_PASSWORD = 8


@dataclass(frozen=True)
class Hub:
    """A hub's folder, the first of its ports, the names of its users and their common password."""

    folder: Path
    port: int
    users: tuple[str, ...]
    password: str

    @property
    def address(self) -> str:
        """Where the hub is reached, on this machine."""
        return f"http://127.0.0.1:{self.port}"

    def link(self, page: str = "notebooks/01_data.ipynb") -> str:
        """Return the link that brings the course to whoever follows it, and opens a page of it."""
        repository = (self.folder / f"{COURSE}.git").as_uri()
        where = {"repo": repository, "branch": BRANCH, "targetPath": COURSE, "urlpath": f"lab/tree/{COURSE}/{page}"}
        return f"{self.address}/hub/user-redirect/git-pull?{urlencode(where)}"


def prepare(hub: Hub) -> None:
    """Make what a hub needs, or bring it up to date: the student edition, its repository, an environment, a proxy.

    Raises: CourseError if a program is missing, or says that it could not do it.
    """
    for program, what in (("git", "to hand out the course"), ("npm", "to install the hub's proxy")):
        if shutil.which(program) is None:
            raise CourseError(f"There is no {program} here; it is needed {what}. Install it, and try again.")
    edition = hub.folder / "edition"
    make_student_edition(edition)
    publish(edition, hub.folder / f"{COURSE}.git")
    _make_environment(edition, hub.folder / "env")
    if not (hub.folder / "node_modules" / ".bin" / "configurable-http-proxy").exists():
        _run("npm", "install", "--no-fund", "--no-audit", "--prefix", hub.folder, PROXY)


def publish(edition: Path, repository: Path) -> None:
    """Commit a folder, as it is now, to a repository, which need not be there yet."""
    if not repository.exists():
        _run("git", "init", "--quiet", "--bare", f"--initial-branch={BRANCH}", repository)
    git = ("git", "--git-dir", repository, "--work-tree", edition)
    _run(*git, "add", "--all", "--force", ".", cwd=edition)
    changed = subprocess.run([*map(str, git), "diff", "--cached", "--quiet"], cwd=edition, check=False).returncode
    if changed:
        who = ("-c", "user.name=course", "-c", "user.email=course@localhost")
        _run(*git[:1], *who, *git[1:], "commit", "--quiet", "--message", "The course as it is now", cwd=edition)


def _make_environment(edition: Path, place: Path) -> None:
    """Install the student edition with what a hub needs, in an environment of its own."""
    uv, python = Path(sys.executable).with_name("uv"), place / "bin" / "python"
    if not uv.exists():
        raise CourseError("There is no uv beside this Python; `make setup` installs it. Start the hub with `make hub`.")
    if not python.exists():
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, place)
    constraints = ("--constraints", ROOT / "requirements-lock.txt")
    wanted = (f"{edition}[{EXTRAS}]", *PACKAGES)
    install = (uv, "pip", "install", "--quiet", "--python", python, "--reinstall-package=mnist-helpers")
    _run(*install, *constraints, *wanted, cwd=edition)  # uv reads what to leave out from the pyproject.toml there
    _run(python, "-m", "mnist_helpers.course.kernel", "--install")


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise CourseError(f"{Path(command[0]).name} stopped with {done.returncode}: {' '.join(last)}")


def check_users(names: str) -> tuple[str, ...]:
    """Return the names of users that a text lists.

    Raises: CourseError for a name that cannot be a folder's as well.
    """
    users = tuple(dict.fromkeys(names.lower().split()))
    for name in users:
        if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
            raise CourseError(f"A user cannot be called {name!r}: use letters, digits, - and _.")
    if not users:
        raise CourseError("A hub needs at least one user.")
    return users


def new_password(wanted: str = "") -> str:
    """Return the password that is wanted, or a new one.

    Raises: CourseError if JupyterHub would find it too short.
    """
    if wanted and len(wanted) < SHORTEST_PASSWORD:
        raise CourseError(f"MNIST_HUB_PASSWORD has {len(wanted)} characters; it needs {SHORTEST_PASSWORD} or more.")
    return wanted or secrets.token_urlsafe(9)


def check_ports(hub: Hub) -> None:
    """See that nobody listens on the hub's ports.

    Raises: CourseError if somebody does.
    """
    for port in range(hub.port, hub.port + PORTS):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                raise CourseError(f"Port {port} is taken. A hub needs {PORTS} in a row: name another first one.")


@contextmanager
def started(hub: Hub) -> Iterator[subprocess.Popen]:
    """Start a hub that has been prepared, and end it with all that it has started."""
    own = {
        "MNIST_HUB": str(hub.folder),
        "MNIST_HUB_PORT": str(hub.port),
        "MNIST_HUB_USERS": " ".join(hub.users),
        "MNIST_HUB_PASSWORD": hub.password,
        "MNIST_HUB_MEMORY": str(MEMORY),
    }
    for name in hub.users:
        (hub.folder / "homes" / name).mkdir(parents=True, exist_ok=True)
    program = hub.folder / "env" / "bin" / "jupyterhub"
    path = os.pathsep.join([str(program.parent), os.environ.get("PATH", "")])
    process = subprocess.Popen(
        [program, "--config", SETTINGS], cwd=hub.folder, env=os.environ | own | {"PATH": path}, start_new_session=True
    )
    # A terminal that is closed ends it, too, unless somebody has asked for the contrary (nohup).
    heard = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    if heard:
        signal.signal(signal.SIGHUP, _hang_up)
    try:
        yield process
    finally:
        _end(process)
        if heard:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _hang_up(*_: object) -> None:
    raise SystemExit(1)


def _end(process: subprocess.Popen) -> None:
    """End a hub in its own way, within half a minute, and then what is left of its servers, services and proxy.

    JupyterHub starts each of them in a session of its own, so a signal to the hub's group does not reach them.
    """
    with suppress(psutil.NoSuchProcess):
        others = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        for one in others:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(others, timeout=10)  # their ports are free then
    process.kill()
    process.wait()
