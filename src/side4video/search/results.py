"""The results of a search."""

from dataclasses import dataclass

from side4video.search.stores.records import IndexedFile


@dataclass(frozen=True)
class Match:
    """The frame that matches a word best.

    Attributes:
        word: a word of the query; empty if the model compares whole sentences, or if the query is a video.
        seconds: time of the frame in the video.
        similarity: cosine similarity of both embeddings, -1 to 1.
    """

    word: str
    seconds: float
    similarity: float


@dataclass(frozen=True)
class SearchResult:
    """A search result: a video with its best window.

    Attributes:
        file: the video.
        score: the model's similarity of the query and the best window, -1 to 1.
        start_seconds: start of that window.
        end_seconds: end of that window, exclusive.
        matches: in the order of the words; without words, the three best frames, best first.
    """

    file: IndexedFile
    score: float
    start_seconds: float
    end_seconds: float
    matches: tuple[Match, ...]
