"""Charades: videos of several actions, each with its times."""

import re
from pathlib import Path

from side4video.data.lists.list_source import ListSource
from side4video.data.lists.records import LINE, read_records
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.text_files import DataError, read_lines, shorten

NUM_CLASSES = 157
_ACTION = re.compile(r"c(\d{3}) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)")
_FOLDERS = ("", "Charades_v1_480/", "Charades_v1/", "Charades_v1_rgb/")


def is_charades(source: ListSource) -> bool:
    """Whether the columns are those of the official CSV."""
    return source.columns >= {"id", "subject", "scene", "actions"}


def read_charades(source: Path, options: ReadOptions) -> Table:
    """Read `Charades_v1_train.csv` or `Charades_v1_test.csv`: `actions` is `c092 11.90 21.20;c147 0.00 12.60`.

    Each video has all its classes (multi-label, as the data set's own evaluation). With `options.label_field` =
    "segments", each action is a segment with one class instead. `Charades_v1_classes.txt` in the same folder names the
    classes; otherwise they are c000 to c156. Videos of one person are a group.
    """
    field = options.label_field or "videos"
    if field not in {"videos", "segments"}:
        raise DataError(f"{source}: --data.label-field {field} is not videos or segments.")
    names = _class_names(source)
    rows = []
    for record in read_records(source, numbered=True):
        actions = _actions(record, source)
        name, line = record["id"], int(record[LINE])
        row = Row(name, None, tuple(f"{folder}{name}" for folder in _FOLDERS), line=line)
        row = row._replace(group=record.get("subject") or None)
        if field == "videos":
            labels = dict.fromkeys(names[number] for number, _, _ in actions)
            rows.append(row._replace(labels=tuple(labels)))
            continue
        rows += [row._replace(label=names[n], start_seconds=first, end_seconds=last) for n, first, last in actions]
    what = "all actions of each video" if field == "videos" else "one segment per action"
    note = f"Labels: {what} (--data.label-field videos or segments). Groups: the column subject."
    return Table(rows, names, notes=(note,))


def _actions(record: dict[str, str], source: Path) -> list[tuple[int, float, float]]:
    found = []
    for text in filter(None, (part.strip() for part in record.get("actions", "").split(";"))):
        match = _ACTION.fullmatch(text)
        if match is None or int(match[1]) >= NUM_CLASSES:
            raise DataError(
                f"{source}, line {record[LINE]}: {shorten(text)} is not an action such as c092 11.90 21.20."
            )
        found.append((int(match[1]), float(match[2]), float(match[3])))
    return found


def _class_names(source: Path) -> tuple[str, ...]:
    path = source.parent / "Charades_v1_classes.txt"
    codes = tuple(f"c{number:03d}" for number in range(NUM_CLASSES))
    if not path.is_file():
        return codes
    pairs = [line.split(" ", 1) for line in read_lines(path)]
    if [pair[0] for pair in pairs] != list(codes) or any(len(pair) < 2 for pair in pairs):
        raise DataError(
            f"{path} has not one line for each class from c000 to c156, such as: c000 Holding some clothes."
        )
    return tuple(pair[1].strip() for pair in pairs)
