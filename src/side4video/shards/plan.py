"""Which video goes into which shard: known before the first byte is written, so that writing can continue later."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from side4video.checking.entries import Entry
from side4video.shards.sample import text_members
from side4video.video.decoding import VIDEO_SUFFIXES
from side4video.video.file_access import is_on_disk, state_of

_BLOCK, _RECORD = 512, 10_240  # of tar
_SHARD_DIGITS = 6


class PlannedSample(NamedTuple):
    """A video of a shard.

    Attributes:
        key: name of its members without suffix.
        path: the video.
        size: its bytes.
        modified: its last change, see `state_of`.
        texts: the other members by suffix.

    >>> PlannedSample("0001", Path("clip.MP4"), size=3, modified=0, texts={"cls": b"7"}).suffix
    'mp4'
    """

    key: str
    path: Path
    size: int
    modified: int | str
    texts: dict[str, bytes]

    @property
    def suffix(self) -> str:
        """Suffix of the video's member, without its dot."""
        return self.path.suffix.lower().removeprefix(".")


@dataclass(frozen=True)
class Plan:
    """The samples of each shard.

    >>> Plan(((), ())).names
    ('000000.tar', '000001.tar')
    """

    shards: tuple[tuple[PlannedSample, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """File names of the shards."""
        return tuple(f"{number:0{_SHARD_DIGITS}d}.tar" for number in range(len(self.shards)))

    def digest(self) -> str:
        """A hash that is equal for equal shards of unchanged videos."""
        content = [
            [[s.key, s.suffix, s.size, s.modified, {k: v.hex() for k, v in s.texts.items()}] for s in shard]
            for shard in self.shards
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def archive_bytes(samples: Sequence[PlannedSample]) -> int:
    """Size of a shard: a header for each member, contents in blocks of 512 bytes, and zeros at the end.

    >>> archive_bytes([PlannedSample("0", Path("0.mp4"), 600, 0, {"cls": b"1"})])
    10240
    """
    blocks = sum(_sample_blocks(sample) for sample in samples) + 2
    return -(-blocks * _BLOCK // _RECORD) * _RECORD


def _sample_blocks(sample: PlannedSample) -> int:
    return sum(1 - (-size // _BLOCK) for size in (sample.size, *map(len, sample.texts.values())))


def make_plan(
    entries: Sequence[Entry], class_names: Sequence[str], *, max_bytes: int, max_count: int, shuffle_seed: int | None
) -> Plan:
    """Divide the videos of a list into shards, in the order of the list or in random order.

    Args:
        entries: the list. Parts of one video are stored with the video, once.
        class_names: names of the labels.
        max_bytes: largest size of a shard; a larger video gets a shard of its own.
        max_count: most videos of a shard.
        shuffle_seed: seed of the order. None: the order of the list.

    Raises:
        ValueError: a video is a folder of frames, or has no suffix of a video.
        OSError: a file cannot be read.
    """
    of_video: dict[Path, list[Entry]] = defaultdict(list)
    for entry in entries:
        of_video[entry.video.path].append(entry)
    _check_files(of_video)
    videos = list(of_video.items())
    if shuffle_seed is not None:
        videos = [videos[place] for place in np.random.default_rng(shuffle_seed).permutation(len(videos))]
    digits = len(str(max(1, min(max_count, len(videos)) - 1)))
    shards: list[list[PlannedSample]] = []
    blocks = 0
    for path, own in videos:
        sample = PlannedSample("", path, *state_of(path), text_members(own, class_names))
        needed = _sample_blocks(sample)
        is_full = bool(shards) and (
            len(shards[-1]) == max_count or (blocks + needed + 2) * _BLOCK > max_bytes - _RECORD
        )
        if not shards or is_full:
            shards.append([])
            blocks = 0
        blocks += needed
        key = f"{len(shards) - 1:0{_SHARD_DIGITS}d}{len(shards[-1]):0{digits}d}"
        shards[-1].append(sample._replace(key=key))
    return Plan(tuple(map(tuple, shards)))


def _check_files(of_video: dict[Path, list[Entry]]) -> None:
    folders = [own[0].video.name for path, own in of_video.items() if is_on_disk(path) and path.is_dir()]
    if folders:
        raise ValueError(
            f"{len(folders)} videos are folders of frames, such as {folders[0]!r}: shards store video files. Encode "
            "the frames as videos first."
        )
    unknown = [own[0].video.name for path, own in of_video.items() if path.suffix.lower() not in VIDEO_SUFFIXES]
    if unknown:
        raise ValueError(
            f"{len(unknown)} videos have no suffix of a video, such as {unknown[0]!r}: in a shard the suffix tells "
            "which member is the video. Rename the files."
        )
