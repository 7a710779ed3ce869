"""Folds of cross-validation inside the training clips: classes in equal shares, clips of one recording together."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from sklearn.model_selection import StratifiedGroupKFold

NUM_FOLDS = 4
TRIES = 20
"""Random divisions of which the first is taken that leaves every class something to train on."""


@dataclass(frozen=True)
class Folds:
    """Divisions of the training clips into a part to train on and a part held out.

    Attributes:
        parts: places of the clips to train on and of those held out, for each fold; empty where there
            is nothing to compare.
        notes: what was done otherwise than asked for, and why, in sentences.
    """

    parts: tuple[tuple[Int[ndarray, " train"], Int[ndarray, " held"]], ...]
    notes: tuple[str, ...] = ()

    @property
    def scored(self) -> Int[ndarray, " scored"]:
        """Places of all clips that are held out once, in order."""
        return np.sort(np.concatenate([held for _, held in self.parts])) if self.parts else np.zeros(0, dtype=int)


def make_folds(
    labels: Sequence[int],
    groups: Sequence[str] | None,
    *,
    class_names: Sequence[str],
    num_folds: int = NUM_FOLDS,
    seed: int = 0,
) -> Folds:
    """Divide clips into folds that share no group, with about equal shares of each class.

    * A class whose clips are one clip, or one group, is never held out: its clips are in all training parts.
    * A class with fewer clips or groups than folds is held out in as many folds as it has.
    * Where groups hold whole classes and fewer than two classes could be held out, groups are ignored.
    * Where no two classes have two clips, there are no folds.

    Args:
        labels: the class of each clip.
        groups: the recording of each clip; None: each clip is its own.
        class_names: for the notes.
        num_folds: 2 or more.
        seed: of the division.

    >>> folds = make_folds([0, 0, 1, 1], ["a", "b", "a", "b"], class_names=["cat", "dog"])
    >>> [(train.tolist(), held.tolist()) for train, held in folds.parts]
    [([0, 2], [1, 3]), ([1, 3], [0, 2])]
    """
    labels_, units = np.asarray(labels), np.arange(len(labels))
    notes: list[str] = []
    if groups is not None:
        units = np.unique(np.asarray(groups), return_inverse=True)[1]
        if len(_divisible(labels_, units)) < 2 <= len(_divisible(labels_, np.arange(len(labels)))):
            notes.append(
                "warning: the groups hold whole classes, so that no class could be trained and tested with different "
                "groups. Clips are divided without groups: scores of the cross-validation are too high. Record each "
                "class at least twice."
            )
            units = np.arange(len(labels))
    divisible = _divisible(labels_, units)
    if len(divisible) < 2:
        notes.append(
            f"No cross-validation: {len(labels)} clips of {len(np.unique(labels_))} classes leave fewer than two "
            "classes with a clip to train on and one to test. Give two clips of each class, of different recordings."
        )
        return Folds((), tuple(notes))
    notes += _notes(labels_, units, divisible, class_names, num_folds)
    movable = np.flatnonzero(np.isin(labels_, divisible))
    num_folds = min(num_folds, max(_count(labels_, units, label) for label in divisible))
    parts = _divide(labels_[movable], units[movable], num_folds, seed)
    found = [(np.setdiff1d(np.arange(len(labels)), movable[held]), movable[held]) for held in parts]
    if untrained := {int(c) for train, _ in found for c in set(divisible) - set(labels_[train])}:
        names = ", ".join(class_names[c] for c in sorted(untrained))
        notes.append(f"{names}: all clips are in one group in some fold, which counts them as not recognised.")
    return Folds(tuple(found), tuple(notes))


def _count(labels: ndarray, units: ndarray, label: int) -> int:
    return len(np.unique(units[labels == label]))


def _divisible(labels: ndarray, units: ndarray) -> list[int]:
    """Classes with two groups or more."""
    return [int(label) for label in np.unique(labels) if _count(labels, units, label) > 1]


def _notes(
    labels: ndarray, units: ndarray, divisible: Sequence[int], class_names: Sequence[str], num_folds: int
) -> list[str]:
    notes = []
    what = "clip" if len(np.unique(units)) == len(units) else "group"
    if single := [class_names[label] for label in np.unique(labels) if label not in divisible]:
        notes.append(
            f"{', '.join(single)}: one {what} alone. Cross-validation trains with it and does not score it; give a "
            f"second {what}."
        )
    few = [class_names[label] for label in divisible if _count(labels, units, label) < num_folds]
    if few:
        notes.append(f"{', '.join(few)}: fewer {what}s than the {num_folds} folds. Some folds do not score these.")
    return notes


def _divide(labels: ndarray, units: ndarray, num_folds: int, seed: int) -> list[ndarray]:
    """The held-out places of each fold."""
    best: tuple[int, list[ndarray]] | None = None
    for attempt in range(TRIES):
        folds = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed + attempt)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class smaller than the folds: `_notes` says it
            held = [part for _, part in folds.split(labels, labels, units) if len(part)]
        missing = sum(len(set(labels) - set(np.delete(labels, part))) for part in held)
        if best is None or missing < best[0]:
            best = missing, held
        if not missing:
            break
    assert best is not None
    return best[1]
