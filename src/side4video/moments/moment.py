"""A named part of a video."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Moment:
    """A part of a video with a name and a score.

    Attributes:
        path: the video.
        start_seconds: start, counted from the first frame.
        end_seconds: end, exclusive.
        name: a class, or the words that were searched for.
        score: score of the name, higher is better.

    >>> moment = Moment(Path("film.mp4"), 61.5, 64.0, "clockwise", 0.9)
    >>> moment.to_json()["end_seconds"]
    64.0
    """

    path: Path
    start_seconds: float
    end_seconds: float
    name: str
    score: float

    def to_json(self) -> dict[str, str | float]:
        """Start, end, name and score, for JSON."""
        return {
            "start_seconds": self.start_seconds,
            "end_seconds": self.end_seconds,
            "name": self.name,
            "score": self.score,
        }


def clock_time(seconds: float, *, decimals: int = 0) -> str:
    """A time as minutes and seconds, with hours if there are any. Seconds are rounded, or cut after `decimals`.

    >>> clock_time(75.25), clock_time(75.25, decimals=1), clock_time(3661)
    ('1:15', '1:15.2', '1:01:01')
    """
    scale = 10**decimals
    count = int(seconds * scale) if decimals else round(seconds)
    minutes, rest = divmod(count // scale, 60)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{front}:{rest:02}" + (f".{count % scale:0{decimals}}" if decimals else "")
