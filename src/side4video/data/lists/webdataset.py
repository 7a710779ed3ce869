"""WebDataset shards as lists of labelled or captioned videos: which member or json field is the label or caption."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from side4video.data.lists.caption_formats import CaptionRow, CaptionTable, parse_captions, split_in_name
from side4video.data.lists.class_name_files import read_class_names
from side4video.data.lists.class_numbers import class_number
from side4video.data.lists.columns import GROUP_COLUMNS, LABEL_COLUMNS
from side4video.data.lists.list_source import ListSource
from side4video.data.lists.records import CAPTION_COLUMNS, parse_time
from side4video.data.lists.rows import ReadOptions, Table
from side4video.data.lists.shard_samples import Sample, SampleSet, read_samples, split_folders
from side4video.data.lists.split_names import SPLIT_COLUMNS, places_of_split
from side4video.data.lists.tables import table_of_objects
from side4video.data.lists.text_files import DataError, first_few
from side4video.video.remote import can_list, is_address
from side4video.video.shard_index import ShardError
from side4video.video.shard_paths import COMPRESSED_SUFFIXES, SUFFIX, find_shards, is_shard_pattern, shards_directly_in

CLASS_NAMES_FILES = ("class_names.json", "class_names.txt", "classnames.txt", "classes.txt")
"""Files in the folder of the shards, or above it, with the names of the numbers in .cls members."""
SEGMENTS = "segments"
"""Field of the json member with the labelled or captioned parts of the stored video, which `write-shards` writes."""
_TIMES = {"start": "start_seconds", "end": "end_seconds"}


def is_webdataset(source: ListSource) -> bool:
    """Whether this is a tar archive, a pattern of several, or a folder of them without classes in sub-folders.

    >>> is_webdataset(ListSource(Path("clips/train")))
    False
    """
    if is_shard_pattern(source.path):
        return True
    if not source.is_folder:
        return source.path.name.lower().endswith((SUFFIX, *COMPRESSED_SUFFIXES))
    if any(name.lower().endswith((SUFFIX, *COMPRESSED_SUFFIXES)) for name in source.names):
        return all(name.startswith("_") for name in source.sub_folders)
    folders = source.sub_folders
    splits = split_folders(source.path, folders)
    return bool(splits) and all(shards_directly_in(source.path / name) for name in folders)


def read_webdataset(source: Path, options: ReadOptions) -> Table:
    """Read labels from .cls members or a field of the json members.

    The label is the member or field that `options.label_field` or the column `label` names; otherwise .cls, or the
    first field with a usual name of labels. Numbers in .cls get the names of one of `CLASS_NAMES_FILES`, if there is
    one. `options.columns` names other fields by their role; times are read only if it names them, because
    video2dataset writes times of the original video, from which the stored one was cut.
    """
    found = read_samples(source, split=options.split, video=options.columns.get("path"))
    label, label_note = _label_field(found, options, source)
    names, names_note = _class_names(found) if label == "cls" else (None, ())
    objects, paths = [], {}
    for number, sample in enumerate(found.samples, start=1):
        paths[sample.name] = sample.path
        objects += [(number, fields) for fields in _rows(sample, label, options, names, source)]
    table = table_of_objects(objects, replace(options, columns={}, group=None), source)
    rows = [row._replace(candidates=(_place(paths[row.name]),), line=None) for row in table.rows]
    notes = (*found.notes, label_note, *names_note, *table.notes[1:])
    return table._replace(rows=rows, class_names=names or table.class_names, label_column=None, notes=notes)


def _place(path: Path) -> str:
    return str(path) if is_address(path) else path.as_posix()


def _label_field(found: SampleSet, options: ReadOptions, source: Path) -> tuple[str, str]:
    """The member suffix or json field with the labels, and a sentence about it."""
    given = options.label_field or options.columns.get("label")
    candidates = (given,) if given else ("cls", *LABEL_COLUMNS)
    for name in candidates:
        count = sum(_labels_of(sample, name) for sample in found.samples)
        if count:
            kind = "members" if any(name in sample.texts for sample in found.samples) else "field of the json members"
            return name, f"Labels: {'.' if kind == 'members' else ''}{name} ({kind}, {count} of {len(found.samples)})."
    fields = sorted(
        {f".{name}" for s in found.samples for name in s.texts} | {n for s in found.samples for n in s.fields}
    )
    what = f"no member or json field {given!r}" if given else "no .cls members, and no json field with a usual name"
    raise DataError(
        f"{source} has no labels: {what}. There are {first_few(fields) or 'only videos'}. Name the one with the class: "
        "--data.label-field NAME."
    )


def _labels_of(sample: Sample, name: str) -> bool:
    """Whether a field of a video, or of a part of it, is filled."""
    return any(part.get(name) not in (None, "") for part in _parts(sample, name))


def _parts(sample: Sample, name: str) -> list[dict[str, Any]]:
    """The value of a field in each labelled part of a video, or of the whole video."""
    segments = sample.fields.get(SEGMENTS)
    if isinstance(segments, list) and segments and all(isinstance(part, dict) for part in segments):
        return [{name: part.get(name), **_times(part)} for part in segments]
    return [{name: sample.field(name)}]


def _times(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {field: fields[field] for field in _TIMES.values() if fields.get(field) is not None}


def _rows(
    sample: Sample, label: str, options: ReadOptions, names: tuple[str, ...] | None, source: Path
) -> list[dict[str, Any]]:
    """What the columns of a CSV would contain for a video."""
    about: dict[str, Any] = {"path": sample.name}
    for role, usual in (("split", SPLIT_COLUMNS), ("group", GROUP_COLUMNS)):
        given = options.columns.get(role) or (options.group if role == "group" else None)
        values = [sample.field(name) for name in ((given,) if given else usual)]
        about[role] = next((value for value in values if value is not None), None)
    for role, field in _TIMES.items():
        if role in options.columns:
            about[field] = sample.field(options.columns[role])
    rows = []
    for part in _parts(sample, label):
        value = part.pop(label)
        if isinstance(value, str):
            value = value.strip()
        rows.append(about | part | {"label": _named(value, names, sample, source) if label == "cls" else value})
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _named(value: Any, names: tuple[str, ...] | None, sample: Sample, source: Path) -> Any:
    number = class_number("" if value is None else str(value))
    if names is None or number is None or number == -1:
        return value
    if number >= len(names) or number < 0:
        raise DataError(
            f"{source}: {sample.name} has class {number} in .cls, but there are the names of {len(names)} classes. "
            "Correct the file of class names next to the shards."
        )
    return names[number]


def _class_names(found: SampleSet) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The names of the numbers in .cls, from a file next to the shards, and a sentence about them."""
    values = [sample.texts["cls"].strip() for sample in found.samples if sample.texts.get("cls", "").strip()]
    if not can_list(found.folder) or any(class_number(value) is None for value in values):
        return None, ()
    places = [folder / name for folder in (found.folder, found.folder.parent) for name in CLASS_NAMES_FILES]
    file = next((place for place in places if place.is_file()), None)
    return (None, ()) if file is None else (read_class_names(file), (f"Class names: {file}.",))


# --- captions -------------------------------------------------------------------------------------------------------


def read_shard_captions(source: Path, split: str | None, columns: Mapping[str, str]) -> CaptionTable:
    """Read captions from .txt members or a field of the json members.

    The captions are the member or field that the column `caption` names; otherwise a list in a field with a usual name
    of captions, or .txt, or text in such a field.

    Raises:
        DataError: the shards cannot be read.
    """
    found = read_samples(source, split=split, video=columns.get("path"))
    samples, known_split, notes = _of_split(found.samples, split, columns.get("split"), source)
    given = columns.get("caption")
    rows, wrong = [], []
    origins: Counter[str] = Counter()
    for sample in samples:
        for part in _caption_parts(sample, given):
            origin, captions = part["captions"]
            start, end = (
                parse_time(
                    _text(part.get(_TIMES[role], sample.field(columns[role]) if role in columns else None)), source
                )
                for role in ("start", "end")
            )
            if captions is None:
                wrong.append(sample.name)
                continue
            origins[origin] += 1
            rows.append(CaptionRow(sample.name, captions, (_place(sample.path),), start, end))
    problems = [f"{source}: captions of {len(wrong)} videos are not text: {first_few(wrong)}."] if wrong else []
    if given and not any(any(row.captions) for row in rows):
        problems.append(f"{source} has no captions in {given!r}. Name a member suffix or json field that has them.")
    origin_note = ", ".join(f"{name} ({count})" for name, count in origins.most_common())
    known_split = known_split or split_in_name(Path(found.folder.name))
    return CaptionTable(rows, known_split, problems, understood=(*found.notes, *notes, f"Captions: {origin_note}."))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _caption_parts(sample: Sample, given: str | None) -> list[dict[str, Any]]:
    """Origin and captions of each part of a video, or of the whole video."""
    segments = sample.fields.get(SEGMENTS)
    if isinstance(segments, list) and segments and all(isinstance(part, dict) for part in segments):
        return [
            {"captions": _captions(sample._replace(texts={}, fields=part), given), **_times(part)} for part in segments
        ]
    return [{"captions": _captions(sample, given)}]


def _captions(sample: Sample, given: str | None) -> tuple[str, tuple[str, ...] | None]:
    """Where the captions of a sample are, and the captions; no caption is one empty text."""
    fields = [name for name in CAPTION_COLUMNS if sample.fields.get(name)]
    lists = [name for name in fields if isinstance(sample.fields[name], list)]
    text = sample.texts.get("txt", "").strip()
    name = given or next(iter(lists), None) or ("txt" if text or not fields else fields[0])
    value = sample.field(name)
    shown = f".{name}" if name in sample.texts or name == "txt" else name
    return shown, ("",) if value is None else parse_captions(value)


def _of_split(
    samples: Sequence[Sample], wanted: str | None, column: str | None, source: Path
) -> tuple[Sequence[Sample], str, tuple[str, ...]]:
    """The samples of the given split, its name and a sentence about it; all samples if there is nothing to choose."""
    names = (column,) if column else SPLIT_COLUMNS
    of_sample = [next((str(s.field(name)) for name in names if s.field(name) is not None), "") for s in samples]
    places, notes = places_of_split(of_sample, wanted, source, column or "split")
    chosen = of_sample[places[0]] if len(places) < len(samples) else ""
    return [samples[place] for place in places], chosen, notes


def shards_have_captions(source: Path) -> bool:
    """Whether the first shard has captions and no labels.

    Raises:
        DataError: it cannot be read.
    """
    try:
        samples = read_samples(find_shards(source)[0]).samples
    except (ShardError, OSError) as error:
        raise DataError(str(error)) from None
    has_label = any(_labels_of(sample, name) for sample in samples for name in ("cls", *LABEL_COLUMNS))
    return not has_label and any(any(_captions(sample, None)[1] or ()) for sample in samples)
