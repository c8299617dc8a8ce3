"""Sheets from the fourth on: what an answer leaves behind, an order beside chance, NaN, edge values."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from other_answers import RIGHT
from sheets import SHEETS, by_name

from mnist_helpers.checks import clinic
from mnist_helpers.checks.exercise import LONGEST_REMARK, Status
from mnist_helpers.checks.orders import ENOUGH, unlike_chance
from mnist_helpers.classroom.outcomes import LONGEST_WORDS, read_outcomes, write_outcomes

NAMES = [name for stem, sheet in SHEETS.items() if stem[:2] >= "04" for name in sheet.solutions]
ALL_NAMES = [name for sheet in SHEETS.values() for name in sheet.solutions]
ASKING = ["silenced_logits", "saliency", "covering_losses", "worth", "patient_3", "patient_6"]  # a network, only asked
TRAINING = ["patient_1", "patient_2", "patient_7", "patient_8"]


def check_of(name: str):
    return by_name(name).check(name)


def solution_of(name: str) -> Callable:
    return by_name(name).surroundings[name]


def test_each_exercise_has_two_unusual_right_answers():
    assert [name for name in NAMES if len(RIGHT.get(name, [])) < 2] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_has_edges_and_its_hints_are_short(name):
    check = check_of(name)
    assert check.edges
    assert (
        max(len(said) for said in [check.hint, check.notice, *(one.hint for one in check.mistakes)]) <= LONGEST_REMARK
    )


def test_every_exercise_but_those_that_build_a_network_has_edges():
    assert [name for name in ALL_NAMES if not check_of(name).edges] == ["small_network", "trained_within_budget"]


@pytest.mark.parametrize("name", NAMES)
def test_an_edge_is_the_same_each_time_and_new_each_time(name):
    check = check_of(name)
    for seed in range(-len(check.edges), 0):
        first, second = (check.input(seed) for _ in range(2))
        for one, other in zip(first, second, strict=True):
            if isinstance(one, torch.Tensor):
                assert torch.equal(one, other)
                assert one.data_ptr() != other.data_ptr()
            elif isinstance(one, torch.nn.Module):
                assert one is not other
                assert all(map(torch.equal, one.parameters(), other.parameters()))


@pytest.mark.parametrize("name", NAMES)
def test_a_right_answer_stays_right_on_its_way_to_marking(name):
    check = check_of(name)
    seeds = check.seeds()
    carried = read_outcomes(write_outcomes(check.try_out(solution_of(name), seeds)))
    verdict = check.judge(seeds, carried)
    assert verdict.right, verdict


def spoiled(value):
    """Return a result of the same form, in which all numbers are NaN."""
    if isinstance(value, torch.Tensor):
        return torch.full(value.shape, torch.nan)
    if isinstance(value, torch.nn.Module):
        vector = torch.nn.utils.parameters_to_vector(value.parameters())
        torch.nn.utils.vector_to_parameters(torch.full_like(vector, torch.nan), value.parameters())
        return value
    return tuple(map(spoiled, value)) if isinstance(value, tuple) else float("nan")


@pytest.mark.usefixtures("known_once")
@pytest.mark.parametrize("name", ALL_NAMES)
def test_nan_is_never_right(name):
    def answer(*given):
        result = solution_of(name)(*given)
        if result is None:
            with torch.no_grad():
                for parameter in given[0].parameters():
                    parameter.fill_(torch.nan)
        return spoiled(result) if result is not None else None

    assert check_of(name)(answer).status is Status.NOT_YET


def freeze(model, *_given):
    model.requires_grad_(False)


def freeze_one(model, *_given):
    next(model.parameters()).requires_grad_(False)


def stop_gradients(*_given):
    torch.set_grad_enabled(False)


def change_dropout(model, *_given):
    model.dropout.p = 0.25


def leave_hook(model, *_given):
    model.dense.register_forward_pre_hook(lambda *_: None)


def paint(_model, *given):
    next(one for one in given if isinstance(one, torch.Tensor)).fill_(1)


def relabel(_model, *given):
    labels = given[-1]
    if isinstance(labels, torch.Tensor) and labels.dtype == torch.int64:
        labels[0] = 9 - labels[0]


def want_gradient(_model, *given):
    images = next(one for one in given if isinstance(one, torch.Tensor))
    if images.is_floating_point():
        images.requires_grad_()


def turn_mode(model, *_given):
    model.train(not model.training)


def turn_one_mode(model, *_given):
    model.dropout.train(not model.dropout.training)


def nudge(model, *_given):
    with torch.no_grad():
        model.conv1.bias[0] += 0.01


def leave_gradient(model, *_given):
    next(model.parameters()).grad = torch.ones_like(next(model.parameters()))


LEFT = {
    freeze: "frozen",
    freeze_one: "frozen",
    stop_gradients: "Gradients are still off",
    change_dropout: "rate of a dropout",
    leave_hook: "hook of yours",
    paint: "changes what it was given",
    relabel: "changes what it was given",
    want_gradient: "changes what it was given",
}
LEFT_BY_ASKING = {turn_mode: "mode", turn_one_mode: "another mode", nudge: "other weights"}
CASES = [(name, disturb, hint) for name in ASKING for disturb, hint in (LEFT | LEFT_BY_ASKING).items()]
CASES += [(name, disturb, hint) for name in TRAINING for disturb, hint in LEFT.items()]
CASES += [("patient_3", leave_gradient, "no gradient")]
WITHOUT = {(name, relabel) for name in ("silenced_logits", "saliency", "covering_losses", "patient_6")}  # no labels
WITHOUT |= {("patient_6", want_gradient)}  # whole numbers have none


@pytest.mark.usefixtures("known_once")
@pytest.mark.parametrize(
    ("name", "disturb", "hint"),
    [case for case in CASES if case[:2] not in WITHOUT],
    ids=[f"{name}-{disturb.__name__}" for name, disturb, _ in CASES if (name, disturb) not in WITHOUT],
)
def test_what_a_right_answer_leaves_behind_is_seen_and_named(name, disturb, hint):
    disturbed = []

    def answer(model, *given):
        copies = (one.detach().clone() if isinstance(one, torch.Tensor) else one for one in given)
        with torch.enable_grad():
            result = solution_of(name)(model, *copies)
        if model not in disturbed:  # the second of two calls undoes nothing
            disturb(model, *given)
            disturbed.append(model)
        return result.detach() if isinstance(result, torch.Tensor) else result

    verdict = check_of(name)(answer)
    assert verdict.status is Status.NOT_YET
    assert hint in verdict.message
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", ASKING + TRAINING)
def test_what_is_said_of_traces_is_short_enough_to_be_carried(name):
    check = check_of(name)
    (outcome,) = check.try_out(solution_of(name), [-1])
    assert all(len(said) < LONGEST_WORDS for said in outcome.value[1])


def test_an_order_of_chance_is_not_blamed():
    random = np.random.default_rng(0)
    for count in (ENOUGH, 60, 97):
        assert not [order for order in (random.permutation(count) for _ in range(5_000)) if unlike_chance(order)]


def in_parts(count: int, random: np.random.Generator) -> np.ndarray:
    return np.concatenate([random.permutation(part) for part in np.array_split(np.arange(count), 3)])


def two_swapped(count: int, _random: np.random.Generator) -> np.ndarray:
    return np.concatenate([[1, 0], np.arange(2, count)])


ORDERS = {
    "rolled": lambda count, random: np.roll(np.arange(count), random.integers(count)),
    "turned": lambda count, random: np.roll(np.arange(count), random.integers(count))[::-1],
    "two swapped": two_swapped,
    "half": lambda count, random: np.concatenate([np.arange(count // 2), count // 2 + random.permutation(count // 2)]),
    "in parts": in_parts,
}


@pytest.mark.parametrize("order_of", ORDERS.values(), ids=list(ORDERS))
def test_an_order_that_chance_does_not_draw_is_blamed(order_of):
    random = np.random.default_rng(0)
    for _ in range(20):
        assert unlike_chance(order_of(60, random))


def test_images_sorted_by_their_labels_are_no_order_of_chance():
    images, labels = clinic.labelled_digits(np.random.default_rng(0))
    order = (labels + torch.rand(60) / 2).argsort()
    assert "sorted by their labels" in clinic.pairs_kept((images[order], labels[order]), images, labels)


@pytest.mark.parametrize("name", ["silenced_logits", "worth"])
def test_both_layers_are_asked_for_each_time(name):
    check = check_of(name)
    assert {check.input(-number)[1] for number in range(1, len(check.edges) + 1)} == {"conv1", "conv2"}


@pytest.mark.parametrize("name", TRAINING)
def test_a_training_meets_a_short_last_batch_and_none(name):
    check = check_of(name)
    counts = [len(check.input(seed)[1]) for seed in check.seeds()]
    assert sum(count % clinic.BATCH_SIZE > 0 for count in counts) >= 2
    assert any(count % clinic.BATCH_SIZE == 0 for count in counts)


DIAGNOSES = [name for name in NAMES if name.startswith("diagnosis_")]


def test_each_patient_has_a_fault_of_its_own_from_the_list_on_the_page():
    (listed,) = [
        cell.source for cell in SHEETS["06_broken_training_loop"].page.cells if "list of faults" in cell.source
    ]
    assert re.findall(r"^- \*\*([A-Z])\*\* · ", listed, re.MULTILINE) == list(clinic.LOOKS)
    faults = {check_of(name).solve(*check_of(name).input(-1))[0] for name in DIAGNOSES}
    assert len(faults) == len(DIAGNOSES) == 8
    assert faults < set(clinic.LOOKS)


@pytest.mark.parametrize("name", DIAGNOSES)
def test_another_fault_is_answered_by_what_it_would_look_like(name):
    right = solution_of(name)(*check_of(name).input(-1))[0]
    said = {}
    for letter in clinic.LOOKS.keys() - {right}:
        verdict = check_of(name)(lambda *given, letter=letter: (letter, solution_of(name)(*given)[1]))
        assert verdict.status is Status.NOT_YET
        assert verdict.message.startswith(clinic.LOOKS[letter])
        assert " Here" in verdict.message
        assert len(verdict.message) < LONGEST_REMARK
        said[letter] = verdict.message
    assert len(set(said.values())) == len(clinic.LOOKS) - 1


@pytest.mark.parametrize("name", DIAGNOSES)
def test_the_letter_alone_is_no_diagnosis(name):
    letter, effect = solution_of(name)(*check_of(name).input(-1))
    verdict = check_of(name)(lambda *_given: (letter, effect))  # right for the one case that was looked at
    assert verdict.status is Status.NOT_YET
    assert verdict.message.startswith("The fault is right. ")


def test_the_healthy_run_is_shown_and_its_loop_which_would_be_the_repair_is_not():
    sheet = SHEETS["06_broken_training_loop"]
    names = dict(sheet.surroundings)
    for cell in sheet.cells(grade=False, solution=False):
        exec(cell.source, names)
    healthy, by_hand = (clinic.network_and_digits(np.random.default_rng(0))[0] for _ in range(2))
    images, labels = names["images"], names["labels"]
    losses = clinic.healthy_losses(healthy, images, labels)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    for loss, batch, wanted in zip(losses, images.split(32), labels.split(32), strict=True):
        ours = torch.nn.functional.cross_entropy(by_hand(batch), wanted)
        assert loss == ours.item()
        optimizer.zero_grad()
        ours.backward()
        optimizer.step()
    assert losses[0] == pytest.approx(math.log(10), abs=0.2)
    assert np.mean(losses[-20:]) < 0.5
    for before_the_broken_code in sheet.page.cells[:9]:
        assert "backward()" not in before_the_broken_code.source


def test_the_question_that_gives_the_letter_away_is_folded():
    texts = [
        cell.source for cell in SHEETS["06_broken_training_loop"].page.cells if "**Diagnosis.** First" in cell.source
    ]
    assert len(texts) == len(DIAGNOSES)
    for text in texts:
        assert text.partition("<details>")[0] == "**Diagnosis.** First choose the letter.\n\n"


def test_what_the_faults_would_look_like_is_what_they_look_like():
    """The claims of the hints, on the sheet's own network and images."""
    sheet = SHEETS["06_broken_training_loop"]
    names = dict(sheet.surroundings)
    for cell in sheet.cells(grade=False, solution=False):
        exec(cell.source, names)

    def losses_of(**faults):
        losses, model = [], names["small_network"]()

        def noted(logits, labels):
            losses.append(faults.get("loss_of", torch.nn.functional.cross_entropy)(logits, labels))
            return losses[-1] if not faults.get("uphill") else -losses[-1]

        settings = {name: value for name, value in faults.items() if name not in ("loss_of", "uphill")}
        clinic.train(model, names["images"], names["labels"], **settings | {"loss_of": noted})
        return torch.stack(losses).detach()

    healthy, knows_nothing = losses_of(), math.log(10)
    assert healthy[:3].mean() == pytest.approx(knows_nothing, abs=0.15)
    assert healthy[-20:].mean() < 0.6
    added = losses_of(each_step="backward step")  # D
    assert added[10:25].mean() < 1.8
    assert added[-20:].mean() > 2.2
    low = losses_of(lr=0.01)  # B
    assert 0.05 < low[:12].mean() - low[-12:].mean() < 0.5
    assert losses_of(lr=2.0)[-20:].mean() > 2.2  # A
    shrinking = losses_of(each_step="forget backward step decay", epochs=2)  # C
    assert shrinking[:12].mean() < knows_nothing
    assert 1.2 < shrinking[-125:].mean() == pytest.approx(shrinking[125 - 60 : 125].mean().item(), abs=0.1)
    twice = losses_of(  # G
        loss_of=lambda logits, labels: torch.nn.functional.cross_entropy(logits.softmax(dim=1), labels), epochs=3
    )
    assert twice[:20].mean() == pytest.approx(knows_nothing, abs=0.05)
    assert twice.min() > math.log(math.e + 9) - 1
    along = losses_of(loss_of=lambda logits, labels: -logits.log_softmax(dim=0)[range(len(labels)), labels].mean())  # H
    assert along[0] == pytest.approx(math.log(32), abs=0.1)
    assert not losses_of(uphill=True)[-1].isfinite()  # E
