"""ONNX: onnxruntime gives torch's logits, for every kind of layer that our networks have."""

import sys

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from mnist_helpers.data import to_float
from mnist_helpers.errors import CourseError
from mnist_helpers.exporting import export_onnx
from mnist_helpers.models import build_model


@pytest.mark.parametrize("architecture", ["two-conv", "resnet"])
def test_onnxruntime_gives_the_logits_of_torch_for_any_number_of_images(tmp_path, val, architecture):
    torch.manual_seed(1)
    model = build_model(architecture, dropout=0.5)
    assert export_onnx(model, tmp_path / "a.onnx") < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    images = to_float(val.images)
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(logits, model.eval()(images).numpy(), atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]  # one file, weights inside


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # importing it fails from here on
    with pytest.raises(CourseError, match="needs onnxruntime.*mnist-helpers.onnx"):
        export_onnx(build_model("linear"), tmp_path / "a.onnx")


def test_a_model_that_comes_out_differently_is_not_written(tmp_path, monkeypatch):
    class Moody(nn.Module):
        """Gives another answer each time that it is asked outside of the export."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = build_model("linear")

        def forward(self, images):
            moved = 0.0 if torch.compiler.is_exporting() else 1.0
            return self.inner(images) + moved

    with pytest.raises(CourseError, match="differ from torch's by 1; nothing was written"):
        export_onnx(Moody(), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_exporting_leaves_the_mode_in_which_it_found_the_network(tmp_path):
    model = build_model("linear").train()
    export_onnx(model, tmp_path / "linear.onnx")
    assert all(module.training for module in model.modules())
