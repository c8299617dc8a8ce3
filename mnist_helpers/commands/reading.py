"""Commands for other people's pictures: read the digits in them."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import matplotlib.pyplot as plt
import torch
import typer

from mnist_helpers import evaluation, visualization
from mnist_helpers.commands.loading import Checkpoint, Json, load, save_figure
from mnist_helpers.commands.terminal import say
from mnist_helpers.datasets import DATASETS, DataError
from mnist_helpers.errors import UsageError
from mnist_helpers.reading import tables
from mnist_helpers.reading.pictures import PictureError, open_picture
from mnist_helpers.reading.preprocessing import first_steps, several_digits
from mnist_helpers.reading.reader import LEAST_ENERGY, DigitReading, Reader, is_sure
from mnist_helpers.runtime import real_path

MOST_ROWS = 40  # of the picture that `predict --show` writes
STEPS = {
    "grey": "picture",
    "paper": "paper without ink",
    "ink": "ink",
    "cropped": "digit",
    "digit": "as the network sees it",
}


@dataclass(frozen=True)
class Answer:
    """What is said of one digit, or of a picture in which none can be read: `error` says why.

    A row of a table is a digit already: it has probabilities and no `reading`, which knows a place in a picture.
    """

    name: str
    probabilities: torch.Tensor | None = None
    reading: DigitReading | None = None
    error: str | None = None

    def as_json(self) -> str:
        """Return the answer as an object of JSON, in a line."""
        known, found = self.probabilities is not None, self.reading
        facts = {"image": self.name, "digit": int(self.probabilities.argmax()) if known else None}
        facts |= {"probabilities": self.probabilities.tolist() if known else [], "error": self.error}
        facts |= {"sure": self._is_sure(), "perhaps_no_digit": bool(found and found.perhaps_no_digit)}
        facts |= {"box": list(found.box) if found else None}
        facts |= {name: getattr(found, name) if found else None for name in ("row", "place", "turned")}
        return json.dumps(facts)

    def _is_sure(self) -> bool:
        if self.reading:
            return self.reading.sure
        return self.probabilities is not None and is_sure(self.probabilities)

    def as_text(self, classes: list[str]) -> str:
        """Return the answer as a line for a person."""
        if self.probabilities is None:
            return f"error: {self.error}" if self.name in self.error else f"error: {self.name}: {self.error}"
        best = self.probabilities.argsort(descending=True)[:3].tolist()
        likely = ", ".join(f"{classes[label]} {self.probabilities[label]:.1%}" for label in best)
        line = f"{self.name}: {classes[best[0]]}   ({likely})"
        if self.reading and self.reading.perhaps_no_digit:
            line += "   perhaps no digit"
        elif not self._is_sure():
            line += f"   unsure: {classes[best[0]]} or {classes[best[1]]}"
        if self.reading and self.reading.turned:
            line += f"   turned by {self.reading.turned}°"
        return line


def predict(
    images: Annotated[list[Path], typer.Argument(help="picture files, or a CSV file of images, a line each")],
    checkpoint: Checkpoint = None,
    as_json: Json = False,
    json_lines: Annotated[bool, typer.Option("--json-lines", help="print JSON, a line a digit, as they come")] = False,
    every: Annotated[bool, typer.Option("--all", help="read every digit of a picture, row by row")] = False,
    turn: Annotated[Literal["none", "auto"], typer.Option(help="auto: try four directions")] = "none",
    show: Annotated[Path | None, typer.Option(help="write a picture of every step to this PNG file")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
) -> None:
    """Read the digit in each picture."""
    if show and real_path(show) in map(real_path, images):
        raise UsageError(f"--show {show} would write over that picture. Name another file.")
    if as_json and json_lines:
        raise UsageError("Name one of --json and --json-lines.")
    model, card = load(checkpoint, device)
    reader = Reader(model, LEAST_ENERGY) if checkpoint is None else Reader(model)
    shown, count, read = [], 0, 0
    for answer in _answers(images, reader, every, turn == "auto", card.dataset):
        if as_json:  # begun before the last is known: what is printed is held in no memory
            say(("[" if count == 0 else ", ") + answer.as_json(), end="")
        elif json_lines:
            say(answer.as_json())
        if answer.error or not (as_json or json_lines):
            say(answer.as_text(card.classes).replace("\n", r"\n"), err=bool(answer.error))
        count, read = count + 1, read + (answer.error is None)
        if show and len(shown) < MOST_ROWS and (answer.reading or not tables.is_table(Path(answer.name))):
            shown.append(answer)
    if as_json:
        say("]" if count else "[]")
    if show:
        _show(show, [answer for answer in shown if answer.reading or answer.error], count, card.classes)
    raise typer.Exit(int(read < count))


def _answers(paths: list[Path], reader: Reader, every: bool, turn: bool, dataset: str) -> Iterator[Answer]:
    """Yield an answer for each digit in pictures and tables, in their order."""
    together: list[Path] = []
    for path in [*paths, None]:  # pictures between two tables are read side by side
        if path is not None and not tables.is_table(path):
            together.append(path)
            continue
        for picture, found in reader.read_files(together, turn):
            yield from _of_a_picture(str(picture), found, every)
        together = []
        if path is not None:
            yield from _of_a_table(path, reader.model, dataset)


def _of_a_picture(name: str, found: list[DigitReading] | PictureError, every: bool) -> Iterator[Answer]:
    if isinstance(found, PictureError):
        # The name stands in front of every message, so a message need not repeat it.
        yield Answer(name, error=str(found))
    elif len(found) > 1 and not every:
        yield Answer(name, error=several_digits(len(found)))
    else:
        yield from (Answer(name, reading.probabilities, reading) for reading in found)


def _of_a_table(path: Path, model: torch.nn.Module, dataset: str) -> Iterator[Answer]:
    try:
        images = tables.load_pictures(path, dataset if dataset in DATASETS else "mnist")
    except DataError as error:
        yield Answer(str(path), error=str(error))
        return
    probabilities = evaluation.predict_logits(model, images).softmax(dim=1)
    for number, row in enumerate(probabilities, start=1):
        yield Answer(f"{path}, row {number}", row)


def _show(path: Path, answers: list[Answer], count: int, classes: list[str]) -> None:
    """Draw the steps of digits, and of pictures that were refused as far as they came."""
    rows = [(answer, steps) for answer in answers if (steps := _steps(answer)) is not None]
    if not rows:
        if count and not answers:
            said = "the images of a table are digits already, and have no steps"
            say(f"{path} was not written: {said}", err=True)
        return
    if count > MOST_ROWS:
        say(f"{path} shows the first {MOST_ROWS} of {count} digits", err=True)
    size = (12, 2.3 * len(rows))
    figure, axes = plt.subplots(len(rows), 6, figsize=size, layout="constrained", squeeze=False)
    for row, (answer, steps) in zip(axes, rows, strict=True):
        for ax, picture, title in zip(row, steps, STEPS.values(), strict=False):
            visualization.draw_images(ax, picture, [title])
        name = os.fsencode(Path(answer.name).name[-24:]).decode(errors="replace")
        row[0].set_title(name, fontsize=9, parse_math=False)
        for ax in row[len(steps) : 5]:
            ax.axis("off")
        if answer.error:
            row[5].axis("off")
            row[5].text(0, 0.5, answer.error, fontsize=7, wrap=True, va="center", parse_math=False)
        else:
            visualization.draw_probabilities(row[5], answer.probabilities, classes)
    save_figure(figure, path)


def _steps(answer: Answer) -> list[torch.Tensor] | None:
    """Return the pictures of a digit's steps; of a refused picture those of its ink; nothing for what is no picture."""
    if answer.reading:
        return [getattr(answer.reading.steps, name) for name in STEPS]
    try:
        return list(first_steps(open_picture(Path(answer.name))))
    except PictureError:
        return None
