"""Store windows in LanceDB: in a folder or an object store, without a server."""

import re
import threading
import warnings
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial, wraps
from typing import Concatenate, ParamSpec, TypeVar

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import IvfFlat, IvfRq
from lancedb.table import Table
from numpy.typing import NDArray

from side4video.search.stores.batched_reads import WINDOWS_PER_BATCH, read_in_batches
from side4video.search.stores.filters import Filter
from side4video.search.stores.index_locks import write_lock
from side4video.search.stores.lance_snapshot import EXACT_WINDOWS, LanceSnapshot, path_condition
from side4video.search.stores.lance_subtitles import LanceSubtitles
from side4video.search.stores.lance_tables import create_table, explain_errors, folder_state, open_table, with_retries
from side4video.search.stores.records import IndexedFile, IndexInfo, Metadata, VideoSubtitles, Window
from side4video.search.stores.serialisation import info_from_text, info_to_text, metadata_to_text, path_to_text
from side4video.search.stores.window_rows import to_rows, window_schema

WINDOWS, INFO = "windows", "index"
"""Names of the two tables; `INFO` has one row."""
RETENTION = timedelta(hours=1)
"""How long replaced versions are kept if other processes cannot be locked out of the table.

LanceDB silently loses a write if newer versions are cleaned up while it runs: it compares each change with those made
since the change began, and does not notice removed ones. So no change may take longer than this.
"""
RETENTION_LOCKED = timedelta(0)
"""How long replaced versions are kept if other processes are locked out. Compaction makes two versions within a
millisecond; if the first were kept, all data would be on disk twice."""
MAX_PENDING_CHANGES = 32
"""Number of changes before their files are compacted; compaction can rewrite the whole table."""
OUTDATED_SHARE = 1 / 8
"""Share of all windows that one process may replace or remove before files are compacted."""
MAX_UNINDEXED_WINDOWS = 10_000
"""Number of windows that may be missing in LanceDB's index, up to `MAX_PARTITIONS`; they are compared one by one."""

PARTITION_WINDOWS = 8192
"""Windows per partition of LanceDB's index, on average."""
MAX_PARTITIONS = 256
"""Partitions of LanceDB's index at most: it compares each window with each of them."""
INDEX_GROWTH = 2
"""The index is rebuilt, with more partitions, if the windows have grown by this factor since it was built."""
LARGE_INDEX_GROWTH = 9 / 8
"""The same for an index with `MAX_PARTITIONS`. Until then it is left alone, and new windows are compared one by one.

Whenever LanceDB optimises an index, it divides partitions of more than 16,384 windows into ones of about 4,096, which
is slower than building the index.
"""
_INDEX_NAME = "mean_of_{}_windows"
"""The index's name in LanceDB holds the number of windows that it was built for."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _with_write_lock(
    method: Callable[Concatenate["LanceStore", Arguments], Result],
) -> Callable[Concatenate["LanceStore", Arguments], Result]:
    """Decorate a method that changes tables: it waits for other processes and threads that change the same folder."""

    @wraps(method)
    def locked(store: "LanceStore", *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with write_lock(store._address):
            return method(store, *args, **kwargs)

    return locked


class LanceStore:
    """A `Store` in LanceDB.

    Each change is one commit of LanceDB. Several processes may write at the same time if they write windows of
    different videos; in a folder, they take turns. Do not fork a process that has an open store.

    The path column has no index: with one, LanceDB's merge can silently leave rows unchanged
    (lancedb/lancedb#3177, #3515).

    Args:
        address: a folder, or any address that LanceDB supports, such as `s3://bucket/folder`.
        exact_windows: above this number of windows, search uses LanceDB's index, which `optimise` makes.

    Raises:
        ConnectionError: LanceDB does not support this object store.

    >>> store = LanceStore("index")
    >>> store.count_windows() == len(store.files())  # short videos have one window
    True
    """

    def __init__(self, address: str, *, exact_windows: int = EXACT_WINDOWS) -> None:
        self._address, self._exact_windows = address, exact_windows
        self._lock = threading.RLock()
        self._num_outdated = 0
        self._folder_state: Hashable | None = folder_state(address, INFO)
        """What is another value if the index was deleted and made again; None: not known."""
        self._connect()

    def _connect(self) -> None:
        self._connection = explain_errors(
            self._address, lambda: lancedb.connect(self._address, read_consistency_interval=timedelta(0))
        )
        self._subtitles = LanceSubtitles(self._connection)
        self._table: Table | None = None
        self._snapshot: LanceSnapshot | None = None
        self._paths, self._paths_version = set[str](), -1

    def _connect_again_if_replaced(self) -> None:
        """Open an index that was deleted and made again: a connection takes tables with equal versions for equal.

        An index in an object store is asked for its state when its description is read.
        """
        self._connect_again_if_other(folder_state(self._address, INFO))

    def _connect_again_if_other(self, state: Hashable | None) -> None:
        with self._lock:
            if state is not None and state != self._folder_state:
                if self._folder_state is not None:
                    self._connect()
                self._folder_state = state

    def read_info(self) -> IndexInfo | None:
        """The description of the index; None: there is no index here.

        Raises:
            ValueError: a later version of this package made the index.
            ConnectionError: an object store does not answer, or denies access.
        """
        self._connect_again_if_replaced()
        connection = lancedb.connect(self._address) if "://" in self._address else self._connection
        table = explain_errors(self._address, lambda: open_table(connection, INFO))
        if table is not None and connection is not self._connection:
            self._connect_again_if_other(table.list_versions()[-1]["timestamp"])
        rows = [] if table is None else table.to_arrow()["json"].to_pylist()
        return info_from_text(rows[-1], self._address) if rows else None

    @_with_write_lock
    def write_info(self, info: IndexInfo) -> None:
        """Write the description of the index, or replace it.

        Raises:
            ValueError: the index holds windows of other sizes.
        """
        schema = window_schema(info.num_frames, info.embed_dim)
        table = create_table(self._connection, WINDOWS, schema)
        if table.schema not in (schema, window_schema(info.num_frames, info.embed_dim, 32)):
            if table.count_rows():
                raise ValueError(
                    f"{self._address} holds windows of other sizes than {info.num_frames} frames of {info.embed_dim} "
                    "numbers. Use another folder or address for this index."
                )
            table = self._connection.create_table(WINDOWS, schema=schema, mode="overwrite")
        self._table = table
        row = pa.table({"json": [info_to_text(info)]})
        info_table = create_table(self._connection, INFO, row.schema)
        if info_table.count_rows():
            self._connection.create_table(INFO, row, mode="overwrite")
        else:
            info_table.add(row)

    def files(self) -> dict[str, IndexedFile]:
        """All videos of the index by path, in the order of their paths."""
        return self._read(lambda snapshot: snapshot.files(), {})

    @_with_write_lock
    def replace(self, paths: Sequence[str], windows: Sequence[Window]) -> None:
        """In one change, remove all windows of `paths` and add `windows`, whose paths must be among `paths`.

        Raises:
            ValueError: a window belongs to another video, or the index does not exist yet.
        """
        if others := {window.file.path for window in windows} - set(paths):
            raise ValueError(f"The windows of {min(others)!r} are not among the paths to replace. Add it to the paths.")
        if not paths:
            return
        table, of_paths = self._writable(), path_condition(paths)
        old = self._keys_of(paths)
        if not windows:
            if old:
                with_retries(lambda: table.delete(of_paths))
                self._num_outdated += len(old)
            return
        rows = to_rows(windows, table.schema)
        if not old:
            with_retries(lambda: table.add(rows))  # never conflicts with rows that other processes add
            if table.version == self._paths_version + 1:
                self._paths_version += 1
                self._paths.update(map(path_to_text, paths))
            return
        change = table.merge_insert(["path", "number"]).when_matched_update_all().when_not_matched_insert_all()
        if old - set(zip(rows["path"].to_pylist(), rows["number"].to_pylist(), strict=True)):
            change = change.when_not_matched_by_source_delete(of_paths)  # reads the whole table
        with_retries(lambda: change.execute(rows))
        self._num_outdated += len(old)

    @_with_write_lock
    def set_metadata(self, metadata: Mapping[str, Metadata]) -> None:
        """Replace the metadata of videos by path; paths that are not in the index are ignored."""
        table = self._writable()
        if not metadata:
            return
        texts = {path_to_text(path): metadata_to_text(values) for path, values in metadata.items()}
        few = len(metadata) <= WINDOWS_PER_BATCH
        if few and sum(self._count_windows_of(list(metadata)).values()) <= WINDOWS_PER_BATCH:
            rows = self._read(lambda snapshot: snapshot.rows_of(list(metadata)), table.schema.empty_table())
            new = pa.array([texts[path] for path in rows["path"].to_pylist()], pa.string())
            rows = rows.set_column(rows.schema.get_field_index("metadata"), "metadata", new)
            change = table.merge_insert(["path", "number"]).when_matched_update_all()  # of other rows reads only keys
            self._num_outdated += len(rows)
        else:
            rows = pa.table({"path": list(texts), "metadata": list(texts.values())})
            change = table.merge_insert("path").when_matched_update_all()  # reads all rows, writes only this column
        if len(rows):
            with_retries(lambda: change.execute(rows))

    def count_windows(self) -> int:
        """Number of windows in the index."""
        return self._read(lambda snapshot: snapshot.num_windows, 0)

    def windows_of(self, paths: Sequence[str]) -> Iterator[list[Window]]:
        """All windows of each video, in order; an empty list for a video that is not in the index."""
        return read_in_batches(
            paths,
            count=self._count_windows_of,
            read=lambda some: self._read(lambda snapshot: snapshot.windows_of(some), []),
        )

    def windows_at(self, places: Collection[tuple[str, int]]) -> list[Window]:
        """The windows with these paths and numbers that are in the index, in any order."""
        return self._read(lambda snapshot: snapshot.windows_at(places), []) if places else []

    def subtitles(self) -> dict[str, VideoSubtitles]:
        """Subtitles by path."""
        self._connect_again_if_replaced()
        return self._subtitles.read()

    def subtitles_version(self) -> int:
        """A number for the version of the table of subtitles; 0 without one."""
        self._connect_again_if_replaced()
        version = self._subtitles.version()
        return hash((version, self._folder_state)) if version else 0

    @_with_write_lock
    def set_subtitles(self, subtitles: Mapping[str, VideoSubtitles | None]) -> None:
        """Replace the subtitles of videos by path; None removes them."""
        self._subtitles.write(subtitles)

    def nearest(self, vector: NDArray[np.float32], *, limit: int, filter: Filter) -> list[Window]:
        """The windows whose mean vectors have the largest dot product with a vector of length 1, best first."""
        return self._read(lambda snapshot: snapshot.nearest(vector, limit=limit, filter=filter), [])

    def optimise(self) -> None:
        """Compact small files, remove replaced versions, and make LanceDB's index if there are enough windows.

        After few changes this does nothing, because compaction would rewrite the whole table for one new video. A
        process that still reads a removed version repeats its query on the newest one.
        """
        table = self._opened()
        if table is None:
            return
        with write_lock(self._address) as locked:
            kept = RETENTION_LOCKED if locked else RETENTION
            indexed = _num_indexed(table)
            large = indexed > PARTITION_WINDOWS * MAX_PARTITIONS
            outgrown = self._has_outgrown_index(table, indexed, LARGE_INDEX_GROWTH if large else INDEX_GROWTH)
            outgrown |= large and self._num_outdated > OUTDATED_SHARE * table.count_rows()
            if (outgrown or not large) and with_retries(lambda: self._needs_compaction(table, kept)):
                if outgrown:
                    _drop_indexes(table)  # LanceDB would first add all new windows to them, as slowly as it builds one
                with warnings.catch_warnings():  # LanceDB warns that removing all versions needs exclusive access
                    warnings.filterwarnings("ignore", "optimize.*removes every version", UserWarning)
                    with_retries(lambda: table.optimize(cleanup_older_than=kept))
                self._num_outdated = 0
            self._subtitles.optimise(kept, pending=MAX_PENDING_CHANGES)
            if outgrown:  # after compaction, which moves rows
                _build_index(table)

    def close(self) -> None:
        """Release the cached data."""
        self._snapshot = self._table = None

    def _has_outgrown_index(self, table: Table, indexed: int, growth: float) -> bool:
        """Whether there are too many windows for a search without an index, or for the index of `indexed` windows."""
        return table.count_rows() > self._exact_windows and table.count_rows() >= growth * indexed

    def _needs_compaction(self, table: Table, kept: timedelta) -> bool:
        if self._num_outdated > OUTDATED_SHARE * table.count_rows():
            return True
        versions = table.list_versions()
        removable = [version for version in versions if version["timestamp"] < datetime.now() - kept]
        if max(len(removable), int(versions[-1]["metadata"]["total_fragments"])) > MAX_PENDING_CHANGES:
            return True
        indexes = [table.index_stats(index.name) for index in table.list_indices()]
        return any(stats is not None and stats.num_unindexed_rows > MAX_UNINDEXED_WINDOWS for stats in indexes)

    def _count_windows_of(self, paths: Sequence[str]) -> dict[str, int]:
        none: dict[str, int] = {}
        return self._read(lambda snapshot: snapshot.count_windows_of(paths), none)

    def _keys_of(self, paths: Sequence[str]) -> set[tuple[str, int]]:
        """Path, as text, and number of each window of these videos. Reads the table only for videos that it holds."""
        if (snapshot := self._current()) is None:
            return set()
        if self._paths_version != snapshot.version:
            self._paths, self._paths_version = self._read(
                lambda snapshot: (snapshot.paths(), snapshot.version), (set[str](), -1)
            )
        known = [path for path in paths if path_to_text(path) in self._paths]
        none: set[tuple[str, int]] = set()
        return self._read(lambda snapshot: snapshot.keys_of(known), none) if known else none

    def _writable(self) -> Table:
        table = self._opened()
        if table is None:
            raise ValueError(f"{self._address} is not an index yet. Call write_info first.")
        return table

    def _opened(self) -> Table | None:
        self._connect_again_if_replaced()
        if self._table is None:  # not `if not`: an empty table is false too
            self._table = open_table(self._connection, WINDOWS)
        return self._table

    def _current(self) -> LanceSnapshot | None:
        with self._lock:
            table = self._opened()
            if table is None:
                return None
            version = table.version
            if self._snapshot is None or self._snapshot.version != version:
                self._snapshot = LanceSnapshot(
                    self._connection, WINDOWS, version, earlier=self._snapshot, exact_windows=self._exact_windows
                )
            return self._snapshot

    def _read(self, query: Callable[[LanceSnapshot], Result], default: Result) -> Result:
        """Query the newest version; returns `default` if the table does not exist.

        Another process may remove that version during the query; the query is then repeated on the newest one.
        """
        return with_retries(lambda: default if (snapshot := self._current()) is None else query(snapshot))


def _num_indexed(table: Table) -> int:
    """Number of windows that the index was built for; 0 without an index."""
    found = [re.fullmatch(_INDEX_NAME.format(r"(\d+)"), index.name) for index in table.list_indices()]
    return max((int(match[1]) for match in found if match), default=0)


def _drop_indexes(table: Table) -> None:
    for index in table.list_indices():
        with_retries(partial(table.drop_index, index.name))


def _build_index(table: Table) -> None:
    """Build LanceDB's index of the mean vectors in place of the present one.

    It stores each number in 4 bits (RaBitQ, arXiv 2409.09913). Mean vectors for the exact comparison are in the table.
    """
    _drop_indexes(table)
    num_windows = table.count_rows()
    partitions = min(max(num_windows // PARTITION_WINDOWS, 1), MAX_PARTITIONS)
    config: IvfRq | IvfFlat = IvfFlat(distance_type="dot", num_partitions=partitions)
    if table.schema.field("mean").type.list_size % 8 == 0:  # LanceDB's condition
        config = IvfRq(distance_type="dot", num_partitions=partitions, num_bits=4)
    with_retries(lambda: table.create_index("mean", config=config, name=_INDEX_NAME.format(num_windows)))
