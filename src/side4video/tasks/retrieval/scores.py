"""The result of a retrieval evaluation, printed and saved."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter
from rich.table import Table

from side4video.tasks.retrieval.metrics import RetrievalScores
from side4video.tasks.unread import UnreadVideo

NUM_SHOWN = 3
"""Number of best videos stored per caption."""


@dataclass(frozen=True)
class QueryResult:
    """The best videos for one caption.

    >>> result = QueryResult("a dog runs", "1.mp4", rank=2.0, best=("7.mp4", "1.mp4"), best_scores=(0.4, 0.3))
    >>> result.best.index(result.video) + 1
    2
    """

    caption: str
    video: str
    """The video that the caption belongs to, as written in its list."""
    rank: float
    """Rank of that video among all; 1 is best."""
    best: tuple[str, ...]
    """The best videos, best first."""
    best_scores: tuple[float, ...]
    """Their similarities."""


@dataclass(frozen=True)
class RetrievalEvaluation:
    """Ranks on a set of captioned videos.

    >>> import numpy as np
    >>> from side4video.tasks.retrieval.metrics import retrieval_scores
    >>> scores = retrieval_scores(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]))
    >>> found = RetrievalEvaluation("captions.csv", "test", "wti", 2, 2, scores, None, queries=(), unread=())
    >>> found.score, found.headline()["v2t_r1"]
    (0.5, 1.0)
    """

    source: str
    """File of the set."""
    split: str
    """Description of the split."""
    similarity: str
    num_videos: int
    """Number of videos that were read and ranked."""
    num_captions: int
    """Number of their captions; each is a query."""
    scores: RetrievalScores
    dual_softmax: RetrievalScores | None
    """After dual-softmax re-ranking, if it is on."""
    queries: tuple[QueryResult, ...]
    unread: tuple[UnreadVideo, ...]
    """Unreadable videos; they and their captions are not in the scores."""

    @property
    def score(self) -> float:
        """Text-to-video recall at 1, which selects the best adapter."""
        return self.scores.text_to_video.recall_at_1

    def metric(self, name: str | None) -> float | None:  # noqa: ARG002 - the settings refuse names for retrieval
        """The score that selects the best adapter."""
        return self.score

    def warnings(self) -> list[str]:
        """None: ranks have no simple confidence interval."""
        return []

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain lists and dictionaries."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "RetrievalEvaluation":
        """What `to_json` gave, after a round trip through JSON."""
        return TypeAdapter(cls).validate_python(content)

    def headline(self) -> dict[str, float | int]:
        """The main numbers, for a log line."""
        directions = {"t2v": self.scores.text_to_video, "v2t": self.scores.video_to_text}
        recalls = {
            f"{name}_r{k}": getattr(scores, f"recall_at_{k}") for name, scores in directions.items() for k in (1, 5, 10)
        }
        ranks = {f"{name}_median_rank": scores.median_rank for name, scores in directions.items()}
        return (
            recalls
            | ranks
            | {
                "videos": self.num_videos,
                "captions": self.num_captions,
                "unread": len(self.unread),
            }
        )

    def conditions(self) -> dict[str, Any]:
        """The views of each video, the split, and how captions and videos were compared."""
        return {"views": 1, "split": self.split, "similarity": self.similarity, "definitions": self.definitions()}

    def table(self, *, max_classes: int | None = None) -> Table:  # noqa: ARG002 - there are no classes
        """A printable table: one row per direction."""
        split = f", {self.split}" if self.split else ""
        title = f"{self.source}{split}: {self.num_videos} videos, {self.num_captions} captions, {self.similarity}"
        if self.unread:
            title += f"; {len(self.unread)} could not be read, they and their captions are not in the scores"
        names = ("", "R@1", "R@5", "R@10", "R@50", "median rank", "mean rank")
        table = Table(*names, title=title, caption="\n".join(self.definitions()), caption_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for ending, scores in (("", self.scores), (", dual softmax", self.dual_softmax)):
            if scores is None:
                continue
            for name, direction in (
                ("text to video", scores.text_to_video),
                ("video to text", scores.video_to_text),
            ):
                recalls = [f"{getattr(direction, f'recall_at_{k}'):.1%}" for k in (1, 5, 10, 50)]
                table.add_row(name + ending, *recalls, f"{direction.median_rank:g}", f"{direction.mean_rank:.1f}")
        return table

    def definitions(self) -> list[str]:
        """One sentence for each row of the table."""
        rows = [("text to video", self.scores.text_to_video), ("video to text", self.scores.video_to_text)]
        if self.dual_softmax is not None:
            rows += [
                ("text to video, dual softmax", self.dual_softmax.text_to_video),
                ("video to text, dual softmax", self.dual_softmax.video_to_text),
            ]
        return [f"{name}: {direction.definition}" for name, direction in rows]
