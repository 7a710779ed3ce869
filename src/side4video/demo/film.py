"""The film of the demonstration: test clips one after the other, the times of their motions, and its timeline."""

from pathlib import Path

import numpy as np

from side4video.demo.moving_shapes import MOTIONS
from side4video.demo.videos import FRAMES_PER_SECOND, write_video
from side4video.inference.predictor import Predictor
from side4video.moments.moment import Moment
from side4video.moments.tables import write_csv
from side4video.timeline.evaluate import TimelineEvaluation, score_timelines
from side4video.timeline.files import write_timeline
from side4video.video.decoding import VideoFile

CLIPS_PER_MOTION = 3
"""Test clips of each motion in the film, if there are so many."""


def make_film(test: Path, film: Path, *, seed: int = 0) -> list[Moment]:
    """Write a film of test clips and `film.csv` with the segments; returns the segments.

    The film goes through the motions in rounds, each in a random order; no motion follows itself.

    Args:
        test: a folder of clips for each motion.
        film: the mp4 file to write; an existing one is replaced.
        seed: decides the order.
    """
    order = _order(min(CLIPS_PER_MOTION, len(list((test / next(iter(MOTIONS))).glob("*.mp4")))), seed)
    parts, segments, start = [], [], 0.0
    for motion, number in order:
        with VideoFile(test / motion / f"{number:04d}.mp4") as clip:
            parts.append(clip.read_pictures(range(clip.num_frames)))
        end = start + len(parts[-1]) / FRAMES_PER_SECOND
        segments.append(Moment(film, start, end, motion, 1.0))
        start = end
    film.parent.mkdir(parents=True, exist_ok=True)
    write_video(film, np.concatenate(parts), frames_per_second=FRAMES_PER_SECOND)
    write_csv(film.with_suffix(".csv"), segments)
    return segments


def _order(rounds: int, seed: int) -> list[tuple[str, int]]:
    """Motion and number of each clip of the film."""
    generator, order = np.random.default_rng(seed), list[tuple[str, int]]()
    names = list(MOTIONS)
    while len(order) < rounds * len(names):
        mixed = [names[place] for place in generator.permutation(len(names))]
        if not order or mixed[0] != order[-1][0]:
            order += [(name, len(order) // len(names) + 1) for name in mixed]
    return order


def show_timeline(run: Path, segments: list[Moment], folder: Path) -> tuple[TimelineEvaluation, Path]:
    """Find the timeline of the film and write it; returns its scores and the page.

    Args:
        run: folder of the trained run.
        segments: of the film, see `make_film`.
        folder: for the timeline's files.
    """
    timeline = Predictor(run).timeline(segments[0].path)
    return score_timelines([timeline], segments), write_timeline(folder, timeline, name="timeline")
