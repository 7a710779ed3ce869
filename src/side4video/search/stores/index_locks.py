"""Locks on an index in a folder. The operating system releases them when the process ends.

Object stores, servers, and network drives without file locks are not locked.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import lock_descriptor

_INDEXING, _CHANGING = ".indexing", ".changing"
PARTIAL = ".partial"
"""Name of the folder with windows of videos that are not complete yet."""
LOCK_FILES = {_INDEXING, _CHANGING, PARTIAL}
"""Names in an index folder that do not make it an index."""
_POLL_SECONDS = 0.01


@contextmanager
def indexing_lock(address: str | Path) -> Iterator[None]:
    """Lock a folder for indexing, so that no second command embeds the same videos.

    Args:
        address: address of the index; a missing folder is created.

    Raises:
        RuntimeError: another process holds the lock.
    """
    with ExitStack() as locks:
        try:
            locks.enter_context(_locked(address, _INDEXING, blocking=False))
        except BlockingIOError:
            raise RuntimeError(f"{address} is being indexed by another process. Wait until it is done.") from None
        yield


@contextmanager
def write_lock(address: str | Path) -> Iterator[bool]:
    """Wait until no other process or thread changes the index. Yields whether the index is locked."""
    with _locked(address, _CHANGING, blocking=True) as locked:
        yield locked


@contextmanager
def _locked(address: str | Path, name: str, *, blocking: bool) -> Iterator[bool]:
    if "://" in str(address):
        yield False
        return
    folder = Path(address)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("wb") as file:
        try:
            locked = lock_descriptor(file.fileno(), blocking=blocking, poll_interval=_POLL_SECONDS)
        except OSError:  # some network drives do not support locks
            yield False
            return
        if not locked:
            raise BlockingIOError
        yield True
