"""The pieces that a tokeniser splits a text into, the words that they form, and the letters that it does not know."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import regex

_BORDERS = regex.compile(r"\b", regex.WORD)  # default word boundaries of Unicode (UAX #29)
_OUTSIDE = regex.compile(r"^\W+|\W+$")
_SPELLED_PIECES = 3
"""Text without a space that has this many pieces or more, none longer than a letter, is spelled out."""


@dataclass(frozen=True)
class Piece:
    """A piece of a text.

    Attributes:
        id: its number in the vocabulary.
        start, end: its characters in the text, half-open. Pieces of one character, such as its bytes, overlap.
        known: False for the token that replaces unknown characters, and for a single byte.

    >>> Piece(id=320, start=0, end=1).known
    True
    """

    id: int
    start: int
    end: int
    known: bool = True


def pieces_from_bytes(text: str, spans: Sequence[tuple[int, int, int, bool]]) -> list[Piece]:
    """Pieces from their numbers, their first and last UTF-8 bytes (half-open), and whether they are known.

    A piece that starts or ends inside a character covers the whole character.

    >>> pieces_from_bytes("né", [(5, 0, 2, True), (6, 2, 3, True)])  # é has two bytes
    [Piece(id=5, start=0, end=2, known=True), Piece(id=6, start=1, end=2, known=True)]
    """
    characters = [place for place, letter in enumerate(text) for _ in letter.encode("utf-8", "surrogatepass")]
    characters.append(len(text))
    return [
        Piece(number, characters[start], characters[end - 1] + 1 if end > start else characters[start], known)
        for number, start, end, known in spans
    ]


def group_words(text: str, pieces: Sequence[Piece]) -> list[tuple[str, range]]:
    """The words of a text with the positions of their pieces. Text without letters and digits is left out.

    A word ends where both a piece ends and Unicode has a word boundary (UAX #29). In scripts with spaces, these are the
    words between spaces and punctuation. Chinese, Japanese and Thai have a boundary after most characters, so there a
    word is a piece of the tokeniser, or a character that has several pieces.

    >>> group_words("a dog's", [Piece(1, 0, 1), Piece(2, 2, 5), Piece(3, 5, 7)])
    [('a', range(0, 1)), ("dog's", range(1, 3))]
    """
    borders = {match.start() for match in _BORDERS.finditer(text)}
    words, first = [], 0
    for end in range(1, len(pieces) + 1):
        if end < len(pieces):
            stop, start = pieces[end - 1].end, pieces[end].start
            if stop > start or borders.isdisjoint(range(stop, start + 1)):
                continue
        word = _OUTSIDE.sub("", text[pieces[first].start : pieces[end - 1].end])
        if any(letter.isalnum() for letter in word):
            words.append((word, range(first, end)))
        first = end
    return words


def unknown_share(text: str, pieces: Sequence[Piece], *, byte_level: bool = False) -> float:
    """The share of the letters and digits of a text that its tokeniser does not know, 0 to 1.

    These are characters that have no piece of their own, but a replacement or bytes. For vocabularies of byte pairs,
    they are also the letters of text that is spelled out letter by letter, except in ASCII: such a vocabulary has many
    foreign letters, but was not trained on their words.

    >>> unknown_share("a 球", [Piece(1, 0, 1), Piece(2, 2, 3), Piece(3, 2, 3)])  # two pieces for one character
    0.5
    """
    unknown = {place for piece in pieces if not piece.known for place in range(piece.start, piece.end)}
    for one, other in pairwise(piece for piece in pieces if piece.start < piece.end):
        unknown.update(range(other.start, one.end))
    for run in _runs(pieces) if byte_level else ():
        known = [
            sum(text[place].isalnum() for place in range(part.start, part.end) if place not in unknown) for part in run
        ]
        start, end = run[0].start, run[-1].end
        if len(run) >= _SPELLED_PIECES and max(known) <= 1 and not text[start:end].isascii():
            unknown.update(range(start, end))
    letters = [place for place, letter in enumerate(text) if letter.isalnum()]
    return sum(place in unknown for place in letters) / max(1, len(letters))


def _runs(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces that follow each other without a space."""
    runs: list[list[Piece]] = []
    for piece in pieces:
        if runs and runs[-1][-1].end >= piece.start:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return runs
