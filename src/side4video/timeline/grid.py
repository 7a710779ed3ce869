"""The frame grid of a timeline: all windows take their frames from it, so that each frame is computed once."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_STRIDES = 4
"""Default: this many windows see each moment. A class that fills one window is then off by an eighth of it at most."""


@dataclass(frozen=True)
class Grid:
    """Points in time, evenly spaced, and the windows on them.

    Point i is at `(i + 1/2) * spacing_seconds`, the middle of its part of the video. A window has `num_frames`
    successive points, and windows start every `stride` points.

    Example: windows of 2 seconds with 8 frames and a stride of 2 points. Points are at 0.125, 0.375, ... seconds and
    windows start at 0, 0.5, 1, ... seconds.

    Attributes:
        num_frames: T, frames of a clip.
        window_seconds: length of a window.
        stride: points from one window to the next, 1 to `num_frames`.

    >>> grid = Grid(num_frames=8, window_seconds=2.0, stride=2)
    >>> grid.spacing_seconds, grid.num_points(3.1), list(grid.starts(3.1))
    (0.25, 12, [0, 2, 4])
    """

    num_frames: int
    window_seconds: float
    stride: int

    @property
    def spacing_seconds(self) -> float:
        """Seconds from one point to the next."""
        return self.window_seconds / self.num_frames

    @property
    def stride_seconds(self) -> float:
        """Seconds from one window to the next."""
        return self.stride * self.spacing_seconds

    def num_points(self, duration_seconds: float) -> int:
        """Points of a video that is at least as long as a window."""
        return max(self.num_frames, round(duration_seconds / self.spacing_seconds))

    def starts(self, duration_seconds: float) -> Iterator[int]:
        """The first point of each window; the last window ends with the last point."""
        last = self.num_points(duration_seconds) - self.num_frames
        yield from range(0, last, self.stride)
        yield last

    def seconds(self, point: int) -> float:
        """The time of a point."""
        return (point + 0.5) * self.spacing_seconds

    def frames(self, frame_seconds: Sequence[float] | NDArray[np.float64], duration_seconds: float) -> list[int]:
        """The number of the frame that is shown at each point.

        >>> Grid(num_frames=4, window_seconds=2.0, stride=1).frames([0.0, 0.5, 1.0, 1.8], 2.0)
        [0, 1, 2, 2]

        Args:
            frame_seconds: start of each frame, ascending, from 0.
            duration_seconds: length of the video.
        """
        times = (self.seconds(point) for point in range(self.num_points(duration_seconds)))
        return [max(bisect_right(frame_seconds, time) - 1, 0) for time in times]


def choose_grid(
    num_frames: int, *, window_seconds: float, stride_seconds: float | None, duration_seconds: float | None = None
) -> Grid:
    """The grid for a video.

    Args:
        num_frames: T, frames of a clip.
        window_seconds: length of a window. A shorter video gets one window as long as the video.
        stride_seconds: from one window to the next, rounded to whole points. Default: a quarter of the window.
        duration_seconds: length of the video; None: unlimited.

    Raises:
        ValueError: a length is not above 0, or windows would leave gaps.
    """
    if not 0 < window_seconds < float("inf"):
        raise ValueError(f"{window_seconds = } must be more than 0.")
    if stride_seconds is not None and not 0 < stride_seconds <= window_seconds:
        raise ValueError(
            f"{stride_seconds = } must be more than 0 and at most {window_seconds = }: a longer stride leaves gaps."
        )
    if duration_seconds is not None and duration_seconds < window_seconds:
        return Grid(num_frames=num_frames, window_seconds=duration_seconds, stride=num_frames)
    spacing = window_seconds / num_frames
    points = num_frames / MIN_STRIDES if stride_seconds is None else stride_seconds / spacing
    return Grid(num_frames=num_frames, window_seconds=window_seconds, stride=max(1, round(points)))
