"""What a shard stores of one video next to it: members with its class and captions, and its name in a json member."""

import json
from collections.abc import Sequence
from typing import Any

from side4video.checking.entries import Entry


def is_whole(entries: Sequence[Entry]) -> bool:
    """Whether the list has one entry for a video, of all of it.

    >>> from pathlib import Path
    >>> from side4video.data.lists.annotations import LabelledVideo
    >>> is_whole([Entry(LabelledVideo(Path("a.mp4"), 0, "a.mp4", start_seconds=1.0))])
    False
    """
    return len(entries) == 1 and entries[0].video.start_seconds is None and entries[0].video.end_seconds is None


def text_members(entries: Sequence[Entry], class_names: Sequence[str]) -> dict[str, bytes]:
    """The members of a video by suffix: json, and cls (the number of the class) or txt (the first caption).

    Several parts of one video are in the field `segments` of json, each with its times, and there is no cls or txt.

    Args:
        entries: those of one video.
        class_names: names of the labels.
    """
    first = entries[0]
    about: dict[str, Any] = {"file": first.video.name}
    if first.video.group is not None:
        about["group"] = first.video.group
    members: dict[str, str] = {}
    if is_whole(entries):
        about |= _shown(first, class_names)
        if first.video.label is not None:
            members["cls"] = str(first.video.label)
        if first.captions:
            members["txt"] = first.captions[0]
    else:
        about["segments"] = [_times(entry) | _shown(entry, class_names) | _number(entry) for entry in entries]
    members["json"] = json.dumps(about)
    return {suffix: text.encode("utf-8", "surrogateescape") for suffix, text in members.items()}


def _shown(entry: Entry, class_names: Sequence[str]) -> dict[str, Any]:
    """Class name, class names or captions."""
    video = entry.video
    if video.labels is not None:
        return {"labels": [class_names[label] for label in video.labels]}
    if video.label is not None:
        return {"label": class_names[video.label]}
    if entry.captions:
        return {"caption": entry.captions[0] if len(entry.captions) == 1 else list(entry.captions)}
    return {}


def _number(entry: Entry) -> dict[str, int]:
    return {} if entry.video.label is None else {"cls": entry.video.label}


def _times(entry: Entry) -> dict[str, float]:
    times = {"start_seconds": entry.video.start_seconds, "end_seconds": entry.video.end_seconds}
    return {name: value for name, value in times.items() if value is not None}
