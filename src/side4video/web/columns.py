"""The metadata columns of an index, with their types and values, for filters."""

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from side4video.search.stores.filters import Values
from side4video.search.stores.numbers import value_text
from side4video.web.responses import ColumnResponse

MAX_CHOICES = 30
"""A text column with at most this many different values is shown as a choice."""


def describe_columns(types: Mapping[str, type], values: Values) -> list[ColumnResponse]:
    """The columns, in the order of `types`, with what their filters offer.

    Args:
        types: type of each column, see `column_types`.
        values: values of each column, see `column_values`.

    >>> [column] = describe_columns({"year": float}, {"year": {2024.0, 2019.0}})
    >>> column.kind, column.lowest
    ('number', 2019.0)
    """
    return [_describe(name, kind, values[name]) for name, kind in types.items()]


def _describe(name: str, kind: type, values: Collection[Any]) -> ColumnResponse:
    if kind is bool:
        return ColumnResponse(name=name, kind="truth", choices=["true", "false"], lowest=None, highest=None)
    if kind in (int, float):
        return ColumnResponse(name=name, kind="number", choices=[], lowest=min(values), highest=max(values))
    if kind is date:
        days = sorted(text[:10] for text in values)
        return ColumnResponse(
            name=name, kind="date", choices=[], lowest=None, highest=None, first=days[0], last=days[-1]
        )
    choices = sorted(set(map(value_text, values)))
    shown = choices if len(choices) <= MAX_CHOICES else []
    return ColumnResponse(name=name, kind="text", choices=shown, lowest=None, highest=None)
