"""One step beside torch's own, exact resuming after a real kill, and every way in which training can go wrong."""

import math
import platform
import signal
import subprocess
import sys
from dataclasses import replace

import needs
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mnist_helpers import checkpoints, data, datasets, runtime, training
from mnist_helpers.checkpoints import CheckpointError, load_model, load_training_state, save_training_state
from mnist_helpers.data import BatchLoader, to_float
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import evaluate
from mnist_helpers.models import build_model
from mnist_helpers.recipes import get_recipe, make_optimizer
from mnist_helpers.runtime import seed_everything
from mnist_helpers.training import (
    Epoch,
    History,
    StopTraining,
    TrainingError,
    fit,
    make_loader,
    softened,
    train_one_epoch,
)


def train_new(recipe, train, val, seed=0, **options):
    seed_everything(seed)
    model = build_model(recipe.architecture, recipe.dropout)
    history = fit(model, train, val, recipe, seed=seed, device="cpu", **options)
    return model, history


def assert_same_weights(first, second):
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


PAGE_FAULTS = """
import hashlib, resource, sys
import torch
from mnist_helpers import training
from mnist_helpers.data import BatchLoader, LabelledImages
from mnist_helpers.models import build_model
from mnist_helpers.recipes import get_recipe, make_optimizer
from mnist_helpers.startup import keep_memory

if sys.argv[1] != "given back":
    keep_memory()
torch.set_num_threads(1)
torch.manual_seed(0)
images = torch.randint(0, 256, (1280, 1, 28, 28), dtype=torch.uint8)
train = LabelledImages(images, torch.arange(1280) % 10, tuple("0123456789"), "noise")
recipe, model, loader = get_recipe("walkthrough"), build_model("two-conv"), BatchLoader(train, 128, shuffle=True)
faults = [resource.getrusage(resource.RUSAGE_SELF).ru_minflt]
for _ in range(3):
    training.train_one_epoch(model, loader, *make_optimizer(model, recipe, len(loader)), recipe)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
weights = b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())
print(faults[3] - faults[2], hashlib.sha256(weights).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="Only glibc can be told to keep memory.")
def test_training_keeps_its_memory_from_step_to_step_and_learns_the_same():
    def faults_and_weights(memory: str) -> tuple[int, str]:
        command = [sys.executable, "-c", PAGE_FAULTS, memory]
        faults, weights = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return int(faults), weights

    (kept, weights), (given_back, same_weights) = faults_and_weights("kept"), faults_and_weights("given back")
    assert 5 * kept < given_back
    assert weights == same_weights


def test_an_epoch_does_what_a_plain_loop_does(train, recipe):
    ours, plain = build_model("two-conv"), build_model("two-conv")
    plain.load_state_dict(ours.state_dict())
    optimizer, scheduler = make_optimizer(ours, recipe, steps=20)
    loss, accuracy = train_one_epoch(ours, BatchLoader(train, 64, shuffle=True, seed=3), optimizer, scheduler, recipe)

    adam = torch.optim.Adam(plain.parameters(), lr=recipe.lr)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(3))
    losses, right = [], 0
    for indices in order.split(64):
        logits = plain(to_float(train.images[indices]))
        one_loss = F.cross_entropy(logits, train.labels[indices])
        adam.zero_grad()
        one_loss.backward()
        adam.step()
        losses.append(one_loss.item())
        right += (logits.argmax(dim=1) == train.labels[indices]).sum().item()
    assert loss == pytest.approx(sum(losses) / len(losses), rel=1e-3)
    assert accuracy == pytest.approx(right / len(train), abs=0.01)
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-2)


def test_smoothed_labels_and_adam_s_memory_do_what_a_plain_loop_does(train, recipe):
    recipe = replace(recipe, label_smoothing=0.2, beta1=0.7, beta2=0.9, schedule="constant")
    ours, plain = build_model("linear"), build_model("linear")
    plain.load_state_dict(ours.state_dict())
    optimizer, scheduler = make_optimizer(ours, recipe, steps=10)
    loader = BatchLoader(train, 64)
    loss, _ = train_one_epoch(ours, loader, optimizer, scheduler, recipe)
    adam, losses = torch.optim.Adam(plain.parameters(), lr=recipe.lr, betas=(0.7, 0.9)), []
    for images, labels in loader:
        targets = 0.8 * F.one_hot(labels, 10) + 0.2 / 10
        one_loss = -(targets * plain(images).log_softmax(dim=1)).sum(dim=1).mean()
        adam.zero_grad()
        one_loss.backward()
        adam.step()
        losses.append(one_loss.item())
    assert loss == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_a_teacher_s_doubts_soften_the_labels(train):
    teacher = build_model("linear")
    soft = softened(train, teacher)
    for place in (0, 100, 639):
        logits = teacher(to_float(train.images[place : place + 1]))[0]
        doubts = [math.exp(logit / 2) for logit in logits.tolist()]
        wanted = [
            0.8 * doubt / sum(doubts) + 0.2 * (digit == train.labels[place]) for digit, doubt in enumerate(doubts)
        ]
        torch.testing.assert_close(soft.labels[place], torch.tensor(wanted))
    assert torch.equal(soft.images, train.images)


def test_an_epoch_with_softened_labels_is_the_plain_loop_with_probabilities(train, recipe):
    soft, ours, plain = softened(train, build_model("linear")), build_model("linear"), build_model("linear")
    plain.load_state_dict(ours.state_dict())
    loss, accuracy = train_one_epoch(ours, BatchLoader(soft, 64), *make_optimizer(ours, recipe, steps=10), recipe)
    adam, losses, right = torch.optim.Adam(plain.parameters(), lr=recipe.lr), [], 0
    for images, wanted in zip(soft.images.split(64), soft.labels.split(64), strict=True):
        logits = plain(to_float(images))
        losses.append(-(wanted * logits.log_softmax(dim=1)).sum(dim=1).mean())
        right += (logits.argmax(dim=1) == wanted.argmax(dim=1)).sum().item()
        adam.zero_grad()
        losses[-1].backward()
        adam.step()
    assert loss == pytest.approx(sum(losses).item() / len(losses), rel=1e-4)
    assert accuracy == pytest.approx(right / len(soft))
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


@pytest.fixture
def taught(recipe):
    """Settings with a teacher."""
    return replace(recipe, architecture="linear", teacher="walkthrough")


def test_a_recipe_s_teacher_is_trained_first_and_the_network_learns_from_it(tmp_path, train, val, taught):
    model, _ = train_new(taught, train, val, seed=3, folder=tmp_path)
    teacher, card = load_model(tmp_path / "resume" / "teacher")
    assert (card.recipe, card.seed) == ("walkthrough", 3)
    alone, _ = train_new(get_recipe("walkthrough"), train, val, seed=3)
    assert_same_weights(teacher, alone)
    by_hand, _ = train_new(replace(taught, teacher=None), softened(train, teacher), val, seed=3)
    assert_same_weights(model, by_hand)


def test_a_training_that_stopped_with_its_teacher_goes_on_to_bitwise_the_same_weights(
    tmp_path, train, val, taught, monkeypatch
):
    def stop(_history):
        raise StopTraining

    uninterrupted, _ = train_new(taught, train, val)
    train_new(taught, train, val, folder=tmp_path, on_epoch=stop)
    epochs = []
    monkeypatch.setattr(training, "train_one_epoch", lambda *a: epochs.append(a[-2].name) or train_one_epoch(*a))
    resumed, _ = train_new(taught, train, val, folder=tmp_path, resume=True)
    assert epochs == [taught.name]  # the second one; the teacher has nothing left to learn
    assert_same_weights(uninterrupted, resumed)


def test_a_folder_that_cannot_hold_the_teacher_is_refused_before_it_is_trained(
    tmp_path, train, val, taught, monkeypatch
):
    (tmp_path / "resume").mkdir()
    (tmp_path / "resume" / "teacher").write_text("in the way")
    monkeypatch.setattr(training, "train_one_epoch", lambda *_: pytest.fail("trained"))
    with pytest.raises(CheckpointError, match="cannot be written"):
        train_new(taught, train, val, folder=tmp_path)


@pytest.mark.parametrize("able", [True, False])
def test_a_recipe_in_16_bits_computes_in_them_where_the_cpu_can(train, val, monkeypatch, able):
    monkeypatch.setattr(runtime, "cpu_has_bfloat16", lambda: able)
    fast, dtypes = get_recipe("fastest-99"), []
    model = build_model(fast.architecture)
    model.conv2.register_forward_hook(lambda _layer, _inputs, output: dtypes.append(output.dtype))
    history = fit(model, train, val, replace(fast, epochs=4, batch_size=64), device="cpu")
    assert dtypes[0] == (torch.bfloat16 if able else torch.float32)
    assert dtypes[-1] == torch.float32  # scores do not depend on the processor's abilities
    assert history.best.val_accuracy > 0.85
    assert all(tensor.dtype == torch.float32 for tensor in model.parameters())


def test_a_single_image_is_refused_where_the_network_normalises_over_the_batch(train, val, monkeypatch):
    one = train.select(torch.arange(1))
    with pytest.raises(TrainingError, match="least 2 images"):
        fit(build_model("fast"), one, val, get_recipe("fastest-99"), device="cpu")
    fit(build_model("linear"), one, val, replace(get_recipe("fastest-99"), architecture="linear"), device="cpu")
    monkeypatch.setattr(training, "share", lambda batch: batch[::2])  # as one of two processes
    with pytest.raises(TrainingError, match="2 for each process"):
        fit(build_model("fast"), train.select(torch.arange(2)), val, get_recipe("fastest-99"), device="cpu")


def test_training_learns_real_digits(train, val, recipe):
    model, history = train_new(replace(recipe, epochs=4), train, val)
    assert history.epochs[-1].val_accuracy > 0.85
    assert evaluate(model, val).accuracy == history.best.val_accuracy


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(train, val, recipe):
    first, _ = train_new(replace(recipe, augment="affine"), train, val)
    again, _ = train_new(replace(recipe, augment="affine"), train, val)
    other, _ = train_new(replace(recipe, augment="affine"), train, val, seed=1)
    assert_same_weights(first, again)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


@needs.SIGNALS
@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_a_killed_training_resumes_to_bitwise_the_same_weights(tmp_path, train, val, recipe, schedule):
    """A process of its own trains and is killed without warning in its second epoch."""
    program = f"""
import os, signal, pathlib
from mnist_helpers.data import load_part
from mnist_helpers.models import build_model
from mnist_helpers.recipes import Recipe
from mnist_helpers.runtime import seed_everything
from mnist_helpers.training import fit
recipe = Recipe("small", "two-conv", 3, 32, 2e-3, schedule={schedule!r}, dropout=0.3, augment="affine")
train, val = load_part("mnist", "train", limit=640), load_part("mnist", "validation", limit=300)
calls = []
def die(step, steps):
    calls.append(step)
    if len(calls) == steps + 7:
        os.kill(os.getpid(), signal.SIGKILL)
seed_everything(0)
model, folder = build_model("two-conv", 0.3), pathlib.Path({str(tmp_path)!r})
fit(model, train, val, recipe, seed=0, device="cpu", folder=folder, on_step=die)
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    recipe = replace(recipe, epochs=3, schedule=schedule, augment="affine")
    uninterrupted, history = train_new(recipe, train, val)
    resumed = build_model("two-conv", 0.3)
    seen = []
    resumed_history = fit(
        resumed, train, val, recipe, seed=0, device="cpu", folder=tmp_path, resume=True,
        on_epoch=lambda h: seen.append(len(h.epochs)),
    )  # fmt: skip
    assert seen == [2, 3]
    assert_same_weights(uninterrupted, resumed)
    for ours, theirs in zip(history.epochs, resumed_history.epochs, strict=True):
        assert replace(ours, seconds=0) == replace(theirs, seconds=0)


def test_resuming_a_finished_training_returns_its_best_weights_at_once(tmp_path, train, val, recipe):
    model, _ = train_new(recipe, train, val, folder=tmp_path)
    again = build_model("two-conv", 0.3)
    fit(
        again, train, val, recipe, device="cpu", folder=tmp_path, resume=True, on_step=lambda *_: pytest.fail("trained")
    )
    assert_same_weights(model, again)


def test_resuming_where_nothing_was_saved_trains_from_the_start(tmp_path, train, val, recipe):
    recipe = replace(recipe, epochs=1)
    model, _ = train_new(recipe, train, val)
    for folder in (tmp_path, None):
        resumed, _ = train_new(recipe, train, val, folder=folder, resume=True)
        assert_same_weights(model, resumed)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"lr": 1e-4}, "begun with lr=0.002, this one asks for 0.0001"), ({"epochs": 5}, "epochs=2")],
)
def test_resuming_with_other_settings_is_refused(tmp_path, train, val, recipe, change, message):
    train_new(recipe, train, val, folder=tmp_path)
    with pytest.raises(CheckpointError, match=message):
        train_new(replace(recipe, **change), train, val, folder=tmp_path, resume=True)


def test_resuming_with_another_seed_or_other_data_is_refused(tmp_path, train, val, recipe):
    train_new(recipe, train, val, folder=tmp_path)
    with pytest.raises(CheckpointError, match="seed=0, this one asks for 1"):
        train_new(recipe, train, val, seed=1, folder=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="images=640, this one asks for 320"):
        train_new(recipe, train.select(torch.arange(320)), val, folder=tmp_path, resume=True)


def test_starting_anew_forgets_the_old_training(tmp_path, train, val, recipe):
    train_new(replace(recipe, epochs=3), train, val, folder=tmp_path)
    train_new(replace(recipe, epochs=1), train, val, folder=tmp_path)
    assert [path.name for path in (tmp_path / "resume").glob("*.pt")] == ["epoch-001.pt"]


def test_an_old_training_is_forgotten_before_the_first_step_of_a_new_one(tmp_path, train, val, recipe):
    def stop(_step, _steps):
        raise StopTraining

    train_new(replace(recipe, epochs=1), train, val, folder=tmp_path)
    train_new(replace(recipe, epochs=1), train, val, folder=tmp_path, on_step=stop)
    assert load_training_state(tmp_path) is None


def test_the_saved_network_is_that_of_the_best_epoch(tmp_path, train, val, recipe):
    model, history = train_new(replace(recipe, epochs=3), train, val, folder=tmp_path)
    saved, card = load_model(tmp_path)
    assert_same_weights(model, saved)
    assert card.best_epoch == history.best.epoch
    assert card.val_accuracy == history.best.val_accuracy
    assert card.train_images == len(train)


def test_early_stopping_waits_for_its_patience_and_keeps_the_best_weights(train, val, recipe):
    recipe = replace(recipe, epochs=60, patience=2, lr=4e-3, dropout=0.0)
    model, history = train_new(recipe, train, val)
    assert len(history.epochs) < 60
    assert len(history.epochs) - history.best.epoch == 2
    assert evaluate(model, val).loss == pytest.approx(history.best.val_loss, abs=1e-5)


def test_the_test_part_plays_no_role_in_training(train, val, recipe, monkeypatch):
    for module in (data, datasets):  # whoever imported the function has it under its own name
        monkeypatch.setattr(module, "read_images", lambda *_, **__: pytest.fail("data was read while training"))
    train_new(replace(recipe, epochs=1), train, val)


def test_a_loss_that_explodes_stops_with_epoch_step_and_learning_rate(train, val, recipe):
    broken = replace(train)
    with pytest.raises(TrainingError, match=r"Epoch 1: The loss became (nan|inf) at step \d+.*was 1e\+20.*ten times"):
        train_new(replace(recipe, lr=1e20), broken, val)


def test_a_loss_that_explodes_stops_with_a_sentence_where_axes_are_sought_as_well(train, val):
    recipe = replace(get_recipe("smallest-99"), teacher=None, batch_size=4, lr=1e30, schedule="constant")
    with pytest.raises(TrainingError, match="Epoch 1: The loss became nan at step"):
        train_new(recipe, train, val)


def test_an_epoch_is_the_plain_loop_of_pytorch(train, recipe):
    def begin():
        seed_everything(0)
        model = build_model("two-conv", dropout=0.3).eval()  # as whoever scores it leaves it
        loader = make_loader(train, replace(recipe, schedule="one-cycle"), seed=0)
        return model, loader, *make_optimizer(model, replace(recipe, schedule="one-cycle"), steps=len(loader))

    ours, loader, optimizer, scheduler = begin()
    loss, accuracy = train_one_epoch(ours, loader, optimizer, scheduler, recipe)
    lr = optimizer.param_groups[0]["lr"]
    plain, loader, optimizer, scheduler = begin()
    plain.train()
    losses, right = [], []
    for images, labels in loader:
        logits = plain(images)
        losses.append(F.cross_entropy(logits, labels))
        right.append((logits.argmax(dim=1) == labels).float().mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
        scheduler.step()
    for mine, expected in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, expected)
    assert loss == pytest.approx(torch.stack(losses).mean().item())
    assert accuracy == pytest.approx(torch.stack(right).mean().item())
    assert lr == optimizer.param_groups[0]["lr"] < recipe.lr / 50


def test_the_seed_decides_the_order_of_the_images_and_how_they_are_augmented(train, recipe):
    def shown(seed, **change):
        batches = list(make_loader(train, replace(recipe, **change), seed))
        assert len(batches) == len(train) // recipe.batch_size
        return torch.cat([images for images, _ in batches])

    plain = shown(1)
    assert torch.equal(plain, shown(1))
    assert not torch.equal(plain, shown(2))
    assert not torch.equal(plain, to_float(train.images))
    assert torch.equal(plain.flatten(1).sort(dim=0).values, to_float(train.images).flatten(1).sort(dim=0).values)
    augmented = shown(1, augment="affine")
    assert torch.equal(augmented, shown(1, augment="affine"))
    assert not torch.equal(augmented, plain)


def test_a_patience_of_one_epoch_still_trains(train, val, recipe):
    history = fit(build_model("two-conv"), train, val, replace(recipe, patience=1), device="cpu")
    assert history.epochs


def test_a_network_that_breaks_on_the_validation_images_alone_stops_the_training(train, val, recipe):
    class Breaking(nn.Module):  # standard deviations, say, that only evaluation uses
        def forward(self, values):
            return values if self.training else values * float("inf")

    model = build_model("two-conv")
    model.add_module("breaking", Breaking())
    with pytest.raises(TrainingError, match=r"Epoch 1: the validation loss is (nan|inf). Try a smaller learning rate"):
        fit(model, train, val, recipe, device="cpu")


class Poisoned(BatchLoader):
    """Gives values that are not numbers at one step."""

    bad_step = 7

    def __iter__(self):
        for step, (images, labels) in enumerate(super().__iter__(), start=1):
            yield (images * float("nan") if step == self.bad_step else images), labels


def test_the_losses_are_looked_at_now_and_then_and_a_bad_one_ends_the_epoch(train, recipe, monkeypatch):
    monkeypatch.setattr(training, "CHECK_EVERY", 5)
    model, steps = build_model("two-conv"), []
    optimizer, scheduler = make_optimizer(model, recipe, steps=20)
    with pytest.raises(TrainingError, match="became nan at step 7"):
        train_one_epoch(model, Poisoned(train, 32), optimizer, scheduler, recipe, lambda *step: steps.append(step))
    assert steps == [(step, 20) for step in range(1, 10)]  # at the tenth it is seen


def test_the_first_bad_step_is_named_even_though_the_losses_are_looked_at_later(train, recipe):
    model = build_model("two-conv")
    optimizer, scheduler = make_optimizer(model, recipe, steps=20)
    with pytest.raises(TrainingError, match=r"became nan at step 7, where the learning rate was 0.002"):
        train_one_epoch(model, Poisoned(train, 32, shuffle=True), optimizer, scheduler, recipe)


def test_a_training_that_breaks_leaves_the_best_network_on_disk(tmp_path, train, val, recipe):
    def poison(history):
        with torch.no_grad():
            model.conv1.weight.fill_(float("nan"))

    seed_everything(0)
    model = build_model("two-conv", recipe.dropout)
    with pytest.raises(TrainingError, match="Epoch 2"):
        fit(model, train, val, recipe, device="cpu", folder=tmp_path, on_epoch=poison)
    saved, card = load_model(tmp_path)
    assert card.best_epoch == 1
    assert evaluate(saved, val).accuracy == card.val_accuracy


@pytest.mark.parametrize("resume", [False, True])
def test_an_unwritable_folder_is_refused_before_any_training(tmp_path, train, val, recipe, resume):
    (tmp_path / "file").write_text("in the way")
    options = {"resume": resume, "on_step": lambda *_: pytest.fail("trained")}
    with pytest.raises(CheckpointError, match="cannot be written"):
        train_new(recipe, train, val, folder=tmp_path / "file" / "x", **options)


def test_a_disk_that_fills_up_while_training_keeps_the_last_whole_state(tmp_path, train, val, recipe, monkeypatch):
    def fill_the_disk(history):
        monkeypatch.setattr(checkpoints, "save_file", refuse)

    def refuse(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left on device"):
        train_new(recipe, train, val, folder=tmp_path, on_epoch=fill_the_disk)
    monkeypatch.undo()
    uninterrupted, _ = train_new(recipe, train, val)
    resumed, _ = train_new(recipe, train, val, folder=tmp_path, resume=True)
    assert_same_weights(uninterrupted, resumed)


def test_the_one_cycle_rises_to_its_peak_and_falls_to_nothing(recipe):
    optimizer, scheduler = make_optimizer(build_model("linear"), replace(recipe, schedule="one-cycle"), steps=100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert max(rates) == pytest.approx(recipe.lr)
    assert rates[0] < 0.1 * recipe.lr
    assert rates[-1] < 0.001 * recipe.lr
    assert rates.index(max(rates)) in range(25, 35)


def test_an_unknown_device_is_refused(train, val, recipe):
    with pytest.raises(CourseError, match="'tpu' is not a device name"):
        fit(build_model("two-conv"), train, val, recipe, device="tpu")


def test_the_best_epoch_is_the_first_with_the_lowest_validation_loss():
    history = History([Epoch(n, 0, 0, loss, 0.5, 0, 0) for n, loss in enumerate([0.3, 0.2, 0.2, 0.4], start=1)])
    assert history.best.epoch == 2


def test_a_break_between_the_two_saves_loses_nothing(tmp_path, train, val, recipe, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("mnist_helpers.checkpoints.save_training_state", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_new(recipe, train, val, folder=tmp_path)
    assert load_model(tmp_path)[1].best_epoch == 1
    resumed, _ = train_new(recipe, train, val, folder=tmp_path, resume=True)
    assert_same_weights(resumed, load_model(tmp_path)[0])


def test_resuming_with_other_images_of_the_same_number_is_refused(tmp_path, train, val, recipe):
    train_new(recipe, train, val, folder=tmp_path)
    with pytest.raises(CheckpointError, match="begun with data="):
        train_new(recipe, train.select(torch.arange(640).flip(0)), val, folder=tmp_path, resume=True)


def test_a_state_without_random_numbers_of_augmentations_own_is_taken_up(tmp_path, train, val, recipe):
    whole = build_model("two-conv")
    fit(whole, train, val, replace(recipe, epochs=1, augment="affine"), device="cpu", folder=tmp_path)
    (path,) = (tmp_path / "resume").glob("*.pt")
    state = torch.load(path, weights_only=True)
    del state["augment"]  # as it was before a GPU drew them itself
    torch.save(state, path)
    resumed = build_model("two-conv")
    fit(resumed, train, val, replace(recipe, epochs=1, augment="affine"), device="cpu", folder=tmp_path, resume=True)
    assert all(torch.equal(whole.state_dict()[name], tensor) for name, tensor in resumed.state_dict().items())


def test_a_state_of_another_version_is_refused_in_a_sentence(tmp_path, train, val, recipe):
    train_new(recipe, train, val, folder=tmp_path)
    path = tmp_path / "resume" / "epoch-002.pt"
    state = torch.load(path, weights_only=True)
    del state["epochs"][0]["lr"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match="of another version.*resume=False"):
        train_new(recipe, train, val, folder=tmp_path, resume=True)


def test_a_network_of_another_architecture_than_the_recipes_is_refused(train, val, recipe):
    with pytest.raises(CourseError, match="The recipe is for the network 'two-conv'"):
        fit(build_model("lenet-5"), train, val, recipe, device="cpu")


def test_a_disk_that_is_full_for_the_state_is_said_plainly(tmp_path, train, val, recipe, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise RuntimeError("[enforce fail at inline_container.cc] . unexpected pos")

    monkeypatch.setattr(torch, "save", refuse)
    with pytest.raises(CheckpointError, match="cannot be written.*unexpected pos"):
        train_new(recipe, train, val, folder=tmp_path)


def test_a_one_cycle_of_few_steps_still_trains(recipe):
    optimizer, scheduler = make_optimizer(build_model("linear"), replace(recipe, schedule="one-cycle"), steps=3)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == recipe.lr


@pytest.mark.parametrize("damage", ["best lacks a tensor", "a loss is a string", "a key names no set", "a cut state"])
def test_a_damaged_training_state_is_refused_before_any_training(tmp_path, train, val, recipe, damage):
    fit(build_model("two-conv"), train, val, recipe, device="cpu", folder=tmp_path)
    weights, state = load_training_state(tmp_path)
    if damage == "best lacks a tensor":
        del weights["best"]["conv1.weight"]
    elif damage == "a loss is a string":
        state["epochs"][0]["val_loss"] = "low"
    elif damage == "a cut state":
        state["random"]["cpu"] = state["random"]["cpu"][:8].clone()
    else:
        weights = {"lost": weights["last"]}
    save_training_state(tmp_path, len(state["epochs"]), weights, state)
    with pytest.raises(CheckpointError):
        fit(build_model("two-conv"), train, val, recipe, device="cpu", folder=tmp_path, resume=True)


def test_stopping_keeps_the_best_epoch_and_what_lies_on_disk(train, val, recipe, tmp_path):
    def stop_in_the_second(history):
        assert load_model(tmp_path)[1].epochs == history.best.epoch  # whoever looks now sees what was done, not planned
        if len(history.epochs) == 2:
            raise StopTraining

    model = build_model("two-conv")
    history = fit(model, train, val, replace(recipe, epochs=5), folder=tmp_path, on_epoch=stop_in_the_second)
    assert len(history.epochs) == 2
    assert evaluate(model, val).loss == pytest.approx(history.best.val_loss, rel=1e-5)
    saved, card = load_model(tmp_path)
    assert (card.best_epoch, card.epochs) == (history.best.epoch, 2)
    for name, weights in saved.state_dict().items():
        assert torch.equal(weights, model.state_dict()[name])


def test_stopping_in_the_first_epoch_leaves_the_network_as_it_is_and_no_file(train, val, recipe, tmp_path):
    def stop(_step, _steps):
        raise StopTraining

    history = fit(build_model("two-conv"), train, val, recipe, folder=tmp_path / "net", on_step=stop)
    assert history.epochs == []
    assert not list((tmp_path / "net").glob("*.safetensors"))


def test_a_stopped_training_can_go_on(train, val, recipe, tmp_path):
    def stop(_history):
        raise StopTraining

    fit(build_model("two-conv"), train, val, replace(recipe, epochs=2), folder=tmp_path, on_epoch=stop)
    history = fit(build_model("two-conv"), train, val, replace(recipe, epochs=2), folder=tmp_path, resume=True)
    assert [epoch.epoch for epoch in history.epochs] == [1, 2]


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_a_stopped_training_goes_on_to_bitwise_the_same_weights(train, val, recipe, tmp_path, schedule):
    def stop(_history):
        raise StopTraining

    recipe = replace(recipe, schedule=schedule, augment="affine")
    uninterrupted, history = train_new(recipe, train, val)
    train_new(recipe, train, val, folder=tmp_path, on_epoch=stop)
    resumed, resumed_history = train_new(recipe, train, val, folder=tmp_path, resume=True)
    assert_same_weights(uninterrupted, resumed)
    for ours, theirs in zip(history.epochs, resumed_history.epochs, strict=True):
        assert replace(ours, seconds=0) == replace(theirs, seconds=0)


def test_the_card_names_the_dataset_of_the_images(train, val, recipe, tmp_path):
    other = replace(train, dataset="fashion_mnist")
    train_new(replace(recipe, epochs=1), other, val, folder=tmp_path)
    assert checkpoints.load_model(tmp_path)[1].dataset == "fashion_mnist"


@pytest.mark.parametrize("training", [True, False])
def test_a_training_leaves_the_mode_in_which_it_found_the_network(train, val, recipe, training):
    model = build_model(recipe.architecture, recipe.dropout).train(training)
    fit(model, train, val, replace(recipe, epochs=1), device="cpu")
    assert all(module.training is training for module in model.modules())


def test_the_seed_alone_decides_whatever_was_drawn_before(train, val, recipe):
    again = replace(recipe, epochs=1, dropout=0.5)
    models = []
    for before in (1, 2):
        seed_everything(0)
        models.append(build_model(again.architecture, again.dropout))
        torch.manual_seed(before)
        fit(models[-1], train, val, again, seed=0, device="cpu")
    assert_same_weights(*models)


def test_what_several_processes_began_goes_on_in_one_with_the_same_order(train, val, recipe, tmp_path):
    """In several, process 0 augments with a generator of its own, whose state is saved beside the order's."""

    def trained(**how) -> dict[str, torch.Tensor]:
        seed_everything(0)
        model = build_model("two-conv")
        fit(model, train, val, recipe, device="cpu", **how)
        return model.state_dict()

    def stop(_history: History) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(folder=tmp_path, on_epoch=stop)
    weights, state = checkpoints.load_training_state(tmp_path)
    state["augment"] = torch.Generator().manual_seed(9).get_state()
    checkpoints.save_training_state(tmp_path, 1, weights, state)
    resumed, whole = trained(folder=tmp_path, resume=True), trained()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_the_images_are_looked_at_once_for_the_training_state_and_not_after_each_epoch(
    train, val, recipe, tmp_path, monkeypatch
):
    looked, digest = [], data.LabelledImages.digest
    monkeypatch.setattr(data.LabelledImages, "digest", lambda part: looked.append(len(part)) or digest(part))
    fit(build_model("two-conv"), train, val, replace(recipe, epochs=3), device="cpu", folder=tmp_path)
    assert looked == [len(train), len(val)]
