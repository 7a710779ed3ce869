"""Find the differences between the videos on disk and an index, without reading unchanged files."""

import fnmatch
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from side4video.checking.content import hash_content
from side4video.inference.inputs import expand_inputs
from side4video.search.stores.records import IndexedFile
from side4video.search.window_clips import stat_file
from side4video.tasks.unread import UnreadVideo

_HASHING_THREADS = 4


@dataclass
class Changes:
    """The work that brings an index up to date with the videos on disk. Each path is in exactly one of the lists.

    Attributes:
        unchanged: paths with the indexed size and modification time.
        touched: path -> current (size, time); the time has changed, the content has not.
        copied: path -> (indexed path with the same content, current (size, time)): moved, renamed or copied files.
        embed: paths that are new or whose content has changed.
        repeated: path -> the path in `embed` that has the same content.
        gone: indexed paths that no longer exist: below the inputs, and anywhere if a file in `copied` has their
            content.
        unread: files that cannot be read, with the reason.

    >>> changes = find_changes(["clip.mp4"], {})
    >>> len(changes.embed), changes.unchanged, changes.gone
    (1, [], [])
    """

    unchanged: list[str] = field(default_factory=list)
    touched: dict[str, tuple[int, int]] = field(default_factory=dict)
    copied: dict[str, tuple[str, tuple[int, int]]] = field(default_factory=dict)
    embed: list[str] = field(default_factory=list)
    repeated: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    unread: list[UnreadVideo] = field(default_factory=list)

    def move_to_embed(self, paths: Iterable[str]) -> None:
        """Move paths from `touched` and `copied` to `embed`."""
        for path in paths:
            self.touched.pop(path, None)
            self.copied.pop(path, None)
            self.embed.append(path)

    @property
    def all_paths(self) -> set[str]:
        """Paths of all files that were found, readable or not."""
        lists = (self.unchanged, self.touched, self.copied, self.embed, self.repeated)
        return {path for paths in lists for path in paths} | {video.name for video in self.unread}


def find_changes(inputs: Sequence[str], indexed: Mapping[str, IndexedFile], *, exclude: Sequence[str] = ()) -> Changes:
    """Compare the videos that the inputs match with the videos of an index.

    A file with the indexed size and modification time counts as unchanged. A content hash is computed only where the
    content may be known already: if the time has changed, or if another file has the same size.

    A file has the name that the user gave: links are not resolved, and two links to one file are two videos with the
    same content. If the index has a file under another spelling of its folder, through a link to the folder, the new
    name replaces the old one.

    Args:
        inputs: files, folders and glob patterns, as the user gives them.
        indexed: the videos of the index by path.
        exclude: patterns of files that are not indexed, see `expand_inputs`.

    Raises:
        FileNotFoundError: an input matches no video. A missing folder is usually an unmounted drive, so its videos
            stay in the index.
    """
    changes = Changes()
    states: dict[str, tuple[int, int]] = {}
    for path in dict.fromkeys(os.path.abspath(path) for path in expand_inputs(inputs, exclude=exclude)):  # noqa: PTH100
        try:
            states[path] = stat_file(Path(path))
        except OSError as error:
            changes.unread.append(UnreadVideo(path, f"it cannot be read ({error.strerror})."))
            continue
        if not Path(path).is_file() and not Path(path).is_dir():
            changes.unread.append(UnreadVideo(path, "it is not a file."))
            del states[path]
        elif path in indexed and states[path] == (indexed[path].size, indexed[path].modified):
            changes.unchanged.append(path)
    respelled = _respelled(states, indexed)
    changes.gone = [
        path
        for path in indexed
        if path not in states and (path in respelled or (_is_below(path, inputs) and not Path(path).exists()))
    ]
    _classify(changes, states, indexed)
    gone, moved = set(changes.gone), {indexed[source].content for source, _ in changes.copied.values()}
    changes.gone += [  # their content was found under another path: they have moved, also from outside the inputs
        path
        for path, file in indexed.items()
        if file.content in moved and path not in states and path not in gone and not Path(path).exists()
    ]
    return changes


def _respelled(states: Mapping[str, object], indexed: Mapping[str, IndexedFile]) -> set[str]:
    """Indexed paths of files that have a new name because their folder was given through a link, or without one."""
    folders: dict[str, str] = {}

    def real(path: str) -> str:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        return f"{folders[folder]}{os.sep}{name}"

    new = {real(path): path for path in states if path not in indexed}
    return {
        path
        for path in (indexed if new else ())
        if path not in states and (name := new.get(real(path))) is not None and name != path
    }


def _classify(changes: Changes, states: Mapping[str, tuple[int, int]], indexed: Mapping[str, IndexedFile]) -> None:
    unchanged = set(changes.unchanged)
    rest = [path for path in states if path not in unchanged]
    sizes = Counter(states[path][0] for path in rest) + Counter({file.size for file in indexed.values()})
    contents, unread = _hash_files([path for path in rest if sizes[states[path][0]] > 1 and Path(path).is_file()])
    changes.unread += unread
    known = {file.content: path for path, file in indexed.items()}
    refused, first = {video.name for video in unread}, dict[str, str]()
    for path in rest:
        content = contents.get(path)
        if path in refused:
            continue
        if content is None:
            changes.embed.append(path)
        elif path in indexed and indexed[path].content == content:
            changes.touched[path] = states[path]
        elif content in known:
            changes.copied[path] = (known[content], states[path])
        elif content in first:
            changes.repeated[path] = first[content]
        else:
            first[content] = path
            changes.embed.append(path)


def _hash_files(paths: Sequence[str]) -> tuple[dict[str, str], list[UnreadVideo]]:
    def hash_file(path: str) -> str | OSError:
        try:
            return hash_content(Path(path))
        except OSError as error:
            return error

    with ThreadPoolExecutor(_HASHING_THREADS) as pool:
        hashed = tqdm(pool.map(hash_file, paths), desc="compare", unit="file", total=len(paths), leave=False, delay=1)
        found = dict(zip(paths, hashed, strict=True))
    unread = [
        UnreadVideo(path, f"it cannot be read ({content.strerror}).")
        for path, content in found.items()
        if isinstance(content, OSError)
    ]
    return {path: content for path, content in found.items() if isinstance(content, str)}, unread


def _is_below(path: str, inputs: Iterable[str]) -> bool:
    for given in inputs:
        folder = Path(given)
        if folder.is_dir():
            if any(Path(path).is_relative_to(spelling) for spelling in (folder.absolute(), folder.resolve())):
                return True
        elif fnmatch.fnmatch(path, str(folder.absolute())):
            return True
    return False
