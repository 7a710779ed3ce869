"""A cache of files for the browser, in a temporary folder of limited size."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from side4video.atomic_files import remove_abandoned


class TranscodeCache:
    """A cache that makes files on the first request and deletes the least recently used ones.

    Args:
        folder: a folder that holds only these files.
        max_bytes: limit for their total size; the newest file is kept at any size.
        max_concurrent: maximum number of files to make at the same time.

    >>> async def make(path: Path) -> None:
    ...     path.write_text("a clip")
    >>> cache = TranscodeCache(Path("."), max_bytes=1000, max_concurrent=1)
    >>> asyncio.run(cache.get("cat.mp4", ".txt", make)).read_text()
    'a clip'
    """

    def __init__(self, folder: Path, *, max_bytes: int, max_concurrent: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._pending: dict[str, asyncio.Task[Path]] = {}
        self._slots = asyncio.Semaphore(max_concurrent)

    async def get(self, key: str, suffix: str, make: Callable[[Path], Awaitable[None]]) -> Path:
        """The file of a key. `make` writes it to the given path; its errors are raised here."""
        name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest() + suffix
        if name in self._sizes:
            self._sizes.move_to_end(name)
            return self.folder / name
        if name not in self._pending:
            task = asyncio.create_task(self._make(name, make))
            task.add_done_callback(lambda done: self._discard_pending(name, done))
            self._pending[name] = task
        return await asyncio.shield(self._pending[name])  # a client that disconnects must not cancel it for others

    async def _make(self, name: str, make: Callable[[Path], Awaitable[None]]) -> Path:
        path = self.folder / name
        async with self._slots:
            try:
                await make(path)
            except BaseException:
                remove_abandoned(self.folder, name)  # what a process wrote before it was killed
                raise
        self._sizes[name] = path.stat().st_size
        while len(self._sizes) > 1 and sum(self._sizes.values()) > self.max_bytes:
            oldest, _ = self._sizes.popitem(last=False)
            with suppress(PermissionError):  # Windows: a client is reading it
                (self.folder / oldest).unlink(missing_ok=True)
        return path

    def _discard_pending(self, name: str, done: asyncio.Task[Path]) -> None:
        del self._pending[name]
        if not done.cancelled():
            done.exception()  # mark the error as retrieved, even if all clients have disconnected
