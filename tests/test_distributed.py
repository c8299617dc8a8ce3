"""Two processes train as one, and when one of them is lost, nothing that was saved is."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from mnist_helpers import distributed
from mnist_helpers.checkpoints import load_model
from mnist_helpers.data import hold_out_validation, load_csv
from mnist_helpers.models import build_model
from mnist_helpers.recipes import get_recipe
from mnist_helpers.runtime import ROOT, CourseError, UsageError, seed_everything
from mnist_helpers.training import fit

EPOCHS = 8  # of nine steps each


def start(csv_file: Path, folder: Path, *arguments: str) -> subprocess.Popen:
    """Train in two processes: no dropout, no batch norm, no augmentation."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "mnist_helpers", "train", "--recipe", "keras-csv", "--device", "cpu", "--train-csv"]
    command += [str(csv_file), "--output", str(folder), "--epochs", str(EPOCHS), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


@pytest.fixture(scope="module")
def whole(csv_file, tmp_path_factory) -> tuple[Path, str]:
    """Return the folder and the output of a training in two processes that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    done = start(csv_file, folder)
    output, errors = done.communicate()
    assert done.returncode == 0, errors
    return folder, output


def losses(folder: Path) -> list[tuple[float, float]]:
    history = json.loads((folder / "history.json").read_text())
    return [(epoch["train_loss"], epoch["val_loss"]) for epoch in history["epochs"]]


def test_two_processes_find_what_one_finds_and_one_of_them_speaks(whole, csv_file):
    folder, output = whole
    seed_everything(0)
    train, val = hold_out_validation(load_csv(csv_file))
    network = build_model("two-conv")
    history = fit(network, train, val, replace(get_recipe("keras-csv"), epochs=EPOCHS), device="cpu")
    one = [(epoch.train_loss, epoch.val_loss) for epoch in history.epochs]
    torch.testing.assert_close(losses(folder)[:5], one[:5], rtol=0, atol=1e-4)
    torch.testing.assert_close(losses(folder), one, rtol=0.02, atol=0.002)
    assert [output.count(f"epoch {number}:") for number in (1, EPOCHS)] == [1, 1]


def test_a_process_that_is_killed_ends_the_run_and_resuming_finds_the_same_weights(whole, csv_file, tmp_path):
    run = start(csv_file, tmp_path)
    next(line for line in run.stdout if line.startswith("epoch 2:"))
    workers = psutil.Process(run.pid).children(recursive=True)
    next(one for one in workers if one.environ().get("RANK") == "1").kill()
    _, errors = run.communicate()
    assert run.returncode != 0
    assert "Process 0 of 2 cannot go on" in errors
    assert "go on from it with --resume" in errors
    _, card = load_model(tmp_path)
    assert card.best_epoch >= 1
    resumed = start(csv_file, tmp_path, "--resume")
    output, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    assert "epoch 1:" not in output
    for ours, theirs in zip(*(load_model(f)[0].state_dict().values() for f in (whole[0], tmp_path)), strict=True):
        assert torch.equal(ours, theirs)
    assert losses(tmp_path) == losses(whole[0])


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
    distributed.check_agreement(3, "anything")


@pytest.fixture
def launched(monkeypatch):
    """Pretend that torchrun started this process as its second."""
    monkeypatch.setattr(distributed.dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda _backend: None)
    monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: None)
    monkeypatch.setenv("LOCAL_RANK", "1")


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


def test_a_lost_process_is_a_message_not_a_traceback(launched):
    with pytest.raises(CourseError, match=r"cannot go on \(Connection closed by peer\)"), distributed.joined("cpu"):
        raise RuntimeError("Connection closed by peer\nand much more")


def test_processes_that_see_different_files_are_told(monkeypatch):
    monkeypatch.setattr(distributed, "from_first", lambda _compute: 7)
    with pytest.raises(CourseError, match=r"do not agree about the epochs: 7 and 3\. All must see the same files"):
        distributed.check_agreement(3, "the epochs")
