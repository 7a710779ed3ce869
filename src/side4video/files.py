"""Writing files so that a killed process never leaves half of one."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; when the block ends well it is flushed to disk and takes the place of `path`.

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
        temporary.replace(path)
        _sync(path.parent)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


def remove_abandoned(folder: Path, pattern: str) -> list[Path]:
    """Remove what `replacing` left in a folder when the process that wrote it was killed, and say what that was.

    Args:
        folder: where to look; it need not be there.
        pattern: of the names of the files that were to be replaced, such as "tokens-*.npy".
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
    """Write a text file atomically, UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, indented, ending with a newline. Numbers must be finite."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors by name as safetensors, atomically."""
    with replacing(path) as temporary:
        save_file(
            {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, temporary, dict(metadata or {})
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
