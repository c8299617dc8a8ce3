"""Doubtful labels put to the vote: one says what a digit is, and then sees its label and what others said."""

from dataclasses import dataclass

import ipywidgets
from matplotlib.figure import Figure
from torch import Tensor

from mnist_helpers.pages import Shown, guarded
from mnist_helpers.visualization import draw_images

NEITHER = "neither, or I cannot say"


@dataclass(frozen=True)
class Question:
    """A suspect image: its published label, another reading, and how many of five people were for each."""

    image: Tensor  # (1, 28, 28) uint8
    label: int
    other: int
    for_label: int
    for_other: int

    @property
    def choices(self) -> tuple[str, str, str]:
        """Return what may be answered; the order does not tell which of the two is the label."""
        low, high = sorted((self.label, self.other))
        return f"a {low}", f"a {high}", NEITHER


class LabelVote(ipywidgets.VBox):
    """A doubtful digit and three buttons: what is it? After each vote come its label and what five people said."""

    def __init__(self, images: Tensor, votes: list[dict[str, int]]) -> None:
        """Put suspect labels to the vote, a row of `votes` each: image, label, other, for_label and for_other.

        Shapes: images (N, 1, 28, 28) uint8, those that the rows count by their places.
        """
        names = ("label", "other", "for_label", "for_other")
        self.questions = [Question(images[row["image"]], *(row[name] for name in names)) for row in votes]
        self.answers: list[str] = []
        self.shown, self.told = Shown(), ipywidgets.HTML()
        self.buttons = [ipywidgets.Button(layout={"width": "auto"}) for _ in range(3)]
        for place, button in enumerate(self.buttons):
            button.on_click(guarded(self.shown, lambda place=place: self.vote(place)))
        super().__init__([self.shown, ipywidgets.HBox(self.buttons), self.told])
        self._ask()

    @property
    def confirmed(self) -> int:
        """Return how many of the labels that were voted on so far the voter confirmed."""
        return sum(f"a {asked.label}" == given for asked, given in zip(self.questions, self.answers, strict=False))

    def vote(self, choice: int) -> None:
        """Answer the question that is open by one of its choices, and open the next."""
        asked = self.questions[len(self.answers)]
        self.answers.append(asked.choices[choice])
        self.told.value = (
            f"<p role='status'>You said {asked.choices[choice]}. The published label is {asked.label}: "
            f"{asked.for_label} of five people confirmed it, and {asked.for_other} said {asked.other}. "
            f"You have confirmed {self.confirmed} of {len(self.answers)} labels.</p>"
        )
        self._ask()

    def _ask(self) -> None:
        place, count = len(self.answers), len(self.questions)
        if place == count:
            self.shown.say(f"That was the last one. You confirmed {self.confirmed} of {count} labels.")
            for button in self.buttons:
                button.disabled = True
            return
        asked = self.questions[place]
        for button, choice in zip(self.buttons, asked.choices, strict=True):
            button.description = choice
        figure = Figure(figsize=(2, 2), layout="constrained")
        draw_images(figure.subplots(), asked.image)
        words = f"Image {place + 1} of {count}. What is it?"
        self.shown.draw(figure, words, f"A handwritten digit that may be {asked.choices[0]} or {asked.choices[1]}.")
