"""ActivityNet, and the lists of other data sets in its form (THUMOS14, HACS, FineAction): segments in seconds."""

from pathlib import Path
from typing import Any

from side4video.data.lists.list_source import ListSource
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.segments import is_span
from side4video.data.lists.split_names import choose_labelled_split
from side4video.data.lists.text_files import DataError, read_json, shorten

_FOLDERS = ("", "train/", "training/", "val/", "validation/", "test/", "videos/")


def is_activitynet(source: ListSource) -> bool:
    """Whether a JSON object has a `database` of videos, or is one itself."""
    return bool(_database(source.json))


def read_activitynet(source: Path, options: ReadOptions) -> Table:
    """Read `{"database": {id: {"subset": ..., "annotations": [{"segment": [start, end], "label": ...}]}}}`.

    The videos may also stand at the top level. Videos are `v_<id>` or `<id>`. Classes are sorted and those of all
    subsets. Subsets without annotations, and videos without any, are left out.
    """
    database = _database(read_json(source))
    names = sorted({_label(one, source) for video in database.values() for one in video["annotations"]})
    chosen = database
    notes: tuple[str, ...] = ()
    subsets = sorted({str(video.get("subset", "")) for video in database.values() if video["annotations"]})
    if options.split is not None and len(subsets) > 1:
        subset, notes = choose_labelled_split(subsets, options.split, source)
        chosen = {name: video for name, video in database.items() if str(video.get("subset", "")) == subset}
    rows = [_row(name, annotation, source) for name, video in chosen.items() for annotation in video["annotations"]]
    if empty := sum(not video["annotations"] for video in chosen.values()):
        notes = (*notes, f"{empty} of {len(chosen)} videos have no annotations and are left out.")
    return Table(rows, tuple(names), notes=notes)


def _database(content: Any) -> dict[str, dict[str, Any]]:
    database = content.get("database", content) if isinstance(content, dict) else None
    if not isinstance(database, dict) or not database:
        return {}
    is_one = all(isinstance(v, dict) and isinstance(v.get("annotations", []), list) for v in database.values())
    if not is_one or not any("annotations" in video for video in database.values()):
        return {}
    return {name: video | {"annotations": video.get("annotations", [])} for name, video in database.items()}


def _label(annotation: Any, source: Path) -> str:
    if not isinstance(annotation, dict) or not isinstance(annotation.get("label"), str):
        raise DataError(
            f'{source}: {shorten(annotation)} is not an annotation {{"segment": [0.5, 2.0], "label": ...}}.'
        )
    return annotation["label"]


def _row(name: str, annotation: dict[str, Any], source: Path) -> Row:
    segment = annotation.get("segment")
    if not is_span(segment):
        raise DataError(f"{source}: {name} has the segment {shorten(segment)}. Write [start, end] in seconds.")
    bare = name.removeprefix("v_")
    candidates = (f"{folder}{stem}" for folder in _FOLDERS for stem in (name, f"v_{bare}", bare))
    return Row(name, annotation["label"], tuple(dict.fromkeys(candidates)), float(segment[0]), float(segment[1]))
