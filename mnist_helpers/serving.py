"""The drawing pad as a web page: Voilà serves it to a few visitors at a time, who can draw and nothing else.

Each visitor has a kernel of his own. Voilà lets a page send messages to its widgets only, never code.
"""

import asyncio
from pathlib import Path

from tornado.web import HTTPError
from traitlets import Int
from traitlets.config import Config

from mnist_helpers.runtime import CourseError

try:
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
    from voila.app import Voila
except ModuleNotFoundError as error:
    raise CourseError("The page needs Voilà. Install it with: pip install 'mnist-helpers[app]'") from error

PAGE = Path(__file__).parent / "widgets" / "app.ipynb"
READY = 2  # kernels that have run the page and wait for a visitor
IDLE_MINUTES = 20  # after which a kernel is stopped, also if its page is still open


class FewKernels(AsyncMappingKernelManager):
    """Kernels for the visitors and for the pool of waiting ones, but never more than `most`.

    Voilà's pool does not expect that a kernel is refused: the refused one is taken out of it here, and the pool is
    filled again when a kernel has ended.
    """

    most = Int(10, config=True)
    closing = False

    async def start_kernel(self, **arguments) -> str:
        """Start a kernel, or refuse with a page that says why."""
        if len(self) >= self.most:
            for pool in getattr(self, "_pools", {}).values():
                if asyncio.current_task() in pool:
                    pool.remove(asyncio.current_task())
            raise HTTPError(503, reason="All places are taken. Please try again in a few minutes.")
        return await super().start_kernel(**arguments)

    async def shutdown_kernel(self, kernel_id: str, *arguments, **options) -> None:
        """Stop a kernel, and let the pool fill the place."""
        await super().shutdown_kernel(kernel_id, *arguments, **options)
        if not self.closing and getattr(self, "notebook_path", None):
            self.fill_if_needed(notebook_name=self.notebook_path)

    async def shutdown_all(self, *arguments, **options) -> None:
        """Stop all kernels, for good."""
        self.closing = True
        await super().shutdown_all(*arguments, **options)


def settings(port: int, address: str, most: int, base_url: str) -> Config:
    """Return how Voilà is to serve the page."""
    config = Config()
    config.Voila.port, config.Voila.ip, config.Voila.base_url = port, address, base_url
    config.Voila.open_browser = False
    config.VoilaConfiguration.show_tracebacks = False
    config.VoilaConfiguration.multi_kernel_manager_class = FewKernels
    config.VoilaConfiguration.preheat_kernel = True
    config.VoilaConfiguration.default_pool_size = min(READY, most)
    config.VoilaConfiguration.file_allowlist = []
    config.VoilaConfiguration.extension_allowlist = ["anywidget", "@jupyter-widgets/jupyterlab-manager"]
    config.FewKernels.most = most
    config.MappingKernelManager.cull_idle_timeout = 60 * IDLE_MINUTES
    config.MappingKernelManager.cull_connected = True
    config.MappingKernelManager.cull_interval = 60
    return config


def serve(port: int, address: str, most: int, base_url: str = "/") -> None:
    """Serve the page until Ctrl-C."""
    Voila.launch_instance(argv=[str(PAGE)], config=settings(port, address, most, base_url))
