"""ONNX: onnxruntime gives torch's logits. For a browser: what is written, and what is refused."""

import json
import sys
from collections import OrderedDict

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from mnist_helpers.data import to_float
from mnist_helpers.errors import CourseError
from mnist_helpers.exporting import export_onnx, export_web, for_answers
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


def test_the_file_of_weights_holds_all_of_them_in_order_and_the_header_says_of_what_sizes(tmp_path):
    model = build_model("two-conv", dropout=0.3)
    export_web(model, tmp_path / "web", list("0123456789"), torch.float32)
    header = json.loads((tmp_path / "web" / "network.json").read_text())
    weights = np.fromfile(tmp_path / "web" / "network.bin", "<f4")
    np.testing.assert_array_equal(weights, torch.cat([p.detach().flatten() for p in model.parameters()]).numpy())
    stage = ["convolution", "relu", "pool"]
    kinds = ["standardise", *stage, *stage, "flatten", "dense", "relu", "dense"]
    assert [layer["kind"] for layer in header["layers"]] == kinds
    sizes = {"filters": 64, "channels": 32, "kernel": 3, "stride": 1, "padding": 0}
    assert header["layers"][4] == {"name": "conv2", "kind": "convolution"} | sizes
    export_web(model, tmp_path, list("0123456789"))
    assert (tmp_path / "network.bin").stat().st_size == 2 * 121_930


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(1, 1, 3, dilation=2),
        nn.Conv2d(1, 2, (3, 5)),
        nn.Conv2d(2, 2, 3, groups=2),
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(1, 1, 3, padding="same"),
        nn.MaxPool2d(3, padding=1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d((2, 3)),
        nn.ZeroPad2d((1, 0, 0, 1)),
        nn.AdaptiveMaxPool2d(2),
        nn.Flatten(0),
        nn.Linear(1, 1, bias=False),
        nn.Tanh(),
    ],
)
def test_a_layer_that_the_page_would_compute_otherwise_is_refused_and_named(tmp_path, layer):
    model = nn.Sequential()
    model.add_module("odd", layer)
    with pytest.raises(CourseError, match="does not know the layer odd: "):
        export_web(model, tmp_path / "web", [])
    assert not (tmp_path / "web").exists()


def test_writing_for_a_browser_changes_nothing_in_the_network(tmp_path):
    model = build_model("vgg").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    export_web(model, tmp_path, list("0123456789"))
    assert model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_blocks_of_several_layers_are_refused(tmp_path):
    with pytest.raises(CourseError, match="layer block1: Residual"):
        export_web(build_model("resnet"), tmp_path, [])


def test_a_normalisation_that_cannot_be_folded_becomes_the_same_map_times_a_number_plus_one():
    norm = nn.BatchNorm2d(3)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.normal_()
    norm.running_var.uniform_(0.2, 3)
    layers = {"pool1": nn.MaxPool2d(2), "norm1": norm, "flatten": nn.Flatten(), "dense": nn.Linear(3 * 12 * 12, 10)}
    model = nn.Sequential(OrderedDict({"conv1": nn.Conv2d(1, 3, 5), **layers})).eval()
    written = for_answers(model)
    images = torch.rand(4, 1, 28, 28)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in written)
    torch.testing.assert_close(written(images), model(images))


def test_a_normalisation_after_a_dense_layer_becomes_part_of_it():
    model = build_model("fast")
    model(torch.rand(64, 1, 28, 28))  # running means of its own
    written = for_answers(model)
    images = torch.rand(4, 1, 28, 28)
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in written)
    torch.testing.assert_close(written(images), model.eval()(images))
