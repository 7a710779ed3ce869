"""The video files that inputs of a command name: files, folders, glob patterns, shards and lists."""

import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from side4video.data.lists.annotations import read_video_list
from side4video.parameters import as_list
from side4video.system.paths import as_listed
from side4video.video.decoding import VIDEO_SUFFIXES, find_videos
from side4video.video.hidden import is_hidden
from side4video.video.remote import can_list, is_address, listed_path, video_path
from side4video.video.remote_listing import About, list_remote, unlisted_error, walk
from side4video.video.shard_paths import (
    find_shards,
    list_path,
    names_shards,
    shards_directly_in,
    split_member,
    videos_in,
)

LIST_SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl")
"""File name endings of lists of videos."""


def expand_inputs(
    inputs: str | Iterable[str],
    *,
    exclude: Sequence[str] = (),
    root: str | Path | None = None,
    unlisted: list[OSError] | None = None,
) -> Iterator[Path]:
    """Expand files, folders (recursively), glob patterns, shards and lists to videos, each once, in order.

    Hidden files and folders (`side4video.video.hidden`) in folders are ignored.

    Args:
        inputs: files, folders and glob patterns, also at addresses such as s3://bucket/clips; tar archives of
            videos, and lists.
        exclude: patterns of paths, or names of files and folders, that are left out.
        root: base folder of the names in lists, see `list_paths`.
        unlisted: receives an error for each folder in an input that cannot be read.

    Raises:
        FileNotFoundError: an input matches no video.
        OSError: a folder cannot be read, and `unlisted` is None or the input matches no video.
        StoreError: a store does not answer, or refuses access.
        DataError: a list cannot be read.
    """
    seen: set[Path] = set()
    for given in as_list(inputs):
        path, failed = listed_path(list_path(given)), list[OSError]()
        if is_list(given):
            found = list_paths(given, root)
        elif names_shards(path):
            found = [video for shard in find_shards(path) for video in videos_in(shard, VIDEO_SUFFIXES)]
        elif split_member(path) is not None:
            found = [path]
        elif is_address(path):
            found = _at_address(path)
        elif path.exists():
            found = _at_path(path, failed)
        else:
            found = [video for match in _matches(given, failed) for video in _at_path(match, failed)]
        failed = [error for error in failed if not is_excluded(Path(error.filename), exclude)]
        if failed and (unlisted is None or not found):
            raise unlisted_error(failed[0])
        if unlisted is not None:
            unlisted += failed
        if not found:
            raise FileNotFoundError(_nothing_found(given))
        found = [path for path in found if not is_excluded(path, exclude)]
        yield from (path for path in found if not (path in seen or seen.add(path)))  # type: ignore[func-returns-value]


def _at_path(path: Path, unlisted: list[OSError]) -> list[Path]:
    """A file, or the videos in a folder, or a folder of frames."""
    if not path.is_dir():
        return [path]
    found = find_videos(path, unlisted=unlisted) or [path] * any(path.glob("*.[jp][pn]g"))
    return found or [video for shard in shards_directly_in(path) for video in videos_in(shard, VIDEO_SUFFIXES)]


def _matches(pattern: str, unlisted: list[OSError]) -> list[Path]:
    """The folders and videos that match a pattern; other files only if nothing else matches. `a/**` is the folder a."""
    parts = list(Path(pattern).parts)
    while parts[-1:] == ["**"] or parts[-2:] == ["**", "*"]:
        parts.pop()
    paths = list(map(Path, as_listed(sorted(_matching(str(Path(*parts)), unlisted)))))
    shown = [path for path in paths if not is_hidden(path.name)]
    return [path for path in shown if path.name.lower().endswith(VIDEO_SUFFIXES) or path.is_dir()] or shown


def _matching(pattern: str, unlisted: list[OSError]) -> set[str]:
    """The paths that match. `**` follows links to folders; the shortest path of a file counts."""
    parts = Path(pattern).parts
    if "**" not in parts:
        return set(glob.glob(pattern))  # noqa: PTH207 - absolute patterns
    place, found = parts.index("**"), set[str]()
    for top in glob.glob(str(Path(*parts[:place]))):  # noqa: PTH207
        for parent, folders, _ in walk(Path(top), unlisted=unlisted):
            folders[:] = [name for name in folders if not is_hidden(name)]
            found |= _matching(str(Path(glob.escape(parent), *(parts[place + 1 :] or "*"))), unlisted)
    once: dict[Path, str] = {}
    for path in sorted(found, key=lambda path: (len(Path(path).parts), path)):
        once.setdefault(Path(os.path.realpath(os.path.dirname(path)), os.path.basename(path)), path)  # noqa: PTH119, PTH120
    return set(once.values())


def _at_address(path: Path) -> list[Path]:
    if not can_list(path):
        return [path]
    found = list(map(video_path, list_remote(path, VIDEO_SUFFIXES)))
    return found or [video for shard in shards_directly_in(path) for video in videos_in(shard, VIDEO_SUFFIXES)]


def list_address(path: Path) -> dict[str, About]:
    """The videos of a file, folder or pattern in a store, with what the store states about each.

    Raises:
        FileNotFoundError: there is none.
        StoreError: the store does not answer, or refuses access.
    """
    found = list_remote(path, VIDEO_SUFFIXES)
    if not found:
        raise FileNotFoundError(_nothing_found(str(path)))
    return found


def is_list(given: str) -> bool:
    """Whether an input is a list of videos, by the end of its name (`LIST_SUFFIXES`).

    >>> is_list("s3://bucket/clips.csv"), is_list("clips")
    (True, False)
    """
    return given.lower().endswith(LIST_SUFFIXES) and (is_address(given) or Path(given).is_file())


def list_paths(given: str, root: str | Path | None = None) -> list[Path]:
    """The videos of a list, each once and whole: labels and times are ignored. Missing files are included.

    >>> _ = Path("list.csv").write_text("path,label\\nclip.mp4,a\\nhttps://server/film.mp4,b\\n")
    >>> list(map(str, list_paths("list.csv")))
    ['clip.mp4', 'https://server/film.mp4']

    Args:
        given: the list, in any format that training reads.
        root: base folder of its names; names outside of it are an error. Default: the folder of the list, and names
            may be absolute paths and addresses.

    Raises:
        DataError: the list cannot be read, or names a video outside of `root`.
    """
    return list(dict.fromkeys(video.path for video in read_video_list(given, root=root).videos))


def is_excluded(path: Path, patterns: Sequence[str]) -> bool:
    """Whether a pattern matches the whole path or the name of the file or of one of its folders.

    >>> is_excluded(Path("clips/drafts/a.mp4"), ["drafts"]), is_excluded(Path("clips/a.mp4"), ["*/drafts/*"])
    (True, False)
    """
    names = (str(path), str(path.absolute()), *path.parts)
    return any(fnmatch.fnmatch(name, pattern.rstrip("/")) for pattern in patterns for name in names)


def _nothing_found(given: str) -> str:
    return f"{given!r} is not a video file or a folder with videos, and matches no file. Check the path."
