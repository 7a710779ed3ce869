"""Segments by frame numbers: their times, by a given frame rate or by the frames of the video file itself."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from side4video.data.lists.rows import Row
from side4video.data.lists.text_files import DataError
from side4video.video.decoding import VideoError, VideoFile, open_video, shared_cache


def frames_to_seconds(
    rows: Sequence[Row], paths: Sequence[Path], *, fps: float | None, source: Path
) -> tuple[list[Row], tuple[str, ...]]:
    """Replace the frame numbers of rows by seconds; return the rows and a sentence about the frame rate.

    Times lie between two frames, against rounding: frame n of a rate starts at (n - 0.5) / fps.

    Args:
        rows: rows, some with `frames`.
        paths: the file of each row.
        fps: frames per second. Default: the rate that a row states, else the times of the frames in the video file.
        source: the list, for errors.

    Raises:
        DataError: a frame folder has no frame rate.
    """
    if not any(row.frames for row in rows):
        return list(rows), ()
    tables: dict[Path, NDArray[np.float64] | None] = {}
    found = []
    for row, path in zip(rows, paths, strict=True):
        rate = fps or row.fps
        if row.frames is None:
            found.append(row)
            continue
        if rate is None and path not in tables:
            tables[path] = _frame_times(path, row, source)
        table = None if rate is not None else tables[path]
        first, last = (None if number is None else _boundary(number, rate, table) for number in row.frames)
        found.append(row._replace(start_seconds=first, end_seconds=last, frames=None))
    if fps is not None:
        note = f"Frame numbers are read at {fps:g} frames per second (--data.fps)."
    elif tables:
        note = "Frame numbers are those of the video files; --data.fps gives another frame rate and opens no file."
    else:
        note = "Frame numbers are read at the frames per second that the list states."
    return found, (note,)


def _frame_times(path: Path, row: Row, source: Path) -> NDArray[np.float64] | None:
    """The time of each frame; None for files that are missing or unreadable, which later checks report."""
    if path.is_dir():
        line = "" if row.line is None else f", line {row.line}"
        raise DataError(
            f"{source}{line}: {row.name} is a folder of frames. Frame numbers need the frames per second: give "
            "--data.fps."
        )
    try:
        with open_video(path, cache=shared_cache()) as video:
            assert isinstance(video, VideoFile)
            return video.frame_seconds
    except VideoError:
        return None


def _boundary(number: float, fps: float | None, table: NDArray[np.float64] | None) -> float:
    """The time between frame `number` and the one before."""
    if fps is not None or table is None:
        return max(number - 0.5, 0.0) / (fps or 1.0)
    place = round(number)
    if place == 0:
        return 0.0
    if place >= len(table):
        step = table[-1] / (len(table) - 1) if len(table) > 1 else 1.0
        return float(table[-1] + step * (place - len(table) + 0.5))
    return float(table[place - 1] + table[place]) / 2
