"""Whether files in stores are unchanged, asked once for several requests."""

import time

from side4video.search.file_states import state_of_file
from side4video.search.outages import store_of
from side4video.video.remote import StoreError, about_file, video_path

KEPT_SECONDS = 10.0
"""An answer counts for so long, and a store that does not answer is not asked again for so long."""
_MAX_KEPT = 10_000


class RemoteStates:
    """Asks stores for sizes and entity tags. Several threads may use it.

    >>> clip = video_path("memory://states/a.mp4")
    >>> _ = clip.write_bytes(b"...")
    >>> RemoteStates().state("memory://states/a.mp4")[0]
    3
    """

    def __init__(self) -> None:
        self._states: dict[str, tuple[float, tuple[int, int]]] = {}
        self._failures: dict[str, tuple[float, StoreError]] = {}

    def state(self, address: str) -> tuple[int, int]:
        """The state of a file, see `state_of_file`. A store that does not answer is asked once, without repetition.

        Raises:
            FileNotFoundError: there is no such file.
            StoreError: the store does not answer, or refuses access.
        """
        now, store = time.monotonic(), store_of(address)
        known, failure = self._states.get(address), self._failures.get(store)
        if known is not None and now - known[0] < KEPT_SECONDS:
            return known[1]
        if failure is not None and now - failure[0] < KEPT_SECONDS:
            raise failure[1]
        try:
            state = state_of_file(address, about_file(video_path(address), tries=1))
        except StoreError as error:
            self._failures[store] = now, error
            raise
        if len(self._states) >= _MAX_KEPT:
            self._states.clear()
        self._states[address] = now, state
        return state
