"""Videos that could not be read, and whether scores may be reported without them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_COUNTS = ("videos", "captions", "unread")


@dataclass(frozen=True)
class UnreadVideo:
    """A video that gave no prediction."""

    name: str
    reason: str


class NoReadableVideosError(ValueError):
    """An evaluation of which no video could be read; `unread` has them with their reasons."""

    def __init__(self, message: str, unread: Sequence[UnreadVideo]) -> None:
        super().__init__(message, tuple(unread))
        self.unread = tuple(unread)

    def __str__(self) -> str:
        return str(self.args[0])


def withheld_scores_reason(*, num_read: int, num_unread: int, max_unread: float) -> str | None:
    """Why scores of a set must not be reported, in a sentence; None where enough of it was read.

    Args:
        num_read: videos that were scored.
        num_unread: those that could not be read.
        max_unread: largest share of these that is allowed, 0..1.
    """
    share = num_unread / max(num_read + num_unread, 1)
    if share <= max_unread:
        return None
    return (
        f"No score: {num_unread} of {num_read + num_unread} videos ({share:.1%}) could not be read, and "
        f"eval.max_unread = {max_unread:g} allows {max_unread:.1%}. Repair them, take them out of the set (side4video "
        "check-data writes a list without them), or allow more."
    )


def reported_headline(headline: Mapping[str, float | int], *, max_unread: float) -> dict[str, float | int]:
    """The numbers of a log line: the counts alone where too much was unreadable for scores.

    >>> reported_headline({"top1": 0.9, "videos": 3, "unread": 1}, max_unread=0.1)
    {'videos': 3, 'unread': 1}
    """
    num_read, num_unread = int(headline["videos"]), int(headline["unread"])
    refused = withheld_scores_reason(num_read=num_read, num_unread=num_unread, max_unread=max_unread) is not None
    return {name: value for name, value in headline.items() if not refused or name in _COUNTS}
