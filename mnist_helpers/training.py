"""Training: one epoch, and `fit`, which repeats it, watches the validation loss and keeps what was best.

The settings come from `recipes`, the files from `checkpoints`; nothing here draws or prints.
"""

import contextlib
import copy
import functools
import math
import time
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mnist_helpers import checkpoints, runtime
from mnist_helpers.augmentation import AUGMENTATIONS
from mnist_helpers.data import BatchLoader, LabelledImages
from mnist_helpers.distributed import from_first, mean, process, share, together
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import evaluate, predict_logits
from mnist_helpers.forms import with_forms
from mnist_helpers.models import build_model, check_architecture, mode_kept
from mnist_helpers.recipes import Recipe, get_recipe, make_optimizer
from mnist_helpers.runtime import autocast, pick_device, seed_everything

CHECK_EVERY = 100  # steps between two looks at the losses; each look makes a GPU wait
TEACHER = 0.8  # of a softened label; the rest is the label itself
TEMPERATURE = 2.0  # by which the teacher's logits are divided, so that its second thoughts count


class TrainingError(CourseError):
    """Training cannot go on."""


class StopTraining(Exception):  # noqa: N818 - no error: someone pressed a button
    """Raised by `on_step` or `on_epoch` to end `fit`, which keeps the best epoch so far."""


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


def make_loader(labelled: LabelledImages, recipe: Recipe, seed: int) -> BatchLoader:
    """Return the batches that a recipe asks for: shuffled, and augmented if it says so, both drawn from the seed.

    To vary "handwriting" means other people's forms of the digits, and digits that touch, too: those are shown beside
    MNIST's.
    """
    if recipe.augment == "handwriting" and labelled.dataset == "mnist":
        labelled = with_forms(labelled, seed)
    augment = AUGMENTATIONS[recipe.augment] if recipe.augment else None
    return BatchLoader(labelled, recipe.batch_size, shuffle=True, seed=seed, augment=augment)


def softened(labelled: LabelledImages, teacher: nn.Module) -> LabelledImages:
    """Return the same images with probabilities for labels: a fifth is the label, four fifths what a teacher thinks.

    A 4 that could be a 9 says so, and a small network learns more from that than from the digit alone.
    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015).
    Shapes: labels (N,) int64 → (N, C) float32.
    """
    thoughts = (predict_logits(teacher, labelled.images) / TEMPERATURE).softmax(dim=1).to(labelled.labels.device)
    certain = F.one_hot(labelled.labels, thoughts.shape[1])
    return replace(labelled, labels=TEACHER * thoughts + (1 - TEACHER) * certain)


def train_one_epoch(
    model: nn.Module,
    train_loader: BatchLoader,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    recipe: Recipe,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[float, float]:
    """Show the network every batch once and return the mean loss and accuracy it had on them while it learned.

    Labels may be classes or, as `softened` makes them, probabilities; of those the most probable class is right.
    `on_step` is called with the number of the step and of all steps of the epoch. The loss includes what the recipe's
    `label_smoothing` adds.

    Raises: TrainingError if the loss is NaN or infinite, naming the step and its learning rate.
    """
    model.train()
    losses: list[Tensor] = []
    correct: list[Tensor] = []
    rates: list[float] = []
    for step, (images, labels) in enumerate(train_loader, start=1):
        with autocast(images.device, recipe.bfloat16):
            logits = model(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
        # Kept as tensors: reading a number would make a GPU wait at every step.
        losses.append(loss.detach())
        classes = labels if labels.dim() == 1 else labels.argmax(dim=1)
        correct.append((logits.detach().argmax(dim=1) == classes).float().mean())
        if step % CHECK_EVERY == 0 or step == len(train_loader):
            _check_finite(losses, rates)
        if on_step:
            on_step(step, len(train_loader))
    return mean(torch.stack(losses).mean()).item(), mean(torch.stack(correct).mean()).item()


def _check_finite(losses: list[Tensor], rates: list[float]) -> None:
    means = mean(torch.stack(losses))  # over all processes, so that all of them find it
    bad = torch.nonzero(~torch.isfinite(means)).flatten().tolist()
    if bad:
        step = bad[0]
        raise TrainingError(
            f"The loss became {means[step].item()} at step {step + 1}, where the learning rate was {rates[step]:.3g}. "
            "Try a learning rate ten times smaller, and look at the images for values that are not numbers."
        )


def fit(
    model: nn.Module,
    train: LabelledImages,
    val: LabelledImages,
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "auto",
    folder: Path | None = None,
    resume: bool = False,
    on_step: Callable[[int, int], None] | None = None,
    on_epoch: Callable[[History], None] | None = None,
) -> History:
    """Train a network by a recipe; at the end it holds the weights of the epoch with the lowest validation loss.

    With a `folder`, the best network so far lies in it after every epoch. With `resume`, an interrupted training there
    goes on after its last whole epoch, to bitwise the weights that it would have had without the break (same machine,
    same threads, at most two processes). `on_epoch` is called with the history after every epoch. A recipe's teacher is
    trained first, by itself and without a word, and lies in `folder`/resume/teacher.

    Raises: TrainingError if the loss stops being a number, or a batch is too small for the network; CheckpointError if
    the folder cannot be used.
    """
    check_architecture(model, recipe.architecture)
    if recipe.teacher:
        train = _taught(train, val, recipe, seed, device, folder, resume)
    seed_everything(seed)
    chosen = pick_device(device)
    model.to(chosen, memory_format=torch.channels_last)
    run = _Run(model, train.to(chosen), val.to(chosen), recipe, seed)
    writes = folder is not None and process() == 0
    if not (folder and resume and run.load(folder)) and writes:
        checkpoints.remove_training_state(folder)
    with contextlib.suppress(StopTraining), mode_kept(model):
        run.train(folder if writes else None, on_step, on_epoch)
    if run.best_weights:  # none, if it was stopped within the first epoch
        model.load_state_dict(run.best_weights)
        if writes:  # a resumed run may have had nothing left to do but this
            checkpoints.save_model(folder, model, run.card())
    return run.history


def _taught(
    train: LabelledImages,
    val: LabelledImages,
    student: Recipe,
    seed: int,
    device: str,
    folder: Path | None,
    resume: bool,
) -> LabelledImages:
    """Train the teacher of a student's recipe, and return the images with the labels that it softens."""
    recipe = get_recipe(student.teacher)
    seed_everything(seed)
    teacher, own = build_model(recipe.architecture, recipe.dropout), folder and folder / "resume" / "teacher"
    fit(teacher, train, val, recipe, seed=seed, device=device, folder=own, resume=resume)
    return softened(train, teacher)


class _Run:
    """All that changes while `fit` works, so that it can be saved after an epoch and taken up again."""

    def __init__(self, model: nn.Module, train: LabelledImages, val: LabelledImages, recipe: Recipe, seed: int) -> None:
        self.model, self.val, self.recipe, self.seed = model, val, recipe, seed
        self.loader = make_loader(train, recipe, seed)
        own = share(torch.empty(self.loader.batch_size))  # a batch that cannot be dealt out is refused before all else
        if len(own) == 1 and any(isinstance(layer, nn.BatchNorm1d) for layer in model.modules()):
            raise TrainingError(
                "This network normalises by the spread within a batch, and a single image has none. Train with at "
                "least 2 images, in batches of at least 2 for each process."
            )
        self.optimizer, self.scheduler = make_optimizer(model, recipe, steps=recipe.epochs * len(self.loader))
        self.device = train.labels.device
        self.learner = together(model)
        self.history = History()
        self.best_weights: dict[str, Tensor] = {}

    def is_over(self) -> bool:
        done = len(self.history.epochs)
        waited = done - self.history.best.epoch if done else 0
        return done >= self.recipe.epochs or (self.recipe.patience is not None and waited >= self.recipe.patience)

    def train(self, folder: Path | None, on_step: Callable | None, on_epoch: Callable | None) -> None:
        while not self.is_over():
            self.one_epoch(on_step)
            if folder:
                self.save(folder)
            if on_epoch:
                on_epoch(self.history)

    def one_epoch(self, on_step: Callable[[int, int], None] | None) -> None:
        number = len(self.history.epochs) + 1
        lr, started = self.optimizer.param_groups[0]["lr"], time.perf_counter()
        if process():  # what it draws must not repeat the first one's, whose random numbers are saved and restored
            own = self.seed + 1_000 * process() + number
            torch.manual_seed(own)  # for dropout
            self.loader.augmenting.manual_seed(own)
        try:
            losses = train_one_epoch(self.learner, self.loader, self.optimizer, self.scheduler, self.recipe, on_step)
        except TrainingError as error:
            raise TrainingError(f"Epoch {number}: {error}") from error
        scores = from_first(lambda: evaluate(self.model, self.val, self.recipe.label_smoothing))
        if not math.isfinite(scores.loss):
            raise TrainingError(f"Epoch {number}: the validation loss is {scores.loss}. Try a smaller learning rate.")
        seconds = time.perf_counter() - started
        self.history.epochs.append(Epoch(number, *losses, scores.loss, scores.accuracy, lr, seconds))
        if self.history.best.epoch == number:
            self.best_weights = copy.deepcopy(self.model.state_dict())

    @functools.cached_property
    def settings(self) -> dict:
        """What must be the same for a training to go on; found once, as all images are looked at for it."""
        train = self.loader.labelled
        data = {"dataset": train.dataset, "images": len(train), "data": train.digest() + self.val.digest()}
        return asdict(self.recipe) | {"seed": self.seed} | data

    def save(self, folder: Path) -> None:
        number = len(self.history.epochs)
        state = {
            "settings": self.settings,
            "epochs": [asdict(epoch) for epoch in self.history.epochs],
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "shuffle": self.loader.generator.get_state(),
            "augment": self.loader.augmenting.get_state(),
            "random": runtime.random_states(self.device),
        }
        # First the network: if this is interrupted, the epoch is done again to the same end, and nothing is missing.
        if self.history.best.epoch == number:
            checkpoints.save_model(folder, self.model, self.card())
        weights = {"last": self.model.state_dict(), "best": self.best_weights}
        checkpoints.save_training_state(folder, number, weights, state)

    def load(self, folder: Path) -> bool:
        """Take up the training saved in a folder; return whether there was one."""
        saved = from_first(lambda: checkpoints.load_training_state(folder))
        if saved is None:
            return False
        weights, state = saved
        try:
            self._restore(weights, state, folder)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            why = f"The training state in {folder} is of another version ({error})."
            raise checkpoints.CheckpointError(f"{why} Start anew without --resume (resume=False).") from error
        return True

    def _restore(self, weights: dict[str, dict[str, Tensor]], state: dict, folder: Path) -> None:
        for name, now in self.settings.items():
            if (then := state["settings"].get(name)) != now:
                raise checkpoints.CheckpointError(
                    f"The training in {folder} was begun with {name}={then!r}, this one asks for {now!r}. "
                    "Go on with the settings it was begun with, or start anew without --resume (resume=False)."
                )
        for which in ("best", "last"):
            checkpoints.load_weights(self.model, weights[which], folder / "resume")
        self.best_weights = weights["best"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.loader.generator.set_state(state["shuffle"])
        if self.loader.augmenting is not self.loader.generator:  # as in several processes, or on a GPU
            self.loader.augmenting.set_state(state.get("augment", state["shuffle"]))  # older states know one generator
        runtime.restore_random_states(state["random"], self.device)
        epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        if not all(isinstance(value, int | float) for epoch in epochs for value in astuple(epoch)):
            raise TypeError("an epoch holds something other than numbers")
        self.history.epochs = epochs

    def card(self) -> checkpoints.Card:
        best = self.history.best
        return checkpoints.Card(
            architecture=self.recipe.architecture,
            recipe=self.recipe.name,
            dataset=self.loader.labelled.dataset,
            classes=list(self.val.classes),
            seed=self.seed,
            epochs=len(self.history.epochs),
            best_epoch=best.epoch,
            train_images=len(self.loader.labelled),
            val_loss=best.val_loss,
            val_accuracy=best.val_accuracy,
            dropout=self.recipe.dropout,
            torch_version=torch.__version__,
        )
