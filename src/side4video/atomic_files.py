"""Write files atomically, so that a killed process never leaves a partial one."""

import errno
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

if TYPE_CHECKING:
    from torch import Tensor  # processes that write no tensors do without torch and its 400 MB

_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextmanager
def replacing(path: Path, *, previous: Path | None = None) -> Iterator[Path]:
    """A temporary path beside `path`; when the block ends well it is flushed to disk and takes the place of `path`.

    What was at `path` is kept as `previous`, if that is given: one of the two is whole at any moment.
    What a killed process leaves there, `remove_abandoned` finds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with suppress(OSError):  # some network drives have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)  # until the process ends, however it does
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp and safetensors give 0600
        _sync(temporary)
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


def remove_abandoned(folder: Path, pattern: str) -> list[Path]:
    """Remove temporary files of `replacing` whose process was killed; returns their paths.

    Args:
        folder: where to look; it may be missing.
        pattern: of the names of the files to be replaced, such as "tokens-*.npy".
    """
    removed = []
    for path in sorted(folder.glob(f".{pattern}.????????.tmp")):
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where a living process writes
            if path.stat().st_size:  # an empty one may have been made a moment ago, and not be locked yet
                path.unlink()
                removed.append(path)
    return removed


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, UTF-8.

    Raises:
        OSError: it could not be written; what was at `path` is still there.
    """
    with _saying_why(path, len(text)), replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, indented, ending with a newline. Numbers must be finite."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_tensors(
    path: Path,
    tensors: "Mapping[str, Tensor]",
    metadata: Mapping[str, str] | None = None,
    *,
    previous: Path | None = None,
) -> None:
    """Write tensors by name as safetensors, atomically; what was there is kept as `previous`, if that is given.

    Raises:
        OSError: it could not be written, for example because the disk is full; what was at `path` is still there.
    """
    from safetensors.torch import save_file

    size = sum(tensor.nbytes for tensor in tensors.values())
    with _saying_why(path, size), replacing(path, previous=previous) as temporary:
        save_file(
            {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, temporary, dict(metadata or {})
        )


def check_writable(folder: Path) -> None:
    """Make sure that a folder can be made and written to; what it makes for that is removed again.

    Raises:
        OSError: it cannot, with the reason and the remedy.
    """
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise NotADirectoryError(f"{folder} cannot be written: {existing} is a file. Choose another folder.")
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".side4video.") as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        remedy = "Free some space there" if error.errno in _NO_SPACE else "Get the right to write there"
        raise OSError(
            error.errno,
            f"{folder} cannot be written: {error.strerror} ({existing}). {remedy}, or choose another folder.",
        ) from error


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Make sure that the disk of a folder that is there has so many bytes left.

    Raises:
        OSError: it has fewer.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{folder} has {free / 1e6:,.1f} MB left, {purpose} need {needed / 1e6:,.1f} MB. Free some space there, "
            "or choose another folder.",
        )


@contextmanager
def _saying_why(path: Path, size: int) -> Iterator[None]:
    """Turn errors of the block into one that says what could not be written, why, and what it needs."""
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise _unwritten(path, size, error) from error


def _unwritten(path: Path, size: int, error: Exception) -> OSError:
    """safetensors gives the number of an error in words alone."""
    found = re.search(r"os error (\d+)", str(error))
    number = error.errno if isinstance(error, OSError) else int(found[1]) if found else errno.EIO
    reason = os.strerror(number or errno.EIO) if isinstance(error, OSError) or found else str(error)
    try:
        free = f"{shutil.disk_usage(path.parent).free / 1e6:,.1f} MB"
    except OSError:
        free = "nothing that can be asked for"
    return OSError(
        number,
        f"{path} could not be written: {reason}. It takes {size / 1e6:,.1f} MB beside what is there, and the disk has "
        f"{free} left (a quota or a limit may allow less). What was at this path before is unchanged.",
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
