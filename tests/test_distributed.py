"""Two processes train as one, and when one of them is lost, nothing that was saved is."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from mnist_helpers import distributed
from mnist_helpers.checkpoints import load_model
from mnist_helpers.data import hold_out_validation
from mnist_helpers.errors import CourseError, UsageError
from mnist_helpers.models import build_model
from mnist_helpers.reading.tables import load_csv
from mnist_helpers.recipes import get_recipe
from mnist_helpers.runtime import ROOT, seed_everything
from mnist_helpers.training import fit, make_loader

EPOCHS = 8  # of four to nine steps each


def start(csv_file: Path, folder: Path, recipe: str, *arguments: str) -> subprocess.Popen:
    """Train in two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--local-addr", "127.0.0.1", "--nproc-per-node=2"]
    command += ["-m", "mnist_helpers", "train", "--recipe", recipe, "--device", "cpu", "--train-csv"]
    command += [str(csv_file), "--output", str(folder), "--epochs", str(EPOCHS), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def finish(run: subprocess.Popen) -> tuple[str, str]:
    """Return what a run printed and its errors; one that hangs is killed."""
    try:
        return run.communicate(timeout=300)
    finally:
        run.kill()


def train_whole(csv_file: Path, folder: Path, recipe: str, *arguments: str) -> str:
    """Train to the end and return what was printed."""
    run = start(csv_file, folder, recipe, *arguments)
    output, errors = finish(run)
    assert run.returncode == 0, errors
    return output


def losses(folder: Path) -> list[tuple[float, float]]:
    history = json.loads((folder / "history.json").read_text())
    return [(epoch["train_loss"], epoch["val_loss"]) for epoch in history["epochs"]]


@pytest.mark.slow
def test_two_processes_find_what_one_finds_and_one_of_them_speaks(csv_file, tmp_path):
    folder = tmp_path  # no dropout, no batch norm
    output = train_whole(csv_file, folder, "keras-csv")
    seed_everything(0)
    train, val = hold_out_validation(load_csv(csv_file))
    network = build_model("two-conv")
    history = fit(network, train, val, replace(get_recipe("keras-csv"), epochs=EPOCHS), device="cpu")
    one = [(epoch.train_loss, epoch.val_loss) for epoch in history.epochs]
    torch.testing.assert_close(losses(folder)[:5], one[:5], rtol=0, atol=1e-4)
    torch.testing.assert_close(losses(folder), one, rtol=0.02, atol=0.002)
    said = [line.split(":")[0] for line in output.splitlines() if line.startswith("epoch ")]
    assert said == [f"epoch {number}" for number in range(1, EPOCHS + 1)]


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_and_resuming_finds_the_same_weights(csv_file, tmp_path):
    recipe = "drawings"  # with dropout and augmentation, whose random numbers differ between the processes
    train_whole(csv_file, tmp_path / "whole", recipe)
    run = start(csv_file, tmp_path / "broken", recipe)
    assert next((line for line in run.stdout if line.startswith("epoch 2:")), None), finish(run)[1]
    workers = psutil.Process(run.pid).children(recursive=True)
    next(one for one in workers if one.environ().get("RANK") == "1").kill()
    _, errors = finish(run)
    assert run.returncode != 0
    assert "Process 0 of 2 cannot go on" in errors
    assert "go on from it with --resume" in errors
    output = train_whole(csv_file, tmp_path / "broken", recipe, "--resume")
    assert "epoch 1:" not in output.splitlines()[0]
    found = [load_model(tmp_path / name)[0].state_dict() for name in ("whole", "broken")]
    for name, weights in found[0].items():
        assert torch.equal(weights, found[1][name]), name
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")


def test_every_image_of_a_batch_goes_to_one_process_or_the_batch_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: 3)
    parts = []
    for number in range(3):
        monkeypatch.setattr(distributed, "process", lambda number=number: number)
        parts.append(distributed.share(torch.arange(12)))
    assert {len(part) for part in parts} == {4}
    assert torch.equal(torch.cat(parts), torch.arange(12))
    with pytest.raises(UsageError, match="A batch of 10 cannot be dealt out evenly to 3 processes: see --batch-size."):
        distributed.share(torch.arange(10))


def test_a_single_process_has_all_and_agrees_with_itself():
    batch, model = torch.rand(5, 3), torch.nn.Linear(3, 2)
    with distributed.joined("cpu"):
        assert (distributed.process(), distributed.processes()) == (0, 1)
    assert torch.equal(distributed.share(batch), batch)
    assert torch.equal(distributed.mean(batch), batch)
    assert distributed.together(model) is model
    assert distributed.from_first(lambda: 3) == 3


@pytest.fixture
def launched(monkeypatch):
    """Pretend that torchrun started this process as its second."""
    monkeypatch.setattr(distributed.dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda _backend: None)
    monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: None)
    monkeypatch.setenv("LOCAL_RANK", "1")
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("device", "error", "message"),
    [
        ("mps", UsageError, "device='mps' cannot be shared"),
        ("cuda:0", UsageError, "device='cuda:0' cannot be shared"),
        ("cuda", CourseError, "Process 2 has no GPU: there are 1. Lower --nproc-per-node to 1."),
    ],
)
def test_what_processes_cannot_share_is_said(launched, monkeypatch, device, error, message):
    monkeypatch.setattr(distributed, "pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(error, match=message), distributed.joined(device):
        pass


def test_a_lost_process_is_a_message_and_a_mistake_of_ours_stays_one(launched):
    with (
        pytest.raises(CourseError, match="cannot go on: the connection to another one broke"),
        distributed.joined("cpu"),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1")
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), distributed.joined("cpu"):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN  # so that it is said before torchrun ends this process


def test_when_torchrun_stops_a_process_it_says_so(launched):
    with pytest.raises(CourseError, match="torchrun stops it"), distributed.joined("cpu"):
        signal.raise_signal(signal.SIGTERM)


def test_each_process_augments_its_own_share_of_a_batch_and_in_its_own_way(monkeypatch, train):
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 2)
    recipe = replace(get_recipe("walkthrough"), batch_size=64)
    alike = replace(train, images=train.images[:1].expand_as(train.images))
    shares, varied = [], []
    for number in range(2):
        monkeypatch.setattr(distributed.dist, "get_rank", lambda number=number: number)
        shares.append([labels for _, labels in make_loader(train, recipe, seed=1)])
        varied.append(next(iter(make_loader(alike, replace(recipe, augment="affine"), seed=1)))[0])
    monkeypatch.undo()
    whole = [labels for _, labels in make_loader(train, recipe, seed=1)]
    for first, second, batch in zip(*shares, whole, strict=True):
        assert torch.equal(torch.cat([first, second]), batch)
    assert [len(images) for images in varied] == [32, 32]
    assert not torch.equal(*varied)
