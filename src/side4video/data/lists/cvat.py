"""CVAT's XML (versions for images and for video): tags of frames and tracks of objects as segments of videos."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from side4video.data.lists.list_source import ListSource
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.split_names import choose_split
from side4video.data.lists.text_files import DataError, first_few, read_xml

FILE = "annotations.xml"
FIELDS = ("tags", "tracks")


class _Task(NamedTuple):
    video: str
    subset: str
    step: int  # frames between annotated frames
    num_frames: int


def is_cvat(source: ListSource) -> bool:
    """Whether it is an XML file or a folder with `annotations.xml`."""
    return source.suffix == ".xml" or FILE in source.names


def read_cvat(source: Path, options: ReadOptions) -> Table:
    """Read the tags or the tracks of video tasks, exported as "CVAT for images" or "CVAT for video".

    Neighbouring frames with the same tag are a segment. If no video has two tagged frames, tags are classes of the
    whole video. A track is a segment for each run of frames in which its object is not outside. Frames count from 0 in
    the video. `options.label_field`: tags or tracks, by default what the file has, or the name of an attribute, whose
    values are the labels then; a segment ends where its value changes.
    """
    path = source / FILE if source.is_dir() else source
    root = _parse(path)
    tasks = _tasks(root, path)
    attributes = sorted({name for one in root.iter("attribute") if (name := one.get("name"))})
    attribute = options.label_field if options.label_field in attributes and options.label_field not in FIELDS else None
    tags, tracks = _tagged_frames(root, tasks, path, attribute), _tracked_frames(root, tasks, path, attribute)
    field = "" if attribute else options.label_field
    field = field or ("tags" if tags else "tracks")
    if field not in FIELDS or not {"tags": tags, "tracks": tracks}[field]:
        raise DataError(
            f"{path} has {len(tags)} tags and {len(tracks)} tracks by video and class, but none for {field!r}. "
            "Give --data.label-field tags or tracks. Boxes of single images are not labels of clips."
        )
    of = f"the attribute {attribute!r} of {field}" if attribute else f"{field} (--data.label-field tags or tracks)"
    notes = [f"Labels: {of}; frames count from 0."]
    if others := [name for name in attributes if name != attribute]:
        notes.append(f"Attributes are ignored: {first_few(others)}. --data.label-field NAME takes one as the label.")
    if tags and tracks:
        notes.append(f"The {'tracks' if field == 'tags' else 'tags'} are ignored.")
    if field == "tags" and (whole := _whole_videos(tags, tasks)):
        notes.append("No video has two tagged frames: tags are classes of whole videos.")
        rows = whole
    else:
        runs = _runs(tags, tasks) if field == "tags" else tracks
        rows = [_row(tasks[key], label, first, last) for (key, label), found in runs.items() for first, last in found]
    subsets = sorted({task.subset for task in tasks.values() if task.subset})
    if options.split is not None and len(subsets) > 1:
        subset = choose_split(subsets, options.split, path)
        videos = {task.video for task in tasks.values() if task.subset == subset}
        rows = [row for row in rows if row.name in videos]
        notes.append(f"Subset {subset!r} of {first_few(subsets)}.")
    return Table(rows, notes=tuple(notes))


def _parse(path: Path) -> ElementTree.Element:
    root = read_xml(path)
    if root.tag != "annotations" or root.find("meta") is None:
        raise DataError(f"{path} is not an export of CVAT: it has no <annotations> with <meta>.")
    return root


def _tasks(root: ElementTree.Element, path: Path) -> dict[str, _Task]:
    """The tasks by their identifier; a file of one task has it as "" too."""
    found = {}
    for task in [*root.findall("meta//task"), *root.findall("meta/job")]:
        video = task.findtext("source") or root.findtext("meta/source") or task.findtext("name") or ""
        step = re.search(r"step\s*=\s*(\d{1,6})", task.findtext("frame_filter") or "")
        last = task.findtext("stop_frame") or ""
        size = int(last) + 1 if last.isdecimal() else _whole(task.findtext("size") or "0", path)
        step_frames = max(int(step[1]), 1) if step else 1
        found[task.findtext("id") or ""] = _Task(video, task.findtext("subset") or "", step_frames, size)
    if not found:
        raise DataError(f"{path} names no task with a video.")
    return found | ({"": next(iter(found.values()))} if len(found) == 1 else {})


def _whole(text: str | None, path: Path) -> int:
    if text is None or not re.fullmatch(r"\d{1,9}", text.strip()):
        raise DataError(f"{path}: {text!r} is not a frame number.")
    return int(text)


def _task_of(element: ElementTree.Element, tasks: dict[str, _Task], path: Path) -> str:
    key = element.get("task_id") or ""
    if key not in tasks:
        raise DataError(f"{path}: <{element.tag}> belongs to the task {key!r}, which <meta> does not name.")
    return key


Frames = dict[tuple[str, str], list[tuple[int, int]]]
"""First frame and end (exclusive) of segments, by task and class."""


def _value(element: ElementTree.Element, attribute: str) -> str | None:
    """The value of an attribute of a shape or tag; None if it has none."""
    found = (one.text for one in element.findall("attribute") if one.get("name") == attribute)
    return (next(found, None) or "").strip() or None


def _tagged_frames(root: ElementTree.Element, tasks: dict[str, _Task], path: Path, attribute: str | None) -> Frames:
    """Each tagged frame as a segment of one frame."""
    found: Frames = defaultdict(list)
    holders = [(image, image.get("id")) for image in root.findall("image")]
    for holder, number in [*holders, (root, None)]:
        for tag in holder.findall("tag"):
            frame = _whole(number or tag.get("frame"), path)
            owner = tag if number is None else holder
            label = _value(tag, attribute) if attribute else tag.get("label") or ""
            if label is not None:
                found[_task_of(owner, tasks, path), label].append((frame, frame + 1))
    return dict(found)


def _tracked_frames(root: ElementTree.Element, tasks: dict[str, _Task], path: Path, attribute: str | None) -> Frames:
    """The frames in which an object is not outside, by the label of its track or the value of its attribute."""
    found: Frames = defaultdict(list)
    for track in root.findall("track"):
        key = _task_of(track, tasks, path)
        shapes = [(_whole(shape.get("frame"), path), _shown(track, shape, attribute)) for shape in track]
        shapes.sort(key=lambda shape: shape[0])
        label, start = None, 0
        end = max([tasks[key].num_frames, *(frame + 1 for frame, _ in shapes)])
        for frame, shown in [*shapes, (end, None)]:
            if shown != label:
                if label is not None:
                    found[key, label].append((start, frame))
                label, start = shown, frame
    return dict(found)


def _shown(track: ElementTree.Element, shape: ElementTree.Element, attribute: str | None) -> str | None:
    """The label from this shape on; None if the object is outside or has no value."""
    if shape.get("outside") == "1":
        return None
    return _value(shape, attribute) if attribute else track.get("label") or ""


def _runs(tags: Frames, tasks: dict[str, _Task]) -> Frames:
    """Neighbouring frames joined."""
    joined: Frames = {}
    for (key, label), frames in tags.items():
        runs: list[tuple[int, int]] = []
        for first, last in sorted(set(frames)):
            if runs and first < runs[-1][1] + tasks[key].step:
                runs[-1] = (runs[-1][0], last)
            else:
                runs.append((first, last))
        joined[key, label] = runs
    return joined


def _whole_videos(tags: Frames, tasks: dict[str, _Task]) -> list[Row]:
    frames_of: dict[str, set[int]] = defaultdict(set)
    labels_of: dict[str, dict[str, None]] = defaultdict(dict)
    for (key, label), frames in tags.items():
        frames_of[key] |= {first for first, _ in frames}
        labels_of[key][label] = None
    if any(len(frames) > 1 for frames in frames_of.values()):
        return []
    return [_row(tasks[key], None, None, None)._replace(labels=tuple(labels)) for key, labels in labels_of.items()]


def _row(task: _Task, label: str | None, first: int | None, last: int | None) -> Row:
    names: Iterable[str] = (task.video, task.video.rsplit("/", 1)[-1])
    frames = None if first is None or last is None else (float(first), float(last))
    return Row(task.video, label, tuple(dict.fromkeys(names)), frames=frames)
