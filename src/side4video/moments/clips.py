"""Moments cut out of their videos, one file each."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from side4video.moments.moment import Moment
from side4video.video.cutting import copy_clip
from side4video.video.playback import write_clip

CutMode = Literal["exact", "copy"]
"""exact: the frames of the moment, encoded again as H.264. copy: the compressed pictures as they are in the file, from
the last key frame before the moment on: fast and without loss, but it starts earlier."""
WHOLE_SIZE = 1_000_000  # pixels: exact clips keep the size of the video


def cut_moments(
    moments: Sequence[Moment], folder: Path, *, mode: CutMode = "exact", padding_seconds: float = 0.0
) -> list[Path]:
    """Write each moment to a file in `folder` and return the files, in the order of the moments.

    A file is named after its video, its number, its start and its name, so that files sort by video and time:
    `film-0003-0061.50s-clockwise.mp4`. Existing files with these names are replaced.

    Args:
        moments: moments of one or several videos.
        folder: created if it does not exist.
        mode: see `CutMode`.
        padding_seconds: added before and after each moment, within the video.

    Raises:
        ValueError: the padding is negative.
        VideoError: a video cannot be read, or copying is not possible.
    """
    if not padding_seconds >= 0:
        raise ValueError(f"{padding_seconds = } must be 0 or more.")
    files = []
    for number, moment in enumerate(moments, start=1):
        span = {
            "start_seconds": max(moment.start_seconds - padding_seconds, 0.0),
            "end_seconds": moment.end_seconds + padding_seconds,
        }
        place = folder / _file_name(number, moment, mode)
        if mode == "copy":
            copy_clip(moment.path, place, **span)
        else:
            write_clip(moment.path, place, **span, largest_side=WHOLE_SIZE)
        files.append(place)
    return files


def _file_name(number: int, moment: Moment, mode: CutMode) -> str:
    name = re.sub(r"\W+", "_", moment.name).strip("_")[:60]
    suffix = moment.path.suffix if mode == "copy" else ".mp4"
    return f"{moment.path.stem}-{number:04}-{moment.start_seconds:07.2f}s-{name}{suffix}"
