"""Dual softmax compared with the formula in pure Python, in place and in chunks."""

from math import exp

import numpy as np
import pytest

from side4video.tasks.retrieval import dual_softmax as module
from side4video.tasks.retrieval import score_storage
from side4video.tasks.retrieval.dual_softmax import dual_softmax
from side4video.tasks.retrieval.metrics import retrieval_scores, text_to_video_ranks, video_to_text_ranks

DIRECTIONS = ("text-to-video", "video-to-text")


def formula(scores, direction, temperature):
    """Each score times its share among the scores of all queries with the same candidate."""
    result = np.zeros(scores.shape)
    for c, v in np.ndindex(scores.shape):
        queries = scores[:, v] if direction == "text-to-video" else scores[c]
        result[c, v] = scores[c, v] * exp(temperature * scores[c, v]) / sum(exp(temperature * q) for q in queries)
    return result


def cosines(shape=(7, 5), seed=0, dtype=np.float64):
    return np.random.default_rng(seed).uniform(-0.4, 1, shape).astype(dtype)


@pytest.fixture(params=[1, 3, 1000])
def rows_at_a_time(request, monkeypatch):
    monkeypatch.setattr(
        module, "row_chunks", lambda c, v: score_storage.row_chunks(c, v, chunk_bytes=8 * v * request.param)
    )


@pytest.mark.parametrize("temperature", [1.0, 100.0])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_equals_the_formula(direction, temperature, rows_at_a_time):
    scores = cosines()
    expected = formula(scores, direction, temperature)
    np.testing.assert_allclose(dual_softmax(scores, direction, temperature=temperature), expected, rtol=1e-12)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_result_can_overwrite_the_scores(direction, rows_at_a_time, tmp_path):
    scores = cosines(dtype=np.float32)
    expected = dual_softmax(scores, direction)
    assert expected.dtype == np.float32
    mapped = np.lib.format.open_memmap(tmp_path / "s.npy", mode="w+", dtype=np.float32, shape=scores.shape)
    mapped[:] = scores
    assert dual_softmax(mapped, direction, out=mapped) is mapped
    np.testing.assert_array_equal(mapped, expected)
    assert not np.array_equal(mapped, scores)


def test_a_video_that_matches_every_query_loses():
    """Video 0 is the best for all three captions. After dual softmax, each caption finds its own video."""
    scores = np.array([[0.9, 0.2, 0.2], [0.8, 0.7, 0.2], [0.8, 0.2, 0.7]])
    assert text_to_video_ranks(scores, np.arange(3)).tolist() == [1, 2, 2]
    found = retrieval_scores(scores, np.arange(3), dual_softmax_temperature=100).text_to_video
    assert (found.recall_at_1, found.mean_rank) == (1.0, 1.0)
    assert retrieval_scores(scores, np.arange(3)).text_to_video.mean_rank == pytest.approx(5 / 3)


def test_metrics_use_each_direction_separately():
    scores, columns = cosines((12, 5)), np.arange(12) % 5
    found = retrieval_scores(scores, columns, dual_softmax_temperature=20.0)
    ranks = text_to_video_ranks(formula(scores, "text-to-video", 20.0), columns)
    assert found.text_to_video.mean_rank == ranks.mean()
    ranks = video_to_text_ranks(formula(scores, "video-to-text", 20.0), columns)
    assert found.video_to_text.mean_rank == ranks.mean()
    assert found != retrieval_scores(scores, columns)


def test_underflow_does_not_create_ties():
    """Caption 1 gets 0.3 exp(-350) and 0.2 exp(-395), both 0 in float32."""
    scores = np.array([[1.0, 0.99], [0.3, 0.2]], dtype=np.float32)
    rescored = dual_softmax(scores, "text-to-video", temperature=500)
    assert text_to_video_ranks(rescored, np.arange(2)).tolist() == [1, 1.5]
    found = retrieval_scores(scores, np.arange(2), dual_softmax_temperature=500).text_to_video
    assert found.mean_rank == (1 + 2) / 2


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperatures_are_above_zero(temperature):
    with pytest.raises(ValueError, match="must be above 0"):
        dual_softmax(cosines(), "text-to-video", temperature=temperature)


def test_unknown_directions_are_refused():
    with pytest.raises(ValueError, match=r"direction = 't2v' is not known. Use text-to-video or video-to-text"):
        dual_softmax(cosines(), "t2v")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_must_be_finite(value):
    scores = cosines()
    scores[1, 1] = value
    with pytest.raises(ValueError, match="1 of 35 scores are not finite"):
        dual_softmax(scores, "video-to-text")
