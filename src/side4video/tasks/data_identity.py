"""Recognise the data set of a run by its content, so that the run can be resumed after the files have moved."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from side4video.data.lists.annotations import LabelledVideo
from side4video.video.file_access import open_bytes, state_or_none
from side4video.video.remote import is_address
from side4video.video.shard_index import ShardError

MOST_SIZES = 10_000
"""Videos whose sizes are compared: on a network disk each takes a request. Of larger sets, evenly chosen ones."""
MOST_CONTENTS = 50
HASHED_BYTES = 2**16
"""Bytes at the beginning of a file that are compared, of `MOST_CONTENTS` evenly chosen videos."""


def identify_videos(videos: Sequence[LabelledVideo], texts: Sequence[Any] = ()) -> dict[str, Any]:
    """The number of videos, and a hash of their order, labels, times, sizes and of a part of their content.

    Paths and names do not count.

    Args:
        videos: of one set, in order.
        texts: class names or captions.

    >>> found = identify_videos([LabelledVideo(Path("clip.mp4"), 0, "clip.mp4")])
    >>> found["videos"], len(found["sha256"])
    (1, 64)
    """
    digest = hashlib.sha256(json.dumps(list(texts)).encode())
    sized, read = (_evenly(len(videos), most) for most in (MOST_SIZES, MOST_CONTENTS))
    for place, video in enumerate(videos):
        about = [video.label, video.labels, video.start_seconds, video.end_seconds]
        digest.update(json.dumps([*about, _size(video.path) if place in sized else None]).encode())
        if place in read:
            digest.update(_beginning(video.path))
    return {"videos": len(videos), "sha256": digest.hexdigest()}


def _evenly(count: int, most: int) -> set[int]:
    return set(range(count)) if count <= most else {place * count // most for place in range(most)}


def _size(path: Path) -> int | None:
    """Bytes of a file, or number of files in a folder of frames; None if it is missing."""
    if not is_address(path) and path.is_dir():
        try:
            return len(os.listdir(path))  # noqa: PTH208 - only the count
        except OSError:
            return None
    state = state_or_none(path)
    return None if state is None else state[0]


def _beginning(path: Path) -> bytes:
    """The first bytes of a file, or of the first, the middle and the last file in a folder of frames."""
    if is_address(path):  # its size is compared
        return b""
    if path.is_dir():
        names = sorted(os.listdir(path))  # noqa: PTH208 - only the names
        return b"".join(_beginning(path / names[place]) for place in {0, len(names) // 2, len(names) - 1} if names)
    try:
        with open_bytes(path) as file:
            return file.read(HASHED_BYTES)
    except (OSError, ShardError):  # missing, or a folder of frames
        return b""
