"""Videos given as bytes or as an open file: stored in a temporary file, so that they are read like any other."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOBase
from pathlib import Path
from typing import IO

from side4video.video.remote import is_path, video_path
from side4video.video.video_error import VideoError

VideoSource = str | Path | bytes | IO[bytes]
"""A path, or the content of a video file: bytes, or a file object opened in binary mode."""


@contextmanager
def as_path(source: VideoSource) -> Iterator[Path]:
    """Yield the path of a video; bytes and file objects are written to a temporary file that is removed afterwards.

    A file object is read from its beginning if it can seek, and stays open.

    >>> with as_path(Path("clip.mp4").read_bytes()) as path:
    ...     path.stat().st_size == Path("clip.mp4").stat().st_size
    True

    Raises:
        TypeError: `source` is neither a path nor the content of a file.
        VideoError: it is empty.
    """
    if is_path(source):
        yield video_path(source)
        return
    if isinstance(source, TextIOBase) or not (isinstance(source, bytes) or hasattr(source, "read")):
        kind = f"{type(source).__module__}.{type(source).__qualname__}"
        raise TypeError(
            f"The video is of type {kind}. Give a path, bytes, or a file opened with open(path, 'rb'); for decoded "
            "frames use predict_frames or embed_frames."
        )
    with tempfile.NamedTemporaryFile(prefix="side4video.", suffix=".video") as file:
        if isinstance(source, bytes):
            file.write(source)
        else:
            if source.seekable():
                source.seek(0)
            shutil.copyfileobj(source, file)
        file.flush()
        if not file.tell():
            raise VideoError(name_of(source), "it is empty.", "no-frames")
        yield Path(file.name)


def name_of(source: VideoSource) -> str:
    """The name of a video for results and errors.

    >>> name_of("clip.mp4"), name_of(b"...")
    ('clip.mp4', '3 bytes')
    """
    if isinstance(source, bytes):
        return f"{len(source)} bytes"
    return str(source) if is_path(source) else str(getattr(source, "name", "a file object"))
