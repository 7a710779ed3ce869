"""Which files a filter lets through."""

import fnmatch
import os
import re
from collections.abc import Callable

from side4video.search.stores.filters import Condition, Filter
from side4video.search.stores.records import IndexedFile, Metadata

_COMPARE: dict[str, Callable[[str | float | bool, str | float | bool], bool]] = {
    "=": lambda own, other: own == other,
    "<": lambda own, other: own < other,  # type: ignore[operator]
    "<=": lambda own, other: own <= other,  # type: ignore[operator]
    ">": lambda own, other: own > other,  # type: ignore[operator]
    ">=": lambda own, other: own >= other,  # type: ignore[operator]
}


def _kind(value: str | float | bool) -> type:
    """Yes and no are no numbers here, though they are in Python."""
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def fulfils(metadata: Metadata, condition: Condition) -> bool:
    """Whether a video's metadata fulfils a condition; text, numbers, and true and false are never equal or ordered."""
    if condition.column not in metadata:
        return False
    own, other = metadata[condition.column], condition.value
    if condition.operator == "~":
        return isinstance(own, str) and str(other).casefold() in own.casefold()
    alike = _kind(own) is _kind(other)
    if condition.operator == "!=":
        return not alike or own != other
    return alike and _COMPARE[condition.operator](own, other)


def _path_test(pattern: str) -> Callable[[str], bool]:
    """Paths that a pattern matches, or that a folder is or holds."""
    matches = re.compile(fnmatch.translate(pattern)).match
    folders = {pattern.rstrip("/") or "/", os.path.realpath(pattern)} if pattern else set()
    starts = tuple(folder.rstrip("/") + "/" for folder in folders)
    return lambda path: path in folders or path.startswith(starts) or matches(path) is not None


def make_test(filter: Filter) -> Callable[[IndexedFile], bool]:
    """A function that says of a file whether a filter lets it through.

    A pattern is for the whole path, and `*` stands for `/` too. A pattern that names a folder, which may be relative
    to the working directory, lets everything below it through.
    """
    path_test = None if filter.path is None else _path_test(filter.path)

    def test(file: IndexedFile) -> bool:
        if path_test is not None and not path_test(file.path):
            return False
        return all(fulfils(file.metadata, condition) for condition in filter.conditions)

    return test
