"""Weights of the classes in the loss, for classes with unequal numbers of clips."""

import csv
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from side4video.config import TrainConfig
from side4video.data.lists.text_files import ClassIndex, DataError, first_few, read_text

HEADER = ["class", "weight"]


def class_weights(
    settings: TrainConfig, counts: Int[ndarray, " C"], class_names: Sequence[str]
) -> Float[ndarray, " C"] | None:
    """The weight of each class by `train.class_weights`; None: all are equal.

    balanced: N / (K n) for a class with n of N clips, with K classes that have clips, as scikit-learn computes it.
    effective: proportional to (1 - beta) / (1 - beta^n) (Cui et al., CVPR 2019, arXiv 1901.05555), scaled so that the
    mean over the training clips is 1. A class without clips has weight 1 in both.

    Args:
        settings: training settings.
        counts: number of training clips of each class; with several labels per clip, of clips with this label.
        class_names: C names.

    Raises:
        DataError: the file of weights is invalid; the error names its lines.

    >>> class_weights(TrainConfig(class_weights="balanced"), np.array([6, 2, 0]), ["run", "jump", "fall"]).tolist()
    [0.6666666666666666, 2.0, 1.0]
    """
    kind = settings.class_weights
    if kind is None:
        return None
    if isinstance(kind, Path):
        return read_class_weights(kind, class_names)
    used = np.maximum(counts, 1).astype(np.float64)
    beta = settings.class_weights_beta
    weights = 1 / used if kind == "balanced" else (1 - beta) / (1 - beta**used)
    weights = weights * counts.sum() / (weights * counts).sum()
    return np.where(counts > 0, weights, 1.0)


def read_class_weights(path: Path, class_names: Sequence[str]) -> Float[ndarray, " C"]:
    """Read a CSV with the rows `class,weight`, with or without this header; every class once.

    Raises:
        DataError: a row is not a class and a number above 0, or a class is unknown, missing or listed twice.
    """
    if not path.is_file():
        raise DataError(
            f"train.class_weights = {str(path)!r}: there is no such file. Use balanced, effective, or a CSV file with "
            "rows class,weight."
        )
    rows = [(number, row) for number, row in enumerate(csv.reader(read_text(path).splitlines()), 1) if any(row)]
    rows = [(number, [cell.strip() for cell in row]) for number, row in rows]
    if rows and [cell.lower() for cell in rows[0][1]] == HEADER:
        rows = rows[1:]
    if bad := [f"line {number}: {','.join(row)}" for number, row in rows if len(row) != 2 or not _is_weight(row[1])]:
        raise DataError(f"{path} has rows that are not a class and a number above 0: {first_few(bad)}. Write: run,2.5")
    index = ClassIndex(class_names)
    found = [(index.find(name), number, name, float(weight)) for number, (name, weight) in rows]
    problems = []
    if unknown := [f"line {number}: {name}" for place, number, name, _ in found if place is None]:
        near = index.nearest(unknown[0].partition(": ")[2])
        hint = f" The first is near {near!r}." if near else ""
        problems.append(f"{path} has classes that the training set does not have: {first_few(unknown)}.{hint}")
    counts = Counter(place for place, *_ in found if place is not None)
    if twice := [class_names[place] for place, count in counts.items() if count > 1]:
        problems.append(f"{path} has more than one weight for {first_few(twice)}. Keep one.")
    if missing := [name for place, name in enumerate(class_names) if place not in counts]:
        problems.append(f"{path} has no weight for {first_few(missing)}. Write 1 for classes that count as they are.")
    if problems:
        raise DataError(*problems)
    weights = np.ones(len(class_names))
    for place, _, _, weight in found:
        weights[place] = weight
    return weights


def _is_weight(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def describe_weights(
    weights: Float[ndarray, " C"], counts: Int[ndarray, " C"], class_names: Sequence[str], origin: object
) -> str:
    """A sentence about the smallest and the largest weight, for the log.

    >>> describe_weights(np.array([0.5, 2.0]), np.array([6, 2]), ["run", "jump"], "balanced")
    "class weights (balanced): 'run' 0.5 (6 clips) to 'jump' 2 (2 clips); mean over the training clips 0.875."
    """
    low, high = int(weights.argmin()), int(weights.argmax())
    ends = [f"{class_names[place]!r} {weights[place]:.3g} ({counts[place]} clips)" for place in (low, high)]
    mean = float((weights * counts).sum() / max(counts.sum(), 1))
    return f"class weights ({origin}): {' to '.join(ends)}; mean over the training clips {mean:.3g}."
