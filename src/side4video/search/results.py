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

    >>> Match("dog", seconds=1.5, similarity=0.31).word
    'dog'
    """

    word: str
    seconds: float
    similarity: float


@dataclass(frozen=True)
class SearchResult:
    """A search result: a video with its best window, or one of several parts of it that match.

    Attributes:
        file: the video.
        score: the model's similarity of the query and the best window, -1 to 1.
        start_seconds: start of that window or part.
        end_seconds: its end, exclusive.
        matches: in the order of the words; without words, the three best frames, best first.

    >>> file = IndexedFile("/videos/dog.mp4", content="", size=1, modified=0, duration_seconds=30.0)
    >>> result = SearchResult(file, 0.4, start_seconds=5.0, end_seconds=15.0, matches=(Match("dog", 7.5, 0.31),))
    >>> result.matches[0].seconds
    7.5
    """

    file: IndexedFile
    score: float
    start_seconds: float
    end_seconds: float
    matches: tuple[Match, ...]
