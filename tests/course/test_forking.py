"""A kernel that is forked begins with torch loaded, is otherwise like any other, and ends with who started it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from importlib.metadata import entry_points

import nbformat
import psutil
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning import KernelProvisionerFactory

from mnist_helpers.course import forking
from mnist_helpers.course.forking import NAME, ForkingKernelManager, can_be_forked, fixed
from mnist_helpers.course.kernel import MODULE
from mnist_helpers.course.loaded import forked
from mnist_helpers.course.runner import run_notebooks
from mnist_helpers.runtime import ROOT
from mnist_helpers.widgets import serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Kernels are forked on Linux only.")
COMMAND = [sys.executable, "-m", MODULE, "-f", "connection.json"]


@pytest.fixture(autouse=True, scope="module")
def _loaded_with_the_environment_of_now():
    """Load anew: other tests in this process may have changed what was loaded for them."""
    forking.loaded.cache_clear()


@pytest.fixture
def output(write_notebook, tmp_path):
    """Run cells in a kernel of their own and return what the last of them printed."""

    def run(*cells: str, name: str = "01_x.ipynb") -> str:
        (result,) = run_notebooks([write_notebook(name, *cells)], {}, output=tmp_path / "out")
        assert not result.failure
        return nbformat.read(tmp_path / "out" / name, as_version=4).cells[-1].outputs[0]["text"]

    return run


def test_a_kernel_begins_with_torch_but_with_nothing_of_ours(output):
    loaded = eval(output("import sys\nprint({name for name in sys.modules if '.' not in name or 'mnist' in name})"))
    assert {"torch", "matplotlib", "ipykernel"} <= loaded
    ours = {name.removeprefix("mnist_helpers.") for name in loaded if name.startswith("mnist_helpers.")}
    assert ours <= {"course", "course.loaded", "course.kernel", "startup", "errors"}


def test_figures_are_shown_widgets_are_heard_and_loaders_have_workers(write_notebook, tmp_path):
    plot = "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])"
    listen = "import comm, ipywidgets\nassert 'jupyter.widget' in comm.get_comm_manager().targets"
    load = "import torch\nfrom torch.utils.data import DataLoader\nlist(DataLoader(torch.ones(4), num_workers=2))"
    (result,) = run_notebooks([write_notebook("01_x.ipynb", plot, listen, load)], {}, output=tmp_path)
    assert not result.failure
    page = nbformat.read(tmp_path / "01_x.ipynb", as_version=4)
    assert "image/png" in page.cells[0].outputs[0].data


def test_no_two_kernels_draw_the_same_numbers(output):
    draw = "import random, numpy, torch\nprint(random.random(), numpy.random.rand(), torch.rand(1).item())"
    first, second = output(draw).split(), output(draw).split()
    assert not set(first) & set(second)


def test_a_kernel_is_in_its_folder_and_sees_the_variables_of_now(output, tmp_path, monkeypatch):
    output("print(0)")
    (tmp_path / "lessons {y}" / "beside.py").write_text("here = 7")
    monkeypatch.setenv("MNIST_OF_NOW", "now")
    printed = output("import os, sys, beside\nprint('torch' in sys.modules, beside.here, os.environ['MNIST_OF_NOW'])")
    assert printed.split() == ["True", "7", "now"]


@pytest.mark.parametrize(
    ("change", "value"), [("OMP_NUM_THREADS", "3"), ("PYTHONPATH", "/elsewhere"), ("MPLBACKEND", "svg"), ("HOME", "/")]
)
def test_with_another_environment_a_kernel_begins_as_ever(change, value):
    now = dict(os.environ)
    assert can_be_forked(COMMAND, now)
    assert not can_be_forked(COMMAND, now | {change: value})
    free = {"JPY_SESSION_NAME": "x", "MNIST_THREADS": "9", "TORCHINDUCTOR_CACHE_DIR": "/x"}
    assert fixed(now | free) == fixed(now)


def test_another_kernel_another_system_and_new_packages_begin_as_ever(monkeypatch):
    now = dict(os.environ)
    assert not can_be_forked(["R", "--slave"], now)
    assert not can_be_forked(["/usr/bin/python3", *COMMAND[1:]], now)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(forking.sys, "platform", "darwin")
        assert not can_be_forked(COMMAND, now)
    monkeypatch.setattr(forking, "installed", lambda: 0)  # pip has been here
    assert not can_be_forked(COMMAND, now)


def test_where_no_more_processes_are_allowed_the_loaded_one_lives_on(monkeypatch):
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as full:
        full.setattr(os, "fork", refuse)
        assert forked() == -1


@pytest.mark.parametrize("answer", [b"-1", b""])
def test_a_kernel_that_was_refused_begins_as_ever(output, monkeypatch, answer):
    class Full:
        def send(self, _request: bytes) -> None:
            pass

        def recv(self, _most: int) -> bytes:
            return answer

    monkeypatch.setattr(forking.loaded(), "channel", Full())
    assert output("import sys\nprint('torch' in sys.modules)") == "False\n"


def test_a_kernel_that_cannot_be_forked_runs_the_page_all_the_same(output, monkeypatch):
    monkeypatch.setattr(forking, "can_be_forked", lambda *_: False)
    assert output("import sys\nprint('torch' in sys.modules)") == "False\n"


def test_a_kernel_is_interrupted_begun_anew_and_stopped():
    async def session() -> None:
        manager = ForkingKernelManager(kernel_name="python3")
        await manager.start_kernel()
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        first = psutil.Process(manager.provisioner.pid)
        assert os.getpgid(first.pid) == first.pid != os.getpgid(0)
        begun = client.execute("print('on it', flush=True)\nimport time\ntime.sleep(600)")
        while (await client.get_iopub_msg(timeout=60))["msg_type"] != "stream":
            pass
        await manager.interrupt_kernel()
        reply = await client.get_shell_msg(timeout=60)
        assert (reply["parent_header"]["msg_id"], reply["content"]["ename"]) == (begun, "KeyboardInterrupt")
        await manager.restart_kernel(now=True)
        assert not first.is_running()
        await client.wait_for_ready(timeout=60)
        second = psutil.Process(manager.provisioner.pid)
        client.stop_channels()
        await manager.shutdown_kernel()
        assert not second.is_running()
        assert not await manager.is_alive()

    asyncio.run(session())


def test_a_kernel_s_last_words_are_said_and_its_end_is_noticed(write_notebook, tmp_path):
    said = tmp_path / "said"
    leave = f"import atexit, pathlib\n_ = atexit.register(pathlib.Path({str(said)!r}).write_text, 'bye')"
    pages = [write_notebook("01_x.ipynb", leave), write_notebook("02_x.ipynb", "import os\nos._exit(3)")]
    first, second = run_notebooks(pages, {}, output=tmp_path / "out")
    assert not first.failure
    assert said.read_text() == "bye"
    assert "DeadKernelError" in second.failure


@pytest.mark.slow
def test_a_kernel_ends_when_its_starter_is_killed(write_notebook, tmp_path):
    """Nobody could tell it to end any more, and it would hold its memory for ever."""
    told = tmp_path / "pid"
    wait = f"import os, pathlib, time\npathlib.Path({str(told)!r}).write_text(str(os.getpid()))\ntime.sleep(600)"
    page = write_notebook("01_x.ipynb", wait)
    run = (
        "from pathlib import Path\nfrom mnist_helpers.course.runner import run_notebooks\n"
        f"run_notebooks([Path({str(page)!r})], {{}}, output=Path({str(tmp_path / 'out')!r}))"
    )
    starter = subprocess.Popen([sys.executable, "-c", run])
    while not (told.exists() and told.read_text()):
        assert starter.poll() is None
    kernel = psutil.Process(int(told.read_text()))
    loaded = kernel.parent()
    assert loaded.pid != starter.pid
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    _, alive = psutil.wait_procs([kernel, loaded], timeout=60)
    assert not alive


def test_jupyter_knows_it_also_where_the_package_is_not_installed(monkeypatch):
    """It is on the path, as a class's copy of the repository may be, and the server begins kernels by the name."""
    monkeypatch.setattr(KernelProvisionerFactory, "_get_all_provisioners", staticmethod(lambda: entry_points(group="")))
    factory = KernelProvisionerFactory(default_provisioner_name=NAME)
    made = factory.create_provisioner_instance("1", KernelSpec(argv=COMMAND), None)
    assert isinstance(made, forking.ForkedProvisioner)


def test_jupyterlab_forks_its_kernels(monkeypatch):
    lab = json.loads((ROOT / "lab" / "jupyter_server_config.json").read_text())
    assert lab["ServerApp"]["jpserver_extensions"][forking.__name__]
    factory = KernelProvisionerFactory()
    monkeypatch.setattr(KernelProvisionerFactory, "instance", lambda: factory)
    monkeypatch.delenv(forking.HUB_USER, raising=False)
    forking._load_jupyter_server_extension(None)
    assert factory.default_provisioner_name == NAME


def test_a_hub_s_servers_load_nothing_until_a_page_is_run(monkeypatch):
    factory = KernelProvisionerFactory()
    before = factory.default_provisioner_name
    monkeypatch.setattr(KernelProvisionerFactory, "instance", lambda: factory)
    monkeypatch.setattr(forking, "loaded", lambda: pytest.fail("loaded"))
    monkeypatch.setenv(forking.HUB_USER, "ann")
    forking._load_jupyter_server_extension(None)
    assert factory.default_provisioner_name == before != NAME


def test_the_app_forks_its_kernels(call, monkeypatch):
    factory, served = KernelProvisionerFactory(), []
    monkeypatch.setattr(KernelProvisionerFactory, "instance", lambda: factory)
    monkeypatch.setattr(serving, "serve", lambda *_: served.append(factory.default_provisioner_name))
    assert call("app").returncode == 0
    assert served == [NAME]
