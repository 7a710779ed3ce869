"""The JSON API: search by text, by a video of the index or by an upload; classify an upload; describe the index."""

import asyncio
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, File, HTTPException, Query, UploadFile

from side4video.search.stores.filters import Filter
from side4video.search.stores.records import IndexedFile
from side4video.search.subtitle_index import SUBTITLE_WEIGHT
from side4video.video.video_error import VideoError
from side4video.web.queries import ClientQuery, read_query
from side4video.web.request_parameters import (
    DEFAULT_RESULTS,
    PathPattern,
    SubtitleWeight,
    Texts,
    TopK,
    Unwanted,
    Where,
    check_top_k,
    make_filter,
)
from side4video.web.responses import ClassesResponse, CueResponse, InfoResponse, SearchResponse, TimelineResponse
from side4video.web.served_files import NotServedError
from side4video.web.service import SearchService
from side4video.web.transcode_workers import NotDecodedError

Clip = Annotated[UploadFile, File(description="a video of any format")]


def api_routes(service: SearchService) -> APIRouter:
    """The routes below /api."""
    router = APIRouter(prefix="/api", tags=["search"])
    _add_searches(router, service)
    _add_uploads(router, service)

    @router.get("/timeline/{identifier}")
    async def timeline(identifier: str) -> TimelineResponse:
        """The classes of a video of the index over time; 404 if the server was started without --classify."""
        return await find_timeline(service, identifier)

    @router.get("/subtitles/{identifier}")
    async def subtitles(identifier: str) -> list[CueResponse]:
        """All subtitles of a video of the index, in the order of their times."""
        return await service.cues_of(await find_file(service, identifier))

    @router.get("/info")
    async def info() -> InfoResponse:
        """The index, its columns, and the limits of this server."""
        return service.info()

    return router


def _add_searches(router: APIRouter, service: SearchService) -> None:
    settings = service.settings

    @router.get("/search")
    async def search(
        q: Texts = [],  # noqa: B006 (FastAPI copies it)
        unwanted: Unwanted = [],  # noqa: B006
        like: Annotated[str | None, Query(description="identifier of a video that must match, too")] = None,
        subtitle_weight: SubtitleWeight = SUBTITLE_WEIGHT,
        top_k: TopK = DEFAULT_RESULTS,
        path: PathPattern = None,
        where: Where = [],  # noqa: B006
    ) -> SearchResponse:
        """The videos that match a text, best first; or several texts and a video of the index together.

        The score of several parts is the mean of their scores, minus the mean of the scores of unwanted texts.
        """
        query = read_query(
            q,
            unwanted,
            subtitle_weight=subtitle_weight,
            max_letters=settings.max_query_letters,
            has_example=like is not None,
        )
        top_k = check_top_k(top_k, maximum=settings.max_results)
        return await find_videos(service, query, like, top_k=top_k, filter=_filter_of(service, where, path))

    @router.get("/like/{identifier}")
    async def like(
        identifier: str,
        top_k: TopK = DEFAULT_RESULTS,
        path: PathPattern = None,
        where: Where = [],  # noqa: B006
    ) -> SearchResponse:
        """The videos most similar to a video of the index, without the video itself."""
        top_k = check_top_k(top_k, maximum=settings.max_results)
        return await find_videos(
            service, ClientQuery(), identifier, top_k=top_k, filter=_filter_of(service, where, path)
        )


def _add_uploads(router: APIRouter, service: SearchService) -> None:
    settings = service.settings

    @router.post("/search-like")
    async def search_like(
        clip: Clip,
        q: Texts = [],  # noqa: B006
        unwanted: Unwanted = [],  # noqa: B006
        subtitle_weight: SubtitleWeight = SUBTITLE_WEIGHT,
        top_k: TopK = DEFAULT_RESULTS,
        path: PathPattern = None,
        where: Where = [],  # noqa: B006
    ) -> SearchResponse:
        """The videos most similar to an uploaded clip or photo; with texts, to all parts together."""
        top_k, filter = check_top_k(top_k, maximum=settings.max_results), _filter_of(service, where, path)
        query = read_query(
            q, unwanted, subtitle_weight=subtitle_weight, max_letters=settings.max_query_letters, has_example=True
        )
        try:
            async with service.uploaded(clip.file) as uploaded:
                query = replace(query, example=uploaded, example_name=clip.filename or "the upload")
                return await service.search(query, top_k=top_k, filter=filter)
        except (NotDecodedError, VideoError) as error:
            raise to_http_error(error) from None

    @router.post("/classify")
    async def classify(clip: Clip) -> ClassesResponse:
        """The five best classes of an uploaded clip; 404 if the server was started without --classify."""
        if service.classifier is None:
            raise HTTPException(404, "This server does not classify. Start it with --classify ADAPTER.")
        try:
            async with service.uploaded(clip.file) as uploaded:
                return await service.classify(uploaded)
        except (NotDecodedError, VideoError) as error:
            raise to_http_error(error) from None


def _filter_of(service: SearchService, where: list[str], path: str | None) -> Filter:
    return make_filter(where, path, service.column_types, service.column_values)


async def find_videos(
    service: SearchService, query: ClientQuery, like: str | None, *, top_k: int, filter: Filter
) -> SearchResponse:
    """The videos for a query and a video of the index, which is left out of the results.

    Raises:
        HTTPException: 404 if the video can no longer be shown, 422 if it cannot be read.
    """
    if like is not None:
        file = await find_file(service, like)
        query = replace(query, example=file.path, example_name=service.videos.name_of(file.path))
    try:
        return await service.search(query, top_k=top_k, filter=filter)
    except VideoError as error:
        raise to_http_error(error) from None


async def find_file(service: SearchService, identifier: str) -> IndexedFile:
    """A video of the index.

    Raises:
        HTTPException: 404 if it can no longer be shown.
    """
    try:
        return await asyncio.to_thread(service.served_files.find, identifier)
    except NotServedError as error:
        raise HTTPException(404, str(error)) from None


async def find_timeline(service: SearchService, identifier: str) -> TimelineResponse:
    """The timeline of a video of the index.

    Raises:
        HTTPException: 404 if the server does not classify, or the video can no longer be shown; 422 if it cannot be
            read.
    """
    if service.timelines is None:
        raise HTTPException(404, "This server does not classify. Start it with --classify ADAPTER.")
    try:
        return await service.timelines.get(await find_file(service, identifier))
    except VideoError as error:
        raise to_http_error(error) from None
    except ValueError as error:
        raise HTTPException(422, f"This video has no timeline: {error}") from None


def to_http_error(error: NotDecodedError | VideoError) -> HTTPException:
    """The response for a clip that cannot be used: 504 after a timeout, else 422."""
    if isinstance(error, VideoError):
        return HTTPException(422, f"This video cannot be read: {error.reason}")
    return HTTPException(504 if error.timed_out else 422, str(error))
