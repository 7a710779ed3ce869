"""Read lists of labelled videos in any common format, match them with files on disk, and check them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from side4video.data.lists.labels import index_labels
from side4video.data.lists.list_detection import PUBLIC_DATA_SETS, READERS, detect_format
from side4video.data.lists.path_traversal import OutsideRoot, check_path_traversal
from side4video.data.lists.rows import ReadOptions
from side4video.data.lists.segments import describe_segment, is_segment, overlapping
from side4video.data.lists.several_labels import settle_labels
from side4video.data.lists.text_files import (
    MAX_SHOWN,
    DataError,
    check_class_names,
    first_few,
    read_class_names,
    shorten,
)
from side4video.data.lists.video_finder import VideoFinder, scan_folder

__all__ = [
    "CheckedList",
    "DataError",
    "LabelledVideo",
    "VideoList",
    "check_video_list",
    "read_class_names",
    "read_video_list",
]


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

    >>> checked = check_video_list(read_video_list("clips/test"))
    >>> checked.num_found, checked.num_listed, checked.warnings
    (2, 2, ())
    """

    videos: VideoList
    num_listed: int
    num_found: int
    warnings: tuple[str, ...]


# --- reading --------------------------------------------------------------------------------------------------------


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
) -> VideoList:
    """Read a list of labelled videos.

    Args:
        source: a list file, or a folder (one sub-folder per class, or an official set of split files).
        root: base folder of the paths in the list. Default: the folder of the list.
        format: `auto`, or one of `folder`, `list`, `csv`, `jsonl`, `kinetics`, `ssv1`, `ssv2`, `ucf101`, `hmdb51`.
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
        columns: columns of a `csv` or `jsonl` by their role: path, label, start, end, start_frame, end_frame, split,
            group. Default: columns of usual names.
        fps: frames per second, required for columns of frame numbers. They count from 0; the end is exclusive.
        multi_label: whether videos have any number of labels. Rows of the same video and times are then merged, and
            labels in one field are separated. Default: what the form of the list says, such as lists of labels in JSON.
        label_separator: separator of labels in one field; it makes a list multi-label. Default: the one that occurs of
            `|`, `;` and `,`, or blanks between numbers.

    Numeric labels are indices into `class_names`. If all class names are numbers, numeric labels are names instead.
    A path without suffix matches a video of that name or a folder of frames. Missing files and labels out of range
    are kept; `check_video_list` reports them.

    Raises:
        DataError: the list cannot be read, a class name is unknown, or a video is outside of the root.

    >>> videos = read_video_list("clips/train")
    >>> videos.class_names, videos.videos[0].name, videos.videos[0].label
    (('anticlockwise', 'clockwise'), 'anticlockwise/0.mp4', 0)
    """
    source = Path(source)
    if not source.exists():
        raise DataError(f"{source} does not exist. Give a list file or a folder with one sub-folder per class.")
    given = _given_names(class_names)
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
    )
    format = detect_format(source) if format == "auto" else format
    if format not in READERS:
        raise DataError(f"{format = } is not known. Use auto, {', '.join(READERS)}.")
    table = READERS[format](source, options)
    if not table.rows:
        raise DataError(f"{source}, read as format {format!r}, lists no videos.")
    rows, is_multi_label, several = settle_labels(table.rows, True if label_separator else multi_label, source)
    labels = index_labels(
        [label for row in rows for label in (row.labels if row.labels is not None else (row.label,))],
        given=given,
        defined=table.class_names,
        source=source,
        loose=format in PUBLIC_DATA_SETS,
        class_numbers=class_numbers,
    )
    default_root = source if source.is_dir() else source.parent
    finder = VideoFinder(default_root if root is None else Path(root), ignore_case=table.ignore_case)
    indices = iter(labels.indices)
    videos = []
    for row in rows:
        found = (
            sorted({index for _ in row.labels for index in [next(indices)] if index is not None})
            if row.labels is not None
            else None
        )
        videos.append(
            LabelledVideo(
                finder.find(row.candidates),
                next(indices) if found is None else None,
                row.name,
                row.start_seconds,
                row.end_seconds,
                group=row.group,
                line=row.line,
                labels=None if found is None else tuple(found),
            )
        )
    if root is not None and outside_root == "refuse":
        check_path_traversal([(video.name, video.path) for video in videos], Path(root), source)
    notes = (f"Read as {format}.", *table.notes, *several, *labels.notes, _describe_classes(videos, labels.class_names))
    return VideoList(tuple(videos), labels.class_names, str(source), notes, is_multi_label)


def _describe_classes(videos: Sequence[LabelledVideo], class_names: Sequence[str]) -> str:
    counts = Counter(label for video in videos for label in video.all_labels)
    shown = [f"{shorten(name)} ({counts[label]})" for label, name in enumerate(class_names[:MAX_SHOWN])]
    more = ", ..." if len(class_names) > MAX_SHOWN else ""
    return f"{len(videos)} videos, {len(class_names)} classes: {', '.join(shown)}{more}."


def _given_names(class_names: Sequence[str] | Path | None) -> tuple[str, ...] | None:
    if class_names is None:
        return None
    if isinstance(class_names, (str, Path)):
        return read_class_names(Path(class_names))
    check_class_names(class_names, source="class_names")
    return tuple(class_names)


# --- checking -------------------------------------------------------------------------------------------------------


def check_video_list(video_list: VideoList, *, allow_missing: bool = False, require_labels: bool = True) -> CheckedList:
    """Check before training that every label is an index into the class names and that every file exists.

    Args:
        video_list: the list to check.
        allow_missing: drop missing videos with a warning instead of raising. If all are missing, it still raises.
        require_labels: raise if a video has no label. Set it to False for prediction.

    Raises:
        DataError: the list has problems; the error lists all of them. Files are not opened.
    """
    videos = video_list.videos
    absent, missing, warnings = find_missing(videos, allow_missing=allow_missing)
    problems = [
        *_label_problems(video_list, require_labels),
        *_conflicting_labels(videos),
        *find_bad_times(videos),
        *missing,
    ]
    if problems:
        raise DataError(*(f"{video_list.source}: {problem}" for problem in problems))
    kept = replace(video_list, videos=tuple(video for index, video in enumerate(videos) if index not in absent))
    return CheckedList(kept, len(videos), len(kept.videos), (*warnings, *_list_warnings(kept)))


def find_missing(
    videos: Sequence[LabelledVideo], *, allow_missing: bool
) -> tuple[frozenset[int], list[str], list[str]]:
    """Return the positions of missing videos, the problems, and the warnings if missing videos are allowed.

    It is always a problem if all videos are missing.
    """
    by_folder = defaultdict(list)
    for index, video in enumerate(videos):
        by_folder[str(video.path.parent)].append(index)
    absent = []
    for folder, inside in by_folder.items():
        names = scan_folder(Path(folder))
        absent += [index for index in inside if videos[index].path.name not in names]
    if not absent:
        return frozenset(), [], []
    missing = f"{len(absent)} of {len(videos)} videos are missing: {first_few(videos[index].name for index in absent)}"
    if allow_missing and len(absent) < len(videos):
        return frozenset(absent), [], [f"{missing}; they are skipped."]
    folders = Counter(str(videos[index].path.parent) for index in absent)
    looked_in = first_few(folder for folder, _ in folders.most_common())
    return frozenset(absent), [f"{missing}. Looked in {looked_in}. Check root, or allow missing videos."], []


def _label_problems(video_list: VideoList, require_labels: bool) -> list[str]:
    videos, count = video_list.videos, len(video_list.class_names)
    problems = []
    labels = {label for video in videos for label in video.all_labels}
    wrong = [(video.name, label) for video in videos for label in video.all_labels if not 0 <= label < count]
    if wrong:
        counts_from_one = (min(labels), max(labels)) == (1, count)
        hint = (
            "They seem to count from 1: use first_label=1." if counts_from_one else "Correct the list or class_names."
        )
        examples = first_few(f"{name} {label}" for name, label in wrong)
        problems.append(f"{len(wrong)} labels are outside 0 to {count - 1}: {examples}. {hint}")
    unlabelled = [video.name for video in videos if video.label is None and video.labels is None]
    if require_labels and unlabelled:
        problems.append(f"{len(unlabelled)} videos have no label: {first_few(unlabelled)}. Give a labelled list.")
    return problems


def _conflicting_labels(videos: Sequence[LabelledVideo]) -> list[str]:
    shown = defaultdict(list)
    for video in videos:
        shown[video_key(video)].append(video)
    if conflicting := [same for same in shown.values() if len({(video.label, video.labels) for video in same}) > 1]:
        examples = first_few(
            " and ".join(map(describe_segment, same)) if is_segment(same[0]) else str(same[0].path)
            for same in conflicting
        )
        return [f"{len(conflicting)} videos have two labels: {examples}. Keep one, or give --data.multi-label true."]
    return []


def find_bad_times(videos: Sequence[LabelledVideo]) -> list[str]:
    """One sentence about the segments that end before they start, if there are any."""
    inf = float("inf")
    bad = [v for v in videos if (v.start_seconds or 0) >= (inf if v.end_seconds is None else v.end_seconds)]
    examples = first_few(map(describe_segment, bad))
    return [f"{len(bad)} segments end before they start: {examples}. Correct start and end."] if bad else []


def video_key(video: LabelledVideo) -> tuple[str, float | None, float | None, bool]:
    """The key that identifies what is shown: file, start, end, direction."""
    return str(video.path), video.start_seconds, video.end_seconds, video.reverse


def _list_warnings(video_list: VideoList) -> list[str]:
    warnings = []
    counts = Counter(map(video_key, video_list.videos))
    if twice := [what[0] for what, count in counts.items() if count > 1]:
        warnings.append(f"{len(twice)} videos are listed more than once: {first_few(twice)}.")
    pairs = [(video_list.videos[one], video_list.videos[other]) for one, other in overlapping(video_list.videos)]
    if pairs:
        examples = first_few(f"{describe_segment(one)} and {describe_segment(other)}" for other, one in pairs)
        warnings.append(f"{len(pairs)} segments overlap an earlier one of their file: {examples}.")
    used = {label for video in video_list.videos for label in video.all_labels}
    if empty := [name for label, name in enumerate(video_list.class_names) if label not in used]:
        warnings.append(f"{len(empty)} of {len(video_list.class_names)} classes have no video: {first_few(empty)}.")
    return warnings
