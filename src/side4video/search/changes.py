"""Find the differences between the videos on disk or in stores and an index, without reading unchanged files."""

import fnmatch
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from side4video.inference.inputs import expand_inputs, is_excluded, is_list, list_paths
from side4video.search.file_states import content_of_file, reason_of, state_of_file
from side4video.search.remote_changes import RemoteFiles, find_gone, find_remote_files
from side4video.search.stores.records import IndexedFile
from side4video.system.paths import as_listed, is_missing, real_path
from side4video.tasks.unread import UnreadVideo
from side4video.video.remote import is_address
from side4video.video.shard_paths import names_shards

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


def find_changes(
    inputs: Sequence[str],
    indexed: Mapping[str, IndexedFile],
    *,
    exclude: Sequence[str] = (),
    root: str | Path | None = None,
) -> Changes:
    """Compare the videos that the inputs match with the videos of an index.

    A file with the indexed size and modification time counts as unchanged. A content hash is computed only where the
    content may be known already: if the time has changed, or if another file has the same size. Files in stores are not
    read: their entity tags or times, and the content hashes of the stores that have them, are compared.

    A file has the name that the user gave: links are not resolved, and two links to one file are two videos with the
    same content. If the index has a file under another spelling of its folder, through a link to the folder, the new
    name replaces the old one.

    Args:
        inputs: files, folders, glob patterns and lists, as the user gives them.
        indexed: the videos of the index by path.
        exclude: patterns of files that are not indexed, see `expand_inputs`.
        root: base folder of the names in lists, see `list_paths`.

    Raises:
        FileNotFoundError: an input matches no video. A missing folder is usually an unmounted drive, so its videos
            stay in the index.
        StoreError: a store does not answer. Its videos stay in the index.
    """
    if shards := [given for given in inputs if names_shards(given)]:
        raise ValueError(
            f"{shards[0]}: an index contains video files. Unpack the shard, or write embeddings with embed."
        )
    changes = Changes()
    lists = {given: list_paths(given, root) for given in inputs if is_list(given)}
    named = [path for paths in lists.values() for path in paths]
    others = [given for given in inputs if not is_list(given)]
    addresses = [given for given in others if is_address(given)]
    remote = find_remote_files(addresses, [str(path) for path in named if is_address(path)], exclude=exclude)
    states = {path: state_of_file(path, about) for path, about in remote.found.items()}
    changes.unread += remote.unread
    changes.unread += [UnreadVideo(path, "there is no such file.") for path in remote.missing if path not in indexed]
    local = [given for given in others if not is_address(given)]
    listed = [path for path in named if not is_address(path) and not is_excluded(path, exclude)]
    unlisted: list[OSError] = []
    found = [*(expand_inputs(local, exclude=exclude, unlisted=unlisted) if local else ()), *listed]
    changes.unread += [UnreadVideo(error.filename, reason_of(error)) for error in unlisted]
    for path in dict.fromkeys(_absolute(found)):
        try:
            states[path] = state_of_file(path)
        except OSError as error:
            changes.unread.append(UnreadVideo(path, reason_of(error)))
            continue
        if not Path(path).is_file() and not Path(path).is_dir():
            changes.unread.append(UnreadVideo(path, "it is not a file."))
            del states[path]
    for given, paths in lists.items():
        if paths and not any(str(path) in remote.found for path in paths) and not states.keys() & {*_absolute(paths)}:
            raise FileNotFoundError(
                f"none of the {len(paths)} files of {given} exists. Check that their drive is connected."
            )
    changes.unchanged = [
        path
        for path, state in states.items()
        if path in indexed and state == (indexed[path].size, indexed[path].modified)
    ]
    known_files = {path: file for path, file in indexed.items() if not is_address(path)}
    respelled = _respelled(states, known_files)
    absent = {video.name for video in changes.unread if video.name in set(_absolute(listed))}
    _classify(changes, states, indexed, remote)
    moved = {indexed[source].content for source, _ in changes.copied.values()}
    empty = _EmptyFolders()
    others = [path for path in known_files if path not in states]
    for path, spelled in zip(others, as_listed(others), strict=True):
        if path in respelled or (known_files[path].content in moved and _is_gone(path)):
            changes.gone.append(path)  # renamed, or moved, also from outside the inputs
        elif (_is_below(spelled, local) or path in absent) and _is_gone(path) and not empty.hold(path):
            changes.gone.append(path)
    changes.unread += empty.unread()
    changes.gone += find_gone(indexed.keys() - known_files.keys(), addresses, remote)
    return changes


class _EmptyFolders:
    """Folders without any entry, as drives leave them that are not connected, and how many videos they held."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    def hold(self, path: str) -> bool:
        """Whether the nearest existing folder of a missing file is empty; it is noted."""
        folder = next(folder for folder in Path(path).parents if folder.is_dir())
        if str(folder) not in self._held and next(folder.iterdir(), None) is not None:
            return False
        self._held[str(folder)] += 1
        return True

    def unread(self) -> list[UnreadVideo]:
        """The folders, each with the reason why its videos stay in the index."""
        return [
            UnreadVideo(
                folder,
                f"it is empty, as if its drive were not connected: {number} of its videos stay in the index. If you "
                "deleted them, remove them from the index with --forget.",
            )
            for folder, number in self._held.items()
        ]


def addresses_of(inputs: Sequence[str], root: str | Path | None = None) -> set[str]:
    """The addresses among the inputs, and the folders of those that lists name."""
    listed = {path.parent for given in inputs if is_list(given) for path in list_paths(given, root)}
    return {*filter(is_address, inputs), *filter(is_address, map(str, listed))}


def _respelled(states: Mapping[str, object], indexed: Mapping[str, IndexedFile]) -> set[str]:
    """Indexed paths of files that have a new name: their folder was given through a link, or in another case."""
    new = set(_real_names([path for path in states if path not in indexed and not is_address(path)]).values())
    former = _real_names([path for path in indexed if path not in states] if new else [])
    return {path for path, name in former.items() if name in new}


def _real_names(paths: Sequence[str]) -> dict[str, str]:
    """The path of each file without links to its folder, as folders list it."""
    folders = {folder: os.path.realpath(folder) for folder in {os.path.dirname(path) for path in paths}}  # noqa: PTH120
    names = as_listed(f"{folders[folder]}{os.sep}{name}" for folder, name in map(os.path.split, paths))
    return dict(zip(paths, names, strict=True))


def _absolute(paths: Iterable[str | Path]) -> list[str]:
    return as_listed(map(os.path.abspath, paths))  # links keep their names


def _classify(
    changes: Changes, states: Mapping[str, tuple[int, int]], indexed: Mapping[str, IndexedFile], remote: RemoteFiles
) -> None:
    unchanged = set(changes.unchanged)
    rest = [path for path in states if path not in unchanged]
    sizes = Counter(states[path][0] for path in rest) + Counter({file.size for file in indexed.values()})
    same_size = [path for path in rest if sizes[states[path][0]] > 1]
    contents, unread = _hash_files([path for path in same_size if path not in remote.found and Path(path).is_file()])
    contents |= {path: content_of_file(path, remote.found[path]) for path in same_size if path in remote.found}
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
            return content_of_file(path)
        except OSError as error:
            return error

    with ThreadPoolExecutor(_HASHING_THREADS) as pool:
        hashed = tqdm(pool.map(hash_file, paths), desc="compare", unit="file", total=len(paths), leave=False, delay=1)
        found = dict(zip(paths, hashed, strict=True))
    unread = [UnreadVideo(path, reason_of(content)) for path, content in found.items() if isinstance(content, OSError)]
    return {path: content for path, content in found.items() if isinstance(content, str)}, unread


def _is_gone(path: str) -> bool:
    try:
        Path(path).stat()
    except OSError as error:
        return is_missing(error)  # else nothing is known: a folder that cannot be read, a drive that does not answer
    return False


def _is_below(path: str, inputs: Iterable[str]) -> bool:
    for given in inputs:
        folder = Path(given)
        if folder.is_dir():
            if any(Path(path).is_relative_to(spelling) for spelling in (*_absolute([folder]), real_path(folder))):
                return True
        elif fnmatch.fnmatch(path, *_absolute([folder])):
            return True
    return False
