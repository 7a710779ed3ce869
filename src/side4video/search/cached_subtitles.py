"""The subtitles of an index, read again when they have changed."""

import threading
from collections.abc import Sequence

from side4video.parameters import check_number
from side4video.search.stores.records import IndexInfo
from side4video.search.stores.store import Store
from side4video.search.subtitle_index import MAX_SUBTITLE_WEIGHT, SubtitleIndex, SubtitleQuery


class CachedSubtitles:
    """Queries of the subtitles of a store, for several threads.

    Args:
        store: the store of the index.
        info: the description of the index.

    >>> from side4video.search.stores.open_store import open_store
    >>> store = open_store("index")
    >>> CachedSubtitles(store, store.read_info()).query(["a dog"], weight=0) is None
    True
    """

    def __init__(self, store: Store, info: IndexInfo) -> None:
        self._store, self._info = store, info
        self._known: tuple[int, SubtitleIndex] | None = None
        self._lock = threading.Lock()

    def query(
        self, wanted: Sequence[str], unwanted: Sequence[str] = (), *, weight: float, num_examples: int = 0
    ) -> SubtitleQuery | None:
        """The subtitles for some texts, see `SubtitleIndex.query`; None: there are none, or they have no weight.

        Raises:
            ValueError: the weight is not from 0 to `MAX_SUBTITLE_WEIGHT`.
        """
        check_number(weight, "subtitle_weight", minimum=0, maximum=MAX_SUBTITLE_WEIGHT)
        if not weight or not (wanted or unwanted):
            return None
        index = self.current()
        return None if index is None else index.query(wanted, unwanted, num_examples=num_examples)

    def current(self) -> SubtitleIndex | None:
        """The subtitles of all videos; None: the index has none."""
        version = self._store.subtitles_version()
        if not version:
            return None
        with self._lock:
            if self._known is None or self._known[0] != version:
                index = SubtitleIndex(self._store.subtitles(), self._store.files(), self._info)
                self._known = version, index
            return self._known[1]
