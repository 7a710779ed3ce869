"""Subtitles in a LanceDB table of their own, one row for each video."""

from collections.abc import Mapping
from datetime import timedelta

import lancedb
import pyarrow as pa
from lancedb.table import Table

from side4video.search.stores.lance_snapshot import path_condition
from side4video.search.stores.lance_tables import create_table, open_table, with_retries
from side4video.search.stores.records import VideoSubtitles
from side4video.search.stores.serialisation import cues_from_text, cues_to_text, path_from_text, path_to_text

TABLE = "subtitles"
_SCHEMA = pa.schema([("path", pa.string()), ("state", pa.string()), ("cues", pa.string())])


class LanceSubtitles:
    """The table of subtitles of an index; it is made with the first subtitles.

    >>> LanceSubtitles(lancedb.connect("index")).read()
    {}
    """

    def __init__(self, connection: lancedb.DBConnection) -> None:
        self._connection = connection
        self._table: Table | None = None

    def read(self) -> dict[str, VideoSubtitles]:
        """See `Store.subtitles`."""

        def rows() -> list[dict[str, str]]:
            table = self._opened()
            return [] if table is None else table.to_arrow().to_pylist()

        return {
            path_from_text(row["path"]): VideoSubtitles(row["state"], cues_from_text(row["cues"]))
            for row in with_retries(rows)
        }

    def version(self) -> int:
        """See `Store.subtitles_version`."""
        table = self._opened()
        return 0 if table is None else int(table.version)

    def write(self, subtitles: Mapping[str, VideoSubtitles | None]) -> None:
        """See `Store.set_subtitles`. The caller holds the write lock."""
        kept = {path_to_text(path): one for path, one in subtitles.items() if one is not None}
        removed = [path for path, one in subtitles.items() if one is None]
        if kept:
            self._table = table = create_table(self._connection, TABLE, _SCHEMA)
            columns = [
                list(kept),
                [one.state for one in kept.values()],
                [cues_to_text(one.cues) for one in kept.values()],
            ]
            rows = pa.table([pa.array(column, pa.string()) for column in columns], schema=_SCHEMA)
            change = table.merge_insert("path").when_matched_update_all().when_not_matched_insert_all()
            with_retries(lambda: change.execute(rows))
        if removed and (opened := self._opened()) is not None:
            with_retries(lambda: opened.delete(path_condition(removed)))

    def optimise(self, kept: timedelta, *, pending: int) -> None:
        """Compact the table if more than `pending` changes came; `kept`: how long replaced versions stay."""
        table = self._opened()
        if table is not None and len(table.list_versions()) > pending:
            with_retries(lambda: table.optimize(cleanup_older_than=kept))

    def _opened(self) -> Table | None:
        if self._table is None:
            self._table = open_table(self._connection, TABLE)
        return self._table
