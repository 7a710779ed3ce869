"""Find the differences between the videos on disk or in stores and an index, without reading unchanged files."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from side4video.inference.inputs import is_list, list_paths
from side4video.search.file_states import content_of_file, reason_of, state_of_file
from side4video.search.local_changes import absolute_names, find_gone_here, find_local_files
from side4video.search.remote_changes import RemoteFiles, find_gone, find_remote_files
from side4video.search.stores.records import IndexedFile
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
    lists = {given: list_paths(given, root) for given in inputs if is_list(given)}
    others = [given for given in inputs if given not in lists]
    addresses, places = [*filter(is_address, others)], [given for given in others if not is_address(given)]
    listed = [path for paths in lists.values() for path in paths]

    remote = find_remote_files(addresses, [str(path) for path in listed if is_address(path)], exclude=exclude)
    local = find_local_files(places, [path for path in listed if not is_address(path)], exclude=exclude)
    _check_lists(lists, {*remote.missing, *local.missing})
    absent = [UnreadVideo(path, "there is no such file.") for path in remote.missing if path not in indexed]
    changes = Changes(unread=[*remote.unread, *absent, *local.unread])
    states = {path: state_of_file(path, about) for path, about in remote.found.items()} | local.found
    _classify(changes, states, indexed, remote)

    moved = {indexed[source].content for source, _ in changes.copied.values()}
    indexed_here = {path: file for path, file in indexed.items() if not is_address(path)}
    changes.gone, empty = find_gone_here(indexed_here, places, local, moved=moved)
    changes.gone += find_gone(indexed.keys() - indexed_here.keys(), addresses, remote)
    changes.unread += empty
    return changes


def addresses_of(inputs: Sequence[str], root: str | Path | None = None) -> set[str]:
    """The addresses among the inputs, and the folders of those that lists name."""
    listed = {path.parent for given in inputs if is_list(given) for path in list_paths(given, root)}
    return {*filter(is_address, inputs), *filter(is_address, map(str, listed))}


def _check_lists(lists: Mapping[str, Sequence[Path]], missing: Collection[str]) -> None:
    for given, paths in lists.items():
        names = [str(path) for path in paths if is_address(path)]
        names += absolute_names(path for path in paths if not is_address(path))
        if names and set(names) <= set(missing):
            raise FileNotFoundError(
                f"none of the {len(names)} files of {given} exists. Check that their drive is connected."
            )


def _classify(
    changes: Changes, states: Mapping[str, tuple[int, int]], indexed: Mapping[str, IndexedFile], remote: RemoteFiles
) -> None:
    unchanged = {
        path
        for path, state in states.items()
        if path in indexed and state == (indexed[path].size, indexed[path].modified)
    }
    changes.unchanged = [path for path in states if path in unchanged]
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
