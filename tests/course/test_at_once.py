"""Pages that run at once: each after those that it waits for, with its share of the cores, in its own folder."""

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_helpers.course import at_once, forking, runner
from mnist_helpers.course.at_once import pages_at_once, run_at_once
from mnist_helpers.course.runner import find_notebooks, read_notebook, run_notebooks


def nothing() -> None:
    """End a run in which nothing has to be ended."""


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sets(st.integers(0, 7)), max_size=8),  # for each page those before it that it waits for
    st.integers(1, 4),
)
def test_a_page_begins_when_those_that_it_waits_for_are_done_and_no_more_run_than_allowed(needs, most):
    waits_for = {page: sorted(one for one in some if one < page) for page, some in enumerate(needs)}
    running, done, seen, lock = set(), set(), [], threading.Lock()

    def work(page: int) -> int:
        with lock:
            running.add(page)
            seen.append((set(waits_for[page]) <= done, len(running)))
        threading.Event().wait(0.002)  # so that pages overlap
        with lock:
            running.remove(page)
            done.add(page)
        return 10 * page

    assert run_at_once(work, waits_for, most, nothing) == {page: 10 * page for page in waits_for}
    assert all(in_time and at_work <= most for in_time, at_work in seen)


@pytest.mark.parametrize("most", [1, 3])
def test_as_many_pages_run_at_once_as_are_allowed(most):
    together = threading.Barrier(most)
    run_at_once(lambda _page: together.wait(60), {page: [] for page in range(2 * most)}, most, nothing)


def test_one_by_one_pages_begin_in_the_order_in_which_they_are_given():
    begun: list[str] = []
    run_at_once(begun.append, {"b": [], "d": [], "a": [], "c": ["a"]}, 1, nothing)
    assert begun == ["b", "d", "a", "c"]


def test_what_a_page_raises_ends_the_run_and_no_other_page_begins():
    waiting, begun = threading.Event(), []

    def work(page: int) -> None:
        begun.append(page)
        if page == 0:
            raise OSError("full")
        assert waiting.wait(60)

    with pytest.raises(OSError, match="full"):
        run_at_once(work, {page: [] for page in range(5)}, 2, end=waiting.set)
    assert waiting.is_set()
    assert sorted(begun) == [0, 1]


MEET = """import sys
loaded = "torch" in sys.modules
import os, time
from pathlib import Path
meet = Path({meet!r})
(meet / {mine!r}).touch()
end = time.monotonic() + 60
while len(list(meet.iterdir())) < 2 and time.monotonic() < end: time.sleep(0.01)
import json, numpy, torch
from threadpoolctl import threadpool_info
threads = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
print(json.dumps([len(list(meet.iterdir())), loaded, os.getcwd(), torch.get_num_threads(), *threads]))"""


@pytest.fixture
def _nothing_is_said_of_threads(monkeypatch):
    """Load anew what kernels are forked from: what NumPy has counted is part of it."""
    for variable in ("MNIST_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    forking.loaded.cache_clear()
    yield
    forking.loaded.cache_clear()


@pytest.mark.usefixtures("_nothing_is_said_of_threads")
def test_two_pages_run_at_once_each_in_its_folder_and_with_its_share_of_the_cores(
    write_notebook, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)  # of this process
    meet = tmp_path / "meet"
    meet.mkdir()
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        page = write_notebook(f"{name}.ipynb", MEET.format(meet=str(meet), mine=name))
        paths.append(page.rename(tmp_path / name / page.name))
    before = Path.cwd()
    results = run_notebooks(paths, {}, tmp_path / "out", at_once=2)
    assert [result.failure for result in results] == ["", ""]
    assert Path.cwd() == before
    assert "MNIST_THREADS" not in os.environ
    for path in paths:
        page = nbformat.read(tmp_path / "out" / path.name, 4)
        met, loaded, folder, *threads = json.loads(page.cells[-1].outputs[0].text)
        assert (met, loaded, folder) == (2, forking.system_forks(), str(path.parent))
        assert set(threads) == {1}


@pytest.mark.parametrize(("threads", "pages", "each"), [(8, 4, "2"), (2, 4, "1"), (3, 2, "1"), (8, 1, None)])
def test_pages_share_the_threads_that_this_process_may_use(monkeypatch, threads, pages, each):
    monkeypatch.delenv("MNIST_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)  # those of a container, say, or those that one set
    with at_once.shared_cores(pages):
        assert os.environ.get("MNIST_THREADS") == each
    assert "MNIST_THREADS" not in os.environ


def test_a_lone_page_has_all_cores_however_many_jobs_there_are(write_notebook, tmp_path, monkeypatch):
    monkeypatch.delenv("MNIST_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    look = "import os\nassert 'MNIST_THREADS' not in os.environ"
    (result,) = run_notebooks([write_notebook("01_a.ipynb", look)], {}, tmp_path / "out", at_once=4)
    assert not result.failure


def test_a_lesson_that_looks_for_trained_networks_waits_for_the_one_that_trains_them():
    pages = {path: read_notebook(path) for path in find_notebooks()}
    order = runner._waits_for(pages, 2)
    training = next(path for path in pages if path.stem == "03_training")
    before = {*order[training]}
    for path, page in pages.items():
        if any("find_model(" in cell.source or "newest_model(" in cell.source for cell in page.cells):
            assert path in before or training in order[path], path.stem
    named = {path.stem for path in pages}
    assert all(set(page.metadata.mnist_course.get("after", [])) <= named for page in pages.values())
    for_nobody = {path for path in order if not any(path in others for others in order.values())}
    begin = [path for path in order if path not in for_nobody]
    assert list(order)[: len(begin)] == begin, "others wait for these"
    assert runner._waits_for(pages, 1).keys() == pages.keys()
    assert list(runner._waits_for(pages, 1)) == list(pages)


def test_a_page_that_is_run_without_the_one_that_it_is_to_follow_waits_for_nothing():
    (path,) = find_notebooks("04")
    assert runner._waits_for({path: read_notebook(path)}, 2) == {path: []}


@pytest.mark.parametrize(
    ("of_machine", "gigabytes", "pages", "expected"),
    [(2, 16, 11, 2), (2, 16, 1, 1), (64, 64, 11, 4), (64, 64, 3, 3), (1, 16, 9, 1), (8, 5, 11, 2), (8, 0.5, 11, 1)],
)
def test_pages_at_once_are_as_many_as_cores_and_memory_allow(monkeypatch, of_machine, gigabytes, pages, expected):
    monkeypatch.setattr(at_once, "cores", lambda: of_machine)
    room = SimpleNamespace(available=int(gigabytes * 2**30))
    monkeypatch.setattr(at_once.psutil, "virtual_memory", lambda: room)
    assert pages_at_once(pages, "cpu") == expected


def test_where_a_gpu_computes_pages_run_one_by_one(monkeypatch):
    monkeypatch.setattr(at_once, "pick_device", lambda _device: torch.device("cuda"))
    assert pages_at_once(11) == 1
