"""The service of the page and the API: search, classify, and describe how to show each result."""

import asyncio
import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from side4video.checking.escaping import escape_surrogates
from side4video.search.allowed_addresses import allowed_addresses
from side4video.search.metadata import column_types, column_values
from side4video.search.results import SearchResult
from side4video.search.stores.filter_matching import make_test
from side4video.search.stores.filters import Filter
from side4video.search.stores.records import IndexedFile
from side4video.web.columns import describe_columns
from side4video.web.model_queue import ModelQueue
from side4video.web.queries import ClientQuery
from side4video.web.responses import (
    ClassesResponse,
    ClassResponse,
    ColumnResponse,
    CueResponse,
    InfoResponse,
    SearchResponse,
    VideoResponse,
)
from side4video.web.security_middleware import upload_too_large_error
from side4video.web.served_files import ServedFiles
from side4video.web.settings import ServeSettings
from side4video.web.timelines import Timelines
from side4video.web.transcode_cache import TranscodeCache
from side4video.web.transcode_workers import UploadTask, check_upload, decode_in_subprocess, warm_up
from side4video.web.video_responses import VideoResponses

if TYPE_CHECKING:
    from side4video.inference.predictor import Predictor
    from side4video.search.video_index import VideoIndex

_LOG = logging.getLogger(__name__)
AROUND_SECONDS = 5.0
"""What belongs to a moment that a link names, before and after it."""
_HOME_PAGE_VIDEOS = 8
_TOP_CLASSES = 5
_DESCRIBING_THREADS = 8  # each result at an address takes several requests


class SearchService:
    """An index with its model and the files made for clients. Use it from one event loop.

    Args:
        index: the index to search.
        settings: the limits for clients.
        classifier: classifies uploaded clips; None: the server does not classify.

    >>> from side4video.search.video_index import VideoIndex
    >>> index = VideoIndex.open("index", model="retrieval", device="cpu")
    >>> service = SearchService(index, ServeSettings(max_results=50))
    >>> service.info().max_results
    50
    >>> index.close()
    """

    def __init__(self, index: "VideoIndex", settings: ServeSettings, classifier: "Predictor | None" = None) -> None:
        self.index = index
        self.settings = settings
        self.classifier = classifier
        self.queue = ModelQueue(index)
        self.served_files = ServedFiles({}, allowed_addresses(index.address, settings.allow_addresses))
        self.columns: list[ColumnResponse] = []
        self.column_types: dict[str, type] = {}
        self.column_values: dict[str, frozenset[str | float | bool]] = {}
        self.videos = VideoResponses(
            self.served_files, root=settings.root_path, max_download_seconds=settings.max_clip_seconds
        )
        self.timelines = None if classifier is None else Timelines(classifier)
        self.has_subtitles = False
        self._describing = ThreadPoolExecutor(_DESCRIBING_THREADS, thread_name_prefix="describe")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Context of a running server: makes the temporary folder and keeps the list of files up to date."""
        with tempfile.TemporaryDirectory(prefix="side4video-") as folder:
            self._uploads, transcoded = Path(folder, "uploads"), Path(folder, "transcoded")
            self._uploads.mkdir()
            transcoded.mkdir()
            poster_bytes = self.settings.cache_bytes // 8
            self.clips = TranscodeCache(
                transcoded, max_bytes=self.settings.cache_bytes - poster_bytes, max_concurrent=1
            )
            self.posters = TranscodeCache(transcoded, max_bytes=poster_bytes, max_concurrent=2)
            await self._read_files()
            tasks = [
                asyncio.create_task(self._refresh_files()),
                asyncio.create_task(decode_in_subprocess(warm_up, None, seconds=self.settings.decode_seconds)),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.queue.close()
                self._describing.shutdown(wait=False, cancel_futures=True)
                if self.timelines is not None:
                    self.timelines.close()

    async def search(self, query: ClientQuery, *, top_k: int, filter: Filter) -> SearchResponse:
        """The best videos for a query.

        Raises:
            VideoError: the example cannot be read.
        """
        response = await self._answer(self._find(query, top_k=top_k, filter=filter))
        warnings = (self.index.query_warning(text) for text in (*query.texts, *query.unwanted))
        response.warning = " ".join(text for text in warnings if text) or None
        response.computed = query.computed
        return response

    def _find(self, query: ClientQuery, *, top_k: int, filter: Filter) -> Awaitable[Sequence[SearchResult]]:
        options: dict[str, Any] = {"top_k": top_k, "filter": filter}
        if query.is_combined:
            options |= {"like": query.example, "unwanted": query.unwanted, "subtitle_weight": query.subtitle_weight}
            return self.queue.run(partial(self.index.search_combined, query.texts, **options))
        if query.example is not None:
            return self.queue.run(partial(self.index.search_like, query.example, **options))
        return self.queue.search(query.texts[0], subtitle_weight=query.subtitle_weight, **options)

    async def classify(self, clip: Path) -> ClassesResponse:
        """The five best classes of a file.

        Raises:
            VideoError: the file cannot be read.
        """
        assert self.classifier is not None
        best = await self.queue.run(partial(self.classifier.predict, clip, top_k=_TOP_CLASSES))
        return ClassesResponse(classes=[ClassResponse(name=one.name, score=one.score) for one in best])

    async def sample_videos(self, filter: Filter) -> list[VideoResponse]:
        """A few videos from all that pass a filter, for the page without a query."""
        return await asyncio.to_thread(self._describe_sample, filter)

    def _describe_sample(self, filter: Filter) -> list[VideoResponse]:
        passes = make_test(filter)
        files = [file for file in self.served_files.files.values() if passes(file)]
        chosen = files[:: max(1, len(files) // _HOME_PAGE_VIDEOS)][:_HOME_PAGE_VIDEOS]
        return list(self._describing.map(self.describe_file, chosen))

    def describe_file(self, file: IndexedFile) -> VideoResponse:
        """A whole video, without a query."""
        return self.videos.describe(SearchResult(file, 0.0, 0.0, file.duration_seconds, ()), score=False)

    def describe_moment(self, file: IndexedFile, seconds: float) -> VideoResponse:
        """The part of a video around a moment, with a player that starts there."""
        start, end = max(seconds - AROUND_SECONDS, 0.0), min(seconds + AROUND_SECONDS, file.duration_seconds)
        return self.videos.describe(SearchResult(file, 0.0, start, end, ()), score=False, at=seconds)

    async def cues_of(self, file: IndexedFile) -> list[CueResponse]:
        """The subtitles of a video of the index."""
        index = await asyncio.to_thread(self.index.subtitles.current)
        cues = [] if index is None else index.cues_between(file.path, 0.0, float("inf"))
        return [CueResponse(**asdict(cue), found=[]) for cue in cues]

    def info(self) -> InfoResponse:
        """The index and the server's limits."""
        info, settings = self.index.info, self.settings
        return InfoResponse(
            videos=len(self.served_files.files),
            model=escape_surrogates(info.model),
            similarity=info.similarity,
            columns=self.columns,
            classifies=self.classifier is not None,
            has_subtitles=self.has_subtitles,
            max_upload_bytes=settings.max_upload_bytes,
            max_clip_seconds=settings.max_clip_seconds,
            max_query_letters=settings.max_query_letters,
            max_results=settings.max_results,
            package_version=info.package_version,
            questions_per_pass=dict(sorted(self.queue.batch_sizes.items())),
        )

    @asynccontextmanager
    async def uploaded(self, file: BinaryIO) -> AsyncIterator[Path]:
        """An uploaded clip as a file, checked by decoding in a separate process; deleted when the block ends.

        Raises:
            HTTPException: 413 if the file is too large.
            NotDecodedError: the file is not a video, is too long or too large, or decoding takes too long.
        """
        if file.seek(0, os.SEEK_END) > self.settings.max_upload_bytes:
            raise upload_too_large_error(self.settings)
        file.seek(0)
        handle, name = tempfile.mkstemp(dir=self._uploads)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as copy:
                await asyncio.to_thread(shutil.copyfileobj, file, copy)
            task = UploadTask(path, self.settings.max_clip_seconds, self.settings.max_clip_pixels)
            await decode_in_subprocess(check_upload, task, seconds=self.settings.decode_seconds)
            yield path
        finally:
            path.unlink(missing_ok=True)

    async def _answer(self, search: Awaitable[Sequence[SearchResult]]) -> SearchResponse:
        started = time.perf_counter()
        found = await search
        for one in found:
            self.served_files.remember(one.file)
        results = await asyncio.to_thread(lambda: list(self._describing.map(self.videos.describe, found)))
        return SearchResponse(results=results, seconds=time.perf_counter() - started)

    async def _read_files(self) -> None:
        self.served_files.clear_remembered()
        files = await self.queue.run(self.index.files)
        await asyncio.to_thread(self._update_files, files)

    def _update_files(self, files: Mapping[str, IndexedFile]) -> None:
        self.served_files.replace(files)
        self.column_types = column_types(file.metadata for file in files.values())
        self.column_values = column_values(file.metadata for file in files.values())
        self.columns = describe_columns(self.column_types, self.column_values)
        self.videos.set_paths(files)
        self.has_subtitles = bool((subtitles := self.index.subtitles.current()) and subtitles.num_videos)

    async def _refresh_files(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self._read_files()
            except Exception:  # the store may be available again at the next attempt
                _LOG.exception("The file list of the index could not be read. The previous list stays in use.")
            took = time.monotonic() - started
            await asyncio.sleep(max(self.settings.refresh_seconds, 20 * took))
