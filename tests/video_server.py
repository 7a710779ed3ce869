"""A web server on this machine that offers a folder, as well or as badly as a test asks for."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class VideoServer(ThreadingHTTPServer):
    """Offers the files of `folder`.

    Attributes:
        ranges: whether parts of a file are sent. False: requests for a part are answered with the whole file.
        failures: the next answers, one status each; 0 ends the connection in the middle of the content, -1 does not
            answer until the server ends.
        statuses: the answer to all questions about some files, by name.
        tags: whether answers have an entity tag: a hash of the content, different in every file.
        sent: bytes of content of each answer.
        asked: paths of all requests.
    """

    daemon_threads = True

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.ranges = True
        self.failures: list[int] = []
        self.statuses: dict[str, int] = {}
        self.tags = True
        self.sent: list[int] = []
        self.asked: list[str] = []
        self.ended = threading.Event()

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, request, client_address):
        """A client may leave at any time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the content waits 40 ms for the acknowledgement of the headers

    def do_HEAD(self):
        self.answer(with_content=False)

    def do_GET(self):
        self.answer(with_content=True)

    def answer(self, *, with_content):
        server, path = self.server, self.server.folder / self.path.lstrip("/")
        server.asked.append(self.path)
        failure = server.failures.pop(0) if server.failures and with_content else None
        failure = server.statuses.get(self.path.lstrip("/"), failure)
        if failure == -1:
            server.ended.wait()
            return
        status = failure or (200 if path.is_file() else 404)
        content = path.read_bytes() if status == 200 else b""
        whole = len(content)
        asked = self.headers.get("Range")
        if asked and status == 200 and server.ranges:
            start, end = asked.removeprefix("bytes=").split("-")
            content = content[int(start) : int(end or whole - 1) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{int(start) + len(content) - 1}/{whole}")
        else:
            self.send_response(status)
        if with_content and failure != 0:
            server.sent.append(len(content))
        self.send_header("Content-Length", str(len(content)))
        if server.tags and path.is_file():
            named = self.path.encode() + path.read_bytes()
            self.send_header("ETag", f'"{hashlib.md5(named).hexdigest()}"')
        self.end_headers()
        if with_content and failure == 0:
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif with_content:
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(folder: Path) -> Iterator[VideoServer]:
    server = VideoServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
