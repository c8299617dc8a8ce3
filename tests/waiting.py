"""What tests of a hub share: ports that are free, and waiting until it answers."""

import json
import socket
import subprocess
import time
from urllib.request import urlopen


def free_ports(count: int) -> int:
    """Return the first of so many ports in a row that nobody listens on."""
    for first in range(18_000, 19_000, count):
        with socket.socket() as one:
            if all(one.connect_ex(("127.0.0.1", first + more)) for more in range(count)):
                return first
    raise AssertionError("no ports are free")


def wait_for(address: str, process: subprocess.Popen) -> None:
    """Wait until a hub answers, or has ended."""
    while process.poll() is None:
        try:
            with urlopen(address, timeout=5) as answer:
                assert "version" in json.load(answer)
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"The hub ended with {process.returncode}.")
