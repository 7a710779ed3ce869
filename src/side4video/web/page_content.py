"""What the search page shows: results in groups, the player of one video, and the fields that were given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from side4video.timeline.page import coloured_rows
from side4video.web.responses import ClassesResponse, CueResponse, MomentResponse, TimelineResponse, VideoResponse


@dataclass(frozen=True)
class Card:
    """A result, and the results that are identical copies of it.

    >>> Card(video=None, copies=()).copies
    ()
    """

    video: VideoResponse
    copies: tuple[VideoResponse, ...]


@dataclass(frozen=True, kw_only=True)
class WatchedVideo:
    """The player of one video.

    Attributes:
        video: the part that is shown.
        seconds: where the player starts, in the whole video.
        cues: all subtitles of the video.
        timeline: its classes over time; None: not asked for.
        timeline_url: URL of this page with the timeline; None: the server does not classify, or it is shown.

    >>> video = VideoResponse.model_validate(
    ...     {"id": "0f", "name": "dog.mp4", "path": "/videos/dog.mp4", "score": 0.4, "matches": [], "metadata": {}}
    ...     | {"start_seconds": 5, "end_seconds": 15, "duration_seconds": 30, "video_starts_at": 0}
    ...     | {"poster": None, "video": None, "problem": "This video no longer exists at its indexed path."}
    ... )
    >>> WatchedVideo(video=video, seconds=5.0).rows
    []
    """

    video: VideoResponse
    seconds: float
    cues: Sequence[CueResponse] = ()
    timeline: TimelineResponse | None = None
    timeline_url: str | None = None

    @property
    def rows(self) -> list[tuple[str, int, list[MomentResponse]]]:
        """Of each class its name, its hue in degrees, and its moments."""
        return [] if self.timeline is None else coloured_rows(self.timeline.moments)


@dataclass(frozen=True, kw_only=True)
class PageContent:
    """The content of the lower part of the page.

    Attributes:
        title: the heading.
        results: videos, best first.
        seconds: time that the search took; None: there was no query.
        classes: classes of an uploaded clip.
        problem: an error message that replaces the results.
        warning: a message above the results.
        computed: how the scores of a combined query are computed.
        more_url: URL of the same query with more results.
        watched: the player of one video instead of results.
        like: identifier and name of a video that can be combined with texts.

    >>> PageContent(title="Error", problem="The query is empty.").groups
    []
    """

    title: str
    results: list[VideoResponse] = field(default_factory=list)
    seconds: float | None = None
    classes: ClassesResponse | None = None
    problem: str | None = None
    warning: str | None = None
    computed: str | None = None
    more_url: str | None = None
    watched: WatchedVideo | None = None
    like: tuple[str, str] | None = None

    @property
    def groups(self) -> list[tuple[bool, list[Card]]]:
        """Cards of the results, first the others and then the weak ones; each with whether it is the group of these."""
        cards = sorted(fold_copies(self.results), key=lambda card: card.video.weak)
        return [(weak, list(group)) for weak, group in groupby(cards, key=lambda card: card.video.weak)]


def fold_copies(results: Sequence[VideoResponse]) -> list[Card]:
    """Results with the same content and times as one card, in the order of the results."""
    found: dict[tuple[str, float, float], list[VideoResponse]] = {}
    for one in results:
        found.setdefault((one.content or one.id, one.start_seconds, one.end_seconds), []).append(one)
    return [Card(first, tuple(copies)) for first, *copies in found.values()]
