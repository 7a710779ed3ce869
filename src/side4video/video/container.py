"""Open a video file for reading with PyAV, whose versions take different arguments."""

from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from side4video.video.file_access import ffmpeg_input, is_on_disk

# Some files (in HMDB51, for example) have metadata that is not UTF-8. Before PyAV 19 this is an error unless ignored.
_METADATA_OPTIONS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}

_NO_OTHER_ADDRESS = {"protocol_whitelist": "none"}
"""A remote file or a member of a shard may be a playlist, whatever its name: FFmpeg then opens no address in it."""

FFMPEG_VERSION = repr(sorted(av.library_versions.items()))
"""Other versions may list other packets of a file."""


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
        path: the file as a `Path`, whose name may contain colons, or a path of `remote.video_path`; or text, an address
            that FFmpeg understands.
        options: FFmpeg's options for the container.
        more: further arguments of `av.open`.

    Raises:
        av.FFmpegError, OSError, ValueError: FFmpeg cannot read the file.
    """
    given = path if isinstance(path, str) else ffmpeg_input(path)
    if not isinstance(given, str):
        options = {**(options or {}), **_NO_OTHER_ADDRESS}
    return av.open(given, "r", options=options, **_METADATA_OPTIONS, **more)


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
