"""Labelled videos, and lists of them as read and as checked."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LabelledVideo:
    """One video of a data set, or the part of it from `start_seconds` until before `end_seconds`.

    `path` is a video file or a folder of frames, `label` an index into the list's class names, `name` the name in the
    list. In a multi-label list, `labels` has the indices of all classes of the video, ascending and possibly none, and
    `label` is None; in other lists `labels` is None. `reverse` plays the video backwards. `group` names the recording
    that it was cut from, if a column gives it.
    `line` is its line in the list, from 1, if the list has lines and times; it does not count in comparisons.

    >>> LabelledVideo(Path("clips/a.mp4"), label=3, name="a.mp4", start_seconds=1.5, end_seconds=4.0).label
    3
    """

    path: Path
    label: int | None
    name: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    reverse: bool = False
    group: str | None = None
    line: int | None = field(default=None, compare=False)
    labels: tuple[int, ...] | None = None

    @property
    def all_labels(self) -> tuple[int, ...]:
        """Indices of all classes of the video, in lists of both kinds; empty without a label."""
        return self.labels if self.labels is not None else () if self.label is None else (self.label,)


@dataclass(frozen=True)
class VideoList:
    """Labelled videos, their class names in the order of the labels, and the source of the list.

    `notes` are sentences about how the list was understood: its format, columns, split, classes, and what was left out.
    `multi_label`: whether videos have any number of classes; see `LabelledVideo.labels`.

    >>> from side4video.data.lists.annotations import read_video_list
    >>> found = read_video_list("clips/test")
    >>> len(found.videos), found.class_names, found.source
    (2, ('anticlockwise', 'clockwise'), 'clips/test')
    """

    videos: tuple[LabelledVideo, ...]
    class_names: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()
    multi_label: bool = False


@dataclass(frozen=True)
class CheckedList:
    """A valid list: `num_found` of `num_listed` videos exist; `warnings` are one sentence each.

    >>> from side4video.data.lists.annotations import check_video_list, read_video_list
    >>> checked = check_video_list(read_video_list("clips/test"))
    >>> checked.num_found, checked.num_listed, checked.warnings
    (2, 2, ())
    """

    videos: VideoList
    num_listed: int
    num_found: int
    warnings: tuple[str, ...]
