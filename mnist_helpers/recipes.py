"""Named training settings that do not change: a recipe, a seed and the data determine a trained network."""

from dataclasses import dataclass

from mnist_helpers.runtime import CourseError


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
        for name in ("epochs", "batch_size", "lr"):
            if not getattr(self, name) > 0:
                raise CourseError(f"{name}={getattr(self, name)} makes no training: it must be above 0.")
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
