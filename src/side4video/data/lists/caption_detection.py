"""Detect the format of a file of captions, map formats to readers, and identify files of other tasks."""

import re
from collections.abc import Callable
from typing import Any

from side4video.data.lists.caption_files import CaptionFile, is_lsmdc
from side4video.data.lists.caption_formats import CaptionTable, is_record, read_csv_captions, read_json_captions
from side4video.data.lists.official_captions import (
    read_activitynet,
    read_didemo,
    read_lsmdc,
    read_msrvtt,
    read_msvd,
    read_vatex,
)
from side4video.data.lists.records import CAPTION_COLUMNS
from side4video.data.lists.text_files import DataError, first_few

READERS: dict[str, Callable[[CaptionFile, str | None], CaptionTable]] = {
    "msrvtt": read_msrvtt,
    "msvd": read_msvd,
    "vatex": read_vatex,
    "didemo": read_didemo,
    "activitynet": read_activitynet,
    "lsmdc": read_lsmdc,
    "csv": read_csv_captions,
    "json": read_json_captions,
    "jsonl": read_json_captions,
}
FORMAT_BY_KEY = {"enCap": "vatex", "sentences": "activitynet"}  # keys in the object of a video
MSRVTT_NAME = re.compile(r"video\d+(\.\w+)?")
MSVD_NAME = re.compile(r"[\w-]{11}_\d+_\d+(\.\w+)?")
RECOGNITION_HINT = "It is for action recognition: it has classes and no captions."
ACTIVITYNET_HINT = "Captions are in ActivityNet Captions: train.json, val_1.json, val_2.json."
REMEDY = 'Write {"a.mp4": ["a caption", ...]}, or a CSV with the columns video,caption.'


def detect_caption_format(file: CaptionFile) -> str:
    """The name of the format of a file. If it contains no captions, the `DataError` describes what it contains."""
    if file.kind == "jsonl":
        return "jsonl"
    if file.kind == "text":
        return _detect_in_text(file)
    content = file.content
    found = None
    if isinstance(content, dict):
        found = _detect_in_object(content)
    elif isinstance(content, list) and content and isinstance(content[0], dict):
        found = _detect_in_list(content)
    if found is None:
        raise DataError(f"{file.path} has no captions in a supported format: {_describe_content(content)} {REMEDY}")
    return found


def _detect_in_text(file: CaptionFile) -> str:
    lines, columns = file.lines(), file.columns()
    if columns & set(CAPTION_COLUMNS):
        return "msrvtt" if {"video_id", "sentence"} <= columns else "csv"
    if is_lsmdc(lines):
        return "lsmdc"
    raise DataError(
        f"{file.path} has no column of captions; its columns are {first_few(columns)}. Name the column of captions "
        "caption."
    )


def _detect_in_object(content: dict[Any, Any]) -> str | None:
    if {"videos", "sentences"} <= content.keys():
        return "msrvtt"
    if {"images", "annotations"} <= content.keys():
        annotations = content["annotations"]
        has_captions = isinstance(annotations, list) and any("caption" in a for a in annotations if isinstance(a, dict))
        return "msrvtt" if has_captions else None
    if is_record(content):
        return "jsonl"
    values = list(content.values())[:100]
    objects = [value for value in values if isinstance(value, dict)]
    if 2 * len(objects) > len(values):
        return next((name for key, name in FORMAT_BY_KEY.items() if any(key in value for value in objects)), None)
    texts = [value for value in values if isinstance(value, (list, tuple, str)) and not _is_number(value)]
    if 2 * len(texts) <= len(values):
        return None
    for name, pattern in (("msrvtt", MSRVTT_NAME), ("msvd", MSVD_NAME)):
        if all(pattern.fullmatch(str(key)) for key in content):
            return name
    has_words = any(isinstance(item, (list, tuple)) for value in texts if not isinstance(value, str) for item in value)
    return "msvd" if has_words else "json"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) or (isinstance(value, str) and value.isdigit())


def _detect_in_list(content: list[Any]) -> str | None:
    keys = {str(key).lower() for entry in content[:100] if isinstance(entry, dict) for key in entry}
    if "videoid" in keys:
        return "vatex"  # also the private test list: its reader reports that it has no captions
    if {"video", "description", "annotation_id"} <= keys:
        return "didemo"
    return "json" if keys & set(CAPTION_COLUMNS) else None


def _describe_content(content: Any) -> str:
    """The other task or data set that a file belongs to, detected from its keys."""
    if isinstance(content, list):
        first = content[0] if content else None
        if isinstance(first, dict) and ("template" in first or set(first) == {"id"}):
            return f"this is a list of Something-Something. {RECOGNITION_HINT}"
        return f"it is a list of {type(first).__name__}s." if content else "it is an empty list."
    if not isinstance(content, dict) or not content:
        return "it is empty, or not an object."
    values = [value for value in content.values() if isinstance(value, dict)]
    if "database" in content:
        return f"this is ActivityNet's file for detection (classes and times). {ACTIVITYNET_HINT}"
    if any("annotations" in value for value in values):
        return f"this is ActivityNet's file for detection in mmaction2's format. {ACTIVITYNET_HINT}"
    if "annotations" in content:
        return "this has COCO's format, but its annotations have no captions."
    if all(map(_is_number, content.values())):
        return f"this is a table of class numbers. {RECOGNITION_HINT}"
    return f"its first keys are {first_few(list(content)[:3])}."
