"""One self-contained HTML page about a run: scores, settings, training curves, confusion matrix, film strips.

The page makes no network requests, follows the reader's light or dark preference and fits a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from side4video.atomic_files import write_text
from side4video.inference.explanation import ClassEvidence, Explanation
from side4video.reports.heatmaps import draw_attention, draw_colour_scale, draw_evidence
from side4video.reports.report_pictures import draw_confusion, draw_curves, draw_film_strip
from side4video.tasks.recognition.class_table import rows_of_confusion

MAX_DRAWN_CLASSES = 60
"""Largest number of classes for a drawn confusion matrix; with more, only the most confused pairs are listed."""


@dataclass(frozen=True, kw_only=True)
class ReportTable:
    """A table of text cells.

    Attributes:
        title: heading of the table.
        note: a sentence below the heading.
        head: names of the columns; the first column is text, the others are numbers.
        rows: rows with one text for each column.

    >>> table = ReportTable(title="Probes", note="On 100 clips.", head=("probe", "top-1"), rows=[("linear", "61.0 %")])
    >>> table.rows[0][1]
    '61.0 %'
    """

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A line chart.

    Attributes:
        title: heading of the chart.
        lines: name of each line -> its x and y values, of equal length.
        x_label: label of the x axis, for instance "step".
        y_label: label of the y axis.
        log_scale: use a logarithmic y axis.

    >>> Chart(title="Loss", lines={"training": ([1, 2], [0.9, 0.7])}, x_label="step", y_label="cross-entropy").title
    'Loss'
    """

    title: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    x_label: str
    y_label: str
    log_scale: bool = False


@dataclass(frozen=True, kw_only=True)
class ClipExample:
    """A clip and its prediction.

    Attributes:
        name: identifies the clip, for instance its path in the data set.
        frames: uint8 (T, H, W, 3), RGB.
        predicted_class: name of the class with the highest score.
        score: score of that class, 0 to 1; None: not shown.
        true_class: name of the correct class; None if unknown.
        explanation: evidence, shown as heatmaps over the frames; None: plain frames are shown.

    >>> frames = np.zeros((8, 64, 64, 3), dtype=np.uint8)
    >>> ClipExample(name="1.mp4", frames=frames, predicted_class="run", score=0.8, true_class="jump").verdict
    'wrong'
    """

    name: str
    frames: NDArray[np.uint8]
    predicted_class: str
    score: float | None
    true_class: str | None = None
    explanation: Explanation | None = None

    @property
    def strips(self) -> list[tuple[ClassEvidence | None, str]]:
        """Pictures as `data:` URLs: the evidence for each explained class, or else the frames."""
        if self.explanation is None:
            return [(None, draw_film_strip(self.frames))]
        strips = [(evidence, draw_evidence(self.explanation, evidence)) for evidence in self.explanation.classes]
        attended = self.explanation.attention is not None
        return [*strips, *([(None, draw_attention(self.explanation))] if attended else [])]

    @property
    def verdict(self) -> str:
        """Whether the prediction is "right", "wrong" or "unknown"."""
        if self.true_class is None:
            return "unknown"
        return "right" if self.predicted_class == self.true_class else "wrong"


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """How often clips of one class were predicted as another.

    >>> most_confused(np.array([[3, 1], [0, 4]]), ["left", "right"])[0].share
    0.25
    """

    true_class: str
    predicted_class: str
    num_clips: int
    share: float


def most_confused(confusion: NDArray[np.integer], class_names: Sequence[str], *, limit: int = 10) -> list[ConfusedPair]:
    """Return the most confused pairs of classes, at most `limit`, most errors first.

    Args:
        confusion: (C, C) counts; row: true class, column: predicted class.
        class_names: C names.
        limit: largest number of pairs; pairs without errors are never returned.
    """
    mistakes = confusion - np.diag(confusion.diagonal())
    cells = sorted(np.argwhere(mistakes > 0).tolist(), key=lambda cell: -mistakes[cell[0], cell[1]])[:limit]
    return [
        ConfusedPair(
            true_class=class_names[row],
            predicted_class=class_names[column],
            num_clips=int(mistakes[row, column]),
            share=float(mistakes[row, column] / confusion[row].sum()),
        )
        for row, column in cells
    ]


def write_report(
    path: Path,
    *,
    title: str,
    summary: str = "",
    scores: Mapping[str, float] | None = None,
    tables: Sequence[ReportTable] = (),
    settings: Mapping[str, Any] | None = None,
    charts: Sequence[Chart] = (),
    confusion: NDArray[np.integer] | None = None,
    num_clips: Sequence[int] | None = None,
    class_names: Sequence[str] = (),
    examples: Sequence[ClipExample] = (),
) -> None:
    """Write the page; parts that are not given are left out. Names are shown as plain text, never as HTML.

    Args:
        path: the HTML file; an existing one is replaced, its folder is created.
        title: heading of the page.
        summary: a paragraph below the heading.
        scores: name of each score -> value, 0 to 1; shown as bars in the given order.
        tables: shown after the scores.
        settings: name -> value, shown as text in a table.
        charts: training curves.
        confusion: (C, C) counts on the evaluated clips; row: true class, column: predicted class.
        num_clips: clips of each class, if they have several labels: `confusion` then counts pairs of a true and a
            predicted class, and is shown as co-occurrence.
        class_names: C names, required with `confusion`.
        examples: clips to show as film strips, the wrong ones first.

    Raises:
        ValueError: a score is outside 0 to 1, or the confusion matrix is not (C, C).
    """
    _check(scores or {}, examples, confusion, class_names)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    drawn = confusion is not None and len(class_names) <= MAX_DRAWN_CLASSES
    page = environment.get_template("report.html.jinja").render(
        title=title,
        summary=summary,
        scores=scores or {},
        tables=tables,
        settings=settings or {},
        charts=[(chart.title, _draw(chart)) for chart in charts],
        confusion_picture=draw_confusion(confusion, class_names, num_clips)
        if confusion is not None and drawn
        else None,
        several_labels=num_clips is not None,
        confused_pairs=most_confused(confusion, class_names) if confusion is not None and num_clips is None else [],
        classes=[]
        if confusion is None or num_clips is not None
        else [*zip(rows_of_confusion(class_names, confusion), confusion.diagonal().tolist(), strict=True)],
        colour_scale=draw_colour_scale() if any(example.explanation for example in examples) else None,
        examples=[
            (example, example.strips)
            for verdict in ("wrong", "right", "unknown")
            for example in examples
            if example.verdict == verdict
        ],
    )
    write_text(path, page)


def _draw(chart: Chart) -> str:
    return draw_curves(chart.lines, x_label=chart.x_label, y_label=chart.y_label, log_scale=chart.log_scale)


def _check(
    scores: Mapping[str, float],
    examples: Sequence[ClipExample],
    confusion: NDArray[np.integer] | None,
    class_names: Sequence[str],
) -> None:
    for name, score in [*scores.items(), *((example.name, example.score) for example in examples)]:
        if score is not None and not 0 <= score <= 1:
            raise ValueError(f"The score of {name!r} is {score}, outside 0 to 1. Divide percentages by 100.")
    if confusion is not None and confusion.shape != (len(class_names), len(class_names)):
        raise ValueError(
            f"{confusion.shape = } does not fit {len(class_names)} class names. Give one row and column per class."
        )
