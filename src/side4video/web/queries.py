"""Queries of clients: several texts, unwanted texts, a video of the index or an upload, and the weight of subtitles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import HTTPException

from side4video.search.combined import is_blank, split_query
from side4video.search.subtitle_index import SUBTITLE_WEIGHT

MAX_TEXTS = 8
"""Maximum number of texts of a query, and of unwanted ones."""

MINUS = "\u2212"


@dataclass(frozen=True, kw_only=True)
class ClientQuery:
    """What a client searches for.

    Attributes:
        texts: texts that should match, without their unwanted parts.
        unwanted: texts that should not match.
        example: a video or photo that should match.
        example_name: its name, for headings.
        subtitle_weight: weight of subtitles.

    >>> ClientQuery(texts=("a dog", "a ball"), unwanted=("snow",)).title
    '“a dog” + “a ball” − “snow”'
    """

    texts: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    example: str | Path | None = None
    example_name: str = ""
    subtitle_weight: float = SUBTITLE_WEIGHT

    @property
    def is_combined(self) -> bool:
        """Whether it has more than one part."""
        return len(self.texts) + len(self.unwanted) + (self.example is not None) > 1

    @property
    def title(self) -> str:
        """A heading for its results."""
        wanted = [f"“{text}”" for text in self.texts]
        if self.example is not None:
            wanted.append(f"like {self.example_name}" if self.texts else f"Similar to {self.example_name}")
        return f" {MINUS} ".join([" + ".join(wanted), *(f"“{text}”" for text in self.unwanted)])

    @property
    def computed(self) -> str | None:
        """How the scores of a combined query are computed; None for simple queries."""
        if not self.is_combined:
            return None
        parts = [_count(len(self.texts), "text")] * bool(self.texts) + ["the example"] * (self.example is not None)
        mean = "the mean of the scores of " if len(self.texts) + (self.example is not None) > 1 else "the score of "
        less = (
            f", minus the mean of the scores of {_count(len(self.unwanted), 'unwanted text')}" if self.unwanted else ""
        )
        return f"Each score is {mean}{' and '.join(parts)}{less}. Do not compare it with scores of other queries."


def read_query(
    texts: Sequence[str],
    unwanted: Sequence[str] = (),
    *,
    subtitle_weight: float = SUBTITLE_WEIGHT,
    max_letters: int,
    has_example: bool = False,
) -> ClientQuery:
    """Check the texts of a request, and split off the unwanted words of each: `a dog -"red ball"`.

    Raises:
        HTTPException: 422 if nothing is wanted, or there are too many texts or letters.

    >>> read_query([" a dog ", ""], max_letters=500).texts
    ('a dog',)
    """
    given = [" ".join(text.split()) for text in texts if not is_blank(text)]
    others = [" ".join(text.split()) for text in unwanted if not is_blank(text)]
    for text in (*given, *others):
        if len(text) > max_letters:
            raise HTTPException(422, f"The query has {len(text)} characters; the maximum is {max_letters}.")
    parts = [split_query(text) for text in given]
    wanted = tuple(text for text, _ in parts if not is_blank(text))
    others = [*(text for _, some in parts for text in some), *others]
    if max(len(wanted), len(others)) > MAX_TEXTS:
        raise HTTPException(422, f"There are more than {MAX_TEXTS} texts.")
    if not wanted and not has_example:
        raise HTTPException(
            422,
            "The query names only what is unwanted. Enter what to search for, too."
            if others
            else "The query is empty. Enter at least one word.",
        )
    return ClientQuery(texts=wanted, unwanted=tuple(others), subtitle_weight=subtitle_weight)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number > 1 or "unwanted" in noun else f"the {noun}"
