"""Remove videos from an index, or change their paths, without a model and without reading the videos."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from side4video.search.file_states import content_of_file, state_of_file
from side4video.search.stores.filter_matching import make_test
from side4video.search.stores.filters import Filter
from side4video.search.stores.records import IndexedFile
from side4video.search.stores.store import Store
from side4video.video.decoding import VIDEO_SUFFIXES
from side4video.video.remote import can_list, is_address, listed_path, video_path
from side4video.video.remote_listing import About, list_remote


def forget(store: Store, pattern: str) -> list[str]:
    """Remove the videos whose paths match a pattern or are below a folder; returns their paths.

    Raises:
        ValueError: no video matches.

    >>> import shutil
    >>> from side4video.search.stores.open_store import open_store
    >>> store = open_store(shutil.copytree("index", "shorter"))
    >>> len(forget(store, "*")), store.files()
    (2, {})
    """
    test = make_test(Filter(path=pattern))
    paths = [path for path, file in store.files().items() if test(file)]
    if not paths:
        raise ValueError(f"--forget {pattern}: no video of the index matches this pattern or is in this folder.")
    store.replace(paths, [])
    store.set_subtitles(dict.fromkeys(paths))
    store.optimise()
    return paths


def relocate(store: Store, old: str, new: str) -> dict[str, str]:
    """Change the folder of videos after a drive or folder was renamed; returns the new path of each old path.

    Embeddings, metadata and subtitles stay. A new path that the index has already keeps its entry, and the old entry is
    removed. Either folder may be at an address: after an upload, or from one store to another. Files of the same size
    then count as unchanged; the next `index` embeds others again.

    Args:
        store: the store of the index.
        old: the former folder or file, which need not exist.
        new: its present path.

    Raises:
        ValueError: no video is in `old`.
        FileNotFoundError: `new` does not exist.
        StoreError: the store of `new` does not answer.
    """
    start, target = _absolute(old), str(listed_path(video_path(_absolute(new))))
    states = list_remote(video_path(new), VIDEO_SUFFIXES) if is_address(new) and can_list(video_path(new)) else {}
    if not states and (not is_address(new) or can_list(video_path(new))) and not Path(new).exists():
        raise FileNotFoundError(f"--relocate: {new} does not exist. Give the present folder of the videos.")
    known = store.files()
    slash = "/" if is_address(start) else os.sep
    moves = {
        path: target + path[len(start) :].replace(slash, "/" if is_address(target) else os.sep)
        for path in known
        if path == start or path.startswith(start.rstrip(slash) + slash)
    }
    if not moves:
        raise ValueError(f"--relocate {old}: no video of the index is in this folder.")
    for path, windows in zip(moves, store.windows_of(list(moves)), strict=True):
        place = moves[path]
        if place in known:
            store.replace([path], [])
        else:
            file = replace(known[path], path=place)
            if is_address(place) or is_address(path):
                file = _in_new_store(file, states.get(place))
            store.replace([path, place], [replace(window, file=file) for window in windows])
    subtitles = store.subtitles()
    renamed = {moves[path]: subtitles[path] for path in moves if path in subtitles and moves[path] not in known}
    store.set_subtitles({**dict.fromkeys(subtitles.keys() & moves.keys()), **renamed})
    store.optimise()
    return moves


def _absolute(path: str) -> str:
    return path.rstrip("/") if is_address(path) else os.path.abspath(path)  # noqa: PTH100 - links keep their names


def _in_new_store(file: IndexedFile, about: About | None) -> IndexedFile:
    """The file with the state that its new place gives, if its size is equal there; else unchanged."""
    with suppress(FileNotFoundError):
        size, modified = state_of_file(file.path, about)
        if size == file.size:
            return replace(file, modified=modified, content=content_of_file(file.path, about))
    return file
