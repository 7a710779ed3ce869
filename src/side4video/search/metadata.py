"""Metadata of videos from a CSV file: rows are matched with paths, columns are numbers, booleans or text."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from side4video.data.lists.list_formats import find_column, read_records
from side4video.data.lists.text_files import MAX_SHOWN, DataError, first_few, shorten
from side4video.search.stores.records import Metadata

PATH_COLUMNS = ("path", "file", "name", "video", "filename", "file_name")
"""The first of these columns that exists names the video."""

_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)  # without leading zeros: 007 is text
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class MetadataFile:
    """A CSV with one row per video.

    Attributes:
        source: the file.
        rows: for each row the name of the video, and its other columns.

    >>> source = Path("cameras.csv")
    >>> _ = source.write_text("path,camera,year\\nclip.mp4,north,2024\\n")
    >>> read_metadata(source).match(["/videos/clip.mp4"])
    ({'/videos/clip.mp4': {'camera': 'north', 'year': 2024.0}}, [])
    """

    source: Path
    rows: tuple[tuple[str, Metadata], ...]

    def match(self, paths: Iterable[str]) -> tuple[dict[str, Metadata], list[str]]:
        """Metadata by path, and the names that match no path.

        A name is an absolute path, a path relative to the CSV's folder, or the end of exactly one path.

        Raises:
            DataError: a name is the end of several paths, or two rows match the same video.
        """
        by_name: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            by_name[PurePath(path).name].append(path)
        found: dict[str, Metadata] = {}
        unknown, ambiguous, repeated = [], [], []
        for name, metadata in self.rows:
            matches = self._match(name, by_name[PurePath(name).name])
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
        exact = str((self.source.parent / name).resolve())
        if exact in candidates:
            return [exact]
        parts = PurePath(name).parts
        return [path for path in candidates if PurePath(path).parts[-len(parts) :] == parts]


def read_metadata(source: Path) -> MetadataFile:
    """Read a CSV with a column of paths (`PATH_COLUMNS`) and any other columns.

    A column holds numbers or booleans if all its fields do, else text. Empty fields are ignored.

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
    columns = {other: _read_column([record.get(other, "") for record in records]) for other in others}
    rows = [
        (record[name], {other: value for other in others if (value := columns[other][position]) is not None})
        for position, record in enumerate(records)
    ]
    return MetadataFile(source.absolute(), tuple(rows))


def _read_column(fields: list[str]) -> list[str | float | bool | None]:
    given = [field for field in fields if field]
    if all(_NUMBER.fullmatch(field) and math.isfinite(float(field)) for field in given):
        return [float(field) if field else None for field in fields]
    if all(field.lower() in _BOOLEANS for field in given):
        return [_BOOLEANS[field.lower()] if field else None for field in fields]
    return [field or None for field in fields]


def column_types(metadata: Iterable[Mapping[str, object]]) -> dict[str, type]:
    """The columns with their types: `float`, `bool` or `str`; `str` if the type differs between videos.

    >>> column_types([{"camera": "north", "year": 2024.0}, {"camera": 7.0}])
    {'camera': <class 'str'>, 'year': <class 'float'>}
    """
    kinds: dict[str, set[type]] = defaultdict(set)
    for columns in metadata:
        for name, value in columns.items():
            kinds[name].add(type(value))
    return {name: next(iter(kinds[name])) if len(kinds[name]) == 1 else str for name in sorted(kinds)}
