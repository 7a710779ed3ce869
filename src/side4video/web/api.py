"""The JSON API: search by text, by a video of the index or by an upload; classify an upload; describe the index."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, File, HTTPException, Query, UploadFile

from side4video.video.video_error import VideoError
from side4video.web.answers import ClassesAnswer, InfoAnswer, SearchAnswer
from side4video.web.library import NotServedError
from side4video.web.questions import (
    DEFAULT_RESULTS,
    PathPattern,
    TopK,
    Where,
    check_number,
    check_text,
    make_filter,
)
from side4video.web.service import SearchService
from side4video.web.transcode_workers import NotDecodedError

Clip = Annotated[UploadFile, File(description="a video of any format")]


def api_routes(service: SearchService) -> APIRouter:
    """The routes below /api."""
    router = APIRouter(prefix="/api", tags=["search"])
    settings = service.settings

    @router.get("/search")
    async def search(
        q: Annotated[str, Query(description="what to look for")],
        top_k: TopK = DEFAULT_RESULTS,
        path: PathPattern = None,
        where: Where = [],  # noqa: B006 (FastAPI copies it)
    ) -> SearchAnswer:
        """The videos that match a text, best first."""
        text = check_text(q, max_letters=settings.max_query_letters)
        top_k = check_number(top_k, most=settings.max_results)
        return await service.search(text, top_k=top_k, filter=make_filter(where, path, service.column_kinds))

    @router.get("/like/{identifier}")
    async def like(
        identifier: str,
        top_k: TopK = DEFAULT_RESULTS,
        path: PathPattern = None,
        where: Where = [],  # noqa: B006
    ) -> SearchAnswer:
        """The videos most similar to a video of the index, without the video itself."""
        top_k = check_number(top_k, most=settings.max_results)
        return await find_like(service, identifier, top_k=top_k, where=where, path=path)

    @router.post("/search-like")
    async def search_like(
        clip: Clip,
        top_k: TopK = DEFAULT_RESULTS,
        path: PathPattern = None,
        where: Where = [],  # noqa: B006
    ) -> SearchAnswer:
        """The videos most similar to an uploaded clip."""
        top_k, filter = check_number(top_k, most=settings.max_results), make_filter(where, path, service.column_kinds)
        try:
            async with service.uploaded(clip.file) as uploaded:
                return await service.search_like(uploaded, top_k=top_k, filter=filter)
        except (NotDecodedError, VideoError) as error:
            raise refusal(error) from None

    @router.post("/classify")
    async def classify(clip: Clip) -> ClassesAnswer:
        """The five best classes of an uploaded clip; 404 if the server was started without --classify."""
        if service.classifier is None:
            raise HTTPException(404, "This server does not classify. Start it with --classify ADAPTER.")
        try:
            async with service.uploaded(clip.file) as uploaded:
                return await service.classify(uploaded)
        except (NotDecodedError, VideoError) as error:
            raise refusal(error) from None

    @router.get("/info")
    async def info() -> InfoAnswer:
        """The index, its columns, and the limits of this server."""
        return service.info()

    return router


async def find_like(
    service: SearchService, identifier: str, *, top_k: int, where: list[str], path: str | None
) -> SearchAnswer:
    """The videos most similar to a video of the index, without the video itself.

    Raises:
        HTTPException: 404 if the video can no longer be shown, 422 if it cannot be read.
    """
    filter = make_filter(where, path, service.column_kinds)
    try:
        file = await asyncio.to_thread(service.library.find, identifier)
        return await service.search_like(file.path, top_k=top_k, filter=filter)
    except NotServedError as error:
        raise HTTPException(404, str(error)) from None
    except VideoError as error:
        raise refusal(error) from None


def refusal(error: NotDecodedError | VideoError) -> HTTPException:
    """The response for a clip that cannot be used: 504 after a timeout, else 422."""
    if isinstance(error, VideoError):
        return HTTPException(422, f"This video cannot be read: {error.reason}")
    return HTTPException(504 if error.took_too_long else 422, str(error))
