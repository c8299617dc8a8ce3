"""One training in several processes, as `torchrun` starts them: who this one is, its share, and what all must agree on.

In a single process everything here is the identity, so the training loop need not ask how many there are.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mnist_helpers.errors import CourseError, UsageError
from mnist_helpers.runtime import pick_device

Value = TypeVar("Value")


def processes() -> int:
    """Return how many processes train together: 1, unless `torchrun` started more and they have joined."""
    return dist.get_world_size() if dist.is_initialized() else 1


def process() -> int:
    """Return the number of this process, from 0; process 0 is the one that writes and speaks."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Train together with the other processes that `torchrun` started: by gloo on CPUs, by NCCL on CUDA GPUs.

    Raises: CourseError where another process is lost, or there are more processes than GPUs; UsageError for another
    kind of device.
    """
    if not dist.is_torchelastic_launched():
        yield
        return
    chosen, local = pick_device(device), int(os.environ["LOCAL_RANK"])
    if chosen.type == "mps" or chosen.index is not None:
        raise UsageError(f"device={device!r} cannot be shared by several processes. Use 'cpu' or 'cuda'.")
    if chosen.type == "cuda":
        if local >= (found := torch.cuda.device_count()):
            raise CourseError(f"Process {local + 1} has no GPU: there are {found}. Lower --nproc-per-node to {found}.")
        torch.cuda.set_device(local)  # from here on "cuda" means this one
    before = signal.signal(signal.SIGTERM, _stopped)
    try:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        yield
    except BaseException as error:
        # torchrun may stop this process now; it should first say why. The group is left as it is: closing it would wait
        # for the others, and they for us.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if isinstance(error, RuntimeError) and re.search("connection|gloo|nccl", str(error), re.IGNORECASE):
            raise _cannot_go_on("the connection to another one broke") from error
        raise
    signal.signal(signal.SIGTERM, before)
    dist.destroy_process_group()


def _stopped(*_: object) -> None:
    raise _cannot_go_on("torchrun stops it: another one ended, or the whole run is to stop")


def _cannot_go_on(reason: str) -> CourseError:
    return CourseError(
        f"Process {process()} of {processes()} cannot go on: {reason}. "
        "What was saved is whole; go on from it with --resume."
    )


def share(batch: Tensor) -> Tensor:
    """Return this process's part of a batch that all processes hold.

    Raises: UsageError if the batch cannot be dealt out evenly: then the mean of the parts would not be its mean.
    """
    count = processes()
    if len(batch) % count:
        raise UsageError(f"A batch of {len(batch)} cannot be dealt out evenly to {count} processes: see --batch-size.")
    return batch.chunk(count)[process()]


def together(model: nn.Module) -> nn.Module:
    """Return a network that shares its weights with `model` and averages its gradients over all processes."""
    return DistributedDataParallel(model) if processes() > 1 else model


def mean(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes; in several, the tensor itself becomes their sum."""
    if processes() > 1:
        dist.all_reduce(value)  # gloo knows no mean
    return value / processes()


def from_first(compute: Callable[[], Value]) -> Value:
    """Let process 0 compute something, and return it in all."""
    found = [compute() if process() == 0 else None]
    if processes() > 1:
        dist.broadcast_object_list(found)
    return found[0]
