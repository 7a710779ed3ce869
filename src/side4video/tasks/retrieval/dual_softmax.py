"""Dual softmax: scores re-ranked by what all queries together say of a candidate. For those who ask for it only.

Inference with the dual softmax of CAMoE (arXiv 2109.04290): a score is multiplied with the softmax of its candidate's
scores over all queries i,

    S'[i, j] = S[i, j] * exp(temperature S[i, j]) / sum_k exp(temperature S[k, j]).

Published results use it on CLIP's logits, which are cosines times 100, hence the temperature. A candidate that answers
every query then answers none, which is right only where the queries are spread evenly over the candidates, and
impossible where they come one by one. Negative scores are multiplied like all others: of two of them the less probable
one gains.
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
"""What a result with dual softmax must say of itself."""

RowReader = Callable[[Int[ndarray, " n"]], Float[ndarray, "n V"]]
"""Row numbers of a matrix to these rows."""


def dual_softmax_rows(scores: Float[ndarray, "C V"], direction: Direction, *, temperature: float) -> RowReader:
    """Re-ranked rows (float64) on demand, so that no second matrix is needed. See `dual_softmax`."""
    if direction not in get_args(Direction):
        raise ValueError(f"{direction = } is not known. Use {' or '.join(get_args(Direction))}.")
    if not temperature > 0:
        raise ValueError(f"{temperature = } must be above 0; published results use {TEMPERATURE:g} on cosines.")
    _check_finite(scores)
    if direction == "video-to-text":  # each caption is a candidate, its queries lie in its own row
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
    """Scores of C captions and V videos, re-ranked for one direction; they mean nothing for the other one.

    Works in chunks of rows and in double precision. Where the softmax of a score is below what the result's type can
    hold, the result is 0; to rank without that, give `dual_softmax_temperature` to `retrieval_scores`.

    Args:
        scores: cosine-like scores, -1 to 1; may be a memory map.
        direction: text to video, where the captions are the queries, or video to text.
        temperature: factor in front of the scores inside the softmax.
        out: array for the result, which may be `scores` itself; by default a new one of the same type.

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
        raise ValueError(f"{wrong} of {scores.size} scores are not finite; dual softmax needs numbers.")
