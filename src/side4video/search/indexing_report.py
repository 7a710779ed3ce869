"""What bringing an index up to the videos on disk has done."""

from dataclasses import asdict, dataclass, field
from typing import Any

from side4video.checking.findings import printable
from side4video.search.stores.stored_text import path_to_text
from side4video.tasks.unread import UnreadVideo


@dataclass
class IndexingReport:
    """What was done.

    Attributes:
        embedded: videos that were new or changed.
        unchanged: videos of which nothing had to be done.
        moved: videos whose content the index knew from another path, or under another time.
        removed: videos that are gone.
        unread: videos that cannot be read, and why.
        unknown: rows of the CSV that belong to no video.
        videos, windows: in the index now.
        seconds: all of it.
    """

    embedded: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    unread: list[UnreadVideo] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    videos: int = 0
    windows: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        unread = [{"path": path_to_text(video.name), "reason": printable(video.reason)} for video in self.unread]
        return asdict(self) | {"unread": unread}
