"""Find the objects that describe one video each in JSON of any form: tables, parts by split, COCO, videos by class."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from side4video.data.lists.split_names import is_split
from side4video.video.decoding import VIDEO_SUFFIXES

Record = dict[str, Any]
PATH, LABEL, SPLIT = "path", "label", "split"
MOST_WORDS = 2
"""Words of a label; sentences are captions."""
_COCO_KEYS = {"id", "video_id", "category_id"}


def json_records(content: Any) -> list[Record]:
    """One object per video or segment, with the fields of a CSV's columns; empty if the content has another form.

    Read are a list of objects; of pairs of path and label; an object that has such a list for each split, or one such
    list next to other fields; `{id: {...}}`, whose keys are paths if the objects name none; `{class: [paths]}`; columns
    or rows as pandas writes them; and lists of videos, categories and annotations as in COCO.

    >>> json_records({"train": [["a.mp4", "run"]], "val": [["b.mp4", "walk"]]})
    [{'path': 'a.mp4', 'label': 'run', 'split': 'train'}, {'path': 'b.mp4', 'label': 'walk', 'split': 'val'}]
    """
    return _of_splits(content) or _of_one_part(content)


def _of_one_part(content: Any) -> list[Record]:
    forms: list[Callable[[Any], list[Record]]] = [_of_list, _of_coco, _of_table, _of_classes, _of_objects]
    return next((records for form in forms if (records := form(content))), [])


def are_labels(values: Sequence[Any]) -> bool:
    """Whether all values are names or numbers of classes, or lists of these, not captions.

    >>> are_labels(["run", 3, ["jump"]]), are_labels(["a man runs along a street"])
    (True, False)
    """
    flat = [label for value in values for label in (value if isinstance(value, list) else [value])]
    if not flat or not all(isinstance(label, (str, int)) and not isinstance(label, bool) for label in flat):
        return False
    names = {label for label in flat if isinstance(label, str)}
    return len(names) <= len(values) // 2 or all(len(name.split()) <= MOST_WORDS for name in names)


def _of_list(content: Any) -> list[Record]:
    if not isinstance(content, list) or not content:
        return []
    if all(isinstance(one, dict) for one in content):
        return content
    if not all(isinstance(one, list) and len(one) == 2 and _is_video(one[0]) for one in content):
        return []
    return [{PATH: path, LABEL: label} for path, label in content] if are_labels([one[1] for one in content]) else []


def _of_splits(content: Any) -> list[Record]:
    if not isinstance(content, dict) or not content or not all(map(is_split, content)):
        return []
    parts = {split: _of_mapping(part) or _of_one_part(part) for split, part in content.items()}
    return [{**record, SPLIT: split} for split, records in parts.items() for record in records]


def _of_mapping(content: Any) -> list[Record]:
    """`{path: label}`."""
    is_mapping = isinstance(content, dict) and all(map(_is_video, content)) and are_labels(list(content.values()))
    return [{PATH: path, LABEL: label} for path, label in content.items()] if is_mapping else []


def _of_coco(content: Any) -> list[Record]:
    """One object per annotation of a video, with the fields of both and the name of the category as label."""
    if not isinstance(content, dict):
        return []
    videos, categories, annotations = (
        [one for one in content.get(name) or () if isinstance(one, dict)] if isinstance(content.get(name), list) else []
        for name in ("videos", "categories", "annotations")
    )
    names = {one.get("id"): one.get("name") for one in categories if _is_key(one.get("id"))}
    of_id = {one.get("id"): one for one in videos if _is_key(one.get("id"))}
    keys = [(one.get("video_id"), one.get("category_id")) for one in annotations]
    if not all(_is_key(video) and _is_key(name) and video in of_id and name in names for video, name in keys):
        return []
    joined = [{**of_id[video], **one, LABEL: names[name]} for one, (video, name) in zip(annotations, keys, strict=True)]
    return [{name: value for name, value in one.items() if name not in _COCO_KEYS} for one in joined]


def _of_table(content: Any) -> list[Record]:
    """`{"columns": [...], "data": [[...]]}`, `{column: [fields]}` or `{column: {row: field}}`, as of pandas."""
    if not isinstance(content, dict) or not content:
        return []
    names, rows = content.get("columns"), content.get("data")
    if isinstance(names, list) and isinstance(rows, list):
        fits = all(isinstance(row, list) and len(row) == len(names) for row in rows)
        return [dict(zip(map(str, names), row, strict=True)) for row in rows] if fits else []
    columns = list(content.values())
    if all(isinstance(one, dict) for one in columns) and all(set(one) == set(columns[0]) for one in columns):
        has_rows = len(content) > 1 and all(name.isdecimal() for name in columns[0])
        return [{name: column[row] for name, column in content.items()} for row in columns[0]] if has_rows else []
    if len(content) > 1 and all(isinstance(one, list) and len(one) == len(columns[0]) for one in columns):
        is_table = any(all(map(_is_video, one)) for one in columns) and not are_videos(columns)
        return [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)] if is_table else []
    return []


def _of_classes(content: Any) -> list[Record]:
    """`{class: [paths]}`."""
    if not isinstance(content, dict) or not content or not are_videos(content.values()):
        return []
    return [{PATH: path, LABEL: name} for name, paths in content.items() for path in paths]


def _of_objects(content: Any) -> list[Record]:
    """`{id: {...}}`, or an object with one list of objects, such as `{"version": 1, "data": [{...}]}`."""
    if not isinstance(content, dict) or not content:
        return []
    lists = [value for value in content.values() if isinstance(value, list) and _of_list(value)]
    if len(lists) == 1:
        return _of_list(lists[0])
    return [{"id": name, **one} for name, one in content.items()] if _has_objects(content) else []


def _has_objects(content: dict[str, Any]) -> bool:
    return all(isinstance(one, dict) for one in content.values())


def are_videos(values: Iterable[Any]) -> bool:
    """Whether all values are lists of names of video files.

    >>> are_videos([["a.mp4", "b.avi"]]), are_videos([["run"]])
    (True, False)
    """
    return all(isinstance(value, list) and value and all(map(_is_video, value)) for value in values)


def _is_video(value: Any) -> bool:
    return isinstance(value, str) and value.lower().endswith(VIDEO_SUFFIXES)


def _is_key(value: Any) -> bool:
    return isinstance(value, (str, int))
