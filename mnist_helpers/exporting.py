"""Networks in forms that other programs run, written only after the other program was seen to agree."""

import copy
import json
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from mnist_helpers.architectures import Standardise
from mnist_helpers.errors import CourseError, MissingExtraError
from mnist_helpers.models import device_of, evaluating
from mnist_helpers.runtime import whole_file

TOLERANCE = 1e-3  # of a logit
LITTLE_ENDIAN = {torch.float16: "<f2", torch.float32: "<f4"}
WEB_FORMAT, WEB_VERSION = "mnist-helpers-network", 1


def export_onnx(model: nn.Module, path: Path) -> float:
    """Write a network as ONNX and return by how much onnxruntime's logits differ from torch's, at most.

    The file takes float images in [0, 1] named "images", (N, 1, 28, 28) with any N, and gives "logits", (N, 10).

    Raises: CourseError if the packages are missing, or the two disagree.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter is built on it
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"Exporting needs {error.name}", "onnx") from error
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0)).to(device_of(model))
    with evaluating(model), whole_file(path) as temporary:
        torch.onnx.export(
            model, (images,), temporary, dynamo=True, verbose=False, external_data=False,
            input_names=["images"], output_names=["logits"], dynamic_shapes=({0: torch.export.Dim("N")},),
        )  # fmt: skip
        session = onnxruntime.InferenceSession(temporary.read_bytes(), providers=["CPUExecutionProvider"])
        differences = []
        for count in (1, 3):
            (logits,) = session.run(["logits"], {"images": images[:count].cpu().numpy()})
            with torch.inference_mode():
                differences.append((torch.from_numpy(logits) - model(images[:count]).cpu()).abs().max())
        difference = torch.stack(differences).max().item()
        if not difference <= TOLERANCE:  # NaN is above nothing
            raise CourseError(f"onnxruntime's logits differ from torch's by {difference:.2g}; nothing was written.")
    return difference


def export_web(model: nn.Sequential, folder: Path, classes: list[str], dtype: torch.dtype = torch.float16) -> None:
    """Write a network for `widgets/network.js`: `network.json`, which says what its layers are, and `network.bin`.

    Raises: CourseError for a layer that the page does not know; OSError if the folder cannot be written.
    """
    header, weights = for_web(model, classes, dtype)
    # First the weights: a page that finds the header finds what it describes.
    with whole_file(folder / "network.bin") as temporary:
        temporary.write_bytes(weights)
    with whole_file(folder / "network.json") as temporary:
        temporary.write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")


def for_web(model: nn.Sequential, classes: list[str], dtype: torch.dtype = torch.float16) -> tuple[dict, bytes]:
    """Return a network as `widgets/network.js` reads it: a header, which says what its layers are, and its weights.

    The weights lie one after the other, layer by layer, weights before bias, little-endian; the layers are those of
    `for_answers`.

    Raises: CourseError for a layer that the page does not know.
    """
    layers = [
        (_described(name, layer), list(layer.parameters())) for name, layer in for_answers(model).named_children()
    ]
    header = {
        "format": WEB_FORMAT,
        "version": WEB_VERSION,
        "dtype": str(dtype).removeprefix("torch."),  # float16 or float32
        "input": [1, 28, 28],
        "classes": classes,
        "layers": [described for described, _ in layers],
    }
    rows = [tensor.detach().to(dtype).contiguous().flatten() for _, tensors in layers for tensor in tensors]
    return header, b"".join(row.numpy().astype(LITTLE_ENDIAN[dtype]).tobytes() for row in rows)


class _Scale(nn.Module):
    """Batch normalisation in use: each map times a number, plus a number. Shapes: (B, C, H, W) → the same."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(norm.weight / (norm.running_var + norm.eps).sqrt())
        self.bias = nn.Parameter(norm.bias - norm.running_mean * self.weight)

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.weight[:, None, None] + self.bias[:, None, None]


def for_answers(model: nn.Sequential) -> nn.Sequential:
    """Return a copy of a trained network, on the CPU, with only the layers that it needs to answer.

    Dropout is left out, and batch normalisation is made part of the convolution or dense layer before it where there is
    one.
    """
    used: dict[str, nn.Module] = {}
    last = ""
    for name, layer in copy.deepcopy(model).cpu().eval().named_children():
        if isinstance(layer, nn.BatchNorm2d) and isinstance(used.get(last), nn.Conv2d):
            used[last] = fuse_conv_bn_eval(used[last], layer)
            continue
        if isinstance(layer, nn.BatchNorm1d) and isinstance(used.get(last), nn.Linear):
            used[last] = fuse_linear_bn_eval(used[last], layer)
            continue
        if isinstance(layer, nn.Dropout | nn.Dropout2d | nn.Identity):
            continue
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
        used[name] = _Scale(layer) if isinstance(layer, nn.BatchNorm2d) else layer
        last = name
    return nn.Sequential(OrderedDict(used)).eval()


def _described(name: str, layer: nn.Module) -> dict:
    """Say what a layer is, in the words of `network.js`."""
    match layer:
        case Standardise():
            found = {"kind": "standardise", "mean": layer.mean.item(), "std": layer.std.item()}
        case nn.ZeroPad2d() if len(set(layer.padding)) == 1:
            found = {"kind": "pad", "border": layer.padding[0]}
        case nn.Conv2d() if _is_plain(layer):
            sizes = {"filters": layer.out_channels, "channels": layer.in_channels, "kernel": layer.kernel_size[0]}
            found = {"kind": "convolution", **sizes, "stride": layer.stride[0], "padding": layer.padding[0]}
        case _Scale():
            found = {"kind": "scale", "channels": len(layer.bias)}
        case nn.ReLU():
            found = {"kind": "relu"}
        case nn.MaxPool2d() if isinstance(layer.kernel_size, int) and _is_plain(layer):
            found = {"kind": "pool", "size": layer.kernel_size, "stride": layer.stride}
        case nn.AdaptiveMaxPool2d(output_size=1):
            found = {"kind": "largest"}
        case nn.Flatten(start_dim=1, end_dim=-1):
            found = {"kind": "flatten"}
        case nn.Linear(bias=Tensor()):
            found = {"kind": "dense", "inputs": layer.in_features, "outputs": layer.out_features}
        case _:
            kind = type(layer).__name__ if list(layer.children()) else layer
            raise CourseError(
                f"The page does not know the layer {name}: {kind}. It knows plain convolutions, max-pooling, ReLU, "
                "batch normalisation, dropout and dense layers. mnist-helpers export --output a.onnx takes any network."
            )
    return {"name": name, **found}


def _is_plain(layer: nn.Conv2d | nn.MaxPool2d) -> bool:
    """Say whether a layer is square, without dilation, groups, or an edge of its own kind."""
    if isinstance(layer, nn.MaxPool2d):
        plain = layer.dilation == 1 and layer.padding == 0 and not layer.ceil_mode
        return plain and isinstance(layer.stride, int)
    square = all(len(set(sides)) == 1 for sides in (layer.kernel_size, layer.stride, layer.padding))
    return square and layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
