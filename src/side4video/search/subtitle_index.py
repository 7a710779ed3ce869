"""Search in subtitles: which windows contain the words of a query."""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from side4video.search.results import SubtitleMatch
from side4video.search.stores.records import IndexedFile, IndexInfo, VideoSubtitles, Window
from side4video.search.windows import cut_windows
from side4video.subtitles.cues import Cue
from side4video.subtitles.words import find_words

SUBTITLE_WEIGHT = 0.2
"""Default weight of subtitles: a window whose subtitles contain all words of a query scores this much more."""
MAX_SUBTITLE_WEIGHT = 1000.0
"""Far below the largest number of 32 bits; pictures count for nothing long before."""
_SHOWN_CUES = 3
_SHORTEST_SECONDS = 1e-3  # of a cue that ends when it starts


class SubtitleIndex:
    """The words of the subtitles of all windows, in memory.

    Args:
        subtitles: subtitles by path.
        files: the videos of the index; subtitles of others are ignored.
        info: the description of the index, for the windows.

    >>> info = IndexInfo("clip-b16", "", "mean-pool", 12, 512, 10.0, 5.0, "0.1.0")
    >>> file = IndexedFile("film.mp4", content="", size=1, modified=0, duration_seconds=25.0)
    >>> cues = (Cue(1.0, 2.0, "A dog barks."), Cue(21.0, 22.0, "The cat."))
    >>> index = SubtitleIndex({"film.mp4": VideoSubtitles("", cues)}, {"film.mp4": file}, info)
    >>> index.query(["dog"]).best_places(limit=2, allowed=lambda file: True)
    [('film.mp4', 0)]
    """

    def __init__(
        self, subtitles: Mapping[str, VideoSubtitles], files: Mapping[str, IndexedFile], info: IndexInfo
    ) -> None:
        self.files, self._cues = files, {}
        self._first: dict[str, int] = {}
        self._places: list[tuple[str, int]] = []
        windows_of: dict[str, list[int]] = defaultdict(list)
        lengths = {"window_seconds": info.window_seconds, "overlap_seconds": info.overlap_seconds}
        for path, file in files.items():
            if path not in subtitles or not subtitles[path].cues:
                continue
            windows, first = cut_windows(file.duration_seconds, **lengths), len(self._places)
            self._cues[path], self._first[path] = subtitles[path].cues, first
            self._places += [(path, number) for number in range(len(windows))]
            for cue in subtitles[path].cues:
                words = {word for word, _, _ in find_words(cue.text)}
                for number in _windows_of(cue, windows):
                    for word in words:
                        windows_of[word].append(first + number)
        self._windows = {word: np.unique(np.array(found, np.int64)) for word, found in windows_of.items()}

    @property
    def num_videos(self) -> int:
        """Number of videos with subtitles."""
        return len(self._cues)

    def query(self, wanted: Sequence[str], unwanted: Sequence[str] = (), *, num_examples: int = 0) -> "SubtitleQuery":
        """The subtitles for a query of several texts.

        Args:
            wanted: texts that should match.
            unwanted: texts that should not match.
            num_examples: number of wanted videos and photos, which have no words: their scores are 0.
        """
        scores = np.sum([self._scores(text) for text in wanted], axis=0) / max(len(wanted) + num_examples, 1)
        if unwanted:
            scores = scores - np.mean([self._scores(text) for text in unwanted], axis=0)
        words = {word for text in wanted for word, _, _ in find_words(text)}
        return SubtitleQuery(self, words, np.asarray(scores, np.float32))

    def _scores(self, text: str) -> NDArray[np.float32]:
        words = {word for word, _, _ in find_words(text)}
        none = np.zeros(0, np.int64)
        weights = {word: math.log1p(len(self._places) / max(len(self._windows.get(word, none)), 1)) for word in words}
        scores = np.zeros(len(self._places), np.float32)
        for word, weight in weights.items():
            scores[self._windows.get(word, none)] += weight
        return scores / max(sum(weights.values()), 1e-12)

    def cues_between(self, path: str, start_seconds: float, end_seconds: float) -> list[Cue]:
        """The cues of a video that are shown in a half-open part of it."""
        return [
            cue for cue in self._cues.get(path, ()) if cue.start_seconds < end_seconds and _end(cue) > start_seconds
        ]

    def rows_of(self, windows: Sequence[Window]) -> NDArray[np.int64]:
        """The row of each window in the scores; -1: its video has no subtitles, or was replaced since."""
        none = -1
        return np.array(
            [self._first[window.file.path] + window.number if self.knows(window.file) else none for window in windows],
            np.int64,
        )

    def knows(self, file: IndexedFile) -> bool:
        """Whether a video has subtitles here, for its present content."""
        return file.path in self._first and self.files[file.path].content == file.content

    def place_of(self, row: int) -> tuple[str, int]:
        """Path and number of the window of a row."""
        return self._places[row]


@dataclass(frozen=True)
class SubtitleQuery:
    """What subtitles contain of the words of a query.

    The score of a window is the share of the query's words that its subtitles contain, 0 to 1. A word counts by
    ln(1 + N / n) if n of the N windows with subtitles contain it: rare words count more. Case and accents are
    ignored; words are not inflected. Several wanted texts count with their mean, minus the mean of unwanted texts.

    Attributes:
        index: the subtitles.
        words: the wanted words.
        scores: of each window of the videos with subtitles.

    >>> info = IndexInfo("clip-b16", "", "mean-pool", 12, 512, 10.0, 5.0, "0.1.0")
    >>> SubtitleIndex({}, {}, info).query(["a dog"]).words == {"a", "dog"}
    True
    """

    index: SubtitleIndex
    words: set[str]
    scores: NDArray[np.float32]

    def scores_of(self, windows: Sequence[Window]) -> NDArray[np.float32]:
        """(windows,) scores, 0 to 1; with unwanted texts -1 to 1."""
        rows = self.index.rows_of(windows)
        found = np.zeros(len(rows), np.float32)
        has_subtitles = rows >= 0
        found[has_subtitles] = self.scores[rows[has_subtitles]]
        return found

    def best_places(self, *, limit: int, allowed: Callable[[IndexedFile], bool]) -> list[tuple[str, int]]:
        """Path and number of up to `limit` windows with the highest scores above 0, best first.

        Args:
            limit: maximum number of windows.
            allowed: whether windows of a video may be found. It gets the video as it was when the subtitles were read.
        """
        found: list[tuple[str, int]] = []
        passes: dict[str, bool] = {}
        order = np.argsort(-self.scores, kind="stable")
        for row in order[: int(np.count_nonzero(self.scores > 0))]:
            path, number = self.index.place_of(int(row))
            if path not in passes:
                passes[path] = allowed(self.index.files[path])
            if passes[path]:
                found.append((path, number))
                if len(found) == limit:
                    break
        return found

    def matches(
        self, file: IndexedFile, start_seconds: float, end_seconds: float, *, near_seconds: float
    ) -> tuple[SubtitleMatch, ...]:
        """Up to three cues of a part of a video with the most words of the query, in the order of their times.

        Without such a cue, the one that is shown at `near_seconds`.
        """
        if not self.index.knows(file):
            return ()
        marked = [self._mark(cue) for cue in self.index.cues_between(file.path, start_seconds, end_seconds)]
        best = sorted(
            ((number, match) for number, match in marked if number),
            key=lambda pair: (-pair[0], abs(pair[1].start_seconds - near_seconds)),
        )
        shown = [match for _, match in best[:_SHOWN_CUES]] or [
            match for _, match in marked if match.start_seconds <= near_seconds < match.end_seconds
        ][:1]
        return tuple(sorted(shown, key=lambda cue: cue.start_seconds))

    def _mark(self, cue: Cue) -> tuple[int, SubtitleMatch]:
        """The number of different words of the query in a cue, and the cue with their places."""
        found = [(word, start, end) for word, start, end in find_words(cue.text) if word in self.words]
        places = tuple((start, end) for _, start, end in found)
        return len({word for word, _, _ in found}), SubtitleMatch(
            cue.text, cue.start_seconds, cue.end_seconds, cue.language, places
        )


def _end(cue: Cue) -> float:
    return max(cue.end_seconds, cue.start_seconds + _SHORTEST_SECONDS)


def _windows_of(cue: Cue, windows: Sequence[tuple[float, float]]) -> list[int]:
    """Numbers of the windows in which a cue is shown."""
    stop = bisect_left(windows, (_end(cue),))  # windows that start before the cue ends
    found = []
    for number in range(stop - 1, -1, -1):
        if windows[number][1] <= cue.start_seconds:
            break  # ends ascend
        found.append(number)
    return found
