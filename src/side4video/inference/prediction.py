"""What a `Predictor` returns for one video."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ClassScore:
    """A class and its score, 0..1: softmax, or sigmoid if videos can show several classes.

    >>> ClassScore("clockwise", 0.9).name
    'clockwise'
    """

    name: str
    score: float
    threshold: float | None = None
    """The score from which on the class counts as shown, if videos can show several classes."""


@dataclass(frozen=True)
class VideoPrediction:
    """The best classes of one video.

    >>> from side4video import Predictor
    >>> prediction = Predictor("adapter", device="cpu").predict_video("clip.mp4", top_k=1)
    >>> prediction.path, len(prediction.classes), prediction.seconds > 0
    (PosixPath('clip.mp4'), 1, True)
    """

    path: Path
    classes: tuple[ClassScore, ...]
    """Best first. If videos can show several classes and no number was requested: all classes that reach their
    threshold, possibly none."""
    seconds: float
    """Time for decoding and inference. With loader processes: time for waiting and inference."""
