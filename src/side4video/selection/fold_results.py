"""Results of candidates on held-out clips: stored fold by fold, compared clip by clip, shown as a table."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from pydantic import TypeAdapter
from rich.table import Table

from side4video.atomic_files import write_json
from side4video.tasks.recognition.baselines import accuracy_error, standard_error, with_error
from side4video.tasks.recognition.folds import Folds

RESULT = "search.json"
MAX_LOSS = 5.0
"""Maximum log loss of a clip, so that one confident mistake does not decide."""
TIE, COSTLY_TIE = 0.5, 1.0
"""A simpler candidate is chosen if it is within so many standard errors of the best one; `COSTLY_TIE` if the best one
is trained step by step (attention, side network), which takes minutes instead of seconds."""
BY_CHANCE = 0.023
"""Probability that the warning about guessing is left out although all candidates guess."""


@dataclass(frozen=True)
class FoldResults:
    """The result of a candidate on held-out clips.

    Attributes:
        name: name of the candidate.
        level: complexity of the candidate, see `Candidate.level`.
        changes: settings, by group, with which the candidate would be trained.
        right: index of each held-out clip in the list of training clips -> whether it was recognised.
        losses: index of each held-out clip -> log loss, at most `MAX_LOSS`.
        seconds: duration of training and evaluation.

    >>> found = FoldResults("linear probe", 0, {}, right={0: True, 3: False}, losses={0: 0.2, 3: 1.0}, seconds=1.0)
    >>> found.mean, found.loss
    (0.5, 0.6)
    """

    name: str
    level: int
    changes: dict[str, dict[str, Any]]
    right: dict[int, bool]
    losses: dict[int, float]
    seconds: float

    @property
    def loss(self) -> float:
        """Mean log loss of the held-out clips."""
        return float(np.mean(list(self.losses.values())))

    @property
    def mean(self) -> float:
        """Share of recognised clips among the held-out clips, 0..1."""
        return float(np.mean(list(self.right.values())))

    def write(self, path: Path) -> None:
        """Store the result, so that an interrupted search continues after it."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "FoldResults":
        """Load a result of `write`."""
        return TypeAdapter(cls).validate_json(path.read_bytes())

    def joined(self, other: "FoldResults") -> "FoldResults":
        """Join the results of one candidate on different clips."""
        return replace(
            self,
            right=self.right | other.right,
            losses=self.losses | other.losses,
            seconds=self.seconds + other.seconds,
        )


def log_loss(probability: float) -> float:
    """The log loss of a clip whose class has this probability, at most `MAX_LOSS`."""
    return -math.log(max(probability, math.exp(-MAX_LOSS)))


def guess_classes(labels: Int[ndarray, " clips"], places: Int[ndarray, " clips"], folds: Folds) -> FoldResults:
    """The result of guessing: the scores of every held-out clip are the shares of the classes in all training clips.

    Shares of the other folds would be wrong more often than chance: a class is rarer there if more of it is held out.

    Args:
        labels: class of each clip.
        places: index of each clip in the list of training clips.
        folds: folds of these clips, which must not be empty.

    >>> clips = np.arange(4)
    >>> found = guess_classes(np.array([0, 0, 0, 1]), clips, Folds(((clips[1:], clips[:1]), (clips[:3], clips[3:]))))
    >>> found.right, round(found.loss, 2)
    ({0: True, 3: False}, 0.84)
    """
    shares = np.bincount(labels) / len(labels)
    scored = list(zip(places[folds.scored].tolist(), labels[folds.scored].tolist(), strict=True))
    right = {place: label == int(shares.argmax()) for place, label in scored}
    losses = {place: log_loss(shares[label]) for place, label in scored}
    return FoldResults("majority class", 0, {}, right, losses, 0.0)


def error_of_difference(
    one: FoldResults, other: FoldResults, groups: Mapping[int, int] | None = None
) -> tuple[float, float]:
    """Return by how much the loss of `other` is above that of `one` on their common clips, and its standard error.

    `groups`: group of each clip. Clips of one group are alike, so that they tell less than as many independent ones.
    """
    places = sorted(one.losses.keys() & other.losses.keys())
    differences = [other.losses[place] - one.losses[place] for place in places]
    return float(np.mean(differences)), standard_error(differences, groups_of(places, groups))


def groups_of(places: Iterable[int], groups: Mapping[int, int] | None) -> list[int] | None:
    """The group of each clip; None without groups."""
    return [groups[place] for place in places] if groups else None


def choose(tried: list[FoldResults], groups: Mapping[int, int] | None = None) -> tuple[FoldResults, str]:
    """Choose the simplest candidate that is not clearly worse than the best; return it with a sentence that says why.

    The best candidate is the one with the smallest log loss, which is less noisy than the number of recognised clips.
    The best of each level is compared with it, from the lowest level on. A candidate is not clearly worse if the mean
    difference of the losses, clip by clip, is at most `TIE` or `COSTLY_TIE` standard errors of that difference.

    Args:
        tried: results on the same clips.
        groups: group of each clip; by default all clips are independent.

    >>> right = {0: True, 1: True}
    >>> simple = FoldResults("linear probe", 0, {}, right, losses={0: 0.5, 1: 0.3}, seconds=1.0)
    >>> best = FoldResults("side network", 3, {}, right, losses={0: 0.2, 1: 0.5}, seconds=9.0)
    >>> choose([simple, best])[0].name
    'linear probe'
    """
    best = min(tried, key=lambda one: one.loss)
    tie, close = (TIE, "half a standard error") if best.level < 2 else (COSTLY_TIE, "one standard error")
    for level in range(best.level):
        own = min((one for one in tried if one.level == level), key=lambda one: one.loss, default=None)
        if own is None:
            continue
        difference, error = error_of_difference(best, own, groups)
        if difference <= tie * error:
            return own, f"{own.name}: simpler than {best.name}, and its log loss is within {close}."
    simpler = f"no simpler candidate is within {close} of its log loss."
    return best, f"{best.name}: the best, and {simpler if best.level else 'one of the simplest.'}"


@dataclass(frozen=True)
class SearchResult:
    """All candidates, the chosen one and the reason.

    >>> one = FoldResults("linear probe", 0, {}, right={0: True, 1: False}, losses={0: 0.1, 1: 2.0}, seconds=1.0)
    >>> SearchResult((one,), "linear probe", "the only candidate.", seconds=1.0, notes=(), num_clips=2).rows()
    [('linear probe (chosen)', '50.0 +- 50.0', '1.05', '2', '1')]
    """

    tried: tuple[FoldResults, ...]
    chosen: str
    """Name of the chosen candidate."""
    reason: str
    seconds: float
    notes: tuple[str, ...]
    """How clips were grouped, and deviations from the settings."""
    num_clips: int
    """Number of training clips that were held out."""
    guess: FoldResults | None = None
    """What guessing scores on the same clips."""
    groups: dict[int, int] = field(default_factory=dict)
    """Group of each training clip; empty: all clips are independent."""

    @property
    def warning(self) -> str | None:
        """A sentence if the chosen candidate is not clearly better than guessing.

        Of candidates that all guess, one is better by chance. A single candidate must be better by about two standard
        errors of the log loss, the best of 14 by three: in 98 of 100 searches none is (Bonferroni, Student's t).
        """
        from scipy.stats import t as student  # takes a second; every report imports this module

        if self.guess is None:
            return None
        chosen = next(one for one in self.tried if one.name == self.chosen)
        gain, error = error_of_difference(chosen, self.guess, self.groups)
        independent = len(set(groups_of(chosen.losses, self.groups) or chosen.losses))
        if gain > student.isf(BY_CHANCE / len(self.tried), max(independent - 1, 1)) * error:
            return None
        return (
            f"warning: {chosen.name} is not clearly better than guessing: its log loss is {chosen.loss:.2f}, "
            f"that of the classes' shares {self.guess.loss:.2f}. Expect chance. Check the labels, or record more clips."
        )

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Name, accuracy in percent with standard error, log loss, clips, seconds; the best first, guessing last."""
        ordered = sorted(self.tried, key=lambda one: (-len(one.right), one.loss))
        ordered += [] if self.guess is None else [self.guess]
        return [
            (
                one.name + (" (chosen)" if one.name == self.chosen else ""),
                with_error(one.mean, accuracy_error(list(one.right.values()), groups_of(one.right, self.groups))),
                f"{one.loss:.2f}",
                str(len(one.right)),
                f"{one.seconds:.0f}",
            )
            for one in ordered
        ]

    def table(self) -> Table:
        """A printable table."""
        table = Table(*HEAD, title=f"Cross-validation on {self.num_clips} training clips", caption=self.reason)
        for row in self.rows():
            table.add_row(*row)
        return table

    def write(self, out: Path) -> None:
        """Store the result in the run folder."""
        write_json(out / RESULT, asdict(self))


HEAD = ("candidate", "right, %", "log loss", "clips", "seconds")


def read_search(out: Path) -> SearchResult | None:
    """Read the result of the search in a run folder; None without a search."""
    path = out / RESULT
    if not path.is_file():
        return None
    return TypeAdapter(SearchResult).validate_json(path.read_bytes())
