"""The papers of a mock exam: six tasks from the bank for everybody, with numbers of its own on each student's paper."""

import functools
import hashlib
import random as shuffling
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mnist_helpers.checks.bank import TOPICS, Task
from mnist_helpers.checks.exercise import Exercise, Verdict
from mnist_helpers.errors import CourseError

MINUTES, POINTS = 15, 5  # for a task


@dataclass(frozen=True)
class Question:
    """A task on a paper: what its function is called, and the paper's numbers."""

    task: Task
    name: str
    numbers: dict[str, Any]

    @property
    def text(self) -> str:
        """What is asked for."""
        return self.task.text.format(**self.numbers)

    @cached_property
    def exercise(self) -> Exercise:
        """The exercise that judges an answer to it."""
        return self.task.exercise(self.name, self.numbers)


@dataclass(frozen=True)
class Paper:
    """One student's paper of an exam."""

    questions: dict[str, Question]

    def look(self, name: str, answer: Callable) -> None:
        """Say whether an answer can be called and returns the right kind of thing; not whether it is right."""
        print(self._question(name).exercise.look(answer))

    def check(self, name: str, answer: Callable) -> Verdict:
        """Judge an answer, as marking does.

        Raises: CourseError if there is no such task on this paper; so does `look`.
        """
        return self._question(name).exercise(answer)

    def _question(self, name: str) -> Question:
        if name not in self.questions:
            raise CourseError(f"This paper has no task {name!r}. Is the line `paper = …` as it was handed out?")
        return self.questions[name]


@functools.lru_cache(maxsize=1_000)
def paper(seed: int, owner: str) -> Paper:
    """Return a student's paper of the exam with this seed: the same one each time.

    The seed draws the tasks and their functions' names; seed and owner together draw the numbers.
    """
    for_all = shuffling.Random(f"exam {seed}")
    questions = {}
    for topic, tasks in TOPICS.items():
        own = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed} {owner} {topic}".encode()).digest()))
        task = for_all.choice(tasks)
        name = for_all.choice(task.names)
        questions[name] = Question(task, name, task.numbers(own))
    return Paper(questions)
