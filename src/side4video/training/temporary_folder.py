"""Temporary folders of runs at addresses. The next run removes those of killed processes."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

PREFIX = "side4video-run-"
_RUNNING, _NOT_COPIED = ".running", ".not-copied"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder, removed at the end if no file would be lost, see `set_copied`. No other process removes it before.

    >>> with temporary_folder() as folder:
    ...     _ = remove_abandoned_folders()
    ...     print(folder.is_dir())
    True
    >>> folder.is_dir()
    False
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with (folder / _RUNNING).open("wb") as file:
            with suppress(OSError):  # a system without locks
                if lock_descriptor(file.fileno()):
                    file.write(b"locked")
                    file.flush()
            yield folder
    finally:
        _remove(folder)


def set_copied(folder: Path, *, copied: bool) -> None:
    """Note whether another place has the newest files of a folder. If not, it is kept."""
    if copied:
        (folder / _NOT_COPIED).unlink(missing_ok=True)
    else:
        (folder / _NOT_COPIED).touch()


def remove_abandoned_folders() -> list[Path]:
    """Remove the folders of killed processes, apart from files that no other place has; returns them."""
    removed = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        with suppress(OSError):  # of another user, or no such folder
            with (folder / _RUNNING).open("rb") as file:
                if not file.read() or not lock_descriptor(file.fileno(), blocking=False):
                    continue
            _remove(folder)
            removed += [folder] * (not folder.exists())
    return removed


def _remove(folder: Path) -> None:
    if not (folder / _NOT_COPIED).exists():
        shutil.rmtree(folder)
