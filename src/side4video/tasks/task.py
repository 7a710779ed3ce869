"""The interface between the training loop and a task, recognition or retrieval."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.table import Table
from torch import Tensor

from side4video.adapters.adapter import Thresholds
from side4video.data.datasets import TrainClips
from side4video.data.loading.balanced_draws import BalancedDraws
from side4video.data.loading.batch import Batch
from side4video.data.loading.order import TrainOrder
from side4video.models.side_tuned_model import SideTunedModel
from side4video.tasks.unread import UnreadVideo

ZERO_SHOT = "zero_shot.json"
"""File in the run folder with the retrieval scores of the frozen model."""

Backward = Callable[[Tensor, Sequence[Batch]], None]
"""Back-propagates a loss; its batches are recorded if it is not finite."""


class Scores(Protocol):
    """The result of an evaluation.

    >>> import numpy as np
    >>> from side4video.tasks.recognition.scores import evaluation_from_scores
    >>> names = {"names": ["a.mp4", "b.mp4"], "class_names": ("run", "jump")}
    >>> scores: Scores = evaluation_from_scores(np.eye(2), np.array([0, 1]), views=1, **names)
    >>> scores.score, scores.num_videos
    (1.0, 2)
    """

    @property
    def score(self) -> float:
        """The score that selects the best adapter, 0 to 1; higher is better."""

    def metric(self, name: str | None) -> float | None:
        """The score called `name` as in `train.best_by`, 0 to 1, or `score` without a name; None if undefined."""

    def warnings(self) -> list[str]:
        """Sentences about what the scores cannot show, such as differences on few videos."""

    @property
    def num_videos(self) -> int:
        """Number of videos that were read and scored."""

    @property
    def unread(self) -> tuple[UnreadVideo, ...]:
        """Unreadable videos; they are not in the scores."""

    def headline(self) -> dict[str, float | int]:
        """The main numbers, for a log line."""

    def conditions(self) -> dict[str, Any]:
        """The conditions of the evaluation that a reader of the scores must know."""

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain lists and dictionaries."""

    def table(self, *, max_classes: int | None = None) -> Table:
        """A printable table, without the rows per class if there are more than `max_classes`."""


@dataclass(frozen=True)
class StepResult:
    """The result of a training step, before the optimizer's update.

    >>> result = StepResult(loss_sum=3.0, right=1, views=2)
    >>> result.loss_sum / result.views
    1.5
    """

    loss_sum: float
    """Sum of the losses over the views."""
    right: int
    """Correctly predicted views."""
    views: int


class Task(Protocol):
    """Model, data, loss and evaluation of a run.

    >>> import torch
    >>> from side4video.adapters.adapter import read_adapter
    >>> from side4video.training.build_task import build_task
    >>> task: Task = build_task(read_adapter(Path("adapter")).config, torch.device("cpu"))  # doctest: +ELLIPSIS
    train: clips/train: Read as folder. 4 videos, ...
    >>> task.class_names, task.has_test_set
    (('anticlockwise', 'clockwise'), True)
    """

    @property
    def model(self) -> SideTunedModel:
        """The model to train."""

    train_set: TrainClips
    class_names: tuple[str, ...]
    """Class names in the order of the model's outputs; empty for retrieval."""
    has_test_set: bool
    draws: BalancedDraws | None
    """Draws the clips of an epoch, if `data.sampling_weights` is set; None: each clip is used once."""

    def prepare(self, out: Path, *, resumed: bool, from_adapter: bool = False) -> None:
        """Prepare the first step, for example fit a probe; done once per run, not again after a resume.

        Args:
            out: the run folder.
            resumed: the model has the weights of a checkpoint.
            from_adapter: the model has the weights of an adapter.
        """

    def train_batches(self, order: TrainOrder) -> Iterator[Batch]:
        """The remaining micro-batches of a run, in the given order."""

    def step(self, batches: Iterator[Batch], backward: Backward, *, views: int, epoch: int) -> StepResult:
        """Forward and backward pass of one step.

        Args:
            batches: the micro-batches of the step, none of them empty.
            backward: called with parts of the loss; their sum is the loss of the step.
            views: number of views of the step if every video is readable.
            epoch: epoch number, from 0.
        """

    def evaluate(self) -> Scores:
        """Score the test set; the model stays in eval mode."""

    def identity(self) -> dict[str, Any]:
        """What identifies the data of each set, whatever its paths; see `identify_videos`."""

    def thresholds(self, evaluation: Scores | None) -> Thresholds | None:
        """The thresholds of the classes for an adapter, chosen in `evaluation`; None if each video has one class."""

    def read_scores(self, content: dict[str, Any]) -> Scores:
        """The scores of a `Scores.to_json` result that was read from JSON."""
