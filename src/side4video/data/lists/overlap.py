"""Find videos of the evaluation set among the training videos, by path and by content."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from side4video.data.lists.annotations import LabelledVideo
from side4video.data.lists.groups import NAME_PATTERNS, find_groups
from side4video.data.lists.segments import is_segment, overlap_in_time
from side4video.data.lists.text_files import DataError, first_few
from side4video.video.file_access import is_on_disk, open_bytes, state_or_none
from side4video.video.remote import can_list, identity_of, video_path
from side4video.video.shard_index import ShardError

LARGEST_COMPARED = 20_000
"""Videos of both sets. Larger sets are compared by path only: on a network disk each size takes a request."""
SMALLEST_COMPARED = 1_000
"""Bytes. Smaller files are no videos: empty files and pages of failed downloads are often equal."""

Overlap = Literal["refuse", "allow"]


def check_overlap(train: Sequence[LabelledVideo], test: Sequence[LabelledVideo], *, overlap: Overlap) -> list[str]:
    """Refuse evaluation videos that training also uses, because their scores say nothing about new videos.

    Parts of one file overlap if their times do. Files are also compared by content, links by their target.

    Returns:
        Warnings: overlaps that are allowed, or that contents are not compared.

    Raises:
        DataError: the sets overlap, and `overlap` is "refuse".

    >>> clip = LabelledVideo(Path("clip.mp4"), 0, "clip.mp4")
    >>> check_overlap([clip], [clip], overlap="allow")
    ["1 of 1 evaluation videos are also training videos: 'clip.mp4'. Scores of these say nothing about new videos."]
    """
    is_large = len(train) + len(test) > LARGEST_COMPARED
    content = {} if is_large else _digests(train, test)
    trained = defaultdict(list)
    for video in train:
        trained[_identity(video, content)].append(video)
    shared = [
        video for video in test if any(overlap_in_time(video, other) for other in trained[_identity(video, content)])
    ]
    if shared:
        what = f"{len(shared)} of {len(test)} evaluation videos are also training videos"
        sentence = f"{what}: {first_few(video.name for video in shared)}."
        if overlap == "allow":
            return [f"{sentence} Scores of these say nothing about new videos."]
        raise DataError(
            f"{sentence} Their scores would be too high. Remove them from one of the sets (check-data writes clean "
            "lists), use a list with a column `split`, or give --data.overlap allow."
        )
    if is_large:
        return [
            f"The sets have more than {LARGEST_COMPARED:,} videos: the evaluation videos were searched among the "
            "training videos by path, not by content. check-data compares contents."
        ]
    return []


def describe_shared_groups(
    train: Sequence[LabelledVideo], test: Sequence[LabelledVideo], setting: str | None
) -> list[str]:
    """A warning if clips of one recording are in both sets: their scores are higher than on new recordings.

    Recordings are groups of `setting` (see `find_groups`), of the lists' columns, or of names of public data sets, and
    files that have segments in both sets.

    >>> train, test = (LabelledVideo(Path(f"{n}.mp4"), 0, f"{n}.mp4", group="monday") for n in "ab")
    >>> describe_shared_groups([train], [test], None)
    ["1 of 1 evaluation videos are of recordings with training videos: 'monday' (column group of the list)."]
    """
    groups, origin = _known_groups([*train, *test], setting)
    trained = set(groups[: len(train)])
    shared = [group for group in groups[len(train) :] if group in trained]
    if not shared:
        return []
    names = first_few(dict.fromkeys(shared))
    return [
        f"{len(shared)} of {len(test)} evaluation videos are of recordings with training videos: {names} ({origin})."
    ]


def _known_groups(videos: Sequence[LabelledVideo], setting: str | None) -> tuple[Sequence[str], str]:
    """The recording of each video and how it is known; none if it can only be guessed."""
    if setting is None and not all(video.group for video in videos):
        if any(is_segment(video) for video in videos):
            return [str(video.path) for video in videos], "files of segments"
        if not any(all(re.search(form, video.name, re.I) for video in videos) for form in NAME_PATTERNS.values()):
            return [], ""
    try:
        found = find_groups(videos, setting)
    except DataError:  # the evaluation set has no groups
        return [], ""
    return found.groups or [], found.origin.partition("each (")[2].removesuffix(").")


def copies_of(videos: Sequence[LabelledVideo]) -> list[list[int]]:
    """Places of the videos whose files have the same content under several names; empty for very large lists.

    >>> copies_of([LabelledVideo(Path("clip.mp4"), 0, "clip.mp4")])
    []
    """
    if len(videos) > LARGEST_COMPARED:
        return []
    sizes = {str(video.path): _size(video.path) for video in videos}
    occurring = Counter(sizes.values())
    digests = {path: _digest(path) for path, size in sizes.items() if size is not None and occurring[size] > 1}
    found = defaultdict(list)
    for place, video in enumerate(videos):
        if digest := digests.get(str(video.path)):
            found[digest].append(place)
    return [places for places in found.values() if len({videos[place].path for place in places}) > 1]


def _identity(video: LabelledVideo, content: dict[str, str]) -> str:
    return content.get(str(video.path)) or identity_of(video.path)


def _digests(train: Sequence[LabelledVideo], test: Sequence[LabelledVideo]) -> dict[str, str]:
    """Hashes of the files whose size occurs in both sets, by path."""
    sizes = [{str(video.path): _size(video.path) for video in videos} for videos in (train, test)]
    shared = set(sizes[0].values()) & set(sizes[1].values())
    paths = {path for of_set in sizes for path, size in of_set.items() if size is not None and size in shared}
    if set(sizes[0]) == set(sizes[1]):
        return {}  # the same list
    return {path: digest for path in paths if (digest := _digest(path)) is not None}


def _size(path: Path) -> int | None:
    try:
        state = state_or_none(path) if can_list(path) and not (is_on_disk(path) and path.is_dir()) else None
        return state[0] if state is not None and state[0] >= SMALLEST_COMPARED else None
    except (OSError, ValueError):
        return None


def _digest(path: str) -> str | None:
    try:
        with open_bytes(video_path(path)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ShardError):
        return None
