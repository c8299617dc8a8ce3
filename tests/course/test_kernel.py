"""The course's kernel is the one that everybody starts, and installing it touches no other environment."""

import json
import os
import sys

from mnist_helpers.course.kernel import install


def test_the_kernel_is_this_python_s_and_a_linked_file_elsewhere_stays(tmp_path):
    kept = tmp_path / "cache.json"
    kept.write_text("{}")
    folder = tmp_path / "share" / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    os.link(kept, folder / "kernel.json")  # as uv lays the files of a package out
    assert install(tmp_path) == folder
    specification = json.loads((folder / "kernel.json").read_text())
    assert specification["argv"][:3] == [sys.executable, "-m", "mnist_helpers.course.kernel"]
    assert kept.read_text() == "{}"
    assert [path.name for path in folder.iterdir()] == ["kernel.json"]
