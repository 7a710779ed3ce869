"""What an index asks of the place that keeps its windows: LanceDB in a folder, or a Qdrant server."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from side4video.search.stores.filters import Filter
from side4video.search.stores.records import IndexedFile, IndexInfo, Metadata, Window


class Store(Protocol):
    """Windows of videos by path, found by their mean vectors.

    Every change is whole or not there, whenever the process is killed; readers in other processes see the state before
    or after it, and see it without being opened anew.
    """

    def read_info(self) -> IndexInfo | None:
        """What was said of the index when it was made; None: nobody has made one here."""

    def write_info(self, info: IndexInfo) -> None:
        """Say what index this is; replaces what was said before."""

    def files(self) -> dict[str, IndexedFile]:
        """Every video of the index by its path, in order of the paths."""

    def replace(self, paths: Sequence[str], windows: Sequence[Window]) -> None:
        """In one change, take all windows of `paths` out and put `windows` in, whose paths are among `paths`."""

    def set_metadata(self, metadata: Mapping[str, Metadata]) -> None:
        """Replace the metadata of the videos named, by path."""

    def count_windows(self) -> int:
        """Windows in the index."""

    def windows_of(self, paths: Sequence[str]) -> Iterator[list[Window]]:
        """For each of some videos all its windows, in their order; an empty list where it is not in the index.

        Read for many videos together, and no more at a time than fit in some 100 MB: what is changed while the lists
        are taken may be seen in the later ones.
        """

    def nearest(self, vector: NDArray[np.float32], *, limit: int, filter: Filter) -> list[Window]:
        """The windows whose mean vectors have the largest dot product with a vector of length 1, best first.

        Args:
            vector: (E,).
            limit: windows at most.
            filter: other windows do not count, not even towards `limit`.
        """

    def optimise(self) -> None:
        """Do what makes searching fast and files small, after many changes; never needed for right answers."""

    def close(self) -> None:
        """Let go of files and connections."""
