"""Average precision of each class, and its means."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


class AveragePrecision(NamedTuple):
    """Average precision, 0..1, by scikit-learn: the mean of the precisions at each positive video.

    >>> average_precision(np.array([[0.9], [0.8], [0.7]]), np.array([[1], [0], [1]])).macro
    0.8333333333333333
    """

    classes: tuple[float | None, ...]
    """Of each class; None for a class without positive videos."""
    macro: float
    """Mean over the classes with positive videos: each class counts the same. 0 if there are none."""
    micro: float
    """Of all (video, class) pairs together: each label counts the same. 0 if there are none."""


def average_precision(scores: Float[ndarray, "V C"], targets: Int[ndarray, "V C"]) -> AveragePrecision:
    """Rank videos for each class; targets are 1 for the classes that a video shows."""
    from sklearn.metrics import average_precision_score  # takes a second, which commands without scores do not need

    classes = [
        float(average_precision_score(of_class, row)) if of_class.any() else None
        for of_class, row in zip(targets.T, scores.T, strict=True)
    ]
    known = [value for value in classes if value is not None]
    micro = float(average_precision_score(targets.ravel(), scores.ravel())) if known else 0.0
    return AveragePrecision(tuple(classes), float(np.mean(known)) if known else 0.0, micro)
