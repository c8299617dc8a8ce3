"""An exercise that checks itself: the learner's function meets fresh input, beside one that is known to be right.

A check has two halves, so that marking can keep them apart: `try_out` runs the learner's function and returns what came
of it as plain data; `judge` compares that with the truth, and needs nothing of the learner's.
"""

import contextlib
import io
import re
import secrets
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode

from mnist_helpers.checks.inputs import seeded

ROUNDS = 20
LONGEST_SHOWN = 160  # characters of an input or a result in a message
LONGEST_REMARK = 300  # characters of what a check says
SINGLE = frozenset({int, float, bool, str})
CONTAINERS = (list, tuple, dict, set, frozenset)
MOST_THINGS, MOST_NUMBERS = 100_000, 1_000_000  # in the lists, and in the arrays, of a result that is looked at
OF_SHAPE = "numbers of shape"  # how long ones are shown
RELATIVE, ABSOLUTE = 1e-4, 1e-5  # how far a fractional number may be off


class Status(StrEnum):
    """How an answer does."""

    NOT_ATTEMPTED = "Not attempted"
    NOT_YET = "Not yet"
    RIGHT = "Right"


@dataclass(frozen=True)
class Verdict:
    """How an answer does, and a hint, or what to notice; `rank`, where a class is ranked: the smaller the better."""

    status: Status
    message: str
    rank: float | None = None

    @property
    def right(self) -> bool:
        """Whether the answer is right."""
        return self.status is Status.RIGHT

    def __str__(self) -> str:
        return f"{self.status}. {self.message}"

    def _ipython_display_(self) -> None:
        # nbgrader gives a cell that wrote to stderr no points, in its Validate button as in its marking.
        print(self, file=sys.stdout if self.right else sys.stderr)


@dataclass(frozen=True)
class Outcome:
    """What came of one call: a value, or the error it ended with; and whether the input was changed by it."""

    value: Any = None
    error: str = ""
    changed_input: bool = False


@dataclass(frozen=True)
class Mistake:
    """An answer that is often given and wrong, and the hint for it."""

    answer: Callable[..., Any]
    hint: str


@dataclass(frozen=True)
class Gap:
    """Input that is often forgotten: answers are right where `covered` holds, and wrong in half of the rest or more."""

    covered: Callable[..., bool]
    hint: str


@dataclass(frozen=True)
class Exercise:
    """An exercise whose answer is a function; calling the exercise with that function checks it.

    `draw` makes a fresh input from a generator of random numbers, and `solve` the truth for it. The inputs of `edges`
    are tried first; a negative seed stands for each, -1 for the first. Where many results are right, `examine` takes
    the place of a comparison: it gets the result and the input and returns a hint, or nothing if all is well. `measure`
    turns a result that is no plain data (a network) into what is compared. In a challenge, `rank` says of a right
    result by which number it is compared with those of others, and how it did.
    """

    name: str
    solve: Callable[..., Any]
    draw: Callable[[np.random.Generator], tuple]
    notice: str
    hint: str
    mistakes: Sequence[Mistake] = ()
    gaps: Sequence[Gap] = ()  # looked at if it is no known mistake
    examine: Callable[..., str | None] | None = None
    measure: Callable[..., Any] | None = None
    rank: Callable[..., tuple[float, str]] | None = None
    by_hand: Sequence[str] = ()  # patterns: functions of torch with such a name are not to be used
    twice: bool = False  # the answer is called twice with the same input, and `examine` gets both results
    rounds: int = ROUNDS  # with inputs drawn at random
    seconds: int = 20  # of a processor, that judging may take
    edges: Sequence[Callable[[], tuple]] = ()  # inputs that chance may miss (nothing, all, the last): met every time

    def __call__(self, answer: Callable[..., Any]) -> Verdict:
        """Check an answer with fresh input."""
        seeds = self.seeds()
        with usual_torch():
            return self.judge(seeds, self.try_out(answer, seeds))

    def look(self, answer: Callable[..., Any]) -> str:
        """Say whether an answer can be called and returns the right kind of thing, but not whether it is right."""
        seeds = self.seeds()
        plainly = replace(self, mistakes=(), gaps=())  # whose hints would say more
        with usual_torch():
            for seed, outcome in zip(seeds, self.try_out(answer, seeds), strict=False):
                if outcome.error or outcome.changed_input:
                    return str(plainly.judge([seed], [outcome]))
                if amiss := unlike_in_kind(outcome.value, self._call(self.solve, seed).value):
                    return f"{Status.NOT_YET}. {amiss}"
        return f"{self.name} runs, and returns the right kind of thing. Whether it is right, the marking says."

    def try_out(
        self, answer: Callable[..., Any], seeds: Sequence[int], without: Sequence[str] | None = None
    ) -> list[Outcome]:
        """Call an answer with the input of each seed; stop after the first error, but try all edges."""
        outcomes: list[Outcome] = []
        for seed in seeds:
            outcomes.append(self._call(answer, seed, self.by_hand if without is None else without))
            if outcomes[-1].error and seed >= 0:
                break
        return outcomes

    def judge(self, seeds: Sequence[int], outcomes: Sequence[Outcome]) -> Verdict:
        """Compare outcomes with the truth for the input of each seed; fewer outcomes than seeds end with an error."""
        if any(crowded(outcome.value) for outcome in outcomes):
            outcomes = [TOO_LARGE]
        if outcomes and outcomes[0].error == "NotImplementedError: ":  # torch's own have a message
            return Verdict(
                Status.NOT_ATTEMPTED,
                f"Write {self.name}, or a function that it calls, in place of the line that raises.",
            )
        if any(outcome.changed_input for outcome in outcomes):
            return Verdict(
                Status.NOT_YET, f"The function changes what it was given. {copied(self._lent(self.input(seeds[0])))}"
            )
        for seed, outcome in zip(seeds, outcomes, strict=False):
            if not self._right(seed, outcome):
                hint = self._known_mistake(seeds, outcomes) or self._gap(seeds, outcomes)
                hint = hint or self._hint(seed, outcome, self._habit(seeds, outcomes) or self.hint)
                return Verdict(Status.NOT_YET, cut(hint, LONGEST_REMARK))
        if len(outcomes) < len(seeds):
            return Verdict(Status.NOT_YET, "Not every call came to an end.")
        if self.rank is None:
            return Verdict(Status.RIGHT, self.notice)
        rank, words_of_it = self.rank(outcomes[0].value, *self.input(seeds[0]))
        return Verdict(Status.RIGHT, f"{words_of_it} {self.notice}", rank)

    def seeds(self) -> list[int]:
        """Return a seed for each edge, and draw one for each round."""
        edges = [-number for number, _ in enumerate(self.edges, start=1)]
        return edges + [secrets.randbits(32) for _ in range(self.rounds)]

    def input(self, seed: int) -> tuple:
        """Return the input that belongs to a seed."""
        return self.edges[-seed - 1]() if seed < 0 else self.draw(np.random.default_rng(seed))

    def _call(self, answer: Callable[..., Any], seed: int, without: Sequence[str] = ()) -> Outcome:
        given = self.input(seed)
        if not callable(answer):
            return Outcome(error=f"TypeError: {shown(answer)} is not a function. Hand over the function, not a result")
        before = [snapshot(one) for one in self._lent(given)]
        try:
            with quiet(), NotBy(without), usual_torch(), seeded(seed):
                value = (answer(*given), answer(*given)) if self.twice else answer(*given)
                if not torch.is_grad_enabled():
                    raise UnfitError("Gradients are still off when it ends: use `with torch.no_grad():` for a part")
                if torch.get_default_dtype() != torch.float32:
                    raise UnfitError(
                        "It changes torch's default type of numbers for the whole page: leave that as it is"
                    )
                changed = not same([snapshot(one) for one in self._lent(given)], before)
                value = self._measured(value, given)
                return TOO_LARGE if crowded(value) else Outcome(plain(value), changed_input=changed)
        except (Exception, SystemExit) as error:  # the learner's, of any kind
            return Outcome(error=cut(f"{type(error).__name__}: {words(error)}", LONGEST_REMARK))

    def _lent(self, given: tuple) -> tuple:
        """Return what an answer is to leave as it is. What is measured may change networks: that is its task."""
        return tuple(one for one in given if not (self.measure and isinstance(one, nn.Module | Optimizer)))

    def _measured(self, value: Any, given: tuple) -> Any:
        if self.measure is None:
            return value
        try:
            return self.measure(value, *given)
        except Exception as error:  # not the answer's: it has come to its end
            raise UnfitError(f"{type(error).__name__}: {words(error)}") from error

    def _hint(self, seed: int, outcome: Outcome, of_the_numbers: str) -> str:
        """Say what is wrong with an outcome that is not right: `of_the_numbers` is said if its form is right."""
        given = self.input(seed)
        if outcome.error.startswith(UnfitError.__name__):
            return f"What came of it cannot be used. {outcome.error.partition(': ')[2].rstrip('.')}."
        if outcome.error:
            case = f"{self.name}{shown(given)}"
            call = f" The call was {case}." if len(case) < LONGEST_SHOWN and OF_SHAPE not in case else ""
            return f"The function stopped with {cut(outcome.error.rstrip('.'))}.{call}"
        if self.examine:
            return self._examined(outcome.value, given)
        truth = self._call(self.solve, seed).value
        case = f"{self.name}{shown(given)} gave {shown(outcome.value)}"
        example = f" For example, {case}." if len(case) < LONGEST_SHOWN and OF_SHAPE not in case else ""
        return (difference_in_form(outcome.value, truth) or of_the_numbers) + example

    def _right(self, seed: int, outcome: Outcome) -> bool:
        """Say whether an outcome is right, without words for what is wrong."""
        if outcome.error:
            return False
        if self.examine:
            return not self._examined(outcome.value, self.input(seed))
        return same(outcome.value, self._call(self.solve, seed).value)

    def _examined(self, value: Any, given: tuple) -> str:
        """Say what `examine` finds wrong; a result that it cannot even look at is of the wrong kind."""
        try:
            return self.examine(value, *given) or ""
        except Exception:  # whatever an object of the learner's raises
            return f"The result is not of the kind that is asked for. It is {shown(value)}."

    def _known_mistake(self, seeds: Sequence[int], outcomes: Sequence[Outcome]) -> str:
        """Return the hint for the mistake whose results are those of the answer, if it is a known one.

        At the edges the same mistake may show in many ways, so they count only if nothing else is wrong.
        """
        tried = list(zip(seeds, outcomes, strict=False))
        drawn = [(seed, outcome) for seed, outcome in tried if seed >= 0]
        tried = drawn if not all(self._right(seed, outcome) for seed, outcome in drawn) else tried
        for mistake in self.mistakes:
            if all(alike(outcome, self._call(mistake.answer, seed)) for seed, outcome in tried):
                return mistake.hint
        return ""

    def _gap(self, seeds: Sequence[int], outcomes: Sequence[Outcome]) -> str:
        """Return the hint for the kind of input that the answer does not do well with, if it is a known one."""
        tried = list(zip(seeds, outcomes, strict=False)) if self.gaps else []
        right = [self._right(seed, outcome) for seed, outcome in tried]
        for gap in self.gaps:
            covered = [bool(gap.covered(*self.input(seed))) for seed, _ in tried]
            inside = [well for well, known in zip(right, covered, strict=True) if known]
            outside = [well for well, known in zip(right, covered, strict=True) if not known]
            if inside and all(inside) and 2 * sum(outside) <= len(outside):
                return gap.hint
        return ""

    def _habit(self, seeds: Sequence[int], outcomes: Sequence[Outcome]) -> str:
        """Return the hint for what may be amiss with any answer: it looks at something else, or rounds."""
        if self.examine or any(outcome.error for outcome in outcomes):
            return ""
        truths = [self._call(self.solve, seed) for seed in seeds]
        unlike = len(outcomes) > 2 and not all(alike(truth, truths[0]) for truth in truths)
        if unlike and all(alike(outcome, outcomes[0]) for outcome in outcomes):
            return "It returns the same whatever it is given. Does it look at a variable of the page instead?"
        if unlike and adds_up([one.value for one in outcomes], [one.value for one in truths]):
            return "Each call adds to the result of the one before. Make what you add to inside the function, anew."
        if all(rounded(one.value, truth.value) for one, truth in zip(outcomes, truths, strict=False)):
            return "They are rounded. Return them as they are."
        return ""


def exercise(**settings: Any) -> Callable[[Callable[..., Any]], Exercise]:
    """Make an exercise of the function that solves it."""
    return lambda solve: Exercise(name=solve.__name__, solve=solve, **settings)


class UnfitError(Exception):
    """What an answer returned or left behind cannot be looked at."""


TOO_LARGE = Outcome(error=f"{UnfitError.__name__}: The result is far larger than what is asked for.")


class NotByHandError(Exception):
    """Something was left to torch that the learner is to write."""


class NotBy(TorchFunctionMode):
    """While it holds, some functions of torch raise: what they do is to be written by hand."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = names

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if any(re.search(name, getattr(function, "__name__", "")) for name in self.names):
            raise NotByHandError(f"{function.__name__} was called, and this is to be written without it")
        return function(*args, **(kwargs or {}))


@contextlib.contextmanager
def usual_torch() -> Iterator[None]:
    """Compute with torch's usual settings, whatever a learner has set, and leave none behind that an answer sets."""
    kind, learning = torch.get_default_dtype(), torch.is_grad_enabled()
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(kind)
        torch.set_grad_enabled(learning)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let an answer print and warn unheard: a check says one thing."""
    with contextlib.ExitStack() as silence:
        silence.enter_context(contextlib.redirect_stdout(io.StringIO()))
        silence.enter_context(contextlib.redirect_stderr(io.StringIO()))
        silence.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


def crowded(value: Any) -> bool:
    """Say whether there is more in a value than an exercise asks for, and stop counting then."""
    things, numbers_in_all, waiting = 0, 0, [value]
    while waiting and things <= MOST_THINGS and numbers_in_all <= MOST_NUMBERS:
        one = waiting.pop()
        if isinstance(one, Tensor | np.ndarray):
            things += 1
            numbers_in_all += max(one.numel() if isinstance(one, Tensor) else one.size, *one.shape, 0)
        elif isinstance(one, CONTAINERS):
            things += 1 + len(one) * (2 if isinstance(one, dict) else 1)
            if things <= MOST_THINGS:
                inside = [*one.keys(), *one.values()] if isinstance(one, dict) else one
                waiting += [part for part in inside if type(part) not in SINGLE]
    return things > MOST_THINGS or numbers_in_all > MOST_NUMBERS


def snapshot(value: Any) -> Any:
    """Return as plain data what a function can change in what it is given: numbers, modes, who learns, settings."""
    if isinstance(value, Tensor):
        return {"values": plain(value), "learns": value.requires_grad}
    if isinstance(value, nn.Module):
        parts = [vars(part) for part in value.modules()]  # `training`, and a dropout's `p`
        settings = [{name: one for name, one in part.items() if isinstance(one, int | float | str)} for part in parts]
        learns = [parameter.requires_grad for parameter in value.parameters()]
        return {"settings": settings, "learns": learns, "weights": plain(dict(value.state_dict()))}
    return plain(value)


def plain(value: Any) -> Any:
    """Turn tensors into arrays, and leave numbers, strings, lists, tuples and dicts of them; copy everything."""
    if type(value) in SINGLE:  # the most frequent, in long lists
        return value
    if isinstance(value, torch.Tensor):
        value = value.float() if value.dtype == torch.bfloat16 else value  # NumPy has no such numbers
        return value.detach().cpu().numpy().copy()
    if isinstance(value, torch.nn.Module):
        return {"training": value.training, **plain(dict(value.state_dict()))}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value)) if type(value) in (list, tuple) else tuple(map(plain, value))
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return value.copy() if isinstance(value, np.ndarray) else value


def same(value: Any, truth: Any) -> bool:
    """Say whether two plain values agree: whole numbers and words exactly, fractional numbers up to rounding."""
    if isinstance(truth, dict):
        return isinstance(value, dict) and value.keys() == truth.keys() and all(same(value[k], truth[k]) for k in truth)
    if isinstance(truth, list | tuple):
        if isinstance(value, np.ndarray) and value.ndim and len(value) == len(truth):
            value = list(value)
        return isinstance(value, list | tuple) and len(value) == len(truth) and all(map(same, value, truth))
    right = numbers(truth)
    if right is not None:
        value = numbers(value)
        if value is None or (value.shape != right.shape and not (value.size == right.size == 1 and value.ndim)):
            return False  # a row of one number does for a number, but not the other way round
        value = value.reshape(right.shape)
        if right.dtype.kind in "iub":
            return bool((value == right).all())
        return np.allclose(value, right, RELATIVE, ABSOLUTE, equal_nan=True)
    if isinstance(truth, torch.nn.Module):  # a network or a layer is compared by what `measure` makes of it
        return True
    return type(value) is type(truth) and bool(value == truth)


def numbers(value: Any) -> np.ndarray | None:
    """Return a number, an array, or a list of numbers as an array; None for anything else."""
    if isinstance(value, str | bytes):  # however long
        return None
    try:
        array = np.asarray(value)
    except Exception:  # rows of different lengths, and whatever an object of the learner's raises
        return None
    return array if array.dtype.kind in "iufb" else None


def rounded(value: Any, truth: Any) -> bool:
    """Say whether a value, or the first thing in it that is no right one, is the truth with one to five decimals."""
    if isinstance(truth, tuple) and isinstance(value, tuple) and len(value) == len(truth):
        return next(
            (rounded(one, other) for one, other in zip(value, truth, strict=True) if not same(one, other)), True
        )
    found, right = numbers(value), numbers(truth)
    if found is None or right is None or found.shape != right.shape or right.dtype.kind != "f" or not found.any():
        return False
    return any(np.allclose(found, right.round(places), rtol=1e-6, atol=1e-7) for places in range(1, 6))


def adds_up(values: Sequence, truths: Sequence) -> bool:
    """Say whether each value is the sum of all truths so far: what it adds to outlives a call."""
    right = [numbers(truth) for truth in truths]
    if any(one is None or one.shape != right[0].shape for one in right):
        return False
    return all(same(value, total) for value, total in zip(values, np.cumsum(right, axis=0), strict=False))


def alike(outcome: Outcome, expected: Outcome) -> bool:
    """Say whether two calls came to the same: the same value, or the same error."""
    return outcome.error == expected.error and same(outcome.value, expected.value)


def difference_in_form(value: Any, truth: Any, finite: bool = True) -> str:
    """Say how a value differs from the truth in its form; nothing if only its numbers differ.

    NaN and infinity count as a difference, unless `finite` is off.
    """
    if value is None:
        return "The function returns None. Does it end with `return`?"
    if isinstance(truth, tuple | list):
        if not isinstance(value, tuple | list) or len(value) != len(truth):
            return f"The result should be a tuple of length {len(truth)}, and it is {shown(value)}."
        parts = zip(value, truth, strict=True)
        return next(filter(None, (difference_in_form(one, other, finite) for one, other in parts)), "")
    if isinstance(truth, dict) and isinstance(value, dict):  # each key says what is wrong where its values differ
        return next((said for said in truth if not same(value.get(said), truth[said])), "")
    found, right = numbers(value), numbers(truth)
    if right is None:
        return ""
    if found is None and isinstance(value, tuple):
        return f"The function returns {len(value)} things, and one is asked for."
    if found is None:
        return f"The result should be made of numbers, and it is {shown(value)}."
    if found.shape != right.shape and not found.size == right.size == 1:
        return f"The result {form(found)}, and should {form(right, 'be', 'have')}."
    if finite and np.isnan(found).any():
        return "The result holds NaN: somewhere zero is divided by zero, or something is too large for its numbers."
    if finite and np.isinf(found).any() and not np.isinf(right).any():
        return "The result holds an infinite number: something is too large for its numbers, or the logarithm of zero."
    return ""


def unlike_in_kind(value: Any, truth: Any) -> str:
    """Say how a value differs from the truth in kind; not how long a list should be, nor that a number is NaN."""
    if isinstance(truth, list | tuple) and isinstance(value, np.ndarray) and value.ndim:
        value = list(value)
    if not isinstance(truth, list) or value is None:
        return difference_in_form(value, truth, finite=False)
    return "" if isinstance(value, list | tuple) else f"The result should be a list, and it is {shown(value)}."


def copied(given: tuple) -> str:
    """Say how to leave alone what was given."""
    if any(isinstance(one, torch.nn.Module) for one in given):
        return "Put back what you change in the network, its weights and its mode, or work on a copy."
    return f"Copy that first, with `{'list(…)' if any(isinstance(one, list) for one in given) else '.clone()'}`."


def number(value: Any) -> float | str | None:
    """Return the number in what should be one, None for None, and for anything else its kind, which a hint shows."""
    if value is None or isinstance(value, int | float):
        return value
    found = None if crowded(value) else numbers(plain(value))
    return found.item() if found is not None and found.shape == () else f"a {type(value).__name__}"


def form(array: np.ndarray, is_: str = "is", has: str = "has") -> str:
    """Describe the shape of an array in words."""
    return f"{has} the shape {array.shape}" if array.ndim else f"{is_} one number"


def no_network(kind: str) -> str:
    """Say that something of another kind was returned in place of a network."""
    if kind == "NoneType":
        return "The function returns None. Does it end with `return`?"
    if kind == "type":
        return "It returns a class. Put brackets behind its name, so that a network is made of it."
    return f"It should return a network (an nn.Module), and returned a {kind}."


def shown(value: Any) -> str:
    """Write a value as a reader would, on one line; long ones by their shape, or cut."""
    if isinstance(value, tuple):
        return cut(f"({', '.join(map(shown, value[:LONGEST_SHOWN]))})")
    if isinstance(value, np.ndarray | torch.Tensor):
        if np.prod(value.shape, dtype=int) > 12 or 0 in value.shape:
            return cut(f"{OF_SHAPE} {tuple(value.shape)}")
        return cut(str(value.tolist()))
    if isinstance(value, float):
        return f"{value:.4g}"
    return cut(words(value, repr))


def cut(text: str, most: int = LONGEST_SHOWN) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 2]} …"


def words(value: Any, write: Callable[[Any], str] = str) -> str:
    """Write a learner's object in words, also one that cannot be written."""
    try:
        return write(value)
    except Exception:
        return f"<{type(value).__name__}>"
