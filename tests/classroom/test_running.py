"""What a run tells of itself is a result, or none, and one without a word is tried again."""

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from mnist_helpers.classroom import running
from mnist_helpers.classroom.isolation import Limits, Ran
from mnist_helpers.classroom.judging import UnfinishedError
from mnist_helpers.classroom.submissions import Submission


@pytest.mark.parametrize("written", [b"", b'{"begun": 0}\n', b'{"begun": 0}\n{"ended": ""'])
def test_a_run_whose_word_is_missing_or_cut_short_is_no_result(written):
    assert running._result(Ran(written), 3) is None


def test_a_run_that_came_to_its_end_or_was_stopped_is_one():
    assert running._result(Ran(b'{"begun": 0}\n{"ended": ""}\n'), 3).begun == {0}
    assert running._result(Ran(b'{"begun": 0}\n', "it was stopped"), 3).ended == "it was stopped"


def test_a_run_without_a_word_is_tried_again_and_then_given_up(monkeypatch):
    submission, ran = Submission("ada", "01_data", new_notebook(cells=[new_code_cell("1")])), []
    monkeypatch.setattr(running, "run_shut_in", lambda *_: ran.pop())
    ran[:] = [Ran(b'{"begun": 0}\n{"ended": ""}\n'), Ran(b"")]
    assert running._run(submission, "01_data", {}, Limits(), []).begun == {0}
    ran[:] = [Ran(b""), Ran(b"")]
    with pytest.raises(UnfinishedError, match="2 times"):
        running._run(submission, "01_data", {}, Limits(), [])
