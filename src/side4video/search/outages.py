"""Detects that a store has stopped answering, so that not every one of its videos waits for the timeout."""

from collections import Counter

from side4video.tasks.unread import UnreadVideo
from side4video.video.remote import NO_ANSWER, REFUSED, StoreError

MAX_UNANSWERED = 3
"""Videos in a row of one store that get no answer: more videos would not get one either."""


def is_from_store(video: UnreadVideo) -> bool:
    """Whether the store failed, not the video: nothing is known about the video.

    >>> is_from_store(UnreadVideo("s3://bucket/clip.mp4", "access refused (PermissionError: )."))
    True
    """
    return video.reason.startswith((NO_ANSWER, REFUSED))


class OutageWatch:
    """Counts videos in a row that get no answer, for each store.

    >>> watch = OutageWatch()
    >>> for name in ("a", "b", "c"):
    ...     watch.failed(UnreadVideo(f"s3://bucket/{name}.mp4", "no answer after 5 attempts (TimeoutError: )."))
    Traceback (most recent call last):
    side4video.video.remote.StoreError: s3://bucket: no answer for 3 videos in a row, the last one s3://bucket/c.mp4: \
no answer after 5 attempts (TimeoutError: ). Finished work is saved. Run the same command again when the store answers.
    """

    def __init__(self) -> None:
        self._unanswered: Counter[str] = Counter()

    def answered(self, path: str) -> None:
        """Note that a video was read."""
        self._unanswered.pop(store_of(path), None)

    def failed(self, video: UnreadVideo) -> None:
        """Note a video that cannot be read.

        Raises:
            StoreError: its store has not answered for `MAX_UNANSWERED` videos in a row.
        """
        store = store_of(video.name)
        if not video.reason.startswith(NO_ANSWER):
            self._unanswered.pop(store, None)
            return
        self._unanswered[store] += 1
        if self._unanswered[store] >= MAX_UNANSWERED:
            raise StoreError(
                store,
                f"{NO_ANSWER} for {MAX_UNANSWERED} videos in a row, the last one {video.name}: {video.reason} "
                "Finished work is saved. Run the same command again when the store answers.",
            )


def store_of(address: str) -> str:
    """The bucket or server of an address.

    >>> store_of("https://server:8080/clips/a.mp4"), store_of("s3://bucket")
    ('https://server:8080', 's3://bucket')
    """
    kind, slashes, rest = address.partition("://")
    return kind + slashes + rest.partition("/")[0]
