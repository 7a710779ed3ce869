"""Write a set as a CSV with labels or captions, which training and evaluation can read."""

from collections.abc import Sequence
from pathlib import Path

from side4video.atomic_files import write_rows
from side4video.checking.entries import Entry
from side4video.data.lists.class_numbers import INTEGER
from side4video.data.lists.several_labels import unread_separator

LABEL_SEPARATOR = "|"


def check_numeric_class_names(class_names: Sequence[str]) -> None:
    """Check that no two class names spell the same number, because a list cannot tell them apart.

    Raises:
        ValueError: two names do, such as "1" and "01".
    """
    if all(name.isdecimal() for name in class_names) and len(set(map(int, class_names))) < len(class_names):
        raise ValueError(
            f"Some of the {len(class_names)} class names are the same number written in two ways, such as 1 and 01. A "
            "list cannot tell them apart. Rename the classes."
        )


def write_clean_list(path: Path, entries: Sequence[Entry], *, class_names: Sequence[str] = ()) -> None:
    """Write the columns `video,label` or `video,caption`; start and end in seconds and group if any entry has them.

    Paths are absolute, so you can move the list. Labels are class names; several of a video are separated by
    `LABEL_SEPARATOR`, and a video of a multi-label list without labels has an empty field. If a class name looks like a
    number or several labels, or contains something that a CSV field loses (blanks at its ends, line breaks), labels are
    indices into `class_names`.

    Args:
        path: the CSV file; an existing one is replaced.
        entries: at least one. Each has a label if `class_names` are given, otherwise captions.
        class_names: names of the labels. Give the same names when you read the list.
    """
    timed = any(entry.video.start_seconds is not None or entry.video.end_seconds is not None for entry in entries)
    what = "label" if class_names else "caption"
    grouped = any(entry.video.group is not None for entry in entries)
    header = ["video", what, *(("start_seconds", "end_seconds") if timed else ()), *(("group",) if grouped else ())]
    rows: list[list[str]] = []
    labels = _written_labels(entries, class_names)
    for entry in entries:
        video = entry.video
        times = ["" if time is None else repr(time) for time in (video.start_seconds, video.end_seconds)]
        shown = [LABEL_SEPARATOR.join(labels[label] for label in video.all_labels)] if class_names else entry.captions
        for field in shown:
            further = [*(times if timed else ()), *((video.group or "",) if grouped else ())]
            rows.append([str(video.path.absolute()), field, *further])
    write_rows(path, header, rows)


def _written_labels(entries: Sequence[Entry], class_names: Sequence[str]) -> list[str]:
    """The text that the list contains for each class."""
    if class_names and all(name.isdecimal() for name in class_names):
        return list(class_names)  # read as names, because all given names are numbers
    used = {class_names[label] for entry in entries if class_names for label in entry.video.all_labels}
    is_plain = all(
        name == name.strip() and name and not set(name) & set("\n\r") and not INTEGER.fullmatch(name) for name in used
    )
    is_multi_label = any(entry.video.labels is not None for entry in entries)
    is_plain &= not any(LABEL_SEPARATOR in name for name in used) if is_multi_label else not unread_separator(used)
    return list(class_names) if is_plain else [str(position) for position in range(len(class_names))]
