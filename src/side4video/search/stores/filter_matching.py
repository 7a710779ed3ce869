"""Check whether files pass a filter."""

import fnmatch
import os
import re
from collections.abc import Callable

from side4video.data.lists.video_finder import composed
from side4video.search.stores.dates import Period, parse_period
from side4video.search.stores.filters import Condition, Filter
from side4video.search.stores.numbers import value_text
from side4video.search.stores.records import IndexedFile, Metadata
from side4video.system.paths import as_listed, real_path

_COMPARE: dict[str, Callable[[str | float | bool, str | float | bool], bool]] = {
    "=": lambda own, other: own == other,
    "<": lambda own, other: own < other,  # type: ignore[operator]
    "<=": lambda own, other: own <= other,  # type: ignore[operator]
    ">": lambda own, other: own > other,  # type: ignore[operator]
    ">=": lambda own, other: own >= other,  # type: ignore[operator]
}


def _kind(value: str | float | bool) -> type:
    """The type of a value for comparisons. Booleans are not numbers here, unlike in Python."""
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def fulfils(metadata: Metadata, condition: Condition) -> bool:
    """Whether a video's metadata fulfils a condition.

    A text is compared with the text of a value: "7" with 7.0. Other values of different types are never equal and have
    no order.

    A date is compared with the whole period of the condition: `<=2024-05` includes all of May, and `>2024-05` starts in
    June.

    >>> fulfils({"year": 2024.0}, Condition("year", ">=", 2020.0)), fulfils({}, Condition("year", ">=", 2020.0))
    (True, False)
    """
    if condition.column not in metadata:
        return False
    own, other = metadata[condition.column], condition.value
    if isinstance(other, str):
        own = value_text(own)
    if condition.operator == "~":
        return composed(str(other)).casefold() in composed(str(own)).casefold()
    if isinstance(other, Period):
        period = parse_period(own) if isinstance(own, str) else None
        return condition.operator == "!=" if period is None else _is_in(period, condition.operator, other)
    same_type = _kind(own) is _kind(other)
    if condition.operator == "!=":
        return not same_type or own != other
    return same_type and _COMPARE[condition.operator](own, other)


def _is_in(own: Period, operator: str, other: Period) -> bool:
    within = other.start <= own.start < other.end
    before, after = own.start < other.start, own.start >= other.end
    answers = {"=": within, "!=": not within, "<": before, "<=": not after, ">": after, ">=": not before}
    return answers[operator]


def _in_one_form(path: str) -> str:
    path = path.replace(os.sep, "/")
    return path if path.isascii() else composed(path)


def _path_test(pattern: str) -> Callable[[str], bool]:
    """A test for paths that match the pattern, or that are the folder or lie below it. Unicode forms are equal."""
    matches = re.compile(fnmatch.translate(_in_one_form(pattern))).match
    spellings = (_in_one_form(pattern).rstrip("/") or "/", *as_listed([os.path.abspath(pattern)]), real_path(pattern))  # noqa: PTH100
    folders = set(map(_in_one_form, spellings)) if pattern else set()
    starts = tuple(folder.rstrip("/") + "/" for folder in folders)

    def test(path: str) -> bool:
        path = _in_one_form(path)
        return path in folders or path.startswith(starts) or matches(path) is not None

    return test


def make_test(filter: Filter) -> Callable[[IndexedFile], bool]:
    """A function that checks whether a file passes a filter.

    A pattern matches against the whole path, and `*` matches `/` too. A pattern that names a folder, absolute or
    relative to the working directory, accepts everything below it.

    >>> test = make_test(Filter(path="*/2024/*.mp4"))
    >>> test(IndexedFile("/videos/2024/cat.mp4", content="", size=1, modified=0, duration_seconds=2.0))
    True
    """
    path_test = None if filter.path is None else _path_test(filter.path)

    def test(file: IndexedFile) -> bool:
        if path_test is not None and not path_test(file.path):
            return False
        return all(fulfils(file.metadata, condition) for condition in filter.conditions)

    return test
