"""The interface of a store for the windows of an index; implemented for LanceDB and Qdrant."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from side4video.search.stores.filters import Filter
from side4video.search.stores.records import IndexedFile, IndexInfo, Metadata, VideoSubtitles, Window


class Store(Protocol):
    """Stores windows by the path of their video and finds them by their mean vectors.

    Each change is atomic, even if the process is killed. Readers in other processes see the state before or after a
    change, without reopening the store.

    >>> from side4video.search.stores.open_store import open_store
    >>> store: Store = open_store("index")
    >>> vector = np.ones(store.read_info().embed_dim, np.float32)
    >>> len(store.nearest(vector, limit=1, filter=Filter()))
    1
    """

    def read_info(self) -> IndexInfo | None:
        """The description of the index; None: there is no index here."""

    def write_info(self, info: IndexInfo) -> None:
        """Write the description of the index, or replace it."""

    def files(self) -> dict[str, IndexedFile]:
        """All videos of the index by path, in the order of their paths."""

    def replace(self, paths: Sequence[str], windows: Sequence[Window]) -> None:
        """In one change, remove all windows of `paths` and add `windows`, whose paths must be among `paths`."""

    def set_metadata(self, metadata: Mapping[str, Metadata]) -> None:
        """Replace the metadata of videos by path."""

    def count_windows(self) -> int:
        """Number of windows in the index."""

    def windows_of(self, paths: Sequence[str]) -> Iterator[list[Window]]:
        """All windows of each video, in order; an empty list for a video that is not in the index.

        Windows are read in batches of up to about 100 MB. Changes during the iteration may show in later lists.
        """

    def nearest(self, vector: NDArray[np.float32], *, limit: int, filter: Filter) -> list[Window]:
        """The windows whose mean vectors have the largest dot product with a vector of length 1, best first.

        Args:
            vector: (E,).
            limit: maximum number of windows.
            filter: other windows are excluded and do not count towards `limit`.
        """

    def windows_at(self, places: Collection[tuple[str, int]]) -> list[Window]:
        """The windows with these paths and numbers that are in the index, in any order."""

    def subtitles(self) -> dict[str, VideoSubtitles]:
        """Subtitles by path. Videos of indexes that are older than subtitles have none."""

    def subtitles_version(self) -> int:
        """A number that is another one after subtitles have changed."""

    def set_subtitles(self, subtitles: Mapping[str, VideoSubtitles | None]) -> None:
        """Replace the subtitles of videos by path; None removes them."""

    def optimise(self) -> None:
        """Speed up search and shrink files after many changes. Results are correct without it."""

    def close(self) -> None:
        """Close files and connections."""
