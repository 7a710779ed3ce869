"""A remote video file, read in blocks of a fixed size."""

import functools
import io
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any, cast

from side4video.video.remote import about_file, file_system, is_address, key_in_store, retried, state_from
from side4video.video.remote_cache import remote_cache

BLOCK_BYTES = 2**18
"""Bytes per request. A clip's header and one group of pictures take a few of them."""
KEPT_BLOCKS = 32
"""Blocks of a file that stay in memory: 8 MB."""
KEPT_FILES = 4
"""Files whose blocks this process keeps."""


def open_bytes(path: Path) -> io.BufferedReader:
    """Open a file of this machine or at an address to read it at any position.

    Raises:
        OSError: it cannot be read.
    """
    if not is_address(path):
        return path.open("rb")
    return io.BufferedReader(RemoteFile(path))


class RemoteContent:
    """What this process has of a remote file: the blocks read last, or all of it if its server sends no ranges.

    Failed requests are repeated. Threads may share it.

    Args:
        path: the address, from `video_path`.
        size: in bytes; None: only the whole file can be read.
        changed: its entity tag or time; without one, its blocks are not cached on disk (`remote_cache`).

    Raises:
        OSError: the file cannot be read.

    >>> from side4video.video.remote import video_path
    >>> clip = video_path("memory://clip.mp4")
    >>> size = clip.write_bytes(Path("clip.mp4").read_bytes())
    >>> RemoteContent(clip, size).block(0) == Path("clip.mp4").read_bytes()
    True
    """

    def __init__(self, path: Path, size: int | None, changed: str = "") -> None:
        self._path = path
        self._cache = remote_cache() if changed and size is not None else None
        self._name = f"{path} {size} {changed}"
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._whole: IO[bytes] | None = retried(self._download, path) if size is None else None
        self.size = self._whole.seek(0, io.SEEK_END) if self._whole is not None else cast(int, size)

    def block(self, number: int) -> bytes:
        """The bytes from `number` times `BLOCK_BYTES` on, as many as a block has."""
        start = number * BLOCK_BYTES
        length = min(BLOCK_BYTES, self.size - start)
        with self._lock:
            if number not in self._blocks:
                self._blocks[number] = self._from_disk(number) or self._from_server(number, start, length)
            self._blocks.move_to_end(number)
            if len(self._blocks) > KEPT_BLOCKS:
                self._blocks.popitem(last=False)
            return self._blocks[number]

    def _from_disk(self, number: int) -> bytes | None:
        return None if self._cache is None else self._cache.get(self._name, number)

    def _from_server(self, number: int, start: int, length: int) -> bytes:
        content = retried(lambda: self._read(start, length), self._path)
        if self._cache is not None:
            self._cache.put(self._name, number, content)
        return content

    def _read(self, start: int, length: int) -> bytes:
        if self._whole is None:
            content = file_system(self._path).cat_file(key_in_store(self._path), start=start, end=start + length)
            if len(content) == length:
                return content
            if len(content) != self.size:
                raise ConnectionError(f"{len(content)} bytes instead of {length}")
            self._whole = self._stored(io.BytesIO(content))  # the server does not send ranges
        self._whole.seek(start)
        return self._whole.read(length)

    def _download(self) -> IO[bytes]:
        with file_system(self._path).open(key_in_store(self._path), "rb", block_size=0) as file:
            return self._stored(file)

    def _stored(self, file: IO[bytes]) -> IO[bytes]:
        """A copy in a temporary file, which is closed and so removed with this object."""
        stored = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115 - see above
        weakref.finalize(self, stored.close)
        shutil.copyfileobj(file, stored, BLOCK_BYTES)
        return stored


@functools.lru_cache(KEPT_FILES)
def _shared_content(path: Path, size: int, changed: str) -> RemoteContent:
    return RemoteContent(path, size, changed)


class RemoteFile(io.RawIOBase):
    """A file at an address. All that open it in this process share the blocks read last.

    Args:
        path: the address, from `video_path`.
        about: the result of `about_file`, if it is known.

    Raises:
        OSError: there is no such file, or it cannot be read.

    >>> from side4video.video.remote import video_path
    >>> clip = video_path("memory://clip.mp4")
    >>> clip.write_bytes(Path("clip.mp4").read_bytes()) == RemoteFile(clip).seek(0, 2)
    True
    """

    def __init__(self, path: Path, about: dict[str, Any] | None = None) -> None:
        about = about_file(path) if about is None else about
        size, changed = state_from(about)
        in_parts = about.get("size") is not None and about.get("partial") is not False
        self._content = _shared_content(path, size, changed) if in_parts else RemoteContent(path, None)
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position; nothing is read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._content.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read up to the end of a block."""
        if self._position >= self._content.size:
            return 0
        block, offset = divmod(self._position, BLOCK_BYTES)
        content = self._content.block(block)[offset : offset + len(buffer)]
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)
