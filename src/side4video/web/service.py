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

from side4video.checking.findings import encodable
from side4video.search.metadata import column_kinds
from side4video.search.results import Found
from side4video.search.stores.filters import Filter
from side4video.search.stores.records import IndexedFile
from side4video.search.stores.stored_text import path_to_text
from side4video.video.playback import browser_type
from side4video.video.video_error import VideoError
from side4video.web.answers import (
    ClassAnswer,
    ClassesAnswer,
    ColumnAnswer,
    FoundAnswer,
    InfoAnswer,
    MatchAnswer,
    SearchAnswer,
)
from side4video.web.columns import describe_columns
from side4video.web.guards import too_large
from side4video.web.library import Library, NotServedError, identify
from side4video.web.model_queue import ModelQueue
from side4video.web.settings import ServeSettings
from side4video.web.transcode_cache import TranscodeCache
from side4video.web.transcode_workers import UploadTask, check_upload, decode_apart, start_processes

if TYPE_CHECKING:
    from side4video.inference.predictor import Predictor
    from side4video.search.video_index import VideoIndex

_LOG = logging.getLogger(__name__)
LONGEST_CLIP_SECONDS = 60.0
"""Maximum length of a clip that is transcoded for the browser."""
_SHOWN_UNASKED = 8
_TOP_CLASSES = 5


class SearchService:
    """An index with its model and the files made for clients. Use it from one event loop.

    Args:
        index: the index to search.
        settings: the limits for clients.
        classifier: classifies uploaded clips; None: the server does not classify.
    """

    def __init__(self, index: "VideoIndex", settings: ServeSettings, classifier: "Predictor | None" = None) -> None:
        self.index = index
        self.settings = settings
        self.classifier = classifier
        self.queue = ModelQueue(index)
        self.library = Library({})
        self.columns: list[ColumnAnswer] = []
        self.column_kinds: dict[str, type] = {}
        self._folder_of_all = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Context of a running server: makes the temporary folder and keeps the list of files up to date."""
        with tempfile.TemporaryDirectory(prefix="side4video-") as folder:
            self._uploads, made = Path(folder, "uploads"), Path(folder, "made")
            self._uploads.mkdir()
            made.mkdir()
            for_posters = self.settings.cache_bytes // 8
            self.clips = TranscodeCache(made, max_bytes=self.settings.cache_bytes - for_posters, at_once=1)
            self.posters = TranscodeCache(made, max_bytes=for_posters, at_once=2)
            await self._read_files()
            tasks = [
                asyncio.create_task(self._keep_reading_files()),
                asyncio.create_task(decode_apart(start_processes, None, seconds=self.settings.decode_seconds)),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.queue.close()

    async def search(self, text: str, *, top_k: int, filter: Filter) -> SearchAnswer:
        """The best videos for a text."""
        return await self._answer(self.queue.search(text, top_k=top_k, filter=filter))

    async def search_like(self, example: str | Path, *, top_k: int, filter: Filter) -> SearchAnswer:
        """The videos most similar to a file."""
        work = partial(self.index.search_like, example, top_k=top_k, filter=filter)
        return await self._answer(self.queue.run(work))

    async def classify(self, clip: Path) -> ClassesAnswer:
        """The five best classes of a file.

        Raises:
            VideoError: the file cannot be read.
        """
        assert self.classifier is not None
        best = await self.queue.run(partial(self.classifier.predict, clip, top_k=_TOP_CLASSES))
        return ClassesAnswer(classes=[ClassAnswer(name=one.name, score=one.score) for one in best])

    async def some_videos(self) -> list[FoundAnswer]:
        """A few videos from the whole index, for the page without a query."""
        files = list(self.library.files.values())
        chosen = files[:: max(1, len(files) // _SHOWN_UNASKED)][:_SHOWN_UNASKED]
        unasked = [Found(file, 0.0, 0.0, file.duration_seconds, ()) for file in chosen]
        described = await asyncio.to_thread(self._describe_all, unasked)
        return [one.model_copy(update={"score": None}) for one in described]

    def info(self) -> InfoAnswer:
        """The index and the server's limits."""
        info, settings = self.index.info, self.settings
        return InfoAnswer(
            videos=len(self.library.files),
            model=encodable(info.model),
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
        return encodable(os.path.relpath(path, self._folder_of_all) if self._folder_of_all else path)

    @asynccontextmanager
    async def uploaded(self, file: BinaryIO) -> AsyncIterator[Path]:
        """An uploaded clip as a file, checked by decoding in a separate process; deleted when the block ends.

        Raises:
            HTTPException: 413 if the file is too large.
            NotDecodedError: the file is not a video, is too long or too large, or decoding takes too long.
        """
        if file.seek(0, os.SEEK_END) > self.settings.max_upload_bytes:
            raise too_large(self.settings)
        file.seek(0)
        handle, name = tempfile.mkstemp(dir=self._uploads)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as kept:
                await asyncio.to_thread(shutil.copyfileobj, file, kept)
            task = UploadTask(path, self.settings.max_clip_seconds, self.settings.max_clip_pixels)
            await decode_apart(check_upload, task, seconds=self.settings.decode_seconds)
            yield path
        finally:
            path.unlink(missing_ok=True)

    async def _answer(self, search: Awaitable[Sequence[Found]]) -> SearchAnswer:
        started = time.perf_counter()
        found = await search
        for one in found:
            self.library.remember(one.file)
        results = await asyncio.to_thread(self._describe_all, found)
        return SearchAnswer(results=results, seconds=time.perf_counter() - started)

    def _describe_all(self, found: Sequence[Found]) -> list[FoundAnswer]:
        return [self._describe(one) for one in found]

    def _describe(self, found: Found) -> FoundAnswer:
        file, identifier = found.file, identify(found.file.path)
        start, end, video, problem = 0.0, found.end_seconds, None, None
        try:
            self.library.find(identifier)
            if play_type(file) is not None:
                video = f"/videos/{identifier}"
            else:
                start = found.start_seconds
                end = min(end, start + LONGEST_CLIP_SECONDS)
                video = f"/clips/{identifier}.mp4?" + urlencode({"start": f"{start:.3f}", "end": f"{end:.3f}"})
        except (NotServedError, VideoError) as error:
            problem = str(error) if isinstance(error, NotServedError) else error.reason
        best = max(found.matches, key=lambda match: match.similarity, default=None)
        shown = (found.start_seconds + found.end_seconds) / 2 if best is None else best.seconds
        return FoundAnswer(
            id=identifier,
            name=self.name_of(file.path),
            path=path_to_text(file.path),
            score=found.score,
            start_seconds=found.start_seconds,
            end_seconds=found.end_seconds,
            duration_seconds=file.duration_seconds,
            matches=[MatchAnswer(word=m.word, seconds=m.seconds, similarity=m.similarity) for m in found.matches],
            metadata=dict(file.metadata),
            poster=None if problem else f"/posters/{identifier}?seconds={shown:.3f}",
            video=video,
            video_starts_at=start,
            problem=problem,
        )

    async def _read_files(self) -> None:
        self.library.forget_found()
        files = await self.queue.run(self.index.files)
        await asyncio.to_thread(self._take_files, files)

    def _take_files(self, files: Mapping[str, IndexedFile]) -> None:
        self.library.replace(files)
        self.columns = describe_columns(files.values())
        self.column_kinds = column_kinds(file.metadata for file in files.values())
        self._folder_of_all = os.path.commonpath([str(Path(path).parent) for path in files]) if files else ""

    async def _keep_reading_files(self) -> None:
        while True:
            began = time.monotonic()
            try:
                await self._read_files()
            except Exception:  # the store may be available again at the next attempt
                _LOG.exception("The list of the index's files could not be read; the last one stays.")
            took = time.monotonic() - began
            await asyncio.sleep(max(self.settings.refresh_seconds, 20 * took))


def play_type(file: IndexedFile) -> str | None:
    """The media type of a file that browsers can play; None if it must be transcoded."""
    return _browser_type(file.path, file.modified)


@lru_cache(maxsize=4096)
def _browser_type(path: str, modified: int) -> str | None:
    del modified  # part of the cache key: a changed file is inspected again
    return browser_type(Path(path))
