"""What a live stream shows now: the window of its newest frames, classified once a stride."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import numpy as np
import torch

from side4video.timeline.encoding import EncodedFrame, WindowScorer
from side4video.timeline.grid import Grid
from side4video.video.live_reader import LiveEnd, LiveReader


@dataclass(frozen=True)
class LivePrediction:
    """The best classes of the newest window of a stream.

    Attributes:
        seconds: end of the window, in seconds since the first frame of the stream.
        time: when the classes were known.
        classes: pairs of class and softmax score, best first.
        lag_seconds: from the arrival of the window's last frame to its classes.
        dropped_frames: frames of the grid, since the beginning, that no window saw: the model was too slow for them.

    >>> time = datetime(2026, 1, 1, tzinfo=UTC)
    >>> found = LivePrediction(2.0, time, (("clockwise", 0.9),), lag_seconds=0.05, dropped_frames=0)
    >>> found.to_json()["classes"]
    [{'name': 'clockwise', 'score': 0.9}]
    """

    seconds: float
    time: datetime
    classes: tuple[tuple[str, float], ...]
    lag_seconds: float
    dropped_frames: int

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain lists and dictionaries."""
        return {
            "seconds": round(self.seconds, 3),
            "time": self.time.isoformat(timespec="milliseconds"),
            "classes": [{"name": name, "score": round(score, 6)} for name, score in self.classes],
            "lag_seconds": round(self.lag_seconds, 3),
            "dropped_frames": self.dropped_frames,
        }


def watch(
    reader: LiveReader, grid: Grid, scorer: WindowScorer, *, class_names: Sequence[str], top_k: int
) -> Iterator[LivePrediction | LiveEnd]:
    """Classify the newest window of a started reader, once a stride or as often as the model can, until the end.

    Each frame passes the frozen model once. The last item is a `LiveEnd`.
    """
    encoded: dict[int, EncodedFrame] = {}  # point -> frame, of the last window
    due, seen, dropped = 0, 0, 0  # `seen`: frames up to the last window
    while not isinstance(found := reader.newest(after=due), LiveEnd):
        new = [frame for frame in found if frame.point not in encoded]
        tokens = scorer.encode(torch.from_numpy(frame.picture).permute(2, 0, 1) for frame in new)
        encoded |= zip((frame.point for frame in new), tokens, strict=True)
        encoded = {frame.point: encoded[frame.point] for frame in found}
        scores = scorer.score([list(encoded.values())])[0].numpy()
        dropped += max(found[0].number - seen, 0)
        seen, due = found[-1].number + 1, found[-1].point + grid.stride
        best = np.argsort(-scores, kind="stable")[:top_k]
        yield LivePrediction(
            seconds=(found[-1].point + 1) * grid.spacing_seconds,
            time=datetime.now(UTC),
            classes=tuple((class_names[index], float(scores[index])) for index in best),
            lag_seconds=monotonic() - found[-1].arrived,
            dropped_frames=dropped,
        )
    yield found
