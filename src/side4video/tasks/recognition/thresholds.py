"""Thresholds above which a class counts as shown, for videos with several labels."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from numpy import ndarray

from side4video.adapters.adapter import Thresholds
from side4video.tasks.recognition.average_precision import ranked_counts

FEW_POSITIVES = 5
"""A class with fewer videos in the validation set gets the threshold of all classes together."""
UNCHOSEN = 0.5


def choose_thresholds(
    scores: Float[ndarray, "V C"], targets: Int[ndarray, "V C"], *, source: str, class_names: Sequence[str]
) -> Thresholds:
    """The threshold of each class with the best F1 on a validation set.

    A class with fewer than `FEW_POSITIVES` videos gets the threshold with the best F1 of all (video, class) pairs
    together: one of its own would be chance.

    Args:
        scores: sigmoid scores, 0..1.
        targets: 1 for the classes that a video shows.
        source: name of the set.
        class_names: C names.

    >>> import numpy as np
    >>> found = choose_thresholds(
    ...     np.linspace(0, 0.9, 10)[:, None], np.array([[0]] * 5 + [[1]] * 5), source="val.csv", class_names=["run"]
    ... )
    >>> round(found.values[0], 2), found.origin
    (0.45, 'best F1 of each class on 10 videos of val.csv')
    """
    together = best_threshold(scores.ravel(), targets.ravel())
    positives = targets.sum(axis=0)
    values = [
        best_threshold(scores[:, place], targets[:, place]) if count >= FEW_POSITIVES else together
        for place, count in enumerate(positives)
    ]
    origin = f"best F1 of each class on {len(scores)} videos of {source}"
    if few := int((positives < FEW_POSITIVES).sum()):
        origin += f"; {few} of {len(class_names)} classes have fewer than {FEW_POSITIVES} videos there and share one"
    return Thresholds(tuple(values), origin)


def unchosen_thresholds(num_classes: int) -> Thresholds:
    """0.5 for each class, without a validation set."""
    return Thresholds((UNCHOSEN,) * num_classes, f"{UNCHOSEN} for each class, because there was no evaluation set")


def best_threshold(scores: Float[ndarray, " N"], targets: Int[ndarray, " N"]) -> float:
    """The threshold with the best F1, halfway to the next lower score; 0.5 without positives.

    >>> import numpy as np
    >>> best_threshold(np.array([0.1, 0.3, 0.4, 0.8]), np.array([0, 1, 0, 1]))
    0.2
    """
    if not targets.any():
        return UNCHOSEN
    cuts, accepted, right = ranked_counts(scores, targets)
    best = int((2 * right / (accepted + right[-1])).argmax())
    lower = cuts[best + 1] if best + 1 < len(cuts) else 0.0
    return float(cuts[best] + lower) / 2
