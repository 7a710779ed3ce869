"""State and bytes of a video: a file of this machine, one at an address, or a member of a tar archive."""

import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

from side4video.video import remote, remote_file
from side4video.video.remote import is_address
from side4video.video.shard_index import ShardError
from side4video.video.shard_paths import find_range, open_range, split_member


def is_on_disk(path: Path) -> bool:
    """Whether this is a path of this machine's file system, not an address or a member of an archive.

    >>> is_on_disk(Path("clip.mp4"))
    True
    """
    return not is_address(path) and split_member(path) is None


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; True for addresses, which are not asked."""
    if is_on_disk(path):
        return path.exists()
    if split_member(path) is None:
        return True
    try:
        return find_range(path) is not None
    except (OSError, ShardError):
        return False


def state_of(path: Path) -> tuple[int, int | str]:
    """Size of a file in bytes, 0 if unknown, and its last change: nanoseconds since 1970, or its server's entity tag.

    A member of an archive changes with the archive.

    >>> state_of(Path("clip.mp4"))[0] == Path("clip.mp4").stat().st_size
    True

    Raises:
        OSError: there is no such file, or its server does not answer.
        ShardError: the archive of a member cannot be read.
    """
    place = find_range(path)
    return remote.state_of(path) if place is None else (place.size, place.modified)


def state_or_none(path: Path) -> tuple[int, int | str] | None:
    """The result of `state_of`; None if there is no such file, or it cannot be asked."""
    try:
        return state_of(path)
    except (OSError, ShardError):
        return None


def content_state(path: Path) -> tuple[int | str, ...] | None:
    """A value that changes with the content of a video: of a file its `state_of`, of a folder of frames a hash.

    The hash is of names, sizes and times of all files in the folder: files that are written again under the same names
    do not change the folder's own time. None if there is no such video, or it cannot be asked.

    >>> content_state(Path("clip.mp4")) == state_of(Path("clip.mp4"))
    True
    """
    if is_address(path) or not path.is_dir():
        return state_or_none(path)
    try:
        found = [(one.name, one.stat()) for one in os.scandir(path)]
    except OSError:
        return None
    states = sorted((name, state.st_size, state.st_mtime_ns) for name, state in found)
    return len(states), hashlib.sha256(repr(states).encode()).hexdigest()


def open_bytes(path: Path) -> io.BufferedReader:
    """Open a file to read it at any position.

    Raises:
        OSError: it cannot be read.
        ShardError: the archive of a member cannot be read.
    """
    place = find_range(path)
    return remote_file.open_bytes(path) if place is None else open_range(place)


def ffmpeg_input(path: Path) -> str | BinaryIO:
    """What FFmpeg opens: the address of a file or of a part of it, or a file object for what only Python reads.

    A colon in a name would otherwise end the name of a protocol.

    >>> ffmpeg_input(Path("10:15.mp4"))
    'file:10:15.mp4'
    """
    place = find_range(path)
    if place is None:
        return remote_file.open_bytes(path) if is_address(path) else f"file:{path}"
    if is_address(place.shard):
        return open_range(place)
    return f"subfile,,start,{place.offset},end,{place.offset + place.size},,:file:{place.shard}"
