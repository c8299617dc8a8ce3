"""A process that has loaded what pages load for seconds, and forks a kernel for each request that it gets.

    python -m mnist_helpers.course.loaded DESCRIPTOR

It ends when whoever holds the other end of its socket ends, and its kernels end with it. Nothing else of this package
is loaded here: a kernel is to have what its files say when it begins.
"""

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import sys
import warnings
from contextlib import suppress

# torch loads torch._dynamo when the first optimizer is made. ipywidgets is not here: it looks for its kernel at once.
LOADED = ["torch", "torch._dynamo", "matplotlib.pyplot", "ipykernel.kernelapp"]
LONGEST_REQUEST = 2**20  # bytes; Linux passes on a fifth of it
BACKEND, INLINE = "MPLBACKEND", "module://matplotlib_inline.backend_inline"  # where a kernel's figures go


def serve(channel: socket.socket) -> None:
    """Load all, then answer each request for a kernel with the number of its process, or with -1."""
    atexit.register(leave)  # what is registered first is done last
    for name in LOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # else each kernel's collector would copy all that they share by looking at it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for those that have ended
    while request := channel.recv(LONGEST_REQUEST):
        if not (kernel := forked()):
            channel.close()
            become_kernel(**json.loads(request))
            return
        channel.send(str(kernel).encode())


def forked() -> int:
    """Fork; return 0 in the new process, its number in this one, and -1 if the system allows no more processes."""
    try:
        with warnings.catch_warnings():  # Python warns of threads: those that there are, OpenBLAS's, stand it
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()
    except OSError:  # those that there are must not end with this one
        return -1


def leave() -> None:
    """End at once: to take apart all that was loaded would take longer than to have forked it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def become_kernel(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """Be a kernel until it is told to end, in the folder and with the environment that it would have had."""
    os.setsid()  # a signal for whoever started it is none for the kernel
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = folder
    # It ends when its parent does, which is this process's parent here, and not who asked for it.
    sys.argv[1:] = [*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"]
    begin_differently()
    from mnist_helpers.course.kernel import launch

    launch()


def begin_differently() -> None:
    """Set what libraries have read or drawn while they were loaded: it would be the same for all kernels."""
    import matplotlib as mpl
    import numpy as np
    import torch
    from threadpoolctl import threadpool_limits

    from mnist_helpers.startup import limit_threads

    limit_threads()
    if not {"OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} & os.environ.keys():  # else a reader has set them
        threadpool_limits(torch.get_num_threads(), user_api="blas")  # NumPy's are counted as it is loaded
    np.random.seed()  # noqa: NPY002 - the old generator is the one that all would share
    torch.seed()
    mpl.rcParams["backend"] = os.environ.setdefault(BACKEND, INLINE)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
