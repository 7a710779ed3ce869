"""The metadata columns of an index, with their types and values, for filters."""

from collections import defaultdict
from collections.abc import Iterable

from side4video.search.stores.dates import is_date
from side4video.search.stores.numbers import value_text
from side4video.search.stores.records import IndexedFile
from side4video.web.responses import ColumnResponse

MAX_CHOICES = 30
"""A text column with at most this many different values is shown as a choice."""


def describe_columns(files: Iterable[IndexedFile]) -> list[ColumnResponse]:
    """The columns sorted by name. A column that holds text in any video is a text column.

    >>> [column] = describe_columns([IndexedFile("cat.mp4", "", 1, 0, 2.0, {"year": 2024.0})])
    >>> column.kind, column.lowest
    ('number', 2024.0)
    """
    values: dict[str, set[str | float | bool]] = defaultdict(set)
    for file in files:
        for name, value in file.metadata.items():
            values[name].add(value)
    return [_describe(name, values[name]) for name in sorted(values)]


def _describe(name: str, values: set[str | float | bool]) -> ColumnResponse:
    if all(isinstance(value, bool) for value in values):
        return ColumnResponse(name=name, kind="truth", choices=["true", "false"], lowest=None, highest=None)
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return ColumnResponse(name=name, kind="number", choices=[], lowest=min(numbers), highest=max(numbers))
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) == len(values) and all(map(is_date, texts)):
        days = sorted(text[:10] for text in texts)
        return ColumnResponse(
            name=name, kind="date", choices=[], lowest=None, highest=None, first=days[0], last=days[-1]
        )
    choices = sorted(set(map(value_text, values)))
    shown = choices if len(choices) <= MAX_CHOICES else []
    return ColumnResponse(name=name, kind="text", choices=shown, lowest=None, highest=None)
