"""Results of candidates on held-out clips: stored fold by fold, compared clip by clip, shown as a table."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from side4video.atomic_files import write_json
from side4video.tasks.recognition.baselines import standard_error, with_error

RESULT = "search.json"


@dataclass(frozen=True)
class FoldResults:
    """The result of a candidate on held-out clips.

    Attributes:
        name: name of the candidate.
        level: complexity of the candidate, see `Candidate.level`.
        changes: settings, by group, with which the candidate would be trained.
        right: index of each held-out clip in the list of training clips -> whether it was recognised.
        seconds: duration of training and evaluation.

    >>> FoldResults("linear probe", level=0, changes={}, right={0: True, 3: False}, seconds=1.0).mean
    0.5
    """

    name: str
    level: int
    changes: dict[str, dict[str, Any]]
    right: dict[int, bool]
    seconds: float

    @property
    def mean(self) -> float:
        """Share of recognised clips among the held-out clips, 0..1."""
        return float(np.mean(list(self.right.values())))

    @property
    def error(self) -> float:
        """Standard error of the mean, for independent clips."""
        return standard_error(list(self.right.values()))

    def write(self, path: Path) -> None:
        """Store the result, so that an interrupted search continues after it."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "FoldResults":
        """Load a result of `write`."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(**content | {"right": {int(place): right for place, right in content["right"].items()}})

    def joined(self, other: "FoldResults") -> "FoldResults":
        """Join the results of one candidate on different clips."""
        return FoldResults(self.name, self.level, self.changes, self.right | other.right, self.seconds + other.seconds)


def error_of_difference(one: FoldResults, other: FoldResults) -> tuple[float, float]:
    """Return the mean advantage of `one` over `other` on their common clips, and its standard error."""
    places = sorted(one.right.keys() & other.right.keys())
    differences = [int(one.right[place]) - int(other.right[place]) for place in places]
    return float(np.mean(differences)), standard_error(differences)  # type: ignore[arg-type]


def choose(tried: list[FoldResults]) -> tuple[FoldResults, str]:
    """Choose the simplest candidate that is not clearly worse than the best; return it with a sentence that says why.

    The best candidate of each level is compared with the best of all, from the lowest level on. A candidate is not
    clearly worse if the mean difference, clip by clip, is at most one standard error of that difference.

    Args:
        tried: results on the same clips.

    >>> simple = FoldResults("linear probe", level=0, changes={}, right={0: True, 1: True, 2: False}, seconds=1.0)
    >>> best = FoldResults("side network", level=2, changes={}, right={0: True, 1: True, 2: True}, seconds=9.0)
    >>> choose([simple, best])[0].name
    'linear probe'
    """
    best = max(tried, key=lambda one: one.mean)
    for level in range(best.level):
        own = max((one for one in tried if one.level == level), key=lambda one: one.mean, default=None)
        if own is None:
            continue
        difference, error = error_of_difference(best, own)
        if difference <= error:
            return own, f"{own.name}: simpler than {best.name}, and within one standard error of it."
    return best, f"{best.name}: the best, and nothing simpler is within one standard error."


@dataclass(frozen=True)
class SearchResult:
    """All candidates, the chosen one and the reason.

    >>> one = FoldResults("linear probe", level=0, changes={}, right={0: True, 1: False}, seconds=1.0)
    >>> SearchResult((one,), "linear probe", "the only candidate.", seconds=1.0, notes=(), num_clips=2).rows()
    [('linear probe (chosen)', '50.0 +- 50.0', '2', '1')]
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

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Name, accuracy in percent with standard error, clips, seconds; the best candidate first."""
        ordered = sorted(self.tried, key=lambda one: (-len(one.right), -one.mean))
        return [
            (
                one.name + (" (chosen)" if one.name == self.chosen else ""),
                with_error(one.mean, one.error),
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


HEAD = ("candidate", "right, %", "clips", "seconds")


def read_search(out: Path) -> SearchResult | None:
    """Read the result of the search in a run folder; None without a search."""
    path = out / RESULT
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    tried = tuple(
        FoldResults(**one | {"right": {int(place): right for place, right in one["right"].items()}})
        for one in content["tried"]
    )
    return SearchResult(**content | {"tried": tried, "notes": tuple(content["notes"])})
