"""Curves that grow while a network trains, with a button to stop it, and stay behind as one still figure."""

import time

import ipywidgets
import matplotlib.pyplot as plt
from IPython.display import display

from mnist_helpers.pages import caption_output, picture_output
from mnist_helpers.training import History, StopTraining
from mnist_helpers.visualization import draw_history

SECONDS_BETWEEN_UPDATES = 0.5


class LiveCurves:
    """Show the progress of `fit`, within a `with` block: pass `step` as its `on_step` and `epoch` as its `on_epoch`.

    There are the curves, a line below them that counts the steps and says how long it will take, and a button that
    stops the training, which then keeps its best epoch. At the end all but the curves is gone: they are a figure with
    its alt text and caption, so a notebook that is run without a reader holds the same clean page.

    The button is heard while the cell trains where the page sends it to a subshell of the kernel, as JupyterLab 4.4 and
    later do with ipykernel 7. Elsewhere, interrupt the cell.
    """

    def __init__(self, epochs: int, caption: str) -> None:
        self.epochs = epochs
        self.caption = caption
        self.done = 0
        self.stopping = False
        self.started = self.last_update = time.monotonic()
        self.curves = display({"text/plain": ""}, raw=True, display_id=True)
        self.line = display(caption_output("Training starts …"), raw=True, display_id=True)
        self.button = ipywidgets.Button(description="Stop training", tooltip="End now and keep the best epoch")
        self.button.on_click(self.stop)
        # From 7.4 on ipykernel sends a widget's messages to the shell that made it, which is the one that trains.
        vars(self.button.comm).pop("_reply_subshell_id", None)
        self.place = display(self.button, display_id=True)

    def __enter__(self) -> "LiveCurves":
        return self

    def __exit__(self, *_: object) -> None:
        early = self.stopping and self.done < self.epochs
        remark = f" Stopped after {self.done} of {self.epochs} epochs." if early else ""
        self.line.update(caption_output(self.caption + remark), raw=True)
        self.place.update({"text/plain": ""}, raw=True)
        self.button.close()

    def stop(self, _button: ipywidgets.Button | None = None) -> None:
        """End the training at its next step; in the first epoch, when that is over."""
        self.stopping = True
        self.button.disabled, self.button.description = True, "Stopping …"

    def step(self, step: int, steps: int) -> None:
        """Say how far the epoch has come, about twice a second.

        Raises: StopTraining if the button was pressed.
        """
        if self.stopping and self.done:
            raise StopTraining
        if time.monotonic() - self.last_update >= SECONDS_BETWEEN_UPDATES:
            self.last_update = time.monotonic()
            share = (self.done + step / steps) / self.epochs
            left = (self.last_update - self.started) * (1 / share - 1)
            text = f"Epoch {self.done + 1} of {self.epochs}, step {step} of {steps}; about {left:.0f} s left"
            self.line.update(caption_output(text), raw=True)

    def epoch(self, history: History) -> None:
        """Draw all epochs so far.

        Raises: StopTraining if the button was pressed.
        """
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
        if self.stopping:
            raise StopTraining
