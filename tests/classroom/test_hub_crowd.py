"""A class at a real JupyterHub: thirty log in at once, ten of them run lesson 3 at once, and nothing is lost.

What it took is written to build/test-hub-crowd/figures.md. No browser: thirty of them would take more than the hub.
"""

import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import parse_qsl, urlsplit

import nbformat
import psutil
import pytest
import requests
import websocket
from jupyter_server.services.kernels.connection.base import deserialize_binary_message
from running_hub import PASSWORD, needs_a_hub, running

from mnist_helpers.classroom.hub import COURSE, Hub
from mnist_helpers.runtime import environment_report

CLASS = [f"student-{number:02}" for number in range(1, 31)]
LESSON, AT_ONCE = f"{COURSE}/notebooks/03_training.ipynb", 10
PATIENCE = 600  # seconds that a crowded machine may need for an answer; nothing is asserted about time
MEMORY = 18 * 10**9  # bytes that the class takes, and some more
LOOK_EVERY = 30  # seconds
pytestmark = [
    pytest.mark.weekly,
    needs_a_hub,
    pytest.mark.skipif(sys.platform != "linux", reason="Only Linux says what memory several processes share."),
    pytest.mark.skipif(psutil.virtual_memory().available < MEMORY, reason="A class takes 18 GB of memory."),
]


class Student:
    """What a student's browser does, without the browser."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.hub, self.name, self.session = hub, name, requests.Session()
        self.own = f"{hub.address}/user/{name}"

    def log_in(self) -> None:
        """Log in, and wait until the server of one's own answers."""
        page = f"{self.hub.address}/hub/login"
        self.session.get(page, timeout=PATIENCE)
        given = {"username": self.name, "password": PASSWORD, "_xsrf": self.session.cookies["_xsrf"]}
        answer = self.session.post(page, data=given, timeout=PATIENCE)
        assert answer.ok, answer.text[:300]
        self.session.get(f"{self.hub.address}/hub/spawn/{self.name}", timeout=PATIENCE)
        until(lambda: "/hub/" not in self.session.get(f"{self.own}/lab", timeout=PATIENCE).url)

    def ask(self, method: str, path: str, **given: object) -> requests.Response:
        """Ask the server of one's own for something."""
        own = {cookie.path: cookie.value for cookie in self.session.cookies if cookie.name == "_xsrf"}
        sign = {"X-XSRFToken": own.get(f"/user/{self.name}/", "")}
        answer = self.session.request(method, f"{self.own}/{path}", headers=sign, timeout=PATIENCE, **given)
        assert answer.ok, (path, answer.status_code, answer.text[:300])
        return answer

    def fetch_the_course(self) -> None:
        """Follow the link that an instructor hands out."""
        wanted = dict(parse_qsl(urlsplit(self.hub.link()).query))
        told = {"repo": wanted["repo"], "branch": wanted["branch"], "targetpath": wanted["targetPath"]}
        said = self.ask("GET", "git-pull/api", params=told).text
        assert '"phase": "finished"' in said, said[-300:]

    def wait(self, over: threading.Event) -> None:
        """Do nothing but look now and then whether one's server is still there."""
        while not over.wait(LOOK_EVERY):
            assert self.ask("GET", "api/status").json()["kernels"] == 0

    def run_lesson(self) -> None:
        """Run every cell of the lesson in a kernel and save the page, with a sentence of one's own."""
        page = nbformat.from_dict(self.ask("GET", f"api/contents/{LESSON}").json()["content"])
        wanted = {"path": LESSON, "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        kernel = self.ask("POST", "api/sessions", json=wanted).json()["kernel"]["id"]
        with closing(Conversation(self, kernel)) as conversation:
            for cell in page.cells:
                if cell.cell_type == "code":
                    cell.execution_count, cell.outputs = conversation.execute(cell.source)
        page.cells[-1].source += f"\n\nWhat {self.name} wrote."
        self.ask("PUT", f"api/contents/{LESSON}", json={"type": "notebook", "format": "json", "content": page})


class Conversation:
    """The channel to a student's kernel."""

    def __init__(self, student: Student, kernel: str) -> None:
        address = f"{student.own}/api/kernels/{kernel}/channels".replace("http://", "ws://")
        prepared = student.session.prepare_request(requests.Request("GET", f"{student.own}/api/kernels"))
        self.socket = websocket.create_connection(address, cookie=prepared.headers["Cookie"], timeout=PATIENCE)

    def close(self) -> None:
        self.socket.close()

    def execute(self, code: str) -> tuple[int, list]:
        """Run a cell; return its number and what it showed."""
        sent = uuid.uuid4().hex
        header = {"msg_id": sent, "msg_type": "execute_request", "username": "", "session": sent, "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self.socket.send(json.dumps(message))
        outputs, waits = [], {"execute_reply", "idle"}
        while waits:
            received = self.socket.recv()  # text, or bytes where a picture comes along
            answer = json.loads(received) if isinstance(received, str) else deserialize_binary_message(received)
            kind = answer["msg_type"]
            state = answer["content"].get("execution_state")
            assert state not in ("restarting", "dead"), "The kernel has died."
            if answer.get("parent_header", {}).get("msg_id") != sent:
                continue
            assert kind != "error", "\n".join(answer["content"]["traceback"])
            waits -= {kind, state}
            if kind == "execute_reply":
                number = answer["content"]["execution_count"]
            if kind in ("stream", "display_data", "execute_result"):
                outputs.append(nbformat.v4.output_from_msg(answer))
        return number, outputs


def until(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(PATIENCE):
        if true():
            return
        time.sleep(1)
    raise AssertionError("It never came to that.")


class Watch:
    """Seconds, and the most memory, that a hub and all that it started take while the block runs."""

    def __init__(self, process: psutil.Process) -> None:
        self.process, self.over, self.memory = process, threading.Event(), 0

    def __enter__(self) -> "Watch":
        self.begun, self.looking = time.perf_counter(), threading.Thread(target=self._look)
        self.looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.begun
        self.over.set()
        self.looking.join()

    def _look(self) -> None:
        while not self.over.wait(2):
            everybody = [self.process, *self.process.children(recursive=True)]
            self.memory = max(self.memory, sum(map(_own_memory, everybody)))


def _own_memory(process: psutil.Process) -> int:
    """Return how many bytes of memory a process takes; what several share is divided among them."""
    try:
        return process.memory_full_info().pss
    except psutil.Error:  # it has just ended
        return 0


def all_of(students: list[Student], do: Callable[[Student], object]) -> list:
    """Have all students do something at once."""
    with ThreadPoolExecutor(len(students)) as pool:
        return list(pool.map(do, students))


def test_thirty_log_in_and_ten_run_lesson_3_at_once_and_nothing_is_lost():
    with running("test-hub-crowd", tuple(CLASS), 18_500) as (ours, begun):
        process, students = psutil.Process(begun.pid), [Student(ours, name) for name in CLASS]
        with Watch(process) as arriving:
            all_of(students, Student.log_in)
        with Watch(process) as fetching:
            all_of(students, Student.fetch_the_course)
        busy, over = students[:AT_ONCE], threading.Event()
        with ThreadPoolExecutor(len(students)) as pool, Watch(process) as working:
            waiting = [pool.submit(one.wait, over) for one in students[AT_ONCE:]]
            try:
                all_of(busy, Student.run_lesson)
            finally:
                over.set()
        for one in waiting:
            one.result()
    for one in busy:
        saved = nbformat.read(ours.folder / "homes" / one.name / LESSON, as_version=4)
        code = [cell for cell in saved.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        assert sum(bool(cell.outputs) for cell in code) > len(code) / 2
        assert f"What {one.name} wrote." in saved.cells[-1].source
    rows = {
        f"{len(CLASS)} log in at once, until each has a server": arriving,
        f"{len(CLASS)} fetch the course at once": fetching,
        f"{AT_ONCE} run lesson 3 at once": working,
    }
    lines = [f"| {what} | {one.seconds:.0f} s | {one.memory / 1e9:.1f} GB |" for what, one in rows.items()]
    table = "\n".join(
        ["| what | all together | memory of the hub, all servers and the pad |", "| --- | --- | --- |", *lines]
    )
    (ours.folder / "figures.md").write_text(f"{environment_report('cpu')}\n\n{table}\n", encoding="utf-8")
