"""Samples of WebDataset shards: a video and the texts that share its key, as video2dataset and open_clip store them."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from side4video.data.lists.records import column_name, fields_by_column
from side4video.data.lists.split_names import choose_split, is_split
from side4video.data.lists.text_files import DataError, first_few, parse_json
from side4video.video.decoding import VIDEO_SUFFIXES
from side4video.video.remote import can_list, is_address, video_path
from side4video.video.remote_listing import walk
from side4video.video.shard_index import ShardError, ShardIndex, shard_index
from side4video.video.shard_paths import find_shards, is_shard_pattern, shards_directly_in

_KEY = re.compile(r"((?:.*/|)[^./]+)\.([^/]+)")
_SIMULTANEOUS = 16
"""Shards at addresses whose members are listed at the same time."""
_SHOWN_AFTER_SECONDS = 2.0


class Sample(NamedTuple):
    """The members of a shard with one key.

    Attributes:
        name: of the video, with its shard: unique in the set.
        path: of the video.
        texts: content of the text members by their suffix, such as txt, cls.
        fields: of the json member, by normalised name.

    >>> Sample("0.tar/1.mp4", Path("0.tar/1.mp4"), {"txt": "a dog"}, {"duration": 3.5}).field("txt")
    'a dog'
    """

    name: str
    path: Path
    texts: dict[str, str]
    fields: dict[str, Any]

    def field(self, name: str) -> Any:
        """A text member by its suffix, or a field of the json member; None if there is neither."""
        return self.texts.get(name, self.fields.get(column_name(name)))


class SampleSet(NamedTuple):
    """The samples that have a video, in the order of the shards, and sentences about them.

    >>> SampleSet([], (), [Path("0.tar")]).folder
    PosixPath('.')
    """

    samples: list[Sample]
    notes: tuple[str, ...]
    shards: list[Path]

    @property
    def folder(self) -> Path:
        """The folder of the first shard."""
        return self.shards[0].parent


def split_folders(folder: Path, names: Sequence[str]) -> list[str]:
    """Those sub-folders that are called like splits and contain shards; empty if others contain shards too."""
    with_shards = [name for name in names if shards_directly_in(folder / name)]
    return with_shards if all(map(is_split, with_shards)) else []


def read_samples(source: Path, *, split: str | None = None, video: str | None = None) -> SampleSet:
    """Read the samples of shards.

    Members belong together if their names are equal up to the first dot, as in the webdataset library.

    Args:
        source: a shard, a folder, or a pattern, see `find_shards`.
        split: the part to read if sub-folders are called train, val or test.
        video: suffix of the videos, if a sample has several. Default: any suffix of a video.

    Raises:
        DataError: a shard is missing or cannot be read, a sample has several videos, or none has one.
    """
    try:
        source, split_note = _choose_folder(source, split)
        shards = find_shards(source)
        indexes = _read_indexes(shards)
    except (ShardError, OSError) as error:
        raise DataError(str(error)) from None
    names = _names_of(shards)
    reader = _Reader(video)
    for shard, name, index in zip(shards, names, indexes, strict=True):
        reader.add(shard, name, index)
    samples = reader.finish(source)
    notes = (*split_note, *reader.notes(len(shards), samples))
    return SampleSet(samples, notes, shards)


def _choose_folder(source: Path, split: str | None) -> tuple[Path, tuple[str, ...]]:
    if is_shard_pattern(source) or not can_list(source) or not source.is_dir() or shards_directly_in(source):
        return source, ()
    _, folders, _ = next(walk(source), ("", [], []))
    splits = split_folders(source, sorted(folders))
    if not splits:
        return source, ()
    if split is None:
        raise DataError(f"{source} contains the splits {first_few(splits)}. Give one of them.")
    chosen = choose_split(splits, split, source)
    return source / chosen, (f"The sub-folders are splits; {chosen!r} is read.",)


def _read_indexes(shards: Sequence[Path]) -> list[ShardIndex]:
    threads = _SIMULTANEOUS if any(map(is_address, shards)) else 1
    with ThreadPoolExecutor(threads) as pool:
        progress = tqdm(
            pool.map(shard_index, shards),
            desc="list shards",
            unit="shard",
            total=len(shards),
            delay=_SHOWN_AFTER_SECONDS,
            dynamic_ncols=True,
            leave=False,
        )
        return list(progress)


def _names_of(shards: Sequence[Path]) -> list[str]:
    """Unique names of the shards: those of the files, or the paths if several files have the same name."""
    names = [shard.name for shard in shards]
    return names if len(set(names)) == len(names) else [str(shard) for shard in shards]


class _Reader:
    """Groups the members of all shards by key, and counts what is left out."""

    def __init__(self, video: str | None) -> None:
        self._wanted = None if video is None else video.lower().lstrip(".")
        self._samples: list[Sample] = []
        self._several: list[str] = []
        self._bad: list[str] = []
        self._without: Counter[str] = Counter()
        self._keys: Counter[str] = Counter()
        self._num_ignored = 0

    def add(self, shard: Path, name: str, index: ShardIndex) -> None:
        groups: dict[str, dict[str, str]] = defaultdict(dict)
        for member in (*index.places, *index.texts):
            if match := _KEY.fullmatch(member):
                groups[match[1]][match[2].lower()] = member
        self._num_ignored += index.num_ignored
        self._keys.update(list(groups))
        shard = video_path(shard) if is_address(shard) else shard.absolute()
        for key, members in groups.items():
            texts = {suffix: index.texts[member] for suffix, member in members.items() if member in index.texts}
            fields = self._fields(texts.pop("json", ""), f"{name}/{key}.json")
            videos = [suffix for suffix, member in members.items() if member in index.places and self._is_video(suffix)]
            if len(videos) > 1:
                self._several.append(f"{name}/{key}: {', '.join(sorted(videos))}")
            elif not videos:
                self._without[str(fields.get("status") or "")] += 1
            else:
                member = members[videos[0]]
                self._samples.append(Sample(f"{name}/{member}", shard / member, texts, fields))

    def _is_video(self, suffix: str) -> bool:
        return suffix == self._wanted if self._wanted else f".{suffix}".endswith(VIDEO_SUFFIXES)

    def _fields(self, text: str, name: str) -> dict[str, Any]:
        if not text.strip():
            return {}
        try:
            content = parse_json(text, name)
            if not isinstance(content, dict):
                raise DataError(f"{name} is no JSON object.")
            return fields_by_column(content.items(), name)
        except DataError as error:
            self._bad += error.problems
            return {}

    def finish(self, source: Path) -> list[Sample]:
        """The samples with a video. Raises `DataError` with all problems."""
        problems = [*self._bad[:10], *([f"{len(self._bad)} json members are invalid."] if len(self._bad) > 10 else [])]
        if self._several:
            problems.append(
                f"{source}: {len(self._several)} samples have several videos: {first_few(self._several)}. A key ends "
                "at the first dot of the name. Rename the members, or name the suffix of the videos: --data.columns "
                "path mp4."
            )
        if not self._samples and not problems:
            wanted = f" with the suffix .{self._wanted}" if self._wanted else ""
            problems.append(
                f"{source} contains no videos{wanted} in {sum(self._keys.values())} samples{self._statuses()}. Give "
                "shards with members such as 0001.mp4."
            )
        if problems:
            raise DataError(*problems)
        return self._samples

    def _statuses(self) -> str:
        stated = {status: count for status, count in self._without.items() if status}
        return f" (status {', '.join(f'{status}: {count}' for status, count in stated.items())})" if stated else ""

    def notes(self, num_shards: int, samples: Sequence[Sample]) -> list[str]:
        """Sentences about what was found and left out."""
        suffixes = Counter(Path(sample.name).suffix.lower() for sample in samples)
        shown = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common())
        notes = [f"Shards: {num_shards}, with {len(samples)} videos ({shown})."]
        if count := self._without.total():
            notes.append(f"{count} samples have no video and are left out{self._statuses()}.")
        if self._num_ignored:
            notes.append(f"{self._num_ignored} members are links, devices or hidden and are left out.")
        if shared := [key for key, count in self._keys.items() if count > 1]:
            notes.append(
                f"{len(shared)} keys occur in several shards and count as different videos: {first_few(shared)}."
            )
        return notes
