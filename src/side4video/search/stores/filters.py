"""Filters: which videos a search considers, by conditions on their paths and metadata."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, cast

from side4video.search.stores.dates import Period, parse_period
from side4video.search.stores.numbers import parse_number, value_text

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~"]
"""`~`: the text contains the value; case is ignored."""
Values = Mapping[str, Collection[str | float | bool]]
"""The values that occur in each column."""

_QUOTED = r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\''
# Conditions come from clients: each expression has one way to match a text, so it takes linear time.
_COLUMN = re.compile(rf"\s*+(?:(?P<quoted>{_QUOTED})\s*+|(?P<bare>[^=!<>~\"'\s][^=!<>~\"']*+))(?=[=!<>~]|$)")
_OPERATOR = re.compile(r"!=|<=|>=|=|<|>|~")
_VALUE = re.compile(rf"\s*+(?:(?P<quoted>{_QUOTED})\s*+|(?P<bare>[^\"'\s].*+))$", re.DOTALL)
_JOINED = re.compile(r"\s(?:AND|OR|and|or|&&|\|\|)\s[^=!<>~]++(?:!=|<=|>=|=|<|>|~)")
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
_MAX_NAMED = 3
MAX_CONDITION_LENGTH = 2000
"""Maximum number of characters of a condition."""


@dataclass(frozen=True)
class Condition:
    """A comparison of a metadata column with a value. Videos without this column do not fulfil it.

    >>> Filter((Condition("camera", "=", "north"), Condition("year", ">=", 2020.0))).conditions[1].column
    'year'
    """

    column: str
    operator: Operator
    value: str | float | bool | Period


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


def parse_condition(text: str, columns: Mapping[str, type], values: Values | None = None) -> Condition:
    """Parse a condition of the command line: `camera=north`, `year>=2020`, `title~dog`, `"shot on">=2024-05`.

    Grammar: column, operator (one of `Operator`), value. Columns and values may be quoted, with `"` or `'`; a doubled
    quote inside is one quote.

    Args:
        text: the condition.
        columns: the columns of the index with their types: `float`, `bool`, `date` or `str`.
        values: the values of the columns. If given, a text that no video has is an error.

    Raises:
        ValueError: the text is longer than `MAX_CONDITION_LENGTH`, the syntax is wrong, the column does not exist, the
            value does not have the column's type, no video has this value, or text is compared by order.

    >>> parse_condition("title~dog", {"title": str})
    Condition(column='title', operator='~', value='dog')
    """
    if len(text) > MAX_CONDITION_LENGTH:
        raise ValueError(
            f"A condition has {len(text):,} characters; the maximum is {MAX_CONDITION_LENGTH:,}. Use COLUMN~PART to "
            "find a part of a long text."
        )
    name, operator, value, is_quoted = _split(text)
    column = _find_column(text, name, columns)
    kind = columns[column]
    known = (values or {}).get(column, ())
    if kind is str:
        return _text_condition(text, column, operator, value, known)
    if operator == "~":
        raise ValueError(f"{text!r}: {column} is not a column of text, which ~ requires. Use = or !=.")
    if kind is bool:
        if value.lower() not in _BOOLEANS or operator not in {"=", "!="}:
            raise ValueError(f"{text!r}: {column} is true or false. Write {column}=true or {column}=false.")
        return Condition(column, operator, _BOOLEANS[value.lower()])
    parsed = parse_period(value) if kind is date else parse_number(value)
    if parsed is None:
        if not is_quoted and (hint := _joined(value)):
            raise ValueError(f"{text!r}: {hint}")
        example = "dates such as 2024-05-17, 2024-05 or 2024" if kind is date else "numbers"
        raise ValueError(
            f"{text!r}: {column} is a column of {example}, and {value!r}, at character {text.rfind(value) + 1}, is not "
            f"a {'date' if kind is date else 'number'}."
        )
    return Condition(column, operator, parsed)


def parse_filter(
    conditions: Iterable[str], path: str | None, columns: Mapping[str, type], values: Values | None = None
) -> Filter:
    """Parse conditions, see `parse_condition`, and combine them with a path pattern.

    Raises:
        ValueError: a condition is invalid, or the path has a zero character.
    """
    if path is not None and "\0" in path:
        raise ValueError(f"path: {path!r} contains a zero character, which no path has. Leave it out.")
    return Filter(tuple(parse_condition(text, columns, values) for text in conditions), path)


def write_condition(column: str, operator: Operator, value: str) -> str:
    """The text of a condition, with quotes where they are needed.

    >>> write_condition("title", "~", "dog"), write_condition("shot by", "=", "Neill, J.")
    ('title~dog', 'shot by="Neill, J."')
    """
    return _quoted(column) + operator + _quoted(value)


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w./:+-]+(?: [\w./:+-]+)*", text) else '"' + text.replace('"', '""') + '"'


def _split(text: str) -> tuple[str, Operator, str, bool]:
    """Column, operator, value, and whether the value was quoted."""
    column = _COLUMN.match(text)
    if column is None:
        raise _syntax_error(text, 0, "a column is missing")
    operator = _OPERATOR.match(text, column.end())
    if operator is None:
        raise _syntax_error(text, column.end(), "one of = != < <= > >= ~ is missing")
    value = _VALUE.match(text, operator.end())
    if value is None:
        rest = text[operator.end() :].strip()
        raise _syntax_error(
            text, operator.end(), "text follows a quote, or a quote is open" if rest else "a value is missing"
        )
    bare = value["bare"]
    if bare is not None and bare[0] in "=!<>~":
        raise _syntax_error(text, value.start("bare"), f"{bare[0]!r} is too much after {operator[0]!r}; quote a value")
    return _unquote(column), cast(Operator, operator[0]), _unquote(value), bare is None


def _unquote(match: re.Match[str]) -> str:
    if (quoted := match["quoted"]) is None:
        return match["bare"].strip()
    return quoted[1:-1].replace(quoted[0] * 2, quoted[0])


def _syntax_error(text: str, position: int, problem: str) -> ValueError:
    return ValueError(
        f"{text!r} is not a condition: {problem} (character {position + 1}). Write a column, one of = != < <= > >= ~, "
        "and a value: year>=2020."
    )


def _joined(value: str) -> str | None:
    joined = _JOINED.search(value)
    return (
        f"{joined[0].strip()!r} is a second condition. Give each condition on its own; all must be met."
        if joined
        else None
    )


def _find_column(text: str, name: str, columns: Mapping[str, type]) -> str:
    column = name if name in columns else re.sub(r"[\s-]", "_", name.lower())
    if column in columns:
        return column
    if not columns:
        raise ValueError(f"{text!r}: the videos have no metadata. Index them again with --metadata FILE.csv.")
    close = difflib.get_close_matches(column, columns, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{text!r}: there is no column {name!r}.{hint} Columns: {', '.join(columns)}.")


def _text_condition(
    text: str, column: str, operator: Operator, value: str, known: Collection[str | float | bool]
) -> Condition:
    if operator in {"<", "<=", ">", ">="}:
        offending = [value_text(one) for one in known if not _is_ordered(one)]
        because = f", because of {', '.join(map(repr, sorted(offending)[:_MAX_NAMED]))}" if offending else ""
        raise ValueError(
            f"{text!r}: {column} is a column of text{because}, and text has no order. Use =, != or ~; or correct the "
            "CSV (numbers such as 7.5, dates such as 2024-05-17, empty fields where nothing is known) and index again."
        )
    if operator != "~" and known and value not in (names := {value_text(one) for one in known}):
        if hint := _joined(value):
            raise ValueError(f"{text!r}: {hint}")
        folded = [name for name in names if name.casefold() == value.casefold()]
        close = folded or difflib.get_close_matches(value, names, n=_MAX_NAMED)
        some = ", ".join(map(repr, close or sorted(names)[:_MAX_NAMED]))
        raise ValueError(
            f"{text!r}: no video has {column} {value!r}. {'Did you mean' if close else 'Values are'} {some}"
            f"{'?' if close else '.'} (Letters in other cases differ; {column}~WORD finds parts of a text.)"
        )
    return Condition(column, operator, value)


def _is_ordered(value: str | float | bool) -> bool:
    return not isinstance(value, str) or parse_number(value) is not None or parse_period(value) is not None
