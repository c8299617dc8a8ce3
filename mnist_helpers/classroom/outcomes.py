"""What came of a check, as text that is safe to read: numbers, arrays, words, and lists of them, and nothing that runs.

A submission's process writes it, and the marking process reads it. So nothing is unpickled, and nothing is believed.
"""

import base64
import json
import math
import re
from typing import Any
from unicodedata import category

import numpy as np

from mnist_helpers.checks.exercise import Outcome, words

LARGEST = 20_000_000  # characters of one check's outcomes
KINDS = "iufbc"  # of numbers that an array may hold: no objects
LONGEST_WORDS = 200
MOST_VALUES = 500_000  # in the lists of one check's outcomes
LONGEST_EMPTY = 10_000  # sides of an array that holds nothing


def harmless(text: str) -> str:
    """Return a stranger's text without what files and terminals stumble over: half characters, control characters."""
    whole = text.encode("utf-8", "replace").decode()
    return "".join(letter if letter in "\n\t" or category(letter) != "Cc" else "?" for letter in whole)


class Stranger:
    """Stands for an object that was not carried over; only its text was."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def write_outcomes(outcomes: list[Outcome]) -> str:
    """Write outcomes as JSON; a value that is too large becomes an error."""
    written = [
        {"value": _write(one.value), "error": str(one.error)[:LONGEST_WORDS], "changed": bool(one.changed_input)}
        for one in outcomes
    ]
    text = json.dumps(written)
    if len(text) > LARGEST:
        return json.dumps([{"value": None, "error": "ValueError: the result is far too large", "changed": False}])
    return text


def read_outcomes(text: str) -> list[Outcome]:
    """Read what `write_outcomes` wrote.

    Raises: ValueError if it was written by something else.
    """
    if len(text) > LARGEST or text.count(",") > MOST_VALUES:
        raise ValueError("more than a check writes")
    try:
        return [
            Outcome(_read(one["value"]), harmless(str(one["error"]))[:LONGEST_WORDS], bool(one["changed"]))
            for one in json.loads(text)
        ]
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"not what a check writes ({type(error).__name__})") from error


def _write(value: Any) -> Any:
    if type(value) in (type(None), bool, int, float, str):  # np.float64 is a float too, and belongs to the arrays
        return value
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind in KINDS:
            data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
            return {"array": data, "dtype": array.dtype.str, "shape": list(array.shape)}
    if isinstance(value, list):
        return [_write(one) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [_write(one) for one in value]}
    if isinstance(value, dict):
        return {"dict": [[_write(name), _write(one)] for name, one in value.items()]}
    return {"words": words(value, repr)[:LONGEST_WORDS]}


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(one) for one in value]
    if isinstance(value, str):
        return harmless(value[:LONGEST_WORDS])
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return _read_array(value)
    if "tuple" in value:
        return tuple(_read(one) for one in value["tuple"])
    if "dict" in value:
        return {_read(name): _read(one) for name, one in value["dict"]}
    return Stranger(harmless(str(value.get("words", ""))[:LONGEST_WORDS]))


def _read_array(value: dict) -> np.ndarray:
    name, shape = str(value["dtype"]), [int(side) for side in value["shape"][:32]]
    data = base64.b64decode(value["array"])
    if not re.fullmatch(r"[<>|=]?[iufbc]\d{1,2}", name) or not all(0 <= side <= LARGEST for side in shape):
        raise ValueError("an array of no known kind")
    dtype, empty = np.dtype(name), 0 in shape
    if math.prod(shape) * dtype.itemsize != len(data) or (empty and max(shape) > LONGEST_EMPTY):
        raise ValueError("an array that is not what it says")
    return np.frombuffer(data, dtype).reshape(shape)
