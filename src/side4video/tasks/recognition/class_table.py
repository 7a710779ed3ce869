"""Precision, recall and F1 of each class as rows of tables and JSON, and the warning about few videos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from side4video.tasks.recognition.metrics import class_metrics, wilson_interval

WIDE_INTERVAL = 0.2
"""Confidence intervals of scores that are wider than this get a warning: below about 90 videos at 50 %, 40 at 95 %."""


@dataclass(frozen=True)
class ClassRow:
    """The scores of one class, 0..1; None where undefined.

    >>> ClassRow("run", videos=4, precision=0.75, recall=0.75, f1=0.75, recall_interval=(0.30, 0.95)).cells()
    ('run', '4', '75.0%', '75.0%', '75.0%')
    """

    name: str
    videos: int
    precision: float | None
    recall: float | None
    f1: float | None
    recall_interval: tuple[float, float] | None
    """95 % confidence interval of the recall (Wilson)."""

    def cells(self) -> tuple[str, ...]:
        """Name, videos, recall, precision and F1 as text."""
        return (self.name, str(self.videos), *(format_share(value) for value in (self.recall, self.precision, self.f1)))


def class_rows(
    names: Sequence[str],
    *,
    true_positives: Int[ndarray, " C"],
    predicted: Int[ndarray, " C"],
    videos: Int[ndarray, " C"],
) -> list[ClassRow]:
    """One row per class, from counts as in `class_metrics`."""
    found = class_metrics(true_positives=true_positives, predicted=predicted, videos=videos)
    return [
        ClassRow(
            name,
            videos=int(videos[place]),
            precision=_defined(found.precision[place]),
            recall=_defined(found.recall[place]),
            f1=_defined(found.f1[place]),
            recall_interval=wilson_interval(int(true_positives[place]), int(videos[place])) if videos[place] else None,
        )
        for place, name in enumerate(names)
    ]


def rows_of_confusion(names: Sequence[str], confusion: Int[ndarray, "C C"]) -> list[ClassRow]:
    """One row per class, from a confusion matrix; row: true class, column: predicted class.

    >>> [row.recall for row in rows_of_confusion(["left", "right"], np.array([[3, 1], [0, 0]]))]
    [0.75, None]
    """
    right, predicted, videos = confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1)
    return class_rows(names, true_positives=right, predicted=predicted, videos=videos)


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def format_share(value: float | None) -> str:
    """A share in percent, or "-"."""
    return "-" if value is None else f"{value:.1%}"


def few_videos_warning(score: str, right: int, total: int) -> str | None:
    """A sentence with the confidence interval of a share if it is wide, otherwise None.

    >>> few_videos_warning("top-1", 9, 12)  # doctest: +ELLIPSIS
    'top-1 is 75.0% on 12 videos: its 95 % confidence interval is 46.8% to 91.1% (Wilson). ...'
    >>> few_videos_warning("top-1", 900, 1200)
    """
    low, high = wilson_interval(right, total)
    if not total or high - low <= WIDE_INTERVAL:
        return None
    return (
        f"{score} is {right / total:.1%} on {total} videos: its 95 % confidence interval is {low:.1%} to {high:.1%} "
        "(Wilson). Smaller differences between models can be chance; evaluate on more videos."
    )
