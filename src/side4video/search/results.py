"""The results of a search."""

from collections.abc import Sequence
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
class SubtitleMatch:
    """A cue of the subtitles of a result.

    Attributes:
        text: plain text in one line.
        start_seconds: when it appears.
        end_seconds: when it disappears.
        language: as in the file name or the track; empty: unknown.
        found: for each found word of the query its first character in `text`, and the character after it; empty: no
            word was found, and the cue is the one at the best moment.

    >>> match = SubtitleMatch("A dog barks.", 1.0, 2.5, "en", found=((2, 5),))
    >>> match.marked("*", "*")
    'A *dog* barks.'
    """

    text: str
    start_seconds: float
    end_seconds: float
    language: str
    found: tuple[tuple[int, int], ...]

    def marked(self, before: str, after: str) -> str:
        """The text with the found words between two marks."""
        pieces = split_at(self.text, self.found)
        return "".join(f"{before}{piece}{after}" if is_found else piece for piece, is_found in pieces)


def split_at(text: str, places: Sequence[tuple[int, int]]) -> list[tuple[str, bool]]:
    """A text in pieces, each with whether it is one of the places: first character, and the character after it.

    >>> split_at("A dog.", [(2, 5)])
    [('A ', False), ('dog', True), ('.', False)]
    """
    pieces, end = [], 0
    for start, stop in places:
        pieces += [(text[end:start], False), (text[start:stop], True)]
        end = stop
    return [piece for piece in (*pieces, (text[end:], False)) if piece[0]]


@dataclass(frozen=True)
class SearchResult:
    """A search result: a video with its best window, or one of several parts of it that match.

    Attributes:
        file: the video.
        score: the model's similarity of the query and the best window, -1 to 1, plus the weighted `subtitle_score`.
        start_seconds: start of that window or part.
        end_seconds: its end, exclusive.
        matches: in the order of the words; without words, the three best frames, best first.
        subtitles: the cues with the most words of the query, at most three, in the order of their times.
        subtitle_score: the weighted share of the query's words that the subtitles of the best window contain, 0 to 1.
        is_weak: whether the score is below halfway between the mean and the highest score of the windows that were
            scored for this query.

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
    subtitles: tuple[SubtitleMatch, ...] = ()
    subtitle_score: float = 0.0
    is_weak: bool = False
