"""Paths of several files relative to each other, also where Windows has them on several drives; the cache folder."""

import os
from collections.abc import Sequence
from os import path as os_path
from pathlib import Path


def cache_folder() -> Path:
    """The folder of caches: `SIDE4VIDEO_CACHE`, or `side4video` in `XDG_CACHE_HOME` or `~/.cache`."""
    given = os.environ.get("SIDE4VIDEO_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "side4video"


def common_folder(files: Sequence[str]) -> str:
    """The deepest folder that contains all files; empty if there is none, as on several drives of Windows.

    Args:
        files: absolute paths.

    >>> common_folder(["/videos/a/1.mp4", "/videos/b/1.mp4"])
    '/videos'
    """
    try:
        return os_path.commonpath([os_path.dirname(file) for file in files])  # noqa: PTH120
    except ValueError:  # no files, or several drives
        return ""


def relative_names(files: Sequence[str]) -> list[str]:
    """Each path relative to the deepest folder that contains all, with `/`; on several drives, with the drive's letter.

    >>> relative_names(["/videos/a/1.mp4", "/videos/b/1.mp4"])
    ['a/1.mp4', 'b/1.mp4']
    """
    absolute = [os_path.abspath(file) for file in files]  # noqa: PTH100 - links are not resolved
    common = common_folder(absolute)
    names = [os_path.relpath(file, common) if common else _without_root(file) for file in absolute]
    return [name.replace(os_path.sep, "/") for name in names]


def relative_path(file: str, folder: str) -> str | None:
    """The path of a file as seen from a folder, with `/`; None if it is on another drive.

    >>> relative_path("/videos/film.mp4", "/pages")
    '../videos/film.mp4'
    """
    try:
        return os_path.relpath(file, folder).replace(os_path.sep, "/")
    except ValueError:
        return None


def _without_root(file: str) -> str:
    r"""`C:\a\1.mp4` becomes `C\a\1.mp4`, `\\server\share\1.mp4` becomes `server\share\1.mp4`."""
    drive, rest = os_path.splitdrive(file)
    return drive.replace(":", "").lstrip(os_path.sep) + rest
