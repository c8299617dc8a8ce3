"""What an answer leaves behind in a network, in the tensors that it was given, and in torch.

Each is a dictionary: its keys say what is wrong where its values are not those that the solution leaves.
"""

import hashlib

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector


def settings(model: nn.Module, *given: Tensor) -> dict[str, object]:
    """Describe what no answer may change, not even one that trains."""
    return {
        "What was given beside the network has changed. Copy that first, with `.clone()`.": list(map(digest, given)),
        "A tensor that was given keeps a gradient now, and the next one is added to it. Take a copy: `.clone()`.": [
            (one.requires_grad, one.grad is None) for one in given
        ],
        "The network is left frozen: parameters of it require no gradient any more. Put that back.": [
            parameter.requires_grad for parameter in model.parameters()
        ],
        "A layer of the network has another setting now, such as the rate of its dropout. Put it back.": digest_of(
            repr(model)
        ),
        "A hook of yours is still in the network. It has to be removed.": any(
            layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules()
        ),
        "Torch computes no gradients any more, for all that comes after. Put that back.": torch.is_grad_enabled(),
    }


def traces(model: nn.Module, *given: Tensor) -> dict[str, object]:
    """Describe what an answer may not change that only asks a network."""
    return settings(model, *given) | {
        "Afterwards the network has other weights. Put them back, or work on a copy.": parameters_to_vector(
            model.parameters()
        ),
        "Afterwards the network is in another mode. Put back what `train` or `eval` has changed.": [
            layer.training for layer in model.modules()
        ],
    }


def digest(values: Tensor) -> str:
    """Return a word that is another one for other values, shapes and kinds of numbers."""
    array = values.detach().cpu().numpy()
    return digest_of(f"{array.dtype}{array.shape}", array.tobytes())


def digest_of(text: str, data: bytes = b"") -> str:
    """Return a short word for a text and bytes: marking carries no long ones."""
    return hashlib.sha256(text.encode() + data).hexdigest()
