"""Combined queries: several texts and an example video or photo together, and texts that must not match."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from side4video.models.similarity import Similarity, TextFeatures
from side4video.search.ranking import Score
from side4video.search.reranking import query_vectors, score_windows
from side4video.search.stores.records import Window

_QUOTES = '"\u201c\u201d\u201e\uff02'
"""Quotes of a query: straight, and those that phones and word processors write in their place."""
_UNWANTED = re.compile(rf"(?<!\S)-[{_QUOTES}]([^{_QUOTES}]*)[{_QUOTES}]")


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: it is empty, or has only blanks, control characters and the like.

    >>> is_blank(" \u200b"), is_blank("?")
    (True, False)
    """
    return not any(letter.isprintable() and not letter.isspace() for letter in text)


def split_query(text: str) -> tuple[str, tuple[str, ...]]:
    """The wanted text of a query, and the unwanted ones: those in quotes after a hyphen.

    >>> split_query('a square moves -"red square" -"a dog"')
    ('a square moves', ('red square', 'a dog'))
    """
    unwanted = tuple(found.strip() for found in _UNWANTED.findall(text) if not is_blank(found))
    return (" ".join(_UNWANTED.sub(" ", text).split()), unwanted) if unwanted else (text, ())


def text_scores(features: TextFeatures, kind: Similarity) -> list[Score]:
    """A function for each text that computes the exact scores of windows."""
    queries = [features.map(lambda tensor, at=at: tensor[at : at + 1]) for at in range(len(features))]  # type: ignore[misc]
    return [lambda windows, query=query: score_windows(query, windows, kind) for query in queries]  # type: ignore[misc]


def combine_scores(wanted: Sequence[Score], unwanted: Sequence[Score]) -> Score:
    """The mean of the wanted scores minus the mean of the unwanted ones, in -2 to 2.

    >>> def first(windows): return np.array([1.0, 0.0], np.float32)
    >>> def both(windows): return np.array([0.5, 0.5], np.float32)
    >>> combine_scores([first, both], [both])([])
    array([ 0.25, -0.25], dtype=float32)
    """

    def score(windows: Sequence[Window]) -> NDArray[np.float32]:
        total = np.mean([of_query(windows) for of_query in wanted], axis=0)
        if unwanted:
            total = total - np.mean([of_query(windows) for of_query in unwanted], axis=0)
        return np.asarray(total, np.float32)

    return score


def combine_vectors(wanted: NDArray[np.float32], unwanted: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vector of length 1 for the shortlist: the mean of wanted rows minus the mean of unwanted rows."""
    vector = wanted.mean(axis=0)
    if len(unwanted):
        vector = vector - unwanted.mean(axis=0)
    return np.asarray(vector / max(np.linalg.norm(vector), 1e-12), np.float32)


def vectors_of(features: TextFeatures | None, kind: Similarity, width: int) -> NDArray[np.float32]:
    """The vectors of texts, one a row; no rows for None."""
    return np.zeros((0, width), np.float32) if features is None else query_vectors(features, kind)
