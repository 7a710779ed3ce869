"""JSON lists of any tool: an object `{path: label}`, or objects with the fields of a CSV's columns in any form."""

from pathlib import Path
from typing import Any

from side4video.data.lists.class_numbers import labels_to_indices
from side4video.data.lists.columns import LABEL_COLUMNS, PATH_COLUMNS
from side4video.data.lists.json_records import are_labels, are_videos, json_records
from side4video.data.lists.list_source import ListSource
from side4video.data.lists.records import column_name
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.tables import table_of_objects
from side4video.data.lists.text_files import DataError, read_json, shorten
from side4video.video.decoding import VIDEO_SUFFIXES


def is_path_to_label(content: Any) -> bool:
    """Whether JSON maps paths of videos to labels: a name, a number, or a list of these; not to captions.

    >>> is_path_to_label({"a.mp4": "run", "b.mp4": 3}), is_path_to_label({"a.mp4": "a man runs along a street"})
    (True, False)
    """
    if not isinstance(content, dict) or not content:
        return False
    if not any(name.lower().endswith(VIDEO_SUFFIXES) or "/" in name for name in content):
        return False
    return not are_videos(content.values()) and are_labels(list(content.values()))


def is_json_list(source: ListSource) -> bool:
    """Whether JSON maps paths to labels, or its objects have a path and a label."""
    fields = {column_name(name) for record in json_records(source.json) for name in record}
    return is_path_to_label(source.json) or bool(fields & set(PATH_COLUMNS) and fields & set(LABEL_COLUMNS))


def read_json_list(source: Path, options: ReadOptions) -> Table:
    """Read `{path: label}` with names, class numbers or lists of them, or objects in a form of `json_records`."""
    content = read_json(source)
    if not is_path_to_label(content) and (records := json_records(content)):
        return table_of_objects(list(enumerate(records, start=1)), options, source)
    if not isinstance(content, dict):
        raise DataError(f'{source} is not {{path: label}} or [{{"video": path, "label": label}}].')
    rows = []
    for name, value in content.items():
        row = Row(name, None, (name,))
        labels = value if isinstance(value, list) else [value]
        if not all(isinstance(label, (str, int)) and not isinstance(label, bool) for label in labels):
            raise DataError(
                f"{source}: {name} has the label {shorten(value)}. Write a name, a number or a list of these."
            )
        texts = tuple(map(str, labels))
        rows.append(row._replace(labels=texts) if isinstance(value, list) else row._replace(label=texts[0]))
    return labels_to_indices(rows, options, source)
