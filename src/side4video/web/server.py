"""The server: a socket, the application, and a clean shutdown."""

import errno
import signal
import socket
import webbrowser
from typing import TYPE_CHECKING

import uvicorn

from side4video.web.app import make_app
from side4video.web.service import SearchService
from side4video.web.settings import ServeSettings

if TYPE_CHECKING:
    from side4video.inference.predictor import Predictor
    from side4video.search.video_index import VideoIndex

_SHUTDOWN_SECONDS = 3  # for responses in progress at shutdown
_BACKLOG = 256
_KEEP_ALIVE_SECONDS = 75  # longer than clients do, so that the server does not close a connection just as it is reused


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket. Clients can connect from now on, even while a model is still loading.

    Raises:
        ValueError: the port is in use or not allowed, or the address does not belong to this machine.

    >>> with listen("127.0.0.1", 0) as socket:
    ...     socket.getsockname()[0]
    '127.0.0.1'
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"--port {port} must be from 0 to 65535.")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"--host {host} is not an address of this machine ({error}).") from None
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows, where SO_REUSEADDR shares a port that is in use
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ValueError(f"--port {port} is in use on {host}. Use another port, or 0 for any free port.") from None
        raise ValueError(f"--host {host} --port {port} cannot be used ({error.strerror}).") from None
    return listener


class Server:
    """A web server for an index.

    Args:
        index: the open index; the caller closes it.
        settings: access and limits for clients.
        classifier: classifies uploaded clips; None: the server does not classify.

    >>> from side4video.search.video_index import VideoIndex
    >>> index = VideoIndex.open("index", model="retrieval", device="cpu")
    >>> server = Server(index, ServeSettings())
    >>> with listen("127.0.0.1", 0) as socket:
    ...     server.address(socket).startswith("http://127.0.0.1:")
    True
    >>> index.close()
    """

    def __init__(self, index: "VideoIndex", settings: ServeSettings, *, classifier: "Predictor | None" = None) -> None:
        self.settings = settings
        self.app = make_app(SearchService(index, settings, classifier))

    def address(self, socket: socket.socket) -> str:
        """The URL to open in a browser, with the token."""
        host, port = socket.getsockname()[:2]
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        return f"http://{shown}:{port}/" + (f"?token={self.settings.token}" if self.settings.token else "")

    def run(self, socket: socket.socket, *, open_browser: bool = False) -> None:
        """Serve until Ctrl-C or SIGTERM; returns after the responses in progress are sent, or after 3 seconds.

        Args:
            socket: a socket from `listen`.
            open_browser: True: open the page in a browser.
        """
        config = uvicorn.Config(
            self.app,
            log_level="warning",
            access_log=False,
            lifespan="on",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        address = self.address(socket)
        print(f"{address}   (press Ctrl-C to stop)", flush=True)
        if open_browser:
            webbrowser.open(address)
        before = signal.signal(signal.SIGTERM, _interrupt)  # uvicorn raises the signal again after its shutdown
        try:
            uvicorn.Server(config).run(sockets=[socket])
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
