"""Divides the training clips into folds for cross-validation: stratified by class, grouped by recording."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

NUM_FOLDS = 4
TRIES = 20
"""Maximum number of random divisions; the first one with training clips of every class is used."""


@dataclass(frozen=True)
class Folds:
    """Divisions of the training clips into a part to train on and a part held out.

    Attributes:
        parts: indices of the training clips and of the held-out clips of each fold; empty if no
            cross-validation is possible.
        notes: sentences about deviations from the request and their reasons.
        groups: number of each clip's group; clips of different groups are independent. None: all are.

    >>> first, second = np.array([0, 2]), np.array([1, 3])
    >>> Folds(((first, second), (second, first))).scored.tolist()
    [0, 1, 2, 3]
    """

    parts: tuple[tuple[Int[ndarray, " train"], Int[ndarray, " held"]], ...]
    notes: tuple[str, ...] = ()
    groups: Int[ndarray, " clips"] | None = None

    @property
    def scored(self) -> Int[ndarray, " scored"]:
        """Indices of all clips that are held out in some fold, ascending."""
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

    * A class with a single clip or group is never held out: its clips are in all training parts.
    * A class with fewer clips or groups than folds is held out in as many folds as it has clips or groups.
    * If groups hold whole classes, so that fewer than two classes could be held out, groups are ignored.
    * If fewer than two classes have two clips, there are no folds.

    Args:
        labels: class of each clip.
        groups: recording of each clip; None: each clip is its own group.
        class_names: names of the classes, for the notes.
        num_folds: number of folds, 2 or more.
        seed: seed of the division.

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
    return Folds(tuple(found), tuple(notes), units)


def _count(labels: ndarray, units: ndarray, label: int) -> int:
    return len(np.unique(units[labels == label]))


def _divisible(labels: ndarray, units: ndarray) -> list[int]:
    """Return the classes with at least two groups."""
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
    """Return the held-out indices of each fold."""
    from sklearn.model_selection import StratifiedGroupKFold  # takes a second; every report imports this module

    best: tuple[int, list[ndarray]] | None = None
    for attempt in range(TRIES):
        folds = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed + attempt)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class with fewer clips than folds: see `_notes`
            held = [part for _, part in folds.split(labels, labels, units) if len(part)]
        missing = sum(len(set(labels) - set(np.delete(labels, part))) for part in held)
        if best is None or missing < best[0]:
            best = missing, held
        if not missing:
            break
    assert best is not None
    return best[1]
