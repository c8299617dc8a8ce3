"""Our numbers beside scikit-learn's and torch's on the same input."""

import math

import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mnist_helpers.corruptions import CORRUPTIONS, corrupted
from mnist_helpers.data import load_part, to_float
from mnist_helpers.evaluation import (
    accuracy_interval,
    calibrate,
    confusion_matrix,
    evaluate,
    most_confident_mistakes,
    precision_and_recall,
    predict_logits,
    robustness,
    score,
)
from mnist_helpers.models import build_model

SEEDS = st.integers(0, 2**31)


def random_case(seed: int, count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 10, generator=generator) * 3, torch.randint(10, (count,), generator=generator)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_score_and_confusion_matrix_agree_with_scikit_learn(seed):
    logits, labels = random_case(seed)
    predictions = logits.argmax(dim=1)
    scores = score(logits, labels)
    truth, answers, probabilities = (x.numpy() for x in (labels, predictions, logits.double().softmax(dim=1)))
    assert scores.accuracy == pytest.approx(sklearn.metrics.accuracy_score(truth, answers))
    assert scores.loss == pytest.approx(sklearn.metrics.log_loss(truth, probabilities, labels=range(10)), rel=1e-5)
    matrix = sklearn.metrics.confusion_matrix(truth, answers, labels=range(10))
    assert confusion_matrix(labels, predictions).tolist() == matrix.tolist()
    precision, recall = precision_and_recall(confusion_matrix(labels, predictions))
    theirs = sklearn.metrics.precision_recall_fscore_support(truth, answers, labels=range(10), zero_division=0)
    assert precision.nan_to_num().tolist() == pytest.approx(theirs[0].tolist())
    assert recall.nan_to_num().tolist() == pytest.approx(theirs[1].tolist())


def test_a_class_that_never_occurs_has_no_precision_and_no_recall():
    precision, recall = precision_and_recall(confusion_matrix(torch.tensor([0, 1]), torch.tensor([0, 0]), classes=3))
    assert precision.nan_to_num(-1).tolist() == [0.5, -1, -1]  # nothing was taken for 1 or 2
    assert recall.nan_to_num(-1).tolist() == [1, 0, -1]


def test_the_loss_of_smoothed_labels_is_that_of_torch(train):
    model = build_model("linear")
    logits = predict_logits(model, train.images)
    expected = nn.functional.cross_entropy(logits, train.labels, label_smoothing=0.2)
    assert evaluate(model, train, label_smoothing=0.2).loss == pytest.approx(expected.item())
    assert evaluate(model, train).loss != pytest.approx(expected.item(), rel=1e-4)


def test_logits_do_not_depend_on_the_batch_and_the_mode_is_left_as_it_was(train):
    model = build_model("two-conv", dropout=0.5).train()
    images = train.images.repeat(2, 1, 1, 1)  # 1,280: more than one batch
    logits = predict_logits(model, images)
    assert model.training
    with torch.no_grad():
        torch.testing.assert_close(logits, model.eval()(to_float(images)), atol=1e-5, rtol=1e-4)
    assert not logits.requires_grad


def test_grey_values_and_floats_give_the_same_logits(train):
    model = build_model("two-conv")
    torch.testing.assert_close(predict_logits(model, train.images), predict_logits(model, to_float(train.images)))


def test_the_mode_is_restored_even_if_the_network_fails():
    model = nn.Sequential(nn.Linear(3, 3)).train()
    with pytest.raises(RuntimeError):
        predict_logits(model, torch.zeros(2, 1, 28, 28))
    assert model.training


def test_evaluate_is_score_over_the_logits(train):
    model = build_model("linear")
    assert evaluate(model, train) == score(predict_logits(model, train.images), train.labels)


def test_the_interval_is_wilsons():
    p, n, z = 0.99, 10_000, 1.959964
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert accuracy_interval(p, n) == pytest.approx((centre - reach, centre + reach), abs=1e-7)


@given(st.integers(1, 5000), st.floats(0, 1))
def test_the_interval_holds_the_accuracy_and_stays_between_zero_and_one(count, share):
    accuracy = round(share * count) / count
    low, high = accuracy_interval(accuracy, count)
    assert 0 <= low <= accuracy + 1e-12
    assert accuracy - 1e-12 <= high <= 1


def test_the_most_confident_mistakes_are_mistakes_in_order():
    logits, labels = random_case(1)
    worst = most_confident_mistakes(logits, labels, 10)
    confidence = logits.softmax(dim=1).max(dim=1).values
    wrong = logits.argmax(dim=1) != labels
    assert wrong[worst].all()
    assert confidence[worst].tolist() == sorted(confidence[wrong].tolist(), reverse=True)[:10]


def test_a_perfect_network_has_no_mistakes_to_show():
    labels = torch.arange(10)
    assert len(most_confident_mistakes(torch.eye(10), labels, 5)) == 0


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1, 20))
def test_calibration_agrees_with_a_plain_loop(seed, bins):
    logits, labels = random_case(seed)
    confidence, predictions = logits.double().softmax(dim=1).max(dim=1)
    result = calibrate(logits, labels, bins)
    error = 0.0
    for index in range(bins):
        mine = (confidence > index / bins) & (confidence <= (index + 1) / bins)
        assert result.count[index] == mine.sum()
        if mine.any():
            right = (predictions == labels)[mine].double().mean()
            assert result.accuracy[index] == pytest.approx(right.item())
            assert result.confidence[index] == pytest.approx(confidence[mine].mean().item())
            error += (right - confidence[mine].mean()).abs().item() * mine.sum().item() / len(labels)
        else:
            assert result.accuracy[index].isnan()
            assert result.confidence[index].isnan()
    assert result.error == pytest.approx(error)


def test_bins_that_are_surer_than_any_answer_are_there_and_empty():
    result = calibrate(torch.tensor([[0.65, 0.35], [0.55, 0.45]]).log(), torch.tensor([0, 1]), bins=10)
    assert result.count.tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 0]
    assert result.accuracy[5:7].tolist() == [0.0, 1.0]
    assert result.accuracy[7:].isnan().all()
    assert result.error == pytest.approx((0.55 + 0.35) / 2)


def test_a_network_that_is_sure_and_right_is_perfectly_calibrated():
    labels = torch.arange(10)
    assert calibrate(torch.eye(10) * 100, labels).error == pytest.approx(0, abs=1e-9)


def test_robustness_is_accuracy_and_confidence_on_each_kind_of_spoiled_image():
    model, labelled = build_model("linear").train(), load_part("mnist", "validation", limit=200)
    found = robustness(model, labelled, seed=3)
    assert [one.corruption for one in found] == ["as they are", *CORRUPTIONS]
    assert model.training
    for one in found[1:]:
        p = predict_logits(model, corrupted(one.corruption, labelled.images, 3)).softmax(dim=1)
        assert one.accuracy == pytest.approx(sklearn.metrics.accuracy_score(labelled.labels, p.argmax(dim=1)))
        assert one.confidence == pytest.approx(p.amax(dim=1).mean().item(), abs=1e-6)
    assert found[0].accuracy == pytest.approx(evaluate(model, labelled).accuracy)
