"""Weights for a sum of several classifiers' logits, from their logits of held-out clips."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def fusion_weights(logits: Float[ndarray, "P V C"], labels: Int[ndarray, " V"]) -> Float[ndarray, " P"]:
    """Return the weights of P classifiers, 0 or more, whose weighted sum of logits has the smallest mean log loss.

    The loss is convex in the weights, so there is one minimum. Without rows, all weights are 1 / P.

    >>> right, wrong = np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 2.0], [2.0, 0.0]])
    >>> (fusion_weights(np.stack([right, wrong]), np.array([0, 1])) > 0).tolist()
    [True, False]
    """
    from scipy.optimize import minimize  # takes half a second; every report imports this module

    count = len(logits)
    start = np.full(count, 1 / count)
    if not len(labels):
        return start
    rows = np.arange(len(labels))

    def loss(weights: ndarray) -> tuple[float, ndarray]:
        fused = np.tensordot(weights, logits, axes=1)
        logs = fused - np.logaddexp.reduce(fused, axis=1, keepdims=True)
        slopes = (np.exp(logs) * logits).sum(axis=2) - logits[:, rows, labels]  # (P, V)
        return -float(logs[rows, labels].mean()), slopes.mean(axis=1)

    return minimize(loss, start, jac=True, bounds=[(0, None)] * count, method="L-BFGS-B").x


def cross_fused(
    logits: Float[ndarray, "P V C"], labels: Int[ndarray, " V"], held: Sequence[Int[ndarray, " held"]]
) -> Float[ndarray, "V C"]:
    """Return the fused logits of the held-out rows of each fold, with weights from the other folds; NaN elsewhere.

    So the log loss of the sum is not measured on the rows that chose its weights.

    >>> logits = np.array([[[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]]])
    >>> cross_fused(logits, np.array([0, 1, 0]), [np.array([0]), np.array([1])])[2].tolist()
    [nan, nan]
    """
    fused = np.full(logits.shape[1:], np.nan)
    for fold in range(len(held)):
        others = np.concatenate([np.zeros(0, dtype=int), *held[:fold], *held[fold + 1 :]])
        weights = fusion_weights(logits[:, others], labels[others])
        fused[held[fold]] = np.tensordot(weights, logits[:, held[fold]], axes=1)
    return fused
