"""Lists whose videos have several labels each, or none: how labels are separated, and which lists are multi-label."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from side4video.data.lists.rows import Label, Row
from side4video.data.lists.text_files import DataError, first_few

SEPARATORS = ("|", ";", ",")
"""Separators of labels in one field that are detected."""
_NUMBERS = re.compile(r"-?\d{1,18}(\s+-?\d{1,18})*")


def separate_labels(rows: Sequence[Row], separator: str | None, source: Path) -> tuple[list[Row], tuple[str, ...]]:
    """Split the label of each row into several; return the rows and a sentence about the separator.

    Args:
        rows: rows whose label is text; None: the video has no class.
        separator: between labels. Default: the one of `SEPARATORS` that occurs, or blanks between numbers.
        source: the list, for errors.

    Raises:
        DataError: several of `SEPARATORS` occur.

    >>> rows, notes = separate_labels([Row("a.mp4", "run|jump", ("a.mp4",))], None, Path("list.csv"))
    >>> rows[0].labels, notes
    (('run', 'jump'), ("Labels are separated by '|'.",))
    """
    texts = [str(row.label) for row in rows if row.labels is None and row.label is not None]
    separator = separator or _detect_separator(texts, source)
    separated = [
        row if row.labels is not None else row._replace(label=None, labels=_split(row.label, separator)) for row in rows
    ]
    return separated, (f"Labels are separated by {separator!r}.",) if separator else ()


def _detect_separator(texts: Sequence[str], source: Path) -> str | None:
    found = [separator for separator in SEPARATORS if any(separator in text for text in texts)]
    if len(found) > 1:
        raise DataError(
            f"{source} has labels with {' and '.join(map(repr, found))}, such as "
            f"{first_few([next(text for text in texts if one in text) for one in found])}. Give the separator of "
            f"labels: --data.label-separator {found[0]!r}."
        )
    if not found and all(map(_NUMBERS.fullmatch, texts)) and any(len(text.split()) > 1 for text in texts):
        return " "
    return found[0] if found else None


def _split(label: Label, separator: str | None) -> tuple[str, ...]:
    if label is None:
        return ()
    parts = [str(label)] if separator is None else str(label).split(None if separator == " " else separator)
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def settle_labels(
    rows: Sequence[Row], multi_label: bool | None, source: Path
) -> tuple[list[Row], bool, tuple[str, ...]]:
    """Decide whether a list is multi-label; return its rows, the decision and sentences about it.

    In a multi-label list, each row has `labels`; rows of the same video and times are merged. Otherwise each row has a
    `label`.

    Args:
        rows: rows of a reader.
        multi_label: None: the list is multi-label if its form has several labels and a video has not exactly one.
        source: the list, for errors.

    Raises:
        DataError: `multi_label` is False, and a video has several labels or none of several.
    """
    several = [row for row in rows if row.labels is not None and len(row.labels) != 1]
    if multi_label is False and several:
        examples = first_few(f"{row.name}: {', '.join(map(str, row.labels or ('none',)))}" for row in several)
        raise DataError(
            f"{source}: {len(several)} videos have not exactly one label: {examples}. Give --data.multi-label true, or "
            "a list with one label per video."
        )
    if not several and not multi_label:
        return (
            [row if row.labels is None else row._replace(label=row.labels[0], labels=None) for row in rows],
            False,
            (),
        )
    if not any(row.labels or row.label is not None for row in rows):
        return [row._replace(labels=None) for row in rows], False, ()
    merged = _merge(rows)
    counts = [len(row.labels or ()) for row in merged]
    more = f" {len(rows) - len(merged)} rows belong to videos of earlier rows." if len(merged) < len(rows) else ""
    note = f"Several labels per video (multi-label): {min(counts)} to {max(counts)}, {sum(counts)} in all.{more}"
    return merged, True, (note,)


def _merge(rows: Sequence[Row]) -> list[Row]:
    """One row for all rows of the same video and times, with all their labels."""
    merged: dict[tuple[object, ...], Row] = {}
    for row in rows:
        labels = row.labels if row.labels is not None else () if row.label is None else (row.label,)
        key = (row.name, row.start_seconds, row.end_seconds)
        known = merged.get(key, row._replace(labels=()))
        merged[key] = known._replace(label=None, labels=tuple(dict.fromkeys((*(known.labels or ()), *labels))))
    return list(merged.values())


def unread_separator(labels: Iterable[str]) -> str | None:
    """The first label that looks like several labels in one field; None if there is none.

    Numbers with a separator or blanks are several labels. So are names if a part of one is another label of the list;
    at commas, which names often contain, if all parts are.

    >>> unread_separator(["hold, then let go", "run|jump", "run"])
    'run|jump'
    """
    known = dict.fromkeys(labels).keys()
    for label in known:
        if _NUMBERS.fullmatch(label) and len(label.split()) > 1:
            return label
        for separator in SEPARATORS:
            parts = [part.strip() for part in label.split(separator)]
            are_numbers = all(re.fullmatch(r"\d{1,18}", part) for part in parts)
            are_names = known >= set(parts) if separator == "," else known & set(parts)
            if len(parts) > 1 and (are_numbers or are_names):
                return label
    return None
