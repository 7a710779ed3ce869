"""Classification metrics: pure functions on scores and labels."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def label_ranks(scores: Float[ndarray, "V C"], labels: Int[ndarray, " V"]) -> Int[ndarray, " V"]:
    """Rank of each video's label among the scores, from 1; it counts every class that scores at least as high.

    >>> label_ranks(np.array([[0.7, 0.3], [0.5, 0.5]]), np.array([0, 1])).tolist()
    [1, 2]
    """
    return (scores >= scores[np.arange(len(labels)), labels][:, None]).sum(axis=1)


def top_k_accuracy(scores: Float[ndarray, "V C"], labels: Int[ndarray, " V"], k: int) -> float:
    """Share of videos whose label is among the k best scores, 0..1.

    Ties count against the model, so a constant output scores 0, see `label_ranks`.

    >>> top_k_accuracy(np.array([[0.7, 0.3], [0.5, 0.5]]), np.array([0, 1]), 1)
    0.5
    """
    return float((label_ranks(scores, labels) <= k).mean())


def confusion_matrix(
    predicted: Int[ndarray, " V"], labels: Int[ndarray, " V"], num_classes: int
) -> Int[ndarray, "C C"]:
    """Count the videos of class `row` that were predicted as class `column`.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def class_accuracies(confusion: Int[ndarray, "C C"]) -> Float[ndarray, " C"]:
    """Share of each class's videos that were recognised, 0..1; NaN for classes without videos."""
    counts = confusion.sum(axis=1)
    return np.where(counts > 0, np.diagonal(confusion) / np.maximum(counts, 1), np.nan)


def mean_class_accuracy(confusion: Int[ndarray, "C C"]) -> float:
    """Mean of the accuracies of the classes that have videos, 0..1."""
    return float(np.nanmean(class_accuracies(confusion)))


class ClassMetrics(NamedTuple):
    """Precision, recall and F1 of each class, 0..1; NaN where undefined.

    >>> found = class_metrics(true_positives=np.array([1, 0]), predicted=np.array([2, 0]), videos=np.array([1, 1]))
    >>> found.precision.tolist(), found.recall.tolist(), found.f1.round(3).tolist()
    ([0.5, nan], [1.0, 0.0], [0.667, 0.0])
    """

    precision: Float[ndarray, " C"]
    """Share of the videos predicted as the class that show it; NaN if none is."""
    recall: Float[ndarray, " C"]
    """Share of the class's videos that are predicted as it; NaN without videos."""
    f1: Float[ndarray, " C"]
    """Harmonic mean of both; 0 if the class has videos and none is recognised, NaN without videos."""


def class_metrics(
    *, true_positives: Int[ndarray, " C"], predicted: Int[ndarray, " C"], videos: Int[ndarray, " C"]
) -> ClassMetrics:
    """Precision, recall and F1 from counts of each class.

    Args:
        true_positives: videos of the class that were predicted as it.
        predicted: videos that were predicted as the class.
        videos: videos of the class.
    """

    def share(part: ndarray, whole: ndarray) -> ndarray:
        return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)

    f1 = np.where(videos > 0, share(2 * true_positives, predicted + videos), np.nan)
    return ClassMetrics(share(true_positives, predicted), share(true_positives, videos), f1)


def mean_of_defined(values: Float[ndarray, " C"]) -> float:
    """Mean without NaN; 0 if all are NaN.

    >>> mean_of_defined(np.array([1.0, np.nan, 0.0]))
    0.5
    """
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else 0.0


Z_95 = 1.959963984540054
"""Quantile of the normal distribution for 95 %."""


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share, 0..1 (Wilson, 1927); unlike right +- error it fits few videos.

    >>> [round(bound, 3) for bound in wilson_interval(9, 12)]
    [0.468, 0.911]
    """
    if not total:
        return 0.0, 1.0
    share, z2 = right / total, Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 / (1 + z2 / total) * (share * (1 - share) / total + z2 / (4 * total**2)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)
