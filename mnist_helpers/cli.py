"""The command line: `python -m mnist_helpers`. It reads arguments, calls the modules below, and prints."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mnist_helpers.runtime import ROOT, CourseError, environment_report, seed_everything

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
    raise typer.Exit(any(result.failure for result in results))


@app.command()
def refresh_notebooks(notebooks: Annotated[str, typer.Option(help='which ones: "01 04"; all if empty')] = "") -> None:
    """Run the committed notebooks and renew their outputs in place."""
    from mnist_helpers import notebooks as runner

    results = runner.refresh_notebooks(runner.find_notebooks(notebooks))
    typer.echo(f"\n{environment_report()}\n{runner.results_table(results)}")
    raise typer.Exit(any(result.failure for result in results))


@app.command()
def workspace(folder: Annotated[Path, typer.Argument(help="where the copies go")] = ROOT / "workspace") -> None:
    """Put clean copies of the notebooks into a workspace; what a learner changed is kept."""
    from mnist_helpers.notebooks import copy_notebooks

    for line in copy_notebooks(folder) or ["The workspace is up to date."]:
        typer.echo(line)


@app.command()
def pretrain(
    dataset: str = "mnist",
    recipe: str = "walkthrough",
    seed: int = 0,
    device: str = "cpu",
    folder: Annotated[Path, typer.Option(help="where the network goes")] = ROOT / "pretrained",
) -> None:
    """Train the network that is shipped with the repository."""
    from mnist_helpers import checkpoints, data, models, recipes, training

    settings = recipes.get_recipe(recipe)
    train, val = data.load_part(dataset, "train"), data.load_part(dataset, "validation")
    seed_everything(seed)
    model = models.build_model(settings.architecture, settings.dropout)
    with tempfile.TemporaryDirectory() as temporary:
        workplace = Path(temporary)
        training.fit(
            model, train, val, settings, seed=seed, device=device, dataset=dataset, folder=workplace,
            on_epoch=lambda history: typer.echo(_epoch_line(history.epochs[-1])),
        )  # fmt: skip
        model, card = checkpoints.load_model(workplace)
    checkpoints.save_model(folder / dataset / recipe, model, card)
    typer.echo(f"Written to {folder / dataset / recipe}")


def _epoch_line(epoch) -> str:
    return f"epoch {epoch.epoch}: validation loss {epoch.val_loss:.4f}, accuracy {epoch.val_accuracy:.2%}"


def main() -> None:
    """Run the command line; an error that the reader can mend is two lines at most, never a traceback."""
    try:
        app()
    except CourseError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("\nStopped. Every file that was written is whole.", err=True)
        sys.exit(130)
