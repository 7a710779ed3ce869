"""Names of splits (train, val, test, ...) in columns and folders, and the one to read."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from side4video.data.lists.rows import ReadOptions
from side4video.data.lists.text_files import DataError, first_few

SPLIT_COLUMNS = ("split", "subset", "set", "partition")
_TRAIN = ("train", "training", "trn")
_TEST = ("test", "testing", "tst")
_VALIDATION = ("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation", "holdout")
_SPLITS = {**dict.fromkeys(_TRAIN, "train"), **dict.fromkeys(_TEST, "test"), **{name: name for name in _VALIDATION}}
"""Usual words, and the word that they are a spelling of."""
_FILLERS = {"set", "split", "subset", "part", "data", "dataset", "video", "videos", "clip", "clips"}
_OTHER_LANGUAGES = (
    *("entraîn", "entrain", "entren", "prueba", "valida", "prüf", "pruef", "treino", "teste", "addestra"),
    *("обуч", "тест", "训练", "訓練", "测试", "验证", "学習", "テスト", "検証", "학습", "훈련", "테스트"),
)
"""Parts of words for splits in French, Spanish, German, Portuguese, Italian, Russian, Chinese, Japanese and Korean."""
_FLAG = re.compile(r"(?:is|in)_?(train|training|test|testing|val|validation|dev|holdout)(?:_?set)?")
"""Columns that say of each row whether it belongs to one split."""
_YES, _NO = frozenset({"1", "1.0", "true", "yes"}), frozenset({"0", "0.0", "false", "no"})


def split_word(name: str) -> str:
    """The split that a name means: train, test, val, ...; other names in lower case.

    >>> split_word("Training"), split_word("videos_train"), split_word("Test set"), split_word("train station")
    ('train', 'train', 'test', 'train station')
    """
    words = [re.sub("set$", "", word) or word for word in _words(name)]
    rest = [word for word in words if word not in _FILLERS]
    return _SPLITS.get(rest[0] if len(rest) == 1 else "", name.strip().lower())


def is_split(name: str) -> bool:
    """Whether a name is that of a split.

    >>> is_split("Validation"), is_split("run")
    (True, False)
    """
    return split_word(name) in _SPLITS.values()


def mentions_split(name: str) -> bool:
    """Whether a word of a name is that of a split, also in other languages.

    >>> mentions_split("train_2024"), mentions_split("entrenamiento"), mentions_split("trainer")
    (True, True, False)
    """
    return any(word.strip("0123456789") in _SPLITS or word.startswith(_OTHER_LANGUAGES) for word in _words(name))


def _words(name: str) -> list[str]:
    """The words of a name in lower case, with their digits; `TrainVideos` has two."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFC", name))
    return re.findall(r"[^\W_]+", spaced.lower())


def find_split_column(names: Sequence[str], rows: Sequence[Mapping[str, Any]], source: Path) -> str | None:
    """The column of splits: one of `SPLIT_COLUMNS`, or the only one that looks like it.

    Such a column has names of splits only, of which one is train (`phase`), or 0 and 1, and a name such as `is_train`.

    >>> find_split_column(["video", "phase"], [{"phase": "train"}, {"phase": "val"}], Path("list.csv"))
    'phase'

    Raises:
        DataError: several columns look like it.
    """
    usual = next((name for name in SPLIT_COLUMNS if name in names), None)
    fields = {name: {str(row.get(name) or "").strip() for row in rows} for name in names}
    alike = [
        name
        for name, values in fields.items()
        if ("train" in (words := set(map(split_word, values))) and len(words) > 1 and all(map(is_split, values - {""})))
        or _is_flag(name, values)
    ]
    if usual is None and len(alike) > 1:
        raise DataError(
            f"{source}: the columns {first_few(alike)} look like splits. Give --data.columns split NAME for one "
            "of them, or write one column with the name of the split."
        )
    return usual or next(iter(alike), None)


def _is_flag(column: str, values: set[str]) -> bool:
    return bool(_FLAG.fullmatch(column)) and {value.lower() for value in values} <= _YES | _NO


def select_split(
    records: list[dict[str, str]], options: ReadOptions, source: Path, *, column: str | None = None
) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """The records of the given split, and a sentence about them.

    All records are returned if no split is given, or if `column` (default: `find_split_column`) has one value only.
    """
    column = column or find_split_column(list(records[0]) if records else [], records, source) or ""
    values = splits_of([record.get(column, "") for record in records], column)
    places, notes = places_of_split(values, options.split, source, column)
    return [records[place] for place in places], notes


def splits_of(values: Sequence[str], column: str) -> list[str]:
    """The split that each field of a column names; of a column such as `is_train`, by 1 and 0.

    >>> splits_of(["1", "0"], "is_train"), splits_of(["train", "val"], "phase")
    (['train', 'test'], ['train', 'val'])
    """
    if not (flag := _FLAG.fullmatch(column)) or not _is_flag(column, set(values)):
        return list(values)
    split = split_word(flag[1])
    other = "test" if split == "train" else "train"
    return [split if value.lower() in _YES else other for value in values]


def places_of_split(
    values: Sequence[str], wanted: str | None, source: Path, column: str
) -> tuple[list[int], tuple[str, ...]]:
    """The places of the rows of a split, and a sentence; all places if no split is wanted or there is only one.

    >>> places_of_split(["Train", "val", "train"], "train", Path("list.csv"), "split")
    ([0, 2], ("Split 'train' of the column 'split': 2 of 3 rows; others: 'val' (1).",))
    """
    counts = Counter(map(split_word, values))
    if wanted is None or len(counts) <= 1:
        only = next(iter(counts), "")
        is_other = wanted is not None and is_split(only) and (only == "train") != (split_word(wanted) == "train")
        note = f"All rows have the split {only!r} (column {column!r}); they are read for {wanted}."
        return list(range(len(values))), (note,) if is_other else ()
    chosen = split_word(choose_split(sorted(counts), wanted, source))
    places = [place for place, value in enumerate(values) if split_word(value) == chosen]
    others = ", ".join(f"{split or 'none'!r} ({count})" for split, count in counts.most_common() if split != chosen)
    note = f"Split {chosen!r} of the column {column!r}: {len(places)} of {len(values)} rows; others: {others}."
    return places, (note,)


def choose_split(splits: Sequence[str], wanted: str, source: Path) -> str:
    """The split of that name, or a validation set instead of `test`. Raises `DataError` if there is none, or several.

    >>> choose_split(["train_set", "val_set"], "test", Path("clips"))
    'val_set'
    """
    word = split_word(wanted)
    found = [split for split in splits if split_word(split) == word]
    if not found and word in {"test", *_VALIDATION}:
        found = [split for split in splits if split_word(split) in _VALIDATION]
    if len(found) != 1:
        has = f"several splits for {wanted!r}, {first_few(found)}" if found else f"no split {wanted!r}"
        raise DataError(f"{source} has {has}; its splits are {first_few(splits)}. Rename one of them {wanted}.")
    return found[0]


def choose_labelled_split(splits: Sequence[str], wanted: str, source: Path) -> tuple[str, tuple[str, ...]]:
    """The split to read from a data set that labels only some, and a sentence about it.

    Without a labelled training set, the validation set is the training set, as in THUMOS14.

    >>> choose_labelled_split(["test", "validation"], "train", Path("labels.json"))[0]
    'validation'
    """
    if split_word(wanted) != "train" or "train" in map(split_word, splits):
        chosen = choose_split(splits, wanted, source)
        return chosen, (f"Split {chosen!r} of {first_few(splits)}.",)
    chosen = choose_split(splits, "val", source)
    return chosen, (f"No labelled training set: the split {chosen!r} is the training set.",)
