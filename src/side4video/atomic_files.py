"""Write files atomically, so that a killed process never leaves a partial one; write streams directly."""

import csv
import errno
import io
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import lock_descriptor
from safetensors import SafetensorError

from side4video.output_targets import copy_to_stream, follow_links, is_stream

if TYPE_CHECKING:
    from torch import Tensor  # processes that write no tensors avoid importing torch, which takes 400 MB

_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextmanager
def replacing(path: Path, *, previous: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path next to `path`; if the block succeeds, flush it to disk and rename it to `path`.

    A symbolic link stays, and the file that it points to is replaced. The new file keeps the old one's permissions.
    Pipes, devices and standard output (`-`) are not replaced: the content is written to them at the end.

    Args:
        path: the file to write; a missing folder is created. If the block raises, the old file stays unchanged.
        previous: new name of the old file. At any moment at least one of the two files is complete.

    `remove_abandoned` removes temporary files of killed processes.

    >>> with replacing(Path("result.txt")) as temporary:
    ...     _ = temporary.write_text("complete")
    >>> Path("result.txt").read_text()
    'complete'
    """
    if is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / "output"
            yield temporary
            copy_to_stream(temporary, path)
        return
    path = follow_links(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".lock")
    lock = Path(name)  # a file of its own: Windows neither renames nor reads a file that is locked
    temporary = lock.with_suffix(".tmp")
    try:
        with suppress(OSError):  # some network drives have no locks
            lock_descriptor(handle)  # held until the process ends, even if it is killed
        temporary.touch()
        yield temporary
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask()
        temporary.chmod(mode)  # mkstemp and safetensors give 0600
        _sync(temporary)
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
        with suppress(PermissionError):  # Windows does not open folders
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)
        lock.unlink(missing_ok=True)


def remove_abandoned(folder: Path, pattern: str) -> list[Path]:
    """Remove the temporary files that killed processes left in `replacing`; returns their paths.

    Args:
        folder: folder to search; it may be missing.
        pattern: glob pattern of the target names, such as "tokens-*.npy".
    """
    removed = []
    for path in sorted(folder.glob(f".{pattern}.????????.tmp")):
        lock = path.with_suffix(".lock")
        with suppress(OSError):
            with lock.open("rb") as file:
                # A running process that writes the file holds the lock. An empty file may be new and not locked yet.
                if not lock_descriptor(file.fileno(), blocking=False) or not path.stat().st_size:
                    continue
                path.unlink()
            removed.append(path)
            lock.unlink()
    return removed


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, as UTF-8.

    Raises:
        OSError: it could not be written; an existing file at `path` is unchanged.
    """
    with _explaining_errors(path, len(text)), replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, indented, ending with a newline. Numbers must be finite."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file atomically, as UTF-8.

    >>> write_rows(Path("videos.csv"), ("video", "label"), [("1.mp4", "run, then jump")])
    >>> Path("videos.csv").read_text()
    'video,label\\n1.mp4,"run, then jump"\\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(path, text.getvalue())


def write_tensors(
    path: Path,
    tensors: "Mapping[str, Tensor]",
    metadata: Mapping[str, str] | None = None,
    *,
    previous: Path | None = None,
) -> None:
    """Write named tensors as safetensors, atomically; an existing file is renamed to `previous` if that is given.

    Raises:
        OSError: it could not be written, for example on a full disk; an existing file at `path` is unchanged.
    """
    from safetensors.torch import save_file

    size = sum(tensor.nbytes for tensor in tensors.values())
    with _explaining_errors(path, size), replacing(path, previous=previous) as temporary:
        save_file(
            {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, temporary, dict(metadata or {})
        )


def check_writable(folder: Path) -> None:
    """Check that a folder can be created and written to. Files created for the check are removed.

    Raises:
        OSError: it cannot; the message gives the reason and the remedy.
    """
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise NotADirectoryError(f"{folder} cannot be written: {existing} is a file. Choose another folder.")
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".side4video.") as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        remedy = "Free some space there" if error.errno in _NO_SPACE else "Get write permission there"
        raise OSError(
            error.errno,
            f"{folder} cannot be written: {error.strerror} ({existing}). {remedy}, or choose another folder.",
        ) from error


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Check that the disk of an existing folder has at least `needed` bytes left.

    Raises:
        OSError: it has fewer.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{folder} has {free / 1e6:,.1f} MB left, but {purpose} need {needed / 1e6:,.1f} MB. Free some space "
            "there, or choose another folder.",
        )


@contextmanager
def _explaining_errors(path: Path, size: int) -> Iterator[None]:
    """Convert errors of the block to an OSError that names the file, the reason and the space that it needs."""
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise _write_error(path, size, error) from error


def _write_error(path: Path, size: int, error: Exception) -> OSError:
    """The OSError for a failed write. safetensors gives error numbers only in its message, so they are parsed."""
    found = re.search(r"os error (\d+)", str(error))
    number = error.errno if isinstance(error, OSError) else int(found[1]) if found else errno.EIO
    reason = os.strerror(number or errno.EIO) if isinstance(error, OSError) or found else str(error)
    try:
        free = f"{shutil.disk_usage(path.parent).free / 1e6:,.1f} MB"
    except OSError:
        free = "an unknown space"
    return OSError(
        number,
        f"{path} could not be written: {reason}. It needs {size / 1e6:,.1f} MB in addition to existing files, and the "
        f"disk has {free} left (a quota or a limit may allow less). An existing file at this path is unchanged.",
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes only files open for writing
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
