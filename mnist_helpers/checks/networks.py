"""What a learner's network is made of, seen from outside: all numbers that it reads, and what its logits depend on."""

import copy
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

HIDDEN_FROM_OPTIMISERS = (
    "It has weights that an optimiser would not find: `parameters()` does not name them. "
    "Keep layers as attributes, in an nn.Sequential or an nn.ModuleList, and not in a plain list, tuple or dict."
)
NO_WAY_BACK = (
    "No gradient finds its way from the logits back. Compute with torch alone, and cut nothing off with `detach`, "
    "`no_grad`, `.data` or `.numpy()`."
)


class Reads(TorchDispatchMode):
    """While it holds, it keeps each tensor that is computed with and was made before, wherever that comes from."""

    def __init__(self, *given: Tensor) -> None:
        super().__init__()
        self.kept: list[Tensor] = list(given)  # as long as they live, no other tensor gets their place in memory
        self.made = {place(one) for one in given}
        self.views: set[tuple] = set()  # of what was read: counted with it
        self.read: dict[tuple, Tensor] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch loads its compiler for this, which takes seconds

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        for one in tensors((args, kwargs)):
            if place(one) not in self.made and part(one) not in self.views:
                self.read[part(one)] = one
        result = function(*args, **(kwargs or {}))
        for one in tensors(result):
            self.kept.append(one)
            if place(one) in {place(known) for known in self.read.values()}:
                self.views.add(part(one))
            else:
                self.made.add(place(one))
        return result


def tensors(tree: Any) -> list[Tensor]:
    """Return all tensors in nested lists, tuples and dicts."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def place(tensor: Tensor) -> int:
    """Return where in memory the numbers of a tensor, and of all its views, begin."""
    return tensor.untyped_storage().data_ptr()


def part(tensor: Tensor) -> tuple:
    """Return which part of which memory a tensor is."""
    return place(tensor), tensor.storage_offset(), tensor.shape


def numbers_in(tensor: Tensor) -> int:
    """Count the numbers of a tensor, those that it repeats once."""
    return min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size())


def steps_back(result: Tensor) -> Iterator[Any]:
    """Walk along autograd's graph, from a result back to what it was computed from."""
    seen, waiting = set(), [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting += [before for before, _ in node.next_functions]


def own_copy(model: nn.Module) -> nn.Module:
    """Return a copy of a network in evaluation mode; the network itself, if it holds what cannot be copied."""
    try:
        return copy.deepcopy(model).eval()
    except Exception:  # a tensor on the way of a gradient, a file, a lock
        return model.eval()


def looked_into(model: nn.Module, images: Tensor) -> dict[str, Any]:
    """Say how many numbers a network holds or reads, and how its logits for some images come about.

    `learns`: a gradient finds its way; `convolves`: through a convolution; `hidden`: to weights that `parameters()`
    does not name.
    """
    images = images.clone().requires_grad_()
    try:
        model(images)
    except RuntimeError:  # numpy takes nothing that has a gradient
        images = images.detach()
    with Reads(images) as reads:
        logits = model(images)
    named = list(model.parameters())
    held = {part(one): one for one in named} | reads.read
    nodes = list(steps_back(logits))
    leaves = [node.variable for node in nodes if hasattr(node, "variable")]
    own = {place(one) for one in [*named, images]}
    return {
        "numbers": sum(map(numbers_in, held.values())),
        "learns": bool(leaves),
        "convolves": any(word in node.name() for node in nodes for word in ("Convolution", "Unfold", "Im2Col")),
        "hidden": any(place(leaf) not in own for leaf in leaves),
    }
