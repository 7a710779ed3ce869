"""One version of a LanceDB table of windows: searches in it are not affected by concurrent writes."""

from collections import Counter
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.table import Table
from numpy.typing import NDArray

from side4video.search.stores.filter_matching import make_test
from side4video.search.stores.filters import Filter
from side4video.search.stores.records import IndexedFile, Window
from side4video.search.stores.serialisation import path_from_text, path_to_text
from side4video.search.stores.window_rows import (
    FILE_COLUMNS,
    WINDOW_COLUMNS,
    files_from_rows,
    from_rows,
    means_from_rows,
)

EXACT_WINDOWS = 250_000
"""Up to this many windows, search is exact and in memory: 512 MB of mean vectors with 512 numbers each."""
NPROBES = 128
"""Number of partitions of LanceDB's index to search: all up to 1 million windows, half of the 256 of a large index."""
OVERFETCH = 2
"""The index stores rounded numbers, so it returns so many times the limit of windows for exact comparison."""
MIN_FETCHED = 1000
"""Minimum number of windows that the index returns."""
CACHED_FILTERS = 16
"""Number of filters whose rows are cached: users often send several queries with the same filter."""
GROWTH_FACTOR = 4
"""Growth factor of the limit and of the searched partitions while the filter leaves too few results."""


class LanceSnapshot:
    """One version of a table.

    Args:
        connection: connection to the database.
        name: name of the table.
        version: version of the table.
        earlier: the snapshot that this one replaces; its mean vectors are reused.
        exact_windows: see `EXACT_WINDOWS`.

    >>> connection = lancedb.connect("index")
    >>> snapshot = LanceSnapshot(connection, "windows", connection.open_table("windows").version)
    >>> snapshot.num_windows == len(snapshot.windows_of(list(snapshot.files())))
    True
    """

    def __init__(
        self,
        connection: lancedb.DBConnection,
        name: str,
        version: int,
        *,
        earlier: "LanceSnapshot | None" = None,
        exact_windows: int = EXACT_WINDOWS,
    ) -> None:
        self.version = version
        self._table: Table = connection.open_table(name)
        self._table.checkout(version)
        self._exact_windows = exact_windows
        self._filtered: dict[Filter, NDArray[np.int64]] = {}
        self._earlier = None
        if earlier is not None and "_means" in vars(earlier) and earlier._table.schema == self._table.schema:
            self._earlier = earlier._means

    def paths(self) -> set[str]:
        """The path of each video, as text."""
        found: set[str] = set()
        for part in self._table.search().select(["path"]).to_batches():
            found.update(part["path"].unique().to_pylist())
        return found

    @cached_property
    def num_windows(self) -> int:
        """Number of windows: the rows of the table."""
        return self._table.count_rows()

    @cached_property
    def _files(self) -> tuple[NDArray[np.int64], list[IndexedFile]]:
        """Row ids, in ascending order, and the file of each row."""
        table = self._scan(list(FILE_COLUMNS))
        return _row_ids(table), files_from_rows(table)

    @cached_property
    def _means(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Row ids, in ascending order, and their mean vectors.

        A row id consists of the number of a file on disk and a position in it. Files never change and their numbers are
        not reused, so the mean vector of a known row id stays valid.
        """
        earlier, self._earlier = self._earlier, None
        if earlier is None:
            table = self._scan(["mean"])
            return _row_ids(table), means_from_rows(table)
        known, known_means = earlier
        ids = _row_ids(self._scan([]))
        positions = np.searchsorted(known, ids)
        reused = positions < len(known)
        reused[reused] = known[positions[reused]] == ids[reused]
        means = np.empty((len(ids), known_means.shape[1]), np.float32)
        means[reused] = known_means[positions[reused]]
        if not reused.all():
            means[~reused] = means_from_rows(self._take(ids[~reused], ["mean"]))
        return ids, means

    def files(self) -> dict[str, IndexedFile]:
        """Every video by its path, in order of the paths."""
        return dict(self._by_path)

    @cached_property
    def _by_path(self) -> dict[str, IndexedFile]:
        return dict(sorted({file.path: file for file in self._files[1]}.items()))

    def windows_of(self, paths: Sequence[str]) -> list[Window]:
        """Windows of some videos, by path and number."""
        return sorted(from_rows(self.rows_of(paths)), key=lambda window: (window.file.path, window.number))

    def windows_at(self, places: Collection[tuple[str, int]]) -> list[Window]:
        """The windows with these paths and numbers."""
        of_paths, numbers = path_condition(sorted({path for path, _ in places})), {number for _, number in places}
        condition = f"{of_paths} AND number IN ({', '.join(map(str, sorted(numbers)))})"
        rows = self._table.search().where(condition).select(self._table.schema.names).to_arrow()
        return [window for window in from_rows(rows) if (window.file.path, window.number) in places]

    def rows_of(self, paths: Sequence[str]) -> pa.Table:
        """All columns of the windows of some videos."""
        return self._table.search().where(path_condition(paths)).select(self._table.schema.names).to_arrow()

    def keys_of(self, paths: Sequence[str]) -> set[tuple[str, int]]:
        """Path, as text, and number of each of these windows."""
        table = self._table.search().where(path_condition(paths)).select(["path", "number"]).to_arrow()
        return set(zip(table["path"].to_pylist(), table["number"].to_pylist(), strict=True))

    def count_windows_of(self, paths: Sequence[str]) -> dict[str, int]:
        """The number of windows of each of these videos; videos without windows are omitted."""
        table = self._table.search().where(path_condition(paths)).select(["path"]).to_arrow()
        return {path_from_text(text): count for text, count in Counter(table["path"].to_pylist()).items()}

    def nearest(self, vector: NDArray[np.float32], *, limit: int, filter: Filter) -> list[Window]:
        """See `Store.nearest`."""
        vector = np.asarray(vector, np.float32)
        allowed = None if filter == Filter() else self._allowed(filter)
        if allowed is not None and not len(allowed):
            return []
        if self.num_windows <= self._exact_windows:
            return self._nearest_in_memory(vector, limit, allowed)
        if allowed is not None and len(allowed) <= self._exact_windows:
            means = means_from_rows(self._take(allowed, ["mean"]))
            return self._best(allowed, means, vector, limit)
        return self._nearest_by_index(vector, limit, allowed)

    def _allowed(self, filter: Filter) -> NDArray[np.int64]:
        """Ids of the rows that pass a filter, in ascending order."""
        if (known := self._filtered.get(filter)) is not None:
            return known
        ids, files = self._files
        test = make_test(filter)
        passes: dict[int, bool] = {}
        for file in files:
            if id(file) not in passes:
                passes[id(file)] = test(file)
        allowed = ids[np.fromiter((passes[id(file)] for file in files), bool, len(files))]
        if len(self._filtered) >= CACHED_FILTERS:
            self._filtered = {}
        self._filtered[filter] = allowed
        return allowed

    def _nearest_in_memory(
        self, vector: NDArray[np.float32], limit: int, allowed: NDArray[np.int64] | None
    ) -> list[Window]:
        ids, means = self._means
        if allowed is None:
            return self._best(ids, means, vector, limit)
        positions = np.searchsorted(ids, allowed)
        if len(positions) * 4 > len(ids):  # copying the vectors costs more than comparing all of them
            scores = (means @ vector)[positions]
            order = _largest(scores, limit)
            return self._fetch(allowed[order], means[positions[order]])
        return self._best(allowed, means[positions], vector, limit)

    def _nearest_by_index(
        self, vector: NDArray[np.float32], limit: int, allowed: NDArray[np.int64] | None
    ) -> list[Window]:
        wanted, probes = max(OVERFETCH * limit, MIN_FETCHED), NPROBES
        while True:
            query: Any = self._table.search(vector, vector_column_name="mean")
            query = query.distance_type("dot").nprobes(probes).limit(wanted).select(["mean", "_distance"])
            table = query.with_row_id(True).to_arrow()
            ids, means = table["_rowid"].to_numpy().astype(np.int64), means_from_rows(table)
            if allowed is not None:
                passes = np.isin(ids, allowed, assume_unique=True)
                ids, means = ids[passes], means[passes]
            if len(ids) >= limit or wanted >= self.num_windows:
                return self._best(ids, means, vector, limit)
            wanted, probes = wanted * GROWTH_FACTOR, probes * GROWTH_FACTOR

    def _best(
        self, ids: NDArray[np.int64], means: NDArray[np.float32], vector: NDArray[np.float32], limit: int
    ) -> list[Window]:
        order = _largest(means @ vector, limit)
        return self._fetch(ids[order], means[order])

    def _fetch(self, ids: NDArray[np.int64], means: NDArray[np.float32]) -> list[Window]:
        return from_rows(self._take(ids, [*FILE_COLUMNS, *WINDOW_COLUMNS]), means)

    def _take(self, ids: NDArray[np.int64], columns: list[str]) -> pa.Table:
        """Columns of some rows, in their order."""
        if not len(ids):
            return self._table.schema.empty_table().select(columns)
        table = self._table.take_row_ids(ids.tolist()).select(columns).with_row_id().to_arrow()
        positions = np.argsort(table["_rowid"].to_numpy(), kind="stable")
        return table.take(positions[np.argsort(np.argsort(ids, kind="stable"), kind="stable")])

    def _scan(self, columns: list[str]) -> pa.Table:
        """Columns of all rows, in ascending order of the row ids."""
        table = self._table.search().select(columns).with_row_id(True).to_arrow()
        ids = _row_ids(table)
        return table if (ids[1:] > ids[:-1]).all() else table.take(np.argsort(ids, kind="stable"))


def path_condition(paths: Sequence[str]) -> str:
    """The SQL condition that a row belongs to one of these videos."""
    quoted = ("'" + path_to_text(path).replace("'", "''") + "'" for path in paths)
    return f"path IN ({', '.join(quoted)})"


def _row_ids(table: pa.Table) -> NDArray[np.int64]:
    return table["_rowid"].to_numpy().astype(np.int64)


def _largest(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Positions of the `count` largest scores, largest first; ties keep their order."""
    positions = np.arange(len(scores))
    if count < len(scores):
        positions = np.sort(np.argpartition(-scores, count)[:count])
    return positions[np.argsort(-scores[positions], kind="stable")]
