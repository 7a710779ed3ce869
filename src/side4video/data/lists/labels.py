"""Turn the labels of a list into indices of classes."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from side4video.data.lists.rows import Label
from side4video.data.lists.text_files import ClassIndex, DataError, first_few, shorten, trimmed_name

LARGEST_LABEL = 1_000_000


class Labels(NamedTuple):
    """The class names in order, the index of each row's class, and sentences about what was matched.

    >>> index_labels(["run", "walk", "run"], given=None, defined=None, source=Path("list.csv")).indices
    [0, 1, 0]
    """

    class_names: tuple[str, ...]
    indices: list[int | None]
    notes: tuple[str, ...] = ()


def index_labels(
    labels: Sequence[Label],
    *,
    given: tuple[str, ...] | None,
    defined: tuple[str, ...] | None,
    source: Path,
    loose: bool = False,
    class_numbers: bool = True,
) -> Labels:
    """Find the class of each label.

    Args:
        labels: one per row.
        given: class names that the caller requires.
        defined: class names in the order of the data set, used if none are given.
        source: the list, for errors.
        loose: match names by their letters and digits, as the files of public data sets spell them differently.
        class_numbers: numbers are indices into `given`. False: they are an error if `given` are names.

    Raises:
        DataError: a class is unknown, or numbers cannot be matched with names.
    """
    labels = [trimmed_name(label) if isinstance(label, str) else label for label in labels]
    names = given or (defined and tuple(dict.fromkeys(map(trimmed_name, defined)))) or _names_from(labels, source)
    if given and all(re.fullmatch(r"\d{1,18}", name) for name in given):
        labels = _numbers_to_names(labels, given)
    elif given and not class_numbers and (numbers := sorted({label for label in labels if isinstance(label, int)})):
        raise DataError(
            f"{source} has class numbers ({first_few(numbers)}), but the classes are names: {first_few(names)}. "
            "The numbering is unknown. Write names, or give --data.class-names, a file with the names in the order of "
            "the numbers."
        )
    index = ClassIndex(names, loose=loose)
    found = {label: index.find(label) for label in set(labels) if isinstance(label, str)}
    if unknown := sorted(label for label, position in found.items() if position is None):
        near = [f"{shorten(label)} is near {index.nearest(label)!r}" for label in unknown[:3] if index.nearest(label)]
        hint = f" {'; '.join(near)}. Correct the spelling if they are the same." if near else ""
        raise DataError(
            f"{source} has classes that are not among the {len(names)} given ones: {first_few(unknown)}. "
            f"The given classes are {first_few(names)}.{hint}"
        )
    respelled = sorted(
        f"{shorten(label)} = {names[position]!r}"
        for label, position in found.items()
        if position is not None and not index.is_exact(label)
    )
    notes = (f"Classes with another spelling: {', '.join(respelled[:10])}.",) if respelled and not loose else ()
    return Labels(names, [found[label] if isinstance(label, str) else label for label in labels], notes)


def _numbers_to_names(labels: Sequence[Label], given: Sequence[str]) -> list[Label]:
    """Class names that are numbers, such as "007", are found by their value."""
    numbers = Counter(map(int, given))
    by_number = {int(name): name for name in given if numbers[int(name)] == 1}
    return [by_number.get(label, str(label)) if isinstance(label, int) else label for label in labels]


def _names_from(labels: Sequence[Label], source: Path) -> tuple[str, ...]:
    numbers = [label for label in labels if isinstance(label, int)]
    if numbers:
        if max(numbers) > LARGEST_LABEL:
            raise DataError(
                f"{source} has the label {max(numbers)}: numeric labels are class indices from 0 to at most "
                f"{LARGEST_LABEL:,}. Correct it, or give class_names."
            )
        return tuple(str(number) for number in range(max(numbers) + 1))
    return tuple(sorted({label for label in labels if isinstance(label, str)}))
