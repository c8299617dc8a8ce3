"""Commands for the notebooks: run, refresh, copy, draw the README's picture."""

import time
from pathlib import Path
from typing import Annotated

import typer

from mnist_helpers.commands.terminal import say
from mnist_helpers.runtime import ROOT, environment_report


def run_notebooks(
    params: Annotated[str, typer.Option(help='parameters: "epochs=1 dataset=fashion_mnist device=cpu"')] = "",
    notebooks: Annotated[str, typer.Option(help='which ones: "01 04"; all if empty')] = "",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="how many at once (else one per core, four at most; one with a GPU)")
    ] = None,
) -> None:
    """Run the notebooks from end to end into build/notebooks/ and print a table."""
    from mnist_helpers.course import at_once, runner

    given, paths = runner.read_parameters(params), runner.find_notebooks(notebooks)
    device = given.get("device", "auto")
    jobs, begun = min(jobs or at_once.pages_at_once(len(paths), device), len(paths)), time.perf_counter()
    results = runner.run_notebooks(paths, given, at_once=jobs)
    say(f"\n{environment_report(device)}\n{runner.results_table(results)}")
    if jobs > 1:
        say(f"{jobs} at a time, sharing the cores: {time.perf_counter() - begun:.1f} seconds in all")
    raise typer.Exit(int(any(result.failure for result in results)))


def refresh_notebooks(notebooks: Annotated[str, typer.Option(help='which ones: "01 04"; all if empty')] = "") -> None:
    """Run the committed notebooks and renew their outputs in place."""
    from mnist_helpers.course import runner

    results = runner.refresh_notebooks(runner.find_notebooks(notebooks))
    say(f"\n{environment_report()}\n{runner.results_table(results)}")
    raise typer.Exit(int(any(result.failure for result in results)))


Workspace = Annotated[Path, typer.Argument(help="where the copies go")]


def workspace(folder: Workspace = ROOT / "workspace") -> None:
    """Put clean copies of the notebooks into a workspace; what a learner changed is kept."""
    from mnist_helpers.course.workspace import copy_notebooks

    for line in copy_notebooks(folder) or ["The workspace is up to date."]:
        say(line)


def lab(folder: Workspace = ROOT / "workspace") -> None:
    """Open JupyterLab on your own copies of the notebooks, which are brought up to date first."""
    from mnist_helpers.course.workspace import open_lab

    workspace(folder)
    raise typer.Exit(open_lab(folder))


def app(
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8866,
    address: Annotated[str, typer.Option(help="0.0.0.0 lets other machines in")] = "127.0.0.1",
    most: Annotated[int, typer.Option(min=1, help="kernels, of visitors and in reserve")] = 10,
    base_url: Annotated[str, typer.Option(help="path of the page behind a proxy")] = "/",
    origin: Annotated[str, typer.Option(help="what the page's address begins with behind a proxy: https://NAME")] = "",
    theme: Annotated[str, typer.Option(help="light or dark")] = "light",
) -> None:
    """Serve the glass box and the drawing pad as web pages, on this machine only unless told otherwise."""
    from mnist_helpers.widgets.serving import serve  # first: where Voilà is missing, it says what to install

    # isort: split
    from mnist_helpers.course.forking import fork_all

    fork_all()
    serve(port, address, most, base_url, theme, origin, say)


def contact_sheet(
    path: Annotated[Path, typer.Argument(help="where it goes")] = ROOT / "docs" / "contact-sheet.png",
) -> None:
    """Draw the README's picture from the figures of the committed notebooks."""
    from mnist_helpers.course.contact_sheet import make_contact_sheet

    make_contact_sheet(path)
    say(f"Written to {path}")


def site(
    folder: Annotated[Path, typer.Argument(help="where it goes; what is there is replaced")] = ROOT / "build" / "site",
    train: Annotated[
        bool, typer.Option("--train", help="first train the glass box's network again (some minutes)")
    ] = False,
    check_links: Annotated[
        bool, typer.Option("--check-links", help="write nothing, and follow the links to other hosts (needs a network)")
    ] = False,
) -> None:
    """Write the course as a web site: the committed pages, exercises, reference, and the glass box."""
    import tempfile

    from mnist_helpers.checkpoints import DRAWINGS, load_model
    from mnist_helpers.course.runner import find_notebooks
    from mnist_helpers.course.site import build_site, check_place, dead_links
    from mnist_helpers.errors import CourseError
    from mnist_helpers.widgets.glass import MOMENTS, train_for_page, write_page
    from mnist_helpers.widgets.moments import read_moments

    find_notebooks()  # outside of a checkout it says where they are
    if not check_links:
        check_place(folder)
    if train:
        best = train_for_page(DRAWINGS).best
        say(f"Best epoch {best.epoch}: accuracy {best.val_accuracy:.2%} on the validation images")
    with tempfile.TemporaryDirectory() as place:
        glass_box = Path(place) / "glass-box.html"
        write_page(glass_box, load_model(DRAWINGS)[0], read_moments(DRAWINGS / MOMENTS))
        if check_links:
            dead = dead_links(glass_box)
            if dead:
                raise CourseError(f"{len(dead)} links lead nowhere:\n" + "\n".join(dead))
            say("Every link to another host leads somewhere.")
            return
        build_site(glass_box, folder)
    say(f"Written to {folder}. Open {folder / 'index.html'}")
