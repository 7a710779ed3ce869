"""Open a video file for reading with PyAV, whose versions take different arguments, and explain its errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from side4video.video.file_access import ffmpeg_input, is_on_disk, open_bytes
from side4video.video.remote import StoreError
from side4video.video.shard_index import ShardError
from side4video.video.video_error import VideoError

# Some files (in HMDB51, for example) have metadata that is not UTF-8. Before PyAV 19 this is an error unless ignored.
_METADATA_OPTIONS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}

_LISTS = {"concat", "hls", "applehttp", "dash", "imf", "sdp", "rtsp", "rtp", "sap", "vobsub", "lavfi", "avisynth"}
_LISTS |= {"vapoursynth", "dvdvideo"}
_TEXTS = {"tty", "bin", "xbin", "adf", "idf"}  # FFmpeg draws the text of any file with a name such as notes.txt
_VIDEOS = {
    "format_whitelist": ",".join(
        sorted(name for name in av.formats_available if (_LISTS | _TEXTS).isdisjoint(name.split(",")))
    )
}
"""All formats but those of texts, and those whose files name other files and addresses. FFmpeg detects formats by their
content: a file of any name may be such a list, and FFmpeg would open the files that it names, such as hidden ones."""
_LIST_STARTS = (b"ffconcat", b"#EXTM3U", b"v=0", b"# VobSub")
_LIST_ELEMENTS = (b"<MPD", b"CompositionPlaylist>")

_NO_OTHER_ADDRESS = {"protocol_whitelist": "none"}
"""The same for a remote file or a member of a remote shard, in case that FFmpeg knows a format of lists that is not in
`_LISTS`."""

UNKNOWN_FPS = 25.0
"""Of a stream that states no frame rate."""

FFMPEG_VERSION = repr(sorted(av.library_versions.items()))
"""Other versions may list other packets of a file."""


class PlaylistError(ValueError):
    """A file is a list of other files or addresses, such as a playlist, and not a video.

    >>> str(PlaylistError())
    'it is a list of other files or addresses (a playlist), not a video.'
    """

    def __init__(self) -> None:
        super().__init__("it is a list of other files or addresses (a playlist), not a video.")


def file_address(path: Path) -> str:
    """The address of a file for FFmpeg, which takes the part of a name before a colon for a protocol.

    >>> file_address(Path("10:15.mp4"))
    'file:10:15.mp4'
    """
    return f"file:{path}"


def open_container(path: str | Path, options: dict[str, str] | None = None, **more: Any) -> InputContainer:
    """Open a file to read its packets; use it as a context manager.

    >>> with open_container("clip.mp4") as container:
    ...     container.streams.video[0].average_rate
    Fraction(12, 1)

    Args:
        path: the file as a `Path`, whose name may contain colons, or a path of `remote.video_path`, which must not be a
            list of other files; or text, an address that FFmpeg understands.
        options: FFmpeg's options for the container.
        more: further arguments of `av.open`.

    Raises:
        PlaylistError: the file is a list of other files.
        av.FFmpegError, OSError, ValueError: FFmpeg cannot read the file.
    """
    if isinstance(path, str):
        return av.open(path, "r", options=options, **_METADATA_OPTIONS, **more)
    given = ffmpeg_input(path)
    options = {**_VIDEOS, **(options or {}), **({} if isinstance(given, str) else _NO_OTHER_ADDRESS)}
    try:
        return av.open(given, "r", options=options, **_METADATA_OPTIONS, **more)
    except av.FFmpegError as error:
        if _is_list(path):
            raise PlaylistError from error
        raise


def _is_list(path: Path) -> bool:
    try:
        with open_bytes(path) as file:
            start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    except (OSError, ShardError):
        return False
    return start.startswith(_LIST_STARTS) or (start.startswith(b"<") and any(one in start for one in _LIST_ELEMENTS))


def video_stream(container: InputContainer) -> VideoStream | None:
    """The best video stream; None if there is none but the cover picture of a piece of music.

    >>> with open_container("clip.mp4") as container:
    ...     video_stream(container).width
    32
    """
    best = container.streams.best("video")
    for stream in (best, *container.streams.video):
        if isinstance(stream, VideoStream) and not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def frame_rate(stream: VideoStream) -> float:
    """Frames per second as the file states or FFmpeg guesses them, else `UNKNOWN_FPS`.

    A raw stream such as .h264 has no times. FFmpeg states 25 for all of them, and guesses what the pictures state.

    >>> with open_container("clip.mp4") as container:
    ...     frame_rate(container.streams.video[0])
    12.0
    """
    stated, guessed = stream.average_rate, stream.guessed_rate
    return float((guessed or stated if stream.start_time is None else stated or guessed) or UNKNOWN_FPS)


def listed_seconds(path: Path) -> float | None:
    """The length that a file's header states, in seconds; None: not stated, or the file cannot be read.

    >>> listed_seconds(Path("clip.mp4"))
    2.0
    """
    if is_on_disk(path) and not path.is_file():
        return None
    try:
        with open_container(path) as container:
            return None if container.duration is None else container.duration / av.time_base
    except (av.FFmpegError, OSError, ValueError):
        return None


@contextmanager
def raising_video_errors(path: Path) -> Iterator[None]:
    """In the block, errors of the decoder, the disk or a store become a `VideoError` of this file."""
    try:
        yield
    except FileNotFoundError as error:
        raise VideoError(path, "there is no such file.", "missing") from error
    except StoreError as error:
        raise VideoError(path, error.reason) from error
    except PlaylistError as error:
        raise VideoError(path, str(error)) from error
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error  # FFmpeg's text repeats the path
        is_empty = is_on_disk(path) and path.is_file() and not path.stat().st_size
        why = "is empty: 0 bytes" if is_empty else f"cannot be decoded ({type(error).__name__}: {reason})"
        raise VideoError(path, f"the file {why}.") from error
