"""What a search finds."""

from dataclasses import dataclass

from side4video.search.stores.records import IndexedFile


@dataclass(frozen=True)
class Match:
    """The frame that fits a word best.

    Attributes:
        word: of the question; of a model that compares whole sentences, or of a question by example, empty.
        seconds: when in the video the frame is shown.
        similarity: cosine of both embeddings, -1 to 1.
    """

    word: str
    seconds: float
    similarity: float


@dataclass(frozen=True)
class Found:
    """A video that was found.

    Attributes:
        file: the video.
        score: the model's own similarity of the question and the best window, -1 to 1.
        start_seconds, end_seconds: of that window.
        matches: in the order of the words; where there are no words, the best three frames, best first.
    """

    file: IndexedFile
    score: float
    start_seconds: float
    end_seconds: float
    matches: tuple[Match, ...]
