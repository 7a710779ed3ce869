"""Lists with named columns: CSV with a header, and JSON lines."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from side4video.data.lists.class_numbers import labels_to_indices
from side4video.data.lists.columns import LABEL_COLUMNS, PATH_COLUMNS, Columns, choose_columns, is_one
from side4video.data.lists.frame_labels import MOMENT, join_moments
from side4video.data.lists.list_source import ListSource
from side4video.data.lists.records import (
    LINE,
    Several,
    column_name,
    count_comments,
    fields_by_column,
    header_delimiter,
    header_fields,
    parse_number,
    parse_time,
    read_records,
)
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.several_labels import separate_labels
from side4video.data.lists.split_names import select_split
from side4video.data.lists.text_files import DataError, parse_json, read_lines, read_numbered_lines, shorten
from side4video.data.lists.time_columns import END_COLUMNS, START_COLUMNS, start_and_end
from side4video.video.decoding import VIDEO_SUFFIXES

_PATH_AND_LABEL = ("path", "label")


def is_csv(source: ListSource) -> bool:
    """Whether the first line names columns: one is a usual name of paths, two are of labels or times, or the next lines
    have video files below it.

    >>> is_csv(ListSource(Path("captions.csv")))
    True
    """
    others = source.columns & {*LABEL_COLUMNS, *START_COLUMNS, *END_COLUMNS}
    return bool(source.columns & set(PATH_COLUMNS)) or len(others) > 1 or _has_header(source.table)


def read_csv(source: Path, options: ReadOptions) -> Table:
    """Read a CSV with a column of paths and one of labels (names, or indices from 0), delimited by comma, tab or `;`.

    Optional columns: start and end of a segment (`TIME_FORMS`), groups, and `split`, which is used if the option
    `split` is given.
    """
    lines = read_lines(source)
    names = header_fields(lines[count_comments(lines)]) if lines else []
    spelling = {column_name(name): name.strip() for name in names}
    return _read_table(read_records(source, numbered=True), options, source, spelling=spelling)


def read_json_lines(source: Path, options: ReadOptions) -> Table:
    """Read one JSON object per line, with the fields of a CSV's columns: text, numbers, null or lists of these."""
    objects = [(number, parse_json(line, f"{source}, line {number},")) for number, line in read_numbered_lines(source)]
    return table_of_objects(objects, options, source)


def table_of_objects(objects: Sequence[tuple[int, Any]], options: ReadOptions, source: Path) -> Table:
    """The table of JSON objects, each with its line or number; fields of other kinds are ignored."""
    records = []
    spelling: dict[str, str] = {}
    nested: dict[str, None] = {}
    for number, content in objects:
        if not isinstance(content, dict):
            raise DataError(f'{source}, line {number}, is no object {{"video": ..., "label": ...}}.')
        content = dict(_flat(content))
        spelling |= {column_name(name): name for name in content}
        named = ((name, _as_field(value)) for name, value in content.items())
        fields = fields_by_column(named, f"{source}, line {number}")
        records.append({name: text for name, text in fields.items() if name and text is not None} | {LINE: str(number)})
        nested |= dict.fromkeys(name for name, text in fields.items() if text is None)
    columns = dict.fromkeys(name for record in records for name in record)
    filled = [dict.fromkeys(columns, "") | record for record in records]
    return _read_table(filled, options, source, spelling=spelling, nested=list(nested))


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of an object; those of objects inside it as `outer.inner`.

    >>> dict(_flat({"video": "a.mp4", "label": {"id": 3, "name": "run"}}))
    {'video': 'a.mp4', 'label.id': 3, 'label.name': 'run'}
    """
    for name, value in content.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _as_field(value: object) -> str | None:
    """The value as a CSV field; None for other values than text, numbers, null and lists of these."""
    if isinstance(value, list):
        texts = [text for item in value if (text := _as_field(item)) is not None]
        return (
            Several(texts) if len(texts) == len(value) and not any(isinstance(item, list) for item in value) else None
        )
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, (str, int, float)):
        return None
    return str(value).strip()


def _read_table(
    records: list[dict[str, str]],
    options: ReadOptions,
    source: Path,
    *,
    spelling: Mapping[str, str],
    nested: Sequence[str] = (),
) -> Table:
    """The rows of records; `spelling` is how the file writes the names of the columns, `nested` are unread fields."""
    names = [name for name in records[0] if name != LINE] if records else list(_PATH_AND_LABEL)
    given = {role: column_name(name) for role, name in options.columns.items()}
    if options.group and column_name(options.group) in names:
        given = {"group": column_name(options.group), **given}
    columns = choose_columns(names, given, source, rows=records, nested=nested, multi_label=options.multi_label)
    records, notes = select_split(records, options, source, column=columns.get("split"))
    path = columns.get("path") or ""
    if options.group and "group" not in given:
        columns = replace(columns, of_role={role: name for role, name in columns.of_role.items() if role != "group"})
    rows = []
    for record in records:
        if not record.get(path) or isinstance(record[path], Several):
            what = "a list" if record.get(path) else "empty"
            raise DataError(
                f"{source}, line {record[LINE]}: the column {path} is {what} in {shorten(list(record.values())[:-1])}. "
                "Give every row one path."
            )
        line = int(record[LINE])
        place = f"{source}, line {line}"
        first, last = (parse_time(time, place) for time in start_and_end(record, columns.of_role))
        of_class, of_group = (record.get(columns.get(role) or "") or None for role in ("label", "group"))
        row = Row(record[path], of_class, (record[path],), first, last, of_group, line)
        if columns.of_role.keys() & {"start_frame", "end_frame"}:
            row = row._replace(**_frames(record, columns, place))
        rows.append(
            row._replace(label=None, labels=labels)
            if (labels := _labels(record, columns, spelling)) is not None
            else row
        )
    if moment := columns.get(MOMENT):
        how_separated: tuple[str, ...] = ()
        if options.multi_label or options.label_separator:
            rows, how_separated = separate_labels(rows, options.label_separator, source)
        rows, joined = join_moments(rows, [int(record[moment]) for record in records], moment, source)
        notes = (*notes, *how_separated, *joined)
    if columns.classes:
        return Table(rows, tuple(spelling[name] for name in columns.classes), notes=(columns.note, *notes))
    table = labels_to_indices(rows, options, source)
    return table._replace(label_column=columns.get("label"), notes=(columns.note, *notes, *table.notes))


def _labels(record: Mapping[str, str], columns: Columns, spelling: Mapping[str, str]) -> tuple[str, ...] | None:
    """The labels of a row where the form of the list has several: a list of JSON, or a column per class."""
    if columns.classes:
        return tuple(spelling[name] for name in columns.classes if is_one(record.get(name, "")))
    field = record.get(columns.get("label") or "")
    return field.labels if isinstance(field, Several) else None


def _frames(record: Mapping[str, str], columns: Columns, place: str) -> dict[str, Any]:
    """The frame numbers of a row, and the frames per second that it states."""
    texts = [record.get(columns.get(role) or "", "") for role in ("start_frame", "end_frame", "fps")]
    if wrong := [text for text in texts[:2] if text and not re.fullmatch(r"\d{1,18}(\.0+)?", text)]:
        raise DataError(f"{place}: {shorten(wrong[0])} is not a frame number. Write whole numbers from 0.")
    first, last = (float(text) if text else None for text in texts[:2])
    fps = parse_number(texts[2], place) if texts[2] else None
    return {"frames": None if first is None and last is None else (first, last), "fps": fps}


def _has_header(lines: list[str]) -> bool:
    """Whether the first line names columns: a column has a video file in each of the next lines, but not in this one.

    >>> _has_header(["Video Path,Class Label", "a.mp4,run"]), _has_header(["a.mp4,run", "b.mp4,run"])
    (True, False)
    """
    if not lines:
        return False
    delimiter = header_delimiter(lines[0])
    first, *others = ([field.strip(' "').lower() for field in line.split(delimiter)] for line in lines[:20])
    if len(first) < 2 or not others or any(field.endswith(VIDEO_SUFFIXES) for field in first):
        return False
    return any(
        all(len(fields) == len(first) and fields[column].endswith(VIDEO_SUFFIXES) for fields in others)
        for column in range(len(first))
    )
