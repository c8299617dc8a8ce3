"""Commands for networks: train, evaluate, predict, look at the filters, export."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import torch
import typer
from tqdm import tqdm

from mnist_helpers import (
    checkpoints,
    data,
    distributed,
    evaluation,
    inspection,
    models,
    numbers,
    visualization,
)
from mnist_helpers.commands.loading import Checkpoint, Json, load, named, save_figure
from mnist_helpers.commands.reading import Turn, evaluate_handwriting
from mnist_helpers.commands.terminal import say
from mnist_helpers.datasets import DATASETS
from mnist_helpers.errors import UsageError
from mnist_helpers.reading import own_images, tables
from mnist_helpers.recipes import RECIPES, Recipe, get_recipe
from mnist_helpers.runtime import artifacts_folder, check_folder, pick_device, seed_everything, whole_file
from mnist_helpers.training import History, fit

NUMBERS_TO_VALIDATE = 2_000  # with which the network that reads numbers is validated


def recipes() -> None:
    """List the recipes: the network of each, its parameters, and how it is trained."""
    rows = [("recipe", "network", "parameters", "epochs", "batch", "rate", "schedule", "dropout", "augmentation")]
    for recipe in RECIPES.values():
        parameters = models.count_parameters(models.build_model(recipe.architecture))
        epochs = f"{recipe.epochs}" if recipe.patience is None else f"≤{recipe.epochs}, patience {recipe.patience}"
        about = (f"{parameters:,}", epochs, f"{recipe.batch_size}", f"{recipe.lr:g}", recipe.schedule)
        rows.append((recipe.name, recipe.architecture, *about, f"{recipe.dropout:g}", recipe.augment or "–"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(w) if 2 <= i <= 5 else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())


def train(
    recipe: Annotated[str, typer.Option(help="its name, as `recipes` lists it")] = "walkthrough",
    dataset: Annotated[str, typer.Option(help=", ".join(DATASETS))] = "mnist",
    epochs: Annotated[int | None, typer.Option(min=1, help="in place of the recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="in place of the recipe's")] = None,
    lr: Annotated[float | None, typer.Option(help="learning rate, in place of the recipe's")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
    train_csv: Annotated[Path | None, typer.Option(help="train on the images of a CSV file: label,1x1,…,28x28")] = None,
    train_folder: Annotated[
        Path | None, typer.Option(help="train on pictures: a folder for each class, 0 to 9")
    ] = None,
    train_npz: Annotated[Path | None, typer.Option(help="train on a NumPy file such as Keras's mnist.npz")] = None,
    test_csv: Annotated[Path | None, typer.Option(help="score the network on a CSV file at the end")] = None,
    output: Annotated[Path | None, typer.Option(help="folder; artifacts/DATASET/RECIPE if not given")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on where an interrupted training stopped")] = False,
) -> None:
    """Train a network by a recipe; leave it with its history and curves in a folder."""
    settings = get_recipe(recipe, epochs=epochs, batch_size=batch_size, lr=lr)
    data.class_names(dataset), pick_device(device)  # a wrong name is said before minutes of reading
    train_images, val_images, test_images = _images(dataset, train_csv, train_folder, train_npz, test_csv)
    folder = output or checkpoints.model_folder(dataset, recipe)
    seed_everything(seed)
    network = models.build_model(settings.architecture, settings.dropout)
    with distributed.joined(device):
        first = distributed.process() == 0
        with _Progress(settings, folder, speaks=first) as progress:
            history = fit(
                network, train_images, val_images, settings, seed=seed, device=device, folder=folder,
                resume=resume, on_step=progress.step, on_epoch=progress.epoch,
            )  # fmt: skip
    if not first:
        return
    save_history(history, settings, folder)  # a resumed run may have had nothing left to do but this
    best = history.best
    say(f"Best epoch {best.epoch}: validation loss {best.val_loss:.4f}, accuracy {best.val_accuracy:.2%}")
    if test_images:
        say(_accuracy_line("Test", evaluation.evaluate(network, test_images)))
    say(f"Network, history and curves are in {folder}\nIt is used with: evaluate {named(folder)}")


def train_numbers(
    epochs: Annotated[int, typer.Option(min=1, help="series of new numbers")] = numbers.EPOCHS,
    count: Annotated[int, typer.Option(min=64, help="numbers in a series")] = numbers.COUNT,
    seed: Annotated[int, typer.Option(min=0, max=2**31)] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
    output: Annotated[Path | None, typer.Option(help="folder; artifacts/numbers if not given")] = None,
) -> None:
    """Train the network that reads whole numbers, on numbers written with MNIST's digits (notebook 11)."""
    pick_device(device)
    folder = output or artifacts_folder() / "numbers"
    check_folder(folder)
    train_images, val_images = (data.load_part("mnist", part) for part in ("train", "validation"))
    val = numbers.write_numbers(val_images, NUMBERS_TO_VALIDATE, seed)
    seed_everything(seed)
    network, history = numbers.CRNN(), []

    def keep(epoch: numbers.NumberEpoch) -> None:
        history.append(epoch)
        numbers.save_numbers(folder, network, history, seed, len(train_images))
        say(
            f"series {epoch.epoch} of {epochs}: training loss {epoch.train_loss:.4f}; validation loss "
            f"{epoch.val_loss:.4f}, {epoch.val_accuracy:.2%} of numbers read whole"
        )

    options = {"epochs": epochs, "count": count, "seed": seed, "device": device}
    numbers.fit_numbers(network, train_images, val, **options, on_epoch=keep)
    say(f"The network is in {folder}")


def _images(dataset: str, csv: Path | None, folder: Path | None, npz: Path | None, test_csv: Path | None) -> tuple:
    """Return the images to train and to validate on, and those to score the network on, if there are any."""
    if sum(map(bool, (csv, folder, npz))) > 1:
        raise UsageError("Name one of --train-csv, --train-folder and --train-npz.")
    own, test = own_images.load_npz(npz, dataset) if npz else (None, None)
    own = tables.load_csv(csv, dataset) if csv else own_images.load_folder(folder, dataset) if folder else own
    test = tables.load_csv(test_csv, dataset) if test_csv else test
    if own:
        return *data.hold_out_validation(own), test
    return data.load_part(dataset, "train"), data.load_part(dataset, "validation"), test


class _Progress:
    """The bar and the lines of a training, and the files that grow with it."""

    def __init__(self, recipe: Recipe, folder: Path, speaks: bool) -> None:
        self.recipe, self.folder, self.speaks = recipe, folder, speaks

    def __enter__(self) -> "_Progress":
        form = "{l_bar}{bar}| {n:.1f}/{total} epochs [{elapsed}]"
        silent = None if self.speaks else True  # None: no bar in a log file
        if self.speaks and self.recipe.teacher:
            say(f"First its teacher is trained, by the recipe {self.recipe.teacher}. The bar waits for that.")
        self.bar = tqdm(total=self.recipe.epochs, bar_format=form, disable=silent)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def step(self, _step: int, steps: int) -> None:
        self.bar.update(1 / steps)

    def epoch(self, history: History) -> None:
        if not self.speaks:
            return
        last = history.epochs[-1]
        self.bar.n = last.epoch
        save_history(history, self.recipe, self.folder)
        tqdm.write(
            f"epoch {last.epoch}: training loss {last.train_loss:.4f}, accuracy {last.train_accuracy:.2%}; "
            f"validation loss {last.val_loss:.4f}, accuracy {last.val_accuracy:.2%}; {last.seconds:.1f} s"
        )


def save_history(history: History, recipe: Recipe, folder: Path) -> None:
    """Write history.json and curves.png beside a checkpoint."""
    facts = {"recipe": asdict(recipe), "best_epoch": history.best.epoch, "epochs": [asdict(e) for e in history.epochs]}
    with whole_file(folder / "history.json") as path:
        path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    visualization.draw_history(axes, history.epochs)
    save_figure(figure, folder / "curves.png")


def evaluate(
    checkpoint: Checkpoint = None,
    dataset: Annotated[str | None, typer.Option(help="the one that it was trained on, if not given")] = None,
    as_json: Json = False,
    figures: Annotated[Path | None, typer.Option(help="folder for its three figures")] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="score it on test images spoiled in fifteen ways")
    ] = False,
    handwriting: Annotated[
        Path | None, typer.Option(help="score it on pictures instead: a folder with a labels.csv (file,label,kind)")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="with --handwriting: where to write what went wrong (HTML)")] = None,
    turn: Annotated[Turn, typer.Option(help="with --handwriting; auto: try four directions")] = "none",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
) -> None:
    """Score a trained network on the test images, or on your own pictures."""
    if handwriting:
        if dataset or figures or robustness:
            raise UsageError("--handwriting goes with none of --dataset, --figures and --robustness.")
        evaluate_handwriting(handwriting, checkpoint, as_json, page, turn == "auto", device)
        return
    if page or turn != "none":
        raise UsageError(f"{'--page' if page else '--turn'} goes with --handwriting.")
    if robustness and figures:
        raise UsageError("--robustness draws no figures. Leave out --figures.")
    if figures:
        check_folder(figures)
    model, card = load(checkpoint, device)
    test = _test_part(card, dataset)
    if robustness:
        _robustness(model, test, as_json)
        return
    logits = evaluation.predict_logits(model, test.images)
    if figures:
        _evaluation_figures(figures, test, logits)
    _say_scores(card, dataset or card.dataset, test, logits, as_json)


def _say_scores(
    card: checkpoints.Card, dataset: str, test: data.LabelledImages, logits: torch.Tensor, as_json: bool
) -> None:
    scores = evaluation.score(logits, test.labels)
    matrix = evaluation.confusion_matrix(test.labels, logits.argmax(dim=1))
    confirmed = data.confirmed_labels() if test.dataset == "mnist" and len(test) == data.TEST_SIZE else None
    fewer = None if confirmed is None else evaluation.score(logits[confirmed], test.labels[confirmed])
    if as_json:
        facts = {"dataset": dataset, "recipe": card.recipe, "images": scores.count, "loss": scores.loss}
        facts |= {"accuracy_without_rejected_labels": fewer.accuracy} if fewer else {}
        say(json.dumps(facts | _as_json(scores, matrix, test.classes)))
        return
    say(f"{card.architecture}, recipe {card.recipe}, trained on {card.dataset}")
    say(_accuracy_line("Test", scores))
    if fewer:
        say(f"Without the {len(test) - fewer.count} images whose label people rejected: accuracy {fewer.accuracy:.2%}")
    say(f"\n{'class':12} precision  recall  images")
    for name, p, r, count in _per_class(matrix, test.classes):
        say(f"{name:12} {p:9.4f}  {r:6.4f}  {count:6,}")


def _robustness(model: torch.nn.Module, test: data.LabelledImages, as_json: bool) -> None:
    found = evaluation.robustness(model, test)
    if as_json:
        say(json.dumps({"images": len(test), "corruptions": [asdict(one) for one in found]}))
        return
    say(f"{'test images':15} accuracy  confidence")
    for one in found:
        say(f"{one.corruption:15} {one.accuracy:8.2%}  {one.confidence:10.2%}")
    spoiled = found[1:]
    mean, sure = (sum(getattr(one, what) for one in spoiled) / len(spoiled) for what in ("accuracy", "confidence"))
    say(f"{'mean, spoiled':15} {mean:8.2%}  {sure:10.2%}")


def _as_json(scores: evaluation.Scores, matrix: torch.Tensor, classes: tuple[str, ...]) -> dict:
    low, high = evaluation.accuracy_interval(scores.accuracy, scores.count)
    facts = {"accuracy": scores.accuracy, "interval": [low, high], "confusion_matrix": matrix.tolist()}
    names = ("class", "precision", "recall", "images")
    return facts | {"classes": [dict(zip(names, row, strict=True)) for row in _per_class(matrix, classes)]}


def _per_class(matrix: torch.Tensor, classes: tuple[str, ...]) -> list[tuple[str, float, float, int]]:
    precision, recall = (shares.nan_to_num().tolist() for shares in evaluation.precision_and_recall(matrix))
    return list(zip(classes, precision, recall, matrix.sum(dim=1).tolist(), strict=True))


def _test_part(card: checkpoints.Card, dataset: str | None) -> data.LabelledImages:
    if not dataset and card.dataset not in DATASETS:
        raise checkpoints.CheckpointError(
            f"This network was trained on {card.dataset!r}, which is not known here. Name another with --dataset."
        )
    test = data.load_part(dataset or card.dataset, "test")
    if list(test.classes) != card.classes:
        raise checkpoints.CheckpointError(
            f"This network tells {', '.join(card.classes)} apart; {dataset or card.dataset} has "
            f"{', '.join(test.classes)}. Choose a network that was trained on it."
        )
    return test


def _accuracy_line(part: str, scores: evaluation.Scores) -> str:
    low, high = evaluation.accuracy_interval(scores.accuracy, scores.count)
    interval = f"95% interval {low:.2%} to {high:.2%}"
    return f"{part}: loss {scores.loss:.4f}, accuracy {scores.accuracy:.2%} ({interval}, {scores.count:,} images)"


def _evaluation_figures(folder: Path, test: data.LabelledImages, logits: torch.Tensor) -> None:
    predictions = logits.argmax(dim=1)
    figure, ax = plt.subplots(figsize=(6, 5.4), layout="constrained")
    visualization.draw_confusion(ax, evaluation.confusion_matrix(test.labels, predictions), test.classes)
    save_figure(figure, folder / "confusion.png")
    shown = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:15]
    worst = evaluation.most_confident_mistakes(logits, test.labels, 30)
    for name, indices, columns in (("predictions", shown, 5), ("mistakes", worst, 6)):
        rows = max(1, -(-len(indices) // columns))
        figure, axes = plt.subplots(rows, columns, figsize=(1.4 * columns, 1.6 * rows), layout="constrained")
        titles = [f"{test.classes[test.labels[i]]} → {test.classes[predictions[i]]}" for i in indices]
        visualization.draw_images(axes, test.images[indices], titles)
        figure.suptitle("true class → prediction", fontsize=9)
        save_figure(figure, folder / f"{name}.png")


def filters(
    output: Annotated[Path, typer.Option(help="folder for filter_1.png, filter_2.png, …")],
    checkpoint: Checkpoint = None,
) -> None:
    """Save the filters of a network's first convolution as pictures."""
    model, _ = load(checkpoint)
    paths = visualization.save_filters(inspection.first_filters(model), output)
    say(f"{paths[0].name} to {paths[-1].name} are in {output}")


class Form(StrEnum):
    """What a network can be written as."""

    ONNX = "onnx"
    WEB = "web"
    PAGE = "page"


def export(
    output: Annotated[Path, typer.Option(help="the file to write; for web, a folder")],
    form: Annotated[
        Form, typer.Option("--format", help="onnx; web: network.json and network.bin; page: a glass box, one HTML file")
    ] = Form.ONNX,
    checkpoint: Checkpoint = None,
) -> None:
    """Write a network for other programs: as ONNX, for a browser, or as a page that shows each of its numbers."""
    from mnist_helpers.exporting import export_onnx, export_web
    from mnist_helpers.widgets.glass import write_page

    if checkpoint is None and form != Form.ONNX:  # the one that reads handwriting has blocks, which no page knows
        checkpoint = checkpoints.SHIPPED.with_name("walkthrough")
    model, card = load(checkpoint)
    about = ""
    if form == Form.ONNX:
        about = f"; onnxruntime's logits differ from torch's by {export_onnx(model, output):.1e} at most"
    elif form == Form.WEB:
        export_web(model, output, list(card.classes))
    else:
        write_page(output, model)
    say(f"Written to {output}{about}")
