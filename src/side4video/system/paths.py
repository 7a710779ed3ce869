"""What systems differ in about paths: several drives, names in any case; and the cache folder."""

import errno
import os
import re
import tempfile
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from os import path as os_path
from pathlib import Path


def home_folder() -> Path | None:
    """The user's home folder; None without one, as for users of containers that have a number and no name.

    >>> home_folder() == Path.home()
    True
    """
    try:
        return Path.home()
    except RuntimeError:
        return None


def cache_folder() -> Path:
    """The folder of caches: `SIDE4VIDEO_CACHE`, or `side4video` in `XDG_CACHE_HOME` or `~/.cache`.

    Users without a home folder have it in the folder of temporary files.
    """
    if given := os.environ.get("SIDE4VIDEO_CACHE"):
        return Path(given)
    home = home_folder()
    other = home / ".cache" if home else Path(tempfile.gettempdir(), f"cache-{getattr(os, 'getuid', int)()}")
    return Path(os.environ.get("XDG_CACHE_HOME") or other) / "side4video"


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


def is_missing(error: OSError) -> bool:
    """Whether an error says that there is no such file, and not that nothing is known about it.

    >>> is_missing(FileNotFoundError(2, "No such file")), is_missing(PermissionError(13, "Permission denied"))
    (True, False)
    """
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def relative_path(file: str, folder: str) -> str | None:
    """The path of a file as seen from a folder, with `/`; None if it is on another drive.

    >>> relative_path("/videos/film.mp4", "/pages")
    '../videos/film.mp4'
    """
    try:
        return os_path.relpath(file, folder).replace(os_path.sep, "/")
    except ValueError:
        return None


def folded_name(name: str) -> str:
    """Equal for names that are one file where the system ignores case and Unicode forms, as on Windows and macOS.

    >>> folded_name("Clips/A.mp4")
    'clips/a.mp4'
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def ignores_case(folder: str, names: Collection[str]) -> bool:
    """Whether the system opens the files of a folder in any case; one file is tried.

    Args:
        folder: any folder.
        names: all that it lists.
    """
    other = next((other for name in names if (other := name.swapcase()) not in names), None)
    return other is not None and os_path.lexists(_join(folder, other))


def as_listed(paths: Iterable[str]) -> list[str]:
    """The paths as their folders list them: systems that ignore case open `clips/a.mp4` as `Clips/A.mp4` too.

    Paths of missing files, and all paths where the system distinguishes cases, are returned unchanged.

    >>> as_listed(["clip.mp4", "absent.mp4"])
    ['clip.mp4', 'absent.mp4']
    """
    folders: dict[str, str] = {}
    listed: dict[str, dict[str, str]] = {}

    def spell(path: str) -> str:
        folder, name = os_path.split(path)
        if not name:
            return path
        if folder not in folders:
            folders[folder] = spell(folder)
        folder = folders[folder]
        place, other = _join(folder, name), name.swapcase()
        if folder not in listed and other != name and os_path.lexists(place):
            listed[folder] = _listed_names(folder) if os_path.lexists(_join(folder, other)) else {}
        names = listed.get(folder, {})
        return _join(folder, names.get(name) or names.get(folded_name(name), name))

    return [spell(path) for path in paths]


def real_path(path: str | os.PathLike[str]) -> str:
    """The absolute path without links, as the folders list it: equal for all spellings of one file.

    >>> real_path("clip.mp4") == str(Path("clip.mp4").resolve())
    True
    """
    return as_listed([os_path.realpath(path)])[0]


def _join(folder: str, name: str) -> str:
    return os_path.join(folder, name)  # noqa: PTH118 - of any system


def _listed_names(folder: str) -> dict[str, str]:
    """The names in a folder, by themselves and folded."""
    try:
        names = sorted(os.listdir(folder or os.curdir))  # noqa: PTH208 - of a text
    except OSError:
        return {}
    return {folded_name(name): name for name in names} | {name: name for name in names}


def _without_root(file: str) -> str:
    r"""`C:\a\1.mp4` becomes `C\a\1.mp4`, `\\server\share\1.mp4` becomes `server\share\1.mp4`."""
    drive, rest = os_path.splitdrive(file)
    return drive.replace(":", "").lstrip(os_path.sep) + rest


def list_name(source: str) -> str:
    """The name of a list's file or folder, without the folders above it.

    >>> list_name("/home/anna/val.csv"), list_name("clips/val/"), list_name("C:\\\\clips\\\\val.csv")
    ('val.csv', 'val', 'val.csv')
    """
    return re.split(r"[/\\]", source.rstrip("/\\"))[-1] or source
