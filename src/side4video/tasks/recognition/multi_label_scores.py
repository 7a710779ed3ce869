"""The result of an evaluation on videos with several labels, printed as a table and stored as JSON."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from pydantic import TypeAdapter
from rich.table import Table

from side4video.adapters.adapter import Thresholds
from side4video.tasks.recognition.average_precision import average_precision
from side4video.tasks.recognition.class_table import ClassRow, class_rows, format_share
from side4video.tasks.recognition.metrics import mean_of_defined
from side4video.tasks.recognition.scores import KEPT_SCORES
from side4video.tasks.unread import NoReadableVideosError, UnreadVideo

FEW_POSITIVES = 10
"""Classes with fewer evaluation videos are named in a warning."""


@dataclass(frozen=True)
class SeveralPrediction:
    """The classes of one video.

    >>> SeveralPrediction("1.mp4", labels=("run",), predicted=("run", "jump"), classes=("run",), scores=(0.8,)).right
    False
    """

    name: str
    """Name of the video in its list."""
    labels: tuple[str, ...]
    """True classes."""
    predicted: tuple[str, ...]
    """Classes that reach their threshold, best first."""
    classes: tuple[str, ...]
    """The best classes, at most five, whether or not they reach their threshold."""
    scores: tuple[float, ...]
    """Their sigmoid scores, 0..1, pooled over the views."""

    @property
    def right(self) -> bool:
        """Whether exactly the true classes are predicted."""
        return set(self.predicted) == set(self.labels)


@dataclass(frozen=True)
class MultiLabelEvaluation:
    """Scores on videos with several labels; shares are 0..1 over the videos that could be read.

    >>> found = multi_label_evaluation(
    ...     np.array([[0.9, 0.2], [0.7, 0.6]]), np.array([[1, 0], [1, 1]]), names=["1.mp4", "2.mp4"],
    ...     class_names=("run", "jump"), views=1, thresholds=Thresholds((0.5, 0.5), "0.5")
    ... )
    >>> found.score, found.predictions[1].predicted, found.cooccurrence
    (1.0, ('run', 'jump'), ((2, 1), (1, 1)))
    """

    class_names: tuple[str, ...]
    views: int
    """Views (clips x crops) over which the sigmoid scores were pooled."""
    num_videos: int
    """Number of videos that were read and scored, each once."""
    mean_average_precision: float
    """Macro: mean over the classes that have videos."""
    micro_average_precision: float
    """Of all (video, class) pairs together."""
    average_precision: tuple[float | None, ...]
    """Of each class; None for classes without videos."""
    thresholds: Thresholds
    """Threshold of each class, and where they come from."""
    videos: tuple[int, ...]
    """Videos of each class."""
    predicted: tuple[int, ...]
    """Videos on which each class reaches its threshold."""
    cooccurrence: tuple[tuple[int, ...], ...]
    """Row: true class, column: predicted class; the videos that show the one and are predicted to show the other."""
    label_pairs: tuple[tuple[int, ...], ...]
    """The same for pairs of true classes: what `cooccurrence` would be if all predictions were right."""
    predictions: tuple[SeveralPrediction, ...]
    unread: tuple[UnreadVideo, ...]
    """Unreadable videos; they are not in the scores."""
    num_unlabelled: int = 0
    """Videos without any label; they are in the scores, or left out with `eval.unlabelled` "ignore"."""

    @property
    def score(self) -> float:
        """Macro mAP, which selects the best adapter by default."""
        return self.mean_average_precision

    def metric(self, name: str | None) -> float | None:
        """The score called `name` as in `train.best_by`, 0..1; None if undefined. `check_metric` refuses top-k."""
        if name is not None and name.startswith("recall:"):
            return self.classes[self.class_names.index(name.removeprefix("recall:"))].recall
        values = {"mAP": self.score, "macro-f1": self.macro_f1, "mean-class": self._mean("recall")}
        return self.score if name is None else values[name]

    @property
    def classes(self) -> list[ClassRow]:
        """Precision, recall and F1 of each class at its threshold."""
        right = np.array([row[place] for place, row in enumerate(self.cooccurrence)], dtype=int)
        videos, predicted = np.array(self.videos, dtype=int), np.array(self.predicted, dtype=int)
        return class_rows(self.class_names, true_positives=right, predicted=predicted, videos=videos)

    def _mean(self, name: str) -> float:
        values = [getattr(row, name) for row in self.classes]
        return mean_of_defined(np.array([np.nan if value is None else value for value in values]))

    @property
    def macro_f1(self) -> float:
        """Mean of the F1 of the classes that have videos, at their thresholds."""
        return self._mean("f1")

    @property
    def micro_f1(self) -> float:
        """F1 of all (video, class) pairs together, at the thresholds."""
        right = sum(row[place] for place, row in enumerate(self.cooccurrence))
        total = sum(self.predicted) + sum(self.videos)
        return 2 * right / total if total else 0.0

    def warnings(self) -> list[str]:
        """A sentence about the classes with few videos, if there are any."""
        counts = zip(self.class_names, self.videos, strict=True)
        few = [f"{name} ({count})" for name, count in counts if count < FEW_POSITIVES]
        if not few:
            return []
        shown = ", ".join(few[:10]) + (", ..." if len(few) > 10 else "")
        return [
            f"{len(few)} of {len(self.class_names)} classes have fewer than {FEW_POSITIVES} evaluation videos: "
            f"{shown}. Their average precision is uncertain, and they count as much as all others in the macro mean."
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain lists and dictionaries."""
        derived = {
            "macro_f1": self.macro_f1,
            "micro_f1": self.micro_f1,
            "classes": [
                asdict(row) | {"average_precision": value, "threshold": threshold}
                for row, value, threshold in zip(
                    self.classes, self.average_precision, self.thresholds.values, strict=True
                )
            ],
        }
        return asdict(self) | {"thresholds": self.thresholds._asdict()} | derived

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "MultiLabelEvaluation":
        """Restore a result of `to_json`, also after a round trip through JSON."""
        return TypeAdapter(cls).validate_python(content)

    def headline(self) -> dict[str, float | int]:
        """The main numbers, for a log line."""
        return {
            "mAP": self.mean_average_precision,
            "micro_mAP": self.micro_average_precision,
            "macro_f1": self.macro_f1,
            "micro_f1": self.micro_f1,
            "videos": self.num_videos,
            "unread": len(self.unread),
        }

    def conditions(self) -> dict[str, Any]:
        """The views of each video, and where the thresholds come from."""
        return {"views": self.views, "thresholds": self.thresholds.origin}

    def table(self, *, max_classes: int | None = None) -> Table:
        """A printable table: the totals, and a row per class unless there are more than `max_classes`."""
        title = f"{self.num_videos} videos, {self.views} view{'s' if self.views > 1 else ''} each"
        if self.num_unlabelled:
            title += f"; {self.num_unlabelled} without labels"
        if self.unread:
            title += f"; {len(self.unread)} could not be read and are not in the scores"
        caption = f"Recall, precision and F1 at the thresholds: {self.thresholds.origin}."
        table = Table("class", "videos", "recall", "precision", "F1", "AP", "threshold", title=title, caption=caption)
        for column in table.columns[1:]:
            column.justify = "right"
        if max_classes is None or len(self.class_names) <= max_classes:
            for row, value, threshold in zip(self.classes, self.average_precision, self.thresholds.values, strict=True):
                table.add_row(*row.cells(), format_share(value), f"{threshold:.2f}")
            table.add_section()
        macro = [self._mean("recall"), self._mean("precision"), self.macro_f1, self.mean_average_precision]
        table.add_row("mean of classes (macro)", "", *map(format_share, macro))
        micro = ["", "", format_share(self.micro_f1), format_share(self.micro_average_precision)]
        table.add_row("all labels (micro)", "", *micro)
        return table


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, (list, tuple)) else value


def multi_label_evaluation(
    scores: Float[ndarray, "V C"],
    targets: Int[ndarray, "V C"],
    *,
    names: list[str],
    class_names: tuple[str, ...],
    views: int,
    thresholds: Thresholds,
    unread: tuple[UnreadVideo, ...] = (),
    unlabelled: str = "negative",
) -> MultiLabelEvaluation:
    """Compute every metric from sigmoid scores and targets, 1 for the classes that a video shows.

    Args:
        scores, targets: V videos, C classes.
        names: names of the videos.
        class_names: C names.
        views: views of each video.
        thresholds: of each class.
        unread: videos that could not be read.
        unlabelled: "ignore" leaves out videos without labels.

    Raises:
        NoReadableVideosError: no video could be read.
    """
    if not len(scores):
        raise NoReadableVideosError(unread)
    labelled = targets.sum(axis=1) > 0
    num_unlabelled = int((~labelled).sum())
    if unlabelled == "ignore":
        scores, targets = scores[labelled], targets[labelled]
        names = [name for name, is_labelled in zip(names, labelled, strict=True) if is_labelled]
    found = average_precision(scores, targets)
    predicted = (scores >= np.array(thresholds.values)).astype(int)
    return MultiLabelEvaluation(
        class_names=class_names,
        views=views,
        num_videos=len(scores),
        mean_average_precision=found.macro,
        micro_average_precision=found.micro,
        average_precision=found.classes,
        thresholds=thresholds,
        videos=tuple(targets.sum(axis=0).tolist()),
        predicted=tuple(predicted.sum(axis=0).tolist()),
        cooccurrence=_as_tuples((targets.T @ predicted).tolist()),
        label_pairs=_as_tuples((targets.T @ targets).tolist()),
        predictions=tuple(
            _prediction(*row, class_names) for row in zip(names, scores, targets, predicted, strict=True)
        ),
        unread=unread,
        num_unlabelled=num_unlabelled,
    )


def _prediction(
    name: str, scores: ndarray, targets: ndarray, predicted: ndarray, class_names: tuple[str, ...]
) -> SeveralPrediction:
    order = np.argsort(-scores, kind="stable")
    best = order[:KEPT_SCORES]
    return SeveralPrediction(
        name=name,
        labels=tuple(class_names[place] for place in np.flatnonzero(targets)),
        predicted=tuple(class_names[place] for place in order if predicted[place]),
        classes=tuple(class_names[place] for place in best),
        scores=tuple(float(scores[place]) for place in best),
    )
