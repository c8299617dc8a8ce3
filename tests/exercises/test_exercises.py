"""Each stub is not attempted, each solution is right, each typical wrong answer gets its own hint, no mutant passes."""

import ast
import inspect
import json
import re
import textwrap

import other_answers
import pytest
import torch
from mutation import mutants
from sheets import EXERCISES, by_name
from wrong_answers import WRONG

from mnist_helpers.checks.exercise import LONGEST_REMARK, Status, Verdict
from mnist_helpers.course.runner import budget_of
from mnist_helpers.runtime import ROOT

HEAD = re.compile(
    r"## \d+\.\d+ · .+\n\n\*[a-z, ]+ · difficulty (●○○|●●○|●●●) · \d+ minutes(, \d+ seconds of them training)?"
    r" · \d points(, marked by hand)?\*\n\n"
    r"\*\*You practise\*\* .+\.\n\n.+"
)
TABLE = ROOT / "build" / "mutants.json"
# Lines of mutants that are right all the same, each with its reason.
EQUIVALENT = {
    "places = range(4, 3 + 4 * raw[3], 4)": "a range ends before the number either way",
    "places = range(4, 4 + 3 * raw[3], 4)": "the same, with up to three dimensions",
    "rows = int.from_bytes(raw[9:12], 'big')": "no image has 2 ** 24 rows",
    "columns = int.from_bytes(raw[13:16], 'big')": "nor so many columns",
    "held = torch.cat([torch.nonzero(labels == digit).flatten()[:each] for digit in range(11)])": "there is no digit 10",  # noqa: E501
    "largest = logits.softmax(dim=1).topk(3, dim=1).values": "only the first two are used",
    "model(pixels)[-1, label].backward()": "one image: the first is the last",
    "return pixels.grad[-1, 0].abs()": "one image",
    "return pixels.grad[0, -1].abs()": "one channel",
    "before = model(image).softmax(dim=1)[-1, label]": "one image",
    "losses[row, column] = before - model(covered).softmax(dim=1)[-1, label]": "one image",
}
TRAINED = {"trained_within_budget", "my_network"}
MANY_ARE_RIGHT = {"small_network", *TRAINED}  # another number gives another network, as good


def tasks(sheet):
    """Return each task's head, how many answers it asks for, and the points of its cells."""
    found = []
    for cell in sheet.page.cells:
        mark = cell.metadata.get("nbgrader", {})
        if cell.source.startswith("## "):
            found.append([cell.source, 0, 0])
        elif found:
            found[-1][1] += mark.get("solution", False)
            found[-1][2] += mark.get("points", 0)
    return found


def test_the_points_of_a_task_are_those_of_its_cells(sheet):
    for head, _, points in tasks(sheet):
        assert f" · {points} points" in head


def test_a_sheet_keeps_its_form(sheet):
    cells = sheet.page.cells
    ids = [cell.metadata.nbgrader.grade_id for cell in sheet.cells()]
    assert len(set(ids)) == len(ids)
    heads = [cell.source for cell in cells if cell.source.startswith("## ")]
    assert [head for head in heads if not HEAD.match(head)] == []
    assert len(heads) >= 6
    assert [head for head, answers, _ in tasks(sheet) if not answers] == []
    for place, cell in enumerate(cells):
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in sheet.solutions:
            check = cells[place + 1]
            assert check.source.endswith(f"checks.{name}({name})")
            assert "### BEGIN HIDDEN TESTS" in check.source
            assert check.metadata.nbgrader.locked
            assert check.metadata.nbgrader.points > 0
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)


def test_the_minutes_of_a_sheet_are_those_of_its_exercises(sheet):
    total = sum(
        int(found) for found in re.findall(r" · (\d+) minutes[, ]", "".join(cell.source for cell in sheet.page.cells))
    )
    head = re.search(
        r"take about (\d+) minutes, of which the machine needs about (\d+) seconds", sheet.page.cells[0].source
    )
    said, seconds = map(int, head.groups())
    assert abs(said - total) <= 2
    assert seconds <= budget_of(sheet.page) <= 2 * seconds
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"\(notebooks/exercises/{sheet.path.name}\) \|.*\| {said} min \|", readme)


def test_a_stub_is_not_attempted_and_raises_only_that(exercise):
    sheet, name = exercise
    stub = sheet.answer(name, sheet.stub(name))
    verdict = sheet.check(name)(stub)
    assert verdict.status is Status.NOT_ATTEMPTED
    assert name in verdict.message
    with pytest.raises(NotImplementedError):
        stub(*sheet.check(name).input(0))


def test_the_solution_is_right_and_tells_what_to_notice(exercise):
    sheet, name = exercise
    verdict = sheet.check(name)(sheet.surroundings[name])
    assert verdict.right, verdict
    assert len(verdict.message) > 20


def test_each_exercise_has_three_typical_wrong_answers():
    assert WRONG.keys() == {name for _, name in EXERCISES}
    assert all(len(edits) >= 3 for edits in WRONG.values())


@pytest.mark.usefixtures("known_once")
@pytest.mark.parametrize(
    ("name", "old", "new", "hint"),
    [
        pytest.param(name, *edit, id=f"{name}-{number}", marks=[pytest.mark.slow] * (name in TRAINED))
        for name, edits in WRONG.items()
        for number, edit in enumerate(edits)
    ],
)
def test_a_typical_wrong_answer_gets_the_hint_for_it(name, old, new, hint):
    sheet = by_name(name)
    assert old in sheet.solutions[name], "the edit fits no solution"
    verdict = sheet.check(name)(sheet.answer(name, sheet.solutions[name].replace(old, new)))
    assert verdict.status is Status.NOT_YET
    assert hint in verdict.message


def in_own_words(name, body):
    """Return the function whose body is this."""
    sheet = by_name(name)
    head = f"def {name}({', '.join(inspect.signature(sheet.surroundings[name]).parameters)}):\n"
    return sheet.answer(name, head + textwrap.indent(body.strip(), "    "))


def cases(table):
    """Name each answer by its exercise and number; those that train take long."""
    return [
        pytest.param(name, answer, id=f"{name}-{number}", marks=[pytest.mark.slow] * (name in TRAINED))
        for name, answers in table.items()
        for number, answer in enumerate(answers)
    ]


@pytest.mark.parametrize(("name", "body"), cases(other_answers.RIGHT))
def test_an_unusual_right_answer_is_right(name, body):
    verdict = by_name(name).check(name)(in_own_words(name, body))
    assert verdict.right, verdict


@pytest.mark.usefixtures("known_once")
@pytest.mark.parametrize(("name", "answer"), cases(other_answers.WRONG))
def test_a_wrong_answer_in_own_words_gets_a_hint_that_fits(name, answer):
    body, hint = answer
    verdict = by_name(name).check(name)(in_own_words(name, body))
    assert verdict.status is Status.NOT_YET
    assert hint in verdict.message
    assert len(verdict.message) <= LONGEST_REMARK


def test_fewer_outcomes_than_calls_are_not_right(exercise):
    sheet, name = exercise
    check = sheet.check(name)
    assert check.judge(check.seeds(), []).status is Status.NOT_YET


@pytest.mark.usefixtures("known_once")
def test_each_known_mistake_gets_its_own_hint(exercise):
    sheet, name = exercise
    check = sheet.check(name)
    seeds = check.seeds()
    for mistake in check.mistakes:
        verdict = check.judge(seeds, check.try_out(mistake.answer, seeds, without=()))
        assert verdict == Verdict(Status.NOT_YET, mistake.hint)


class Odd:
    """A result that resists being looked at."""

    def __eq__(self, other):
        return True

    __hash__ = None

    def __repr__(self):
        raise RuntimeError

    def __array__(self, *_):
        raise KeyError


def unlike_any(*_given):
    return {"answer": [Odd(), [1, [2]]]}


def leaving(*_given):
    exit()


def unsettling(*_given):
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    return torch.zeros(3, dtype=torch.bfloat16)


GARBAGE = [None, 7, "conv", list, Odd(), unlike_any, leaving, unsettling, lambda: 1, lambda *given: given, print]


@pytest.mark.slow
@pytest.mark.usefixtures("known_once")
def test_garbage_gets_a_verdict_and_changes_nothing(exercise):
    sheet, name = exercise
    for answer in GARBAGE:
        verdict = sheet.check(name)(answer)
        assert verdict.status is Status.NOT_YET
        assert len(verdict.message) > 10
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() is torch.float32


def test_an_answer_is_tried_with_the_usual_settings_whatever_is_set(exercise):
    sheet, name = exercise
    torch.set_grad_enabled(False)
    try:
        assert sheet.check(name)(sheet.surroundings[name]).right
        assert not torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)


def test_no_hint_tells_the_solution(exercise):
    sheet, name = exercise
    check = sheet.check(name)
    lines = [
        line.strip() for line in sheet.solutions[name].splitlines() if "return " in line and len(line.strip()) > 25
    ]
    said = [check.hint, *(mistake.hint for mistake in check.mistakes)]
    assert not [line for line in lines for hint in said if line.removeprefix("return ") in hint]


def changed_line(mutant: str, solution: str) -> str:
    return next((line.strip() for line in mutant.splitlines() if line not in solution.splitlines()), "")


@pytest.mark.slow
@pytest.mark.usefixtures("known_once")
@pytest.mark.parametrize("name", [name for _, name in EXERCISES if name not in MANY_ARE_RIGHT])
def test_mutants_of_the_solution_are_caught(name):
    sheet = by_name(name)
    solution = ast.unparse(ast.parse(sheet.solutions[name]))
    made = [(mutant, changed_line(mutant, solution)) for mutant in mutants(solution)]
    wrong = [mutant for mutant, line in made if line not in EQUIVALENT and "strict=False" not in line]
    survivors = [mutant for mutant in wrong if sheet.check(name)(sheet.answer(name, mutant)).right]
    table = json.loads(TABLE.read_text()) if TABLE.is_file() else {}
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(json.dumps(table | {name: [len(wrong), len(wrong) - len(survivors)]}, indent=1))
    assert not survivors, survivors[0]


def test_a_mutant_differs_in_one_place():
    source = "def f(a):\n    return a[0] < 1 + -a"
    found = mutants(source)
    assert len(found) == len(set(found)) == 8
    assert ast.unparse(ast.parse("def f(a):\n    return a[0] <= 1 + -a")) in found
