"""Timelines of the videos of an index: computed once, in a thread of their own."""

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from side4video.search.stores.records import IndexedFile
from side4video.web.responses import TimelineResponse

if TYPE_CHECKING:
    from side4video.inference.predictor import Predictor

_MAX_KEPT = 256


class Timelines:
    """Computes timelines one after the other, while searches go on, and keeps the latest.

    Args:
        classifier: the recognition model.

    >>> from side4video import Predictor
    >>> timelines = Timelines(Predictor("adapter", device="cpu"))
    >>> file = IndexedFile("clip.mp4", content="", size=1, modified=0, duration_seconds=2.0)
    >>> asyncio.run(timelines.get(file)).duration_seconds
    2.0
    >>> timelines.close()
    """

    def __init__(self, classifier: "Predictor") -> None:
        self._classifier = classifier
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="timeline")
        self._known: OrderedDict[tuple[str, int], asyncio.Future[TimelineResponse]] = OrderedDict()

    async def get(self, file: IndexedFile) -> TimelineResponse:
        """The timeline of a video of the index, with the default settings of `Predictor.timeline`.

        Raises:
            VideoError: the video cannot be read.
            ValueError: the video is too short for the model's windows.
        """
        key = file.content or file.path, file.modified
        if key not in self._known:
            loop = asyncio.get_running_loop()
            self._known[key] = loop.run_in_executor(self._thread, self._compute, file.path)
            if len(self._known) > _MAX_KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        try:
            return await asyncio.shield(self._known[key])  # a client that disconnects must not cancel it for others
        except Exception:
            self._known.pop(key, None)
            raise

    def close(self) -> None:
        """Cancel what has not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _compute(self, path: str) -> TimelineResponse:
        return TimelineResponse.model_validate(self._classifier.timeline(path).to_json())
