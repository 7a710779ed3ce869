"""Batch the requests of many clients for one model: simultaneous queries share a forward pass."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from side4video.search.results import SearchResult
from side4video.search.stores.filters import Filter
from side4video.search.subtitle_index import SUBTITLE_WEIGHT

if TYPE_CHECKING:
    from side4video.search.video_index import VideoIndex

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Query:
    text: str
    top_k: int
    filter: Filter
    subtitle_weight: float
    result: asyncio.Future[list[SearchResult]]


class ModelQueue:
    """A queue of queries for one thread that uses the model and the index.

    Args:
        index: the index; only this thread uses it.
        wait_seconds: how long the first query waits for others.
        max_batch: maximum number of queries per forward pass.

    Attributes:
        batch_sizes: number of queries per pass -> number of such passes.

    >>> from side4video.search.video_index import VideoIndex
    >>> index = VideoIndex.open("index", model="retrieval", device="cpu")
    >>> async def first_results(queue: ModelQueue) -> list[SearchResult]:
    ...     return await queue.search("a disc turns", top_k=2, filter=Filter())
    >>> queue = ModelQueue(index)
    >>> len(asyncio.run(first_results(queue)))
    2
    >>> queue.close(); index.close()
    """

    def __init__(self, index: "VideoIndex", *, wait_seconds: float = 0.005, max_batch: int = 64) -> None:
        self.index = index
        self.batch_sizes: Counter[int] = Counter()
        self._wait_seconds = wait_seconds
        self._max_batch = max_batch
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._waiting: list[_Query] = []
        self._task: asyncio.Task[None] | None = None

    async def search(
        self, text: str, *, top_k: int, filter: Filter, subtitle_weight: float = SUBTITLE_WEIGHT
    ) -> list[SearchResult]:
        """The result of `VideoIndex.search`, computed in a batch with other queries."""
        result: asyncio.Future[list[SearchResult]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Query(text, top_k, filter, subtitle_weight, result))
        if self._task is None:
            self._task = asyncio.create_task(self._run_batches())
        return await result

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run other work in the model's thread and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Wait for the running pass; waiting queries are cancelled."""
        self._thread.shutdown(cancel_futures=True)

    async def _run_batches(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(self._wait_seconds)
                batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
                alike: dict[tuple[Filter, float], list[_Query]] = {}
                for query in batch:
                    alike.setdefault((query.filter, query.subtitle_weight), []).append(query)
                for queries in alike.values():
                    await self._run_batch(queries)
        finally:
            self._task = None

    async def _run_batch(self, queries: list[_Query]) -> None:
        """Answer queries with the same filter and weight; a query that fails does not affect the others."""
        texts = list(dict.fromkeys(query.text for query in queries))
        top_k, filter = max(query.top_k for query in queries), queries[0].filter
        search = partial(self.index.search_many, texts, subtitle_weight=queries[0].subtitle_weight)
        self.batch_sizes[len(queries)] += 1
        try:
            found = await self.run(lambda: search(top_k=top_k, filter=filter))
        except Exception as error:  # any error is passed to the clients
            if len(queries) > 1:
                for query in queries:
                    await self._run_batch([query])
            elif not queries[0].result.done():
                queries[0].result.set_exception(error)
            return
        by_text = dict(zip(texts, found, strict=True))
        for query in queries:
            if not query.result.done():  # the client may have disconnected
                query.result.set_result(by_text[query.text][: query.top_k])
