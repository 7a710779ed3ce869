"""Readers of the lists of public data sets: Kinetics, Something-Something V1 and V2, UCF101 (and Jester), HMDB51."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from side4video.data.lists.class_name_files import read_class_names
from side4video.data.lists.columns import LABEL_COLUMNS
from side4video.data.lists.list_source import ListSource
from side4video.data.lists.records import find_column, parse_time, read_records
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.segments import is_span
from side4video.data.lists.split_names import select_split
from side4video.data.lists.text_files import ClassIndex, DataError, first_few, read_json, read_lines
from side4video.data.lists.time_columns import END_COLUMNS, START_COLUMNS
from side4video.data.lists.video_finder import strip_suffix

UCF101_LIST = re.compile(r"(train|test|val)list\d*", re.IGNORECASE)
HMDB51_LIST = re.compile(r"(.+)_test_split(\d)\.txt")


# --- Kinetics -------------------------------------------------------------------------------------------------------


def is_kinetics(source: ListSource) -> bool:
    """Whether the columns are those of the official CSV or of the crawler's table, or it is the official JSON."""
    if _records_of_kinetics(source.json):
        return True
    crawled = {"video_id", "start_time", "end_time", "label_name"}
    return source.columns >= {"youtube_id", "time_start", "time_end"} or source.columns >= crawled


def read_kinetics(source: Path, options: ReadOptions) -> Table:
    """Read the official CSV: `label,youtube_id,time_start,time_end,split[,is_cc]`; label and split are optional.
    Or the official JSON: `{id: {"annotations": {"label": ..., "segment": [0, 10]}, "subset": ...}}`.

    A clip is named `<id>_<start>_<end>` with times of six digits, or by the id alone if the list has one clip of it,
    with or without a folder of its class (blanks or underscores). Files must already be cut to the clip. Classes are
    sorted by name.
    """
    records = _records_of_kinetics(read_json(source)) if source.suffix.lower() == ".json" else read_records(source)
    records, notes = select_split(records, options, source)
    columns = [find_column(records, names) for names in (("youtube_id", "video_id"), START_COLUMNS, END_COLUMNS)]
    if None in columns:
        raise DataError(f"{source} is not a Kinetics list: it needs the columns youtube_id, time_start and time_end.")
    label_column = find_column(records, LABEL_COLUMNS)
    clips = [_name_kinetics_clip(record, [str(column) for column in columns], source) for record in records]
    counts = Counter(youtube_id for youtube_id, _ in set(clips))
    rows = []
    for record, (youtube_id, name) in zip(records, clips, strict=True):
        names = (name, youtube_id) if counts[youtube_id] == 1 else (name,)
        label = record.get(label_column or "") or None
        folders = [] if label is None else [label, label.replace(" ", "_")]
        rows.append(Row(name, label, (*names, *(f"{folder}/{name}" for folder in folders for name in names))))
    labels = sorted({str(row.label) for row in rows if row.label is not None})
    notes = (*notes, "Times are part of the names of the clips, which are cut already.")
    return Table(rows, tuple(labels) or None, notes=notes)


def _records_of_kinetics(content: Any) -> list[dict[str, str]]:
    """The rows of the official JSON, with the columns of the CSV; empty for other content."""
    videos = content if isinstance(content, dict) and all(isinstance(one, dict) for one in content.values()) else {}
    about = {name: one.get("annotations") for name, one in videos.items()}
    if not all(isinstance(one, dict) and is_span(one.get("segment")) for one in about.values()):
        return []
    return [
        {
            "label": str(one.get("label") or ""),
            "youtube_id": name,
            "time_start": str(one["segment"][0]),
            "time_end": str(one["segment"][1]),
            "split": str(videos[name].get("subset") or ""),
        }
        for name, one in about.items()
        if one
    ]


def _name_kinetics_clip(record: dict[str, str], columns: list[str], source: Path) -> tuple[str, str]:
    """The id of a video, and the name of its clip."""
    youtube_id, *times = (record.get(column, "") for column in columns)
    start, end = (int(parse_time(time, source) or 0) for time in times)
    return youtube_id, f"{youtube_id}_{start:06d}_{end:06d}"


# --- Something-Something --------------------------------------------------------------------------------------------


def is_something_v1(source: ListSource) -> bool:
    """Whether each line is `<number>;<class>`."""
    return bool(source.lines) and all(re.match(r"\d+;\s*\D", line) for line in source.lines)


def is_something_v2(source: ListSource) -> bool:
    """Whether the objects of the JSON list have an `id` and a template, or nothing else."""
    return source.has_keys("id", "template") or (source.has_keys("id") and all(len(one) == 1 for one in source.records))


def read_something_v1(source: Path, options: ReadOptions) -> Table:
    """Read version 1: `<id>;<class name>` without a header; the test list has only ids.

    The labels file in the same folder, one name per line, defines the class order.
    """
    fields = [line.partition(";") for line in read_lines(source)]
    rows = [Row(name.strip(), label.strip().strip('"') or None, (name.strip(),)) for name, _, label in fields]
    return Table(rows, _read_labels_file(source, options))


def read_something_v2(source: Path, options: ReadOptions) -> Table:
    """Read version 2: JSON records with `id` and `template`; the test list has only ids.

    A class is the template without its brackets. The labels file in the same folder defines the class order.
    """
    records = read_json(source)
    if not isinstance(records, list) or not all(isinstance(record, dict) and "id" in record for record in records):
        raise DataError(
            f'{source} is not a list of records {{"id": ..., "template": ...}}, the format of Something-Something V2.'
        )
    rows = []
    for record in records:
        label = str(record.get("template", "")).replace("[", "").replace("]", "")
        rows.append(Row(str(record["id"]), label or None, (str(record["id"]),)))
    return Table(rows, _read_labels_file(source, options))


def _read_labels_file(source: Path, options: ReadOptions) -> tuple[str, ...] | None:
    """Names from the data set's labels file. It is required, because the two versions have different orders."""
    stem = re.sub("train|validation|val|test", "labels", source.stem)
    usual = [path for path in (source.with_stem(stem), source.with_stem("labels")) if path != source]
    for path in usual:
        if path.is_file():
            return read_class_names(path)
    if options.class_names is None:
        raise DataError(f"{source} needs the class order: put {usual[0].name} next to it or give class_names.")
    return None


# --- UCF101 and HMDB51 ----------------------------------------------------------------------------------------------


def is_ucf101(source: ListSource) -> bool:
    """Whether `classInd.txt` is in the folder, or next to a list named as the official ones."""
    is_list = bool(UCF101_LIST.fullmatch(source.path.stem)) and (source.path.parent / "classInd.txt").is_file()
    return "classInd.txt" in source.names or (not source.is_folder and is_list)


def is_hmdb51(source: ListSource) -> bool:
    """Whether a folder contains official lists."""
    return any(HMDB51_LIST.fullmatch(name) for name in source.names)


def read_ucf101(source: Path, options: ReadOptions) -> Table:
    """Read `trainlist0X.txt` and `testlist0X.txt` with labels from 1 or none, and `classInd.txt` in the same folder.

    `source` is such a list, or their folder; then `split` and `fold` choose the list. Without a label, the class is the
    video's folder. Jester's lists have the same format.
    """
    folder = source if source.is_dir() else source.parent
    path = _require_file(source, f"{options.split}list{options.fold:02d}.txt", options) if source.is_dir() else source
    names = read_class_names(folder / "classInd.txt") if (folder / "classInd.txt").is_file() else options.class_names
    if names is None:
        raise DataError(f"{source} needs the class order: put classInd.txt next to it or give class_names.")
    by_number = {str(number): name for number, name in enumerate(names, start=1)}
    index = ClassIndex(names, loose=True)
    rows, unknown = [], []
    for line in read_lines(path):
        name, number = match.groups() if (match := re.fullmatch(r"(.*\S)\s+(\d+)", line)) else (line, None)
        position = index.find(name.split("/")[-2]) if number is None and "/" in name else None
        label = by_number.get(number) if number else None if position is None else names[position]
        rows.append(Row(name, label, (name, strip_suffix(name))))  # converted files have another suffix
        unknown += [line] if label is None else []
    if unknown:
        raise DataError(f"{path}: none of the {len(names)} classes matches {first_few(unknown)}.")
    return Table(rows, names, ignore_case=True)  # folder HandstandPushups, file v_HandStandPushups_g01_c01.avi


def read_hmdb51(source: Path, options: ReadOptions) -> Table:
    """Read a folder of `<class>_test_split<fold>.txt` with lines `<video> <1: train, 2: test, 0: unused>`."""
    flag = {"train": "1", "test": "2"}.get(str(options.split))
    matches = map(HMDB51_LIST.fullmatch, ListSource(source).names)
    files = sorted((match[1], source / match[0]) for match in matches if match)
    chosen = [(label, path) for label, path in files if path.name.endswith(f"_test_split{options.fold}.txt")]
    if flag is None or not chosen:
        raise DataError(
            f"{source}: split={options.split!r}, fold={options.fold} select nothing. Use train or test, fold 1 to 3."
        )
    rows = []
    for label, path in chosen:
        names = [pair[0] for pair in (line.rsplit(None, 1) for line in read_lines(path)) if pair[-1] == flag]
        for name in names:
            spellings = (name, strip_suffix(name))
            rows.append(Row(f"{label}/{name}", label, (*(f"{label}/{one}" for one in spellings), *spellings)))
    return Table(rows, tuple(label for label, _ in chosen))


def _require_file(folder: Path, name: str, options: ReadOptions) -> Path:
    if not (folder / name).is_file():
        raise DataError(
            f"{folder} has no {name}: split={options.split!r}, fold={options.fold}. Use train or test, fold 1 to 3."
        )
    return folder / name
