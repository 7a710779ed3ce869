"""The state of a video file, on this machine or in a store: what shows that it is the one that was indexed."""

import hashlib
from pathlib import Path

from side4video.checking.content import hash_content
from side4video.video.remote import StoreError, about_file, is_address, state_from, video_path
from side4video.video.remote_listing import About
from side4video.video.video_error import VideoError

_CONTENT_TAGS = {"s3": "ETag", "s3a": "ETag", "gs": "md5Hash", "gcs": "md5Hash", "hf": "blob_id"}
"""The field of each kind of store that is equal for equal content: files that were moved or copied are recognised."""


def state_of_file(path: str | Path, about: About | None = None) -> tuple[int, int]:
    """Size in bytes, and modification time in nanoseconds since 1970; of an address, a number for its tag or time.

    Args:
        path: the file, or its address.
        about: what the store states, if it was asked.

    Raises:
        OSError: there is no such file, or the store does not answer.
    """
    place = video_path(path)
    if not is_address(place):
        state = place.stat()
        return state.st_size, state.st_mtime_ns
    size, changed = state_from(about_file(place) if about is None else about)
    return size, int.from_bytes(hashlib.blake2b(changed.encode(), digest_size=8).digest()) >> 1  # int64 in the index


def content_of_file(path: str | Path, about: About | None = None) -> str:
    """A hash that is equal for files with equal content.

    A file in a store is not read. Its hash is that of the store (`_CONTENT_TAGS`). Other servers have none: the hash
    is then made of address, size and entity tag or time, and equal files at two addresses are two contents.

    Raises:
        OSError: the file cannot be read.
    """
    place = video_path(path)
    if not is_address(place):
        return hash_content(place)
    about = about_file(place) if about is None else about
    kind = str(place).partition("://")[0]
    tag = about.get(_CONTENT_TAGS.get(kind, ""))
    facts = [kind, tag, about.get("size")] if tag else [str(place), *state_of_file(place, about)]
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()


def reason_of(error: OSError | VideoError) -> str:
    """Why a file cannot be read, as a sentence.

    >>> reason_of(PermissionError(13, "Permission denied"))
    'it cannot be read (Permission denied).'
    """
    if isinstance(error, VideoError | StoreError):
        return error.reason
    return f"it cannot be read ({error.strerror or error})."
