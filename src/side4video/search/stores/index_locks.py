"""Locks on an index in a folder. The operating system releases them when the process ends.

Object stores, servers, and network drives without file locks are not locked.
"""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_INDEXING, _CHANGING = ".indexing", ".changing"
PARTIAL = ".partial"
"""Name of the folder with windows of videos that are not complete yet."""
LOCK_FILES = {_INDEXING, _CHANGING, PARTIAL}
"""Names in an index folder that do not make it an index."""


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
            locks.enter_context(_locked(address, _INDEXING, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            raise RuntimeError(f"{address} is being indexed by another process. Wait until it is done.") from None
        yield


@contextmanager
def write_lock(address: str | Path) -> Iterator[bool]:
    """Wait until no other process or thread changes the index. Yields whether the index is locked."""
    with _locked(address, _CHANGING, fcntl.LOCK_EX) as locked:
        yield locked


@contextmanager
def _locked(address: str | Path, name: str, operation: int) -> Iterator[bool]:
    if "://" in str(address):
        yield False
        return
    folder = Path(address)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as file:
        locked = True
        try:
            fcntl.flock(file, operation)
        except BlockingIOError:
            raise
        except OSError:  # some network drives do not support locks
            locked = False
        yield locked
