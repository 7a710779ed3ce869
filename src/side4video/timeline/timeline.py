"""The settings and the result of a timeline."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from side4video.moments.moment import Moment
from side4video.parameters import check_number

DEFAULT_WINDOW_SECONDS = 4.0
"""Length of a window for adapters that do not state the length of their training clips."""

DEFAULT_MIN_SCORE = 0.3
"""Below this score the best class is background, if a video shows one class at a time."""


@dataclass(frozen=True)
class TimelineSettings:
    """How a video is cut into windows, and their scores into moments.

    Examples:
        >>> TimelineSettings(min_score=2.0).check()
        Traceback (most recent call last):
        ValueError: min_score = 2.0 must be a finite number, at least 0 and at most 1.
    """

    window_seconds: float | None = None
    """Length of a window. Default: the median length of the adapter's training clips; with dense sampling, the frames
    that a clip spans; 4 seconds if the adapter does not state it."""
    stride_seconds: float | None = None
    """From one window to the next. Default: a quarter of the window. Rounded to whole frames of a window."""
    min_score: float | None = None
    """Below this score the best class of a moment is background. 0 to 1. Scores are means over windows, half of them
    partly outside the moment, so they are lower than those of single clips. Default: 0.3; for adapters of several
    labels the threshold of each class."""
    min_seconds: float | None = None
    """Shorter moments are dropped, and shorter gaps inside a class closed. Default: the stride."""

    def check(self) -> None:
        """Check the thresholds.

        Raises:
            ValueError: one is out of range.
        """
        if self.min_score is not None:
            check_number(self.min_score, "min_score", minimum=0, maximum=1)
        for name, above, minimum in (
            ("window_seconds", 0, None),
            ("stride_seconds", 0, None),
            ("min_seconds", None, 0),
        ):
            if (value := getattr(self, name)) is not None:
                check_number(value, name, above=above, minimum=minimum)


@dataclass(frozen=True)
class Timeline:
    """Classes of a video over time.

    Attributes:
        path: the video.
        duration_seconds: its length.
        window_seconds: length of the windows; shorter than requested if the video is.
        stride_seconds: from one window to the next, rounded to the frame grid.
        min_score, min_seconds: the settings that cut the scores; a score of None stands for the thresholds of the
            adapter.
        num_windows: windows that were scored.
        num_frames: different frames that passed the frozen model, each once.
        moments: in order, without overlap unless videos can show several classes.

    >>> from side4video import Predictor
    >>> timeline = Predictor("adapter", device="cpu").timeline("clip.mp4", window_seconds=1.0, min_score=0.0)
    >>> timeline.num_windows, timeline.stride_seconds, timeline.moments[0].start_seconds
    (5, 0.25, 0.0)
    """

    path: Path
    duration_seconds: float
    window_seconds: float
    stride_seconds: float
    min_score: float | None
    min_seconds: float
    num_windows: int
    num_frames: int
    moments: tuple[Moment, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain lists and dictionaries."""
        return {
            "path": str(self.path),
            "duration_seconds": self.duration_seconds,
            "window_seconds": self.window_seconds,
            "stride_seconds": self.stride_seconds,
            "min_score": self.min_score,
            "min_seconds": self.min_seconds,
            "num_windows": self.num_windows,
            "num_frames": self.num_frames,
            "moments": [moment.to_json() for moment in self.moments],
        }
