"""Read a folder with one sub-folder per class; count what is left out."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.split_names import choose_split, is_split, mentions_split, split_word
from side4video.data.lists.text_files import DataError, first_few, trimmed_name
from side4video.video.decoding import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from side4video.video.hidden import is_hidden
from side4video.video.remote import video_path
from side4video.video.remote_listing import walk

UNLABELLED = "_unlabeled"
"""Folder into which FiftyOne exports videos without a class."""
_NUMBERED = re.compile(r".*\d[^\d]{0,3}")  # the stem of a frame ends in its number


def read_class_folders(source: Path, options: ReadOptions) -> Table:
    """Read `<class>/<video>`, at any depth below the class; classes are sorted.

    A folder of numbered pictures without videos counts as a video. Other files are left out and counted. If the
    sub-folders are called train, val or test, the classes are read from the one that `split` names; if all videos are
    in `<class>/train` and `<class>/test`, the videos are.

    >>> table = read_class_folders(Path("clips/test"), ReadOptions())
    >>> table.class_names, table.rows[0].name
    (('anticlockwise', 'clockwise'), 'anticlockwise/0.mp4')

    Raises:
        DataError: the sub-folders are splits and `split` is None, or folders of splits are mixed with other folders.
    """
    classes, prefix = class_folders(source), ""
    notes = []
    others = [name for name in classes if not is_split(name)]
    if len(classes) - len(others) > 1 and not any(_videos_in(source, name, Counter()) for name in others):
        notes += [f"Left out, because they contain no videos: {first_few(others)}."] if others else []
        classes, others = [name for name in classes if name not in others], []
    if classes and not others:
        if options.split is None:
            raise DataError(
                f"{source} contains {first_few(classes)}, which are splits and not classes. Give one of them."
            )
        chosen = choose_split(classes, options.split, source)
        notes.append(f"The sub-folders are splits; {chosen!r} is read.")
        prefix = f"{chosen}/"
        classes = class_folders(source / prefix)
    left_out: Counter[str] = Counter()
    if UNLABELLED in classes:
        classes.remove(UNLABELLED)
        notes.append(f"The folder {UNLABELLED} is left out: it is not a class.")
    videos_of = {label: _videos_in(source, prefix + label, left_out) for label in classes}
    if num_outside := _count_outside(source / prefix):
        notes.append(f"Left out, because they are in no class folder: {num_outside} videos.")
    if left_out:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in left_out.most_common())
        notes.append(f"Left out, because they are not videos: {counts}.")
    depth = 2 if prefix else 1
    rows = [Row(name, trimmed_name(label), (name,)) for label, videos in videos_of.items() for name in videos]
    rows, split_note = _of_inner_split(rows, options.split, source, depth)
    notes += split_note or _check_depth(source / prefix, videos_of, depth)
    return Table(rows, tuple(map(trimmed_name, classes)), notes=tuple(notes))


def _count_outside(folder: Path) -> int:
    _, _, files = next(walk(folder), ("", [], []))
    return sum(name.lower().endswith(VIDEO_SUFFIXES) and not is_hidden(name) for name in files)


def _check_depth(folder: Path, videos_of: Mapping[str, Sequence[str]], depth: int) -> list[str]:
    """A sentence about folders that may be no classes, because the classes seem to be one level below.

    Raises:
        DataError: such folders are called like splits.
    """
    parts_of = {label: [name.split("/")[depth:] for name in videos] for label, videos in videos_of.items() if videos}
    inner = [{parts[0] for parts in videos} for videos in parts_of.values()]
    if not inner or any(len(parts) == 1 for videos in parts_of.values() for parts in videos):
        return []
    shared = sorted(set.intersection(*inner))
    if len(inner) == 1:
        (label,) = parts_of
        remedy = f"If these are the classes or splits, give {folder / label}."
        return [f"All videos are in the folder {label!r}, in its sub-folders {first_few(shared)}. {remedy}"]
    if not shared:
        return []
    what = f"{folder}: the folders {first_few(parts_of)} have the same sub-folders, such as {first_few(shared)}"
    if any(map(mentions_split, parts_of)):
        raise DataError(
            f"{what}, and seem to be splits, not classes. Give one as --data.train and one as --data.test, or call "
            "them train and test; if they are classes, rename those that contain words such as train."
        )
    return [f"{what}. If these are the classes, give one folder as --data.train."] if len(shared) > 1 else []


def _of_inner_split(rows: list[Row], wanted: str | None, source: Path, depth: int) -> tuple[list[Row], list[str]]:
    """The videos of `<class>/<split>/...`, if each video is in such a folder and there are several splits."""
    inner = ["".join(row.name.split("/")[depth:-1][:1]) for row in rows]
    names = sorted(set(inner))
    is_wrapped = len({row.label for row in rows}) < 2  # data/train/run/1.mp4
    if wanted is None or is_wrapped or len(set(map(split_word, names))) < 2 or not all(map(is_split, names)):
        return rows, []
    chosen = choose_split(names, wanted, source)
    kept = [row for row, name in zip(rows, inner, strict=True) if name == chosen]
    return kept, [f"The folders {first_few(names)} of the classes are splits; {chosen!r} is read."]


def class_folders(folder: Path) -> list[str]:
    """The sorted names of the sub-folders, without hidden ones and those of systems."""
    _, folders, _ = next(walk(folder), ("", [], []))
    return sorted(name for name in folders if not _is_ignored(name))


def _is_ignored(folder: str) -> bool:
    return is_hidden(folder) or folder.startswith("__")


def _videos_in(root: Path, folder: str, left_out: Counter[str]) -> list[str]:
    """Names of the videos below a folder, relative to `root`; other files are counted by their suffix."""
    found = []
    for parent, folders, files in walk(root / folder):
        folders[:] = sorted(name for name in folders if not _is_ignored(name))
        relative = video_path(parent).relative_to(root).as_posix()
        files = sorted(name for name in files if not name.startswith("."))
        videos = [name for name in files if name.lower().endswith(VIDEO_SUFFIXES)]
        pictures = [name for name in files if name.lower().endswith(PICTURE_SUFFIXES)]
        found += [f"{relative}/{name}" for name in videos]
        others = set(files) - set(videos)
        if relative != folder and not videos and any(_NUMBERED.fullmatch(Path(name).stem) for name in pictures):
            found.append(relative)
            others -= set(pictures)
        left_out.update(Path(name).suffix.lower() or "without suffix" for name in others)
    return found
