"""Other systems than Linux, and other places: a plain folder on a desktop is a rare case."""

import os
import signal
import subprocess
import sys

import pytest

from mnist_helpers import startup
from mnist_helpers.classroom import gradebook, trial
from mnist_helpers.runtime import ROOT

# Names that Python has on Linux only, or not on Windows; first those of modules, then those in them.
ABSENT = {
    "win32": (
        ["fcntl", "resource", "pwd", "grp", "termios", "pty", "posix", "syslog"],
        {
            "os": ["sched_getaffinity", "getuid", "geteuid", "fork", "mkfifo", "killpg", "setsid", "sysconf", "uname"],
            "signal": ["SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGCHLD", "alarm", "pthread_sigmask"],
            "socket": ["AF_UNIX"],
            "select": ["poll", "epoll"],
        },
    ),
    "darwin": ([], {"os": ["sched_getaffinity"], "select": ["epoll"], "ctypes": ["windll"]}),
}
# All that others have written is loaded once, as it is here; only our modules are loaded as if they were there.
LOAD_AS_THERE = """
import importlib, sys
names, absent = {names}, {absent}
for name in names:
    importlib.import_module(name)
for platform, (modules, attributes) in absent.items():
    for name in names:
        del sys.modules[name]
    removed = {{module: dict(vars(importlib.import_module(module))) for module in attributes}}
    here = {{module: sys.modules.get(module) for module in modules}}
    for module, missing in attributes.items():
        for attribute in missing:
            vars(sys.modules[module]).pop(attribute, None)
    sys.modules.update(dict.fromkeys(modules))
    system, sys.platform = sys.platform, platform
    for name in names:
        importlib.import_module(name)
    print(platform, len(names))
    sys.platform = system
    for module, attributes in removed.items():
        vars(sys.modules[module]).update(attributes)
    for module, one in here.items():
        sys.modules.pop(module)
        if one:
            sys.modules[module] = one
"""


@pytest.mark.slow
def test_every_module_can_be_loaded_on_another_system():
    paths = sorted((ROOT / "mnist_helpers").rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if path.stem != "__main__"]
    names = [name.removesuffix(".__init__") for name in names]
    program = LOAD_AS_THERE.format(names=names, absent=ABSENT)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.splitlines() == [f"{platform} {len(names)}" for platform in ABSENT], done.stderr


def test_where_there_are_no_limits_and_no_affinity_marking_goes_on_without_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    trial.limit(1)  # a byte of memory would end this process
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert startup.cores() == 3
    monkeypatch.delattr(signal, "setitimer", raising=False)
    monkeypatch.setattr(gradebook, "SECONDS", 0)
    with gradebook._soon_done():
        pass
