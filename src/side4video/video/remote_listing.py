"""Lists the files of stores: folders and patterns at addresses, with what the store states about each file.

fsspec's own `walk`, `find` and `glob` leave out what they cannot list. These functions raise an error instead, so that
a store that does not answer never looks like an empty one.
"""

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Any

from side4video.video.hidden import is_hidden
from side4video.video.remote import about_file, file_system, is_address, key_in_store, retried, video_path

About = dict[str, Any]
"""What a store states about a file, by fsspec's names."""
_LISTING_THREADS = 8
_MAGIC = re.compile(r"[*?\[]")


def list_remote(path: Path, suffixes: Sequence[str]) -> dict[str, About]:
    """The files that an address names, sorted: itself, those in a folder with one of the suffixes, or of a pattern.

    Hidden files and folders (`is_hidden`) below a folder or pattern are ignored.

    >>> for name in ("a.mp4", "b/c.mp4", "b/.trash/d.mp4", "b/notes.txt"):
    ...     _ = video_path(f"memory://listed/{name}").write_bytes(b"...")
    >>> list(list_remote(video_path("memory://listed"), (".mp4",)))
    ['memory://listed/a.mp4', 'memory://listed/b/c.mp4']
    >>> list(list_remote(video_path("memory://listed/*.mp4"), ()))
    ['memory://listed/a.mp4']

    Raises:
        StoreError: the store does not answer, or refuses access.
    """
    try:
        about = about_file(path)
    except FileNotFoundError:
        about = None
    if about is not None and about["type"] != "directory":
        return {str(path): about}
    if about is None and _MAGIC.search(key_in_store(path)):
        return _match(path)
    files = _list_below(path, None)
    return {address: files[address] for address in sorted(files) if address.lower().endswith(tuple(suffixes))}


def fixed_part(path: Path) -> Path:
    """The folder of a pattern at an address: what comes before its first part with `*`, `?` or `[`.

    >>> str(fixed_part(video_path("memory://clips/20*/a.mp4")))
    'memory://clips'
    """
    parts = str(path).split("/")
    fixed = list(takewhile(lambda part: not _MAGIC.search(part), parts))
    if len(fixed) == len(parts):
        return path
    if len("/".join(fixed).partition("://")[2]) == 0:
        raise ValueError(f"{path}: a pattern must name the bucket or server. Write s3://bucket/*.mp4.")
    return video_path("/".join(fixed))


def matching(pattern: Path) -> list[Path]:
    """The remote files that match a pattern such as s3://bucket/clips/*.mp4, sorted.

    Raises:
        StoreError: the store does not answer, or refuses access.
    """
    return list(map(video_path, _match(pattern)))


def names_in(folder: Path) -> set[str]:
    """The names in a folder of a store; empty if there is no such folder.

    Raises:
        StoreError: the store does not answer, or refuses access.
    """
    return {_last(entry) for entry in _list(folder, key_in_store(folder))}


def walk(folder: Path, *, unlisted: list[OSError] | None = None) -> Iterator[tuple[str, list[str], list[str]]]:
    """Like `os.walk` with links followed, for folders of this machine and at addresses; each folder once.

    A link to a folder above it, which would be a loop, is ignored. One to another visible folder below `folder` is not
    followed, because that folder has a path of its own.

    Args:
        folder: where to begin.
        unlisted: receives an error for each folder of this machine that cannot be listed.

    Raises:
        OSError: a folder cannot be listed, and `unlisted` is None.
        StoreError: a store does not answer, or refuses access.
    """
    if not is_address(folder):
        failed = [] if unlisted is None else unlisted
        for found in _walk_here(folder, failed):
            yield found
            if unlisted is None and failed:
                raise unlisted_error(failed[0])
        if unlisted is None and failed:
            raise unlisted_error(failed[0])
        return
    pending = [folder]
    while pending:
        parent = pending.pop(0)
        entries = _list(parent, key_in_store(parent))
        folders = [_last(entry) for entry in entries if entry["type"] == "directory"]
        yield str(parent), folders, [_last(entry) for entry in entries if entry["type"] != "directory"]
        pending[:0] = [parent / name for name in folders]


def unlisted_error(error: OSError) -> OSError:
    """The error for a folder that cannot be listed, or whose files have no readable state.

    >>> str(unlisted_error(PermissionError(13, "Permission denied", "clips/a")))  # doctest: +ELLIPSIS
    '[Errno 13] clips/a cannot be read: Permission denied. Its videos would be missing without a message...'
    """
    reason = f"{error.filename} cannot be read: {error.strerror}. Its videos would be missing without a message"
    return OSError(error.errno, f"{reason}: get permission, check that its drive is connected, or leave it out.")


def _walk_here(folder: Path, unlisted: list[OSError]) -> Iterator[tuple[str, list[str], list[str]]]:
    top, behind_links, seen = Path(os.path.realpath(folder)), False, set()
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=unlisted.append):
        if behind_links:  # the other folders are visited once without a check, which takes time on slow disks
            real = os.path.realpath(parent)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
        links = {name: Path(os.path.realpath(path)) for name in folders if (path := Path(parent, name)).is_symlink()}
        if links:
            behind_links, here = True, Path(os.path.realpath(parent))
            above = {top, *top.parents, here, *here.parents}
            folders[:] = [name for name in folders if links.get(name) not in above]
        folders.sort()
        yield parent, folders, files
        folders[:] = [name for name in folders if name not in links or not _is_visited(links[name], top)]


def _is_visited(target: Path, top: Path) -> bool:
    """Whether a folder is visited below `top` without a link: it is not hidden."""
    return target.is_relative_to(top) and not any(map(is_hidden, target.relative_to(top).parts))


def _match(pattern: Path) -> dict[str, About]:
    from fsspec.utils import glob_translate

    folder, text = fixed_part(pattern), str(pattern)
    depth = None if "**" in text else text.count("/") - str(folder).rstrip("/").count("/")
    matches = re.compile(glob_translate(text)).match
    files = _list_below(folder, depth)
    return {address: files[address] for address in sorted(files) if matches(address)}


def _list_below(folder: Path, depth: int | None) -> dict[str, About]:
    """All files below a folder by address, without hidden ones; `depth` levels, or all."""
    top, base = key_in_store(folder).rstrip("/"), str(folder).rstrip("/")
    found: dict[str, About] = {}
    level = [top]
    with ThreadPoolExecutor(_LISTING_THREADS) as pool:
        while level and (depth is None or depth > 0):
            shown = [
                entry
                for entries in pool.map(lambda key: _list(folder, key), level)
                for entry in entries
                if not is_hidden(_last(entry))
            ]
            found |= {base + entry["name"].removeprefix(top): entry for entry in shown if entry["type"] != "directory"}
            level = [entry["name"].rstrip("/") for entry in shown if entry["type"] == "directory"]
            depth = None if depth is None else depth - 1
    return found


def _list(folder: Path, key: str) -> list[About]:
    """The entries of the folder with this key in the store of `folder`."""

    def ask() -> list[About]:
        file_system(folder).invalidate_cache(key)
        return file_system(folder).ls(key, detail=True)

    try:
        entries = retried(ask, folder)
    except FileNotFoundError:
        return []
    return [entry for entry in entries if entry["name"].strip("/") != key.strip("/")]


def _last(entry: About) -> str:
    return entry["name"].rstrip("/").rpartition("/")[2]
