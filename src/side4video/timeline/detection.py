"""Average precision of moments against labelled segments, as for temporal action detection.

The rules are those of the ActivityNet challenge (Caba Heilbron et al., CVPR 2015): per class, moments of all videos are
taken by falling score; each is right if its temporal intersection over union (tIoU) with a free segment of its video
reaches the threshold, and takes the segment with the largest one. Average precision is the area under the curve of the
largest precision at each recall or above. mAP is its mean over the labelled classes.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from side4video.moments.moment import Moment

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Thresholds of tIoU that mAP is reported for."""


def temporal_iou(first: Moment, second: Moment) -> float:
    """Intersection over union of two spans, 0 to 1.

    >>> film = Path("film.mp4")
    >>> temporal_iou(Moment(film, 0.0, 3.0, "run", 1.0), Moment(film, 1.0, 4.0, "run", 1.0))
    0.5
    """
    inside = min(first.end_seconds, second.end_seconds) - max(first.start_seconds, second.start_seconds)
    if inside <= 0:
        return 0.0
    lengths = first.end_seconds - first.start_seconds + second.end_seconds - second.start_seconds
    return inside / (lengths - inside)


def average_precision(found: Sequence[Moment], labelled: Sequence[Moment], threshold: float) -> float:
    """Average precision of the moments of one class, 0 to 1.

    >>> film = Path("film.mp4")
    >>> labelled = [Moment(film, 0.0, 2.0, "run", 1.0), Moment(film, 4.0, 6.0, "run", 1.0)]
    >>> average_precision([Moment(film, 0.0, 2.5, "run", 0.9)], labelled, 0.5)
    0.5

    Args:
        found: moments with scores.
        labelled: at least one segment; their scores are ignored.
        threshold: smallest tIoU of a right moment.
    """
    free: dict[Path, list[Moment]] = defaultdict(list)
    for segment in labelled:
        free[segment.path].append(segment)
    right = []
    for moment in sorted(found, key=lambda moment: -moment.score):  # equal scores keep their order
        best = max(free[moment.path], key=lambda segment: temporal_iou(moment, segment), default=None)
        hit = best is not None and temporal_iou(moment, best) >= threshold
        if hit:
            free[moment.path].remove(best)  # type: ignore[arg-type]
        right.append(hit)
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(hits) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(highest[np.array(right, dtype=bool)].sum() / len(labelled))


def detection_scores(
    found: Sequence[Moment], labelled: Sequence[Moment], thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, dict[float, float]]:
    """Average precision of each labelled class at each threshold.

    Moments of classes without a segment are ignored, as the challenge does.
    """
    classes = sorted({segment.name for segment in labelled})
    return {
        name: {
            threshold: average_precision(
                [moment for moment in found if moment.name == name],
                [segment for segment in labelled if segment.name == name],
                threshold,
            )
            for threshold in thresholds
        }
        for name in classes
    }
