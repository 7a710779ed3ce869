"""Read the sets that the settings name as entries: what the list states about each video, not checked yet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from side4video.config import DataConfig
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.lists.caption_detection import detect_caption_format
from side4video.data.lists.caption_files import load_caption_file
from side4video.data.lists.captions import read_caption_list
from side4video.data.lists.configured_lists import read_configured_list
from side4video.data.lists.list_formats import detect_format
from side4video.data.lists.list_source import ListSource
from side4video.data.lists.records import CAPTION_COLUMNS, column_name
from side4video.data.lists.text_files import DataError
from side4video.data.lists.webdataset import is_webdataset, shards_have_captions
from side4video.video.shard_paths import list_path

Task = Literal["recognition", "retrieval"]


@dataclass(frozen=True)
class Entry:
    """A video of a set. Its label is an index into the set's class names; captions are given for retrieval only.

    >>> Entry(LabelledVideo(path=Path("clip.mp4"), label=0, name="clip.mp4")).captions
    ()
    """

    video: LabelledVideo
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class EntrySet:
    """A set as its list gives it; `notes` are sentences of the reader: how it understood the list, and warnings.

    >>> [training] = read_entries(DataConfig(train=Path("clips/train")), "recognition")
    >>> training.class_names
    ('anticlockwise', 'clockwise')
    """

    name: Literal["train", "test"]
    source: str
    entries: tuple[Entry, ...]
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_entries(config: DataConfig, task: Task) -> list[EntrySet]:
    """Read the training and the evaluation set, as far as `config` gives them. Labels of both are matched by name.

    Raises:
        DataError: a list cannot be read.
        ValueError: no set is given.
    """
    if config.train is None and config.test is None:
        raise ValueError("No videos: give --data.train, --data.test, or both.")
    sets: list[EntrySet] = []
    if config.train is not None:
        sets.append(_read(config, task, "train", ()))
    if config.test is not None or config.is_divided:
        known = sets[0].class_names if sets and not config.arrow_of_time else ()
        if any(entry.video.labels is not None for one in sets for entry in one.entries):
            config = config.model_copy(update={"multi_label": True})  # both sets are read alike
        sets.append(_read(config, task, "test", known))
    return sets


def _read(
    config: DataConfig,
    task: Task,
    name: Literal["train", "test"],
    known: tuple[str, ...],
) -> EntrySet:
    if task == "retrieval":
        source, root = (
            (config.train, config.root) if name == "train" else (config.test, config.test_root or config.root)
        )
        assert source is not None
        found = read_caption_list(
            source,
            captions=config.captions,
            root=root,
            format=config.format,
            split=name,
            outside_root=config.outside_root,
            columns=config.columns,
        )
        entries = tuple(map(Entry, found.videos, found.captions))
        return EntrySet(name, found.source, entries, notes=(*found.understood, *found.notes))
    listed = read_configured_list(config, name, class_names=known or None)
    assert listed is not None
    return EntrySet(name, listed.source, tuple(map(Entry, listed.videos)), listed.class_names, listed.notes)


def detect_task(config: DataConfig) -> Task:
    """Whether the given files contain classes or captions, detected from their content."""
    sources = [source for source in (config.test, config.train) if source is not None]
    if config.captions is not None or (config.format == "webdataset" and "caption" in config.columns):
        return "retrieval"
    if config.label_field is not None:
        return "recognition"
    return "retrieval" if any(map(_contains_captions, sources)) else "recognition"


def _is_label_list(source: Path) -> bool:
    try:
        return bool(detect_format(source))
    except DataError:
        return False


def _contains_captions(source: Path) -> bool:
    if is_webdataset(ListSource(list_path(source))):
        return shards_have_captions(list_path(source))
    if not source.is_file():
        return False
    try:
        file = load_caption_file(source)
        if file.kind == "jsonl":
            return any(column_name(name) in CAPTION_COLUMNS for record in file.content for name in record.fields)
        if file.kind == "json":
            return not _is_label_list(source) and bool(detect_caption_format(file))
        return bool(file.columns() & set(CAPTION_COLUMNS)) or detect_caption_format(file) == "lsmdc"
    except DataError:
        return False  # reading it as a list of classes reports what is wrong
