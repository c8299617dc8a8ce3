"""What some tests need and not every system has; elsewhere they are skipped, with the reason."""

import shutil
import sys

import pytest

MAKE = pytest.mark.skipif(shutil.which("make") is None, reason="There is no make here.")
LINKS = pytest.mark.skipif(sys.platform == "win32", reason="On Windows only administrators may make links.")
SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL.")
SHELL = pytest.mark.skipif(shutil.which("sh") is None, reason="There is no shell called sh here.")
