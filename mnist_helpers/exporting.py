"""Networks in forms that other programs run, written only after the other program was seen to agree."""

from pathlib import Path

import torch
from torch import nn

from mnist_helpers.errors import CourseError, MissingExtraError
from mnist_helpers.models import device_of, evaluating
from mnist_helpers.runtime import whole_file

TOLERANCE = 1e-3  # of a logit


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
