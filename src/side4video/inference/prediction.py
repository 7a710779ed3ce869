"""What a `Predictor` returns for one video."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ClassScore:
    """A class and its softmax score, 0..1.

    >>> ClassScore("clockwise", 0.9).name
    'clockwise'
    """

    name: str
    score: float


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
    """Best first."""
    seconds: float
    """Time for decoding and inference. With loader processes: time for waiting and inference."""
