"""The glass box and the drawing pad as web pages, for visitors who can draw but not run code.

The first page is the glass box, which computes in the visitor's browser and needs no kernel. From it a link leads to
the pad, which Voilà serves to a few visitors at a time. Each of them has a kernel of their own. Voilà lets the pad send
messages to widgets only, and the pad itself lets no further widgets be made. Of Voilà's addresses only those that the
pad asks for are open, and only under names that are the server's own: no other site can lead its visitors here and
speak in their place.
"""

import asyncio
import contextlib
import functools
import ipaddress
import itertools
import json
import os
import re
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher
from tornado.web import HTTPError, RequestHandler, StaticFileHandler
from traitlets import Int, Unicode
from traitlets.config import Config

from mnist_helpers.checkpoints import DRAWINGS, load_model
from mnist_helpers.errors import CourseError, MissingExtraError, UsageError
from mnist_helpers.runtime import held_folder
from mnist_helpers.startup import THREADS_VARIABLE
from mnist_helpers.widgets.glass import MOMENTS, page_text
from mnist_helpers.widgets.moments import read_moments

try:
    from jupyter_server.auth.identity import PasswordIdentityProvider, User
    from jupyter_server.base.handlers import FileFindHandler
    from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
    from jupyter_server.services.kernels.handlers import KernelHandler
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
    from voila.app import Voila
    from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
    from voila.static_file_handler import MultiStaticFileHandler, TemplateStaticFileHandler
    from voila.tornado.handler import TornadoVoilaHandler
    from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler
except ModuleNotFoundError as error:
    raise MissingExtraError("The page needs Voilà", "app") from error

PAGE = Path(__file__).parent / "app.ipynb"
PAD = "pad"  # the address of the pad, below the first page's
TO_THE_PAD = (
    f'<p><a href="{PAD}">Several digits at once, a photo, and why it decided so</a>: '
    "for that page this server starts a program of your own, so it may be full.</p>"
)
READY = 1  # kernels that have run the page and wait for a visitor
# Voilà's template names a style sheet of another server; the browser is told to leave it.
FROM_HERE_ONLY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self'; frame-ancestors 'self'"
)
PROTOCOL = "v1.kernel.websocket.jupyter.org"  # in which a page speaks with its kernel
CONTENTS = {  # of messages to a widget
    "comm_open": {"comm_id": str, "target_name": str, "data": dict},
    "comm_msg": {"comm_id": str, "data": dict},
    "comm_close": {"comm_id": str},
}
# A kernel would log it as an error that a page says the same twice; the server signs what it passes on in any case. One
# that is stopped while it answers would log that, too.
KERNEL_OPTIONS = ["--Session.digest_history_size=0", "--log-level=CRITICAL"]
LARGEST_MESSAGE = 2**20  # bytes; a sheet full of strokes has a third of that
FILE = "[A-Za-z0-9@_~+-][A-Za-z0-9@_~+.-]*"  # or folder, as the page names them
FILES = f"{FILE}(?:/{FILE})*"
KERNEL = "(?P<kernel_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
# The addresses that the pad asks for, below the first page's, and who answers there.
OPEN = {
    PAD: TornadoVoilaHandler,
    f"voila/static/({FILES})": MultiStaticFileHandler,
    f"voila/templates/({FILE}/static/{FILES})": TemplateStaticFileHandler,
    f"voila/labextensions/({FILES})": FileFindHandler,
    f"api/kernels/{KERNEL}": KernelHandler,
    f"api/kernels/{KERNEL}/channels": VoilaKernelWebsocketHandler,
    f"voila/api/shutdown/{KERNEL}": VoilaShutdownKernelHandler,
}
# Of what JupyterLab is extended by on this machine, all that a widget needs; the rest only delays the page.
EXTENSIONS = ["@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget"]
ALONE_SECONDS = 60  # after which a kernel without a page is stopped
IDLE_MINUTES = 20  # after which a kernel is stopped, also if its page is still open


class FewKernels(AsyncMappingKernelManager):
    """Kernels for the visitors and for the pool of waiting ones, but never more than `most`.

    Voilà's pool does not expect that a kernel is refused, or does not start: such a one is taken out of it here, and
    the pool is filled again when a kernel has ended.
    """

    most = Int(10, config=True)
    closing = False

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.alone_since: dict[str, float] = {}
        self.out_of_pool: set[str] = set()
        self.clearing: set[asyncio.Task] = set()

    async def start_kernel(self, **arguments) -> str:
        """Start a kernel, or refuse with a page that says why. One that dies gives its place away."""
        try:
            starting = [kernel_id for kernel_id, task in self._pending_kernels.items() if not task.done()]
            if len({*self.list_kernel_ids(), *starting}) >= self.most:
                raise HTTPError(503, reason="All places are taken. Please try again in a few minutes.")
            kernel_id = await super().start_kernel(extra_arguments=KERNEL_OPTIONS, **arguments)
        except Exception:
            self._leave_pool(asyncio.current_task())
            raise
        self.add_restart_callback(kernel_id, functools.partial(self._died, kernel_id), "dead")
        return kernel_id

    def _leave_pool(self, task: asyncio.Task) -> None:
        for pool in getattr(self, "_pools", {}).values():
            if task in pool:
                pool.remove(task)
                # Nobody waits for it any more, and asyncio would complain of an error that nobody has seen.
                task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _died(self, kernel_id: str) -> None:
        task = asyncio.ensure_future(self._clear_away(kernel_id))
        self.clearing.add(task)  # the event loop keeps only weak references
        task.add_done_callback(self.clearing.discard)

    async def _clear_away(self, kernel_id: str) -> None:
        with contextlib.suppress(HTTPError):  # the kernel itself is forgotten already, its place in the pool is not
            await self.shutdown_kernel(kernel_id, now=True)
        self._fill_pool()

    async def shutdown_kernel(self, kernel_id: str, *arguments, **options) -> None:
        """Stop a kernel, and let the pool fill the place."""
        self.alone_since.pop(kernel_id, None)
        self.out_of_pool.discard(kernel_id)
        await super().shutdown_kernel(kernel_id, *arguments, **options)
        self._fill_pool()

    def _fill_pool(self) -> None:
        if not self.closing and getattr(self, "notebook_path", None):
            self.fill_if_needed(notebook_name=self.notebook_path)

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """Stop a kernel that has long been idle; soon, if its page has gone without saying so, or was never shown.

        What counts is the time since it left the pool (whose kernels are not asked about): in the pool it may have been
        idle for hours, and the page of a new visitor needs seconds to connect.
        """
        if kernel_id not in self.out_of_pool:
            self.out_of_pool.add(kernel_id)
            self._kernels[kernel_id].last_activity = datetime.now(UTC)
        if self._kernel_connections.get(kernel_id):
            self.alone_since.pop(kernel_id, None)
        elif time.monotonic() - self.alone_since.setdefault(kernel_id, time.monotonic()) > ALONE_SECONDS:
            await self.shutdown_kernel(kernel_id)
            return
        await super().cull_kernel_if_idle(kernel_id)

    async def shutdown_all(self, *arguments, **options) -> None:
        """Stop all kernels, for good."""
        self.closing = True
        await super().shutdown_all(*arguments, **options)


class Visitors(PasswordIdentityProvider):
    """Whoever comes in gets the cookie without which the server would refuse the message that a page closes with."""

    async def get_user(self, handler: RequestHandler) -> User | None:
        """Let the visitor in as ever, and set the cookie."""
        handler.current_user = await super().get_user(handler)
        _ = handler.xsrf_token  # asking for it sets the cookie
        return handler.current_user


class OneProtocol(ZMQChannelsWebsocketConnection):
    """A page's way to its kernel, in the protocol that pages speak, and with whole messages only.

    Voilà takes every message for one of this protocol, and believes what it says of its parts: another protocol, or a
    large number, would make the server fill its memory.
    """

    async def prepare(self) -> None:
        """Refuse another protocol."""
        asked_for = self.websocket_handler.request.headers.get("Sec-WebSocket-Protocol", "")
        if PROTOCOL not in [name.strip() for name in asked_for.split(",")]:
            raise HTTPError(400, reason=f"Only {PROTOCOL} is spoken here.")
        await super().prepare()

    def handle_incoming_message(self, incoming_msg: bytes) -> None:
        """Pass a message on; end the conversation after what is none."""
        if self.subprotocol != PROTOCOL:
            return  # the conversation has ended, and this was under way already
        if is_message(incoming_msg):
            super().handle_incoming_message(incoming_msg)
        else:
            self.websocket_handler.close(reason="This is no message.")


def is_message(frame: bytes | str) -> bool:
    """Say whether a frame is a message of `PROTOCOL`: a channel, and four parts in JSON that a kernel understands."""
    try:
        channel, *parts = parts_of(frame)
        header, _, _, content = found = [json.loads(part) for part in parts[:4]]
    except (ValueError, RecursionError):
        return False
    if channel not in (b"shell", b"control") or not all(isinstance(part, dict) for part in found):
        return False
    # No number for a version, no name with control characters for the log, and no further threads (subshells).
    if not all(isinstance(value, str) for name, value in header.items() if name != "subshell_id"):
        return False
    kind = header.get("msg_type", "")
    if not (kind.isidentifier() and {"msg_id", "session"} <= header.keys() and header.get("subshell_id") is None):
        return False
    return all(isinstance(content.get(name), kinds) for name, kinds in CONTENTS.get(kind, {}).items())


def parts_of(frame: bytes | str) -> list[bytes]:
    """Take a frame of `PROTOCOL` apart: a count, as many places in the frame, and between them its parts.

    Raises: ValueError if it is none. Parts that overlap, or a count without its places, would be many times as long as
    the frame when they are taken out.
    """
    count = int.from_bytes(frame[:8], "little") if isinstance(frame, bytes) else 0
    if not 2 <= count <= len(frame) // 8 - 1:
        raise ValueError("no places")
    places = list(struct.unpack_from(f"<{count}Q", frame, 8))
    if places != sorted(places) or places[-1] > len(frame):
        raise ValueError("places out of order")
    return [frame[start:end] for start, end in itertools.pairwise(places)]


class Strangers(Matcher):
    """The requests that are not for this page: under a name that is not its own, or sent from another site's page.

    Names that are not the server's own are how a site far away reaches a server on the visitor's own machine (DNS
    rebinding). A number is nobody's name.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        machine = socket.gethostname().lower()
        self.names = {"localhost", machine, f"{machine}.local", urlsplit(origin).hostname}

    def match(self, request: HTTPServerRequest) -> dict | None:
        """Return what `Refused` is told, or None if the request is for this page."""
        own = f"{request.protocol}://{request.host.lower()}"
        if request.host_name not in self.names and not is_number(request.host_name):
            scheme = urlsplit(self.origin).scheme or "http"
            reason = (
                f"This page is not served under the name {request.host_name!r}. Whoever serves it can allow "
                f"the name: mnist-helpers app --origin {scheme}://{request.host.lower()}"
            )
        elif request.headers.get("Origin", own).lower() not in (own, self.origin or own):
            reason = "This page answers its own visitors only. Behind a proxy its origin must be given with --origin."
        else:
            return None
        return {"target_kwargs": {"reason": reason}}


def is_number(host: str) -> bool:
    """Say whether a host is named by its IP address."""
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class Plain:
    """How each open address answers: what goes wrong is a line of text, and nothing is changed or ended by its method.

    Jupyter's own pages for errors need what only its whole server has, and fail in this one.
    """

    SUPPORTED_METHODS = ("GET", "HEAD", "POST")

    def write_error(self, status_code: int, **_: object) -> None:
        """Answer with the number and the reason."""
        if status_code == 403 and isinstance(self, StaticFileHandler):  # Voilà forbids what is in none of its folders
            self.set_status(404)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self.get_status()}: {self._reason}")


class FirstPage(RequestHandler):
    """Answers with the glass box, the same for all."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def initialize(self, text: str) -> None:
        """Take the page."""
        self.text = text

    def get(self) -> None:
        """Send it."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", FROM_HERE_ONLY)
        self.finish(self.text)

    head = get


class Refused(RequestHandler):
    """Says why a request is not answered, whatever it asks for."""

    def initialize(self, reason: str) -> None:
        """Note the reason."""
        self.reason = reason

    def prepare(self) -> None:
        """Answer before anything else is looked at."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self.reason)


class Page(Voila):
    """Voilà's server, of which only what the page needs is open."""

    origin = Unicode("", config=True)  # of the page as its visitors see it, if that is a proxy's

    def init_handlers(self) -> list[tuple]:
        """Return who answers which address: `OPEN`, as Voilà sets its handlers up."""
        options = {rule[1]: dict(*rule[2:]) for rule in super().init_handlers()}
        answers = [
            (re.escape(self.base_url) + path, type(handler.__name__, (Plain, handler), {}), options[handler])
            for path, handler in OPEN.items()
        ]
        model, moments = load_model(DRAWINGS)[0], read_moments(DRAWINGS / MOMENTS)
        first = (re.escape(self.base_url), FirstPage, {"text": page_text(model, moments, TO_THE_PAD)})
        return [(Strangers(self.origin), Refused), first, *answers]


def settings(port: int, address: str, most: int, base_url: str = "/", theme: str = "light", origin: str = "") -> Config:
    """Return how Voilà is to serve the pad."""
    config = Config()
    config.Page.origin = origin
    config.Voila.port, config.Voila.ip, config.Voila.base_url = port, address, base_url
    config.Voila.port_retries = 0  # another port than the one that was asked for helps nobody
    config.VoilaConfiguration.theme = theme
    # Voilà writes what an address asks for into the page as it is.
    config.VoilaConfiguration.allow_theme_override = config.VoilaConfiguration.allow_template_override = "NO"
    config.Voila.open_browser = False
    config.VoilaConfiguration.strip_sources = True
    config.VoilaConfiguration.show_tracebacks = False
    config.VoilaConfiguration.multi_kernel_manager_class = FewKernels
    config.VoilaConfiguration.preheat_kernel = True
    config.VoilaConfiguration.default_pool_size = min(READY, most)
    config.VoilaConfiguration.file_allowlist = []
    config.VoilaConfiguration.extension_allowlist = EXTENSIONS
    config.FewKernels.most = most
    config.Voila.identity_provider_class = Visitors
    config.Voila.kernel_websocket_connection_class = OneProtocol
    config.Voila.tornado_settings = {
        "allow_origin": origin,
        "headers": {"Content-Security-Policy": FROM_HERE_ONLY},
        "websocket_max_message_size": LARGEST_MESSAGE,
    }
    config.KernelRestarter.restart_limit = 0  # a kernel that was begun anew would know nothing of the page
    config.MappingKernelManager.cull_idle_timeout = 60 * IDLE_MINUTES
    config.MappingKernelManager.cull_connected = True
    config.MappingKernelManager.cull_interval = 20
    return config


def serve(
    port: int,
    address: str,
    most: int,
    base_url: str = "/",
    theme: str = "light",
    origin: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the pages until Ctrl-C; each visitor's kernel computes with one thread, unless MNIST_THREADS says more.

    `origin` is what the page's address begins with behind a proxy; `say` is told where the page is.

    Raises: UsageError for an origin that is none; CourseError if the port cannot be had.
    """
    origin = as_origin(origin)
    check_free(port, address)
    os.environ.setdefault(THREADS_VARIABLE, "1")
    path = f"/{base_url.strip('/')}/".replace("//", "/")
    say(f"The page is at http://{f'[{address}]' if ':' in address else address}:{port}{path} (Ctrl-C stops it)")
    config = settings(port, address, most, path, theme, origin)
    with held_folder(Path(tempfile.gettempdir()), "digits-page-") as folder:  # for how to reach the kernels
        config.Page.connection_dir_root = str(folder)
        Page.launch_instance(argv=[str(PAGE)], config=config)


def as_origin(address: str) -> str:
    """Return what an address begins with, as browsers write it: https://digits.example.org; nothing for nothing.

    Raises: UsageError if it is no such address, or a longer one.
    """
    if not address:
        return ""
    found = re.fullmatch(
        r"(https?://[a-z0-9._-]+(?::\d{1,5})?|https?://\[[0-9a-f:.]+\](?::\d{1,5})?)/?", address.lower()
    )
    if not found:
        raise UsageError(
            f"--origin {address!r} must be what visitors' addresses begin with, such as https://digits.example.org; "
            "a path below it is given with --base-url."
        )
    return found[1]


def check_free(port: int, address: str) -> None:
    """Make sure that a port can be listened on.

    Raises: CourseError with the reason if it cannot.
    """
    try:
        kind = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((address, port), family=kind):
            pass
    except OSError as error:
        raise CourseError(
            f"The page cannot be served at {address}, port {port} ({error.strerror or error}). Perhaps it is served "
            f"there already; another port is chosen with --port {port % 65_535 + 1}."
        ) from error
