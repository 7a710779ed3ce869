"""Detect the format of a list of videos, and map formats to readers."""

import re
from collections.abc import Callable
from pathlib import Path

from side4video.data.lists.class_folders import class_folders, read_class_folders
from side4video.data.lists.columns import PATH_COLUMNS
from side4video.data.lists.list_formats import (
    ReadOptions,
    Table,
    header_delimiter,
    read_csv,
    read_json_lines,
    read_plain_list,
    split_header,
)
from side4video.data.lists.official_lists import (
    HMDB51_LIST,
    UCF101_LIST,
    read_hmdb51,
    read_kinetics,
    read_something_v1,
    read_something_v2,
    read_ucf101,
)
from side4video.data.lists.text_files import DataError, read_lines
from side4video.video.decoding import VIDEO_SUFFIXES

READERS: dict[str, Callable[[Path, ReadOptions], Table]] = {
    "folder": read_class_folders,
    "list": read_plain_list,
    "csv": read_csv,
    "jsonl": read_json_lines,
    "kinetics": read_kinetics,
    "ssv1": read_something_v1,
    "ssv2": read_something_v2,
    "ucf101": read_ucf101,
    "hmdb51": read_hmdb51,
}

PUBLIC_DATA_SETS = frozenset({"kinetics", "ssv1", "ssv2", "ucf101", "hmdb51"})
"""Formats whose files spell class names in several ways."""


def detect_format(source: Path) -> str:
    """The name of the format of a file or folder. Raises `DataError` with the supported formats if none matches."""
    if source.is_dir():
        return _detect_in_folder(source)
    if source.suffix.lower() == ".json":
        return "ssv2"
    if UCF101_LIST.fullmatch(source.stem) and (source.parent / "classInd.txt").is_file():
        return "ucf101"
    lines = read_lines(source)
    if not lines:
        raise DataError(f"{source} is empty. Write one video per line: `path label`.")
    if source.suffix.lower() in {".jsonl", ".ndjson"} or re.match(r'\{\s*"', lines[0]):
        return "jsonl"
    columns = set(split_header(lines[0]))
    if "youtube_id" in columns or {"video_id", "start_time", "end_time", "label_name"} <= columns:
        return "kinetics"
    if columns & set(PATH_COLUMNS):
        return "csv"
    if all(re.match(r"\d+;\s*\D", line) for line in lines):
        return "ssv1"
    return "csv" if _has_header(lines) else "list"


def _has_header(lines: list[str]) -> bool:
    """Whether the first line names columns: a column has a video file in each of the next lines, but not in this one.

    >>> _has_header(["Video Path,Class Label", "a.mp4,run"]), _has_header(["a.mp4,run", "b.mp4,run"])
    (True, False)
    """
    delimiter = header_delimiter(lines[0])
    first, *others = ([field.strip(' "').lower() for field in line.split(delimiter)] for line in lines[:20])
    if len(first) < 2 or not others or any(field.endswith(VIDEO_SUFFIXES) for field in first):
        return False
    return any(
        all(len(fields) == len(first) and fields[column].endswith(VIDEO_SUFFIXES) for fields in others)
        for column in range(len(first))
    )


def _detect_in_folder(source: Path) -> str:
    entries = list(source.iterdir())
    if any(entry.name == "classInd.txt" for entry in entries):
        return "ucf101"
    if any(HMDB51_LIST.fullmatch(entry.name) for entry in entries):
        return "hmdb51"
    if class_folders(source):
        return "folder"
    raise DataError(
        f"{source} contains neither one sub-folder per class, nor classInd.txt (UCF101), nor files named "
        "<class>_test_split1.txt (HMDB51). Give such a folder or a list file."
    )
