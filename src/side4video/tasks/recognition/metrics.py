"""Classification metrics: pure functions on scores and labels."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def top_k_accuracy(scores: Float[ndarray, "V C"], labels: Int[ndarray, " V"], k: int) -> float:
    """Share of videos whose label is among the k best scores, 0..1.

    Ties count against the model, so a constant output scores 0: a label's rank counts every class that scores at
    least as high.

    >>> top_k_accuracy(np.array([[0.7, 0.3], [0.5, 0.5]]), np.array([0, 1]), 1)
    0.5
    """
    own = scores[np.arange(len(labels)), labels][:, None]
    rank = (scores >= own).sum(axis=1)  # includes the label itself
    return float((rank <= k).mean())


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
