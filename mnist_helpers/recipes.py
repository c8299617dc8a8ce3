"""Named training settings that do not change, and the optimizer that each asks for."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mnist_helpers.runtime import CourseError

SHORTEST_CYCLE = 10  # steps


@dataclass(frozen=True)
class Recipe:
    """How one network is trained.

    Adam with the learning rate `lr`: held, or over the whole run raised and lowered again (`schedule="one-cycle"`,
    Smith and Topin, 2018). `weight_decay` is decoupled (AdamW, Loshchilov and Hutter, 2019). `dropout` is the share of
    activations silenced in training (Srivastava and others, 2014). With `augment`, every image is turned, moved and
    resized a little each time. `patience` is the number of epochs without a better validation loss after which training
    stops; None trains all `epochs`.
    """

    name: str
    architecture: str
    epochs: int
    batch_size: int
    lr: float
    schedule: str = "one-cycle"
    weight_decay: float = 0.0
    dropout: float = 0.0
    augment: bool = False
    patience: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lr", "patience"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise CourseError(f"{name}={value} makes no training: it must be above 0.")
        for name in ("epochs", "batch_size"):
            if not isinstance(getattr(self, name), int):
                raise CourseError(f"{name}={getattr(self, name)} must be a whole number.")
        if not self.weight_decay >= 0:
            raise CourseError(f"weight_decay={self.weight_decay} must not be below 0.")
        if self.schedule not in ("constant", "one-cycle"):
            raise CourseError(f"schedule={self.schedule!r} is not known. Use 'constant' or 'one-cycle'.")
        if not 0 <= self.dropout < 1:
            raise CourseError(f"dropout={self.dropout} must lie between 0 (none) and 1 (everything silenced).")


RECIPES = {
    recipe.name: recipe
    for recipe in [Recipe("walkthrough", "two-conv", epochs=3, batch_size=128, lr=4e-3, dropout=0.3)]
}


def get_recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises: CourseError for a name that is not in the register.
    """
    if name not in RECIPES:
        raise CourseError(f"recipe={name!r} is not known. Use one of: {', '.join(RECIPES)}.")
    return RECIPES[name]


def make_optimizer(model: nn.Module, recipe: Recipe, steps: int) -> tuple[Optimizer, LRScheduler]:
    """Return the optimizer of a recipe and the schedule of its learning rate over `steps` steps.

    A one-cycle of only a few steps would hardly leave its low beginning, so then the rate is held.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    if recipe.schedule == "one-cycle" and steps >= SHORTEST_CYCLE:
        # The momentum stays put: only the learning rate moves, so that one curve tells the whole schedule.
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps, cycle_momentum=False)
    else:
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1, total_iters=0)
    return optimizer, scheduler
