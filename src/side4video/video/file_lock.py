"""A lock between processes, so that one of them does a piece of work and the others find its result."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other process is in such a block for `path`. Where no lock file can be made, do not wait."""
    lock = path.with_suffix(".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("wb")
    except OSError:
        yield
        return
    with file:
        with suppress(OSError):  # some network drives have no locks
            lock_descriptor(file.fileno(), poll_interval=0.01)
        yield
        with suppress(PermissionError):  # Windows removes no open files
            lock.unlink(missing_ok=True)  # those that wait for it find the table
