"""Remove videos from an index, or change their paths, without a model and without reading the videos."""

import os
from dataclasses import replace
from pathlib import Path

from side4video.search.stores.filter_matching import make_test
from side4video.search.stores.filters import Filter
from side4video.search.stores.store import Store


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
    removed.

    Args:
        store: the store of the index.
        old: the former folder or file, which need not exist.
        new: its present path.

    Raises:
        ValueError: no video is in `old`.
        FileNotFoundError: `new` does not exist.
    """
    if not Path(new).exists():
        raise FileNotFoundError(f"--relocate: {new} does not exist. Give the present folder of the videos.")
    start, target = os.path.abspath(old), os.path.abspath(new)  # noqa: PTH100 - links keep their names
    known = store.files()
    moves = {
        path: target + path[len(start) :]
        for path in known
        if path == start or path.startswith(start.rstrip(os.sep) + os.sep)
    }
    if not moves:
        raise ValueError(f"--relocate {old}: no video of the index is in this folder.")
    for path, windows in zip(moves, store.windows_of(list(moves)), strict=True):
        place = moves[path]
        if place in known:
            store.replace([path], [])
        else:
            moved = [replace(window, file=replace(window.file, path=place)) for window in windows]
            store.replace([path, place], moved)
    subtitles = store.subtitles()
    renamed = {moves[path]: subtitles[path] for path in moves if path in subtitles and moves[path] not in known}
    store.set_subtitles({**dict.fromkeys(subtitles.keys() & moves.keys()), **renamed})
    store.optimise()
    return moves
