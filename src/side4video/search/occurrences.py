"""All parts of a video that match a query: its windows with high scores, joined where they follow each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from side4video.search.stores.records import Window


@dataclass(frozen=True)
class Occurrence:
    """A part of a video that matches a query.

    Attributes:
        best: the window with the highest score in this part.
        score: its score.
        start_seconds: start of the first window of this part.
        end_seconds: end of its last window, exclusive.
        is_weak: see `SearchResult`.

    >>> from side4video.search.stores.open_store import open_store
    >>> store = open_store("index")
    >>> windows = next(store.windows_of([min(store.files())]))
    >>> [found] = find_occurrences(windows, [0.8], limit=3, min_score=0.5)
    >>> found.score, found.start_seconds, found.end_seconds
    (0.8, 0.0, 2.0)
    """

    best: Window
    score: float
    start_seconds: float
    end_seconds: float
    is_weak: bool = False


def find_occurrences(
    windows: Sequence[Window], scores: Sequence[float], *, limit: int, min_score: float | None
) -> list[Occurrence]:
    """Join successive windows whose scores reach a threshold; the best parts first.

    Args:
        windows: all windows of one video, in order.
        scores: their scores.
        limit: largest number of parts.
        min_score: the threshold. None: halfway between the mean and the highest score of the windows, so that each
            video has at least one part.
    """
    least = (sum(scores) / len(scores) + max(scores)) / 2 if min_score is None else min_score
    parts: list[list[tuple[Window, float]]] = []
    for window, score in zip(windows, scores, strict=True):
        if score < least - 1e-6:  # rounding of a mean of equal scores
            continue
        if parts and parts[-1][-1][0].number + 1 == window.number:
            parts[-1].append((window, score))
        else:
            parts.append([(window, score)])
    found = [_occurrence(part) for part in parts]
    return sorted(found, key=lambda one: (-one.score, one.start_seconds))[:limit]


def _occurrence(part: Sequence[tuple[Window, float]]) -> Occurrence:
    best, score = max(part, key=lambda pair: pair[1])  # ties: the first
    return Occurrence(best, score, part[0][0].start_seconds, part[-1][0].end_seconds)
