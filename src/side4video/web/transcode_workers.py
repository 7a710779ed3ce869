"""Decode and transcode for clients in processes that are killed if they need too much time or memory."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from side4video.checking.workers import FailedItem, run_with_timeout
from side4video.search.photos import is_photo, read_photo
from side4video.video.playback import is_video_container, write_clip
from side4video.video.video_error import VideoError
from side4video.video.video_file import VideoFile

_CHECKED_FRAMES = 32  # of an upload, evenly spaced
_FRAMES_PER_READ = 4
_MEMORY_BYTES = 2 * 2**30


class NotDecodedError(RuntimeError):
    """A video could not be decoded; the message is a sentence for the user.

    Attributes:
        timed_out: whether decoding was stopped by the timeout.

    >>> NotDecodedError("Decoding took longer than 30 seconds.", timed_out=True).timed_out
    True
    """

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


@dataclass(frozen=True)
class UploadTask:
    """An uploaded file with its limits.

    >>> check_upload(UploadTask(Path("clip.mp4"), max_seconds=1, max_pixels=10**6))
    'The clip is 2 seconds long; the maximum is 1 seconds.'
    """

    path: Path
    max_seconds: float
    max_pixels: int


@dataclass(frozen=True)
class ClipTask:
    """A part of a video to transcode for the browser; width and height are at most `largest_side` pixels.

    >>> make_clip(ClipTask(Path("clip.mp4"), Path("part.mp4"), start_seconds=0.5, end_seconds=1.5)) is None
    True
    >>> with VideoFile(Path("part.mp4")) as part:
    ...     part.duration_seconds
    1.0
    """

    path: Path
    out: Path
    start_seconds: float
    end_seconds: float
    largest_side: int = 854


async def decode_in_subprocess(work: Callable[[Any], str | None], task: object, *, seconds: float) -> None:
    """Run `work` in a separate process. `work` returns the reason of a failure, or None.

    Raises:
        NotDecodedError: `work` returned a reason, its process died, or it took longer than `seconds`.
    """

    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def set_result(result: Any) -> None:
        if not future.done():
            future.set_result(result)

    def wait() -> None:
        try:
            result = next(run_with_timeout(work, [task], processes=1, seconds=seconds, memory_bytes=_MEMORY_BYTES))[1]
        except Exception as error:  # the process did not start; the waiting client needs a response
            result = FailedItem("crash", str(error))
        with suppress(RuntimeError):  # the server has stopped in the meantime
            loop.call_soon_threadsafe(set_result, result)

    threading.Thread(target=wait, daemon=True).start()  # not in a pool: shutdown must not wait for it
    result = await future
    if isinstance(result, FailedItem):
        timed_out = result.kind == "time-out"
        reason = f"Decoding took longer than {seconds:g} seconds." if timed_out else "The video cannot be decoded."
        raise NotDecodedError(reason, timed_out=timed_out)
    if result is not None:
        raise NotDecodedError(result)


def warm_up(_: object) -> None:
    """Does nothing. Running it early moves the start-up time of the first process before the first clip."""


def check_upload(task: UploadTask) -> str | None:
    """The reason to reject an uploaded file: not a video, too long, too large, or with corrupt frames; None: accepted.

    Frames are decoded as the model decodes them later in the server's own process.
    """
    if is_photo(task.path):
        return _check_photo(task)
    if not is_video_container(task.path):
        return "This file is not a supported video or photo."
    try:
        with VideoFile(task.path) as video:
            if video.duration_seconds > task.max_seconds:
                length, maximum = video.duration_seconds, task.max_seconds
                return f"The clip is {length:.0f} seconds long; the maximum is {maximum:.0f} seconds."
            if video.height * video.width > task.max_pixels:
                return f"Its frames of {video.width} x {video.height} pixels are too large."
            step = max(1, video.num_frames // _CHECKED_FRAMES)
            numbers = [*range(0, video.num_frames, step), video.num_frames - 1]
            for first in range(0, len(numbers), _FRAMES_PER_READ):
                video.read_pictures(numbers[first : first + _FRAMES_PER_READ])
    except VideoError as error:
        return f"This video cannot be read: {error.reason}"
    return None


def _check_photo(task: UploadTask) -> str | None:
    try:
        photo = read_photo(task.path)
    except VideoError as error:
        return f"This photo cannot be read: {error.reason}"
    if photo.height * photo.width > task.max_pixels:
        return f"Its {photo.width} x {photo.height} pixels are too many."
    return None


def make_clip(task: ClipTask) -> str | None:
    """Write a part of a video in a format that browsers play; return the reason if that fails, else None."""
    try:
        span = {"start_seconds": task.start_seconds, "end_seconds": task.end_seconds}
        write_clip(task.path, task.out, **span, largest_side=task.largest_side)
    except VideoError as error:
        return error.reason
    return None
