"""The timeline of a video: decodes, encodes, scores and cuts it in one pass."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from side4video.adapters.adapter import Adapter
from side4video.data.sampling import WINDOW
from side4video.models.video_model import VideoModel
from side4video.tasks.clips import evaluation_clips
from side4video.timeline.encoding import CHUNK_FRAMES, EncodedFrame, WindowScorer
from side4video.timeline.grid import Grid, choose_grid
from side4video.timeline.segments import Scores, find_moments, find_overlapping_moments, smooth_scores
from side4video.timeline.timeline import DEFAULT_MIN_SCORE, DEFAULT_WINDOW_SECONDS, Timeline, TimelineSettings
from side4video.video.decoding import VideoError, VideoFile, shared_cache


def find_timeline(
    path: Path, *, model: VideoModel, adapter: Adapter, device: torch.device, settings: TimelineSettings
) -> Timeline:
    """Classify overlapping windows of a video file and cut the scores into moments.

    Memory does not grow with the video, except for the table of its frame times and the moments found; if videos can
    show several classes, also for the scores: 4 bytes per class and point.

    Raises:
        VideoError: the video cannot be read, or it is a folder of frames, which has no times.
        ValueError: a setting is out of range, or the windows leave gaps.
    """
    settings.check()
    if path.is_dir():
        raise VideoError(path, "a folder of frames has no times. Write its frames to a video file.")
    scorer = build_scorer(model, adapter, device)
    with VideoFile(path, cache=shared_cache()) as video:
        duration = video.duration_seconds
        grid = choose_grid(
            adapter.config.data.num_frames,
            window_seconds=settings.window_seconds or trained_seconds(adapter, video.average_fps),
            stride_seconds=settings.stride_seconds,
            duration_seconds=duration,
        )
        min_seconds = grid.stride_seconds if settings.min_seconds is None else settings.min_seconds
        done = WorkDone()
        windows = score_windows(video, grid, scorer, done)
        points = smooth_scores(windows, grid.num_frames)
        about: dict[str, Any] = {
            "path": path,
            "duration_seconds": duration,
            "class_names": adapter.class_names,
            "min_seconds": min_seconds,
        }
        min_score = settings.min_score
        if adapter.thresholds is None:
            min_score = DEFAULT_MIN_SCORE if settings.min_score is None else settings.min_score
            moments = list(find_moments(points, grid, min_score=min_score, **about))
        else:
            least = adapter.thresholds.values if min_score is None else [min_score] * len(adapter.class_names)
            moments = find_overlapping_moments(points, grid, min_scores=least, **about)
        return Timeline(
            path=path,
            moments=tuple(moments),
            duration_seconds=duration,
            window_seconds=grid.window_seconds,
            stride_seconds=grid.stride_seconds,
            min_score=min_score,
            min_seconds=min_seconds,
            num_windows=done.windows,
            num_frames=done.frames,
        )


def trained_seconds(adapter: Adapter, fps: float) -> float:
    """The length of video that a clip spanned in training: the default length of a window.

    Args:
        adapter: the adapter.
        fps: of the video; a clip of dense frames spans a number of frames.
    """
    data = adapter.config.data
    if data.sampling == "dense":
        frames = data.num_frames * data.stride if data.stride else WINDOW
        return frames / fps
    return adapter.clip_seconds or DEFAULT_WINDOW_SECONDS


def build_scorer(model: VideoModel, adapter: Adapter, device: torch.device) -> WindowScorer:
    """A scorer with the preprocessing of evaluation: one centre crop."""
    config = adapter.config
    clips = evaluation_clips([], config=config, backbone=model.backbone, num_clips=1, num_crops=1)
    return WindowScorer(
        model,
        transform=clips.transform,
        device=device,
        windows_per_pass=config.eval.batch,
        multi_label=adapter.multi_label,
    )


@dataclass
class WorkDone:
    """Windows that were scored and frames that passed the frozen model so far.

    >>> done = WorkDone()
    >>> done.windows += 2
    >>> done
    WorkDone(windows=2, frames=0)
    """

    windows: int = 0
    frames: int = 0


def score_windows(video: VideoFile, grid: Grid, scorer: WindowScorer, done: WorkDone) -> Iterator[tuple[int, Scores]]:
    """Yield the first point and the softmax scores of each window, in order; `done` counts."""
    points: deque[EncodedFrame] = deque()  # from point `first` on
    first, starts = 0, deque(grid.starts(video.duration_seconds))
    for encoded in _encoded_points(video, grid, scorer, done):
        points.extend(encoded)
        ready = []
        while starts and starts[0] + grid.num_frames <= first + len(points):
            ready.append(starts.popleft())
        if not ready:
            continue
        listed = list(points)
        scores = scorer.score([listed[start - first : start - first + grid.num_frames] for start in ready]).numpy()
        done.windows += len(ready)
        yield from zip(ready, scores.astype(np.float64), strict=True)
        while starts and first < starts[0]:
            points.popleft()
            first += 1


def _encoded_points(video: VideoFile, grid: Grid, scorer: WindowScorer, done: WorkDone) -> Iterator[list[EncodedFrame]]:
    """Yield the encoded frames of all points, a chunk at a time; a frame shown at several points passes once."""
    shown = groupby(grid.frames(video.frame_seconds, video.duration_seconds))
    repeats = {frame: sum(1 for _ in group) for frame, group in shown}
    pairs = zip(repeats.values(), video.read_in_order(list(repeats)), strict=True)
    while chunk := list(islice(pairs, CHUNK_FRAMES)):
        encoded = scorer.encode(picture for _, picture in chunk)
        done.frames += len(chunk)
        yield [frame for frame, (times, _) in zip(encoded, chunk, strict=True) for _ in range(times)]
