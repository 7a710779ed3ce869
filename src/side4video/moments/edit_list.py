"""Moments as an edit list that editing programs open, through OpenTimelineIO."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from side4video.atomic_files import replacing
from side4video.moments.moment import Moment
from side4video.video.decoding import VideoFile, shared_cache

ROUNDING = 1e-6  # frames: a time this close to a frame is that frame's
MISSING = "Edit lists need OpenTimelineIO: pip install 'side4video[otio]'."


def check_edit_list(path: Path) -> None:
    """Check that an edit list can be written to `path`. Call this before minutes of work.

    Raises:
        ModuleNotFoundError: OpenTimelineIO is not installed.
        ValueError: its installed adapters do not write files with this suffix.
    """
    suffixes = _library().adapters.suffixes_with_defined_adapters(write=True)
    if path.suffix.removeprefix(".").lower() not in suffixes:
        listed = ", ".join(f".{suffix}" for suffix in sorted(suffixes))
        raise ValueError(
            f"{path}: edit lists are written as {listed}. Install an adapter of OpenTimelineIO for other formats, such "
            "as otio-cmx3600-adapter for .edl."
        )


def write_edit_list(path: Path, moments: Sequence[Moment], *, title: str, padding_seconds: float = 0.0) -> None:
    """Write the moments one after the other as clips of one track; each refers to its part of its video.

    Times are counted in frames of the video's average rate: the start is rounded down and the end up. A clip's
    metadata has the score under "side4video".

    Args:
        path: the file; its suffix names the format, .otio or one of an installed adapter.
        moments: moments of one or several videos, in the order of the track.
        title: name of the timeline.
        padding_seconds: added before and after each moment, within the video.

    Raises:
        ModuleNotFoundError, ValueError: see `check_edit_list`.
        VideoError: a video cannot be read.
    """
    check_edit_list(path)
    otio = _library()
    media = {video: _media(otio, video) for video in dict.fromkeys(moment.path for moment in moments)}
    track = otio.schema.Track(name="moments", kind=otio.schema.TrackKind.Video)
    for moment in moments:
        track.append(_clip(otio, moment, media[moment.path], padding_seconds))
    timeline = otio.schema.Timeline(name=title)
    timeline.tracks.append(track)
    with replacing(path) as temporary:
        named = temporary.with_suffix(path.suffix)  # the adapter goes by the suffix
        try:
            otio.adapters.write_to_file(timeline, str(named))
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)


def _media(otio: Any, path: Path) -> Any:
    with VideoFile(path, cache=shared_cache()) as video:
        rate, length = video.average_fps, video.num_frames
    time = otio.opentime.RationalTime
    return otio.schema.ExternalReference(
        target_url=path.absolute().as_uri(),
        available_range=otio.opentime.TimeRange(time(0, rate), time(length, rate)),
    )


def _clip(otio: Any, moment: Moment, media: Any, padding_seconds: float) -> Any:
    available = media.available_range
    rate, length = available.duration.rate, available.duration.value
    start = max(math.floor((moment.start_seconds - padding_seconds) * rate + ROUNDING), 0)
    stop = min(math.ceil((moment.end_seconds + padding_seconds) * rate - ROUNDING), length)
    time = otio.opentime.RationalTime
    return otio.schema.Clip(
        name=moment.name,
        media_reference=media.deepcopy(),
        source_range=otio.opentime.TimeRange(time(start, rate), time(max(stop - start, 1), rate)),
        metadata={"side4video": {"score": moment.score}},
    )


def _library() -> Any:
    try:
        import opentimelineio
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(MISSING) from error
    return opentimelineio
