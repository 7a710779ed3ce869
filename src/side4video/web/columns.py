"""Which columns of metadata an index has, and what they hold: what its videos can be filtered by."""

from collections import defaultdict
from collections.abc import Iterable

from side4video.search.stores.records import IndexedFile
from side4video.web.answers import ColumnAnswer

MOST_CHOICES = 30
"""Different values up to which a column is a choice among them."""


def describe_columns(files: Iterable[IndexedFile]) -> list[ColumnAnswer]:
    """The columns in order of their names; one that holds text in any video is text."""
    values: dict[str, set[str | float | bool]] = defaultdict(set)
    for file in files:
        for name, value in file.metadata.items():
            values[name].add(value)
    return [_describe(name, values[name]) for name in sorted(values)]


def _describe(name: str, values: set[str | float | bool]) -> ColumnAnswer:
    if all(isinstance(value, bool) for value in values):
        return ColumnAnswer(name=name, kind="truth", choices=["true", "false"], lowest=None, highest=None)
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return ColumnAnswer(name=name, kind="number", choices=[], lowest=min(numbers), highest=max(numbers))
    choices = sorted(map(str, values)) if len(values) <= MOST_CHOICES else []
    return ColumnAnswer(name=name, kind="text", choices=choices, lowest=None, highest=None)
