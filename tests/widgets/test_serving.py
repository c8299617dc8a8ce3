"""How the page is served; that it works, and what it refuses, is tested in a real browser (tests/browser)."""

import ast
import asyncio
import inspect
import re
import socket
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from types import SimpleNamespace

import nbformat
import pytest
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from tornado.web import HTTPError

from mnist_helpers import widgets
from mnist_helpers.cli import main
from mnist_helpers.commands import course
from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import ROOT
from mnist_helpers.startup import THREADS_VARIABLE
from mnist_helpers.widgets import serving
from mnist_helpers.widgets.serving import PAGE, READY, FewKernels, is_message, settings


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


@pytest.mark.parametrize(("most", "ready"), [(1, 1), (2, 2), (10, READY)])
def test_no_more_kernels_wait_than_there_are_places(most, ready):
    config = settings(port=1, address="127.0.0.1", most=most, base_url="/")
    assert config.VoilaConfiguration.default_pool_size == ready


@pytest.mark.parametrize("set_to", [None, "3"])
def test_each_kernel_gets_one_thread_unless_the_server_is_told_otherwise(monkeypatch, set_to):
    served = {}
    monkeypatch.setattr(serving.Voila, "launch_instance", lambda argv, config: served.update(argv=argv, config=config))
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
    monkeypatch.setattr(serving.Voila, "launch_instance", lambda config, **_: served.update(config=config))
    serving.serve(free_port(), "127.0.0.1", most=1, base_url=given, say=said.append)
    assert served["config"].Voila.base_url == "/digits/"
    assert re.fullmatch(r"The pad is at http://127.0.0.1:\d+/digits/ \(Ctrl-C stops it\)", said[0])


def test_a_port_that_is_taken_or_an_address_of_another_machine_is_a_sentence_and_nothing_is_announced(monkeypatch):
    monkeypatch.setattr(serving.Voila, "launch_instance", lambda **_: pytest.fail("it was begun"))
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


@pytest.mark.slow
def test_the_first_answer_brings_the_cookie_that_the_closing_page_needs(tmp_path):
    page = tmp_path / "page.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), page)  # empty: what it shows does not matter here
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = (
        "from pathlib import Path; from mnist_helpers.widgets import serving\n"
        f"serving.PAGE = Path({str(page)!r}); serving.serve({port}, '127.0.0.1', most=3)"
    )  # two kernels for the pool, and one for who comes before it is filled
    server = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as visitor:
            while not visitor.sock:
                try:
                    visitor.connect()
                except ConnectionRefusedError:
                    assert server.poll() is None
                    time.sleep(0.2)
            visitor.request("GET", "/")
            answer = visitor.getresponse()
    finally:
        server.terminate()
        server.wait(timeout=60)
    assert answer.status == 200
    assert any(cookie.startswith("_xsrf=") for cookie in answer.headers.get_all("Set-Cookie", []))


def frame(*numbers: int, rest: bytes = b"") -> bytes:
    return b"".join(number.to_bytes(8, "little") for number in numbers) + rest


def test_what_a_page_sends_is_a_message():
    message = {"header": {}, "parent_header": {}, "metadata": {}, "content": {"n": 1}, "channel": "shell"}
    sent = serialize_msg_to_ws_v1(message, "shell", pack=lambda part: str(part).encode())
    assert is_message(sent)
    assert deserialize_msg_from_ws_v1(sent)[0] == "shell"


@pytest.mark.parametrize(
    "sent",
    [
        "text",
        b"",
        b"\xff" * 8,
        frame(0),
        frame(1, 16),
        frame(3, 16, 16),  # a place is missing
        frame(2, 24, 99),  # beyond the end
        frame(4, 0, 40, 0, 40),  # parts that overlap
    ],
)
def test_what_is_no_message_is_not_taken_apart(sent):
    assert not is_message(sent)


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
