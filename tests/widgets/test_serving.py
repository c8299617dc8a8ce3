"""How the page is served; that it works, and what it refuses, is tested in a real browser (tests/browser)."""

import ast
import asyncio
import contextlib
import gc
import inspect
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from processes import children_with
from tornado.httpclient import HTTPRequest
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, websocket_connect

from mnist_helpers import widgets
from mnist_helpers.cli import main
from mnist_helpers.commands import course
from mnist_helpers.errors import CourseError, UsageError
from mnist_helpers.runtime import ROOT
from mnist_helpers.startup import THREADS_VARIABLE
from mnist_helpers.widgets import serving
from mnist_helpers.widgets.serving import PAGE, READY, FewKernels, Strangers, is_message, settings


def test_only_this_machine_is_served_unless_told_otherwise():
    assert inspect.signature(course.app).parameters["address"].default == "127.0.0.1"
    config = settings(port=1, address="127.0.0.1", most=5, base_url="/")
    assert config.Voila.ip == "127.0.0.1"


def test_no_source_is_shown_no_traceback_sent_and_idle_kernels_end():
    config = settings(port=1, address="127.0.0.1", most=5, base_url="/digits/")
    assert config.VoilaConfiguration.show_tracebacks is False
    assert config.VoilaConfiguration.strip_sources is True
    assert config.VoilaConfiguration.multi_kernel_manager_class is FewKernels
    assert config.FewKernels.most == 5
    assert 0 < config.MappingKernelManager.cull_idle_timeout <= 3_600
    assert config.MappingKernelManager.cull_connected is True
    assert config.Voila.base_url == "/digits/"


@pytest.mark.parametrize(("most", "ready"), [(1, 1), (10, READY)])
def test_no_more_kernels_wait_than_there_are_places(most, ready):
    config = settings(port=1, address="127.0.0.1", most=most, base_url="/")
    assert config.VoilaConfiguration.default_pool_size == ready


@pytest.mark.parametrize("set_to", [None, "3"])
def test_each_kernel_gets_one_thread_unless_the_server_is_told_otherwise(monkeypatch, set_to):
    served = {}
    monkeypatch.setattr(serving.Page, "launch_instance", lambda argv, config: served.update(argv=argv, config=config))
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    if set_to:
        monkeypatch.setenv(THREADS_VARIABLE, set_to)
    monkeypatch.setattr(serving, "check_free", lambda *_: None)
    serving.serve(port=8_866, address="127.0.0.1", most=4)
    assert serving.os.environ[THREADS_VARIABLE] == (set_to or "1")
    assert served["argv"] == [str(PAGE)]


@pytest.mark.parametrize("given", ["digits", "/digits", "digits/", "/digits/"])
def test_a_path_behind_a_proxy_may_be_written_with_or_without_slashes(monkeypatch, given):
    served, said = {}, []
    monkeypatch.setattr(serving.Page, "launch_instance", lambda config, **_: served.update(config=config))
    serving.serve(free_port(), "127.0.0.1", most=1, base_url=given, say=said.append)
    assert served["config"].Voila.base_url == "/digits/"
    assert re.fullmatch(r"The page is at http://127.0.0.1:\d+/digits/ \(Ctrl-C stops it\)", said[0])


def test_a_port_that_is_taken_or_an_address_of_another_machine_is_a_sentence_and_nothing_is_announced(monkeypatch):
    monkeypatch.setattr(serving.Page, "launch_instance", lambda **_: pytest.fail("it was begun"))
    said = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CourseError, match=f"port {port} .*in use.* --port {port % 65_535 + 1}"):
            serving.serve(port, "127.0.0.1", most=1, say=said.append)
    with pytest.raises(CourseError, match="cannot be served at 192.0.2.1"):
        serving.serve(port, "192.0.2.1", most=1, say=said.append)
    assert said == []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_the_page_is_a_clean_notebook_that_shows_the_pad():
    page = nbformat.read(PAGE, as_version=4)
    nbformat.validate(page)
    (cell,) = (cell for cell in page.cells if cell.cell_type == "code")
    assert cell.outputs == []
    assert "DrawingPad" in {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}


def test_without_voila_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "voila.app", None)
    monkeypatch.delitem(sys.modules, serving.__name__)
    monkeypatch.delattr(widgets, "serving")
    monkeypatch.setattr(sys, "argv", ["mnist-helpers", "app"])
    with pytest.raises(SystemExit, match="1"):
        main()
    said = capsys.readouterr().err
    assert "mnist-helpers[app]" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("connections", "at", "stopped"),
    [
        ([0, 0, 0], [0, 20, 40], False),  # it left the pool, and its page is on the way
        ([0, 0, 0], [0, 40, 80], True),  # nobody came
        ([0, 1, 0], [0, 40, 80], False),  # somebody came and has just gone
        ([1, 1, 1], [0, 40, 80], False),
        ([1, 0, 0], [0, 20, 100], True),  # gone without saying so
    ],
)
def test_a_kernel_is_stopped_when_it_has_been_without_a_page_for_a_minute(monkeypatch, connections, at, stopped):
    ended, clock = [], [0.0]
    kernels = FewKernels(cull_idle_timeout=60 * serving.IDLE_MINUTES, cull_connected=True)
    kernels._kernels["visitor"] = SimpleNamespace(
        kernel_name="python3",
        kernel_spec=SimpleNamespace(metadata={}),
        execution_state="idle",
        last_activity=datetime.now(UTC) - timedelta(hours=3),  # it waited in the pool
    )

    async def end(kernel_id: str) -> None:
        ended.append(kernel_id)

    monkeypatch.setattr(kernels, "shutdown_kernel", end)
    monkeypatch.setattr(serving.time, "monotonic", lambda: clock[0])
    for number, second in zip(connections, at, strict=True):
        kernels._kernel_connections = {"visitor": number}
        clock[0] = 1_000.0 + second
        asyncio.run(kernels.cull_kernel_if_idle("visitor"))
    assert ended == (["visitor"] if stopped else [])


@contextmanager
def started(log: Path, *options: str) -> Iterator[int]:
    """Serve the page in another process, as `make app` does, until the end of the block; yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "mnist_helpers", "app", "--port", str(port), "--most", "3", *options]
    with log.open("wb") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT)
    try:
        while b"is filled with" not in log.read_bytes():
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=60)


def status(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Ask the server, also for what no browser would ask for; return the number and the text of its answer."""
    asked = {"Host": f"127.0.0.1:{port}", "Connection": "close"} | headers
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in asked.items())]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = HTTPResponse(connection, method=method)
        answer.begin()
        return answer.status, answer.read().decode()


UNKNOWN = "/api/kernels/00000000-0000-4000-8000-000000000000"
CROOKED = [
    ("/logout", 404), ("/login", 404), ("/%00", 404), ("/%", 404), ("/%ff", 404), ("//", 404), ("/app.ipynb", 404),
    ("/../../etc/passwd", 404), ("/voila/templates", 404), ("/voila/templates/x", 404), ("/voila/templates/lab", 404),
    ("/voila/templates/lab/static", 404), ("/voila/templates/lab/other/x", 404), ("/voila/templates/no/static/x", 404),
    ("/voila/templates/lab/static/%00", 404), ("/voila/templates/lab/static/../../../../etc/passwd", 404),
    ("/voila/templates/lab/static/..%2f..%2fconf.json", 404), ("/voila/templates/\\..\\x", 404),
    ("/voila/templates/lab/static/" + "a" * 5_000, 404), ("/voila/static/", 404), ("/voila/static/none.js", 404),
    ("/voila/static//etc/passwd", 404), ("/voila/static/" + "a/" * 600 + "a", 404), ("/voila/labextensions/%ff", 404),
    ("/voila/labextensions/anywidget", 404), ("/voila/labextensions/none", 404), ("/voila/files/app.ipynb", 404),
    ("/voila/api/themes/x", 404), ("/voila/query/a-b-c-d-e", 404), ("/voila/api/shutdown/x", 404), ("/api", 404),
    ("/api/kernels", 404), ("/api/kernels/a-b-c-d-e", 404), (UNKNOWN, 404), (f"{UNKNOWN}/channels", 404),
    ("/voila/static/voila.js", 200), ("/voila/templates/lab/static/index.css", 200),
]  # fmt: skip


@pytest.mark.slow
def test_whatever_is_asked_for_is_answered_and_leaves_no_traceback(tmp_path):
    log = tmp_path / "log"
    with started(log, "--origin", "https://digits.example.org") as port:
        for path, expected in CROOKED:
            assert status(port, path)[0] == expected, path
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "NONE"):
            assert status(port, "/nothing", method)[0] in (404, 405), method
            assert status(port, "/", method)[0] in (403, 405), method
            assert status(port, "/pad", method)[0] in (403, 405), method
            assert status(port, UNKNOWN, method)[0] in (403, 405), method
        for headers in (
            {"Cookie": "_xsrf=\xff"},
            {"Authorization": "\xff"},
            {"Referer": "http://["},
            {"Content_Type": "multipart/form-data; boundary="},
            {"Upgrade": "websocket", "Connection": "Upgrade"},
        ):
            assert status(port, f"{UNKNOWN}/channels", **headers)[0] in (400, 404), headers
        refused, said = status(port, "/", Host="evil.example")
        assert (refused, "--origin https://evil.example" in said) == (403, True)
        assert status(port, "/voila/static/voila.js", Host=f"evil.example:{port}")[0] == 403
        assert status(port, "/nothing", Host="digits.example.org")[0] == 404
        assert status(port, "/nothing", Origin="https://digits.example.org")[0] == 404
        assert status(port, "/nothing", Origin=f"https://127.0.0.1:{port}")[0] == 403
        page, text = status(port, "/")
        assert (page, "kernelId" in text, "Glass box" in text) == (200, False, True)
        assert status(port, "/", "HEAD")[0] == 200
        page, text = status(port, "/pad")
        kernel = re.search(r'"kernelId": ?"([^"]+)"', text)[1]
        assert (page, status(port, f"/api/kernels/{kernel}")[0]) == (200, 200)
        assert status(port, f"/api/kernels/{kernel}", "DELETE")[0] == 405
        assert status(port, f"/voila/api/shutdown/{kernel}", "POST")[0] == 403  # without the page's cookie
        asyncio.run(talk_nonsense(f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels?session_id=s"))
    left = log.read_text(errors="replace")
    assert "Traceback" not in left
    assert "never retrieved" not in left
    assert "\x1b" not in left


async def talk_nonsense(address: str) -> None:
    """Send a kernel what is no message: each ends the conversation, and the next one begins as if nothing had been."""
    for sent in (*NO_MESSAGES, MESSAGE):
        request = HTTPRequest(address, request_timeout=60)
        conversation = await websocket_connect(request, subprotocols=[serving.PROTOCOL])
        await conversation.write_message(sent, binary=isinstance(sent, bytes))
        with contextlib.suppress(WebSocketClosedError):  # on its way when the conversation ends, or a little later
            await conversation.write_message(MESSAGE, binary=True)
        while (answer := await conversation.read_message()) is not None and b"kernel_info_reply" not in answer:
            pass
        assert (answer is not None) == (sent is MESSAGE), sent
        conversation.close()


@pytest.mark.slow
def test_the_first_answer_brings_the_cookie_that_the_closing_page_needs(tmp_path):
    with started(tmp_path / "log") as port, closing(HTTPConnection("127.0.0.1", port, timeout=60)) as visitor:
        visitor.request("GET", "/pad")
        answer = visitor.getresponse()
        assert answer.status == 200
        assert any(cookie.startswith("_xsrf=") for cookie in answer.headers.get_all("Set-Cookie", []))


@pytest.mark.slow
def test_the_page_is_served_where_there_is_no_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    with started(tmp_path / "log") as port:
        page, text = status(port, "/pad")  # with a kernel, which has no home either
    assert (page, "Draw digits" in text, "There was an error" in text) == (200, True, False)
    assert not (tmp_path / "none").exists()
    assert "Traceback" not in (tmp_path / "log").read_text(errors="replace")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locks of this kind")
@pytest.mark.slow
def test_what_a_killed_server_left_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with started(tmp_path / "log") as port:
        (server,) = children_with(str(port))
        (left,) = tmp_path.glob("digits-page-*")
        server.kill()
        psutil.wait_procs([server], timeout=60)
    assert left.is_dir()
    with started(tmp_path / "log"):
        assert not left.exists()
    assert not list(tmp_path.glob("digits-page-*"))


def frame(*numbers: int, rest: bytes = b"") -> bytes:
    return b"".join(number.to_bytes(8, "little") for number in numbers) + rest


def message(kind: str = "kernel_info_request", channel: str = "shell", content: object = None, **header) -> bytes:
    header = {"msg_id": "m", "msg_type": kind, "username": "v", "session": "s", "version": "5.3"} | header
    parts = {"header": header, "parent_header": {}, "metadata": {}, "content": {} if content is None else content}
    return serialize_msg_to_ws_v1(parts | {"channel": channel}, channel, pack=lambda part: json.dumps(part).encode())


MESSAGE = message()
NO_MESSAGES = [
    "text",
    b"",
    b"\xff" * 8,
    frame(0),
    frame(1, 16),
    frame(3, 16, 16),  # a place is missing
    frame(2, 24, 99),  # beyond the end
    frame(4, 0, 40, 0, 40),  # parts that overlap
    frame(6, 56, 56, 56, 56, 56, 56),  # empty parts
    MESSAGE.replace(b'"session"', b"'session'"),
    MESSAGE.replace(b"5.3", b"\xff.3"),
    message(content=5),
    message(content=[]),
    message(msg_type=5),
    message(msg_type="\x1b[2J"),
    message(version=7),
    message(session=None),
    message(subshell_id="x"),
    message(channel="iopub"),
    message("comm_msg"),
    message("comm_msg", content={"comm_id": [], "data": {}}),
    message("comm_msg", content={"comm_id": "c", "data": 5}),
    message("comm_open", content={"comm_id": "c", "data": {}}),
    message("comm_close", content={"comm_id": None}),
    MESSAGE.replace(b"{}{}{}", b"[" * 6),
]


def test_what_a_page_sends_is_a_message():
    assert is_message(MESSAGE)
    assert deserialize_msg_from_ws_v1(MESSAGE)[0] == "shell"
    assert is_message(message("comm_msg", content={"comm_id": "c", "data": {"method": "update"}}, subshell_id=None))


@pytest.mark.parametrize("sent", NO_MESSAGES, ids=range(len(NO_MESSAGES)))
def test_what_is_no_message_is_not_taken_apart(sent):
    assert not is_message(sent)


def test_a_message_too_deep_to_be_read_is_none():
    assert not is_message(MESSAGE.replace(b"{}{}{}", b"{}{}" + b"[" * 50_000))


def asked(host: str, protocol: str = "http", **headers: str) -> SimpleNamespace:
    name = re.sub(r":\d+$", "", host.lower())
    return SimpleNamespace(host=host, host_name=name, protocol=protocol, headers=headers)


@pytest.mark.parametrize(
    "request_",
    [
        asked("127.0.0.1:8866"),
        asked("localhost"),
        asked("[::1]:8866"),
        asked("192.168.1.7:8080", Origin="http://192.168.1.7:8080"),
        asked(socket.gethostname()),
        asked("Digits.example.org", Origin="https://digits.example.org"),
        asked("127.0.0.1:8866", Origin="https://digits.example.org"),  # as a proxy asks that gives its own name
    ],
)
def test_whoever_comes_under_one_of_the_page_s_names_is_let_in(request_):
    assert Strangers("https://digits.example.org").match(request_) is None


@pytest.mark.parametrize(
    "request_",
    [
        asked("evil.example"),
        asked("127.0.0.1.evil.example:8866"),
        asked("digits.example.org.evil.example"),
        asked("digits.example.org", Origin="http://evil.example"),
        asked("127.0.0.1:8866", Origin="https://127.0.0.1:8866"),
        asked("127.0.0.1:8866", Origin="http://127.0.0.1:8867"),
        asked("127.0.0.1:8866", Origin="null"),
        asked("127.0.0.1:8866", Origin=""),
        asked("127.0.0.1:8866", Origin="http://["),
        asked(""),
        asked("["),
    ],
)
def test_other_names_and_other_sites_are_strangers(request_):
    assert Strangers("https://digits.example.org").match(request_)["target_kwargs"]["reason"]


def test_a_page_without_a_proxy_has_no_origin_but_its_own():
    assert Strangers("").match(asked("127.0.0.1:8866")) is None
    assert Strangers("").match(asked("127.0.0.1:8866", Origin="http://127.0.0.1:8866")) is None
    assert Strangers("").match(asked("127.0.0.1:8866", Origin=""))
    assert Strangers("").match(asked(""))


@pytest.mark.parametrize("given", ["https://Digits.example.org", "https://digits.example.org/"])
def test_an_origin_is_what_browsers_write(monkeypatch, given):
    served = {}
    monkeypatch.setattr(serving.Page, "launch_instance", lambda config, **_: served.update(config=config))
    serving.serve(free_port(), "127.0.0.1", most=1, origin=given)
    assert served["config"].Page.origin == "https://digits.example.org"


@pytest.mark.parametrize(
    "given", ["digits.example.org", "ftp://a", "https://a/digits/", "https://", "https://a b", "*"]
)
def test_an_origin_that_is_none_is_refused_with_an_example(given):
    with pytest.raises(UsageError, match="such as https://digits.example.org"):
        serving.serve(free_port(), "127.0.0.1", most=1, origin=given)


def test_a_kernel_beyond_the_limit_is_refused_and_one_that_failed_to_start_counts_no_more(monkeypatch):
    async def visits() -> None:
        kernels, started = FewKernels(most=1), []

        async def start(_self, **_arguments) -> str:
            started.append(1)
            return "new"

        monkeypatch.setattr(serving.AsyncMappingKernelManager, "start_kernel", start)
        monkeypatch.setattr(kernels, "add_restart_callback", lambda *_: None)
        starting = asyncio.get_running_loop().create_future()
        kernels._pending_kernels["on its way"] = starting
        with pytest.raises(HTTPError, match="All places are taken"):
            await kernels.start_kernel()
        starting.set_result(None)  # without a kernel to show for it
        assert await kernels.start_kernel() == "new"
        assert started == [1]

    asyncio.run(visits())


@pytest.mark.parametrize("reason", ["full", "broken"])
def test_a_kernel_that_the_pool_cannot_have_leaves_it_without_a_complaint(monkeypatch, reason):
    complaints = []

    async def start(_self, **_arguments) -> str:
        raise OSError("no memory")

    async def refill() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        kernels = FewKernels(most=0 if reason == "full" else 1)
        task = asyncio.create_task(kernels.start_kernel())
        kernels._pools = {"page": [task]}
        await asyncio.wait([task])
        assert kernels._pools == {"page": []}
        del task
        gc.collect()  # asyncio complains when a task goes whose error nobody has seen

    monkeypatch.setattr(serving.AsyncMappingKernelManager, "start_kernel", start)
    asyncio.run(refill())
    assert complaints == []


def test_two_kernels_that_die_at_once_are_both_cleared_away(monkeypatch):
    kernels, cleared = FewKernels(), []

    async def both_die() -> None:
        may_go = asyncio.Event()

        async def clear_away(kernel_id: str) -> None:
            await may_go.wait()
            cleared.append(kernel_id)

        monkeypatch.setattr(kernels, "_clear_away", clear_away)
        kernels._died("first")
        kernels._died("second")
        assert len(kernels.clearing) == 2  # the loop itself would let them be forgotten
        may_go.set()
        await asyncio.gather(*kernels.clearing)

    asyncio.run(both_die())
    assert sorted(cleared) == ["first", "second"]
    assert not kernels.clearing
