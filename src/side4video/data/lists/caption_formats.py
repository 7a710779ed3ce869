"""Readers of general files of captions: a CSV with a header, JSON lines, a JSON object or list.

Readers return rows of videos and their captions; `captions.py` finds the files of the videos later.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from side4video.data.lists.caption_files import CaptionFile, Record, read_table
from side4video.data.lists.columns import PATH_COLUMNS, ROLES
from side4video.data.lists.records import CAPTION_COLUMNS, column_name, fields_by_column
from side4video.data.lists.segments import TIME_FORMS, parse_seconds
from side4video.data.lists.split_names import find_split_column, places_of_split, splits_of
from side4video.data.lists.text_files import DataError, first_few
from side4video.data.lists.time_columns import TIME_ROLES, Times, describe_unread, find_times, start_and_end

SPLIT_IN_NAME = re.compile(
    r"(?<![a-z])(training|train|validation|validate|valid|val|testing|test)(_[12](?!\d))?(?![a-z])"
)
SHORT_SPLIT = {"training": "train", "testing": "test", **dict.fromkeys(("validation", "validate", "valid"), "val")}


class CaptionRow(NamedTuple):
    """Captions of one video; a video may have several rows.

    >>> CaptionRow("a.mp4", ("a dog runs", "a dog"), start_seconds=0.0, end_seconds=4.5).captions
    ('a dog runs', 'a dog')
    """

    name: str  # as the file writes it
    captions: tuple[str, ...]
    candidates: tuple[str, ...] = ()  # relative paths, with or without suffix, the best first; empty: the name
    start_seconds: float | None = None
    end_seconds: float | None = None


class CaptionTable(NamedTuple):
    """The result of a reader.

    >>> table = read_mapping({"a.mp4": ["a dog runs"], "b.mp4": [3]}, Path("train.json"))
    >>> table.split, [row.name for row in table.rows], table.problems
    ('train', ['a.mp4'], ["train.json: captions of 1 videos are not text: 'b.mp4'."])
    """

    rows: list[CaptionRow]
    split: str = ""  # the split that the file names
    problems: Sequence[str] = ()  # errors
    notes: Sequence[str] = ()  # warnings
    search_subfolders: bool = False  # whether videos may be in any folder below the root
    understood: Sequence[str] = ()  # how the file was understood


def read_csv_captions(file: CaptionFile, split: str | None) -> CaptionTable:
    """Read a CSV with columns of videos and captions. Optional columns: times in seconds, and `split` or `subset`."""
    if file.kind != "text":
        raise DataError(f"{file.path} is JSON, not CSV. Use format auto or json.")
    records, problems = read_table(file)
    return _read_records(records, problems, file, split)


def read_json_captions(file: CaptionFile, split: str | None) -> CaptionTable:
    """Read JSON: `{"a.mp4": ["caption", ...]}`, a list of `{"video": "a.mp4", "caption": "..."}`, or one such object
    per line. `caption` may be a list of captions. Fields have the same names as the columns of a CSV."""
    content = file.content
    if file.kind == "jsonl":
        return _read_records(content, list(file.problems), file, split)
    if is_record(content):
        content = [content]
    if isinstance(content, list):
        records = [
            Record(f"entry {number}", fields_by_column(record.items(), f"{file.path}, entry {number}"))
            for number, record in enumerate(content, start=1)
            if isinstance(record, dict)
        ]
        problems = [f"{file.path} has list items that are not objects."] if len(records) < len(content) else []
        return _read_records(records, problems, file, split)
    if isinstance(content, dict):
        return read_mapping(content, file.path)
    raise DataError(f'{file.path} has no captions. Write {{"a.mp4": ["a caption"]}} or CSV with video,caption.')


def is_record(content: object) -> bool:
    """Whether a JSON object is one video with its captions, instead of a mapping of all videos."""
    if not isinstance(content, dict):
        return False
    names = {column_name(name): value for name, value in content.items()}
    return any(isinstance(names.get(name), str) for name in PATH_COLUMNS) and bool(names.keys() & set(CAPTION_COLUMNS))


def read_mapping(content: dict[str, Any], path: Path, *, token_lists: bool = False) -> CaptionTable:
    """Read `{video: [captions]}` or `{video: caption}`. With `token_lists`, a caption may be a list of words."""
    rows, wrong = [], []
    for name, value in content.items():
        captions = parse_captions(value, token_lists=token_lists)
        if captions is None:
            wrong.append(name)
        else:
            rows.append(CaptionRow(name, captions))
    problems = [f"{path}: captions of {len(wrong)} videos are not text: {first_few(wrong)}."] if wrong else []
    return CaptionTable(rows, split_in_name(path), problems)


def parse_captions(value: object, *, token_lists: bool = False) -> tuple[str, ...] | None:
    """The captions in a string, a list of strings or, with `token_lists`, lists of words; None for other values."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)):
        return None
    captions = [" ".join(item) if token_lists and _is_words(item) else item for item in value]
    return tuple(captions) if all(isinstance(caption, str) for caption in captions) else None


def _is_words(item: object) -> bool:
    return isinstance(item, (list, tuple)) and all(isinstance(word, str) for word in item)


def split_in_name(path: Path) -> str:
    """`train`, `val` (`val_1`, `val_2`) or `test` if it is part of the file name; empty otherwise."""
    match = SPLIT_IN_NAME.search(path.stem.lower())
    return SHORT_SPLIT.get(match[1], match[1]) + (match[2] or "") if match else ""


# --- records --------------------------------------------------------------------------------------------------------


def _read_records(
    records: list[Record], problems: list[str], file: CaptionFile, wanted_split: str | None
) -> CaptionTable:
    columns = {name for record in records for name in record.fields}
    for known, called in ((PATH_COLUMNS, "video"), (CAPTION_COLUMNS, "caption")):
        if records and not columns & set(known):
            problems.append(
                f"{file.path} has no column of {called}s among {first_few(sorted(columns))}. Name it {called}."
            )
            raise DataError(*problems)
    times = _find_times(records)
    problems += _unread_times(times, file.path)
    records, split, understood = _select_split(records, wanted_split, file.path)
    rows, wrong = [], _InvalidRecords()
    for place, fields in records:
        name = _field(fields, PATH_COLUMNS)
        captions = _captions(fields)
        start, end = map(parse_seconds, start_and_end(fields, times.of_role | _times_by_name(fields)))
        if isinstance(name, int) and not isinstance(name, bool) and name.bit_length() < 64:
            name = str(name)
        if not isinstance(name, str) or not name.strip():
            wrong.add("no video name", place)
        elif captions is None:
            wrong.add("captions that are missing or not text", place)
        elif any(time is not None and math.isnan(time) for time in (start, end)):
            wrong.add(f"times that are not {TIME_FORMS}", place)
        else:
            rows.append(CaptionRow(name.strip(), captions, (), start, end))
    problems += wrong.sentences(file.path)
    shown = [f"{role} = {times.of_role[role]!r}" for role in TIME_ROLES if role in times.of_role]
    if shown:
        understood = (f"Times: {', '.join(shown)}.", *understood)
    return CaptionTable(rows, split, problems, _unused_columns(records, file.path), understood=understood)


def _find_times(records: Sequence[Record]) -> Times:
    names = list(dict.fromkeys(name for record in records for name in record.fields))
    return find_times(_times_by_name(dict.fromkeys(names)), names, [record.fields for record in records])


def _times_by_name(fields: Mapping[str, Any]) -> dict[str, str]:
    """The columns of times with usual names. Objects in one file may have different ones."""
    found = {role: next((name for name in ROLES[role] if name in fields), None) for role in TIME_ROLES}
    return {role: name for role, name in found.items() if name is not None}


def _unread_times(times: Times, path: Path) -> list[str]:
    frames = [times.of_role[role] for role in ("start_frame", "end_frame") if role in times.of_role]
    if times.unread:
        return [describe_unread(times, path, by_flag=False)]
    if frames:
        return [f"{path} has frame numbers in {first_few(frames)}. Write start and end in seconds for captions."]
    return []


def _captions(fields: dict[str, Any]) -> tuple[str, ...] | None:
    """The captions in the first known column, and in its further columns (`caption_2`, ...) that are not empty."""
    first = next((name for name in CAPTION_COLUMNS if name in fields), None)
    if first is None:
        return None
    captions = parse_captions(fields[first])
    further = [parse_captions(value) for name, value in fields.items() if name != first and _is_further(name, first)]
    if captions is None or None in further:
        return None
    return (*captions, *(caption for found in further for caption in found or () if caption.strip()))


def _is_further(name: str, first: str) -> bool:
    """Whether a column holds further captions: the name of the first one with a number."""
    return re.fullmatch(rf"{re.escape(first)}_?\d+", name) is not None


def _unused_columns(records: Iterable[Record], path: Path) -> list[str]:
    """A note on columns with a name of captions that are not used, because each record has a better one."""
    unused: dict[str, str] = {}
    for record in records:
        used, *others = [name for name in CAPTION_COLUMNS if name in record.fields] or [""]
        unused |= dict.fromkeys(others, used)
    if not unused:
        return []
    used = next(iter(unused.values()))
    return [
        f"{path}: captions are read from the column {used}, and {first_few(list(unused))} is not used. Name further "
        f"columns of captions {used}_2, {used}_3, ..."
    ]


def _field(fields: dict[str, Any], known: Sequence[str]) -> Any:
    """The field of the first known column that a record has. Objects in one file may have different columns."""
    return next((fields[name] for name in known if name in fields), None)


class _InvalidRecords:
    """Places in a file, by their problem."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, what: str, place: str) -> None:
        self._places.setdefault(what, []).append(place)

    def sentences(self, path: Path) -> list[str]:
        return [f"{path} has {what} in {first_few(places)}." for what, places in self._places.items()]


def _select_split(records: list[Record], wanted: str | None, path: Path) -> tuple[list[Record], str, tuple[str, ...]]:
    """The records of the given split, its name and a sentence about it; all records if there is nothing to choose."""
    names = dict.fromkeys(name for record in records for name in record.fields)
    column = find_split_column(list(names), [record.fields for record in records], path) or ""
    splits = splits_of([str(record.fields.get(column) or "").strip() for record in records], column)
    places, notes = places_of_split(splits, wanted, path, column)
    known = all_splits(dict.fromkeys(splits[place].lower() for place in places)) or split_in_name(path)
    return [records[place] for place in places], known, notes


def all_splits(splits: Iterable[str]) -> str:
    """One name for several splits that are used together."""
    return " + ".join(filter(None, splits))
