"""The command line: `python -m mnist_helpers`. The commands are in `commands/`; here is how they end."""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import typer

from mnist_helpers.commands.terminal import say
from mnist_helpers.errors import DISK_FULL, CourseError, MissingExtraError, UsageError
from mnist_helpers.startup import end_quickly, leave_out_iri_grammar, prepare_process

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def main() -> None:
    """Run the command line; an error that the reader can mend is two lines at most, never a traceback."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # who ends it so is answered as Ctrl-C is
    _prepare_streams()
    try:
        status = _run()
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    if status == INTERRUPTED:
        say("\nStopped. Every file that was written is whole.", err=True)
    sys.exit(status)


def _prepare_streams() -> None:
    """Let characters that the terminal's code page lacks become "?"; write nowhere what a shell has closed (2>&-)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(getattr(sys, name), io.TextIOWrapper):  # and not a notebook's
            getattr(sys, name).reconfigure(errors="replace")


def _run() -> int:
    try:
        prepare_process()
        leave_out_iri_grammar()
        end_quickly()
        return _app()(standalone_mode=False) or 0
    except typer.TyperException as error:
        return _say(error.format_message(), WRONG_USE)
    except UsageError as error:
        return _say(str(error), WRONG_USE)
    except CourseError as error:
        return _say(str(error), FAILED)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mnist_helpers"):
            raise
        return _say(str(MissingExtraError(f"This command needs {error.name}", "course,classroom")), FAILED)
    except OSError as error:
        return _say(_about_a_file(error), FAILED)


def _about_a_file(error: OSError) -> str:
    said = f"{error.filename or 'A file'} cannot be written or read ({error.strerror or error})"
    if error.errno in FORBIDDEN:
        said += ". Name a place that you may write to; in a checkout of somebody else's, work in a copy of your own"
    elif error.errno in DISK_FULL:
        said += ". Free some space there"
    return said


def _app() -> typer.Typer:
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="MNIST CNN notebooks: train, evaluate and use the networks; run the notebooks.",
    )
    for command in _commands():
        app.command()(command)
    return app


def _commands() -> Iterator[Callable[..., None]]:
    """Yield the commands, in the order in which the help lists them."""
    # Imported here: torch comes with it, which takes seconds, and the process must be prepared first.
    from mnist_helpers.commands import course, networks, reading, studies

    yield from (networks.recipes, networks.train, networks.train_numbers, networks.evaluate)
    yield from (reading.predict, networks.filters, networks.export)
    yield from (studies.reproduce, studies.robustness, studies.search, studies.bench, studies.gpu)
    yield from (studies.ablate, studies.sizes)
    yield from (course.run_notebooks, course.refresh_notebooks, course.workspace, course.lab, course.app)
    yield from (course.contact_sheet, course.site)
    if find_spec("mnist_helpers.classroom"):  # the student edition comes without
        from mnist_helpers.commands import classroom

        yield from (classroom.student, classroom.solutions, classroom.exam, classroom.grade, classroom.hub)


def _say(message: str, status: int) -> int:
    lines = " ".join(message.split()) if message.count("\n") > 1 and status == FAILED else message
    say(f"error: {lines}" if not message.startswith("Usage:") else message, err=True)
    return status
