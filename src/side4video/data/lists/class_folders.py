"""Read a folder with one sub-folder per class; count what is left out."""

import re
from collections import Counter
from pathlib import Path

from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.split_names import SPLIT_SYNONYMS, choose_split
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
    sub-folders are called train, val or test, the classes are read from the one that `split` names.

    >>> table = read_class_folders(Path("clips/test"), ReadOptions())
    >>> table.class_names, table.rows[0].name
    (('anticlockwise', 'clockwise'), 'anticlockwise/0.mp4')
    """
    classes, prefix = class_folders(source), ""
    notes = []
    others = [name for name in classes if name.lower() not in SPLIT_SYNONYMS]
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
    rows = []
    for label in classes:
        rows += [Row(name, trimmed_name(label), (name,)) for name in _videos_in(source, prefix + label, left_out)]
    if left_out:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in left_out.most_common())
        notes.append(f"Left out, because they are not videos: {counts}.")
    return Table(rows, tuple(map(trimmed_name, classes)), notes=tuple(notes))


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
