"""Windows of many videos, read for some videos at a time: few questions to a store, and little memory."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from side4video.search.stores.records import Window

WINDOWS_AT_ONCE = 4096
"""That are read or written together at most; 50 MB of 12 x 512 numbers in 16 bits. Also paths of one question."""


def in_portions(paths: Sequence[str], counts: Mapping[str, int]) -> Iterator[list[str]]:
    """Paths in their order, together with at most `WINDOWS_AT_ONCE` windows, or one path with more.

    Args:
        paths: may be there several times; in one portion they count once.
        counts: windows of each path; others have none.
    """
    portion: list[str] = []
    counted: set[str] = set()
    windows = 0
    for path in paths:
        count = counts.get(path, 0)
        if path not in counted and portion and windows + count > WINDOWS_AT_ONCE:
            yield portion
            portion, counted, windows = [], set(), 0
        windows += 0 if path in counted else count
        portion.append(path)
        counted.add(path)
    if portion:
        yield portion


def read_in_portions(
    paths: Sequence[str],
    *,
    count: Callable[[Sequence[str]], Mapping[str, int]],
    read: Callable[[Sequence[str]], Sequence[Window]],
) -> Iterator[list[Window]]:
    """For each path its windows, in the order in which they are read.

    Args:
        paths: may be there several times.
        count: how many windows each of some videos has; those without any may be left out.
        read: the windows of some videos, those of one video in their order.
    """
    for start in range(0, len(paths), WINDOWS_AT_ONCE):
        some = paths[start : start + WINDOWS_AT_ONCE]
        for portion in in_portions(some, count(list(dict.fromkeys(some)))):
            own: dict[str, list[Window]] = defaultdict(list)
            for window in read(list(dict.fromkeys(portion))):
                own[window.file.path].append(window)
            yield from (list(own[path]) for path in portion)
