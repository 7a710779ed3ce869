"""What the training loop asks of a task: recognition or retrieval. It knows nothing else about either."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.table import Table
from torch import Tensor

from side4video.data.datasets import TrainClips
from side4video.data.loading.batch import Batch
from side4video.data.loading.order import TrainOrder
from side4video.models.side_tuned_model import SideTunedModel
from side4video.tasks.unread import UnreadVideo

ZERO_SHOT = "zero_shot.json"
"""File in the run folder: what the frozen model by itself reaches in retrieval."""

Backward = Callable[[Tensor, Sequence[Batch]], None]
"""Back-propagates a loss; the batches it comes from are named if it is not finite."""


class Scores(Protocol):
    """What an evaluation found."""

    @property
    def score(self) -> float:
        """The number by which adapters are compared, 0 to 1; higher is better."""

    @property
    def num_videos(self) -> int:
        """Videos that were read and scored."""

    @property
    def unread(self) -> tuple[UnreadVideo, ...]:
        """Videos that could not be read. They are not in the scores."""

    def headline(self) -> dict[str, float | int]:
        """The few numbers that a log line needs."""

    def conditions(self) -> dict[str, Any]:
        """How it was done, as far as a reader of the numbers must know."""

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain lists and dictionaries."""

    def table(self, *, max_classes: int | None = None) -> Table:
        """A printable table, without a row per class where there are more than `max_classes`."""


@dataclass(frozen=True)
class StepResult:
    """What a training step found, before its update."""

    loss_sum: float
    """Sum of the losses over the views."""
    right: int
    """Views whose best answer is the true one."""
    views: int


class Task(Protocol):
    """Model, data, loss and evaluation of a run."""

    @property
    def model(self) -> SideTunedModel:
        """What is trained."""

    train_set: TrainClips
    class_names: tuple[str, ...]
    """Of the model's outputs; empty for retrieval."""
    has_test_set: bool

    def prepare(self, out: Path, *, resumed: bool) -> None:
        """What has to be done before the first step, once for a run and its resumptions."""

    def train_batches(self, order: TrainOrder) -> Iterator[Batch]:
        """The micro-batches of the rest of a run, in its order."""

    def step(self, batches: Iterator[Batch], backward: Backward, *, views: int, epoch: int) -> StepResult:
        """Forward and backward pass of one step.

        Args:
            batches: the micro-batches of the step, none of them empty.
            backward: called with parts of the loss, whose sum is the loss of the step.
            views: that the step would have if every video could be read.
            epoch: from 0.
        """

    def evaluate(self) -> Scores:
        """Score the test set; leaves the model in eval mode."""

    def read_scores(self, content: dict[str, Any]) -> Scores:
        """What `Scores.to_json` gave, after a round trip through JSON."""
