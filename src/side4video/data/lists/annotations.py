"""Read lists of labelled videos in any common format and match them with files on disk."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from side4video.data.lists.class_name_files import (
    NumberedNames,
    check_class_names,
    read_class_names,
    read_numbered_names,
)
from side4video.data.lists.frame_numbers import frames_to_seconds
from side4video.data.lists.labelled_videos import CheckedList, LabelledVideo, VideoList
from side4video.data.lists.labels import index_labels
from side4video.data.lists.list_checks import check_video_list
from side4video.data.lists.list_formats import FORMATS, detect_format
from side4video.data.lists.path_traversal import OutsideRoot, check_path_traversal
from side4video.data.lists.rows import ReadOptions, Row
from side4video.data.lists.several_labels import settle_labels
from side4video.data.lists.text_files import (
    MAX_SHOWN,
    DataError,
    shorten,
    spaced_name,
)
from side4video.data.lists.video_finder import VideoFinder
from side4video.video.remote import video_path
from side4video.video.shard_paths import is_shard_pattern, list_path

__all__ = [
    "CheckedList",
    "DataError",
    "LabelledVideo",
    "VideoList",
    "check_video_list",
    "read_class_names",
    "read_video_list",
]


def read_video_list(
    source: str | Path,
    *,
    root: str | Path | None = None,
    format: str = "auto",
    class_names: Sequence[str] | Path | None = None,
    delimiter: str | None = None,
    split: str | None = None,
    fold: int = 1,
    first_label: int = 0,
    outside_root: OutsideRoot = "refuse",
    group: str | None = None,
    class_numbers: bool = True,
    columns: Mapping[str, str] | None = None,
    fps: float | None = None,
    multi_label: bool | None = None,
    label_separator: str | None = None,
    label_field: str | None = None,
) -> VideoList:
    """Read a list of labelled videos.

    Args:
        source: a list file, or a folder (one sub-folder per class, or an official set of split files), or WebDataset
            shards (a .tar file, a folder of them, or a pattern, see `find_shards`).
        root: base folder of the paths in the list. Default: the folder of the list.
        format: `auto`, or the name of one of `FORMATS` (list_formats.py).
        class_names: class names in the order that you want, or a file of them (`read_class_names`). When you read the
            evaluation list, give the names of the training list. Names match if they are equal, or differ only in case,
            blanks and underscores (`Air_drumming` equals `air drumming`; `notes` reports it); an unknown name is an
            error. Formats of public data sets ignore punctuation too. Default: the order that the data set defines, or
            the sorted names, or `"0"`, `"1"`, ... if labels are numbers.
        delimiter: delimiter of a `list`. Default: detected. A blank matches any run of blanks and tabs.
        split: `train` or `test`: the part to read from a source with several parts (an official set of split files, a
            CSV whose column `split` has several values, a folder with one sub-folder per split). Ignored otherwise.
        fold: official split 1, 2 or 3 of `ucf101` and `hmdb51`. Ignored otherwise.
        first_label: number of the first class if labels in a `list` or `csv` are numbers. Ignored otherwise.
        outside_root: whether videos may be outside of a given `root`, by `..`, absolute paths or links. Without
            `root`, the paths in the list are used unchanged.
        group: column of a `csv` that names the recording of each video. Default: a column called `group`.
        class_numbers: whether numeric labels are indices into the names in `class_names`. False: they are an error,
            because the numbering of the names is not known.
        columns: columns of a `csv` or `jsonl` by their role: path, label, start, end, segment (start and end in one
            field), duration, start_frame, end_frame, fps, split, group. Default: columns of usual names. Of a
            `webdataset`, members by their suffix or fields of json.
        fps: frames per second of frame numbers, which count from 0; the end is exclusive. Default: the rate that the
            list states, or the times of the frames in the video file; required for folders of frames.
        multi_label: whether videos have any number of labels. Rows of the same video and times are then merged, and
            labels in one field are separated. Default: what the form of the list says, such as lists of labels in JSON.
        label_separator: separator of labels in one field; it makes a list multi-label. Default: the one that occurs of
            `|`, `;` and `,`, or blanks between numbers.
        label_field: which labels of a file with several kinds: verb, noun or action (EPIC-Kitchens), videos or segments
            (Charades), tags, tracks or an attribute (CVAT), an attribute (VIA), the name of a tier (ELAN), a control
            (Label Studio) or a field (FiftyOne), or a member or json field (WebDataset).

    Numeric labels are indices into `class_names`. If all class names are numbers, numeric labels are names instead.
    A path without suffix matches a video of that name or a folder of frames. Missing files and labels out of range
    are kept; `check_video_list` reports them.

    Raises:
        DataError: the list cannot be read, a class name is unknown, or a video is outside of the root.

    >>> videos = read_video_list("clips/train")
    >>> videos.class_names, videos.videos[0].name, videos.videos[0].label
    (('anticlockwise', 'clockwise'), 'anticlockwise/0.mp4', 0)
    """
    source = list_path(source)
    if not is_shard_pattern(source) and not source.exists():
        raise DataError(f"{source} does not exist. Give a list file or a folder with one sub-folder per class.")
    numbered = _given_names(class_names)
    given = None if numbered is None else numbered.names
    options = ReadOptions(
        class_names=given,
        delimiter=delimiter,
        split=split,
        fold=fold,
        first_label=first_label,
        group=group,
        columns=columns or {},
        fps=fps,
        multi_label=multi_label,
        label_separator=label_separator,
        label_field=label_field,
    )
    format = detect_format(source) if format == "auto" else format
    if format not in FORMATS:
        raise DataError(f"{format = } is not known. Use auto, {', '.join(FORMATS)}.")
    table = FORMATS[format].read(source, options)
    if not table.rows:
        raise DataError(" ".join((f"{source}, read as format {format!r}, lists no videos.", *table.notes)))
    _check_numbering(table.rows, numbered, first_label, source)
    default_root = source if source.is_dir() else source.parent
    finder = VideoFinder(default_root if root is None else video_path(root), ignore_case=table.ignore_case)
    paths, moved = finder.find_all([row.candidates for row in table.rows])
    if root is not None and outside_root == "refuse":
        check_path_traversal(
            [(row.name, path) for row, path in zip(table.rows, paths, strict=True)], video_path(root), source
        )
    timed, rates = frames_to_seconds(table.rows, paths, fps=fps, source=source)
    path_of = dict(zip((row.name for row in timed), paths, strict=True))
    rows, is_multi_label, several = settle_labels(timed, True if label_separator else multi_label, source)
    labels = index_labels(
        [label for row in rows for label in (row.labels if row.labels is not None else (row.label,))],
        given=given,
        defined=table.class_names,
        source=source,
        loose=FORMATS[format].spells_loosely,
        class_numbers=class_numbers,
    )
    videos = _labelled_videos(rows, path_of, labels.indices)
    ignored = label_field is not None and not FORMATS[format].has_label_fields
    notes = (
        f"Read as {format}.",
        *((f"label_field = {label_field!r} is ignored: this format has one kind of labels.",) if ignored else ()),
        *table.notes,
        *moved,
        *rates,
        *several,
        *labels.notes,
        _describe_classes(videos, labels.class_names),
        *(() if given else _nearly_equal(labels.class_names)),
    )
    return VideoList(tuple(videos), labels.class_names, str(source), notes, is_multi_label)


def _labelled_videos(
    rows: Sequence[Row], path_of: Mapping[str, Path], indices: Sequence[int | None]
) -> list[LabelledVideo]:
    """The videos of the rows; `indices` has one class for each label of each row, in order."""
    remaining = iter(indices)
    videos = []
    for row in rows:
        own = [next(remaining) for _ in (row.labels if row.labels is not None else (row.label,))]
        videos.append(
            LabelledVideo(
                path_of[row.name],
                own[0] if row.labels is None else None,
                row.name,
                row.start_seconds,
                row.end_seconds,
                group=row.group,
                line=row.line,
                labels=None if row.labels is None else tuple(sorted({index for index in own if index is not None})),
            )
        )
    return videos


def _describe_classes(videos: Sequence[LabelledVideo], class_names: Sequence[str]) -> str:
    counts = Counter(label for video in videos for label in video.all_labels)
    shown = [f"{shorten(name)} ({counts[label]})" for label, name in enumerate(class_names[:MAX_SHOWN])]
    more = ", ..." if len(class_names) > MAX_SHOWN else ""
    return f"{len(videos)} videos, {len(class_names)} classes: {', '.join(shown)}{more}."


def _nearly_equal(class_names: Sequence[str]) -> tuple[str, ...]:
    """A sentence about classes whose names differ only in case, blanks or underscores, if there are any."""
    by_spelling = defaultdict(list)
    for name in class_names:
        by_spelling[spaced_name(name)].append(name)
    if not (alike := [" and ".join(map(shorten, names)) for names in by_spelling.values() if len(names) > 1]):
        return ()
    return (
        f"Different classes have nearly the same name: {', '.join(alike[:MAX_SHOWN])}. Correct them if they are one.",
    )


def _given_names(class_names: Sequence[str] | Path | None) -> NumberedNames | None:
    if class_names is None:
        return None
    if isinstance(class_names, (str, Path)):
        return read_numbered_names(Path(class_names))
    check_class_names(class_names, source="class_names")
    return NumberedNames(tuple(class_names))


def _check_numbering(rows: Sequence[Row], given: NumberedNames | None, first_label: int, source: Path) -> None:
    """Raise `DataError` if class names count from 1, and the labels may do so too."""
    if given is None or given.first_number != 1 or first_label != 0:
        return
    labels = [label for row in rows for label in (row.labels if row.labels is not None else (row.label,))]
    numbers = {label for label in labels if isinstance(label, int)}
    if numbers and min(numbers) > 0 and max(numbers) < len(given.names):
        raise DataError(
            f"{source} has the class numbers {min(numbers)} to {max(numbers)}, and the class names count from 1: "
            "labels may count from 0 or 1. Give --data.first-label 1, or class names without numbers if labels count "
            "from 0."
        )
