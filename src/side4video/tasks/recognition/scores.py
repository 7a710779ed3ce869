"""The result of an evaluation, printed as a table and stored as JSON."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from pydantic import TypeAdapter
from rich.table import Table

from side4video.tasks.recognition.average_precision import average_precision
from side4video.tasks.recognition.class_table import ClassRow, few_videos_warning, rows_of_confusion
from side4video.tasks.recognition.metrics import (
    class_accuracies,
    confusion_matrix,
    mean_class_accuracy,
    mean_of_defined,
    top_k_accuracy,
    wilson_interval,
)
from side4video.tasks.unread import NoReadableVideosError, UnreadVideo

KEPT_SCORES = 5


@dataclass(frozen=True)
class Prediction:
    """The best classes of one video.

    >>> Prediction(name="1.mp4", label="run", classes=("run", "jump"), scores=(0.8, 0.2)).right
    True
    """

    name: str
    """Name of the video in its list."""
    label: str | None
    """True class; None if unknown."""
    classes: tuple[str, ...]
    """Best classes first, at most five."""
    scores: tuple[float, ...]
    """Their softmax scores, 0..1, averaged over the views."""

    @property
    def right(self) -> bool:
        """Whether the best class is the true one."""
        return self.classes[0] == self.label


@dataclass(frozen=True)
class Evaluation:
    """Scores on an evaluation set; shares are 0..1 over the videos that could be read.

    >>> found = evaluation_from_scores(
    ...     np.eye(2), np.array([0, 1]), names=["1.mp4", "2.mp4"], class_names=("run", "jump"), views=1
    ... )
    >>> found.top1, found.confusion
    (1.0, ((1, 0), (0, 1)))
    """

    class_names: tuple[str, ...]
    views: int
    """Views (clips x crops) over which the softmax was averaged."""
    num_videos: int
    """Number of videos that were read and scored, each once."""
    top1: float
    top5: float
    mean_class_accuracy: float
    class_accuracies: tuple[float | None, ...]
    """Accuracy of each class; None for classes without videos."""
    confusion: tuple[tuple[int, ...], ...]
    """Row: true class, column: predicted class."""
    predictions: tuple[Prediction, ...]
    unread: tuple[UnreadVideo, ...]
    """Unreadable videos; they are not in the scores."""
    mean_average_precision: float | None = None
    """Mean over the classes of the average precision of their softmax scores; None in files of earlier versions."""

    @property
    def score(self) -> float:
        """Top-1 accuracy, which selects the best adapter by default."""
        return self.top1

    def metric(self, name: str | None) -> float | None:
        """The score called `name` as in `train.best_by`, 0..1; None if it is undefined: a class without videos.

        >>> names = {"names": ["1.mp4", "2.mp4", "3.mp4"], "class_names": ("run", "jump")}
        >>> found = evaluation_from_scores(np.eye(2)[[0, 0, 1]], np.array([0, 1, 1]), views=1, **names)
        >>> found.metric(None) == found.top1, found.metric("mean-class"), found.metric("recall:jump")
        (True, 0.75, 0.5)
        """
        if name is not None and name.startswith("recall:"):
            return self.class_accuracies[self.class_names.index(name.removeprefix("recall:"))]
        values = {
            "top1": self.top1,
            "top5": self.top5,
            "mean-class": self.mean_class_accuracy,
            "macro-f1": self.macro_f1,
            "mAP": self.mean_average_precision,
        }
        return self.score if name is None else values[name]

    @property
    def classes(self) -> list[ClassRow]:
        """Precision, recall and F1 of each class."""
        confusion = np.array(self.confusion).reshape(len(self.class_names), len(self.class_names))
        return rows_of_confusion(self.class_names, confusion)

    @property
    def macro_f1(self) -> float:
        """Mean of the F1 of the classes that have videos."""
        return mean_of_defined(np.array([np.nan if row.f1 is None else row.f1 for row in self.classes]))

    def warnings(self) -> list[str]:
        """A sentence with the confidence interval of top-1, if there are few videos."""
        warning = few_videos_warning("top-1", self._num_right, self.num_videos)
        return [] if warning is None else [warning]

    @property
    def _num_right(self) -> int:
        return round(self.top1 * self.num_videos)

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain lists and dictionaries."""
        derived = {
            "top1_interval": wilson_interval(self._num_right, self.num_videos),
            "macro_f1": self.macro_f1,
            "classes": [asdict(row) for row in self.classes],
        }
        return asdict(self) | derived

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Evaluation":
        """Restore a result of `to_json`, also after a round trip through JSON."""
        return TypeAdapter(cls).validate_python(content)

    def headline(self) -> dict[str, float | int]:
        """The main numbers, for a log line."""
        return {
            "top1": self.top1,
            "top5": self.top5,
            "mean_class_accuracy": self.mean_class_accuracy,
            "macro_f1": self.macro_f1,
            "videos": self.num_videos,
            "unread": len(self.unread),
        }

    def conditions(self) -> dict[str, Any]:
        """The views of each video."""
        return {"views": self.views}

    def table(self, *, max_classes: int | None = None) -> Table:
        """A printable table: the totals, and a row per class unless there are more than `max_classes`."""
        title = f"{self.num_videos} videos, {self.views} view{'s' if self.views > 1 else ''} each"
        if self.unread:
            title += f"; {len(self.unread)} could not be read and are not in the scores"
        table = Table("class", "videos", "recall", "precision", "F1", title=title)
        for column in table.columns[1:]:
            column.justify = "right"
        if max_classes is None or len(self.class_names) <= max_classes:
            for row in self.classes:
                table.add_row(*row.cells())
            table.add_section()
        table.add_row("mean of classes", "", f"{self.mean_class_accuracy:.1%}", "", f"{self.macro_f1:.1%}")
        table.add_row("top-1", str(self.num_videos), f"{self.top1:.1%}")
        table.add_row("top-5", str(self.num_videos), f"{self.top5:.1%}")
        return table


def evaluation_from_scores(
    scores: Float[ndarray, "V C"],
    labels: Int[ndarray, " V"],
    *,
    names: list[str],
    class_names: tuple[str, ...],
    views: int,
    unread: tuple[UnreadVideo, ...] = (),
) -> Evaluation:
    """Compute every metric from softmax scores (V videos, C classes) and labels.

    Raises:
        NoReadableVideosError: no video could be read.
    """
    if not len(scores):
        raise NoReadableVideosError(unread)
    confusion = confusion_matrix(scores.argmax(axis=1), labels, len(class_names))
    accuracies = class_accuracies(confusion)
    return Evaluation(
        class_names=class_names,
        views=views,
        num_videos=len(scores),
        top1=top_k_accuracy(scores, labels, 1),
        top5=top_k_accuracy(scores, labels, min(5, len(class_names))),
        mean_class_accuracy=mean_class_accuracy(confusion),
        class_accuracies=tuple(None if np.isnan(value) else float(value) for value in accuracies),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        predictions=tuple(
            best_classes(row, name=name, label=class_names[label], class_names=class_names)
            for row, name, label in zip(scores, names, labels, strict=True)
        ),
        unread=unread,
        mean_average_precision=average_precision(scores, np.eye(len(class_names), dtype=int)[labels]).macro,
    )


def best_classes(
    scores: Float[ndarray, " C"],
    *,
    name: str,
    label: str | None,
    class_names: tuple[str, ...],
    top_k: int = KEPT_SCORES,
) -> Prediction:
    """Return the `top_k` best classes of one video."""
    best = np.argsort(-scores, kind="stable")[:top_k]
    return Prediction(
        name=name,
        label=label,
        classes=tuple(class_names[index] for index in best),
        scores=tuple(float(scores[index]) for index in best),
    )
