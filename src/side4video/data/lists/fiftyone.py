"""Data sets that FiftyOne exports: folders with `labels.json` (classes, temporal detections) or `samples.json`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from side4video.data.lists.list_source import ListSource
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.segments import is_span
from side4video.data.lists.split_names import choose_split, is_split
from side4video.data.lists.text_files import DataError, first_few, read_json, shorten

LABELS, SAMPLES, MANIFEST = "labels.json", "samples.json", "data.json"
_KINDS = {"Classification", "Classifications", "TemporalDetection", "TemporalDetections"}


# --- labels.json: FiftyOneImageClassificationDataset's form, FiftyOneTemporalDetectionDataset ------------------------


def is_fiftyone_labels(source: ListSource) -> bool:
    """Whether a folder contains `labels.json`, or a JSON file has its form."""
    if source.is_folder:
        return LABELS in source.names and bool({"data", MANIFEST} & source.names)
    content = source.json
    return isinstance(content, dict) and content.keys() >= {"classes", "labels"} and isinstance(content["labels"], dict)


def read_fiftyone_labels(source: Path, options: ReadOptions) -> Table:  # noqa: ARG001
    """Read `{"classes": [...], "labels": {id: target}}`; the video of an id is `data/<id>`, or stated in `data.json`.

    A target is a class (its index or name), a list of classes, or a list of temporal detections with `timestamps`
    (seconds) or `support` (first and last frame from 1, both inside).
    """
    path = source / LABELS if source.is_dir() else source
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("labels"), dict):
        raise DataError(f'{path} is not {{"classes": [...], "labels": {{id: class}}}}, the form of FiftyOne.')
    classes = content.get("classes")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise DataError(f"{path}: classes = {shorten(classes)} is not a list of names.")
    manifest = read_json(path.parent / MANIFEST) if (path.parent / MANIFEST).is_file() else {}
    rows: list[Row] = []
    unlabelled = 0
    for name, target in content["labels"].items():
        stated = manifest.get(name) if isinstance(manifest, dict) else None
        candidates = (*([stated] if isinstance(stated, str) else []), f"data/{name}", name)
        found = _rows_of_target(Row(name, None, candidates), target, classes, path)
        rows += found
        unlabelled += not found
    notes = (f"{unlabelled} videos without labels are left out.",) if unlabelled else ()
    return Table(rows, tuple(classes) if classes else None, notes=notes)


def _rows_of_target(row: Row, target: Any, classes: Sequence[str] | None, path: Path) -> list[Row]:
    if target is None or target == []:
        return []
    if not isinstance(target, list):
        return [row._replace(label=_class(target, classes, path))]
    if not any(isinstance(one, dict) and ("support" in one or "timestamps" in one) for one in target):
        return [row._replace(labels=tuple(dict.fromkeys(_class(one, classes, path) for one in target)))]
    return [row._replace(label=_class(one, classes, path), **_span(one, path)) for one in target]


def _class(target: Any, classes: Sequence[str] | None, path: Path) -> str:
    target = target.get("label") if isinstance(target, dict) else target
    if isinstance(target, str):
        return target
    if isinstance(target, int) and not isinstance(target, bool) and classes and 0 <= target < len(classes):
        return classes[target]
    raise DataError(f"{path}: {shorten(target)} is not one of its {len(classes or ())} classes, by index or name.")


def _span(one: Any, path: Path) -> dict[str, Any]:
    is_timed = isinstance(one, dict) and "timestamps" in one
    span = one.get("timestamps" if is_timed else "support") if isinstance(one, dict) else None
    if not is_span(span):
        raise DataError(f"{path}: {shorten(one)} has no pair of times (timestamps) or frames (support).")
    if is_timed:
        return {"start_seconds": float(span[0]), "end_seconds": float(span[1])}
    return {"frames": (max(span[0] - 1.0, 0.0), float(span[1]))}


# --- samples.json: FiftyOneDataset -----------------------------------------------------------------------------------


def is_fiftyone_samples(source: ListSource) -> bool:
    """Whether a folder contains `samples.json`, or a JSON file has its form."""
    if source.is_folder:
        return {SAMPLES, "metadata.json"} <= source.names
    content = source.json
    return isinstance(content, dict) and isinstance(content.get("samples"), list)


def read_fiftyone_samples(source: Path, options: ReadOptions) -> Table:
    """Read an exported FiftyOneDataset: samples with `filepath`, `tags` and fields of labels.

    `options.label_field` names the field; by default the only one, or `ground_truth`. If samples have tags such as
    train and test, they are splits. Frames of temporal detections count from 1, both ends inside.
    """
    path = source / SAMPLES if source.is_dir() else source
    content = read_json(path)
    samples = content.get("samples") if isinstance(content, dict) else None
    if not isinstance(samples, list) or not all(
        isinstance(s, dict) and isinstance(s.get("filepath"), str) for s in samples
    ):
        raise DataError(f'{path} is not {{"samples": [{{"filepath": ..., ...}}]}}, the form of a FiftyOneDataset.')
    field = _choose_field(samples, options.label_field, path)
    notes: tuple[str, ...] = (f"Labels: the field {field!r}.",)
    splits = sorted({tag for sample in samples for tag in _tags(sample) if is_split(tag)})
    if options.split is not None and len(splits) > 1:
        chosen = choose_split(splits, options.split, path)
        num_samples = len(samples)
        samples = [sample for sample in samples if chosen in _tags(sample)]
        notes += (f"Tag {chosen!r} of the splits {first_few(splits)}: {len(samples)} of {num_samples} samples.",)
    rows = [row for sample in samples for row in _rows_of_sample(sample, field, path)]
    if unlabelled := sum(not sample.get(field) for sample in samples):
        notes += (f"{unlabelled} samples without labels are left out.",)
    return Table(rows, notes=notes)


def _tags(sample: dict[str, Any]) -> list[str]:
    tags = sample.get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _choose_field(samples: Sequence[dict[str, Any]], wanted: str | None, path: Path) -> str:
    fields = sorted(
        {
            name
            for sample in samples
            for name, value in sample.items()
            if isinstance(value, dict) and value.get("_cls") in _KINDS
        }
    )
    chosen = wanted or (fields[0] if len(fields) == 1 else "ground_truth")
    if chosen not in fields:
        raise DataError(
            f"{path}: the fields with classes are {first_few(fields) or 'none'}, not {chosen!r}. Give "
            "--data.label-field NAME. Boxes and other labels of frames are not labels of clips."
        )
    return chosen


def _rows_of_sample(sample: dict[str, Any], field: str, path: Path) -> list[Row]:
    label = sample.get(field)
    if not isinstance(label, dict):
        return []
    name = sample["filepath"].replace("\\", "/")
    row = Row(name, None, tuple(dict.fromkeys((name, f"data/{name.rsplit('/', 1)[-1]}"))))
    kind = label.get("_cls")
    if kind == "Classification":
        return [row._replace(label=_class(label, None, path))]
    if kind == "Classifications":
        return [row._replace(labels=tuple(_class(one, None, path) for one in label.get("classifications", [])))]
    detections = label.get("detections", []) if kind == "TemporalDetections" else [label]
    return [row._replace(label=_class(one, None, path), **_span(one, path)) for one in detections]
