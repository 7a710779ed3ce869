"""Windows in LanceDB: a folder, or an object store, without any server."""

import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import IvfFlat
from lancedb.table import Table
from numpy.typing import NDArray

from side4video.search.stores.connection_errors import why_unreachable
from side4video.search.stores.filters import Filter
from side4video.search.stores.index_locks import changing_lock
from side4video.search.stores.info_text import info_from_text, info_to_text
from side4video.search.stores.lance_snapshot import EXACT_WINDOWS, LanceSnapshot, rows_among
from side4video.search.stores.portions import WINDOWS_AT_ONCE, read_in_portions
from side4video.search.stores.records import IndexedFile, IndexInfo, Metadata, Window
from side4video.search.stores.stored_text import metadata_to_text, path_to_text
from side4video.search.stores.window_rows import to_rows, window_schema

WINDOWS, INFO = "windows", "index"
"""Names of the two tables; the second has one row."""
KEPT = timedelta(hours=1)
"""How long replaced versions stay where nothing keeps other processes from changing the table meanwhile.

LanceDB compares each change with those made since it began, and does not notice where some of these were removed: the
change would be lost without a word. So no change may take longer than this.
"""
KEPT_ALONE = timedelta(0)
"""The same where others are kept from it. Joining small files makes two versions within a millisecond; were the first
kept, everything would be there twice."""
CHANGES_BESIDE = 32
"""Changes whose files may lie beside each other; joining them can write the whole table again."""
OUTDATED_PART = 1 / 8
"""Of all windows, that one process may replace or remove without joining files."""
UNINDEXED = 10_000
"""Windows that may be missing in LanceDB's index; they are compared one by one."""
ATTEMPTS = 20
"""At what collides with another process's change; 4 seconds together."""
_COLLISION = re.compile("conflict|not found|no longer exists", re.IGNORECASE)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _one_at_a_time(
    method: Callable[Concatenate["LanceStore", Arguments], Result],
) -> Callable[Concatenate["LanceStore", Arguments], Result]:
    """A method that changes tables, and waits while another process or thread does in the same folder."""

    @wraps(method)
    def locked(store: "LanceStore", *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with changing_lock(store._address):
            return method(store, *args, **kwargs)

    return locked


class LanceStore:
    """A `Store` in LanceDB.

    Each change is one commit of LanceDB. Processes may write at the same time, as long as they do not write windows of
    the same video; in a folder, one after the other. Do not fork a process that has one.

    There is no index of paths: where there is one, LanceDB's merge can leave rows as they were without a word
    (lancedb/lancedb#3177, #3515).

    Args:
        address: a folder, or what LanceDB takes, such as `s3://bucket/folder`.
        exact_windows: more windows are searched with LanceDB's index, which `optimise` makes.

    Raises:
        ConnectionError: the address is that of no object store that LanceDB takes.
    """

    def __init__(self, address: str, *, exact_windows: int = EXACT_WINDOWS) -> None:
        self._address, self._exact_windows = address, exact_windows
        self._connection = _reach(address, lambda: lancedb.connect(address, read_consistency_interval=timedelta(0)))
        self._table: Table | None = None
        self._snapshot: LanceSnapshot | None = None
        self._lock = threading.Lock()
        self._outdated = 0

    def read_info(self) -> IndexInfo | None:
        """What was said of the index when it was made; None: nobody has made one here.

        Raises:
            ValueError: a later version of this package made it.
            ConnectionError: an object store does not answer, or refuses.
        """
        table = _reach(self._address, lambda: _open(self._connection, INFO))
        rows = [] if table is None else table.to_arrow()["json"].to_pylist()
        return info_from_text(rows[-1], self._address) if rows else None

    @_one_at_a_time
    def write_info(self, info: IndexInfo) -> None:
        """Say what index this is; replaces what was said before.

        Raises:
            ValueError: there are windows of other sizes.
        """
        schema = window_schema(info.num_frames, info.embed_dim)
        table = _create(self._connection, WINDOWS, schema)
        if table.schema != schema:
            if table.count_rows():
                raise ValueError(
                    f"{self._address} holds windows of other sizes than {info.num_frames} frames of {info.embed_dim} "
                    "numbers. Use another place for this index."
                )
            table = self._connection.create_table(WINDOWS, schema=schema, mode="overwrite")
        self._table = table
        row = pa.table({"json": [info_to_text(info)]})
        told = _create(self._connection, INFO, row.schema)
        if told.count_rows():
            self._connection.create_table(INFO, row, mode="overwrite")
        else:
            told.add(row)

    def files(self) -> dict[str, IndexedFile]:
        """Every video of the index by its path, in order of the paths."""
        return self._read(lambda snapshot: snapshot.files(), {})

    @_one_at_a_time
    def replace(self, paths: Sequence[str], windows: Sequence[Window]) -> None:
        """In one change, take all windows of `paths` out and put `windows` in, whose paths are among `paths`.

        Raises:
            ValueError: a window is of another video, or there is no index yet.
        """
        if others := {window.file.path for window in windows} - set(paths):
            raise ValueError(f"Windows of {min(others)!r}, which is not among the paths to replace. Name it there.")
        if not paths:
            return
        table, of_paths = self._writable(), rows_among(paths)
        none: set[tuple[str, int]] = set()
        old = self._read(lambda snapshot: snapshot.keys_of(paths), none)
        if not windows:
            if old:
                _retrying(lambda: table.delete(of_paths))
                self._outdated += len(old)
            return
        rows = to_rows(windows, table.schema)
        if not old:
            _retrying(lambda: table.add(rows))  # never collides with what other processes add
            return
        change = table.merge_insert(["path", "number"]).when_matched_update_all().when_not_matched_insert_all()
        if old - set(zip(rows["path"].to_pylist(), rows["number"].to_pylist(), strict=True)):
            change = change.when_not_matched_by_source_delete(of_paths)  # reads the whole table
        _retrying(lambda: change.execute(rows))
        self._outdated += len(old)

    @_one_at_a_time
    def set_metadata(self, metadata: Mapping[str, Metadata]) -> None:
        """Replace the metadata of the videos named, by path; others than those of the index are left out."""
        table = self._writable()
        if not metadata:
            return
        texts = {path_to_text(path): metadata_to_text(values) for path, values in metadata.items()}
        few = len(metadata) <= WINDOWS_AT_ONCE
        if few and sum(self._count_windows_of(list(metadata)).values()) <= WINDOWS_AT_ONCE:
            rows = self._read(lambda snapshot: snapshot.rows_of(list(metadata)), table.schema.empty_table())
            new = pa.array([texts[path] for path in rows["path"].to_pylist()], pa.string())
            rows = rows.set_column(rows.schema.get_field_index("metadata"), "metadata", new)
            change = table.merge_insert(["path", "number"]).when_matched_update_all()  # reads the keys of other rows
            self._outdated += len(rows)
        else:
            rows = pa.table({"path": list(texts), "metadata": list(texts.values())})
            change = table.merge_insert("path").when_matched_update_all()  # reads all of them, writes this column alone
        if len(rows):
            _retrying(lambda: change.execute(rows))

    def count_windows(self) -> int:
        """Windows in the index."""
        return self._read(lambda snapshot: snapshot.num_windows, 0)

    def windows_of(self, paths: Sequence[str]) -> Iterator[list[Window]]:
        """For each of some videos all its windows, in their order; an empty list where it is not in the index."""
        return read_in_portions(
            paths,
            count=self._count_windows_of,
            read=lambda some: self._read(lambda snapshot: snapshot.windows_of(some), []),
        )

    def nearest(self, vector: NDArray[np.float32], *, limit: int, filter: Filter) -> list[Window]:
        """The windows whose mean vectors have the largest dot product with a vector of length 1, best first."""
        return self._read(lambda snapshot: snapshot.nearest(vector, limit=limit, filter=filter), [])

    def optimise(self) -> None:
        """Join small files, remove what was replaced, and make LanceDB's index where there are windows enough for one.

        Where little has changed nothing is done: joining would write the whole table again for one new video. A process
        that still reads what is removed here asks again, of what is there now.
        """
        table = self._opened()
        if table is None:
            return
        with changing_lock(self._address) as alone:
            kept = KEPT_ALONE if alone else KEPT
            if _retrying(lambda: self._is_worth_joining(table, kept)):
                with warnings.catch_warnings():  # LanceDB says that it must be alone, if nothing is to be kept
                    warnings.filterwarnings("ignore", "optimize.*removes every version", UserWarning)
                    _retrying(lambda: table.optimize(cleanup_older_than=kept))
                self._outdated = 0
            if table.count_rows() > self._exact_windows and not table.list_indices():  # of joined files: else it moves
                _retrying(lambda: table.create_index("mean", config=IvfFlat(distance_type="dot")))

    def close(self) -> None:
        """Let go of what was read."""
        self._snapshot = self._table = None

    def _is_worth_joining(self, table: Table, kept: timedelta) -> bool:
        if self._outdated > OUTDATED_PART * table.count_rows():
            return True
        versions = table.list_versions()
        removable = [version for version in versions if version["timestamp"] < datetime.now() - kept]
        if max(len(removable), int(versions[-1]["metadata"]["total_fragments"])) > CHANGES_BESIDE:
            return True
        indexes = [table.index_stats(index.name) for index in table.list_indices()]
        return any(stats is not None and stats.num_unindexed_rows > UNINDEXED for stats in indexes)

    def _count_windows_of(self, paths: Sequence[str]) -> dict[str, int]:
        none: dict[str, int] = {}
        return self._read(lambda snapshot: snapshot.count_windows_of(paths), none)

    def _writable(self) -> Table:
        table = self._opened()
        if table is None:
            raise ValueError(f"{self._address} is no index yet: write_info first.")
        return table

    def _opened(self) -> Table | None:
        if self._table is None:  # an empty one is false too
            self._table = _open(self._connection, WINDOWS)
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

    def _read(self, question: Callable[[LanceSnapshot], Result], nothing: Result) -> Result:
        """Ask the newest version; `nothing` where there is none.

        What was the newest a moment ago may be removed by another process in the middle of the question.
        """
        return _retrying(lambda: nothing if (snapshot := self._current()) is None else question(snapshot))


def _reach(address: str, action: Callable[[], Result]) -> Result:
    """Do what asks an object store for the first time, and say what is wrong with it."""
    try:
        return action()
    except (OSError, RuntimeError, ValueError) as error:
        if "://" not in address:
            raise
        raise ConnectionError(why_unreachable(address, error)) from error


def _open(connection: lancedb.DBConnection, name: str) -> Table | None:
    try:
        return connection.open_table(name)
    except ValueError as error:
        if "was not found" not in str(error):
            raise
        return None


def _create(connection: lancedb.DBConnection, name: str, schema: pa.Schema) -> Table:
    """Open a table, or make it; another process may do so at the same moment."""
    table = _open(connection, name)
    return connection.create_table(name, schema=schema, exist_ok=True) if table is None else table


def _retrying(action: Callable[[], Result]) -> Result:
    """Do something, again where another process was faster, or has removed what this one was reading."""
    for attempt in range(1, ATTEMPTS):
        try:
            return action()
        except (OSError, RuntimeError, ValueError) as error:
            if not _COLLISION.search(str(error)):
                raise
            time.sleep(0.02 * attempt)
    return action()
