"""EPIC-Kitchens-100: segments with a verb and a noun; an action is a pair of both."""

from pathlib import Path

from side4video.data.lists.list_source import ListSource
from side4video.data.lists.records import LINE, parse_time, read_records
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.text_files import DataError

FIELDS = ("action", "verb", "noun")


def is_epic_kitchens(source: ListSource) -> bool:
    """Whether the columns are those of the official CSV."""
    return source.columns >= {"narration_id", "video_id", "start_timestamp", "stop_timestamp"}


def read_epic_kitchens(source: Path, options: ReadOptions) -> Table:
    """Read `EPIC_100_train.csv`, `EPIC_100_validation.csv` or the test list without classes.

    `options.label_field` chooses verb, noun or action (default). `EPIC_100_verb_classes.csv` and
    `EPIC_100_noun_classes.csv` in the same folder give the names of classes; without them classes are numbers, and
    actions pairs of them. Videos are `P01/P01_01`, `P01/videos/P01_01`, `P01/rgb_frames/P01_01` or `P01_01`.
    """
    field = options.label_field or FIELDS[0]
    if field not in FIELDS:
        raise DataError(f"{source}: --data.label-field {field} is not one of {', '.join(FIELDS)}.")
    parts = ("verb", "noun") if field == "action" else (field,)
    names = {part: _class_names(source, part) for part in parts}
    records = read_records(source, numbered=True)
    numbers = [_class_numbers(record, parts, source) for record in records]
    used = sorted({found for found in numbers if found is not None})
    if field == "action":
        order = {pair: _action_name(pair, names) for pair in used}
    else:
        known = names[field]
        order = {(number,): known[number] for number in known} if known else {}
    rows = []
    for record, found in zip(records, numbers, strict=True):
        if found is not None and order and found not in order:
            raise DataError(f"{source}, line {record[LINE]}: class {found[0]} is not in EPIC_100_{field}_classes.csv.")
        label = None if found is None else order[found] if order else found[0]
        rows.append(_row(record, label, source))
    named = "names of EPIC_100_*_classes.csv" if all(names.values()) else "numbers, without EPIC_100_*_classes.csv"
    note = f"Labels: {field} (--data.label-field verb, noun or action); classes are {named}."
    return Table(rows, tuple(order.values()) or None, notes=(note,))


def _row(record: dict[str, str], label: str | int | None, source: Path) -> Row:
    video, place = record["video_id"], f"{source}, line {record[LINE]}"
    person = record.get("participant_id") or video.split("_")[0]
    folders = ("", f"{person}/", f"{person}/videos/", f"videos/{person}/", f"{person}/rgb_frames/", "rgb_frames/")
    first, last = (parse_time(record.get(name), place) for name in ("start_timestamp", "stop_timestamp"))
    return Row(video, label, tuple(folder + video for folder in folders), first, last, line=int(record[LINE]))


def _class_numbers(record: dict[str, str], parts: tuple[str, ...], source: Path) -> tuple[int, ...] | None:
    """The number of each part's class; None in the test list, which has none."""
    texts = [record.get(f"{part}_class", "") for part in parts]
    if not any(texts):
        return None
    if wrong := [text for text in texts if not text.isdecimal() or len(text) > 6]:
        raise DataError(f"{source}, line {record[LINE]}: {wrong[0]!r} is not a class number.")
    return tuple(map(int, texts))


def _class_names(source: Path, part: str) -> dict[int, str]:
    path = source.parent / f"EPIC_100_{part}_classes.csv"
    if not path.is_file():
        return {}
    records = read_records(path)
    if not records or not {"id", "key"} <= records[0].keys() or not all(r["id"].isdecimal() for r in records):
        raise DataError(f"{path} needs the columns id and key.")
    return {int(record["id"]): record["key"] for record in sorted(records, key=lambda record: int(record["id"]))}


def _action_name(pair: tuple[int, ...], names: dict[str, dict[int, str]]) -> str:
    verb, noun = pair
    if names["verb"] and names["noun"]:
        return f"{names['verb'].get(verb, verb)} {names['noun'].get(noun, noun)}"
    return f"{verb},{noun}"
