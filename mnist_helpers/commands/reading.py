"""Commands for other people's pictures: read the digits in them."""

import base64
import html
import io
import json
import math
import os
import string
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import matplotlib.pyplot as plt
import torch
import typer
from PIL import Image

from mnist_helpers import evaluation, visualization
from mnist_helpers.checkpoints import SHIPPED, Card
from mnist_helpers.commands.loading import Checkpoint, Json, load, save_figure
from mnist_helpers.commands.terminal import printable, say
from mnist_helpers.datasets import DATASETS, DataError
from mnist_helpers.errors import UsageError
from mnist_helpers.reading import handwriting, tables
from mnist_helpers.reading.pictures import PictureError, open_picture
from mnist_helpers.reading.preprocessing import first_steps, several_digits
from mnist_helpers.reading.reader import (
    MOST_ENERGY,
    DigitReading,
    NumberReading,
    Reader,
    is_sure,
    read_numbers,
    side_by_side,
)
from mnist_helpers.reading.rows import shipped_numbers
from mnist_helpers.runtime import artifacts_folder, check_folder, real_path, whole_file

Turn = Literal["none", "auto"]
MOST_ROWS = 40  # of the picture that `predict --show` writes
MOST_FAILURES, MOST_SHOWN = 200, 6  # pictures on the page of failures, and digits of one
PAGE_BEGINS = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Handwriting: what was not read</title>'
STEPS = {
    "grey": "picture",
    "paper": "paper without ink",
    "ink": "ink",
    "cropped": "digit",
    "digit": "as the network sees it",
}
FIRST_STEPS = tuple(STEPS.values())[:3]


@dataclass(frozen=True)
class Answer:
    """What is said of one digit, or of a picture in which none can be read: `error` says why.

    A row of a table is a digit already: it has probabilities, but no `picture` and no `reading`, which knows a place.
    """

    name: str
    picture: Path | None = None
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


@dataclass(frozen=True)
class NumberAnswer:
    """What is said of one row of a picture, read as a number, or of a picture in which nothing can be read."""

    name: str
    picture: Path
    reading: NumberReading | None = None
    error: str | None = None

    def as_json(self) -> str:
        """Return the answer as an object of JSON, in a line."""
        found = self.reading
        facts = {"image": self.name, "number": found.text if found else None}
        facts |= {"likely": dict(found.likely) if found else {}, "error": self.error}
        facts |= {"sure": bool(found and found.sure), "box": list(found.box) if found else None}
        facts |= {name: getattr(found, name) if found else None for name in ("row", "turned")}
        return json.dumps(facts)

    def as_text(self, _classes: list[str]) -> str:
        """Return the answer as a line for a person."""
        found = self.reading
        if not found:
            return f"error: {self.error}" if self.name in self.error else f"error: {self.name}: {self.error}"
        doubt = "" if found.sure else "   unsure"
        turned = f"   turned by {found.turned}°" if found.turned else ""
        return f"{self.name}: {found.text or 'nothing'}   ({self.likely}){doubt}{turned}"

    @property
    def likely(self) -> str:
        """Return the most probable numbers and how probable they are, for a person."""
        return ", ".join(f"{text or 'nothing'} {probability:.1%}" for text, probability in self.reading.likely)


def predict(
    images: Annotated[list[Path], typer.Argument(help="picture files, or a CSV file of images, a line each")],
    checkpoint: Checkpoint = None,
    as_json: Json = False,
    json_lines: Annotated[bool, typer.Option("--json-lines", help="print JSON, a line a digit, as they come")] = False,
    every: Annotated[bool, typer.Option("--all", help="read every digit of a picture, row by row")] = False,
    number: Annotated[bool, typer.Option("--number", help="read each row of a picture as one number")] = False,
    turn: Annotated[Turn, typer.Option(help="auto: try four directions")] = "none",
    show: Annotated[Path | None, typer.Option(help="write a picture of every step to this PNG file")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
) -> None:
    """Read the digit, or the number, in each picture."""
    if show and real_path(show) in map(real_path, images):
        raise UsageError(f"--show {show} would write over that picture. Name another file.")
    if as_json and json_lines:
        raise UsageError("Name one of --json and --json-lines.")
    if number:
        given = {"--checkpoint": checkpoint, "--all": every, "--device": device != "auto"}
        if others := [name for name, value in given.items() if value]:
            raise UsageError(
                f"--number reads every row, with a network of its own on the CPU: it does not go with {others[0]}."
            )
        answers, classes = _number_answers(images, turn == "auto"), list(string.digits)
    else:
        reader, card = _reader(checkpoint, device)
        answers, classes = _answers(images, reader, every, turn == "auto", card.dataset), card.classes
    _say_answers(answers, classes, as_json, json_lines, show)


def _say_answers(
    answers: Iterator[Answer | NumberAnswer], classes: list[str], as_json: bool, json_lines: bool, show: Path | None
) -> None:
    shown, count, read = [], 0, 0
    try:
        for answer in answers:
            if as_json:  # begun before the last is known: what is printed is held in no memory
                say(("[" if count == 0 else ", ") + answer.as_json(), end="")
            elif json_lines:
                say(answer.as_json())
            if answer.error or not (as_json or json_lines):
                say(answer.as_text(classes).replace("\n", r"\n"), err=bool(answer.error))
            count, read = count + 1, read + (answer.error is None)
            if show and len(shown) < MOST_ROWS and answer.picture:
                shown.append(answer)
    finally:  # who stops it gets a whole list of what was read
        if as_json:
            say("]" if count else "[]")
    if show:
        _show(show, shown, read, classes)
    raise typer.Exit(int(read < count))


def _answers(paths: list[Path], reader: Reader, every: bool, turn: bool, dataset: str) -> Iterator[Answer]:
    """Yield an answer for each digit in pictures and tables, in their order."""
    together: list[Path] = []
    for path in [*paths, None]:  # pictures between two tables are read side by side
        if path is not None and not tables.is_table(path):
            together.append(path)
            continue
        for picture, found in reader.read_files(together, turn):
            yield from _of_a_picture(picture, found, every)
        together = []
        if path is not None:
            yield from _of_a_table(path, reader.model, dataset)


def _number_answers(paths: list[Path], turn: bool) -> Iterator[NumberAnswer]:
    shipped_numbers()  # read once, before several threads ask for it
    for path, found in side_by_side(paths, lambda picture: read_numbers(picture, turn)):
        if isinstance(found, PictureError):
            yield NumberAnswer(str(path), path, error=str(found))
        else:
            yield from (NumberAnswer(str(path), path, reading) for reading in found)


def _of_a_picture(path: Path, found: list[DigitReading] | PictureError, every: bool) -> Iterator[Answer]:
    if isinstance(found, PictureError):
        # The name stands in front of every message, so a message need not repeat it.
        yield Answer(str(path), path, error=str(found))
    elif len(found) > 1 and not every:
        yield Answer(str(path), path, error=several_digits(len(found)))
    else:
        yield from (Answer(str(path), path, reading.probabilities, reading) for reading in found)


def _of_a_table(path: Path, model: torch.nn.Module, dataset: str) -> Iterator[Answer]:
    try:
        images = tables.load_pictures(path, dataset if dataset in DATASETS else "mnist")
        if tables.lie_on_their_side(dataset):
            say(f"{path}: the network knows {dataset}, so the images are put upright, as those of its files", err=True)
    except DataError as error:
        yield Answer(str(path), error=str(error))
        return
    probabilities = evaluation.predict_logits(model, images).softmax(dim=1)
    for number, row in enumerate(probabilities, start=1):
        yield Answer(f"{path}, row {number}", probabilities=row)


def _show(path: Path, answers: list[Answer], read: int, classes: list[str]) -> None:
    """Draw the steps of digits, and of pictures that were refused as far as they came; so many digits were `read`."""
    rows = [(answer, steps) for answer in answers if (steps := _steps(answer))]
    if not rows:
        if read and not answers:
            said = "the images of a table are digits already, and have no steps"
            say(f"{path} was not written: {said}", err=True)
        return
    if read > MOST_ROWS:
        say(f"{path} shows the first {MOST_ROWS} of {read} digits", err=True)
    size = (12, 2.3 * len(rows))
    figure, axes = plt.subplots(len(rows), 6, figsize=size, layout="constrained", squeeze=False)
    for row, (answer, steps) in zip(axes, rows, strict=True):
        for ax, (title, picture) in zip(row, steps.items(), strict=False):
            visualization.draw_images(ax, picture, [title])
        name = os.fsencode(answer.picture.name[-24:]).decode(errors="replace")
        row[0].set_title(name, fontsize=9, parse_math=False)
        for ax in row[len(steps) : 5]:
            ax.axis("off")
        if answer.error or isinstance(answer, NumberAnswer):
            said = answer.error or answer.likely.replace(", ", "\n")
            row[5].axis("off")
            row[5].text(0, 0.5, said, fontsize=7, wrap=True, va="center", parse_math=False)
        else:
            visualization.draw_probabilities(row[5], answer.probabilities, classes)
    save_figure(figure, path)


def _steps(answer: Answer | NumberAnswer) -> dict[str, torch.Tensor]:
    """Return the pictures of a reading's steps under their titles, and of a refused picture those of its ink."""
    if isinstance(answer.reading, NumberReading):
        first = answer.reading.steps
        seen = (first.grey, first.paper, first.ink, answer.reading.image)
        return dict(zip((*FIRST_STEPS, STEPS["digit"]), seen, strict=True))
    if answer.reading:
        return {title: getattr(answer.reading.steps, name) for name, title in STEPS.items()}
    return dict(zip(FIRST_STEPS, _of_the_refused(answer.picture), strict=False))


def _of_the_refused(path: Path) -> list[torch.Tensor]:
    """Return the steps of a picture without a reading, as far as they go: none of a file that is no picture."""
    try:
        return list(first_steps(open_picture(path)))
    except PictureError:
        return []


def _reader(checkpoint: Path | None, device: str) -> tuple[Reader, Card]:
    """Return a network's reader; what its energies mean is known of the shipped network only.

    Digits that touch are read together only where it is digits that the network knows.
    """
    model, card = load(checkpoint, device)
    shipped = checkpoint is None or real_path(checkpoint) == real_path(SHIPPED)
    together = shipped_numbers() if card.classes == list(string.digits) else None
    return Reader(model, MOST_ENERGY if shipped else math.inf, numbers=together), card


def evaluate_handwriting(
    folder: Path, checkpoint: Path | None, as_json: bool, page: Path | None, turn: bool, device: str
) -> None:
    """Score a network on a folder of pictures with a labels.csv, kind by kind, and write a page of what went wrong."""
    page = page or artifacts_folder() / "handwriting.html"
    check_folder(page.parent)
    _check_page(page)
    labelled = handwriting.load_labels(folder)
    reader, _ = _reader(checkpoint, device)
    counts: dict[str, Counter] = {}
    total: Counter = Counter()
    failures = []
    for outcome in handwriting.read_labelled(labelled, reader, turn):
        handwriting.add(counts, outcome)
        if not outcome.right and len(failures) < MOST_FAILURES:
            failures.append(_failure(folder, outcome))
    for count in counts.values():
        total.update(count)  # a sum of counters would leave out what is 0
    with whole_file(page) as temporary:
        temporary.write_text(_page(folder, failures, total), encoding="utf-8")
    if as_json:
        say(json.dumps({"folder": str(folder), "kinds": counts, "all": total, "page": str(page)}))
        return
    say(f"{'kind':24} pictures    right  refused  unsure  right if sure")
    for kind, count in [*counts.items(), ("all", total)] if len(counts) > 1 else counts.items():
        sure = f"{count['sure and right'] / count['sure']:13.1%}" if count["sure"] else f"{'–':>13}"
        right = count["right"] / count["pictures"]
        say(f"{kind[:24]:24} {count['pictures']:8,} {right:8.1%} {count['refused']:8,} {count['unsure']:7,}  {sure}")
    say(f"What was not read correctly, with its steps, is in {page}")


def _check_page(page: Path) -> None:
    """See that nothing is lost when a page is written: not one of the pictures, their labels, or another file."""
    if not page.exists():
        return
    begins = b""
    if page.is_file():
        with page.open("rb") as file:
            begins = file.read(len(PAGE_BEGINS))
    if begins != PAGE_BEGINS.encode():
        raise UsageError(f"--page {page} is there already, and is no page of this command. Name another file.")


def _failure(folder: Path, outcome: handwriting.Outcome) -> str:
    """Return a part of the page: a picture, what should have been read, what was, and the steps of its first digits."""
    wanted, readings = outcome.wanted, outcome.readings
    if readings:
        rows = [[getattr(reading.steps, name) for name in STEPS] for reading in readings[:MOST_SHOWN]]
        said = f"{outcome.said} ({', '.join(f'{reading.probabilities.max():.0%}' for reading in readings)})"
    else:
        rows, said = [_of_the_refused(wanted.path)], f"nothing: {outcome.why}"
    pictures = "<br>".join("".join(map(_image, steps)) for steps in rows)
    name, label = html.escape(printable(str(wanted.path.relative_to(folder)))), wanted.label or "nothing"
    return (
        f"<section><h2>{name}</h2><p>{html.escape(wanted.kind)}; there is {label}, read was {html.escape(said)}</p>"
        f"{pictures}</section>"
    )


def _image(values: torch.Tensor) -> str:
    """Return a step's picture for a page that stands alone."""
    picture, file = Image.fromarray(values.squeeze(0).numpy()), io.BytesIO()
    picture.thumbnail((160, 160), Image.Resampling.BOX)
    picture.save(file, "PNG")
    return f'<img alt="" height="112" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def _page(folder: Path, failures: list[str], total: Counter) -> str:
    wrong = total["pictures"] - total["right"]
    shown = f", the first {len(failures)} below" if wrong > len(failures) else ""
    return f"""{PAGE_BEGINS}
<style>body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; }} h2 {{ font-size: 1rem; margin-bottom: 0; }}
p {{ margin: 0.2rem 0; }} img {{ margin: 2px; image-rendering: pixelated; border: 1px solid #888; }}</style>
<h1>{html.escape(printable(str(folder)))}</h1>
<p>{total["right"]:,} of {total["pictures"]:,} pictures were read correctly, {total["refused"]:,} refused; {wrong:,}
were not{shown}. From left to right: {", ".join(STEPS.values())}.</p>
{"".join(failures)}</html>
"""
