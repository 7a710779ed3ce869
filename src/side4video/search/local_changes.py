"""The videos of this machine that inputs match, and which videos of an index are gone."""

import fnmatch
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from side4video.inference.inputs import expand_inputs, is_excluded
from side4video.search.file_states import reason_of, state_of_file
from side4video.search.stores.records import IndexedFile
from side4video.system.paths import as_listed, is_missing, real_path
from side4video.tasks.unread import UnreadVideo


@dataclass
class LocalFiles:
    """The video files of this machine that inputs match.

    Attributes:
        found: absolute path -> (size, modification time), see `state_of_file`.
        unread: files and folders that cannot be read, with the reason.
        missing: files of lists that do not exist; they are also in `unread`.

    >>> LocalFiles().found
    {}
    """

    found: dict[str, tuple[int, int]] = field(default_factory=dict)
    unread: list[UnreadVideo] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def find_local_files(inputs: Sequence[str], listed: Sequence[Path], *, exclude: Sequence[str] = ()) -> LocalFiles:
    """Read the states of the files.

    Args:
        inputs: files, folders and glob patterns.
        listed: files that lists name.
        exclude: patterns of files that are left out.

    Raises:
        FileNotFoundError: an input matches no video.

    >>> [Path(path).name for path in find_local_files(["clip.mp4"], []).found]
    ['clip.mp4']
    """
    unlisted: list[OSError] = []
    paths = list(expand_inputs(inputs, exclude=exclude, unlisted=unlisted)) if inputs else []
    paths += [path for path in listed if not is_excluded(path, exclude)]
    files = LocalFiles(unread=[UnreadVideo(error.filename, reason_of(error)) for error in unlisted])
    for path in dict.fromkeys(absolute_names(paths)):
        try:
            state = state_of_file(path)
        except OSError as error:
            files.unread.append(UnreadVideo(path, reason_of(error)))
            files.missing += [path] * is_missing(error)
            continue
        if Path(path).is_file() or Path(path).is_dir():
            files.found[path] = state
        else:
            files.unread.append(UnreadVideo(path, "it is not a file."))
    return files


def absolute_names(paths: Iterable[str | Path]) -> list[str]:
    """Absolute paths as their folders list them. Links keep their names."""
    return as_listed(map(os.path.abspath, paths))


def find_gone_here(
    indexed: Mapping[str, IndexedFile], inputs: Sequence[str], files: LocalFiles, *, moved: Collection[str]
) -> tuple[list[str], list[UnreadVideo]]:
    """The indexed paths that no longer exist: below the inputs, in the lists, and anywhere if they were moved.

    Args:
        indexed: the videos of the index by path.
        inputs: files, folders and glob patterns.
        files: what was found for the inputs and lists.
        moved: the contents that were found under a new path.

    Returns:
        The paths; and the folders without any entry, as drives leave them that are not connected, whose videos stay in
        the index. A folder counts only if several of its videos are gone.
    """
    gone, missing, named = list[str](), defaultdict[Path, list[str]](list), set(files.missing)
    respelled, below = _respelled(files.found, indexed), _below(inputs)
    others = [path for path in indexed if path not in files.found]
    for path, spelled in zip(others, as_listed(others), strict=True):
        if path in respelled or (indexed[path].content in moved and _is_gone(path)):
            gone.append(path)
        elif (path in named or below(spelled)) and _is_gone(path):
            missing[_nearest_folder(path)].append(path)
    kept = {folder: paths for folder, paths in missing.items() if len(paths) > 1 and _is_empty(folder)}
    gone += [path for folder, paths in missing.items() if folder not in kept for path in paths]
    return gone, [
        UnreadVideo(
            str(folder),
            f"it is empty, as if its drive were not connected: {len(paths)} of its videos stay in the index. If you "
            "deleted them, remove them from the index with --forget.",
        )
        for folder, paths in kept.items()
    ]


def _respelled(found: Mapping[str, object], indexed: Mapping[str, IndexedFile]) -> set[str]:
    """Indexed paths of files that have a new name: their folder was given through a link, or in another case."""
    new = set(_real_names([path for path in found if path not in indexed]).values())
    former = _real_names([path for path in indexed if path not in found] if new else [])
    return {path for path, name in former.items() if name in new}


def _real_names(paths: Sequence[str]) -> dict[str, str]:
    """The path of each file without links to its folder, as folders list it."""
    folders = {folder: os.path.realpath(folder) for folder in {os.path.dirname(path) for path in paths}}  # noqa: PTH120
    names = as_listed(f"{folders[folder]}{os.sep}{name}" for folder, name in map(os.path.split, paths))
    return dict(zip(paths, names, strict=True))


def _is_gone(path: str) -> bool:
    try:
        Path(path).stat()
    except OSError as error:
        return is_missing(error)  # else nothing is known: a folder that cannot be read, a drive that does not answer
    return False


def _below(inputs: Sequence[str]) -> Callable[[str], bool]:
    """A test for paths in the folders, and for those that match the patterns or are in a folder that does."""
    places: list[tuple[Path, tuple[str, ...]]] = []
    for given in absolute_names(inputs):
        folder = Path(given) if Path(given).is_dir() else _nearest_folder(given)  # its name may look like a pattern
        pattern = Path(given).relative_to(folder).parts
        places += [(Path(spelling), pattern) for spelling in {str(folder), real_path(folder)}]

    def test(path: str) -> bool:
        return any(
            Path(path).is_relative_to(folder) and _fits(Path(path).relative_to(folder).parts, pattern)
            for folder, pattern in places
        )

    return test


def _fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether the first parts of a path match all parts of a pattern."""
    if not pattern:
        return True
    if pattern[0] == "**" and _fits(parts, pattern[1:]):
        return True
    if not parts or not fnmatch.fnmatch(parts[0], pattern[0]):
        return False
    return _fits(parts[1:], pattern if pattern[0] == "**" else pattern[1:])


def _nearest_folder(path: str) -> Path:
    """The deepest folder above a missing file that exists; on Windows, its drive if that is not connected."""
    parents = Path(path).parents
    return next((folder for folder in parents if folder.is_dir()), parents[-1])


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError as error:
        return is_missing(error)  # a drive; else its entries cannot be listed, and it has some
