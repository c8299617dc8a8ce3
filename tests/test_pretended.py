"""What holds on a machine with a CUDA GPU, on one that is pretended (`pretended`): no GPU is needed here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_helpers.runtime import ROOT

HERE = Path(__file__).parent
# An epoch of all images takes long on a CPU; a graph, and torch's exporter, want a real GPU.
NOT_THERE = "not band and not bit_for_bit and not onnx"
REFUSED = """
import torch, pretended
pretended.install()
left, model = torch.ones(2, 3), torch.nn.Linear(3, 4).to("cuda")
for mixed in (lambda: model(left), lambda: torch.ones(2, device="cuda") + left[:, 0], lambda: model.weight.numpy(),
              lambda: torch.rand(2, generator=torch.Generator(), device="cuda"), lambda: left.to("cuda:1")):
    try:
        mixed()
    except (RuntimeError, TypeError):
        continue
    raise SystemExit("two devices were mixed")
answers, met = model(left.to("cuda")), []
answers.register_hook(met.append)
loss = answers.sum()
loss.backward()
assert met[0].device == torch.device("cuda", 0)
assert loss.device == model.weight.grad.device == torch.device("cuda", 0)
assert torch.equal(loss.detach().cpu(), model.cpu()(left).sum().detach())
"""


def on_a_pretended_gpu(*command: str, everywhere: bool = False) -> subprocess.CompletedProcess:
    """Run Python where torch, or every process, believes in a GPU."""
    places = [HERE / "pretended_site"] * everywhere + [HERE, ROOT]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places))}
    return subprocess.run([sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, text=True)


def test_the_pretended_gpu_refuses_what_a_real_one_does_and_computes_the_same():
    done = on_a_pretended_gpu("-c", REFUSED)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_what_is_tested_on_a_gpu_passes_on_a_pretended_one():
    done = on_a_pretended_gpu(
        "-m", "pytest", "-q", "-p", "pretended", "-p", "no:cacheprovider", "-n0", "tests/test_gpu.py", "-k", NOT_THERE
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "lesson",
    [
        "02",
        *(pytest.param(name, marks=pytest.mark.weekly) for name in ("03", "04", "05", "06", "07", "09", "10", "11")),
    ],
)
def test_a_lesson_runs_on_a_pretended_gpu(lesson):
    given = {"03": " epochs=1 train_limit=1000", "06": " epochs=1 trials=2 train_limit=500", "07": " seconds_each=0.5"}
    given |= {"09": " epochs=1 images=100", "10": " seeds=2", "11": " epochs=1"}
    done = on_a_pretended_gpu(
        *("-m", "mnist_helpers", "run-notebooks", "--notebooks", lesson),
        *("--params", "device=cuda" + given.get(lesson, "")),
        everywhere=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a pretended GPU" in done.stdout
