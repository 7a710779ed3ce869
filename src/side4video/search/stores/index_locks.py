"""Locks on an index in a folder, which end with the process that has them.

Nothing watches over object stores and servers, nor over network drives that have no locks.
"""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_INDEXING, _CHANGING = ".indexing", ".changing"
LOCK_FILES = {_INDEXING, _CHANGING}
"""In the folder of an index; their content does not matter."""


@contextmanager
def indexing_lock(address: str | Path) -> Iterator[None]:
    """Refuse a second command on the same folder, which would embed the same videos.

    Args:
        address: of the index; a folder is made where there is none.

    Raises:
        RuntimeError: another process has it.
    """
    with ExitStack() as held:
        try:
            held.enter_context(_locked(address, _INDEXING, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            raise RuntimeError(f"{address} is being indexed by another process. Wait until it is done.") from None
        yield


@contextmanager
def changing_lock(address: str | Path) -> Iterator[bool]:
    """Wait until no other process or thread is changing the index; whether others are kept from it now."""
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
        except OSError:  # some network drives have no locks
            locked = False
        yield locked
