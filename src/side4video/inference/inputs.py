"""The video files that inputs of a command name: files, folders and glob patterns."""

import fnmatch
import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from side4video.parameters import as_list
from side4video.video.decoding import VIDEO_SUFFIXES, find_videos
from side4video.video.remote import can_list, is_address, matching
from side4video.video.shard_paths import (
    find_shards,
    list_path,
    names_shards,
    shards_directly_in,
    split_member,
    videos_in,
)


def expand_inputs(inputs: str | Iterable[str], *, exclude: Sequence[str] = ()) -> Iterator[Path]:
    """Expand files, folders (recursively), glob patterns and shards to videos, each once, in order.

    Hidden files and folders (`side4video.video.hidden`) in folders are ignored.

    Args:
        inputs: files, folders and glob patterns, also at addresses such as s3://bucket/clips; tar archives of videos.
        exclude: patterns of paths, or names of files and folders, that are left out.

    Raises:
        FileNotFoundError: an input matches no video.
    """
    seen: set[Path] = set()
    for given in as_list(inputs):
        path = list_path(given)
        if names_shards(path):
            found = [video for shard in find_shards(path) for video in videos_in(shard, VIDEO_SUFFIXES)]
        elif not can_list(path) or split_member(path) is not None:
            found = [path]
        elif path.is_dir():
            found = find_videos(path) or [path] * any(path.glob("*.[jp][pn]g"))  # else a folder of frames
            found = found or [video for shard in shards_directly_in(path) for video in videos_in(shard, VIDEO_SUFFIXES)]
        elif path.exists():
            found = [path]
        elif is_address(path):
            found = matching(path)
        else:
            found = [Path(match) for match in sorted(glob.glob(given, recursive=True))]  # noqa: PTH207 (absolute patterns)
        if not found:
            raise FileNotFoundError(
                f"{given!r} is not a video file or a folder with videos, and matches no file. Check the path."
            )
        found = [path for path in found if not _is_excluded(path, exclude)]
        yield from (path for path in found if not (path in seen or seen.add(path)))  # type: ignore[func-returns-value]


def _is_excluded(path: Path, patterns: Sequence[str]) -> bool:
    """Whether a pattern matches the whole path or the name of the file or of one of its folders."""
    names = (str(path), str(path.absolute()), *path.parts)
    return any(fnmatch.fnmatch(name, pattern.rstrip("/")) for pattern in patterns for name in names)
