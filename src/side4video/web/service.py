"""The service of the page and the API: search, classify, and describe how to show each result."""

import asyncio
import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlencode

from side4video.checking.escaping import escape_surrogates
from side4video.search.combined import split_query
from side4video.search.metadata import column_types, column_values
from side4video.search.results import SearchResult
from side4video.search.stores.filters import Filter
from side4video.search.stores.records import IndexedFile
from side4video.search.stores.serialisation import path_to_text
from side4video.system.paths import common_folder
from side4video.video.playback import browser_type
from side4video.video.video_error import VideoError
from side4video.web.columns import describe_columns
from side4video.web.model_queue import ModelQueue
from side4video.web.responses import (
    ClassesResponse,
    ClassResponse,
    ColumnResponse,
    InfoResponse,
    MatchResponse,
    SearchResponse,
    VideoResponse,
)
from side4video.web.security_middleware import upload_too_large_error
from side4video.web.served_files import NotServedError, ServedFiles, identify
from side4video.web.settings import ServeSettings
from side4video.web.transcode_cache import TranscodeCache
from side4video.web.transcode_workers import UploadTask, check_upload, decode_in_subprocess, warm_up

if TYPE_CHECKING:
    from side4video.inference.predictor import Predictor
    from side4video.search.video_index import VideoIndex

_LOG = logging.getLogger(__name__)
MAX_TRANSCODED_SECONDS = 60.0
"""Maximum length of a clip that is transcoded for the browser."""
_HOME_PAGE_VIDEOS = 8
_TOP_CLASSES = 5


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
        self.served_files = ServedFiles({})
        self.columns: list[ColumnResponse] = []
        self.column_types: dict[str, type] = {}
        self.column_values: dict[str, frozenset[str | float | bool]] = {}
        self._common_folder = ""

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

    async def search(self, text: str, *, top_k: int, filter: Filter) -> SearchResponse:
        """The best videos for a text."""
        wanted, unwanted = split_query(text)
        if unwanted:
            texts = [wanted] if wanted else []
            work = partial(self.index.search_combined, texts, unwanted=unwanted, top_k=top_k, filter=filter)
            response = await self._answer(self.queue.run(work))
        else:
            response = await self._answer(self.queue.search(text, top_k=top_k, filter=filter))
        response.warning = self.index.truncation_warning(wanted)
        return response

    async def search_like(self, example: str | Path, *, top_k: int, filter: Filter) -> SearchResponse:
        """The videos most similar to a file."""
        work = partial(self.index.search_like, example, top_k=top_k, filter=filter)
        return await self._answer(self.queue.run(work))

    async def classify(self, clip: Path) -> ClassesResponse:
        """The five best classes of a file.

        Raises:
            VideoError: the file cannot be read.
        """
        assert self.classifier is not None
        best = await self.queue.run(partial(self.classifier.predict, clip, top_k=_TOP_CLASSES))
        return ClassesResponse(classes=[ClassResponse(name=one.name, score=one.score) for one in best])

    async def sample_videos(self) -> list[VideoResponse]:
        """A few videos from the whole index, for the page without a query."""
        files = list(self.served_files.files.values())
        chosen = files[:: max(1, len(files) // _HOME_PAGE_VIDEOS)][:_HOME_PAGE_VIDEOS]
        results = [SearchResult(file, 0.0, 0.0, file.duration_seconds, ()) for file in chosen]
        described = await asyncio.to_thread(self._describe_all, results)
        return [one.model_copy(update={"score": None}) for one in described]

    def info(self) -> InfoResponse:
        """The index and the server's limits."""
        info, settings = self.index.info, self.settings
        return InfoResponse(
            videos=len(self.served_files.files),
            model=escape_surrogates(info.model),
            similarity=info.similarity,
            columns=self.columns,
            classifies=self.classifier is not None,
            max_upload_bytes=settings.max_upload_bytes,
            max_clip_seconds=settings.max_clip_seconds,
            max_query_letters=settings.max_query_letters,
            max_results=settings.max_results,
            package_version=info.package_version,
            questions_per_pass=dict(sorted(self.queue.batch_sizes.items())),
        )

    def name_of(self, path: str) -> str:
        """A path relative to the folder that holds all videos of the index, in valid Unicode."""
        return escape_surrogates(os.path.relpath(path, self._common_folder) if self._common_folder else path)

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
        results = await asyncio.to_thread(self._describe_all, found)
        return SearchResponse(results=results, seconds=time.perf_counter() - started)

    def _describe_all(self, found: Sequence[SearchResult]) -> list[VideoResponse]:
        return [self._describe(one) for one in found]

    def _describe(self, found: SearchResult) -> VideoResponse:
        file, identifier, root = found.file, identify(found.file.path), self.settings.root_path
        start, end, video, problem = 0.0, found.end_seconds, None, None
        try:
            self.served_files.find(identifier)
            if playable_media_type(file) is not None:
                video = f"{root}/videos/{identifier}"
            else:
                start = found.start_seconds
                end = min(end, start + MAX_TRANSCODED_SECONDS)
                video = f"{root}/clips/{identifier}.mp4?" + urlencode({"start": f"{start:.3f}", "end": f"{end:.3f}"})
        except (NotServedError, VideoError) as error:
            problem = str(error) if isinstance(error, NotServedError) else error.reason
        best = max(found.matches, key=lambda match: match.similarity, default=None)
        shown = (found.start_seconds + found.end_seconds) / 2 if best is None else best.seconds
        return VideoResponse(
            id=identifier,
            name=self.name_of(file.path),
            path=path_to_text(file.path),
            score=found.score,
            start_seconds=found.start_seconds,
            end_seconds=found.end_seconds,
            duration_seconds=file.duration_seconds,
            matches=[MatchResponse(word=m.word, seconds=m.seconds, similarity=m.similarity) for m in found.matches],
            metadata=dict(file.metadata),
            poster=None if problem else f"{root}/posters/{identifier}?seconds={shown:.3f}",
            video=video,
            video_starts_at=start,
            problem=problem,
        )

    async def _read_files(self) -> None:
        self.served_files.clear_remembered()
        files = await self.queue.run(self.index.files)
        await asyncio.to_thread(self._update_files, files)

    def _update_files(self, files: Mapping[str, IndexedFile]) -> None:
        self.served_files.replace(files)
        self.columns = describe_columns(files.values())
        self.column_types = column_types(file.metadata for file in files.values())
        self.column_values = column_values(file.metadata for file in files.values())
        self._common_folder = common_folder(list(files))

    async def _refresh_files(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self._read_files()
            except Exception:  # the store may be available again at the next attempt
                _LOG.exception("The file list of the index could not be read. The previous list stays in use.")
            took = time.monotonic() - started
            await asyncio.sleep(max(self.settings.refresh_seconds, 20 * took))


def playable_media_type(file: IndexedFile) -> str | None:
    """The media type of a file that browsers can play; None if it must be transcoded."""
    return _browser_type(file.path, file.modified)


@lru_cache(maxsize=4096)
def _browser_type(path: str, modified: int) -> str | None:
    del modified  # part of the cache key: a changed file is inspected again
    return browser_type(Path(path))
