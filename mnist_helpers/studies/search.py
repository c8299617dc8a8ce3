"""The search for the network of `keras-tuned`: Optuna proposes, a short training measures, poor ones are cut off.

A study lies in a file (or a database), so that several processes, on one machine or many, work on it together, and a
killed one loses nothing but its own trial. Notebook 06 tells the story.
"""

import contextlib
import hashlib
import logging
import os
import platform
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from torch import nn

from mnist_helpers.architectures import stacked_conv
from mnist_helpers.data import LabelledImages, load_part
from mnist_helpers.errors import CourseError, MissingExtraError
from mnist_helpers.evaluation import evaluate
from mnist_helpers.recipes import Recipe, make_optimizer
from mnist_helpers.runtime import is_named_pipe, pick_device, seed_everything, shipped
from mnist_helpers.training import TrainingError, make_loader, train_one_epoch

try:
    import optuna
    import psutil
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.storages import BaseStorage, JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from optuna.trial import TrialState
except ModuleNotFoundError as error:
    raise MissingExtraError("The search needs Optuna", "search") from error

STUDY_NAME = "keras-tuned"
RECORD = shipped("docs/keras-tuned.journal")  # the full search, from which the recipe was taken
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
BEAT_S, SILENCE_S = 60, 900  # a living process says so so often; after such a silence it is taken for gone
SECONDS_TO_SIGN = 60  # a trial is given its worker's name at once; without one for so long, the worker is gone
LOCK_GRACE_S = 10  # writing a line takes milliseconds; who holds the lock for longer was killed
DEPTHS, WIDTHS, KERNELS, RATES = (1, 3), (16, 32, 64), (3, 5), (3e-4, 1e-2)
BATCH_SIZE, HIDDEN, DROPOUT = 128, 128, 0.3  # held, so that few trials say something about the rest


class SearchError(CourseError):
    """A study that cannot be opened, or that was begun with other settings."""


def open_study(place: str | Path, settings: dict | None = None) -> optuna.Study:
    """Open a study, or begin it: `place` is a file (a journal, also on a shared disk) or the address of a database.

    `settings` are what all trials of a study have in common; the first who opens it writes them down.

    Raises: SearchError if it cannot be opened, is damaged, or was begun with other settings.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A killed process may have held the lock; that it is taken from the dead is no news for the living.
    logging.getLogger(JournalFileOpenLock.__module__).setLevel(logging.ERROR)
    try:
        # Several trials at once: each counts as a poor one until it has finished, so that no two try the same.
        study = optuna.create_study(
            storage=_storage(str(place)),
            study_name=STUDY_NAME,
            direction="minimize",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(n_startup_trials=8, constant_liar=True),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
        )
    except Exception as error:  # a file or a database can fail in any way of its own
        raise SearchError(f"The study {place} cannot be opened ({_first_line(error)}). Name another file.") from error
    begun = study.user_attrs.get("settings")
    if settings and begun is None:
        study.set_user_attr("settings", settings)
    elif settings and begun != settings:
        raise SearchError(f"The study {place} was begun with {begun}, not {settings}. Name another file.")
    return study


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _storage(place: str) -> BaseStorage:
    if "://" in place:
        return RDBStorage(place)
    path = Path(place)
    if is_named_pipe(path):
        raise ValueError("it is a pipe")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = JournalFileOpenLock(place, grace_period=LOCK_GRACE_S)
    lock.acquire()
    try:
        _remove_torn_line(path)
    finally:
        lock.release()
    return JournalStorage(JournalFileBackend(place, lock))


def _remove_torn_line(journal: Path) -> None:
    """Cut off a last line that a power failure left unfinished; the next one would be written behind it.

    Raises: ValueError for a file that is something else, which stays as it is.
    """
    content = journal.read_bytes() if journal.is_file() else b""
    if content and not content.startswith(b'{"op_code"'):
        raise ValueError("it holds something else")
    if content and not content.endswith(b"\n"):
        os.truncate(journal, content.rfind(b"\n") + 1)


def search(study: optuna.Study, trials: int, device: str = "auto", say: Callable[[str], None] = lambda _: None) -> None:
    """Work on a study until `trials` of its trials have finished, this process's and all others' together.

    A trial that a killed process of this machine left behind is taken up again first. `say` is called with a line after
    every trial.

    Raises: SearchError if the study has no settings.
    """
    settings = study.user_attrs.get("settings")
    if not settings:
        raise SearchError("This study has no settings. Open it with open_study(place, settings).")
    train = load_part(settings["dataset"], "train", settings["train_limit"]).to(pick_device(device))
    val = load_part(settings["dataset"], "validation").to(pick_device(device))
    for trial in abandoned_trials(study):
        try:
            _tell(study, trial.number, state=TrialState.FAIL)
        except UpdateFinishedTrialError:  # another process has taken it up in this moment
            continue
        study.enqueue_trial(trial.params)
        say(f"trial {trial.number} was left unfinished by a process that is gone; it is tried again")
    while len(study.get_trials(deepcopy=False, states=FINISHED)) < trials:
        trial = study.ask()
        try:
            with _signs_of_life(trial):
                ended = _tried(study, trial, train, val, settings)
            say(describe(ended))
        except UpdateFinishedTrialError:  # this process stood still for long: a laptop that slept, say
            say(f"trial {trial.number} was given up by another process, which thought this one gone")


def _tried(
    study: optuna.Study, trial: optuna.Trial, train: LabelledImages, val: LabelledImages, settings: dict
) -> optuna.trial.FrozenTrial:
    try:
        return _tell(study, trial, train_trial(trial, train, val, settings["epochs"], settings["seed"]))
    except optuna.TrialPruned:
        return _tell(study, trial, state=TrialState.PRUNED)


def _tell(
    study: optuna.Study, trial: optuna.Trial | int, value: float | None = None, state: TrialState | None = None
) -> optuna.trial.FrozenTrial:
    """Tell a study how a trial ended.

    Raises: UpdateFinishedTrialError if somebody else has told it before, whichever of two ways Optuna has to say so.
    """
    try:
        return study.tell(trial, value, state)
    except ValueError as error:
        raise UpdateFinishedTrialError(str(error)) from error


@contextlib.contextmanager
def _signs_of_life(trial: optuna.Trial) -> Iterator[None]:
    """Write down now and then, while the block lasts, that a trial's process is alive: other machines see only that."""
    over = threading.Event()

    def write() -> None:
        with contextlib.suppress(Exception):  # the search itself will meet it, and says so
            while True:
                trial.set_user_attr("alive", int(time.time()))
                if over.wait(BEAT_S):
                    return

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def train_trial(trial: optuna.Trial, train: LabelledImages, val: LabelledImages, epochs: int, seed: int = 0) -> float:
    """Train what Optuna proposes for a few epochs and return its lowest validation loss.

    Raises: TrialPruned if it does worse than most trials did at that epoch, or if its loss stops being a number.
    """
    trial.set_user_attr("worker", worker())
    seed_everything(seed)
    network = propose_network(trial).to(train.labels.device)
    recipe = Recipe("trial", "stacked", epochs, BATCH_SIZE, lr=trial.suggest_float("lr", *RATES, log=True))
    loader = make_loader(train, recipe, seed)
    optimizer, scheduler = make_optimizer(network, recipe, epochs * len(loader))
    losses = []
    for epoch in range(1, epochs + 1):
        try:
            train_one_epoch(network, loader, optimizer, scheduler, recipe)
        except TrainingError as error:
            raise optuna.TrialPruned(str(error)) from error
        scores = evaluate(network, val)
        losses.append(scores.loss)
        trial.set_user_attr("val_accuracy", scores.accuracy)
        trial.report(scores.loss, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned()
    return min(losses)


def propose_network(trial: optuna.Trial | optuna.trial.FixedTrial) -> nn.Sequential:
    """Ask Optuna for a depth, and for the width and the kernel size of each convolution; build the network."""
    depth = trial.suggest_int("depth", *DEPTHS)
    widths = [trial.suggest_categorical(f"width{layer}", WIDTHS) for layer in range(1, depth + 1)]
    kernels = [trial.suggest_categorical(f"kernel{layer}", KERNELS) for layer in range(1, depth + 1)]
    return stacked_conv(widths, kernels, HIDDEN, DROPOUT)


def describe(trial: optuna.trial.FrozenTrial) -> str:
    """Return one line about a trial that has ended."""
    result = f"validation loss {trial.value:.4f}" if trial.value is not None else "no result"
    settings = ", ".join(f"{name} {value:.2g}" for name, value in trial.params.items())
    return f"trial {trial.number}, {trial.state.name.lower()}: {result}; {settings}"


def summary(study: optuna.Study) -> str:
    """Return how many trials ended how, and the best of them."""
    states = Counter(trial.state.name.lower() for trial in study.get_trials(deepcopy=False))
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    best = f"the best: {describe(study.best_trial)}" if states["complete"] else "none was trained to its end"
    return f"{counts}; {best}"


def worker() -> str:
    """Name this process among all that work on a study: a code for its machine, its start, its number."""
    return f"{_machine()}-{_start_of(os.getpid())}-{os.getpid()}"


def _machine() -> str:
    """Name what this process sees the processes of: a machine since it was started, or a container on it."""
    seen = [platform.node()]
    for path in map(Path, ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid")):  # containers may share a name
        with contextlib.suppress(OSError):
            seen.append(str(path.readlink()) if path.is_symlink() else path.read_text())
    return hashlib.sha256(" ".join(seen).encode()).hexdigest()[:8]


def _start_of(process: int) -> int | None:
    """Return when a process was started, in seconds; None if it is gone."""
    try:
        return int(psutil.Process(process).create_time())
    except psutil.NoSuchProcess:
        return None


def abandoned_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that stand as running in the study although their process is gone.

    That is known of the processes of this machine, and of one that ended before it had put its name to its trial.
    One of another machine, or of this one before it was started again, is taken for gone when it has long been silent.
    """
    abandoned = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        signed = re.fullmatch(r"(\w+)-(\d+)-(\d+)", str(trial.user_attrs.get("worker", "")))
        age = (datetime.now(tz=trial.datetime_start.tzinfo) - trial.datetime_start).total_seconds()
        if signed is None:
            gone = age > SECONDS_TO_SIGN
        else:
            machine, start, process = signed.groups()
            if machine == _machine():  # a later process may have the number of one that is gone
                gone = _start_of(int(process)) != int(start)
            else:
                gone = time.time() - trial.user_attrs.get("alive", trial.datetime_start.timestamp()) > SILENCE_S
        if gone:
            abandoned.append(trial)
    return abandoned
