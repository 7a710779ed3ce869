"""Exports of Label Studio, JSON, JSON-MIN, CSV and TSV: classes of videos (choices) and segments (timeline labels)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from side4video.data.lists.list_source import ListSource
from side4video.data.lists.records import read_records
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.segments import is_span
from side4video.data.lists.text_files import DataError, first_few, parse_json, shorten
from side4video.video.decoding import VIDEO_SUFFIXES

_MIN_ONLY = {"annotation_id", "annotator", "created_at", "updated_at", "lead_time"}


def is_label_studio(source: ListSource) -> bool:
    """Whether a JSON list contains tasks with annotations or those of JSON-MIN, or a table has the columns of these."""
    return source.has_keys("data", "annotations") or any(
        "id" in names and len(_MIN_ONLY & names) >= 2
        for names in (source.columns, set.intersection(*map(set, source.records)) if source.records else set())
    )


def read_label_studio(source: Path, options: ReadOptions) -> Table:
    """Read the videos of all annotated tasks.

    Choices are classes of the whole video, several choices of a task several labels. Timeline labels are segments;
    their frames count from 1, and the last one is inside. Labels of the audio track are segments in seconds.
    `options.label_field` names the control (`from_name`) if a project has several. Of several annotations of a task,
    the ground truth or the first one counts. Uploaded files are found with and without the prefix that Label Studio
    puts before their names.
    """
    notes: list[str] = []
    tasks = ListSource(source).records if source.suffix.lower() == ".json" else _table(source)
    if not tasks:
        raise DataError(f"{source} lists no tasks, the form of Label Studio's exports JSON, JSON-MIN, CSV and TSV.")
    found = [(task, _results(task, notes) if "annotations" in task else _min_results(task)) for task in tasks]
    controls = Counter(name for _, results in found for name, _, _ in results)
    field = options.label_field or (next(iter(controls)) if len(controls) == 1 else None)
    if field not in controls:
        raise DataError(
            f"{source}: the controls with choices or timeline labels are {first_few(controls) or 'none'}. Give "
            "--data.label-field NAME."
        )
    rows: list[Row] = []
    unlabelled = 0
    for task, results in found:
        own = [(labels, times) for name, labels, times in results if name == field]
        unlabelled += not own
        if own:
            video = _video_of(task, source)
            rows += _rows(Row(video, None, _candidates(video)), own)
    note = f"Labels: the control {field!r}. Frames count from 1, ends are inside."
    counted = [f"{count} {what}" for what, count in Counter(notes).items()]
    if unlabelled:
        counted.append(f"{unlabelled} tasks without labels are left out.")
    return Table(rows, notes=(note, *counted))


def _table(source: Path) -> list[dict[str, Any]]:
    """The rows of a CSV or TSV as objects of JSON-MIN: fields such as timeline labels are JSON."""
    return [
        {name: parse_json(text, str(source)) if text.startswith(("[", "{")) else text for name, text in record.items()}
        for record in read_records(source)
    ]


def _rows(row: Row, results: Sequence[tuple[tuple[str, ...], dict[str, Any]]]) -> list[Row]:
    whole = dict.fromkeys(label for labels, times in results if not times for label in labels)
    segments = [row._replace(labels=labels, **times) for labels, times in results if times]
    return [*([row._replace(labels=tuple(whole))] if whole else []), *segments]


Result = tuple[str, tuple[str, ...], dict[str, Any]]
"""Name of the control, labels, and fields of `Row` for the times; none: the whole video."""


def _results(task: dict[str, Any], notes: list[str]) -> list[Result]:
    annotations = [one for one in _dicts(task.get("annotations")) if not one.get("was_cancelled")]
    if len(annotations) > 1:
        notes.append("tasks have several annotations, of which the ground truth or the first one is used.")
    annotations.sort(key=lambda one: not one.get("ground_truth"))
    results = _dicts(annotations[0].get("result")) if annotations else []
    found: list[Result] = []
    for result in results:
        value = result.get("value")
        found += _labels_of(str(result.get("from_name", "")), value) if isinstance(value, dict) else []
    return found


def _min_results(task: dict[str, Any]) -> list[Result]:
    found: list[Result] = []
    for name, value in task.items():
        if name in _MIN_ONLY or name == "id" or _is_video(value):
            continue
        if isinstance(value, str) and value:
            found.append((name, (value,), {}))
        for part in [value] if isinstance(value, dict) else _dicts(value):
            found += _labels_of(name, part)
    return found


def _labels_of(name: str, value: dict[str, Any]) -> list[Result]:
    choices, timeline, labels = (value.get(key) for key in ("choices", "timelinelabels", "labels"))
    if isinstance(choices, list):
        return [(name, tuple(map(str, choices)), {})]
    if isinstance(labels, list) and is_span(span := [value.get("start"), value.get("end")]):
        times = dict(zip(("start_seconds", "end_seconds"), map(float, span), strict=True))
        return [(name, tuple(map(str, labels)), times)]
    if not isinstance(timeline, list):
        return []
    ranges = [one for one in _dicts(value.get("ranges")) if all(_is_frame(one.get(end)) for end in ("start", "end"))]
    spans = [(max(one["start"] - 1.0, 0.0), float(one["end"])) for one in ranges]
    return [(name, tuple(map(str, timeline)), {"frames": span}) for span in spans]


def _is_frame(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _is_video(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return unquote(value).split("?d=")[-1].partition("?")[0].lower().endswith(VIDEO_SUFFIXES)


def _video_of(task: dict[str, Any], source: Path) -> str:
    data = task["data"] if isinstance(task.get("data"), dict) else task
    videos = [value for value in data.values() if _is_video(value)]
    if len(videos) != 1:
        raise DataError(f"{source}: the task {shorten(task.get('id'))} has {len(videos)} videos; one is needed.")
    return str(videos[0])


def _candidates(video: str) -> tuple[str, ...]:
    """The path in a local storage, the name, the name without the prefix `1a2b3c4d-` of uploads."""
    parts = urlsplit(video)
    local = parse_qs(parts.query).get("d", [])
    paths: Iterable[str] = [*local, unquote(parts.path).lstrip("/")]
    found = dict.fromkeys(path for path in paths if path.lower().endswith(VIDEO_SUFFIXES))
    names = [path.rsplit("/", 1)[-1] for path in found]
    bare = [name[9:] for name in names if name[8:9] == "-" and set(name[:8]) <= set("0123456789abcdef")]
    return tuple(dict.fromkeys((*found, *names, *bare)))
