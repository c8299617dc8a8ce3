"""What an answer leaves behind in a network that it was given and may change in some ways.

Each is a dictionary: its keys say what is wrong where its values are not those that the solution leaves.
"""

import hashlib

from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector


def watch(_layer: nn.Module, _given: tuple, _output: Tensor) -> None:
    """Stand for a hook of somebody else's in a network: it changes nothing, and has to stay."""


def hooks_of(model: nn.Module) -> list:
    """Return all hooks in a network."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [hook for layer in model.modules() for kind in kinds for hook in getattr(layer, kind).values()]


def settings(model: nn.Module) -> dict[str, object]:
    """Describe what no answer may change, not even one that trains."""
    return {
        "The network is left frozen: parameters of it require no gradient any more. Put that back.": [
            parameter.requires_grad for parameter in model.parameters()
        ],
        "A layer is another one now, or set otherwise (the rate of a dropout, say). Put it back.": hashlib.sha256(
            repr(model).encode()  # a short word in its place: marking carries no long ones
        ).hexdigest(),
        "A hook of yours is still in the network. It has to be removed.": any(
            hook is not watch for hook in hooks_of(model)
        ),
        "A hook that was in the network before is gone. Remove your own alone, with its handle.": hooks_of(model).count(
            watch
        ),
    }


def traces(model: nn.Module) -> dict[str, object]:
    """Describe what an answer may not change that only asks a network."""
    return settings(model) | {
        "Afterwards the network has other weights. Put them back, or work on a copy.": parameters_to_vector(
            model.parameters()
        ),
        "Afterwards the network is in another mode. Put back what `train` or `eval` has changed.": [
            layer.training for layer in model.modules()
        ],
    }
