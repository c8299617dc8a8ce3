"""Pages that run at once: each after those that it waits for, with its share of the cores, in its own folder."""

import json
import os
import threading
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_helpers.course import at_once, runner
from mnist_helpers.course.at_once import pages_at_once, run_at_once
from mnist_helpers.course.runner import find_notebooks, read_notebook, run_notebooks
from mnist_helpers.startup import cores


def nothing() -> None:
    """End a run in which nothing has to be ended."""


@settings(deadline=None)
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
        with lock:
            running.remove(page)
            done.add(page)
        return 10 * page

    assert run_at_once(work, waits_for, most, nothing) == {page: 10 * page for page in waits_for}
    assert all(in_time and at_work <= most for in_time, at_work in seen)


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
    assert begun == [0, 1]


MEET = """import os, time
from pathlib import Path
meet = Path({meet!r})
(meet / {mine!r}).touch()
end = time.monotonic() + 60
while len(list(meet.iterdir())) < 2 and time.monotonic() < end: time.sleep(0.01)
import json, numpy, torch
from threadpoolctl import threadpool_info
threads = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
print(json.dumps([len(list(meet.iterdir())), os.getcwd(), torch.get_num_threads(), *threads]))"""


def test_two_pages_run_at_once_each_in_its_folder_and_with_its_share_of_the_cores(
    write_notebook, tmp_path, monkeypatch
):
    for variable in ("MNIST_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
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
        met, folder, *threads = json.loads(page.cells[-1].outputs[0].text)
        assert (met, folder) == (2, str(path.parent))
        assert len(threads) > 1
        assert set(threads) == {max(1, cores() // 2)}


def test_threads_that_were_counted_already_stay_as_they_are(monkeypatch):
    monkeypatch.delenv("MNIST_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with at_once.shared_cores(2):
        assert "MNIST_THREADS" not in os.environ
    monkeypatch.delenv("OMP_NUM_THREADS")
    with at_once.shared_cores(2):
        assert os.environ["MNIST_THREADS"] == str(max(1, cores() // 2))
    with at_once.shared_cores(1):
        assert "MNIST_THREADS" not in os.environ


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
    ("of_machine", "pages", "expected"), [(2, 11, 2), (2, 1, 1), (64, 11, 4), (64, 3, 3), (1, 9, 1)]
)
def test_pages_at_once_are_as_many_as_cores_and_pages_and_memory_allow(monkeypatch, of_machine, pages, expected):
    monkeypatch.setattr(at_once, "cores", lambda: of_machine)
    assert pages_at_once(pages, "cpu") == expected
