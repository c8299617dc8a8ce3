"""Other systems than Linux, and other places: a plain folder on a desktop is a rare case."""

import subprocess
import sys

import pytest

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
# All that others have written is loaded as it is here; only our modules are loaded as if they were there.
LOAD_AS_THERE = """
import importlib, sys
names = {names}
for name in names:
    importlib.import_module(name)
for name in names:
    del sys.modules[name]
for module, attributes in {attributes}.items():
    for attribute in attributes:
        vars(importlib.import_module(module)).pop(attribute, None)
sys.modules.update(dict.fromkeys({modules}))
sys.platform = {platform!r}
for name in names:
    importlib.import_module(name)
print("loaded", len(names))
"""


@pytest.mark.parametrize("platform", ABSENT)
def test_every_module_can_be_loaded_on_another_system(platform):
    modules, attributes = ABSENT[platform]
    paths = sorted((ROOT / "mnist_helpers").rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if path.stem != "__main__"]
    names = [name.removesuffix(".__init__") for name in names]
    program = LOAD_AS_THERE.format(names=names, modules=modules, attributes=attributes, platform=platform)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.split() == ["loaded", str(len(names))], done.stderr
