"""Read the windows of many videos in batches: few requests to a store, and limited memory."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from side4video.search.stores.records import Window

WINDOWS_PER_BATCH = 4096
"""Maximum number of windows per read or write: 50 MB with 12 x 512 numbers of 16 bits each. Also limits the paths."""


def split_paths(paths: Sequence[str], counts: Mapping[str, int]) -> Iterator[list[str]]:
    """Split paths into batches, in order, with at most `WINDOWS_PER_BATCH` windows each, or a single path with more.

    Args:
        paths: may contain duplicates, which count once per batch.
        counts: number of windows of each path; missing paths have none.

    >>> list(split_paths(["a", "b", "c"], {"a": 4000, "b": 90, "c": 90}))
    [['a', 'b'], ['c']]
    """
    batch: list[str] = []
    counted: set[str] = set()
    windows = 0
    for path in paths:
        count = counts.get(path, 0)
        if path not in counted and batch and windows + count > WINDOWS_PER_BATCH:
            yield batch
            batch, counted, windows = [], set(), 0
        windows += 0 if path in counted else count
        batch.append(path)
        counted.add(path)
    if batch:
        yield batch


def read_in_batches(
    paths: Sequence[str],
    *,
    count: Callable[[Sequence[str]], Mapping[str, int]],
    read: Callable[[Sequence[str]], Sequence[Window]],
) -> Iterator[list[Window]]:
    """Yield the windows of each path, in the order in which `read` returns them.

    Args:
        paths: may contain duplicates.
        count: returns the number of windows of each given video; videos without windows may be omitted.
        read: returns the windows of the given videos, those of each video in order.
    """
    for start in range(0, len(paths), WINDOWS_PER_BATCH):
        some = paths[start : start + WINDOWS_PER_BATCH]
        for batch in split_paths(some, count(list(dict.fromkeys(some)))):
            own: dict[str, list[Window]] = defaultdict(list)
            for window in read(list(dict.fromkeys(batch))):
                own[window.file.path].append(window)
            yield from (list(own[path]) for path in batch)
