"""The result of updating an index to the videos on disk."""

from dataclasses import asdict, dataclass, field
from typing import Any

from side4video.checking.escaping import escape_unprintable
from side4video.search.stores.serialisation import path_to_text
from side4video.tasks.unread import UnreadVideo


@dataclass
class IndexingReport:
    """The result of an update.

    Attributes:
        embedded: number of new or changed videos.
        unchanged: number of videos that needed no work.
        moved: number of videos whose content was indexed already, at another path or with another modification time.
        removed: number of videos removed because their files no longer exist.
        unread: videos that cannot be read, with the reason.
        unknown: rows of the CSV that do not match any video.
        videos: number of videos in the index after the update.
        windows: number of windows in the index after the update.
        with_subtitles: number of videos in the index that have subtitles.
        unread_subtitles: subtitle files and tracks that cannot be read, with the reason.
        windows_1252: subtitle files that are not in Unicode and were read as Windows-1252.
        resumed_windows: number of windows of long videos that an interrupted update had embedded.
        seconds: duration of the update.

    >>> report = IndexingReport(embedded=1, unread=[UnreadVideo("broken.mp4", "the file is empty.")])
    >>> report.to_json()["unread"]
    [{'path': 'broken.mp4', 'reason': 'the file is empty.'}]
    """

    embedded: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    unread: list[UnreadVideo] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    videos: int = 0
    windows: int = 0
    with_subtitles: int = 0
    unread_subtitles: list[UnreadVideo] = field(default_factory=list)
    windows_1252: list[str] = field(default_factory=list)
    resumed_windows: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        unread = {
            name: [
                {"path": path_to_text(one.name), "reason": escape_unprintable(one.reason)}
                for one in getattr(self, name)
            ]
            for name in ("unread", "unread_subtitles")
        }
        return asdict(self) | unread | {"windows_1252": list(map(path_to_text, self.windows_1252))}
