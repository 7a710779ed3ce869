"""Stores a score matrix in memory or in a temporary file, and iterates over it in chunks of rows."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

IN_MEMORY_BYTES = 2 * 2**30
CHUNK_BYTES = 32 * 2**20


def empty_scores(
    num_captions: int, num_videos: int, *, in_memory_bytes: int = IN_MEMORY_BYTES, folder: Path | None = None
) -> Float[ndarray, "C V"]:
    """An empty float32 array for scores: in memory, or in a memory-mapped temporary file if it is too large.

    The file has no name: its space is freed when the array is deleted, also if the process is killed. Its space is
    reserved immediately if the operating system supports it.

    Args:
        num_captions: rows, C.
        num_videos: columns, V.
        in_memory_bytes: largest size of an array in memory.
        folder: folder of the file; by default the system's folder for temporary files.

    Raises:
        OSError: the folder has too little space.
    """
    shape, size = (num_captions, num_videos), 4 * num_captions * num_videos
    if size <= in_memory_bytes:
        return np.empty(shape, dtype=np.float32)
    folder = Path(folder or tempfile.gettempdir())
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            _reserve(file.fileno(), size)
        except OSError as error:
            raise OSError(
                f"{num_captions} x {num_videos} scores take {size / 1e6:,.0f} MB: more than the "
                f"{in_memory_bytes / 1e6:,.0f} MB allowed in memory, and too much for {folder} ({error.strerror}). "
                "Use another folder, allow more memory, or score fewer captions at a time."
            ) from error
        return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)


def _reserve(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # or a full disk shows as a crash in the middle of the work
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def row_chunks(
    num_rows: int, num_columns: int, *, itemsize: int = 8, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[slice]:
    """Slices over all rows of a matrix, as many at a time as fit into `chunk_bytes`, at least one.

    >>> list(row_chunks(5, 10, chunk_bytes=160))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, chunk_bytes // max(1, num_columns * itemsize))
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))
