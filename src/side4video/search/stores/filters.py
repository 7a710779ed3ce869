"""Filters: which videos a search considers, by conditions on their paths and metadata."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~"]
"""`~`: the text contains the value; case is ignored."""

_CONDITION = re.compile(r"\s*(?P<column>[^=!<>~]+?)\s*(?P<operator>!=|<=|>=|=|<|>|~)\s*(?P<value>.*?)\s*", re.DOTALL)
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True)
class Condition:
    """A comparison of a metadata column with a value. Videos without this column do not fulfil it.

    >>> Filter((Condition("camera", "=", "north"), Condition("year", ">=", 2020.0))).conditions[1].column
    'year'
    """

    column: str
    operator: Operator
    value: str | float | bool


@dataclass(frozen=True)
class Filter:
    """A filter for videos that fulfil all conditions.

    Attributes:
        conditions: conditions on the metadata.
        path: a glob pattern for the whole path, such as `*/2024/*.mp4`, or a folder; None: every path.

    >>> parse_filter(["year>=2020"], "*.mp4", {"year": float})
    Filter(conditions=(Condition(column='year', operator='>=', value=2020.0),), path='*.mp4')
    """

    conditions: tuple[Condition, ...] = ()
    path: str | None = None


def parse_condition(text: str, columns: Mapping[str, type]) -> Condition:
    """Parse a condition of the command line: `camera=north`, `year>=2020`, `title~dog`.

    Args:
        text: column, operator (one of `Operator`) and value.
        columns: the columns of the index with their types: `float`, `bool` or `str`.

    Raises:
        ValueError: the syntax is wrong, the column does not exist, or the value does not have the column's type.

    >>> parse_condition("title~dog", {"title": str})
    Condition(column='title', operator='~', value='dog')
    """
    match = _CONDITION.fullmatch(text)
    if match is None or not match["value"]:
        raise ValueError(
            f"{text!r} is not a condition. Write a column, one of = != < <= > >= ~, and a value: year>=2020."
        )
    name, operator, value = match["column"], cast(Operator, match["operator"]), match["value"]
    column = name if name in columns else re.sub(r"[\s-]", "_", name.lower())
    if column not in columns:
        if not columns:
            raise ValueError(f"{text!r}: the videos have no metadata. Index them again with --metadata FILE.csv.")
        close = difflib.get_close_matches(column, columns, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{text!r}: there is no column {name!r}.{hint} Columns: {', '.join(columns)}.")
    kind = columns[column]
    if operator == "~" or kind is str:
        if operator == "~" and kind is not str:
            raise ValueError(f"{text!r}: {column} is not a column of text, which ~ requires. Use = or !=.")
        return Condition(column, operator, value)
    if kind is bool:
        if value.lower() not in _BOOLEANS or operator not in {"=", "!="}:
            raise ValueError(f"{text!r}: {column} is true or false. Write {column}=true or {column}=false.")
        return Condition(column, operator, _BOOLEANS[value.lower()])
    try:
        return Condition(column, operator, float(value))
    except ValueError:
        raise ValueError(f"{text!r}: {column} is a column of numbers, and {value!r} is not a number.") from None


def parse_filter(conditions: Iterable[str], path: str | None, columns: Mapping[str, type]) -> Filter:
    """Parse conditions, see `parse_condition`, and combine them with a path pattern."""
    return Filter(tuple(parse_condition(text, columns) for text in conditions), path)
