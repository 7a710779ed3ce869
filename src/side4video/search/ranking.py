"""Rank the windows of a store: a shortlist by mean vectors, exact scores, and the best parts of the best videos."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from side4video.parameters import check_count, check_number
from side4video.search.occurrences import Occurrence, find_occurrences
from side4video.search.stores.filters import Filter
from side4video.search.stores.records import Window
from side4video.search.stores.store import Store

Score = Callable[[Sequence[Window]], NDArray[np.float32]]
"""Computes the exact score of each window."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How many results a search gives, and of which videos.

    Attributes:
        top_k: maximum number of videos.
        filter: only videos that pass it are searched.
        shortlist: number of windows to score exactly, those whose mean vectors are nearest to the query.
        moments: results per video. 1: its best window. More: all its windows are scored, and those above `min_score`
            that follow each other are one result; the results of a video are next to each other.
        min_score: smallest score of a result. None: no limit; with several `moments`, halfway between the mean and the
            highest score of the video's windows.

    >>> Ranking(top_k=0, filter=Filter(), shortlist=500, moments=1, min_score=None)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: top_k...
    """

    top_k: int
    filter: Filter
    shortlist: int
    moments: int
    min_score: float | None

    def __post_init__(self) -> None:
        for name in ("top_k", "shortlist", "moments"):
            check_count(getattr(self, name), name)
        if self.min_score is not None:
            check_number(self.min_score, "min_score")

    def best_parts(
        self,
        store: Store,
        vector: NDArray[np.float32],
        score: Score,
        *,
        without: str | None = None,
        more: Iterable[Window] = (),
    ) -> list[Occurrence]:
        """The best windows of the best videos, or with several `moments` all parts that match; best videos first.

        Args:
            store: the store of the index.
            vector: (E,) of length 1, for the shortlist.
            score: computes the exact scores of windows.
            without: path of a video that is left out.
            more: windows that are scored in addition to the shortlist.
        """
        windows = self._candidates(store, vector, without, more)
        if not windows:
            return []
        scores = list(map(float, score(windows)))
        strong = (sum(scores) / len(scores) + max(scores)) / 2 - 1e-6  # rounding of a mean of equal scores
        best = [
            Occurrence(window, value, window.start_seconds, window.end_seconds, is_weak=value < strong)
            for window, value in _best_of_videos(windows, scores)[: self.top_k]
            if self.min_score is None or value >= self.min_score
        ]
        if self.moments == 1:
            return best
        return [
            replace(part, is_weak=part.score < strong)
            for windows in store.windows_of([part.best.file.path for part in best])
            for part in find_occurrences(
                windows, list(map(float, score(windows))), limit=self.moments, min_score=self.min_score
            )
        ]

    def _candidates(
        self, store: Store, vector: NDArray[np.float32], without: str | None, more: Iterable[Window]
    ) -> list[Window]:
        """The windows to score exactly, of `top_k` videos or more if there are as many."""
        limit = max(self.shortlist, self.top_k + 1)
        while True:
            windows = store.nearest(vector, limit=limit, filter=self.filter)
            others = [window for window in windows if window.file.path != without]
            if len(windows) < limit or len({window.file.path for window in others}) >= self.top_k:
                break
            limit *= 4  # the windows of a few long videos fill the list
        listed = {(window.file.path, window.number): window for window in (*more, *others)}
        return [window for window in listed.values() if window.file.path != without]


def _best_of_videos(windows: Sequence[Window], scores: Sequence[float]) -> list[tuple[Window, float]]:
    """The best window of each video, best first; ties are ordered by path."""
    scored = zip(windows, scores, strict=True)
    ordered = sorted(scored, key=lambda pair: (-pair[1], pair[0].file.path, pair[0].number))
    best: dict[str, tuple[Window, float]] = {}
    for window, value in ordered:
        best.setdefault(window.file.path, (window, value))
    return list(best.values())
