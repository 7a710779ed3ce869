"""Metadata of videos from a CSV file: rows are matched with paths, columns are numbers, booleans, dates or text."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePath
from typing import NamedTuple

from side4video.data.lists.records import find_column, read_records
from side4video.data.lists.text_files import MAX_SHOWN, DataError, first_few, shorten
from side4video.data.lists.video_finder import composed
from side4video.search.stores.dates import is_date, read_dates
from side4video.search.stores.numbers import parse_exact_number
from side4video.search.stores.records import Metadata
from side4video.system.paths import as_listed, real_path

PATH_COLUMNS = ("path", "file", "name", "video", "filename", "file_name", "sourcefile")
"""The first of these columns that exists names the video."""

MISSING = {"", "0000:00:00 00:00:00", "n/a", "#n/a", "na", "nan", "null", "none", "-", "--", "?", "unknown"}
"""Fields without a value, in any case. In a column of text only `_MISSING_TEXT`: "none" or "NA" may be values there."""
_MISSING_TEXT = {"", "n/a", "#n/a", "0000:00:00 00:00:00"}
_BOOLEANS = {"true": True, "false": False}

Value = str | float | bool


class Column(NamedTuple):
    """A column of a CSV.

    Attributes:
        kind: "numbers", "true or false", "dates" or "text".
        values: a value or None for each row.
        note: how dates were read, or which fields make the column one of text although most are numbers or dates.

    >>> read_column(["7.5", "n/a", "9"])
    Column(kind='numbers', values=[7.5, None, 9.0], note='1 missing')
    >>> read_column(["7.5", "two", "9"]).note
    "because of 'two'"
    """

    kind: str
    values: list[Value | None]
    note: str = ""


@dataclass(frozen=True)
class MetadataFile:
    """A CSV with one row per video.

    Attributes:
        source: the file.
        rows: for each row the name of the video, and its other columns.
        columns: for each column its type, and a note if there is one.

    >>> source = Path("cameras.csv")
    >>> _ = source.write_text("path,camera,year\\nclip.mp4,north,2024\\n")
    >>> read_metadata(source).match(["/videos/clip.mp4"])
    ({'/videos/clip.mp4': {'camera': 'north', 'year': 2024.0}}, [])
    """

    source: Path
    rows: tuple[tuple[str, Metadata], ...]
    columns: Mapping[str, str] = field(default_factory=dict)

    def match(self, paths: Iterable[str]) -> tuple[dict[str, Metadata], list[str]]:
        """Metadata by path, and the names that match no path.

        A name is an absolute path, a path relative to the CSV's folder, or the end of exactly one path.

        Raises:
            DataError: a name is the end of several paths, or two rows match the same video.
        """
        by_name: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            by_name[composed(PurePath(path).name)].append(path)
        found: dict[str, Metadata] = {}
        unknown, ambiguous, repeated = [], [], []
        for name, metadata in self.rows:
            matches = self._match(name, by_name[composed(PurePath(name).name)])
            if not matches:
                unknown.append(name)
            elif len(matches) > 1:
                ambiguous.append(f"{shorten(name)} is the end of several paths, {first_few(matches)}")
            elif matches[0] in found:
                repeated.append(name)
            else:
                found[matches[0]] = metadata
        problems = [f"{self.source}: {problem}. Give a longer part of the path." for problem in ambiguous[:MAX_SHOWN]]
        if repeated:
            problems.append(f"{self.source}: there are several rows for {first_few(repeated)}. Keep one row per video.")
        if problems:
            raise DataError(*problems)
        return found, unknown

    def _match(self, name: str, candidates: list[str]) -> list[str]:
        if "\0" in name:  # not allowed in file names
            return []
        place = self.source.parent / name
        exact = set(map(composed, (*as_listed([os.path.abspath(place)]), real_path(place))))  # noqa: PTH100 - with links first
        if same := [path for path in candidates if composed(path) in exact]:
            return same[:1]
        parts = PurePath(composed(name)).parts
        return [path for path in candidates if PurePath(composed(path)).parts[-len(parts) :] == parts]


def read_metadata(source: Path) -> MetadataFile:
    """Read a CSV with a column of paths (`PATH_COLUMNS`) and any other columns.

    A column holds numbers, booleans or dates if all its fields do, else text. Missing fields (`MISSING`) are left out.
    Whole numbers above 2**53 are text.

    Raises:
        DataError: the file cannot be read, has no rows or no path column, or a path is empty.
    """
    records = read_records(source)
    if not records:
        raise DataError(f"{source} has no rows. Write a header such as path,camera and one row per video.")
    name = find_column(records, PATH_COLUMNS)
    if name is None:
        names = " or ".join(PATH_COLUMNS[:3])
        raise DataError(f"{source} has no column {names}, but {first_few(records[0])}. Rename the column of paths.")
    if empty_rows := [position for position, record in enumerate(records, start=1) if not record.get(name)]:
        raise DataError(f"{source}: {name} is empty in row {first_few(empty_rows)}. Name the video in each row.")
    others = [other for other in records[0] if other and other != name]
    columns = {other: read_column([record.get(other, "") for record in records]) for other in others}
    rows = [
        (record[name], {other: value for other in others if (value := columns[other].values[position]) is not None})
        for position, record in enumerate(records)
    ]
    described = {
        other: f"{column.kind} ({column.note})" if column.note else column.kind for other, column in columns.items()
    }
    return MetadataFile(source.absolute(), tuple(rows), described)


def read_column(fields: list[str]) -> Column:
    """Read the fields of a column as numbers, booleans or dates if all that are not missing allow it, else as text."""
    given = [text for text in fields if text.lower() not in MISSING]
    dates, order = read_dates(given)
    numbers: list[Value | None] = [parse_exact_number(text) for text in given]
    booleans: list[Value | None] = [_BOOLEANS.get(text.lower()) for text in given]
    missing = f"{len(fields) - len(given)} missing" if len(given) < len(fields) else ""
    for kind, values, note in (("numbers", numbers, ""), ("true or false", booleans, ""), ("dates", dates, order)):
        if given and None not in values:
            spread = iter(values)
            all_values = [None if text.lower() in MISSING else next(spread) for text in fields]
            return Column(kind, all_values, ", ".join(filter(None, (note, missing))))
    others = [text for text, *typed in zip(given, numbers, dates, strict=True) if typed == [None, None]]
    note = order if order.startswith("dates") else ""
    if not note and 0 < len(others) <= len(given) / 2:
        note = f"because of {first_few(list(dict.fromkeys(others)))}"
    return Column("text", [None if text.lower() in _MISSING_TEXT else text for text in fields], note)


def column_types(metadata: Iterable[Mapping[str, object]]) -> dict[str, type]:
    """The columns with their types: `float`, `bool`, `date` or `str`; `str` if the type differs between videos.

    >>> column_types([{"camera": "north", "year": 2024.0}, {"camera": 7.0}])
    {'camera': <class 'str'>, 'year': <class 'float'>}
    """
    kinds: dict[str, set[type]] = defaultdict(set)
    for columns in metadata:
        for name, value in columns.items():
            kinds[name].add(date if isinstance(value, str) and is_date(value) else type(value))
    return {name: next(iter(kinds[name])) if len(kinds[name]) == 1 else str for name in sorted(kinds)}


def column_values(metadata: Iterable[Mapping[str, Value]]) -> dict[str, frozenset[Value]]:
    """The values that occur in each column.

    >>> column_values([{"camera": "north"}, {"camera": "south"}])["camera"] == {"north", "south"}
    True
    """
    values: dict[str, set[Value]] = defaultdict(set)
    for columns in metadata:
        for name, value in columns.items():
            values[name].add(value)
    return {name: frozenset(found) for name, found in values.items()}
