"""What is remembered of a training: a few numbers for each epoch."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave. Losses in nats, accuracies from 0 to 1, `lr` of the epoch's first
    step, `seconds` of training and validating."""

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float


@dataclass
class History:
    """All epochs of one training; `best` is the one with the lowest validation loss."""

    epochs: list[Epoch] = field(default_factory=list)

    @property
    def best(self) -> Epoch:
        """Return the epoch with the lowest validation loss, the first of equals."""
        return min(self.epochs, key=lambda epoch: epoch.val_loss)
