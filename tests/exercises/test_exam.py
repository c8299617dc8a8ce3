"""The bank of an exam's tasks, and papers: a solution is right on its own paper only, and looking tells little."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sheets import EXERCISES
from sklearn.metrics import precision_recall_fscore_support
from torch import nn

from mnist_helpers.checks.bank import TOPICS
from mnist_helpers.checks.exercise import Status
from mnist_helpers.checks.papers import paper
from mnist_helpers.errors import CourseError

TASKS = {task.solve.__name__: task for tasks in TOPICS.values() for task in tasks}


def numbers_of(task, seed: int) -> dict:
    return task.numbers(np.random.default_rng(seed))


def made(task, numbers: dict):
    return task.exercise(task.names[0], numbers)


@pytest.fixture(params=TASKS)
def task(request):
    return TASKS[request.param]


def solved(name: str, seed: int):
    """Return a task's exercise with the numbers of a seed, and the numbers."""
    numbers = numbers_of(TASKS[name], seed)
    return made(TASKS[name], numbers), numbers


def test_six_topics_have_three_tasks_each_and_no_two_functions_one_name():
    assert [len(tasks) for tasks in TOPICS.values()] == [3] * 6
    names = [name for task in TASKS.values() for name in task.names]
    assert len(names) == len({*names}) == 54
    assert not {*names} & {name for _, name in EXERCISES}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_the_solution_is_right_and_each_known_mistake_gets_its_hint(task, seed):
    exercise = made(task, numbers_of(task, seed))
    assert exercise(exercise.solve).right
    assert len(exercise.mistakes) >= 3
    for mistake in exercise.mistakes:
        verdict = exercise(mistake.answer)
        assert verdict.status is Status.NOT_YET
        assert mistake.hint in verdict.message


def test_a_neighbours_answer_is_not_right_whichever_number_differs(task):
    own = numbers_of(task, 0)
    exercise = made(task, own)
    others = [numbers_of(task, seed) for seed in range(1, 40)]
    for name in own:
        other = next(one[name] for one in others if one[name] != own[name])
        assert not exercise(made(task, own | {name: other}).solve).right, name


def test_every_number_of_a_paper_is_in_the_text(task):
    for name in numbers_of(task, 0):
        assert f"{{{name}}}" in task.text
    assert "{" not in task.text.format(**numbers_of(task, 0))


def test_looking_says_what_is_not_of_the_right_kind_and_never_what_is_right(task):
    exercise = made(task, numbers_of(task, 1))
    well = exercise.look(exercise.solve)
    assert "runs, and returns the right kind of thing" in well
    seeds = [*range(-len(exercise.edges), 0), *range(20)]
    for mistake in exercise.mistakes:
        pairs = [(mistake.answer(*exercise.input(seed)), exercise.solve(*exercise.input(seed))) for seed in seeds]
        if all(kind(value) == kind(truth) for value, truth in pairs):
            assert exercise.look(mistake.answer) == well  # though it is wrong
        assert mistake.hint not in exercise.look(mistake.answer)
    assert exercise.look(unwritten).startswith("Not attempted.")
    assert "returns None" in exercise.look(lambda *_: None)
    assert "ZeroDivisionError" in exercise.look(lambda *_: 1 / 0)
    assert "not a function" in exercise.look(3)
    for odd in (3, "a", [1.5], torch.zeros(2, 2), np.arange(4)):
        said = exercise.look(lambda *_, odd=odd: odd)
        assert not said.startswith("Right")
        assert not isinstance(exercise.solve(*exercise.input(0)), list) or "length" not in said


def kind(value) -> object:
    """Return what looking may tell of a result: a tensor's shape, a tuple's length, and that a list is one."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape)
    return len(value) if isinstance(value, tuple) else list if isinstance(value, list) else float


def test_an_array_in_place_of_a_list_or_tuple_is_of_the_right_kind_and_right(task):
    exercise = made(task, numbers_of(task, 1))

    def as_array(*given):
        result = exercise.solve(*given)
        alike = isinstance(result, list | tuple) and len({np.shape(one) for one in result}) < 2
        return np.array([np.asarray(one) for one in result]) if alike else result

    assert exercise(as_array).right
    assert "the right kind of thing" in exercise.look(as_array)


def silent_by_lists(n, maps):
    largest = [[max(one.flatten().tolist()) for one in image] for image in maps]
    counts = [sum(value > n["least"] for value in column) for column in zip(*largest, strict=True)]
    return tuple(channel for channel, count in enumerate(counts) if 100 * count / len(maps) < n["percent"])


def silent_in_single_precision(n, maps):
    share = (maps.numpy().max((2, 3)) > n["least"]).astype(np.float32).mean(0)
    return [channel for channel, one in enumerate(share) if float(one) < n["percent"] / 100]


def attack_in_double_precision(n, images, gradients):
    step = n["size"] * np.sign(gradients.double().numpy())
    return np.clip(images.double().numpy() + step * (images.double().numpy() > n["ink"]), 0, 1)


def reserve_by_lists(n, logits, labels):
    rows = [(row.max().item(), row.argmax().item()) for row in logits.softmax(1)]
    right = [read == label for (sure, read), label in zip(rows, labels.tolist(), strict=True) if sure > n["least"]]
    return len(right) / len(rows), np.mean(right) if right else 0


def scores_by_counting(n, logits, labels):
    read, labels, digit = logits.argmax(1).tolist(), labels.tolist(), n["digit"]
    both = sum(one == other == digit for one, other in zip(read, labels, strict=True))
    return [both / max(1, read.count(digit)), both / max(1, labels.count(digit))]


def interval_as_an_array(n, right, images):
    error = np.sqrt(right * (images - right) / images**3)
    return np.clip(right / images + np.array([-1, 1]) * n["errors"] * error, 0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        silent_by_lists,
        silent_in_single_precision,
        attack_in_double_precision,
        reserve_by_lists,
        scores_by_counting,
        interval_as_an_array,
    ],
)
def test_another_style_is_right_at_every_threshold(answer):
    for seed in range(8):
        exercise, n = solved(answer.__name__.partition("_")[0], seed)
        assert exercise(partial(answer, n)).right


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("smoothing", lambda n, logits, labels: soft_loss_by_log(logits, labels, n["doubt"])),
        ("scores", lambda *_: (float("nan"), 0.0)),
        ("share", lambda *_: float("inf")),
    ],
)
def test_looking_does_not_tell_that_a_number_is_none(name, answer):
    exercise, n = solved(name, 3)
    assert "the right kind of thing" in exercise.look(partial(answer, n))
    assert not exercise(partial(answer, n)).right


def soft_loss_by_log(logits, labels, doubt):
    targets = torch.full_like(logits, doubt / 10)
    targets[torch.arange(len(labels)), labels] += 1 - doubt
    return -(targets * logits.softmax(1).log()).sum(1).mean()


def test_hints_are_the_same_on_all_papers(task):
    one, other = (made(task, numbers_of(task, seed)) for seed in (1, 2))
    assert [mistake.hint for mistake in one.mistakes] == [mistake.hint for mistake in other.mistakes]
    for text in (one.hint, one.notice, *(mistake.hint for mistake in one.mistakes)):
        assert "{" not in text


def test_a_paper_that_lacks_a_task_says_what_may_have_happened():
    with pytest.raises(CourseError, match="no task 'sizes'. Is the line `paper = …` as it was"):
        paper(7, "ann").look("sizes", len)


def unwritten(*given):
    raise NotImplementedError


def test_an_exam_is_the_same_each_time_and_the_same_for_all_but_for_the_numbers():
    ann, again, bob = paper(7, "ann"), paper.__wrapped__(7, "ann"), paper(7, "bob")
    assert {name: one.numbers for name, one in ann.questions.items()} == {
        name: one.numbers for name, one in again.questions.items()
    }
    assert list(ann.questions) == list(bob.questions)
    assert [one.task.topic for one in ann.questions.values()] == list(TOPICS)
    assert all(ann.questions[name].numbers != bob.questions[name].numbers for name in ann.questions)
    assert len({tuple(paper(seed, "ann").questions) for seed in range(20)}) == 20


def test_all_tasks_and_names_come_up():
    drawn = {name for seed in range(400) for name in paper(seed, "ann").questions}
    assert drawn == {name for task in TASKS.values() for name in task.names}


def test_a_paper_tells_its_owner_little_and_whoever_marks_all(capsys):
    ann = paper(7, "ann")
    for name, question in ann.questions.items():
        ann.look(name, question.exercise.solve)
        assert capsys.readouterr().out.startswith(f"{name} runs")
        verdict = ann.check(name, question.exercise.solve)
        assert verdict.right
        assert verdict.message == question.exercise.notice


def test_a_side_is_that_of_torchs_layers():
    for seed in range(8):
        exercise, n = solved("side", seed)
        layers = nn.Sequential(
            nn.Conv2d(1, 1, n["kernel"], n["stride"], n["zeros"]), nn.MaxPool2d(n["pool"]), nn.Conv2d(1, 1, n["last"])
        )
        for size in (60, 61, 73, 97, 200):
            assert exercise.solve(size) == layers(torch.zeros(1, 1, size, size)).shape[-1]


def test_no_mistake_about_a_side_comes_through_by_chance_whatever_the_numbers():
    for kernel, stride, zeros, pool in itertools.product((3, 5, 7), (2, 3), (1, 2), (2, 3)):
        numbers = {"kernel": kernel, "stride": stride, "zeros": zeros, "pool": pool, "last": 2}
        exercise = TASKS["side"].exercise("side", numbers)
        sizes = [one() for one in exercise.edges]
        for mistake in exercise.mistakes:
            assert any(mistake.answer(*size) != exercise.solve(*size) for size in sizes), (numbers, mistake.hint)


def test_parameters_are_those_of_a_network_that_is_built():
    for seed in range(4):
        exercise, n = solved("parameters", seed)
        for channels, classes in ((1, 10), (3, 4)):
            model = nn.Sequential(
                nn.Conv2d(channels, n["filters"], n["kernel"]),
                nn.Conv2d(n["filters"], n["more"], 3),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.LazyLinear(n["hidden"]),
                nn.Linear(n["hidden"], classes),
            )
            model(torch.zeros(1, channels, 28, 28))
            assert exercise.solve(channels, classes) == sum(one.numel() for one in model.parameters())


def test_what_a_number_sees_is_what_has_a_gradient():
    for seed in range(4):
        exercise, n = solved("reach", seed)
        for given in (
            [],
            [(3, 1), (5, 2)],
            [(4, 3), (2, 2), (3, 1)],
            *(exercise.input(one)[0][:2] for one in (1, 2, -2)),
        ):
            layers = [
                *(nn.Conv2d(1, 1, kernel, stride) for kernel, stride in given),
                nn.AvgPool2d(n["pool"]),
                nn.Conv2d(1, 1, n["last"]),
            ]
            for layer in layers:
                for one in layer.parameters():
                    nn.init.ones_(one)
            image = torch.zeros(1, 1, 300, 300, requires_grad=True)
            maps = nn.Sequential(*layers)(image)
            maps[0, 0, maps.shape[2] // 2, maps.shape[3] // 2].backward()
            assert exercise.solve(given) == int(image.grad.any(dim=2).sum())


def test_a_step_is_torchs():
    exercise, n = solved("update", 3)
    weight, velocity, gradient = torch.randn(3, 4, 5)
    own = nn.Parameter(weight.clone())
    optimizer = torch.optim.SGD([own], lr=n["lr"], momentum=n["momentum"], weight_decay=n["decay"])
    optimizer.state[own]["momentum_buffer"] = velocity.clone()
    own.grad = gradient.clone()
    optimizer.step()
    new, moved = exercise.solve(weight, velocity, gradient)
    torch.testing.assert_close(new, own.data)
    torch.testing.assert_close(moved, optimizer.state[own]["momentum_buffer"])


def test_a_loss_with_doubt_is_torchs_label_smoothing():
    exercise, n = solved("smoothing", 2)
    logits, labels = exercise.input(5)
    expected = F.cross_entropy(logits, labels, label_smoothing=n["doubt"])
    torch.testing.assert_close(exercise.solve(logits, labels), expected)


def test_gradients_of_a_leaky_layer_are_autograds():
    exercise, n = solved("leaky", 2)
    inputs, weights, bias, gradient = exercise.input(5)
    with torch.enable_grad():
        own = [one.clone().requires_grad_() for one in (inputs, weights, bias)]
        F.leaky_relu(F.linear(*own), n["slope"]).backward(gradient)
    for found, one in zip(exercise.solve(inputs, weights, bias, gradient), own, strict=True):
        torch.testing.assert_close(found, one.grad)


def test_precision_and_recall_are_scikit_learns():
    for seed in range(6):
        exercise, n = solved("scores", seed)
        for given in (exercise.input(9), exercise.input(-1), exercise.input(-2), exercise.input(-3)):
            logits, labels = given
            precision, recall, _, _ = precision_recall_fscore_support(
                labels, logits.argmax(dim=1), labels=[n["digit"]], zero_division=0
            )
            assert exercise.solve(logits, labels) == pytest.approx((precision[0], recall[0]))


def test_ranges_are_those_of_torchs_pooling():
    for seed in range(6):
        exercise, n = solved("ranges", seed)
        (maps,) = exercise.input(4)
        sides = n["side"], n["step"]
        expected = F.max_pool2d(maps, *sides) + F.max_pool2d(-maps, *sides)
        torch.testing.assert_close(exercise.solve(maps), expected)


def test_a_rate_rises_to_the_peak_and_ends_at_the_floor():
    exercise, n = solved("schedule", 4)
    steps = n["warm_up"] + 30
    rates = [exercise.solve(step, steps) for step in range(steps)]
    assert max(rates) == rates[n["warm_up"] - 1] == n["peak"]
    assert rates[-1] == pytest.approx(n["floor"])
    rise, fall = np.diff(rates[: n["warm_up"]]), np.diff(rates[n["warm_up"] - 1 :])
    assert np.allclose(rise, rise[0])
    assert np.allclose(fall, fall[0])


def test_an_interval_is_as_long_as_it_says():
    exercise, n = solved("interval", 1)
    low, high = exercise.solve(320, 400)
    assert high - low == pytest.approx(2 * n["errors"] * math.sqrt(0.8 * 0.2 / 400))
    assert exercise.solve(5, 5) == (1, 1)
    assert exercise.solve(1, 400)[0] == 0
