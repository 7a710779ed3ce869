"""Read the sets that the settings name as entries: what the list states about each video, not checked yet."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from side4video.config import DataConfig
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.lists.caption_detection import detect_caption_format
from side4video.data.lists.caption_files import load_caption_file
from side4video.data.lists.captions import read_caption_list
from side4video.data.lists.columns import LABEL_COLUMNS
from side4video.data.lists.configured_lists import read_configured_list
from side4video.data.lists.groups import find_groups
from side4video.data.lists.list_formats import detect_format
from side4video.data.lists.list_source import ListSource
from side4video.data.lists.overlap import describe_shared_groups
from side4video.data.lists.records import CAPTION_COLUMNS, column_name
from side4video.data.lists.text_files import DataError
from side4video.data.lists.webdataset import is_webdataset, shards_have_captions
from side4video.video.shard_paths import list_path

Task = Literal["recognition", "retrieval"]
_LABELS, _CAPTIONS = set(LABEL_COLUMNS), set(CAPTION_COLUMNS)


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
    if len(sets) == 2 and task == "recognition" and not config.is_divided:
        train, test = ([entry.video for entry in one.entries] for one in sets)
        sets[1] = replace(sets[1], notes=(*sets[1].notes, *describe_shared_groups(train, test, config.group)))
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
    videos = listed.videos
    if name == "train" and config.group is not None:  # a clean list has other names, so it states the groups
        groups = find_groups(videos, config.group).groups or (None,) * len(videos)
        videos = tuple(replace(video, group=group) for video, group in zip(videos, groups, strict=True))
    return EntrySet(name, listed.source, tuple(map(Entry, videos)), listed.class_names, listed.notes)


def detect_task(config: DataConfig) -> Task:
    """Whether the given files contain classes or captions, detected from their content.

    A list with a column of labels is a list of classes, also if it has a column of texts.
    """
    if config.captions is not None or "caption" in config.columns:
        return "retrieval"
    if config.label_field is not None or "label" in config.columns:
        return "recognition"
    return "retrieval" if any(map(_contains_captions, _sources(config))) else "recognition"


def describe_task(config: DataConfig, task: Task) -> str:
    """A sentence about the detected task, and how to choose the other one if the lists allow both.

    >>> describe_task(DataConfig(train=Path("captions.csv")), "retrieval")
    'Read as a list of captions (text-video retrieval).'
    """
    if task == "retrieval":
        return "Read as a list of captions (text-video retrieval)."
    tables = [names for source in _sources(config) if (names := _columns(source)) & _LABELS]
    other = next((name for names in tables for name in CAPTION_COLUMNS if name in names), None)
    remedy = f" For its captions instead, give --data.columns caption {other}." if other else ""
    return f"Read as a list of classes (action recognition).{remedy}"


def _sources(config: DataConfig) -> list[Path]:
    return [source for source in (config.test, config.train) if source is not None]


def _is_label_list(source: Path) -> bool:
    try:
        return bool(detect_format(source))
    except DataError:
        return False


def _contains_captions(source: Path) -> bool:
    if is_webdataset(ListSource(list_path(source))):
        return shards_have_captions(list_path(source))
    names = _columns(source)
    if not source.is_file() or names & _LABELS:
        return False
    try:
        file = load_caption_file(source)
        if file.kind == "json":
            return not _is_label_list(source) and bool(detect_caption_format(file))
        return bool(names & _CAPTIONS) or (file.kind == "text" and detect_caption_format(file) == "lsmdc")
    except DataError:
        return False  # reading it as a list of classes reports what is wrong


def _columns(source: Path) -> set[str]:
    """The columns of a CSV, or the fields of JSON objects; empty for other files and folders."""
    if is_webdataset(ListSource(list_path(source))) or not source.is_file():
        return set()
    try:
        file = load_caption_file(source)
    except DataError:
        return set()
    if file.kind == "text":
        return file.columns()
    records = [record.fields for record in file.content] if file.kind == "jsonl" else file.content
    is_table = isinstance(records, list) and all(isinstance(record, dict) for record in records)
    return {column_name(str(name)) for record in records for name in record} if is_table else set()
