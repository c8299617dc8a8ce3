"""What several commands share: which network is meant, and figures written whole."""

import shlex
import warnings
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import torch
import typer

from mnist_helpers import checkpoints
from mnist_helpers.commands.terminal import say
from mnist_helpers.runtime import pick_device, whole_file

Checkpoint = Annotated[Path | None, typer.Option(help="folder of a trained network; the shipped one if not given")]
Json = Annotated[bool, typer.Option("--json", help="print JSON and nothing else")]


def load(checkpoint: Path | None, device: str = "cpu") -> tuple[torch.nn.Sequential, checkpoints.Card]:
    """Load the network of a folder, or the shipped one that reads handwriting; say so if the reader has trained one."""
    own = None if checkpoint else checkpoints.newest_model()
    if own:
        say(f"This is the network that comes with the project; for yours: {named(own)}", err=True)
    return checkpoints.load_model(checkpoint or checkpoints.SHIPPED, pick_device(device))


def named(folder: Path) -> str:
    """Return the option that names a network's folder."""
    return f"--checkpoint {shlex.quote(str(folder))}"


def save_figure(figure: plt.Figure, path: Path) -> None:
    """Write a figure whole, or not at all, and close it."""
    with whole_file(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a sign of a file's name that the font lacks is drawn as a box
        figure.savefig(temporary, format="png", dpi=110, facecolor="white")
    plt.close(figure)
