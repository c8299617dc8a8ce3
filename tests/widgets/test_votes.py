"""The vote on doubtful labels: one answer a digit, the label only afterwards, and a count that adds up."""

import re

import pytest
import torch

from mnist_helpers.widgets.votes import NEITHER, LabelVote

ROWS = [
    {"image": 2, "label": 9, "other": 4, "for_label": 2, "for_other": 3, "for_neither": 0},
    {"image": 0, "label": 1, "other": 7, "for_label": 5, "for_other": 0, "for_neither": 0},
    {"image": 1, "label": 5, "other": 3, "for_label": 1, "for_other": 0, "for_neither": 4},
]


@pytest.fixture
def vote(val) -> LabelVote:
    return LabelVote(val.images[:3], ROWS)


def words(vote: LabelVote) -> str:
    return re.sub(r"<[^>]+>", "", vote.told.value)


def test_choices_do_not_tell_the_label_and_it_is_told_after_the_vote(vote):
    assert [button.description for button in vote.buttons] == ["a 4", "a 9", NEITHER]
    assert words(vote) == ""
    assert not re.search(r"label|people", vote.shown.value)
    vote.buttons[0].click()
    assert words(vote).startswith(
        "You said a 4. The published label is 9: 2 of five people confirmed it, and 3 said 4."
    )
    assert "confirmed 0 of 1 labels" in words(vote)
    assert [button.description for button in vote.buttons] == ["a 1", "a 7", NEITHER]
    assert "Image 2 of 3" in vote.shown.value


def test_after_the_last_vote_there_is_a_count_and_nothing_left_to_press(vote):
    for place in (1, 0, 2):
        vote.buttons[place].click()
    assert vote.answers == ["a 9", "a 1", NEITHER]
    assert vote.confirmed == 2
    assert "You confirmed 2 of 3 labels" in vote.shown.value
    assert all(button.disabled for button in vote.buttons)


def test_each_question_shows_the_image_that_its_row_counts(val):
    vote = LabelVote(val.images, ROWS)
    for asked, row in zip(vote.questions, ROWS, strict=True):
        assert torch.equal(asked.image, val.images[row["image"]])


def test_a_failure_is_shown(vote, monkeypatch):
    monkeypatch.setattr(vote.shown, "draw", lambda *_: 1 / 0)
    vote.buttons[0].click()
    assert "This view failed: ZeroDivisionError" in vote.shown.value
