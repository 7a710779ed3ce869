"""The parts of a run's report that differ for videos with several labels: tables, co-occurrence, clips."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from side4video.reports.report import ReportTable
from side4video.tasks.recognition.class_table import format_share
from side4video.tasks.recognition.multi_label_scores import MultiLabelEvaluation, SeveralPrediction

MAX_PAIRS = 15
NO_CLASS = "(none)"


def class_tables(evaluation: MultiLabelEvaluation) -> list[ReportTable]:
    """The scores of each class, and the pairs of classes that are predicted together too often."""
    rows = [
        (*row.cells(), format_share(value), f"{threshold:.2f}")
        for row, value, threshold in zip(
            evaluation.classes, evaluation.average_precision, evaluation.thresholds.values, strict=True
        )
    ]
    note = f"Recall, precision and F1 at the thresholds: {evaluation.thresholds.origin}. AP needs no threshold."
    head = ("class", "videos", "recall", "precision", "F1", "AP", "threshold")
    tables = [ReportTable(title="Classes", note=note, head=head, rows=rows)]
    if pairs := false_pairs(evaluation):
        tables.append(
            ReportTable(
                title="Predicted in addition",
                note="Classes that videos of another class are predicted to show and do not; most frequent first.",
                head=("videos of", "wrongly also predicted", "videos", "share"),
                rows=pairs,
            )
        )
    return tables


def false_pairs(evaluation: MultiLabelEvaluation) -> list[tuple[str, str, str, str]]:
    """Class, class that is wrongly predicted on its videos, number and share of these videos; most frequent first."""
    names = evaluation.class_names
    counts: dict[tuple[str, str], int] = {}
    for one in evaluation.predictions:
        for extra in set(one.predicted) - set(one.labels):
            for label in one.labels:
                counts[label, extra] = counts.get((label, extra), 0) + 1
    order = sorted(counts, key=lambda pair: (-counts[pair], pair))[:MAX_PAIRS]
    videos = dict(zip(names, evaluation.videos, strict=True))
    return [(*pair, str(counts[pair]), format_share(counts[pair] / videos[pair[0]])) for pair in order]


def cooccurrence(evaluation: MultiLabelEvaluation) -> NDArray[np.integer]:
    """The matrix (C, C), row: true class, column: predicted class."""
    return np.array(evaluation.cooccurrence, dtype=int).reshape(2 * (len(evaluation.class_names),))


def joined(names: Sequence[str], class_names: Sequence[str]) -> str:
    """Several classes as one text, in the order of the classes.

    >>> joined(["run", "jump"], ["jump", "run"]), joined([], ["run"])
    ('jump + run', '(none)')
    """
    return " + ".join(sorted(names, key=list(class_names).index)) or NO_CLASS


def as_one_class(prediction: SeveralPrediction, class_names: Sequence[str]) -> tuple[str, str]:
    """The predicted and the true classes of a video, each as one text."""
    return joined(prediction.predicted, class_names), joined(prediction.labels, class_names)
