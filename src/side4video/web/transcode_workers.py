"""What is decoded for clients, in processes that are ended when it takes too long or too much memory."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from side4video.checking.workers import Lost, run_with_timeout
from side4video.video.playback import is_video_container, write_clip
from side4video.video.video_error import VideoError
from side4video.video.video_file import VideoFile

_READ_FRAMES = 32  # of an upload, spread over it
_READ_AT_ONCE = 4
_MEMORY_BYTES = 2 * 2**30


class NotDecodedError(RuntimeError):
    """A video that could not be decoded, as a sentence.

    Attributes:
        took_too_long: it was ended after its time.
    """

    def __init__(self, reason: str, *, took_too_long: bool = False) -> None:
        super().__init__(reason)
        self.took_too_long = took_too_long


@dataclass(frozen=True)
class UploadTask:
    """A file from a client, and what it may be at most."""

    path: Path
    max_seconds: float
    max_pixels: int


@dataclass(frozen=True)
class ClipTask:
    """A part of a video to make for the browser."""

    path: Path
    out: Path
    start_seconds: float
    end_seconds: float


async def decode_apart(work: Callable[[Any], str | None], task: object, *, seconds: float) -> None:
    """Run `work` in a process of its own; what it returns is why the task could not be done.

    Raises:
        NotDecodedError: it says so, died, or took longer than `seconds`.
    """

    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def tell(result: Any) -> None:
        if not answer.done():
            answer.set_result(result)

    def wait() -> None:
        try:
            result = next(run_with_timeout(work, [task], processes=1, seconds=seconds, memory_bytes=_MEMORY_BYTES))[1]
        except Exception as error:  # no process could be started; whoever waits must hear of it
            result = Lost("crash", str(error))
        with suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(tell, result)

    threading.Thread(target=wait, daemon=True).start()  # of no pool: the server's end does not wait for it
    result = await answer
    if isinstance(result, Lost):
        took_too_long = result.kind == "time-out"
        reason = f"Decoding it took longer than {seconds:g} seconds." if took_too_long else "It cannot be decoded."
        raise NotDecodedError(reason, took_too_long=took_too_long)
    if result is not None:
        raise NotDecodedError(result)


def start_processes(_: object) -> None:
    """Nothing: what it takes to start the first process is over when the first clip comes."""


def check_upload(task: UploadTask) -> str | None:
    """Why an uploaded file is not taken: it is no video, too long or too large, or frames of it cannot be decoded.

    The frames are read as the model reads them later, in the server's own process.
    """
    if not is_video_container(task.path):
        return "This is not a video that can be read."
    try:
        with VideoFile(task.path) as video:
            if video.duration_seconds > task.max_seconds:
                length, most = video.duration_seconds, task.max_seconds
                return f"The clip is {length:.0f} seconds long; at most {most:.0f} are taken."
            if video.height * video.width > task.max_pixels:
                return f"Its pictures of {video.width} x {video.height} pixels are too large."
            step = max(1, video.num_frames // _READ_FRAMES)
            numbers = [*range(0, video.num_frames, step), video.num_frames - 1]
            for first in range(0, len(numbers), _READ_AT_ONCE):
                video.read_pictures(numbers[first : first + _READ_AT_ONCE])
    except VideoError as error:
        return f"This video cannot be read: {error.reason}"
    return None


def make_clip(task: ClipTask) -> str | None:
    """Write a part of a video as the browser plays it, or say why that is not possible."""
    try:
        write_clip(task.path, task.out, start_seconds=task.start_seconds, end_seconds=task.end_seconds)
    except VideoError as error:
        return error.reason
    return None
