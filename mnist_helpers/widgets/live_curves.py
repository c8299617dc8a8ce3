"""Curves that grow while a network trains, and stay behind as one still figure."""

import time

import matplotlib.pyplot as plt
from IPython.display import display

from mnist_helpers.history import History
from mnist_helpers.pages import caption_output, picture_output
from mnist_helpers.visualization import draw_history

SECONDS_BETWEEN_UPDATES = 0.5


class LiveCurves:
    """Show the progress of `fit`: pass `step` as its `on_step` and `epoch` as its `on_epoch`.

    There are two outputs, the curves and a line below them that counts the steps; both are replaced as training goes
    on. After the last epoch they are a figure with its alt text and caption, so a notebook that is run without a reader
    holds the same clean page.
    """

    def __init__(self, epochs: int, caption: str) -> None:
        self.epochs = epochs
        self.caption = caption
        self.done = 0
        self.last_update = time.monotonic()
        self.curves = display({"text/plain": ""}, raw=True, display_id=True)
        self.line = display(caption_output("Training starts …"), raw=True, display_id=True)

    def step(self, step: int, steps: int) -> None:
        """Say how far the epoch has come, about twice a second."""
        if time.monotonic() - self.last_update >= SECONDS_BETWEEN_UPDATES:
            self.last_update = time.monotonic()
            self.line.update(
                caption_output(f"Epoch {self.done + 1} of {self.epochs}, step {step} of {steps}"), raw=True
            )

    def epoch(self, history: History) -> None:
        """Draw all epochs so far."""
        last = history.epochs[-1]
        self.done = last.epoch
        figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
        draw_history(axes, history.epochs)
        alt = (
            f"Two line charts over {last.epoch} epochs. Left: the loss ends at {last.train_loss:.3f} in training and "
            f"{last.val_loss:.3f} in validation. Right: the accuracy ends at {last.train_accuracy:.2%} and "
            f"{last.val_accuracy:.2%}."
        )
        data, metadata = picture_output(figure, alt)
        self.curves.update(data, metadata=metadata, raw=True)
        self.line.update(caption_output(self.caption), raw=True)
