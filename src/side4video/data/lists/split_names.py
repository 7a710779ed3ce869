"""Names of splits (train, val, test, ...) in columns and folders, and the one to read."""

from collections.abc import Sequence
from pathlib import Path

from side4video.data.lists.columns import SPLIT_COLUMNS
from side4video.data.lists.records import find_column
from side4video.data.lists.rows import ReadOptions
from side4video.data.lists.text_files import DataError, first_few

_VALIDATION = ("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation", "holdout")
SPLIT_SYNONYMS: dict[str, tuple[str, ...]] = {  # names of a split, the best first
    "train": ("training",),
    "training": ("train",),
    "test": ("testing", *_VALIDATION),
    "testing": ("test",),
    **dict.fromkeys(_VALIDATION, _VALIDATION),
}


def select_split(
    records: list[dict[str, str]], options: ReadOptions, source: Path, *, column: str | None = None
) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """The records of the given split, and a sentence about them.

    All records are returned if no split is given, or if `column` (default: one of `SPLIT_COLUMNS`) has one value only.
    """
    column = column or find_column(records, SPLIT_COLUMNS) or ""
    chosen, places = places_of_split([record.get(column, "") for record in records], options.split, source)
    return [records[place] for place in places], describe_split(chosen, column, len(places), len(records))


def places_of_split(values: Sequence[str], wanted: str | None, source: Path) -> tuple[str, list[int]]:
    """The chosen split in lower case, and the places of its rows; "" and all places if there is nothing to choose.

    >>> places_of_split(["Train", "val", "train"], "train", Path("list.csv"))
    ('train', [0, 2])
    """
    if wanted is None or len({value.lower() for value in values}) <= 1:
        return "", list(range(len(values)))
    chosen = choose_split(sorted(set(values)), wanted, source).lower()
    return chosen, [place for place, value in enumerate(values) if value.lower() == chosen]


def describe_split(chosen: str, column: str, num_chosen: int, num_rows: int) -> tuple[str, ...]:
    """A sentence about the rows of a split; none if no split was chosen."""
    return (f"Split {chosen!r} of the column {column!r}: {num_chosen} of {num_rows} rows.",) if chosen else ()


def choose_split(splits: Sequence[str], wanted: str, source: Path) -> str:
    """The split of that name or a synonym (val for test). Raises `DataError` if there is none."""
    alike = SPLIT_SYNONYMS.get(wanted.lower(), ())
    chosen = [split for word in (wanted.lower(), *alike) for split in splits if split.lower() == word]
    if not chosen:
        raise DataError(
            f"{source} has no split {wanted!r}; its splits are {first_few(splits)}. Rename one of them {wanted}."
        )
    return chosen[0]


def choose_labelled_split(splits: Sequence[str], wanted: str, source: Path) -> tuple[str, tuple[str, ...]]:
    """The split to read from a data set that labels only some, and a sentence about it.

    Without a labelled training set, the validation set is the training set, as in THUMOS14.

    >>> choose_labelled_split(["test", "validation"], "train", Path("labels.json"))[0]
    'validation'
    """
    if wanted.lower() not in {"train", "training"} or any(split.lower().startswith("train") for split in splits):
        chosen = choose_split(splits, wanted, source)
        return chosen, (f"Split {chosen!r} of {first_few(splits)}.",)
    chosen = choose_split(splits, "val", source)
    return chosen, (f"No labelled training set: the split {chosen!r} is the training set.",)
