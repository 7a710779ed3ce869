"""Group clips that belong together, such as parts of one recording, by a column, a file, or the names of clips."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from side4video.data.lists.annotations import LabelledVideo
from side4video.data.lists.columns import GROUP_COLUMNS, PATH_COLUMNS
from side4video.data.lists.records import find_column, read_records
from side4video.data.lists.text_files import DataError, first_few

NAME_PATTERNS = {
    "UCF101 (v_CLASS_gNN_cNN)": r"(?:^|/)(v_\w+_g\d+)_c\d+",
    "HMDB51 (MOVIE_CLASS_..._NUMBER)": r"(?:^|/)(.+)_[hful]_(?:cm|nm)_np\d_(?:fr|ba|le|ri)_(?:goo|med|bad)_\d+",
    "Kinetics (ID_START_END)": r"(?:^|/)([\w-]{11})_\d{6}_\d{6}",
    "numbered parts (NAME_clip3, NAME-part3)": r"(?:^|/)([^/]+?)[_-](?:clip|part|seg|segment|chunk)[_-]?\d+",
}
"""Patterns of clip names that identify groups; group 1 of each expression is the name of the group."""


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
            `group`, or the clips' names if they match one of `NAME_PATTERNS`, or the files of segments.

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
        matches = [re.search(pattern, video.name) for video in videos]
        if all(matches) and len({match[1] for match in matches if match}) > 1:
            return _describe([match[1] for match in matches if match], f"names, read as {form}")
    files = [str(video.path) for video in videos]
    if 1 < len(set(files)) < len(files):
        return _describe(files, "the file that each segment is a part of")
    return Grouping(
        None,
        "No groups: no column or name shows which clips share a recording. If some do, give --data.group.",
    )


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
    if missing := [name for name, found in groups if not found]:
        raise DataError(
            f"{complaint} {len(missing)} of {len(videos)} clips: {first_few(missing)}. Give each clip a group."
        )
    return [str(found) for _, found in groups]
