"""From the scores of windows to moments: smoothed over all windows that see a point, then cut where the class changes.

All steps work on a stream of scores, so that memory does not grow with the length of the video.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from side4video.moments.moment import Moment
from side4video.timeline.grid import Grid

Scores = Float[ndarray, " C"]


def smooth_scores(windows: Iterable[tuple[int, Scores]], num_frames: int) -> Iterator[Scores]:
    """The score of each point in order: the weighted mean of the windows that see it.

    Weights fall from 1 in the middle of a window towards its ends, where it sees as much of what is outside: of T
    points, point i has the weight 1 - |2i + 1 - T| / (T + 1).

    >>> windows = [(0, np.array([1.0])), (2, np.array([0.0]))]
    >>> [round(float(score[0]), 2) for score in smooth_scores(windows, num_frames=4)]
    [1.0, 1.0, 0.67, 0.33, 0.0, 0.0]

    Args:
        windows: first point and scores of each window, in order, without gaps.
        num_frames: T, points of a window.
    """
    weights = 1 - np.abs(2 * np.arange(num_frames) + 1 - num_frames) / (num_frames + 1)
    pending: deque[tuple[Scores, float]] = deque()  # weighted sum of scores, and of weights, from point `first` on
    first = 0
    for start, scores in windows:
        for _ in range(start - first):
            yield _mean(*pending.popleft())
        first = start
        pending.extend((np.zeros_like(scores), 0.0) for _ in range(num_frames - len(pending)))
        for place, weight in enumerate(weights):
            total, weight_so_far = pending[place]
            pending[place] = total + weight * scores, weight_so_far + float(weight)
    yield from (_mean(*point) for point in pending)


def _mean(total: Scores, weight: float) -> Scores:
    return total / weight


class _Run(NamedTuple):
    """Successive points with the same best class; `label` is None for background."""

    label: int | None
    start: int
    stop: int
    score: float  # mean over the points


def find_moments(
    points: Iterable[Scores],
    grid: Grid,
    *,
    path: Path,
    duration_seconds: float,
    class_names: Sequence[str],
    min_score: float,
    min_seconds: float,
) -> Iterator[Moment]:
    """Cut the scores of points into moments: parts with the same best class.

    Points whose best class scores below `min_score` are background. Then parts shorter than `min_seconds` become
    background, and two moments of the same class with less than `min_seconds` of background between them are joined.
    The score of a moment is the mean score of its class over its points.

    Args:
        points: scores of each point of the grid.
        grid: the grid.
        path, duration_seconds: the video.
        class_names: classes in the order of the scores.
        min_score: from 0 to 1.
        min_seconds: from 0.
    """
    spacing = grid.spacing_seconds
    least = min_seconds / spacing - 1e-6  # points
    kept = (run for run in _runs(points, min_score) if run.label is not None and run.stop - run.start >= least)
    last_point = grid.num_points(duration_seconds)
    for run in _joined(kept, least):
        assert run.label is not None
        end = duration_seconds if run.stop >= last_point else run.stop * spacing
        yield Moment(path, round(run.start * spacing, 6), round(end, 6), class_names[run.label], round(run.score, 6))


def find_overlapping_moments(
    points: Iterable[Scores],
    grid: Grid,
    *,
    path: Path,
    duration_seconds: float,
    class_names: Sequence[str],
    min_scores: Sequence[float],
    min_seconds: float,
) -> list[Moment]:
    """Cut the scores of each class by itself, so that moments of different classes can overlap; sorted by their start.

    Args:
        points, grid, path, duration_seconds, class_names, min_seconds: as in `find_moments`.
        min_scores: of each class.
    """
    scores = np.stack([point.astype(np.float32) for point in points])  # (points, C)
    moments = [
        moment
        for place, name in enumerate(class_names)
        for moment in find_moments(
            scores[:, place : place + 1],
            grid,
            path=path,
            duration_seconds=duration_seconds,
            class_names=[name],
            min_score=min_scores[place],
            min_seconds=min_seconds,
        )
    ]
    return sorted(moments, key=lambda moment: (moment.start_seconds, moment.end_seconds, moment.name))


def _runs(points: Iterable[Scores], min_score: float) -> Iterator[_Run]:
    best = ((int(scores.argmax()), float(scores.max())) for scores in points)
    named = ((label if score >= min_score else None, score) for label, score in best)
    start = 0
    for label, group in groupby(named, key=lambda pair: pair[0]):
        count, total = 0, 0.0
        for _, score in group:
            count, total = count + 1, total + score
        yield _Run(label, start, start + count, total / count)
        start += count


def _joined(runs: Iterable[_Run], least: float) -> Iterator[_Run]:
    last: _Run | None = None
    for run in runs:
        if last is not None and last.label == run.label and run.start - last.stop < least:
            sizes = last.stop - last.start, run.stop - run.start
            score = (last.score * sizes[0] + run.score * sizes[1]) / sum(sizes)
            last = _Run(run.label, last.start, run.stop, score)
            continue
        if last is not None:
            yield last
        last = run
    if last is not None:
        yield last
