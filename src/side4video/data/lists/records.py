"""Rows of CSV files as dictionaries, by normalised column names."""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from side4video.data.lists.segments import THOUSANDS, TIME_FORMS, parse_seconds
from side4video.data.lists.text_files import DataError, read_numbered_lines, shorten, strip_invisible

Value = TypeVar("Value")

CAPTION_COLUMNS = ("caption", "captions", "sentence", "sentences", "text", "description", "query")
_UNIT = re.compile(r"\s*[(\[](s|secs?|seconds|ms|msec|frames?)[)\]]$")
LINE = "line number"
"""The field of the line; no column has this name, as blanks become underscores."""


def read_records(source: Path, *, numbered: bool = False) -> list[dict[str, str]]:
    """The rows of a CSV as dictionaries from column name to field; missing last fields are empty.

    Columns without a name, such as the index that pandas writes, are ignored, and so are rows without any field, which
    spreadsheets write below a table, repeated headers, empty fields after the last column, and comments before the
    header (`count_comments`). Further columns of captions get numbers (`caption_2`).

    Args:
        source: the file.
        numbered: also give the line of each row, as the field `LINE`.

    Raises:
        DataError: a row has more fields than the header, or different values in two columns of the same name.
    """
    lines = read_numbered_lines(source)
    lines = lines[count_comments([line for _, line in lines]) :]
    header = header_fields(lines[0][1]) if lines else []
    columns = number_captions(list(map(column_name, header)))
    empty = {name: "" for name in columns if name}
    records = []
    for number, fields in _split_rows(lines[1:], header_delimiter(lines[0][1]) if lines else ",", source):
        if any(fields[len(columns) :]):
            raise DataError(
                f"{source}: {shorten(fields)} does not fit the header {shorten(columns)}. Quote fields that contain a "
                "delimiter."
            )
        named = ((name, strip_invisible(field)) for name, field in zip(columns, fields, strict=False) if name)
        record = empty | fields_by_column(named, f"{source}, line {number}")
        if any(fields) and fields != header:
            records.append(record | {LINE: str(number)} if numbered else record)
    return records


def _split_rows(lines: Sequence[tuple[int, str]], delimiter: str, source: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of each row, with the number of its last line."""
    rows = csv.reader((line for _, line in lines), delimiter=delimiter, skipinitialspace=True)
    try:
        for fields in rows:
            yield lines[rows.line_num - 1][0], fields
    except csv.Error as error:  # a field above 128 KB, usually an unclosed quote
        raise DataError(f"{source}, line {lines[rows.line_num - 1][0]}: {error}. Close every quote.") from None


def count_comments(lines: Sequence[str]) -> int:
    """The number of lines that start with `#` before the header of a table; a header has as many fields as its rows.

    >>> count_comments(["# exported today", "path,label"]), count_comments(["#,path,label", "1,a.mp4,run"])
    (1, 0)
    """
    marked = list(takewhile(lambda line: line.startswith("#"), lines))
    if len(marked) == len(lines):
        return 0
    width = len(header_fields(lines[len(marked)]))
    return sum(1 for _ in takewhile(lambda line: len(header_fields(line)) != width, marked))


def header_delimiter(line: str) -> str:
    """Comma, tab, `;` or `|`: the most frequent one in a header."""
    return max(",\t;|", key=line.count)


def split_header(line: str) -> list[str]:
    """The column names of a header in lower case, with `_` for blanks and hyphens."""
    return [column_name(name) for name in header_fields(line)]


def header_fields(line: str) -> list[str]:
    """The column names of a header as written."""
    try:
        return next(csv.reader([line], delimiter=header_delimiter(line), skipinitialspace=True), [])
    except csv.Error:  # a field above 128 KB: no header
        return [line]


def column_name(name: str) -> str:
    """A normalised column name: lower case, with `_` for blanks and hyphens, and before a unit in brackets.

    >>> column_name("Class Name"), column_name("Start (s)")
    ('class_name', 'start_s')
    """
    name = _UNIT.sub(r" \1", strip_invisible(name).strip(' "').lower())
    return re.sub(r"[\s-]", "_", name)


def fields_by_column(fields: Iterable[tuple[str, Value]], place: str) -> dict[str, Value]:
    """The values of a row by normalised column name.

    >>> fields_by_column([("Class Name", "run")], "line 2")
    {'class_name': 'run'}

    Raises:
        DataError: two columns have the same name and different values; the error names `place`.
    """
    found: dict[str, Value] = {}
    for name, value in fields:
        column = column_name(name)
        if (other := found.setdefault(column, value)) != value:
            raise DataError(
                f"{place}: two columns are called {column}, with {shorten(other)} and {shorten(value)}. Remove or "
                "rename one."
            )
    return found


def number_captions(columns: Sequence[str]) -> list[str]:
    """Column names with numbers on repeated columns of captions.

    >>> number_captions(["video", "caption", "caption"])
    ['video', 'caption', 'caption_2']
    """
    counts: Counter[str] = Counter()
    numbered = []
    for name in columns:
        counts[name] += 1
        numbered.append(f"{name}_{counts[name]}" if name in CAPTION_COLUMNS and counts[name] > 1 else name)
    return numbered


class Several(str):
    """A field that was a list in JSON: its values are `labels`.

    >>> Several(["run", "jump"]).labels
    ('run', 'jump')
    """

    labels: tuple[str, ...]

    def __new__(cls, values: Sequence[str]) -> "Several":
        """The values separated by commas, as the text."""
        field = super().__new__(cls, ", ".join(values))
        field.labels = tuple(values)
        return field


def joined_spellings(*names: str) -> tuple[str, ...]:
    """Normalised column names, and the same without `_`: `startTime` and `starttime` are `start_time`.

    >>> joined_spellings("start_time", "start")
    ('start_time', 'starttime', 'start')
    """
    return tuple(dict.fromkeys(form for name in names for form in (name, name.replace("_", ""))))


def find_column(records: list[dict[str, str]], names: Sequence[str]) -> str | None:
    """The first of `names` that is a column of the records."""
    return next((name for name in names if records and name in records[0]), None)


def parse_time(text: object, source: Path | str) -> float | None:
    """A time in seconds; None for an empty field."""
    time = parse_seconds(text)
    if time is not None and math.isnan(time):
        why = "may be thousands or decimals" if THOUSANDS.fullmatch(str(text)) else "is not a time"
        raise DataError(f"{source}: {shorten(text)} {why}. Write {TIME_FORMS}.")
    return time


def parse_number(text: str, place: str) -> float:
    """A positive number, such as frames per second."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise DataError(f"{place}: {shorten(text)} is not a positive number of frames per second. Correct it.")
    return number
