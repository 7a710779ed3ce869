"""Find the videos that a list names, in data sets of about 240,000 files on slow disks."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import unquote

from side4video.data.lists.text_files import MAX_SHOWN, DataError, shorten
from side4video.system.paths import folded_name, ignores_case
from side4video.video.decoding import VIDEO_SUFFIXES
from side4video.video.hidden import is_hidden
from side4video.video.remote import StoreError, can_list, is_address, listed_path, video_path
from side4video.video.remote_listing import names_in, walk
from side4video.video.shard_paths import names_in_shard

_STARTS_ABSOLUTE = re.compile(r"([A-Za-z]:)?")
"""The first part of an absolute path: nothing, or a drive of Windows."""
TRIED_PATHS = 10
"""Missing absolute paths whose ends are searched below the root."""


def scan_folder(folder: Path) -> set[str]:
    """The names in a folder or tar archive; empty if the folder is missing, cannot be read, or has an invalid name.

    Raises:
        StoreError: the folder is at an address whose store does not answer, or refuses access.
    """
    try:
        inside = names_in_shard(folder)
        if inside is not None:
            return inside
        return names_in(folder) if is_address(folder) else {entry.name for entry in folder.iterdir()}
    except StoreError:
        raise
    except (OSError, ValueError):
        return set()


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC). Some systems and archives store `é` as `e` and an accent (NFD).

    >>> composed("cafe" + chr(0x301)) == "caf" + chr(0xE9)
    True
    """
    return unicodedata.normalize("NFC", name)


def strip_suffix(name: str) -> str:
    """A name without the suffix of a video file; other dots stay.

    >>> strip_suffix("v_1.5.MP4"), strip_suffix("v_1.5")
    ('v_1.5', 'v_1.5')
    """
    suffix = next((suffix for suffix in VIDEO_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: -len(suffix)] if suffix else name


def find_recursively(root: Path, names: Collection[str]) -> dict[str, list[Path]]:
    """The sorted paths of videos with these names, with or without suffix, in any folder below `root`, by name.

    A folder with such a name counts as a folder of frames and is not searched. Links to folders are followed, each
    folder once (`walk`). Hidden files and folders (`is_hidden`) are ignored.
    """
    form = folded_name if ignores_case(str(root), scan_folder(root)) else composed
    wanted: dict[str, list[str]] = defaultdict(list)
    for name in names:
        wanted[form(name)].append(name)
    found = defaultdict(list)
    for parent, folders, files in walk(root, unlisted=[]):  # names that are not found are reported
        folders[:] = [folder for folder in folders if not is_hidden(folder)]
        files = [file for file in files if not is_hidden(file)]
        for entry in (*folders, *files):
            for spelling in {form(entry), form(strip_suffix(entry))} & wanted.keys():
                for name in wanted[spelling]:
                    found[name].append(video_path(parent) / entry)
        folders[:] = [folder for folder in folders if form(folder) not in wanted]
    return {name: sorted(paths) for name, paths in found.items()}


def _local(name: str) -> str:
    """A `file://` URL as a path, and `~` as the home folder.

    >>> _local("file:///clips/a%20b.mp4")
    '/clips/a b.mp4'
    """
    if name.startswith("file://"):
        return re.sub(r"^/(?=[A-Za-z]:)", "", unquote(name.removeprefix("file://").removeprefix("localhost")))
    return os.path.expanduser(name) if name.startswith("~/") else name  # noqa: PTH111 - a name, not a path yet


def _any_case(name: str) -> str:
    return f"{folded_name(name)}\0"  # no name of a file


def _parts(name: str) -> list[str]:
    """The folders and the file of a path of any system."""
    return _local(name).replace("\\", "/").split("/")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long for the file system
        return False


class VideoFinder:
    """Finds files by name with or without suffix; scans each folder once instead of testing each candidate.

    Names are relative to `root` unless they are absolute. An exact name comes first. If several files share a stem, the
    first suffix in `VIDEO_SUFFIXES` is used. Names in another Unicode form (NFC, NFD), with backslashes between
    folders, and absolute names below `root` (`/train/a.mp4`) are tried next. Other cases are last, with `ignore_case`
    and where the system ignores case. Paths are spelled as their folders list them, so a file has one path.

    >>> VideoFinder(Path("clips/train")).find_existing(["clockwise/0"]).name
    '0.mp4'
    """

    def __init__(self, root: Path, *, ignore_case: bool = False):
        self._root = listed_path(video_path(root))
        self._ignore_case = ignore_case
        self._folders: dict[str, Path] = {}
        self._entries: dict[Path, dict[str, str]] = {}

    def find_all(self, rows: Sequence[Sequence[str]]) -> tuple[list[Path], tuple[str, ...]]:
        """The first candidate of each row that exists, or the first one if none does; and sentences about other places.

        Absolute paths of another machine are read below `root`: the longest end of the first one that exists there
        tells which folders they lose. This needs that no file exists under these folders here. If no row is found so
        far, names without a folder are searched in all folders below `root`.

        Raises:
            DataError: such a name is in several folders.

        >>> VideoFinder(Path("clips")).find_all([["/home/other/clips/train/clockwise/0.mp4"]])
        ([PosixPath('clips/train/clockwise/0.mp4')], ("1 paths below '/home/other/clips' are read below clips.",))
        """
        found = [self.find_existing(candidates) for candidates in rows]
        if None not in found:
            return [path for path in found if path], ()
        parts = [_parts(candidates[0]) for candidates in rows]
        start = self._moved_start([parts[place] for place, path in enumerate(found) if path is None])
        moved = [place for place, own in enumerate(parts) if start and own[: len(start)] == start]
        if any(found[place] for place in moved):
            moved = []
        for place in moved:
            found[place] = self.find_existing(["/".join(parts[place][len(start) :])])
        notes = [f"{len(moved)} paths below {'/'.join(start)!r} are read below {self._root}."] if moved else []
        if not any(found):
            found = self._find_in_sub_folders(rows)
            count = sum(path is not None for path in found)
            notes += [f"{count} names without a folder are found in the folders below {self._root}."] if count else []
        paths = [path or self._below(_local(names[0])) for path, names in zip(found, rows, strict=True)]
        return paths, tuple(notes)

    def _find_in_sub_folders(self, rows: Sequence[Sequence[str]]) -> list[Path | None]:
        bare = [[name for name in candidates if len(_parts(name)) == 1] for candidates in rows]
        names = {name for candidates in bare for name in candidates}
        below = find_recursively(self._root, names) if names and can_list(self._root) else {}
        if several := [
            f"{shorten(name)} is {paths[0]} and {paths[-1]}"
            for name, paths in below.items()
            if paths[0].parent != paths[-1].parent
        ]:
            raise DataError(
                f"{len(several)} names without a folder are in several folders below {self._root}: "
                f"{', '.join(several[:MAX_SHOWN])}. Write the folder before the name, or give another root."
            )
        places = {name: paths[0].parent.relative_to(self._root).as_posix() for name, paths in below.items()}
        return [
            self.find_existing([f"{places[name]}/{name}" for name in candidates if name in places])
            for candidates in bare
        ]

    def _moved_start(self, missing: Sequence[Sequence[str]]) -> list[str]:
        """The folders before the longest end of a missing absolute path that exists below the root; empty if none."""
        absolute = [parts for parts in missing if _STARTS_ABSOLUTE.fullmatch(parts[0])]
        for parts in absolute[:TRIED_PATHS]:
            for count in range(1, len(parts)):
                if self.find_existing(["/".join(parts[count:])]):
                    return list(parts[:count])
        return []

    def find_existing(self, candidates: Sequence[str]) -> Path | None:
        """The first candidate that exists, or None."""
        candidates = [_local(candidate) for candidate in candidates]
        slashed = [candidate.replace("\\", "/") for candidate in candidates if "\\" in candidate]
        below_root = (name.lstrip("/") for name in (*candidates, *slashed) if name.startswith("/"))
        found = (self._find(candidate) for candidate in (*candidates, *slashed, *below_root) if candidate)
        return next((path for path in found if path), None)

    def _find(self, name: str) -> Path | None:
        head, slash, base = name.rstrip("/").rpartition("/")
        folder = self._find_folder(head + slash)
        if not can_list(folder):  # only reading tells whether there is such a file
            return folder / base if base.lower().endswith(VIDEO_SUFFIXES) else None
        if folder not in self._entries:
            self._entries[folder] = self._read_entries(folder)
        entries = self._entries[folder]
        spellings = (base, composed(base), _any_case(base))
        entry = next((entries[spelling] for spelling in spellings if spelling in entries), None)
        return folder / entry if entry else None

    def _find_folder(self, name: str) -> Path:
        if name not in self._folders:
            path = self._below(name)
            is_spelled_otherwise = (self._ignore_case or not name.isascii()) and name.strip("/")
            other = self._find(name) if is_spelled_otherwise and not _is_folder(path) else None
            self._folders[name] = other or listed_path(path)
        return self._folders[name]

    def _below(self, name: str) -> Path:
        return video_path(name) if is_address(name) else self._root / name

    def _read_entries(self, folder: Path) -> dict[str, str]:
        """File names by their spellings. Priority from low to high: any case, Unicode form NFC, stem, full name."""
        names = sorted(scan_folder(folder))
        stems = {
            name[: -len(suffix)]: name
            for suffix in reversed(VIDEO_SUFFIXES)
            for name in names
            if name.lower().endswith(suffix)
        }
        entries = stems | {name: name for name in names}
        in_nfc = {composed(key): name for key, name in entries.items()}
        is_folded = self._ignore_case or (not is_address(folder) and ignores_case(str(folder), set(names)))
        any_case = {_any_case(key): name for key, name in entries.items()} if is_folded else {}
        return any_case | in_nfc | entries
