"""The JSON API: search by text, by a video of the index or by an upload; classify an upload; describe the index."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, File, HTTPException, Query, UploadFile

from side4video.video.video_error import VideoError
from side4video.web.request_parameters import (
    DEFAULT_RESULTS,
    PathPattern,
    TopK,
    Where,
    check_text,
    check_top_k,
    make_filter,
)
from side4video.web.responses import ClassesResponse, InfoResponse, SearchResponse
from side4video.web.served_files import NotServedError
from side4video.web.service import SearchService
from side4video.web.transcode_workers import NotDecodedError

Clip = Annotated[UploadFile, File(description="a video of any format")]


def api_routes(service: SearchService) -> APIRouter:
    """The routes below /api."""
    router = APIRouter(prefix="/api", tags=["search"])
    settings = service.settings

    @router.get("/search")
    async def search(
        q: Annotated[str, Query(description="the query")],
        top_k: TopK = DEFAULT_RESULTS,
        path: PathPattern = None,
        where: Where = [],  # noqa: B006 (FastAPI copies it)
    ) -> SearchResponse:
        """The videos that match a text, best first."""
        text = check_text(q, max_letters=settings.max_query_letters)
        top_k = check_top_k(top_k, maximum=settings.max_results)
        return await service.search(
            text, top_k=top_k, filter=make_filter(where, path, service.column_types, service.column_values)
        )

    @router.get("/like/{identifier}")
    async def like(
        identifier: str,
        top_k: TopK = DEFAULT_RESULTS,
        path: PathPattern = None,
        where: Where = [],  # noqa: B006
    ) -> SearchResponse:
        """The videos most similar to a video of the index, without the video itself."""
        top_k = check_top_k(top_k, maximum=settings.max_results)
        return await find_similar(service, identifier, top_k=top_k, where=where, path=path)

    @router.post("/search-like")
    async def search_like(
        clip: Clip,
        top_k: TopK = DEFAULT_RESULTS,
        path: PathPattern = None,
        where: Where = [],  # noqa: B006
    ) -> SearchResponse:
        """The videos most similar to an uploaded clip."""
        top_k, filter = (
            check_top_k(top_k, maximum=settings.max_results),
            make_filter(where, path, service.column_types, service.column_values),
        )
        try:
            async with service.uploaded(clip.file) as uploaded:
                return await service.search_like(uploaded, top_k=top_k, filter=filter)
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

    @router.get("/info")
    async def info() -> InfoResponse:
        """The index, its columns, and the limits of this server."""
        return service.info()

    return router


async def find_similar(
    service: SearchService, identifier: str, *, top_k: int, where: list[str], path: str | None
) -> SearchResponse:
    """The videos most similar to a video of the index, without the video itself.

    Raises:
        HTTPException: 404 if the video can no longer be shown, 422 if it cannot be read.
    """
    filter = make_filter(where, path, service.column_types, service.column_values)
    try:
        file = await asyncio.to_thread(service.served_files.find, identifier)
        return await service.search_like(file.path, top_k=top_k, filter=filter)
    except NotServedError as error:
        raise HTTPException(404, str(error)) from None
    except VideoError as error:
        raise to_http_error(error) from None


def to_http_error(error: NotDecodedError | VideoError) -> HTTPException:
    """The response for a clip that cannot be used: 504 after a timeout, else 422."""
    if isinstance(error, VideoError):
        return HTTPException(422, f"This video cannot be read: {error.reason}")
    return HTTPException(504 if error.timed_out else 422, str(error))
