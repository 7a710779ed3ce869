"""Smoothing and cutting of scores, against brute force."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from side4video.timeline.grid import Grid
from side4video.timeline.segments import find_moments, smooth_scores

GRID = Grid(num_frames=4, window_seconds=2.0, stride=1)  # points 0.5 seconds apart
NAMES = ("run", "jump", "sit")


def found(labels, *, min_score=0.5, min_seconds=0.0, scores=None):
    """Moments of points whose best classes are `labels`; "." is a point without a class."""
    points = []
    for place, letter in enumerate(labels):
        score = 0.8 if scores is None else scores[place]
        points.append(np.array([score if letter == name[0] else 0.1 for name in NAMES]))
    duration = len(labels) * 0.5
    settings = {"min_score": min_score, "min_seconds": min_seconds}
    moments = find_moments(
        iter(points), GRID, path=Path("film.mp4"), duration_seconds=duration, class_names=NAMES, **settings
    )
    return [(one.start_seconds, one.end_seconds, one.name, one.score) for one in moments]


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_smoothing_is_the_weighted_mean_of_all_windows_that_see_a_point(stride):
    generator = np.random.default_rng(stride)
    size, last = 5, 17
    windows = [(start, generator.random(3)) for start in sorted({*range(0, last, stride), last})]
    smooth = list(smooth_scores(iter(windows), size))
    assert len(smooth) == last + size
    for point, value in enumerate(smooth):
        total = weights = 0.0
        for start, scores in windows:
            place = point - start
            if 0 <= place < size:
                weight = (min(place, size - 1 - place) + 1) / (size // 2 + 1)  # a triangle
                total, weights = total + weight * scores, weights + weight
        np.testing.assert_allclose(value, total / weights)


def test_moments_are_runs_of_the_best_class():
    assert found("rrjj..s") == [
        (0.0, 1.0, "run", 0.8), (1.0, 2.0, "jump", 0.8), (3.0, 3.5, "sit", 0.8)
    ]  # fmt: skip


def test_a_score_is_the_mean_over_the_moment():
    assert found("rr.", scores=[0.6, 0.9, 0]) == [(0.0, 1.0, "run", 0.75)]


def test_points_below_the_score_are_background():
    assert found("rrr", min_score=0.9) == []
    assert found("rrr", min_score=0.8) == [(0.0, 1.5, "run", 0.8)]


def test_short_moments_are_dropped_and_short_gaps_closed():
    assert found("rrrjrrr", min_seconds=1.0) == [(0.0, 3.5, "run", 0.8)]
    assert found("rrr..rrr", min_seconds=1.0) == [(0.0, 1.5, "run", 0.8), (2.5, 4.0, "run", 0.8)]
    assert found("rrrjjrrr", min_seconds=1.0) == [
        (0.0, 1.5, "run", 0.8), (1.5, 2.5, "jump", 0.8), (2.5, 4.0, "run", 0.8)
    ]  # fmt: skip
    assert found("r.j", min_seconds=1.0) == []


def test_joined_moments_are_weighted_by_their_length():
    moments = found("rrrr.rr", min_seconds=1.0, scores=[0.6] * 5 + [0.9] * 2)
    assert moments == [(0.0, 3.5, "run", pytest.approx((4 * 0.6 + 2 * 0.9) / 6))]


def test_the_last_moment_ends_with_the_video():
    points = [np.array([0.9, 0.1, 0.0])] * 8
    (moment,) = find_moments(
        points, GRID, path=Path("a"), duration_seconds=4.1, class_names=NAMES, min_score=0.5, min_seconds=0
    )
    assert moment.end_seconds == 4.1


def test_memory_does_not_grow_with_the_film():
    def windows(count):
        for start in range(count):
            yield start, np.full(400, 0.5 + 0.4 * (start % 7 == 0))

    peaks = []
    for count in (500, 5000):
        tracemalloc.start()
        points = smooth_scores(windows(count), 8)
        grid = Grid(num_frames=8, window_seconds=2.0, stride=1)
        names = tuple(map(str, range(400)))
        settings = {"class_names": names, "min_score": 0.95, "min_seconds": 0.0}
        assert not list(find_moments(points, grid, path=Path("a"), duration_seconds=count / 4, **settings))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
