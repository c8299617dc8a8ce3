"""The command line: `python -m mnist_helpers`. The commands are in `commands/`; here is how they end."""

import sys

import typer

from mnist_helpers.commands import course, networks, studies
from mnist_helpers.runtime import CourseError, UsageError

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="MNIST CNN notebooks: train, evaluate and use the networks; run the notebooks.",
)
for command in (
    networks.recipes,
    networks.train,
    networks.evaluate,
    networks.predict,
    networks.filters,
    networks.export,
    studies.reproduce,
    studies.search,
    course.run_notebooks,
    course.refresh_notebooks,
    course.workspace,
    course.contact_sheet,
):
    app.command()(command)


def main() -> None:
    """Run the command line; an error that the reader can mend is two lines at most, never a traceback."""
    try:
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        _end(error.format_message(), WRONG_USE)
    except UsageError as error:
        _end(str(error), WRONG_USE)
    except CourseError as error:
        _end(str(error), FAILED)
    except OSError as error:
        _end(f"{error.filename or 'A file'} cannot be written or read ({error.strerror or error})", FAILED)
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    if status == INTERRUPTED:
        typer.echo("\nStopped. Every file that was written is whole.", err=True)
    sys.exit(status or 0)


def _end(message: str, status: int) -> None:
    lines = " ".join(message.split()) if message.count("\n") > 1 and status == FAILED else message
    typer.echo(f"error: {lines}" if not message.startswith("Usage:") else message, err=True)
    sys.exit(status)
