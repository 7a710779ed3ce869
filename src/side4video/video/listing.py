"""Lists the frames of a video file: reads or finds all its packets once."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from side4video.video import packets
from side4video.video.container import frame_rate
from side4video.video.frame_table import FrameTable, seconds_since_first
from side4video.video.open_file import OpenFile
from side4video.video.orientation import orientation_of
from side4video.video.remote import is_address
from side4video.video.video_error import VideoError

INDEXED_FROM_FRAMES = 1000
"""MP4 files on disk with fewer frames are read through, which takes less time than opening them twice."""


def list_frames(file: OpenFile) -> FrameTable:
    """The table of all frames of a file, in display order.

    >>> from pathlib import Path
    >>> list_frames(OpenFile(Path("clip.mp4"))).end_seconds
    2.0

    Raises:
        VideoError: The file has no video stream, or none of its frames can be decoded.
    """
    container, stream = file.rewind()
    known = None
    if stream.frames >= INDEXED_FROM_FRAMES or (stream.frames and is_address(file.path)):
        known = packets.indexed_packets(file.path, container, stream)
        container, stream = file.rewind()
    first, described = packets.scan(container, stream, known)
    if first is None:
        raise VideoError(file.path, f"no frame can be decoded ({len(described)} packets).", "no-frames")
    fps = frame_rate(stream)
    num_listed, time_base = stream.frames, Fraction(stream.time_base or 1)
    facts = packets.container_facts(container, stream, described)
    keys = packets.key_times(described, container)
    times = packets.display_times(described, container, stream)
    if not times:
        is_joined = packets.jump_back(described, stream)
        decoded = [frame.pts for frame in file.decode_all()]  # closes `container` and `stream`
        if not decoded:
            reason = "one frame could be decoded, but not a second time. The file is corrupt."
            raise VideoError(file.path, reason, "damaged")
        seconds = _seconds_of_decoded(decoded, time_base, fps, is_joined=is_joined)
    else:
        seconds = seconds_since_first(np.array(times), time_base)
    if len(seconds) > 1:
        fps = (len(seconds) - 1) / seconds[-1]
    return FrameTable(
        times=np.array(times) if times else None,
        seconds=seconds,
        end_seconds=float(seconds[-1] + 1 / fps),
        keys=np.array(keys, np.int64),
        height=first.height,
        width=first.width,
        **orientation_of(first)._asdict(),
        num_listed=num_listed,
        container=facts,
    )


def _seconds_of_decoded(
    times: Sequence[int | None], time_base: Fraction, fps: float, *, is_joined: bool
) -> NDArray[np.float64]:
    """When each decoded frame is shown: by the times of the frames, or by its number if they are missing or repeated.

    In AVIs, which store no display times, and near damage, FFmpeg may assign the right times to frames in the wrong
    order. In joined recordings times start again.
    """
    known = [time for time in times if time is not None]
    if not is_joined:
        known.sort()
    if len(known) == len(times) and all(first < second for first, second in pairwise(known)):
        return seconds_since_first(np.array(known), time_base)
    return np.arange(len(times)) / fps
