"""Lists of labelled videos: read from any format in use, matched with files on disk, checked before training."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from side4video.data.lists.inside_root import OutsideRoot, check_inside_root
from side4video.data.lists.list_detection import READERS, detect_format
from side4video.data.lists.list_files import ClassIndex, DataError, check_class_names, first_few, read_class_names
from side4video.data.lists.list_formats import ReadOptions, Table
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


LARGEST_LABEL = 1_000_000


@dataclass(frozen=True, slots=True)
class LabelledVideo:
    """One video of a data set, or the part of it from `start_seconds` to before `end_seconds`.

    `path` is a video file or a folder of frames, `label` an index into the list's class names, `name` what the list
    calls the video; `reverse` plays it backwards; `group` names what it was cut from, where a column says so.
    """

    path: Path
    label: int | None
    name: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    reverse: bool = False
    group: str | None = None


@dataclass(frozen=True)
class VideoList:
    """Labelled videos, the names of their classes in the order of the labels, and where the list was read."""

    videos: tuple[LabelledVideo, ...]
    class_names: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class CheckedList:
    """A list that can be used: `num_found` of `num_listed` videos are there; `warnings` says what is odd about it."""

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
) -> VideoList:
    """Read a list of labelled videos.

    Args:
        source: a list file, or a folder (one sub-folder per class, or an official set of split files).
        root: the folder that the paths in the list start from; by default the folder of the list.
        format: `auto`, or one of `folder`, `list`, `csv`, `kinetics`, `ssv1`, `ssv2`, `ucf101`, `hmdb51`.
        class_names: the classes in the order wanted, or a file of them (`read_class_names`). Give the training list's
            names when reading the evaluation list: classes are matched by name (letters and digits decide, so
            `air_drumming` is `air drumming`), and a name that is not among them is an error. Without this the order
            is the data set's own, or the names' sorted order, or `"0"`, `"1"`, ... where labels are numbers.
        delimiter: of a `list`; found out if None. A blank stands for any run of blanks and tabs.
        split: `train` or `test`: which part of a source that holds several (an official set of split files, a CSV
            whose column `split` has several values, a folder with a sub-folder per split). Without effect otherwise.
        fold: which of the official splits 1, 2, 3, for `ucf101` and `hmdb51`. Without effect otherwise.
        first_label: the number of the first class where labels in a `list` or `csv` are numbers. Without effect
            otherwise.
        outside_root: whether videos may lie outside of a `root` that is given, by `..`, as absolute paths or through
            links. Without `root` the list's own paths are taken as they are.
        group: the column of a `csv` that names the recording of each video; by default one called `group`.

    Numbers as labels are indices into `class_names`, unless all of these are numbers themselves: then they are names.
    A path without suffix is matched with a video of that name or a folder of frames. Missing files and labels out of
    range are kept: `check_video_list` finds them.

    Raises `DataError` for a list that cannot be read, for class names that are not known, and for videos outside of
    the root.
    """
    source = Path(source)
    if not source.exists():
        raise DataError(f"{source} does not exist. Give a list file or a folder with one sub-folder per class.")
    given = _given_names(class_names)
    options = ReadOptions(
        class_names=given, delimiter=delimiter, split=split, fold=fold, first_label=first_label, group=group
    )
    format = detect_format(source) if format == "auto" else format
    if format not in READERS:
        raise DataError(f"{format = } is not known. Use auto, {', '.join(READERS)}.")
    table = READERS[format](source, options)
    if not table.rows:
        raise DataError(f"{source}, read as format {format!r}, lists no videos.")
    names, labels = _index_labels(table, given, source)
    default_root = source if source.is_dir() else source.parent
    finder = VideoFinder(default_root if root is None else Path(root), ignore_case=table.ignore_case)
    videos = [
        LabelledVideo(finder.find(row.candidates), label, row.name, row.start_seconds, row.end_seconds, group=row.group)
        for row, label in zip(table.rows, labels, strict=True)
    ]
    if root is not None and outside_root == "refuse":
        check_inside_root([(video.name, video.path) for video in videos], Path(root), source)
    return VideoList(tuple(videos), names, str(source))


def _given_names(class_names: Sequence[str] | Path | None) -> tuple[str, ...] | None:
    if class_names is None:
        return None
    if isinstance(class_names, (str, Path)):
        return read_class_names(Path(class_names))
    check_class_names(class_names, source="class_names")
    return tuple(class_names)


def _index_labels(
    table: Table, given: tuple[str, ...] | None, source: Path
) -> tuple[tuple[str, ...], list[int | None]]:
    """The class names in order, and each row's index into them."""
    written = [row.label for row in table.rows]
    names = given or table.class_names or _names_from(written, source)
    if given and all(re.fullmatch(r"\d{1,18}", name) for name in given):
        numbers = Counter(map(int, given))
        by_number = {int(name): name for name in given if numbers[int(name)] == 1}  # "007" was read as 7
        written = [by_number.get(label, str(label)) if isinstance(label, int) else label for label in written]
    index = ClassIndex(names)
    found = {label: index.find(label) for label in set(written) if isinstance(label, str)}
    if unknown := sorted(label for label, position in found.items() if position is None):
        raise DataError(
            f"{source} has classes that are not among the {len(names)} given ones: {first_few(unknown)}. "
            f"The given ones are {first_few(names)}."
        )
    return names, [found[label] if isinstance(label, str) else label for label in written]


def _names_from(labels: Sequence[str | int | None], source: Path) -> tuple[str, ...]:
    numbers = [label for label in labels if isinstance(label, int)]
    if numbers:
        if max(numbers) > LARGEST_LABEL:
            raise DataError(
                f"{source} has the label {max(numbers)}: numbers as labels count classes from 0, of which there are "
                f"{LARGEST_LABEL:,} at most. Correct it, or give class_names."
            )
        return tuple(str(number) for number in range(max(numbers) + 1))
    return tuple(sorted({label for label in labels if isinstance(label, str)}))


# --- checking -------------------------------------------------------------------------------------------------------


def check_video_list(video_list: VideoList, *, allow_missing: bool = False, require_labels: bool = True) -> CheckedList:
    """Check that every label is an index into the class names and every file is there, before anything is trained.

    Args:
        allow_missing: drop videos that are not there, with a warning, instead of raising; none at all still raises.
        require_labels: raise where a video has no label; switch off for prediction.

    Raises `DataError` with all problems at once. Files are looked for, not opened.
    """
    videos = video_list.videos
    gone, missing, warnings = find_missing(videos, allow_missing=allow_missing)
    problems = [*_label_problems(video_list, require_labels), *_conflicts(videos), *find_bad_times(videos), *missing]
    if problems:
        raise DataError(*(f"{video_list.source}: {problem}" for problem in problems))
    kept = replace(video_list, videos=tuple(video for index, video in enumerate(videos) if index not in gone))
    return CheckedList(kept, len(videos), len(kept.videos), (*warnings, *_oddities(kept)))


def find_missing(
    videos: Sequence[LabelledVideo], *, allow_missing: bool
) -> tuple[frozenset[int], list[str], list[str]]:
    """Positions of the videos that are not there; why that is a problem; what to warn of where it is allowed.

    That no video is there is a problem always.
    """
    by_folder = defaultdict(list)
    for index, video in enumerate(videos):
        by_folder[str(video.path.parent)].append(index)
    gone = []
    for folder, inside in by_folder.items():
        names = scan_folder(Path(folder))
        gone += [index for index in inside if videos[index].path.name not in names]
    if not gone:
        return frozenset(), [], []
    lost = f"{len(gone)} of {len(videos)} videos are not there: {first_few(videos[index].name for index in gone)}"
    if allow_missing and len(gone) < len(videos):
        return frozenset(gone), [], [f"{lost}; they are left out."]
    folders = Counter(str(videos[index].path.parent) for index in gone)
    looked_in = first_few(folder for folder, _ in folders.most_common())
    return frozenset(gone), [f"{lost}. Looked in {looked_in}. Check root, or allow missing videos."], []


def _label_problems(video_list: VideoList, require_labels: bool) -> list[str]:
    videos, count = video_list.videos, len(video_list.class_names)
    problems = []
    labels = {video.label for video in videos if video.label is not None}
    if wrong := [video for video in videos if video.label is not None and not 0 <= video.label < count]:
        counts_from_one = (min(labels), max(labels)) == (1, count)
        hint = (
            "They seem to count from 1: use first_label=1." if counts_from_one else "Correct the list or class_names."
        )
        examples = first_few(f"{video.name} {video.label}" for video in wrong)
        problems.append(f"{len(wrong)} labels are outside 0 to {count - 1}: {examples}. {hint}")
    if require_labels and (unlabelled := [video.name for video in videos if video.label is None]):
        problems.append(f"{len(unlabelled)} videos have no label: {first_few(unlabelled)}. Give a labelled list.")
    return problems


def _conflicts(videos: Sequence[LabelledVideo]) -> list[str]:
    labels = defaultdict(set)
    for video in videos:
        labels[what_is_shown(video)].add(video.label)
    if both := [shown[0] for shown, found in labels.items() if len(found) > 1]:
        return [f"{len(both)} videos have two labels: {first_few(both)}. Keep one."]
    return []


def find_bad_times(videos: Sequence[LabelledVideo]) -> list[str]:
    """One sentence on the videos that end before they start, if there are any."""
    inf = float("inf")
    bad = [v for v in videos if (v.start_seconds or 0) >= (inf if v.end_seconds is None else v.end_seconds)]
    examples = first_few(f"{video.name} from {video.start_seconds} to {video.end_seconds}" for video in bad)
    return [f"{len(bad)} videos end before they start: {examples}. Times are in seconds."] if bad else []


def what_is_shown(video: LabelledVideo) -> tuple[str, float | None, float | None, bool]:
    """What tells apart two things to look at: file, part of it, direction."""
    return str(video.path), video.start_seconds, video.end_seconds, video.reverse


def _oddities(video_list: VideoList) -> list[str]:
    warnings = []
    shown = Counter(map(what_is_shown, video_list.videos))
    if twice := [what[0] for what, count in shown.items() if count > 1]:
        warnings.append(f"{len(twice)} videos are listed more than once: {first_few(twice)}.")
    used = {video.label for video in video_list.videos}
    if empty := [name for label, name in enumerate(video_list.class_names) if label not in used]:
        warnings.append(f"{len(empty)} of {len(video_list.class_names)} classes have no video: {first_few(empty)}.")
    return warnings
