"""Diving48: videos of dives with a class number."""

from pathlib import Path
from typing import Any

from side4video.data.lists.list_source import ListSource
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.text_files import DataError, read_json, shorten

_VOCABULARY = "Diving48_vocab.json"


def is_diving48(source: ListSource) -> bool:
    """Whether each object of the JSON list has the keys of the official lists."""
    return source.has_keys("vid_name", "label", "start_frame", "end_frame")


def read_diving48(source: Path, options: ReadOptions) -> Table:  # noqa: ARG001
    """Read `Diving48_V2_train.json` or `Diving48_V2_test.json`.

    The class names are those of `Diving48_vocab.json` in the same folder, otherwise numbers. Videos are
    `rgb/<vid_name>` or `<vid_name>`. Frames count from 0, the end is exclusive.
    """
    if not is_diving48(found := ListSource(source)):
        raise DataError(f"{source} is not a JSON list of objects with vid_name, label, start_frame and end_frame.")
    names = _vocabulary(source.parent / _VOCABULARY)
    rows = []
    for record in found.records:
        name, label = str(record["vid_name"]), record["label"]
        if not isinstance(label, int) or isinstance(label, bool) or (names and not 0 <= label < len(names)):
            raise DataError(f"{source}: {name} has the label {shorten(label)}, which is not a class number.")
        frames = _number(record["start_frame"], source), _number(record["end_frame"], source)
        rows.append(Row(name, names[label] if names else label, (name, f"rgb/{name}"), frames=frames))
    note = f"Classes are names of {_VOCABULARY}." if names else f"Classes are numbers, without {_VOCABULARY}."
    return Table(rows, names, notes=(note,))


def _number(value: Any, source: Path) -> float:
    if not isinstance(value, int) or value < 0:
        raise DataError(f"{source}: {shorten(value)} is not a frame number. Write whole numbers from 0.")
    return float(value)


def _vocabulary(path: Path) -> tuple[str, ...] | None:
    """Names such as `Back 15som 05Twis FREE`."""
    if not path.is_file():
        return None
    content = read_json(path)
    if not isinstance(content, list) or not all(isinstance(parts, (list, str)) for parts in content):
        raise DataError(f"{path} is not a JSON list of class names.")
    return tuple(parts if isinstance(parts, str) else " ".join(map(str, parts)) for parts in content)
