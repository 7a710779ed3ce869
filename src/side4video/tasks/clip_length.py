"""The length of training clips, which the windows of a timeline have too."""

from collections.abc import Sequence
from statistics import median

from side4video.data.lists.annotations import LabelledVideo
from side4video.video.container import listed_seconds

MOST_READ = 101
"""Number of clips whose length is read: the median of a sample is close enough, and reading takes time."""


def median_clip_seconds(videos: Sequence[LabelledVideo]) -> float | None:
    """The median length of up to `MOST_READ` clips, spread evenly over the list; None if no length is known.

    Lengths come from the list's times, or from the file's header. Frame folders have none.

    >>> from pathlib import Path
    >>> median_clip_seconds([LabelledVideo(path=Path("clip.mp4"), label=None, name="clip")])
    2.0
    """
    count = min(len(videos), MOST_READ)
    lengths = [_length(videos[place * len(videos) // count]) for place in range(count)]
    known = [length for length in lengths if length is not None and length > 0]
    return round(median(known), 3) if known else None


def _length(video: LabelledVideo) -> float | None:
    start = video.start_seconds or 0.0
    if video.end_seconds is not None:
        return video.end_seconds - start
    whole = listed_seconds(video.path)
    return None if whole is None else whole - start
