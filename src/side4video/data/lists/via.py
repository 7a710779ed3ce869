"""VGG Image Annotator 3 (VIA): projects in JSON and exported CSV, with temporal segments and labels of whole videos."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from side4video.data.lists.list_source import ListSource
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.segments import is_span
from side4video.data.lists.text_files import DataError, first_few, parse_json, read_json, read_lines, shorten

_KEYS = {"project", "attribute", "file", "view", "metadata"}
_CSV_HEADER = re.compile(r"#\s*CSV_HEADER\s*=\s*(.*)")
_CSV_COLUMNS = ("file_list", "temporal_coordinates", "spatial_coordinates", "metadata")


class _Entry(NamedTuple):
    files: list[str]  # the video as the project names it, the best name first
    times: Any
    is_region: bool  # a place in a picture
    values: Mapping[str, tuple[str, ...]]  # labels by attribute


def is_via(source: ListSource) -> bool:
    """Whether it is a project of VIA 3, or a CSV that VIA 3 exported."""
    is_project = isinstance(source.json, dict) and source.json.keys() >= _KEYS
    return is_project or any(_CSV_HEADER.match(line) for line in source.lines[:10])


def read_via(source: Path, options: ReadOptions) -> Table:
    """Read the temporal segments, in seconds, and the labels of whole videos.

    `options.label_field` names the attribute if a project has several. Several values of a checkbox are several labels.
    Points in time and regions of pictures are left out and counted.
    """
    is_project = source.suffix.lower() == ".json"
    entries = list(_entries_of_project(read_json(source), source) if is_project else _entries_of_csv(source))
    found = Counter(name for entry in entries for name in entry.values)
    field = options.label_field or (next(iter(found)) if len(found) == 1 else None)
    if field is None or field not in found:
        raise DataError(
            f"{source}: the attributes with values are {first_few(found) or 'none'}. Give --data.label-field NAME."
        )
    rows, left_out = [], Counter[str]()
    for entry in entries:
        if not entry.files or entry.is_region or not (entry.times == [] or is_span(entry.times)):
            left_out["regions or points in time"] += 1
        elif not (labels := entry.values.get(field)):
            left_out["entries without this attribute"] += 1
        else:
            start, end = map(float, entry.times) if entry.times else (None, None)
            row = Row(entry.files[0], None, _candidates(entry.files), start, end)
            rows.append(row._replace(label=labels[0]) if len(labels) == 1 else row._replace(labels=labels))
    notes = [f"{count} {what} are left out." for what, count in left_out.items()]
    return Table(rows, notes=(f"Labels: the attribute {field!r}.", *notes))


def _entries_of_project(content: Any, source: Path) -> Iterator[_Entry]:
    if not isinstance(content, dict) or not all(isinstance(content.get(key), dict) for key in _KEYS - {"project"}):
        raise DataError(f"{source} is no project of VIA 3: its keys are not {first_few(sorted(_KEYS))}.")
    for one in content["metadata"].values():
        if not isinstance(one, dict):
            continue
        view = content["view"].get(str(one.get("vid")))
        numbers = view.get("fid_list") if isinstance(view, dict) else None
        file = content["file"].get(str(numbers[0])) if isinstance(numbers, list) and numbers else None
        names = [file.get(key) for key in ("src", "fname")] if isinstance(file, dict) else []
        named = dict(_named(number, value, content["attribute"]) for number, value in _object(one.get("av")).items())
        yield _Entry(
            [name for name in names if isinstance(name, str) and name],
            one.get("z"),
            bool(one.get("xy")),
            {name: labels for name, labels in named.items() if labels},
        )


def _named(number: str, value: Any, attributes: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The name of an attribute, and its values: an option is stored by its key, several ones with commas."""
    attribute = _object(attributes.get(number))
    options = _object(attribute.get("options"))
    text = str(value).strip()
    keys = [text] if text in options or not options else [key.strip() for key in text.split(",")]
    return str(attribute.get("aname") or number), tuple(str(options.get(key, key)) for key in keys if key)


def _entries_of_csv(source: Path) -> Iterator[_Entry]:
    lines = read_lines(source)
    header = next((match[1] for line in lines[:10] if (match := _CSV_HEADER.match(line))), "")
    columns = next(csv.reader([header], skipinitialspace=True), [])
    if missing := [name for name in _CSV_COLUMNS if name not in columns]:
        raise DataError(f"{source} is no CSV of VIA 3: it has no columns {first_few(missing)}.")
    for row in csv.reader([line for line in lines if not line.startswith("#")], skipinitialspace=True):
        if len(row) != len(columns):
            raise DataError(f"{source}: {shorten(row)} does not have the {len(columns)} fields of its header.")
        fields = dict(zip(columns, row, strict=True))
        files, times, region, values = (parse_json(fields[name] or "[]", str(source)) for name in _CSV_COLUMNS)
        texts = {name: str(value).strip() for name, value in _object(values).items()}
        labels = {name: (text,) for name, text in texts.items() if text}
        names = [name for name in files if isinstance(name, str)] if isinstance(files, list) else []
        yield _Entry(names[:1], times, bool(region), labels)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _candidates(names: list[str]) -> tuple[str, ...]:
    paths = [unquote(re.sub(r"^[a-z]+://[^/]*/", "", name)) for name in names]
    files = [path.replace("\\", "/").rsplit("/", 1)[-1] for path in paths]
    return tuple(dict.fromkeys((*paths, *files, *names)))  # an address last: local copies come first
