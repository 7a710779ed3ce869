"""Unreadable videos, and whether scores are reported without them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from side4video.data.datasets import Failure

Result = TypeVar("Result")

_COUNTS = ("videos", "captions", "unread")


@dataclass(frozen=True)
class UnreadVideo:
    """A video that could not be read, and why.

    >>> UnreadVideo("a.mp4", "the file is empty").reason
    'the file is empty'
    """

    name: str
    reason: str


def separate_failures(
    results: Mapping[int, Result | Failure],
) -> tuple[dict[int, Result], tuple[UnreadVideo, ...]]:
    """The results of readable videos by their index, and the unreadable videos; both in the order of indices."""
    found: dict[int, Result] = {}
    unread: list[UnreadVideo] = []
    for index, result in sorted(results.items(), key=lambda item: item[0]):
        if isinstance(result, Failure):
            unread.append(UnreadVideo(result.name, result.reason))
        else:
            found[index] = result
    return found, tuple(unread)


class NoReadableVideosError(ValueError):
    """No video of a set can be read; `unread` lists them with their reasons, `source` is the name of their list.

    >>> print(NoReadableVideosError([UnreadVideo("a.mp4", "the file is empty.")], "test.csv"))
    None of the 1 videos of test.csv can be read: a.mp4: the file is empty.
    """

    def __init__(self, unread: Sequence[UnreadVideo], source: str = "") -> None:
        super().__init__(tuple(unread), source)
        self.unread, self.source = tuple(unread), source

    def __str__(self) -> str:
        reasons = "; ".join(f"{video.name}: {video.reason}" for video in self.unread[:10])
        source = f" of {self.source}" if self.source else ""
        return f"None of the {len(self.unread)} videos{source} can be read: {reasons}"


def withheld_scores_reason(*, num_read: int, num_unread: int, max_unread: float) -> str | None:
    """The reason why scores are withheld, as a sentence; None if enough videos were read.

    Args:
        num_read: number of scored videos.
        num_unread: number of unreadable videos.
        max_unread: largest allowed share of unreadable videos, 0..1.

    >>> withheld_scores_reason(num_read=99, num_unread=1, max_unread=0.1)
    """
    share = num_unread / max(num_read + num_unread, 1)
    if share <= max_unread:
        return None
    return (
        f"No score: {num_unread} of {num_read + num_unread} videos ({share:.1%}) could not be read, and "
        f"eval.max_unread = {max_unread:g} allows {max_unread:.1%}. Repair them, remove them from the set (side4video "
        "check-data writes a list without them), or raise the limit."
    )


def reported_headline(headline: Mapping[str, float | int], *, max_unread: float) -> dict[str, float | int]:
    """The numbers for a log line: only the counts if scores are withheld.

    >>> reported_headline({"top1": 0.9, "videos": 3, "unread": 1}, max_unread=0.1)
    {'videos': 3, 'unread': 1}
    """
    num_read, num_unread = int(headline["videos"]), int(headline["unread"])
    refused = withheld_scores_reason(num_read=num_read, num_unread=num_unread, max_unread=max_unread) is not None
    return {name: value for name, value in headline.items() if not refused or name in _COUNTS}
