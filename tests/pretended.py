"""A pretended GPU: tensors that say they are on "cuda:0", compute on the CPU, and refuse to be mixed with others.

`install` makes torch believe in it, for tests on machines without a GPU. It finds what a real one would find first:
tensors that were left behind on another device, and arrays made of tensors that are not on the CPU. It has no kernels,
streams or graphs of its own, and every value is the CPU's.
"""

import functools
import threading
from typing import Any

import torch
import torch.profiler
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_flatten, tree_map

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
ACROSS = {"copy_", "__getitem__", "__setitem__", "to", "cpu", "cuda", "__set__"}  # what may see two devices at once
ARRAYS = {"numpy", "__array__"}
MOVED = {"to", "cpu", "cuda"}
met: list[str] = []  # functions that ran on the pretended GPU


class OnGpu(torch.Tensor):
    """A tensor on the pretended GPU."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Run a function of torch on it."""
        return call(func, args, kwargs or {})


class Everywhere(TorchFunctionMode):
    """While it holds, whatever is made on "cuda" is made on the pretended GPU."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Run a function of torch on tensors of both kinds."""
        return call(func, args, kwargs or {})


class GpuGenerator(torch.Generator):
    """A source of random numbers on the pretended GPU."""

    device = CUDA


def call(func: Any, args: tuple, kwargs: dict) -> Any:
    """Run a function of torch as a GPU would: on tensors of one device, with a result on that device."""
    name = getattr(func, "__name__", "")
    attribute = getattr(getattr(func, "__self__", None), "__name__", "") if name in ("__get__", "__set__") else ""
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, torch.Tensor)]
    on_gpu = [one for one in tensors if isinstance(one, OnGpu)]
    if name == "__get__" and attribute in ("device", "is_cuda", "is_cpu") and on_gpu:
        return {"device": CUDA, "is_cuda": True, "is_cpu": False}[attribute]
    if name in ARRAYS and on_gpu:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
    if name == "_cudnn_rnn_flatten_weight":  # how a GPU's library wants weights to lie in memory
        return None
    if name == "_has_compatible_shallow_copy_type":  # a network that moves then gets new parameters
        return len(on_gpu) in (0, len(tensors))
    left = [one for one in tensors if not isinstance(one, OnGpu) and one.dim() and not _is_meta(one)]
    if on_gpu and left and name not in ACROSS:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found cuda:0 and cpu ({resolve_name(func)})"
        )
    if on_gpu and name == "__set__" and attribute == "data" and left:
        raise RuntimeError("data of another device")
    if (
        name == "register_hook" and on_gpu
    ):  # a real gradient lies where its tensor does; autograd's comes without a kind
        args = (args[0], lambda gradient, hook=args[1]: _on_cpu(hook(_on_gpu(gradient))))
    where, args, kwargs = _destination(name, args, kwargs)
    if where is None:
        where = CUDA if (on_gpu and (name not in ACROSS or isinstance(args[0], OnGpu))) else None
    if name == "__deepcopy__" and on_gpu:
        return _copied(*args)
    with torch._C.DisableTorchFunction():
        if name in MOVED:
            result = _moved(name, args, kwargs)
        elif name == "__reduce_ex__":
            return args[0].detach().as_subclass(torch.Tensor).__reduce_ex__(*args[1:])
        else:
            result = func(*args, **kwargs)
        if where == CUDA:
            met.append(name)
            return tree_map(_on_gpu, result)
        return tree_map(_on_cpu, result) if where == CPU else result


def _is_meta(tensor: torch.Tensor) -> bool:
    with torch._C.DisableTorchFunction():
        return tensor.device.type == "meta"


def _on_gpu(value: Any) -> Any:
    if not isinstance(value, torch.Tensor) or isinstance(value, OnGpu):
        return value
    return value.as_subclass(OnGpu)


def _on_cpu(value: Any) -> Any:
    return value.as_subclass(torch.Tensor) if isinstance(value, OnGpu) else value


def _moved(name: str, args: tuple, kwargs: dict) -> torch.Tensor:
    """Return a tensor in a place of its own, with whatever else `to` asks for."""
    tensor, *others = args
    kept = {key: value for key, value in kwargs.items() if key in ("dtype", "memory_format")}
    others = [one for one in others if isinstance(one, torch.dtype)]
    moved = tensor.to(*others, **kept) if name == "to" and (others or kept) else tensor
    return moved.clone() if moved is tensor else moved


def _destination(name: str, args: tuple, kwargs: dict) -> tuple[torch.device | None, tuple, dict]:
    """Return where the result is to lie, if that is said, and the arguments without it."""
    if name == "cpu":
        return CPU, args, kwargs
    if name == "cuda":
        return CUDA, args[:1], {}
    wanted = kwargs.get("device")
    if wanted is None and name == "to" and len(args) > 1:
        second = args[1]
        wanted = second.device if isinstance(second, torch.Tensor) else second
        wanted = wanted if isinstance(wanted, str | int | torch.device) else None
        args = (args[0], *([second.dtype] if isinstance(second, torch.Tensor) else []), *args[1:])
    if wanted is None:
        return None, args, kwargs
    device = torch.device(wanted)
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type != device.type:
        raise RuntimeError(f"Expected a '{device.type}' device type for generator but found '{generator.device.type}'")
    if device.type != "cuda":
        return (CPU if device.type == "cpu" else None), args, kwargs
    if device.index not in (None, 0):
        raise RuntimeError(f"there is no {device}")
    return CUDA, args, {key: value for key, value in kwargs.items() if key != "device"} | _without(name)


def _without(name: str) -> dict:
    return {} if name == "to" else {"device": CPU}


def _copied(tensor: torch.Tensor, memo: dict) -> torch.Tensor:
    with torch._C.DisableTorchFunction():
        copied = tensor.detach().clone().as_subclass(OnGpu).requires_grad_(tensor.requires_grad)
    if getattr(tensor, "_is_param", False):
        copied._is_param = True
    memo[id(tensor)] = copied
    return copied


class AnyGenerator(torch.Generator):
    """What makes a source of random numbers on a device."""

    def __new__(cls, device: Any = "cpu") -> torch.Generator:
        """Return one on the pretended GPU, or a real one."""
        on_gpu = torch.device(device).type == "cuda"
        return GpuGenerator() if on_gpu else RealGenerator(device)


class ProfileOfTheCpu(torch.profiler.profile):
    """A profiler for which the GPU's time is the CPU's: torch's asks a driver, which is not there."""

    def __init__(self, *, activities: Any = (), **options: Any) -> None:
        super().__init__(activities=set(activities) - {torch.profiler.ProfilerActivity.CUDA}, **options)

    def key_averages(self, *arguments: Any, **options: Any) -> Any:
        """Return the sums of all operations."""
        events = super().key_averages(*arguments, **options)
        for event in events:
            event.self_device_time_total = event.self_cpu_time_total
        return events


RealGenerator = torch.Generator
_modes = threading.local()
ANSWERS = {
    "is_available": True,
    "device_count": 1,
    "current_device": 0,
    "get_device_name": "a pretended GPU",
    "is_bf16_supported": True,
    "synchronize": None,
    "_lazy_init": None,
    "manual_seed": None,
    "manual_seed_all": None,
    "is_current_stream_capturing": False,
    "get_device_capability": (9, 0),
    "set_device": None,
    "empty_cache": None,
}


def install() -> None:
    """Make torch believe in the pretended GPU, in this thread for all that is made, in others for what is there."""
    for name, answer in ANSWERS.items():
        setattr(torch.cuda, name, functools.partial(_answer, answer))
    torch.cuda.get_rng_state = lambda *_: torch.zeros(16, dtype=torch.uint8)
    torch.cuda.set_rng_state = lambda *_: None
    torch.optim.Optimizer._accelerator_graph_capture_health_check = lambda _self: None
    torch.Generator = AnyGenerator
    torch.profiler.profile = ProfileOfTheCpu
    _modes.mode = Everywhere()
    _modes.mode.__enter__()


def _answer(answer: Any, *_args: Any, **_options: Any) -> Any:
    return answer


def pytest_configure() -> None:
    """Pretend a GPU in all tests of a run (`pytest -p pretended`)."""
    install()
