"""Labels that are numbers: class indices from 0, as lists write them."""

import re
from collections.abc import Mapping
from pathlib import Path

from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.several_labels import separate_labels, unread_separator
from side4video.data.lists.text_files import DataError, first_few, is_missing_value, shorten

INTEGER = re.compile(r"-?\d{1,18}")  # Python raises for numbers of thousands of digits
_WHOLE_NUMBER = re.compile(r"(-?\d{1,18})(?:\.0+)?")


def labels_to_indices(rows: list[Row], options: ReadOptions, source: Path) -> Table:
    """If all labels are whole numbers, convert them to indices from 0 and -1 to no label; otherwise they are names.

    Labels such as `nan` (`MISSING_VALUES`) are no label, unless a given class has that name.
    """
    given = options.class_names or ()
    missing = {row.label for row in rows if is_missing_value(str(row.label))} - {*given}
    rows = [row._replace(label=None) if row.label in missing else row for row in rows]
    notes: tuple[str, ...] = ()
    if missing:
        notes = (f"Read as no label: {first_few(sorted(map(str, missing)))}. If it is a class, give the class names.",)
    if options.multi_label or options.label_separator:
        rows, how_separated = separate_labels(rows, options.label_separator, source)
        notes += how_separated
    labels = [str(label) for row in rows for label in row.labels or (row.label,) if label is not None]
    if set(labels) <= set(given) and not all(map(INTEGER.fullmatch, given)):
        return Table(rows, notes=notes)  # names such as "1.0" and "1.1"
    numbers = {label: class_number(label) for label in set(labels)}
    if labels and None not in numbers.values():
        indices = {
            label: None if number in (-1, None) else number - options.first_label for label, number in numbers.items()
        }
        floats = sorted(label for label in numbers if "." in label)
        notes += (f"Labels such as {floats[0]!r} are read as class numbers.",) if floats else ()
        return Table([_with_indices(row, indices) for row in rows], notes=notes)
    if options.multi_label is None and (several_in_one := unread_separator(labels)):
        raise DataError(
            f"{source} has several labels for one video, such as {shorten(several_in_one)}. Give --data.multi-label "
            "true, or --data.multi-label false if it is the name of one class."
        )
    integers = [label for label in labels if INTEGER.fullmatch(label)]
    if integers and options.class_names is None:
        names = next(label for label in labels if not INTEGER.fullmatch(label))
        raise DataError(
            f"{source} mixes labels that are numbers ({shorten(integers[0])}) and names ({shorten(names)}). Use one "
            "kind of label."
        )
    return Table(rows, notes=notes)


def _with_indices(row: Row, indices: Mapping[str, int | None]) -> Row:
    if row.labels is not None:
        found = (indices[str(label)] for label in row.labels)
        return row._replace(labels=tuple(index for index in found if index is not None))
    return row if row.label is None else row._replace(label=indices[str(row.label)])


def class_number(label: str) -> int | None:
    """The number of a class, also written as `3.0`, as pandas and spreadsheets do; None for a name.

    >>> class_number("3"), class_number("3.0"), class_number("3.5")
    (3, 3, None)
    """
    match = _WHOLE_NUMBER.fullmatch(label)
    return int(match[1]) if match else None
