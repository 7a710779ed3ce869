"""Split long videos into overlapping windows, and find the frames of a window."""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WINDOW_SECONDS, OVERLAP_SECONDS = 10.0, 5.0
"""Length and overlap of windows: an action of up to 5 seconds is always complete in one of them."""
MAX_UNSPLIT_LENGTHS = 1.5
"""Longest video, in window lengths, that is not split: two windows with a large overlap add no information."""


def check_windows(window_seconds: float, overlap_seconds: float) -> None:
    """Check the window settings.

    Raises:
        ValueError: the length is not positive, or the overlap is as long as the window.
    """
    if not window_seconds > 0:
        raise ValueError(f"{window_seconds = } must be more than 0.")
    if not 0 <= overlap_seconds < window_seconds:
        raise ValueError(f"{overlap_seconds = } must be at least 0 and less than {window_seconds = }.")


def cut_windows(
    duration_seconds: float, *, window_seconds: float = WINDOW_SECONDS, overlap_seconds: float = OVERLAP_SECONDS
) -> list[tuple[float, float]]:
    """Start and end in seconds, half-open, of the windows of a video. The windows cover the whole video.

    A video of up to `MAX_UNSPLIT_LENGTHS` window lengths stays whole. A longer video has a window every
    `window_seconds - overlap_seconds`, and its last window ends with the video. A window that would start less than
    half of that distance before the last one is omitted, unless this would leave a gap.

    >>> cut_windows(14.0)
    [(0.0, 14.0)]
    >>> cut_windows(23.0)
    [(0.0, 10.0), (5.0, 15.0), (10.0, 20.0), (13.0, 23.0)]
    >>> cut_windows(21.0)
    [(0.0, 10.0), (5.0, 15.0), (11.0, 21.0)]

    Raises:
        ValueError: the settings contradict each other, see `check_windows`.
    """
    check_windows(window_seconds, overlap_seconds)
    if duration_seconds <= MAX_UNSPLIT_LENGTHS * window_seconds:
        return [(0.0, duration_seconds)]
    step, last = window_seconds - overlap_seconds, duration_seconds - window_seconds
    starts = [0.0]
    while len(starts) * step < last:
        starts.append(len(starts) * step)
    if len(starts) > 1 and last - starts[-1] < step / 2 and last - starts[-2] <= window_seconds:
        starts.pop()
    return [(start, start + window_seconds) for start in starts] + [(last, duration_seconds)]


def frames_between(
    frame_seconds: Sequence[float] | NDArray[np.float64], start_seconds: float, end_seconds: float
) -> range:
    """Numbers of the frames that start in the half-open window; if none does, of the frame that is on screen.

    >>> frames_between([0.0, 0.5, 1.0, 1.5], 0.5, 1.5)
    range(1, 3)
    >>> frames_between([0.0, 30.0], 5.0, 15.0)
    range(0, 1)

    Args:
        frame_seconds: start time of each frame of the video, ascending, from 0.
        start_seconds: start of the window.
        end_seconds: end of the window, exclusive.
    """
    first, stop = bisect_left(frame_seconds, start_seconds), bisect_left(frame_seconds, end_seconds)
    if first < stop:
        return range(first, stop)
    on_screen = max(first - 1, 0)
    return range(on_screen, on_screen + 1)
