"""Readers of general lists of videos: `path label` lines, CSV with a header, JSON lines.

Readers return rows of names and labels; `annotations.py` finds the files of the videos later.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from side4video.data.lists.columns import SPLIT_COLUMNS, Columns, choose_columns, is_one
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.segments import TIME_FORMS, parse_seconds
from side4video.data.lists.several_labels import separate_labels, unread_separator
from side4video.data.lists.text_files import (
    DataError,
    first_few,
    parse_json,
    read_lines,
    read_numbered_lines,
    shorten,
)
from side4video.video.decoding import VIDEO_SUFFIXES

DELIMITERS = ("::", "\t", ",", ";", " ")
CAPTION_COLUMNS = ("caption", "captions", "sentence", "sentences", "text", "description", "query")
PATH_AND_LABEL = ("path", "label")
LINE = "line number"  # no column has this name, as blanks become underscores

SPLIT_SYNONYMS: dict[str, tuple[str, ...]] = {  # names of a split, the best first
    "train": ("training",),
    "training": ("train",),
    "test": ("testing", "val", "valid", "validation", "validate"),
    "testing": ("test",),
    **dict.fromkeys(("val", "valid", "validation", "validate"), ("val", "valid", "validation", "validate")),
}
LONGEST_LINE = 10_000  # characters of `path label`; paths have at most 4,096
INTEGER = re.compile(r"-?\d{1,18}")  # Python raises for numbers of thousands of digits
WHOLE_NUMBER = re.compile(r"(-?\d{1,18})(?:\.0+)?")
SUFFIX = rf"(?:{'|'.join(map(re.escape, VIDEO_SUFFIXES))})"
VIDEO_SUFFIX = re.compile(rf"{SUFFIX}(?=\s|$)", re.IGNORECASE)
PATH_AND_REST = re.compile(rf"(.+{SUFFIX})\s+(\S.*)", re.IGNORECASE)


# --- `path label` and `path frames label` ---------------------------------------------------------------------------


def read_plain_list(source: Path, options: ReadOptions) -> Table:
    """Read `path`, `path label` or `path frames label`, one video per line, delimited by blank, tab, comma or `::`.

    Lines are split from the right, so paths may contain blanks. If every line ends in two numbers, they are read as
    `frames label`. The number of frames is ignored, because it is often wrong.
    """
    lines = [line.strip() for line in read_lines(source)]
    if long := [line for line in lines if len(line) > LONGEST_LINE]:
        raise DataError(
            f"{source} is not a list of videos: it has the line {shorten(long[0])}. Write one video per line."
        )
    delimiter = options.delimiter or _sniff_delimiter(lines)
    if delimiter is None:
        return Table([Row(line, None, (line,)) for line in lines])
    if options.multi_label or options.label_separator:
        rows = [Row(path, label, (path,)) for path, label in (_split_after_path(line, delimiter) for line in lines)]
        return _labels_to_indices(rows, options, source)
    numbers = min((_count_trailing_numbers(line, delimiter) for line in lines), default=0)
    if numbers > 2:
        raise DataError(
            f"{source}: every line ends in {numbers} numbers. Offsets into a folder of frames are not supported. Write "
            "`path label`; if the numbers are several labels, give --data.multi-label true."
        )
    pairs = [_split_line(line, delimiter, max(numbers, 1)) for line in lines]
    if unlabelled := [path for path, label in pairs if label is None]:
        raise DataError(f"{source}: no label after {delimiter!r} in {first_few(unlabelled)}; other lines have one.")
    return _labels_to_indices([Row(path, label, (path,)) for path, label in pairs], options, source)


def _sniff_delimiter(lines: list[str]) -> str | None:
    """The delimiter that separates a label in most of the first lines; None if no delimiter does."""
    lines = lines[:1000]
    labelled = {
        delimiter: sum(_split_line(line, delimiter, 1)[1] is not None for line in lines) for delimiter in DELIMITERS
    }
    best = max(DELIMITERS, key=lambda delimiter: labelled[delimiter])  # ties: the first
    return best if labelled[best] else None


def _split_line(line: str, delimiter: str, columns: int) -> tuple[str, str | None]:
    """Path and label of a line whose last `columns` fields are the label; None as label if they are missing."""
    if delimiter == " " and columns == 1 and (match := PATH_AND_REST.fullmatch(line)):
        return match[1], match[2]  # the label may have several words
    if delimiter == "," and line.startswith('"'):
        fields = next(csv.reader([line], skipinitialspace=True))
    else:
        fields = line.rsplit(None if delimiter == " " else delimiter, columns)
    label = fields[-1].strip()
    if len(fields) <= columns or not label or VIDEO_SUFFIX.search(label):
        return line, None
    return delimiter.join(fields[:-columns]).strip(), label


def _split_after_path(line: str, delimiter: str) -> tuple[str, str | None]:
    """Path and labels of a line: what follows a video file, or the first delimiter."""
    match = re.fullmatch(rf"(.+?{SUFFIX})(?:\s*{re.escape(delimiter.strip())}\s*|\s+)(\S.*)", line, re.IGNORECASE)
    path, labels = match.groups() if match else (*line.split(delimiter, 1), "")[:2]
    return path.strip(' "'), labels.strip(' "') or None


def _count_trailing_numbers(line: str, delimiter: str) -> int:
    fields = [field.strip() for field in line.split(None if delimiter == " " else delimiter)]
    return sum(1 for _ in takewhile(INTEGER.fullmatch, reversed(fields[1:])))


def _labels_to_indices(rows: list[Row], options: ReadOptions, source: Path) -> Table:
    """If all labels are whole numbers, convert them to indices from 0 and -1 to no label; otherwise they are names."""
    several: tuple[str, ...] = ()
    if options.multi_label or options.label_separator:
        rows, several = separate_labels(rows, options.label_separator, source)
    labels = [str(label) for row in rows for label in row.labels or (row.label,) if label is not None]
    given = options.class_names or ()
    if set(labels) <= set(given) and not all(map(INTEGER.fullmatch, given)):
        return Table(rows, notes=several)  # names such as "1.0" and "1.1"
    numbers = {label: class_number(label) for label in set(labels)}
    if labels and None not in numbers.values():
        indices = {
            label: None if number in (-1, None) else number - options.first_label for label, number in numbers.items()
        }
        floats = sorted(label for label in numbers if "." in label)
        notes = (*several, f"Labels such as {floats[0]!r} are read as class numbers.") if floats else several
        return Table([_with_indices(row, indices) for row in rows], notes=notes)
    if options.multi_label is None and (several_in_one := unread_separator(labels)):
        raise DataError(
            f"{source} has several labels for one video, such as {shorten(several_in_one)}. Give --data.multi-label "
            "true, or --data.multi-label false if it is the name of one class."
        )
    integers = [label for label in labels if INTEGER.fullmatch(label)]
    if integers and options.class_names is None:
        names = next(label for label in labels if not INTEGER.fullmatch(label))
        raise DataError(
            f"{source} mixes labels that are numbers ({shorten(integers[0])}) and names ({shorten(names)}). Use one "
            "kind of label."
        )
    return Table(rows, notes=several)


def _with_indices(row: Row, indices: Mapping[str, int | None]) -> Row:
    if row.labels is not None:
        found = (indices[str(label)] for label in row.labels)
        return row._replace(labels=tuple(index for index in found if index is not None))
    return row if row.label is None else row._replace(label=indices[str(row.label)])


def class_number(label: str) -> int | None:
    """The number of a class, also written as `3.0`, as pandas and spreadsheets do; None for a name.

    >>> class_number("3"), class_number("3.0"), class_number("3.5")
    (3, 3, None)
    """
    match = WHOLE_NUMBER.fullmatch(label)
    return int(match[1]) if match else None


# --- CSV with a header ----------------------------------------------------------------------------------------------


def read_csv(source: Path, options: ReadOptions) -> Table:
    """Read a CSV with a column of paths and one of labels (names, or indices from 0), delimited by comma, tab or `;`.

    Optional columns: start and end of a segment (`TIME_FORMS`), groups, and `split`, which is used if the option
    `split` is given.
    """
    lines = read_lines(source)
    names = _header_fields(lines[0]) if lines else []
    spelling = {column_name(name): name.strip() for name in names}
    return _read_table(read_records(source, numbered=True), options, source, spelling=spelling)


def read_json_lines(source: Path, options: ReadOptions) -> Table:
    """Read one JSON object per line, with the fields of a CSV's columns: text, numbers or null; others are ignored."""
    records = []
    spelling: dict[str, str] = {}
    for number, line in read_numbered_lines(source):
        content = parse_json(line, f"{source}, line {number},")
        if not isinstance(content, dict):
            raise DataError(f'{source}, line {number}, is no object {{"video": ..., "label": ...}}.')
        spelling |= {column_name(name): name for name in content}
        fields = {column_name(name): _as_field(value) for name, value in content.items()}
        records.append({name: text for name, text in fields.items() if text is not None} | {LINE: str(number)})
    columns = dict.fromkeys(name for record in records for name in record)
    filled = [dict.fromkeys(columns, "") | record for record in records]
    return _read_table(filled, options, source, spelling=spelling)


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
    records: list[dict[str, str]], options: ReadOptions, source: Path, *, spelling: Mapping[str, str]
) -> Table:
    """The rows of records; `spelling` is how the file writes the names of the columns."""
    names = [name for name in records[0] if name != LINE] if records else list(PATH_AND_LABEL)
    given = {role: column_name(name) for role, name in options.columns.items()}
    if options.group and column_name(options.group) in names:
        given = {"group": column_name(options.group), **given}
    columns = choose_columns(names, given, source, rows=records)
    records, notes = select_split(records, options, source, column=columns.get("split"))
    path = columns.get("path") or ""
    if options.group and "group" not in given:
        columns = replace(columns, of_role={role: name for role, name in columns.of_role.items() if role != "group"})
    rows = []
    for record in records:
        if not record.get(path):
            raise DataError(f"{source}: the column {path} is empty in {shorten(record)}. Give every row a path.")
        line = int(record[LINE])
        first, last = _times(record, columns, options, f"{source}, line {line}")
        of_class, of_group = (record.get(columns.get(role) or "") or None for role in ("label", "group"))
        row = Row(record[path], of_class, (record[path],), first, last, of_group, line)
        rows.append(
            row._replace(label=None, labels=labels)
            if (labels := _labels(record, columns, spelling)) is not None
            else row
        )
    if columns.classes:
        return Table(rows, tuple(spelling[name] for name in columns.classes), notes=(columns.note, *notes))
    table = _labels_to_indices(rows, options, source)
    return table._replace(notes=(columns.note, *notes, *table.notes))


def _labels(record: Mapping[str, str], columns: Columns, spelling: Mapping[str, str]) -> tuple[str, ...] | None:
    """The labels of a row where the form of the list has several: a list of JSON, or a column per class."""
    if columns.classes:
        return tuple(spelling[name] for name in columns.classes if is_one(record.get(name, "")))
    field = record.get(columns.get("label") or "")
    return field.labels if isinstance(field, Several) else None


def _times(
    record: dict[str, str], columns: Columns, options: ReadOptions, place: str
) -> tuple[float | None, float | None]:
    """Start and end in seconds. Frame n is shown at n / fps; half a frame is subtracted against rounding."""
    if columns.get("start_frame") is None:
        first, last = (parse_time(record.get(columns.get(role) or ""), place) for role in ("start", "end"))
        return first, last
    if options.fps is None:
        raise DataError(f"{place}: {columns.note} Frame numbers need the frames per second: give --data.fps.")
    numbers = [record.get(columns.get(role) or "", "") for role in ("start_frame", "end_frame")]
    if wrong := [text for text in numbers if text and not re.fullmatch(r"\d{1,18}(\.0+)?", text)]:
        raise DataError(f"{place}: {shorten(wrong[0])} is not a frame number. Write whole numbers from 0.")
    first, last = (max(float(text) - 0.5, 0.0) / options.fps if text else None for text in numbers)
    return first, last


def read_records(source: Path, *, numbered: bool = False) -> list[dict[str, str]]:
    """The rows of a CSV as dictionaries from column name to field; missing last fields are left out.

    Args:
        source: the file.
        numbered: also give the line of each row, as the field `LINE`.
    """
    lines = read_numbered_lines(source)
    columns = split_header(lines[0][1]) if lines else []
    records = []
    for number, fields in _split_rows(lines[1:], header_delimiter(lines[0][1]) if lines else ",", source):
        record = dict(zip(columns, (field.strip() for field in fields), strict=False))
        if len(fields) > len(columns):
            raise DataError(
                f"{source}: {shorten(fields)} does not fit the header {shorten(columns)}. Quote fields that contain a "
                "delimiter."
            )
        records.append(record | {LINE: str(number)} if numbered else record)
    return records


def _split_rows(lines: Sequence[tuple[int, str]], delimiter: str, source: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of each row, with the number of its last line."""
    rows = csv.reader((line for _, line in lines), delimiter=delimiter)
    try:
        for fields in rows:
            yield lines[rows.line_num - 1][0], fields
    except csv.Error as error:  # a field above 128 KB, usually an unclosed quote
        raise DataError(f"{source}, line {lines[rows.line_num - 1][0]}: {error}. Close every quote.") from None


def header_delimiter(line: str) -> str:
    """Comma, tab or `;`: the most frequent one in a header."""
    return max(",\t;", key=line.count)


def split_header(line: str) -> list[str]:
    """The column names of a header in lower case, with `_` for blanks and hyphens."""
    return [column_name(name) for name in _header_fields(line)]


def _header_fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=header_delimiter(line), skipinitialspace=True), [])
    except csv.Error:  # a field above 128 KB: no header
        return [line]


def column_name(name: str) -> str:
    """A normalised column name: lower case, with `_` for blanks and hyphens."""
    return re.sub(r"[\s-]", "_", name.strip(' "').lower())


def find_column(records: list[dict[str, str]], names: Sequence[str]) -> str | None:
    """The first of `names` that is a column of the records."""
    return next((name for name in names if records and name in records[0]), None)


def parse_time(text: str | None, source: Path | str) -> float | None:
    """A time in seconds; None for an empty field."""
    time = parse_seconds(text)
    if time is not None and math.isnan(time):
        raise DataError(f"{source}: {shorten(text)} is not a time. Write {TIME_FORMS}.")
    return time


def select_split(
    records: list[dict[str, str]], options: ReadOptions, source: Path, *, column: str | None = None
) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """The records of the given split, and a sentence about them.

    All records are returned if no split is given, or if `column` (default: one of `SPLIT_COLUMNS`) has one value only.
    """
    column = column or find_column(records, SPLIT_COLUMNS) or ""
    splits = sorted({record.get(column, "") for record in records})
    if options.split is None or len(splits) <= 1:
        return records, ()
    chosen = choose_split(splits, options.split, source).lower()
    kept = [record for record in records if record.get(column, "").lower() == chosen]
    return kept, (f"Split {chosen!r} of the column {column!r}: {len(kept)} of {len(records)} rows.",)


def choose_split(splits: Sequence[str], wanted: str, source: Path) -> str:
    """The split of that name or a synonym (val for test). Raises `DataError` if there is none."""
    alike = SPLIT_SYNONYMS.get(wanted.lower(), ())
    chosen = [split for word in (wanted.lower(), *alike) for split in splits if split.lower() == word]
    if not chosen:
        raise DataError(f"{source} has no split {wanted!r}; its splits are {first_few(splits)}.")
    return chosen[0]
