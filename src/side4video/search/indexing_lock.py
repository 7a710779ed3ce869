"""One process at a time that brings an index in a folder up to the videos on disk."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = ".indexing"
"""In the folder of an index; its content does not matter."""


@contextmanager
def indexing_lock(address: str | Path) -> Iterator[None]:
    """Refuse a second command on the same folder, which would embed the same videos; ends with the process.

    Nothing watches over object stores and servers, nor over network drives that have no locks.

    Args:
        address: of the index; a folder is made where there is none.

    Raises:
        RuntimeError: another process has it.
    """
    if "://" in str(address):
        yield
        return
    folder = Path(address)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"{address} is being indexed by another process. Wait until it is done.") from None
        except OSError:  # some network drives have no locks
            pass
        yield
