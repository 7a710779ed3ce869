"""Convert windows to rows of an Arrow table and back."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from side4video.search.stores.records import IndexedFile, Window
from side4video.search.stores.serialisation import metadata_from_text, metadata_to_text, path_from_text, path_to_text

FILE_COLUMNS = ("path", "content", "size", "modified", "duration_seconds", "metadata")
WINDOW_COLUMNS = ("number", "start_seconds", "end_seconds", "frames", "frame_weights", "frame_seconds")


READ_ROWS = 65_536
"""Rows whose values are Python objects at the same time."""


def window_schema(num_frames: int, embed_dim: int, mean_bits: Literal[16, 32] = 16) -> pa.Schema:
    """The schema of a table of windows with `num_frames` frames each. Earlier versions stored means in 32 bits."""
    return pa.schema(
        [
            ("path", pa.string()),
            ("number", pa.int32()),
            ("start_seconds", pa.float64()),
            ("end_seconds", pa.float64()),
            ("content", pa.string()),
            ("size", pa.int64()),
            ("modified", pa.int64()),
            ("duration_seconds", pa.float64()),
            ("metadata", pa.string()),  # JSON
            ("frame_weights", pa.list_(pa.float32(), num_frames)),
            ("frame_seconds", pa.list_(pa.float32(), num_frames)),
            ("frames", pa.list_(pa.float16(), num_frames * embed_dim)),
            ("mean", pa.list_(pa.float16() if mean_bits == 16 else pa.float32(), embed_dim)),
        ]
    )


def _array_column(arrays: Sequence[NDArray[Any]], field: pa.Field) -> pa.Array:
    """A column with one array per row; all arrays have the same size."""
    numbers = np.ascontiguousarray(np.stack(arrays)).reshape(-1)
    if len(numbers) != len(arrays) * field.type.list_size:
        raise ValueError(
            f"{field.name} has shape {arrays[0].shape}, but the index stores {field.type.list_size} numbers per window."
        )
    numbers = numbers.astype(field.type.value_type.to_pandas_dtype(), copy=False)
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers), field.type.list_size)


def to_rows(windows: Sequence[Window], schema: pa.Schema) -> pa.Table:
    """A table with one row per window."""
    files = {window.file.path: window.file for window in windows}
    metadata = {path: metadata_to_text(file.metadata) for path, file in files.items()}
    columns: dict[str, Any] = {
        "path": [path_to_text(window.file.path) for window in windows],
        "metadata": [metadata[window.file.path] for window in windows],
    }
    for name in ("number", "start_seconds", "end_seconds"):
        columns[name] = [getattr(window, name) for window in windows]
    for name in ("content", "size", "modified", "duration_seconds"):
        columns[name] = [getattr(window.file, name) for window in windows]
    for name in ("frame_weights", "frame_seconds", "frames", "mean"):
        columns[name] = _array_column([getattr(window, name) for window in windows], schema.field(name))
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def column_to_array(table: pa.Table, name: str) -> NDArray[Any]:
    """(rows, numbers per row) of a column from `to_rows`; shares Arrow's memory if that is contiguous."""
    column = table[name].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)


def means_from_rows(table: pa.Table) -> NDArray[np.float32]:
    """(rows, E) mean vectors of a table with a column `mean`; those of 16 bits are scaled to length 1 again."""
    means = column_to_array(table, "mean")
    if means.dtype == np.float32:
        return means
    means = means.astype(np.float32)
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def files_from_rows(table: pa.Table) -> list[IndexedFile]:
    """The file of each row; rows of the same video share one object."""
    metadata: dict[str, Any] = {}
    files: dict[tuple[Any, ...], IndexedFile] = {}
    found = []
    for row in chain.from_iterable(_tuples(part) for part in table.select(FILE_COLUMNS).to_batches(READ_ROWS)):
        file = files.get(row)
        if file is None:
            path, content, size, modified, duration_seconds, text = row
            if text not in metadata:
                metadata[text] = metadata_from_text(text)
            file = IndexedFile(path_from_text(path), content, size, modified, duration_seconds, metadata[text])
            files[row] = file
        found.append(file)
    return found


def _tuples(part: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(part[name].to_pylist() for name in FILE_COLUMNS), strict=True)


def from_rows(table: pa.Table, means: NDArray[np.float32] | None = None) -> list[Window]:
    """The window of each row of a table with `FILE_COLUMNS` and `WINDOW_COLUMNS`.

    Args:
        table: the table; the windows' arrays are views of it where possible.
        means: (rows, E) mean vectors; None: the table has a column with them.
    """
    means = means_from_rows(table) if means is None else means
    frames = column_to_array(table, "frames")
    frames = frames.reshape(len(table), frames.shape[1] // means.shape[1], means.shape[1])
    columns = zip(
        files_from_rows(table),
        *(table[name].to_pylist() for name in ("number", "start_seconds", "end_seconds")),
        frames,
        column_to_array(table, "frame_weights"),
        column_to_array(table, "frame_seconds"),
        means,
        strict=True,
    )
    return [Window(*values) for values in columns]
