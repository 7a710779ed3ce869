"""Group clips that belong together, such as parts of one recording, by a column, a file, or the names of clips."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from side4video.data.lists.annotations import LabelledVideo
from side4video.data.lists.columns import GROUP_COLUMNS, PATH_COLUMNS
from side4video.data.lists.records import find_column, read_records
from side4video.data.lists.text_files import DataError, first_few, is_missing_value

NAME_PATTERNS = {
    "UCF101 (v_CLASS_gNN_cNN)": r"(?:^|/)(v_\w+_g\d+)_c\d+",
    "HMDB51 (MOVIE_CLASS_..._NUMBER)": r"(?:^|/)(.+)_[hful]_(?:cm|nm)_np\d_(?:fr|ba|le|ri)_(?:goo|med|bad)_\d+",
    "Kinetics (ID_START_END)": r"(?:^|/)([\w-]{11})_\d{6}_\d{6}",
}
"""Patterns of the names of public data sets; group 1 of each expression is the name of the group."""
PARTS = "numbered parts (NAME_clip3, NAME-part3)"
SESSION_FOLDERS = "folders below those of the classes"
GUESSED_PATTERNS = {
    "persons (person01, subject_2)": r"(?:^|[/_-])((?:person|subject|subj|actor|participant)[_-]?\d+)(?!\d)",
    "days (NAME_2021-05-01)": r"(?:^|/)((?:[^/]*(?<!\d))?(?:19|20)\d\d[-_.]?(?:0\d|1[0-2])[-_.]?[0-3]\d)(?!\d)",
    PARTS: r"(?:^|/)([^/]+?)[_-](?:clip|part|seg|segment|chunk)[_-]?\d+",
    SESSION_FOLDERS: r"^(.+)/",
    "a recording and a number (NAME_3)": r"(?:^|/)([^/]+?)[ _.-]+\(?\d+\)?(?:\.\w+)?$",
}
"""Patterns that can mislead, the coarsest first. They are used only if they divide most classes into several groups:
cross-validation that ignores recordings is too high; one with groups that are no recordings is right if there are many.
"""
MIN_GROUPS, MIN_DIVIDED = 3, 0.75
"""A guessed pattern is used if classes with this number of groups or more (`PARTS`: 2) have this share of the clips."""


@dataclass(frozen=True)
class Grouping:
    """The group of each clip, and its origin.

    Attributes:
        groups: one name per clip; None if the groups are unknown.
        origin: a sentence for the log.

    >>> Grouping(groups=("monday", "monday", "tuesday"), origin="Groups: the column group of the list.").groups[0]
    'monday'
    """

    groups: tuple[str, ...] | None
    origin: str


def find_groups(videos: Sequence[LabelledVideo], setting: str | None) -> Grouping:
    """Detect the clips that belong together and must stay in one fold.

    Args:
        videos: clips of a list.
        setting: a CSV file with columns of paths and groups, the name of a column of the list, or a regular expression
            for the clips' names. Its first group, or the whole match, names the group. Default: the list's column
            `group`, or the clips' names if they match one of `NAME_PATTERNS` or `GUESSED_PATTERNS`, or the files of
            segments.

    Raises:
        DataError: some clips have no group by this setting.

    >>> clips = [LabelledVideo(Path(name), 0, name) for name in ("run_g01_a.avi", "run_g01_b.avi")]
    >>> find_groups(clips, "g[0-9]+").groups
    ('g01', 'g01')
    """
    if setting is not None and Path(setting).is_file():
        return _describe(_from_file(videos, Path(setting)), f"column of {setting}")
    if any(video.group for video in videos):
        groups = _complete(videos, lambda video: video.group, "The column of groups is empty for")
        return _describe(groups, f"column {setting or 'group'} of the list")
    if setting is not None:
        return _describe(_from_pattern(videos, setting), f"pattern {setting!r} over the names")
    for form, pattern in NAME_PATTERNS.items():
        found = _matches(videos, pattern)
        if found and len(set(found)) > 1:
            return _describe(found, f"names, read as {form}")
    unused = ""
    for form, pattern in GUESSED_PATTERNS.items():
        guess = _session_folders(videos) if form == SESSION_FOLDERS else _matches(videos, pattern)
        if guess is None or not 1 < len(set(guess)) < len(guess):
            continue
        shown = f"{form}, such as {' and '.join(map(repr, sorted(set(guess))[:2]))}"
        if _divided(guess, videos, 2 if form == PARTS else MIN_GROUPS) >= MIN_DIVIDED:
            return _describe(guess, f"names, read as {shown}; if these are no recordings, give --data.group")
        if _divided(guess, videos, 2) >= MIN_DIVIDED:
            unused = unused or f" The names were not read as {shown}: classes have fewer than {MIN_GROUPS} of these."
    files = [str(video.path) for video in videos]
    if 1 < len(set(files)) < len(files):
        return _describe(files, "the file that each segment is a part of")
    return Grouping(
        None,
        f"No groups: no column or name shows which clips share a recording. If some do, give --data.group.{unused}",
    )


def join_copies(grouping: Grouping, videos: Sequence[LabelledVideo], copies: Sequence[Sequence[int]]) -> Grouping:
    """Join the groups of clips that are copies of each other.

    >>> clips = [LabelledVideo(Path(name), 0, name) for name in ("a.mp4", "b.mp4", "copy of a.mp4")]
    >>> join_copies(Grouping(None, "No groups."), clips, [[0, 2]]).groups
    ('0', '1', '0')
    """
    if not copies:
        return grouping
    groups = list(grouping.groups or map(str, range(len(videos))))
    for places in copies:
        joined = {groups[place] for place in places}
        groups = [min(joined) if group in joined else group for group in groups]
    shown = first_few(videos[place].name for places in copies for place in places)
    return Grouping(tuple(groups), f"{grouping.origin} Copies of one file stay together: {shown}.")


def _matches(videos: Sequence[LabelledVideo], pattern: str) -> list[str] | None:
    """Group 1 of the pattern in each name; None if some name does not match."""
    found = [re.search(pattern, video.name, re.IGNORECASE) for video in videos]
    return [match[1] for match in found if match] if all(found) else None


def _session_folders(videos: Sequence[LabelledVideo]) -> list[str] | None:
    """The folder of each clip without the levels that the classes decide; None if nothing is left."""
    folders = [video.name.split("/")[:-1] for video in videos]
    if len({len(parts) for parts in folders}) != 1:
        return None
    labels = [video.label for video in videos]
    levels = [
        level for level in zip(*folders, strict=True) if len(set(zip(labels, level, strict=True))) > len(set(labels))
    ]
    return ["/".join(parts) for parts in zip(*levels, strict=True)] or None


def _divided(groups: Sequence[str], videos: Sequence[LabelledVideo], at_least: int) -> float:
    """Share of the clips whose class has `at_least` groups, or as many groups as clips."""
    clips = Counter(video.label for video in videos)
    counts = Counter(label for label, _ in {(video.label, group) for video, group in zip(videos, groups, strict=True)})
    return sum(clips[label] for label in clips if counts[label] >= min(at_least, clips[label])) / len(videos)


def _describe(groups: Sequence[str], origin: str) -> Grouping:
    sizes = sorted(Counter(groups).values())
    return Grouping(tuple(groups), f"Groups: {len(sizes)} of {sizes[0]} to {sizes[-1]} clips each ({origin}).")


def _from_file(videos: Sequence[LabelledVideo], source: Path) -> list[str]:
    records = read_records(source)
    path, group = find_column(records, PATH_COLUMNS), find_column(records, GROUP_COLUMNS)
    if path is None or group is None:
        raise DataError(
            f"data.group = {source} needs a column of paths ({', '.join(PATH_COLUMNS[:3])}, ...) and one of groups "
            f"({', '.join(GROUP_COLUMNS)})."
        )
    of_path = {record.get(path): record.get(group) for record in records}
    return _complete(videos, lambda video: of_path.get(video.name), f"{source} has no group for")


def _from_pattern(videos: Sequence[LabelledVideo], pattern: str) -> list[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DataError(
            f"data.group = {pattern!r} is not a column of the list, a file or a regular expression ({error})."
        ) from None

    def group(video: LabelledVideo) -> str | None:
        match = expression.search(video.name)
        return match and (match[1] if expression.groups else match[0])

    return _complete(
        videos,
        group,
        f"data.group = {pattern!r} is not a column of the list or a file; as a regular expression it does not match",
    )


def _complete(
    videos: Sequence[LabelledVideo], group: Callable[[LabelledVideo], str | None], complaint: str
) -> list[str]:
    groups = [(video.name, group(video)) for video in videos]
    if missing := [name for name, found in groups if not found or is_missing_value(found)]:
        raise DataError(
            f"{complaint} {len(missing)} of {len(videos)} clips: {first_few(missing)}. Give each clip a group."
        )
    return [str(found) for _, found in groups]
