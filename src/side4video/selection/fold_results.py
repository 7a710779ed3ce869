"""What held-out clips said of a candidate: kept on disk fold by fold, compared clip by clip, shown as a table."""

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
    """A candidate and the held-out clips that it was tried on.

    Attributes:
        name: of the candidate.
        level: of the candidate: how much it trains.
        changes: settings by group, as they would be trained.
        right: place of each held-out clip in the list of training clips -> whether it was recognised.
        seconds: that it took.
    """

    name: str
    level: int
    changes: dict[str, dict[str, Any]]
    right: dict[int, bool]
    seconds: float

    @property
    def mean(self) -> float:
        """Share of the held-out clips that were recognised, 0..1."""
        return float(np.mean(list(self.right.values())))

    @property
    def error(self) -> float:
        """Standard error of the mean, with each clip counted as independent."""
        return standard_error(list(self.right.values()))

    def write(self, path: Path) -> None:
        """Keep it, so that a search that is cut off goes on behind it."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "FoldResults":
        """What `write` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(**content | {"right": {int(place): right for place, right in content["right"].items()}})

    def joined(self, other: "FoldResults") -> "FoldResults":
        """The same candidate on the clips of both."""
        return FoldResults(self.name, self.level, self.changes, self.right | other.right, self.seconds + other.seconds)


def error_of_difference(one: FoldResults, other: FoldResults) -> tuple[float, float]:
    """By how much `one` is better on the clips that both were tried on, and the standard error of that."""
    places = sorted(one.right.keys() & other.right.keys())
    differences = [int(one.right[place]) - int(other.right[place]) for place in places]
    return float(np.mean(differences)), standard_error(differences)  # type: ignore[arg-type]


def choose(tried: list[FoldResults]) -> tuple[FoldResults, str]:
    """The best candidate of the lowest level that is not clearly worse than the best of all, and why, in a sentence.

    Not clearly worse: the difference, clip by clip, is within one standard error of itself.

    Args:
        tried: on the same clips.
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
    """All candidates, what was chosen, and why."""

    tried: tuple[FoldResults, ...]
    chosen: str
    """Name of the candidate."""
    reason: str
    seconds: float
    notes: tuple[str, ...]
    """How clips were grouped, and what was done otherwise than asked for."""
    num_clips: int
    """Training clips that were held out once."""

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Name, cross-validation in percent with standard error, clips, seconds; the best first."""
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
        """Keep it in the run folder."""
        write_json(out / RESULT, asdict(self))


HEAD = ("candidate", "right, %", "clips", "seconds")


def read_search(out: Path) -> SearchResult | None:
    """The search of a run folder; None where there was none."""
    path = out / RESULT
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    tried = tuple(
        FoldResults(**one | {"right": {int(place): right for place, right in one["right"].items()}})
        for one in content["tried"]
    )
    return SearchResult(**content | {"tried": tried, "notes": tuple(content["notes"])})
