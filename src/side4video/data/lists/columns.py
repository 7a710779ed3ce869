"""Which column of a list contains the paths, labels, times, splits and groups."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from side4video.data.lists.text_files import DataError, first_few
from side4video.video.decoding import VIDEO_SUFFIXES

PATH_COLUMNS = (
    *("path", "video_path", "file_path", "filepath", "clip_path", "filename", "file_name", "file", "video"),
    *("video_name", "video_file", "video_id", "clip", "clip_name", "id"),
)
LABEL_COLUMNS = (
    *("class_name", "label_name", "class", "label", "labels", "category", "action", "class_label", "action_label"),
    *("tag", "target", "class_id", "label_id", "class_index"),
)
START_COLUMNS = (
    *("start_seconds", "start", "start_time", "time_start", "start_sec", "start_secs", "start_s", "start_timestamp"),
    *("begin", "begin_seconds", "begin_time", "t_start"),
)
END_COLUMNS = (
    *("end_seconds", "end", "end_time", "time_end", "end_sec", "end_secs", "end_s", "end_timestamp"),
    *("stop", "stop_seconds", "stop_time", "t_end", "stop_timestamp", "stop_sec"),
)
START_FRAME_COLUMNS = ("start_frame", "frame_start", "begin_frame", "first_frame")
END_FRAME_COLUMNS = ("end_frame", "stop_frame", "frame_end")
SPLIT_COLUMNS = ("split", "subset", "set", "partition")
FPS_COLUMNS = ("fps", "frame_rate", "framerate")
GROUP_COLUMNS = ("group", "groups", "recording", "session")

ROLES: dict[str, tuple[str, ...]] = {
    "path": PATH_COLUMNS,
    "label": LABEL_COLUMNS,
    "start": START_COLUMNS,
    "end": END_COLUMNS,
    "start_frame": START_FRAME_COLUMNS,
    "end_frame": END_FRAME_COLUMNS,
    "fps": FPS_COLUMNS,
    "split": SPLIT_COLUMNS,
    "group": GROUP_COLUMNS,
}
"""Names of the columns of each role, the best first."""
_ONES = frozenset({"1", "1.0", "true"})
_BITS = _ONES | {"0", "0.0", "false"}
_PANDAS_INDEX = re.compile(r"unnamed:_\d+")
"""`Unnamed: 0`: a column without a name that pandas read and wrote again."""
_LOOKS_LIKE_TIME = re.compile(r"(^|_)(start|begin|end|stop|finish|onset|offset|timestamp)(_|$)")


@dataclass(frozen=True)
class Columns:
    """The column of each role, and a sentence about them. `classes`: columns of 0 and 1, one per class.

    >>> choose_columns(["video", "label", "note"], {}, Path("list.csv")).note
    "Columns: path = 'video', label = 'label'; ignored: 'note'."
    """

    of_role: Mapping[str, str]
    note: str
    classes: tuple[str, ...] = ()

    def get(self, role: str) -> str | None:
        """The column of a role, None if the list has none."""
        return self.of_role.get(role)


def choose_columns(
    names: Sequence[str], given: Mapping[str, str], source: Path, *, rows: Sequence[Mapping[str, str]] = ()
) -> Columns:
    """Find the columns of a list by their names; an unknown column of paths by its content.

    Args:
        names: normalised names of the columns.
        given: columns that the settings name, by role.
        source: the list, for errors.
        rows: the fields of the rows.

    Raises:
        DataError: there is no column of paths, a given column or role does not exist, or times have unknown names.
    """
    if unknown := [f"{role}={name}" for role, name in given.items() if role not in ROLES or name not in names]:
        raise DataError(
            f"{source}: columns {first_few(unknown)} do not exist. The roles are {', '.join(ROLES)}; the columns are "
            f"{first_few(names)}."
        )
    found = dict(given)
    for role, known in ROLES.items():
        if role not in found and (free := [name for name in known if name in names and name not in found.values()]):
            found[role] = free[0]
    if "path" not in found and (by_content := _column_of_files(names, rows)):
        found["path"] = by_content
    if "path" not in found:
        raise DataError(
            f"{source} has no column of paths; its columns are {first_few(names)}. Name one of them path, or give "
            "--data.columns path NAME."
        )
    rest = [name for name in names if name not in found.values()]
    data = [name for name in rest if not _PANDAS_INDEX.fullmatch(name)]
    if "label" not in found and len(data) == 1 and len(found) == 1:
        found["label"] = data[0]
        rest.remove(data[0])
    ignored = _check_times(found, rest, source)
    classes = () if "label" in found else _class_columns([name for name in ignored if name in data], rows)
    ignored = [name for name in ignored if name not in classes]
    shown = ", ".join(f"{role} = {found[role]!r}" for role in ROLES if role in found)
    per_class = f"; one column of 0 and 1 for each of {len(classes)} classes: {first_few(classes)}" if classes else ""
    return Columns(
        found, f"Columns: {shown}{per_class}{f'; ignored: {first_few(ignored)}' if ignored else ''}.", classes
    )


def is_one(field: str) -> bool:
    """Whether a field of a column of 0 and 1 is 1."""
    return field.lower() in _ONES


def _class_columns(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """The columns that have 0 or 1 in each row, if there are two or more and any has a 1."""
    found = tuple(name for name in names if rows and all(row.get(name, "").lower() in _BITS for row in rows))
    any_one = any(is_one(row[name]) for row in rows for name in found)
    return found if len(found) > 1 and any_one else ()


def _column_of_files(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str | None:
    """The only column whose fields all end like video files."""
    files = [name for name in names if rows and all(row.get(name, "").lower().endswith(VIDEO_SUFFIXES) for row in rows)]
    return files[0] if len(files) == 1 else None


def _check_times(found: dict[str, str], rest: list[str], source: Path) -> list[str]:
    """Remove frame numbers if there are times, and return the ignored columns; refuse times of unknown meaning.

    A start alone is valid: the segment ends with the file.
    """
    if "start" in found and "end" in found:
        rest = [*rest, *(found.pop(role) for role in ("start_frame", "end_frame") if role in found)]
    if "fps" in found and "start_frame" not in found:
        rest = [*rest, found.pop("fps")]
    pairs = [[role in found for role in pair] for pair in (("start", "end"), ("start_frame", "end_frame"))]
    unread = [name for name in rest if _LOOKS_LIKE_TIME.search(name)]
    if unread and not any(map(all, pairs)):
        known = [f"{role} = {found[role]!r}" for role in ("start", "end", "start_frame", "end_frame") if role in found]
        raise DataError(
            f"{source} has times of unknown meaning: {first_few(unread)}; known are {', '.join(known) or 'none'}. "
            "Name the columns start and end (seconds or h:mm:ss), or give --data.columns start NAME end NAME. Remove "
            "columns that are no times of segments."
        )
    return rest
