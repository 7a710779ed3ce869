"""A cache of blocks of remote files on this disk, limited in bytes, for all processes of a user.

fsspec's own caches keep whole files or blocks without a limit of their size, so the blocks are kept in SQLite: in one
file, whose transactions keep the limit however many processes write.
"""

import functools
import hashlib
import logging
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from side4video.system.paths import cache_folder

SETTING = "SIDE4VIDEO_REMOTE_CACHE_GB"
"""The environment variable with the limit in GB of 10^9 bytes. Not set: nothing is cached on disk."""
_USED_SECONDS = 60.0
"""A block counts as used again after so long: noting each use would write for each read."""
_WAIT_SECONDS = 30.0
_NOT_USED = "The cache of remote files is not used: %s. Remove its folder if this repeats."
_LOG = logging.getLogger(__name__)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks (
    file TEXT, number INTEGER, used REAL, size INTEGER, checksum INTEGER, content BLOB, UNIQUE (file, number));
CREATE INDEX IF NOT EXISTS by_use ON blocks (used, size);
CREATE TABLE IF NOT EXISTS total (bytes INTEGER);
INSERT INTO total SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM total);
"""


class RemoteCache:
    """Blocks of files; the least recently used blocks are removed when the limit is reached.

    Several threads and processes may use it. If the cache cannot be read or written, blocks count as not cached, and a
    warning is logged once.

    Args:
        file: the SQLite file; made if it does not exist.
        max_bytes: limit for the content of all blocks. The file has up to a tenth more.

    >>> cache = RemoteCache(Path("blocks.sqlite"), max_bytes=10)
    >>> for number in range(3):
    ...     cache.put("s3://bucket/a.mp4 tag", number, b"12345")
    >>> [cache.get("s3://bucket/a.mp4 tag", number) for number in range(3)]
    [None, b'12345', b'12345']
    >>> cache.close()
    """

    def __init__(self, file: Path, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._failed = False
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._database = sqlite3.connect(file, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA synchronous = OFF")  # a power cut may corrupt blocks: they have checksums
        with self._transaction():
            for statement in _SCHEMA.split(";"):
                self._database.execute(statement)

    def get(self, file: str, number: int) -> bytes | None:
        """A block, or None if it is not cached. A corrupt block is removed.

        Args:
            file: names the file in one state; with another entity tag it is another name.
            number: which block of the file.
        """
        with self._lock, self._logged():
            query = "SELECT rowid, used, checksum, content, size FROM blocks WHERE file = ? AND number = ?"
            found = self._database.execute(query, (_digest(file), number)).fetchone()
            if found is None:
                return None
            if zlib.crc32(found[3]) != found[2]:
                with self._transaction():
                    self._remove(found[0], found[4])
                return None
            if time.time() - found[1] > _USED_SECONDS:
                with self._transaction():
                    self._database.execute("UPDATE blocks SET used = ? WHERE rowid = ?", (time.time(), found[0]))
            return bytes(found[3])
        return None

    def put(self, file: str, number: int, content: bytes) -> None:
        """Add a block; the least recently used ones are removed first."""
        if len(content) > self.max_bytes:
            return
        with self._lock, self._logged(), self._transaction():
            self._evict(self.max_bytes - len(content))
            row = (_digest(file), number, time.time(), len(content), zlib.crc32(content), content)
            if self._database.execute("INSERT OR IGNORE INTO blocks VALUES (?, ?, ?, ?, ?, ?)", row).rowcount == 1:
                self._database.execute("UPDATE total SET bytes = bytes + ?", (len(content),))

    def num_bytes(self) -> int:
        """The content of all blocks in bytes."""
        return int(self._database.execute("SELECT bytes FROM total").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _evict(self, kept: int) -> None:
        excess = self.num_bytes() - kept
        while excess > 0:
            oldest = "SELECT rowid, size FROM blocks ORDER BY used LIMIT 1"
            rowid, size = self._database.execute(oldest).fetchone()
            self._remove(rowid, size)
            excess -= size

    def _remove(self, rowid: int, size: int) -> None:
        if self._database.execute("DELETE FROM blocks WHERE rowid = ?", (rowid,)).rowcount == 1:
            self._database.execute("UPDATE total SET bytes = bytes - ?", (size,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextmanager
    def _logged(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if not self._failed:
                _LOG.warning(_NOT_USED, error)
            self._failed = True


def remote_cache() -> RemoteCache | None:
    """The cache that the environment sets (`SETTING`), in the folder `SIDE4VIDEO_CACHE`; None: not set.

    Raises:
        ValueError: the setting is not a positive number.
        OSError: the folder cannot be made.
    """
    gigabytes = os.environ.get(SETTING)
    if not gigabytes:
        return None
    try:
        max_bytes = int(float(gigabytes) * 10**9)
    except (ValueError, OverflowError):
        max_bytes = 0
    if max_bytes <= 0:
        raise ValueError(f"{SETTING} = {gigabytes!r} must be a number above 0: GB for blocks of remote videos.")
    return _opened(cache_folder() / "remote" / "blocks.sqlite", max_bytes, os.getpid())


@functools.lru_cache(maxsize=1)
def _opened(file: Path, max_bytes: int, process: int) -> RemoteCache | None:  # noqa: ARG001 - no connection passes a fork
    try:
        return RemoteCache(file, max_bytes)
    except sqlite3.Error as error:
        _LOG.warning(_NOT_USED, error)
        return None


def _digest(file: str) -> str:
    return hashlib.sha256(file.encode("utf-8", "surrogateescape")).hexdigest()
