"""Read lists of captioned videos in any common format, match them with files on disk, and check them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from side4video.data.lists.caption_detection import READERS, detect_caption_format
from side4video.data.lists.caption_files import CaptionFile, load_caption_file, read_names, rename_columns
from side4video.data.lists.caption_formats import CaptionRow
from side4video.data.lists.labelled_videos import LabelledVideo
from side4video.data.lists.list_checks import find_bad_times, find_missing, video_key
from side4video.data.lists.list_source import ListSource
from side4video.data.lists.official_captions import split_of_names
from side4video.data.lists.path_traversal import OutsideRoot, check_path_traversal
from side4video.data.lists.text_files import DataError, first_few, is_missing_value
from side4video.data.lists.video_finder import VideoFinder, find_recursively, strip_suffix
from side4video.data.lists.webdataset import is_webdataset, read_shard_captions
from side4video.video.remote import video_path
from side4video.video.shard_paths import list_path

WEBDATASET = "webdataset"
__all__ = ["CaptionList", "CheckedCaptions", "DataError", "check_caption_list", "read_caption_list"]


@dataclass(frozen=True)
class CaptionList:
    """Unique videos without labels, and at least one caption for each, in the order of the file.

    `split` names the split to print with results (`test (1k-A; ...)`, `train`), or is empty if it is unknown. `source`
    is the file that was read; `notes` are warnings about it, `understood` are sentences about how it was read.

    >>> found = read_caption_list("captions.csv")
    >>> len(found.videos), found.captions[0]
    (4, ('a shape moves anticlockwise',))
    """

    videos: tuple[LabelledVideo, ...]
    captions: tuple[tuple[str, ...], ...]
    split: str
    source: str
    notes: tuple[str, ...] = ()
    understood: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.videos) != len(self.captions) or not all(self.captions):
            raise ValueError(
                f"{len(self.videos)} videos, and captions of {len(self.captions)}, {self.captions.count(())} empty. "
                "Every video needs at least one caption."
            )


@dataclass(frozen=True)
class CheckedCaptions:
    """Valid captions: `num_found` of `num_listed` videos exist; `warnings` are one sentence each.

    >>> checked = check_caption_list(read_caption_list("captions.csv"))
    >>> checked.num_found, checked.num_listed
    (4, 4)
    """

    captions: CaptionList
    num_listed: int
    num_found: int
    warnings: tuple[str, ...]


# --- reading --------------------------------------------------------------------------------------------------------


def read_caption_list(
    source: str | Path,
    *,
    captions: str | Path | None = None,
    root: str | Path | None = None,
    format: str = "auto",
    split: str | None = None,
    outside_root: OutsideRoot = "refuse",
    columns: Mapping[str, str] | None = None,
) -> CaptionList:
    """Read videos with their captions.

    Args:
        source: a file of captions, or a list of videos alone (one name per line, a CSV column, a JSON list), or
            WebDataset shards (see `find_shards`).
        captions: file of captions if `source` is a list of videos. The result has the videos of the list, in its
            order. Ignored if `source` contains captions. So one setting works for MSR-VTT, whose training list has no
            captions and whose test list has them.
        root: base folder of the names. Default: the folder of `source`. Videos of public data sets are also found in
            any folder below it, by their name with or without suffix.
        format: format of the file of captions: `auto`, or one of `msrvtt`, `msvd`, `vatex`, `didemo`, `activitynet`,
            `lsmdc`, `csv`, `json`, `jsonl`, `webdataset`.
        split: `train`, `val` or `test`: the part to read from a file that labels several parts (MSR-VTT's JSON, a
            column `split`, `subset`, `set` or `partition`). Raises for public files that contain all parts without
            labels. Ignored otherwise, and if `source` is a list of videos.
        outside_root: whether videos may be outside of a given `root`; see `read_video_list`.
        columns: columns, or members or json fields of shards, by their role: path, caption, split, start, end. Default:
            those of usual names.

    Captions of a video in several lines are collected; DiDeMo and ActivityNet get one paragraph per video. Blanks
    around captions are stripped. Empty captions, and videos that have only empty ones, are dropped and counted in
    `notes`: the public files contain some. Missing files are kept; `check_caption_list` reports them.

    Raises:
        DataError: the file cannot be read; the error lists all problems of a file.

    >>> captions = read_caption_list("captions.csv")
    >>> captions.videos[0].name, captions.captions[0]
    ('clips/train/anticlockwise/0.mp4', ('a shape moves anticlockwise',))
    """
    source = list_path(source)
    if format not in ("auto", WEBDATASET, *READERS):
        raise DataError(f"{format = } is not known. Use auto, {', '.join(READERS)}, {WEBDATASET}.")
    names = None
    if format == WEBDATASET or (format == "auto" and is_webdataset(ListSource(source))):
        format, path, table = WEBDATASET, source, read_shard_captions(source, split, columns or {})
    else:
        file = rename_columns(load_caption_file(source), columns or {})
        names = None if format == "lsmdc" else read_names(file)
        if names is not None:
            file = _load_captions_of_names(names, source, captions)
        format = detect_caption_format(file) if format == "auto" else format
        path, table = file.path, READERS[format](file, split if names is None else None)
    rows, problems, notes = _group(table.rows), list(table.problems), list(table.notes)
    if names is not None:
        rows = _select(rows, names, source, path, problems, notes)
    rows = _clean(rows, path, problems, notes)
    if not rows and not problems:
        problems.append(f"{path}, read as format {format!r}, has no captions.")
    if problems:
        raise DataError(*problems)
    paths = _find_files(rows, video_path(root) if root is not None else source.parent, table.search_subfolders, notes)
    if root is not None and outside_root == "refuse":
        named = [(row.name, path) for row, path in zip(rows, paths, strict=True)]
        check_path_traversal(named, video_path(root), source)
    videos = (
        LabelledVideo(path, None, row.name, row.start_seconds, row.end_seconds)
        for path, row in zip(paths, rows, strict=True)
    )
    known_split = table.split if names is None else split_of_names(names, source)
    captions_of = tuple(row.captions for row in rows)
    return CaptionList(tuple(videos), captions_of, known_split, str(source), tuple(notes), tuple(table.understood))


def _load_captions_of_names(names: Sequence[str], source: Path, captions: str | Path | None) -> CaptionFile:
    shown = f"{source} was read as a list of {len(names)} videos without captions, starting with {first_few(names[:1])}"
    if captions is None:
        raise DataError(
            f"{shown}. Give the file of their captions too (MSRVTT_data.json, raw-captions.pkl, vatex_data.json, ...); "
            "a CSV with captions needs a header with the columns video,caption. Lists of videos and classes are for "
            "action recognition."
        )
    file = load_caption_file(Path(captions))
    if read_names(file) is not None:
        raise DataError(f"{shown}; but {captions} is also a list without captions. Give the file with the captions.")
    return file


def _group(rows: Iterable[CaptionRow]) -> list[CaptionRow]:
    """Merge rows into one per video, or part of a video, in the order of first appearance."""
    groups: dict[tuple[str, float | None, float | None], list[CaptionRow]] = defaultdict(list)
    for row in rows:
        groups[row.name, row.start_seconds, row.end_seconds].append(row)
    return [
        group[0]._replace(captions=tuple(caption for row in group for caption in row.captions))
        for group in groups.values()
    ]


def _select(
    rows: list[CaptionRow], names: Sequence[str], source: Path, captions: Path, problems: list[str], notes: list[str]
) -> list[CaptionRow]:
    """The rows of the given names, in the order of the names, which may be with or without suffix."""
    exact, loose = defaultdict(list), defaultdict(list)
    for row in rows:
        exact[row.name].append(row)
        for alias in {name for known in (row.name, *row.candidates) for name in (known, strip_suffix(known))}:
            loose[alias].append(row)
    chosen: dict[str, list[CaptionRow]] = {}
    unknown, twice = [], []
    for name in names:
        found = exact.get(name) or loose.get(name) or loose.get(strip_suffix(name)) or []
        if len({row.name for row in found}) != 1:
            unknown.append(name)
        elif found[0].name in chosen:
            twice.append(name)
        else:
            chosen[found[0].name] = found
    if unknown:
        problems.append(
            f"{len(unknown)} of {len(names)} videos of {source} have no captions in {captions}: "
            f"{first_few(unknown)}. The first captions are of {first_few([row.name for row in rows][:3])}. "
            "Check that the two files belong together."
        )
    if twice:
        notes.append(f"{len(twice)} entries of {source} repeat a video: {first_few(twice)}. Each video is used once.")
    return [row for found in chosen.values() for row in found]


def _clean(rows: list[CaptionRow], path: Path, problems: list[str], notes: list[str]) -> list[CaptionRow]:
    """Strip blanks around captions; drop empty captions, and those that say that they are missing, such as `nan`."""
    kept, uncaptioned, num_empty = [], [], 0
    if unusable := [row.name for row in rows if not all(map(_is_usable, (row.name, *row.candidates, *row.captions)))]:
        problems.append(
            f"{path}: names or captions of {len(unusable)} videos contain invalid characters (NUL or half of a "
            f"surrogate pair): {first_few(unusable)}. Correct them."
        )
    for row in rows:
        captions = tuple(text for text in map(str.strip, row.captions) if text and not is_missing_value(text))
        num_empty += len(row.captions) - len(captions)
        if captions:
            kept.append(row._replace(captions=captions))
        else:
            uncaptioned.append(row.name)
    if num_empty:
        notes.append(f"{num_empty} captions are empty or missing (such as N/A); they are skipped.")
    if uncaptioned:
        notes.append(
            f"{len(uncaptioned)} of {len(rows)} videos have no caption; they are skipped: {first_few(uncaptioned)}."
        )
    return kept


def _is_usable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _find_files(rows: list[CaptionRow], root: Path, search_subfolders: bool, notes: list[str]) -> list[Path]:
    finder = VideoFinder(root)
    candidates = [row.candidates or (row.name,) for row in rows]
    if not search_subfolders:
        found, moved = finder.find_all(candidates)
        notes.extend(moved)
        return found
    candidates = [(*names, *map(strip_suffix, names)) for names in candidates]
    paths = [finder.find_existing(names) for names in candidates]
    missing = {name for names, path in zip(candidates, paths, strict=True) if path is None for name in names}
    below = find_recursively(root, missing) if missing else {}
    several = []
    for index, (names, path) in enumerate(zip(candidates, paths, strict=True)):
        if path is None:
            found = next((below[name] for name in names if name in below), [root / names[0]])
            paths[index] = found[0]
            several += [str(path) for path in found] if len(found) > 1 else []
    if several:
        notes.append(
            f"Several files below {root} match the name of one video; the first file is used: {first_few(several)}."
        )
    return [path for path in paths if path is not None]


# --- checking -------------------------------------------------------------------------------------------------------


def check_caption_list(caption_list: CaptionList, *, allow_missing: bool = False) -> CheckedCaptions:
    """Check before training that every video file exists and every part of a video has a length above 0.

    Args:
        caption_list: the list to check.
        allow_missing: drop missing videos with a warning instead of raising. If all are missing, it still raises.

    Warnings also include captions that several videos share (no search can tell these apart), files that are listed
    under two names, and the list's `notes`.

    Raises:
        DataError: the list has problems; the error lists all of them. Files are not opened.
    """
    videos = caption_list.videos
    absent, missing, warnings = find_missing(videos, allow_missing=allow_missing)
    if problems := [*find_bad_times(videos), *missing]:
        raise DataError(*(f"{caption_list.source}: {problem}" for problem in problems))
    present = [index for index in range(len(videos)) if index not in absent]
    kept = replace(
        caption_list,
        videos=tuple(videos[index] for index in present),
        captions=tuple(caption_list.captions[index] for index in present),
    )
    shared = [*_shared_captions(kept), *_shared_files(kept)]
    return CheckedCaptions(kept, len(videos), len(present), (*caption_list.notes, *warnings, *shared))


def _shared_captions(captions: CaptionList) -> list[str]:
    owners = Counter(caption for of_video in captions.captions for caption in set(of_video))
    shared = [caption for caption, count in owners.items() if count > 1]
    if not shared:
        return []
    num_captions = sum(map(len, captions.captions))
    num_videos = sum(1 for of_video in captions.captions if any(owners[caption] > 1 for caption in of_video))
    return [
        f"{len(shared)} captions are shared by several videos, {num_videos} in total, which no search can tell apart "
        f"({num_captions} captions, {len(owners)} unique): {first_few(shared)}."
    ]


def _shared_files(captions: CaptionList) -> list[str]:
    counts = Counter(map(video_key, captions.videos))
    twice = [what[0] for what, count in counts.items() if count > 1]
    return [f"{len(twice)} videos are listed under several names: {first_few(twice)}."] if twice else []
