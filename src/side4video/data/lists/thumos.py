"""THUMOS14: a folder of text files, one per class and split, with lines `video start end` in seconds."""

import re
from collections import defaultdict
from pathlib import Path

from side4video.data.lists.list_source import ListSource
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.split_names import choose_labelled_split
from side4video.data.lists.text_files import DataError, first_few, read_lines

_FILE = re.compile(r"([^.].*?)_(train|training|val|validation|test)\.txt", re.IGNORECASE)
_LINE = re.compile(r"(\S+)\s+(\d+(?:\.\d*)?)\s+(\d+(?:\.\d*)?)")
_ANNOTATIONS = re.compile(r"annotation|th14|thumos", re.IGNORECASE)
_FOLDERS = ("", "train/", "val/", "validation/", "test/", "videos/")
AMBIGUOUS = "Ambiguous"
GENERAL, SPECIAL = "Diving", "CliffDiving"  # each segment of the second class is also listed as one of the first


def is_thumos(source: ListSource) -> bool:
    """Whether a folder, or a folder of annotations in it, contains such files."""
    return source.is_folder and bool(_files(source.path))


def read_thumos(source: Path, options: ReadOptions) -> Table:
    """Read an annotation folder, or the folder with those of validation and test.

    The data set has no annotated training videos: its validation set is the training set (split train). `Ambiguous`
    segments are left out. A cliff dive, which is listed as a dive too, keeps the special class.
    """
    files = _files(source)
    splits = sorted({split for _, split, _ in files})
    chosen = splits[0]
    notes: tuple[str, ...] = ()
    if len(splits) > 1:
        if options.split is None:
            raise DataError(
                f"{source} has annotations of several splits: {first_few(splits)}. Give one of the folders."
            )
        chosen, notes = choose_labelled_split(splits, options.split, source)
    by_class: dict[str, list[Row]] = defaultdict(list)
    for label, split, path in files:
        if split == chosen:
            by_class[label] += [_row(label, line, path) for line in read_lines(path)]
    if ambiguous := by_class.pop(AMBIGUOUS, []):
        notes = (*notes, f"{len(ambiguous)} ambiguous segments are left out.")
    special = {(row.name, row.start_seconds, row.end_seconds) for row in by_class.get(SPECIAL, [])}
    kept = [row for row in by_class.get(GENERAL, []) if (row.name, row.start_seconds, row.end_seconds) not in special]
    if special and not options.multi_label and len(kept) < len(by_class.get(GENERAL, [])):
        notes = (*notes, f"{len(by_class[GENERAL]) - len(kept)} segments of {GENERAL} are {SPECIAL} and only that.")
        by_class[GENERAL] = kept
    names = tuple(sorted({label for label, _, _ in files} - {AMBIGUOUS}))
    return Table([row for label in names for row in by_class.get(label, [])], names, notes=notes)


def _files(folder: Path) -> list[tuple[str, str, Path]]:
    """Class, split and path of the files; sub-folders of annotations are searched two levels deep."""
    folders = [folder]
    for parent in (folder, folder / "*", folder / "*" / "*")[1:]:
        pattern = str(parent.relative_to(folder))
        folders += [path for path in sorted(folder.glob(pattern)) if path.is_dir() and _ANNOTATIONS.search(path.name)]
    found = []
    for path in (path for each in folders for path in sorted(each.glob("*.txt"))):
        match = _FILE.fullmatch(path.name)
        if match and path.stat().st_size:
            found.append((match[1], match[2].lower(), path))
    return found if found and all(_LINE.fullmatch(line) for line in read_lines(found[0][2])[:3]) else []


def _row(label: str, line: str, path: Path) -> Row:
    match = _LINE.fullmatch(line)
    if match is None:
        raise DataError(f"{path}: {line!r} is not a line `video start end`.")
    name = match[1]
    return Row(name, label, tuple(f"{folder}{name}" for folder in _FOLDERS), float(match[2]), float(match[3]))
