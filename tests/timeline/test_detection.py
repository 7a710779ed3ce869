"""Average precision of moments, against brute force that follows the definition step by step."""

from pathlib import Path

import numpy as np
import pytest

from side4video.moments.moment import Moment
from side4video.timeline.detection import average_precision, detection_scores, temporal_iou

FILMS = (Path("a.mp4"), Path("b.mp4"))


def random_moments(generator, count, names=("run",)):
    starts = generator.uniform(0, 20, count)
    lengths = generator.uniform(0.5, 6, count)
    scores = generator.permutation(count) / count
    return [
        Moment(FILMS[generator.integers(2)], start, start + length, names[generator.integers(len(names))], score)
        for start, length, score in zip(starts, lengths, scores, strict=True)
    ]


def overlap_by_sampling(first, second, steps=20_000):
    times = np.linspace(0, 30, steps)
    one, two = ((times >= m.start_seconds) & (times < m.end_seconds) for m in (first, second))
    return (one & two).sum() / (one | two).sum()


def brute_force(found, labelled, threshold):
    """AP as the area under the interpolated curve, with a new matching for each number of best moments."""
    best = sorted(found, key=lambda moment: -moment.score)
    curve = []
    for count in range(1, len(best) + 1):
        taken, hits = set(), 0
        for moment in best[:count]:
            ious = [
                (temporal_iou(moment, segment), place)
                for place, segment in enumerate(labelled)
                if segment.path == moment.path and place not in taken
            ]
            iou, place = max(ious, default=(0.0, None))
            if iou >= threshold:
                taken.add(place)
                hits += 1
        curve.append((hits / len(labelled), hits / count))
    area, before = 0.0, 0.0
    for recall in sorted({recall for recall, _ in curve}):
        area += (recall - before) * max(precision for other, precision in curve if other >= recall)
        before = recall
    return area


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_equals_brute_force(seed):
    generator = np.random.default_rng(seed)
    found, labelled = random_moments(generator, 25), random_moments(generator, 8)
    for threshold in (0.1, 0.3, 0.5, 0.7):
        assert average_precision(found, labelled, threshold) == pytest.approx(brute_force(found, labelled, threshold))


def test_overlap_equals_sampling():
    moments = random_moments(np.random.default_rng(0), 12)
    for first in moments:
        for second in moments:
            assert temporal_iou(first, second) == pytest.approx(overlap_by_sampling(first, second), abs=2e-3)


def test_average_precision_of_perfect_and_of_no_moments():
    labelled = random_moments(np.random.default_rng(0), 6)
    assert average_precision(labelled, labelled, 0.999) == 1.0
    assert average_precision([], labelled, 0.3) == 0.0


def test_two_moments_on_one_segment_count_once():
    film = FILMS[0]
    labelled = [Moment(film, 0.0, 4.0, "run", 1.0)]
    twice = [Moment(film, 0.0, 3.9, "run", 0.9), Moment(film, 0.0, 4.0, "run", 0.8)]
    assert average_precision(twice, labelled, 0.5) == 1.0
    more = [*labelled, Moment(film, 10.0, 12.0, "run", 1.0)]
    late = [*twice, Moment(film, 10.0, 12.0, "run", 0.1)]
    assert average_precision(late, more, 0.5) == pytest.approx((1 + 2 / 3) / 2)


def test_moments_of_another_film_do_not_match():
    labelled = [Moment(FILMS[0], 0.0, 4.0, "run", 1.0)]
    assert average_precision([Moment(FILMS[1], 0.0, 4.0, "run", 1.0)], labelled, 0.3) == 0.0


def test_classes_are_scored_separately_and_unlabelled_ones_ignored():
    generator = np.random.default_rng(3)
    labelled = random_moments(generator, 10, ("run", "jump"))
    found = random_moments(generator, 30, ("run", "jump", "sit"))
    scores = detection_scores(found, labelled, (0.3, 0.5))
    assert scores.keys() == {"run", "jump"}
    for name, row in scores.items():
        own = [[one for one in moments if one.name == name] for moments in (found, labelled)]
        assert row == {threshold: pytest.approx(brute_force(*own, threshold)) for threshold in (0.3, 0.5)}
