"""The command line: `python -m mnist_helpers`. It reads arguments, calls the modules below, and prints."""

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mnist_helpers.runtime import ROOT, CourseError, environment_report, pick_device, seed_everything

INTERRUPTED = 130  # typer's exit status after Ctrl-C

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="MNIST CNN notebooks"
)


@app.command()
def run_notebooks(
    params: Annotated[str, typer.Option(help='parameters: "epochs=1 dataset=fashion_mnist device=cpu"')] = "",
    notebooks: Annotated[str, typer.Option(help='which ones: "01 04"; all if empty')] = "",
) -> None:
    """Run the notebooks from end to end into build/notebooks/ and print a table."""
    from mnist_helpers import notebooks as runner

    results = runner.run_notebooks(runner.find_notebooks(notebooks), runner.read_parameters(params))
    typer.echo(f"\n{environment_report()}\n{runner.results_table(results)}")
    raise typer.Exit(int(any(result.failure for result in results)))


@app.command()
def refresh_notebooks(notebooks: Annotated[str, typer.Option(help='which ones: "01 04"; all if empty')] = "") -> None:
    """Run the committed notebooks and renew their outputs in place."""
    from mnist_helpers import notebooks as runner

    results = runner.refresh_notebooks(runner.find_notebooks(notebooks))
    typer.echo(f"\n{environment_report()}\n{runner.results_table(results)}")
    raise typer.Exit(int(any(result.failure for result in results)))


@app.command()
def workspace(folder: Annotated[Path, typer.Argument(help="where the copies go")] = ROOT / "workspace") -> None:
    """Put clean copies of the notebooks into a workspace; what a learner changed is kept."""
    from mnist_helpers.workspace import copy_notebooks

    for line in copy_notebooks(folder) or ["The workspace is up to date."]:
        typer.echo(line)


@app.command()
def contact_sheet(
    path: Annotated[Path, typer.Argument(help="where it goes")] = ROOT / "docs" / "contact-sheet.png",
) -> None:
    """Draw the README's picture from the figures of the committed notebooks."""
    from mnist_helpers.gallery import make_contact_sheet

    make_contact_sheet(path)
    typer.echo(f"Written to {path}")


@app.command()
def pretrain(
    dataset: str = "mnist",
    recipe: str = "walkthrough",
    seed: int = 0,
    device: str = "cpu",
    folder: Annotated[Path, typer.Option(help="where the network goes")] = ROOT / "pretrained",
) -> None:
    """Train the network that is shipped with the repository."""
    from mnist_helpers import checkpoints

    folder.mkdir(parents=True, exist_ok=True)  # say now, not after training, if it cannot be written
    model, card = _train(dataset, recipe, seed, device)
    checkpoints.save_model(folder / dataset / recipe, model, card)
    typer.echo(f"Written to {folder / dataset / recipe}")


@app.command()
def seeds(
    count: Annotated[int, typer.Option(min=2, help="how many trainings")] = 5,
    dataset: str = "mnist",
    recipe: str = "walkthrough",
    device: str = "auto",
) -> None:
    """Train a recipe with several seeds and print the test accuracy of each, the mean and the spread."""
    from mnist_helpers import data, evaluation

    test = data.load_part(dataset, "test")
    accuracies = []
    for seed in range(count):
        model, _ = _train(dataset, recipe, seed, device)
        accuracies.append(evaluation.evaluate(model, test).accuracy)
        typer.echo(f"seed {seed}: test accuracy {accuracies[-1]:.2%}")
    typer.echo(f"mean {statistics.mean(accuracies):.2%}, standard deviation {statistics.stdev(accuracies):.2%}")
    typer.echo(environment_report(device))


def _train(dataset: str, recipe: str, seed: int, device: str):
    """Train a recipe from its first step; return the best network and its card."""
    from mnist_helpers import checkpoints, data, models, recipes, training

    settings = recipes.get_recipe(recipe)
    train, val = data.load_part(dataset, "train"), data.load_part(dataset, "validation")
    seed_everything(seed)
    model = models.build_model(settings.architecture, settings.dropout)
    with tempfile.TemporaryDirectory() as folder:
        options = {"seed": seed, "device": device, "dataset": dataset, "folder": Path(folder)}
        training.fit(model, train, val, settings, **options, on_epoch=_print_epoch)
        return checkpoints.load_model(Path(folder), pick_device(device))


def _print_epoch(history) -> None:
    last = history.epochs[-1]
    typer.echo(f"epoch {last.epoch}: validation loss {last.val_loss:.4f}, accuracy {last.val_accuracy:.2%}", err=True)


def main() -> None:
    """Run the command line; an error that the reader can mend is two lines at most, never a traceback."""
    try:
        app()
    except CourseError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        typer.echo(
            f"error: {error.filename or 'A file'} cannot be written or read ({error.strerror or error})", err=True
        )
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            typer.echo("\nStopped. Every file that was written is whole.", err=True)
        raise
