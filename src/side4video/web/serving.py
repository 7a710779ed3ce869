"""The server: a socket, the application, and an end that leaves nothing behind."""

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

_LAST_SECONDS = 3  # for answers that are under way when it ends
_BACKLOG = 256
_IDLE_SECONDS = 75  # longer than clients keep a connection: else one is closed just when they ask on it again


def listen(host: str, port: int) -> socket.socket:
    """A socket on which clients are heard from now on, also while a model is still being loaded.

    Raises:
        ValueError: the port is taken or not allowed, or this machine does not have the address.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"--port {port} is not from 0 to 65535.")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        heard = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"--host {host} is not an address of this machine ({error}).") from None
    try:
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        heard.bind(address)
        heard.listen(_BACKLOG)
    except OSError as error:
        heard.close()
        if error.errno == errno.EADDRINUSE:
            raise ValueError(f"--port {port} is taken on {host}. Use another, or 0 for any that is free.") from None
        raise ValueError(f"--host {host} --port {port} cannot be listened on ({error.strerror}).") from None
    return heard


class Server:
    """An index on the network.

    Args:
        index: open; whoever opened it closes it.
        settings: what clients may do.
        classifier: names what happens in uploaded clips.
    """

    def __init__(self, index: "VideoIndex", settings: ServeSettings, *, classifier: "Predictor | None" = None) -> None:
        self.settings = settings
        self.app = make_app(SearchService(index, settings, classifier))

    def address(self, socket: socket.socket) -> str:
        """What to open in a browser, with the token."""
        host, port = socket.getsockname()[:2]
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        return f"http://{shown}:{port}/" + (f"?token={self.settings.token}" if self.settings.token else "")

    def run(self, socket: socket.socket, *, is_opened: bool = False) -> None:
        """Serve until Ctrl-C or SIGTERM; returns when what was under way is answered.

        Args:
            socket: from `listen`.
            is_opened: a browser is told to open the page.
        """
        config = uvicorn.Config(
            self.app,
            log_level="warning",
            access_log=False,
            lifespan="on",
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_LAST_SECONDS,
        )
        address = self.address(socket)
        print(f"{address}   (Ctrl-C ends it)", flush=True)
        if is_opened:
            webbrowser.open(address)
        before = signal.signal(signal.SIGTERM, _interrupt)  # uvicorn raises the signal again when it has ended
        try:
            uvicorn.Server(config).run(sockets=[socket])
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
