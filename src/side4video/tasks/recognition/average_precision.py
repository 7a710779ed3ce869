"""Average precision of each class, and its means."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


class AveragePrecision(NamedTuple):
    """Average precision, 0..1: the mean of the precisions at each positive video, as scikit-learn computes it.

    >>> average_precision(np.array([[0.9], [0.8], [0.7]]), np.array([[1], [0], [1]])).macro
    0.8333333333333333
    """

    classes: tuple[float | None, ...]
    """Of each class; None for a class without positive videos."""
    macro: float
    """Mean over the classes with positive videos: each class counts the same. 0 if there are none."""
    micro: float
    """Of all (video, class) pairs together: each label counts the same. 0 if there are none."""


class RankedCounts(NamedTuple):
    """What is found if everything that scores at least as high as a cut is accepted.

    >>> ranked_counts(np.array([0.2, 0.9, 0.9]), np.array([1, 1, 0]))
    RankedCounts(cuts=array([0.9, 0.2]), accepted=array([2, 3]), right=array([1, 2]))
    """

    cuts: Float[ndarray, " K"]
    """The different scores, descending."""
    accepted: Int[ndarray, " K"]
    right: Int[ndarray, " K"]


def ranked_counts(scores: Float[ndarray, " N"], targets: Int[ndarray, " N"]) -> RankedCounts:
    """Count accepted and right items at each cut; targets are 0 or 1."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # the last item of each score
    return RankedCounts(ranked[ends], ends + 1, targets[order].cumsum()[ends])


def average_precision(scores: Float[ndarray, "V C"], targets: Int[ndarray, "V C"]) -> AveragePrecision:
    """Rank videos for each class; targets are 1 for the classes that a video shows."""
    classes = [
        _of_one(row, of_class) if of_class.any() else None for of_class, row in zip(targets.T, scores.T, strict=True)
    ]
    known = [value for value in classes if value is not None]
    micro = _of_one(scores.ravel(), targets.ravel()) if known else 0.0
    return AveragePrecision(tuple(classes), float(np.mean(known)) if known else 0.0, micro)


def _of_one(scores: ndarray, targets: ndarray) -> float:
    _, accepted, right = ranked_counts(scores, targets)
    return float((right / accepted * np.diff(right, prepend=0)).sum() / right[-1])
