"""Which column of a list contains the paths, labels, times, splits and groups."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from side4video.data.lists.frame_labels import MOMENT, moment_column
from side4video.data.lists.records import CAPTION_COLUMNS, joined_spellings
from side4video.data.lists.split_names import SPLIT_COLUMNS, find_split_column
from side4video.data.lists.text_files import DataError, first_few
from side4video.data.lists.time_columns import (
    END_COLUMNS,
    END_FRAME_COLUMNS,
    FPS_COLUMNS,
    START_COLUMNS,
    START_FRAME_COLUMNS,
    describe_unread,
    find_times,
)
from side4video.video.decoding import VIDEO_SUFFIXES

PATH_COLUMNS = joined_spellings(
    *("path", "video_path", "file_path", "clip_path", "filename", "file_name", "file", "video"),
    *("video_name", "video_file", "video_id", "clip", "clip_name", "youtube_id", "id"),
    *("media_file", "media_file_name", "media_file_path"),
)
LABEL_COLUMNS = joined_spellings(
    *("class_name", "label_name", "class", "label", "labels", "category", "action", "class_label", "action_label"),
    *("tag", "target", "class_id", "label_id", "class_index", "activity", "behavior", "behaviour"),
)
GROUP_COLUMNS = ("group", "groups", "recording", "session")

ROLES: dict[str, tuple[str, ...]] = {
    "path": PATH_COLUMNS,
    "label": LABEL_COLUMNS,
    "start": START_COLUMNS,
    "end": END_COLUMNS,
    "segment": (),
    "duration": (),
    "start_frame": START_FRAME_COLUMNS,
    "end_frame": END_FRAME_COLUMNS,
    "fps": FPS_COLUMNS,
    "split": SPLIT_COLUMNS,
    "group": GROUP_COLUMNS,
}
"""Names of the columns of each role, the best first. Segments and durations are found by `find_times`."""
_ONES = frozenset({"1", "1.0", "true"})
_BITS = _ONES | {"0", "0.0", "false"}
_PANDAS_INDEX = "unnamed:_"
"""`Unnamed: 0`, `Unnamed: 0.1`: columns without a name that pandas read and wrote again."""


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
    names: Sequence[str],
    given: Mapping[str, str],
    source: Path,
    *,
    rows: Sequence[Mapping[str, str]] = (),
    nested: Sequence[str] = (),
    multi_label: bool | None = None,
) -> Columns:
    """Find the columns of a list by their names; an unknown column of paths by its content.

    Args:
        names: normalised names of the columns.
        given: columns that the settings name, by role.
        source: the list, for errors.
        rows: the fields of the rows.
        nested: fields of JSON that cannot be read.
        multi_label: the setting; if it is given, columns of 0 and 1 are classes also next to a column of texts.

    Raises:
        DataError: there is no column of paths, a given column or role does not exist, times have unknown names, or
            columns of 0 and 1 may be classes or not.
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
    free = [name for name in names if name not in found.values()]
    if "split" not in found and (splits := find_split_column(free, rows, source)):
        found["split"] = splits
    if "path" not in found:
        raise DataError(
            f"{source} has no column of paths; its columns are {first_few(names)}. Name one of them path, or give "
            "--data.columns path NAME."
        )
    times = find_times(found, names, rows, nested=nested)
    if times.unread:
        raise DataError(describe_unread(times, source, by_flag=True))
    found = times.of_role
    if moment := moment_column(found, rows):
        found = found | {MOMENT: moment}
    rest = [name for name in names if name not in found.values()]
    data = [name for name in rest if not name.startswith(_PANDAS_INDEX)]
    no_captions = [name for name in data if name not in CAPTION_COLUMNS]
    classes = () if "label" in found else _class_columns(data, rows)
    if classes and multi_label is None:
        _refuse_other_labels(classes, [name for name in no_captions if name not in classes], rows, source)
    if "label" not in found and not classes and len(no_captions) == 1 and found.keys() <= {"path", MOMENT}:
        found["label"] = no_captions[0]
        rest.remove(no_captions[0])
    ignored = [name for name in rest if name not in classes]
    shown = ", ".join(f"{role} = {found[role]!r}" for role in (*ROLES, MOMENT) if role in found)
    per_class = f"; one column of 0 and 1 for each of {len(classes)} classes: {first_few(classes)}" if classes else ""
    return Columns(
        found, f"Columns: {shown}{per_class}{f'; ignored: {first_few(ignored)}' if ignored else ''}.", classes
    )


def is_one(field: str) -> bool:
    """Whether a field of a column of 0 and 1 is 1."""
    return field.lower() in _ONES


def _class_columns(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """The columns that have 0 or 1 in each row, if there are two or more and any has a 1; identifiers are none."""
    data = [name for name in names if name not in PATH_COLUMNS and not name.endswith("_id")]
    found = tuple(name for name in data if rows and all(row.get(name, "").lower() in _BITS for row in rows))
    any_one = any(is_one(row[name]) for row in rows for name in found)
    return found if len(found) > 1 and any_one else ()


def _refuse_other_labels(
    classes: Sequence[str], others: Sequence[str], rows: Sequence[Mapping[str, str]], source: Path
) -> None:
    """Raise `DataError` if one of the other columns may contain the labels: words, some of them in several rows."""
    for name in others:
        values = [row.get(name, "") for row in rows]
        if len(set(values)) < len(values) and all(any(map(str.isalpha, value)) for value in values):
            raise DataError(
                f"{source}: the columns {first_few(classes)} contain 0 and 1, as if each was a class, but {name!r} may "
                f"contain the labels ({first_few(sorted(set(values)))}). If so, give --data.columns label "
                f"{shlex.quote(name)}. Otherwise give --data.multi-label true, or false if each video has one class."
            )


def _column_of_files(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str | None:
    """The only column whose fields all end like video files."""
    files = [name for name in names if rows and all(row.get(name, "").lower().endswith(VIDEO_SUFFIXES) for row in rows)]
    return files[0] if len(files) == 1 else None
