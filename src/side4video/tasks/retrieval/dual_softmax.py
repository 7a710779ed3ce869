"""Dual softmax: re-ranks scores with the scores of all other queries. Off by default.

Inference with the dual softmax of CAMoE (arXiv 2109.04290): a score is multiplied with the softmax of its candidate's
scores over all queries i,

    S'[i, j] = S[i, j] * exp(temperature S[i, j]) / sum_k exp(temperature S[k, j]).

Published results apply it to CLIP's logits, which are cosines times 100, hence the temperature. It lowers the score of
candidates that match every query. This is valid only if the queries are spread evenly over the candidates, and needs
all queries at once. Negative scores are multiplied like all others: of two negative scores, the less probable one
gains.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from side4video.tasks.retrieval.score_storage import row_chunks

Direction = Literal["text-to-video", "video-to-text"]

TEMPERATURE = 100.0
ASSUMPTION = "assumes that all queries are known at once and spread evenly over the candidates"
"""The assumption that every result with dual softmax must state."""

RowReader = Callable[[Int[ndarray, " n"]], Float[ndarray, "n V"]]
"""Maps row indices of a matrix to these rows."""


def dual_softmax_rows(scores: Float[ndarray, "C V"], direction: Direction, *, temperature: float) -> RowReader:
    """A function that re-ranks rows (float64) on demand, without a second matrix. See `dual_softmax`."""
    if direction not in get_args(Direction):
        raise ValueError(f"{direction = } is not known. Use {' or '.join(get_args(Direction))}.")
    if not temperature > 0:
        raise ValueError(f"{temperature = } must be above 0; published results use {TEMPERATURE:g} on cosines.")
    _check_finite(scores)
    if direction == "video-to-text":  # each caption is a candidate, and its own row holds the scores of its queries
        return lambda rows: _rescore(scores[rows], temperature, axis=1)
    total = np.full(scores.shape[1], -np.inf)
    for chunk in row_chunks(*scores.shape):
        total = np.logaddexp(total, _log_sum_exp(temperature * scores[chunk].astype(np.float64), axis=0)[0])
    return lambda rows: _rescore(scores[rows], temperature, axis=0, total=total)


def dual_softmax(
    scores: Float[ndarray, "C V"],
    direction: Direction,
    *,
    temperature: float = TEMPERATURE,
    out: Float[ndarray, "C V"] | None = None,
) -> Float[ndarray, "C V"]:
    """Re-rank the scores of C captions and V videos for one direction; the result is meaningless for the other one.

    Works in chunks of rows and in double precision. If the softmax of a score underflows the result's dtype, the
    result is 0; `retrieval_scores` with `dual_softmax_temperature` ranks without this underflow.

    Args:
        scores: cosine-like scores, -1 to 1; may be a memory map.
        direction: text to video, where the captions are the queries, or video to text.
        temperature: factor on the scores inside the softmax.
        out: array for the result, may be `scores` itself; by default a new one of the same dtype.

    Raises:
        ValueError: scores that are not finite, or a temperature that is not above 0.
    """
    rows = dual_softmax_rows(scores, direction, temperature=temperature)
    result = np.empty(scores.shape, dtype=scores.dtype) if out is None else out
    for chunk in row_chunks(*scores.shape):
        result[chunk] = rows(np.arange(chunk.start, chunk.stop))
    return result


def _rescore(
    scores: Float[ndarray, "n V"], temperature: float, *, axis: int, total: Float[ndarray, " V"] | None = None
) -> Float[ndarray, "n V"]:
    logits = temperature * scores.astype(np.float64)
    logits -= _log_sum_exp(logits, axis=axis) if total is None else total
    return np.exp(logits, out=logits) * scores


def _log_sum_exp(logits: Float[ndarray, "n V"], *, axis: int) -> ndarray:
    largest = logits.max(axis=axis, keepdims=True)
    return largest + np.log(np.exp(logits - largest).sum(axis=axis, keepdims=True))


def _check_finite(scores: Float[ndarray, "C V"]) -> None:
    wrong = sum(int(np.count_nonzero(~np.isfinite(scores[chunk]))) for chunk in row_chunks(*scores.shape))
    if wrong:
        raise ValueError(f"{wrong} of {scores.size} scores are not finite; dual softmax requires finite scores.")
