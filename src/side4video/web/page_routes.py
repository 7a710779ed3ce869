"""The routes of the search page: results of queries and of uploads, and the player of one video."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.datastructures import UploadFile as StarletteUploadFile

from side4video.search.stores.filters import Filter
from side4video.search.subtitle_index import MAX_SUBTITLE_WEIGHT, SUBTITLE_WEIGHT
from side4video.video.video_error import VideoError
from side4video.web.api import Clip, find_file, find_timeline, find_videos, to_http_error
from side4video.web.page_content import PageContent, WatchedVideo
from side4video.web.pages import Pages
from side4video.web.queries import ClientQuery, read_query
from side4video.web.request_parameters import (
    DEFAULT_RESULTS,
    check_top_k,
    form_conditions,
    form_number,
    make_filter,
)
from side4video.web.responses import VideoResponse
from side4video.web.service import SearchService
from side4video.web.transcode_workers import NotDecodedError

Fields = Sequence[tuple[str, str]]


def page_routes(pages: Pages) -> APIRouter:
    """The routes of the page."""
    router = APIRouter(include_in_schema=False)
    service, root = pages.service, pages.service.settings.root_path

    @router.get("/", response_class=HTMLResponse)
    async def home(request: Request) -> HTMLResponse:
        fields = [(name, value) for name, value in request.query_params.multi_items() if value.strip()]
        if not any(name in ("q", "not", "like") for name, _ in fields):
            filter = _filter_of(service, fields)
            title = "Videos in this index" if filter == Filter() else "Videos that match the filters"
            return pages.page(request, PageContent(title=title, results=await service.sample_videos(filter)))
        like = dict(fields).get("like")
        return await _results(pages, request, _query_of(service, fields, has_example=like is not None), like)

    @router.get("/like/{identifier}", response_class=HTMLResponse)
    async def like(request: Request, identifier: str) -> HTMLResponse:
        return await _results(pages, request, ClientQuery(), identifier)

    @router.post("/like", response_class=HTMLResponse)
    async def like_upload(request: Request, clip: Clip) -> HTMLResponse:
        fields = request.query_params.multi_items()
        if not clip.filename:
            raise HTTPException(422, "No file was selected.")
        return await _results_of_upload(pages, request, fields, clip, ClientQuery())

    @router.post("/combine", response_class=HTMLResponse)
    async def combine(request: Request) -> Response:
        async with request.form() as form:
            fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str) and value.strip()]
            clip = form.get("clip")
            if isinstance(clip, StarletteUploadFile) and clip.filename:
                query = _query_of(service, fields, has_example=True)
                return await _results_of_upload(pages, request, fields, clip, query)  # type: ignore[arg-type]
        return RedirectResponse(f"{root}/?{urlencode(fields)}", status_code=303)

    @router.get("/watch/{identifier}", response_class=HTMLResponse)
    async def watch(
        request: Request,
        identifier: str,
        t: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
        timeline: bool = False,
    ) -> HTMLResponse:
        watched = await _watched_video(service, identifier, t, with_timeline=timeline)
        title = os.path.basename(watched.video.name)  # noqa: PTH119
        return pages.page(request, PageContent(title=title, watched=watched))

    return router


async def _results(pages: Pages, request: Request, query: ClientQuery, like: str | None) -> HTMLResponse:
    service, num = pages.service, _num_results(pages.service, request)
    filter = _filter_of(service, request.query_params.multi_items())
    found = await find_videos(service, query, like, top_k=num, filter=filter)
    name = None if like is None else service.videos.name_of(service.served_files.files[like].path)
    shown = PageContent(
        title=query.title if name is None else replace(query, example=like, example_name=name).title,
        results=found.results,
        seconds=found.seconds,
        warning=found.warning,
        computed=found.computed,
        more_url=_more_url(service, request, found.results, num),
        like=None if like is None or name is None else (like, name),
    )
    return pages.page(request, shown)


async def _results_of_upload(
    pages: Pages, request: Request, fields: Fields, clip: UploadFile, query: ClientQuery
) -> HTMLResponse:
    service, filter = pages.service, _filter_of(pages.service, fields)
    try:
        async with service.uploaded(clip.file) as uploaded:
            classes = await service.classify(uploaded) if service.classifier is not None else None
            query = replace(query, example=uploaded, example_name=clip.filename or "the upload")
            found = await service.search(query, top_k=DEFAULT_RESULTS, filter=filter)
    except (NotDecodedError, VideoError) as error:
        raise to_http_error(error) from None
    shown = PageContent(
        title=query.title,
        results=found.results,
        seconds=found.seconds,
        classes=classes,
        warning=found.warning,
        computed=found.computed,
    )
    return pages.page(request, shown, fields=fields)


async def _watched_video(service: SearchService, identifier: str, start: float, *, with_timeline: bool) -> WatchedVideo:
    file = await find_file(service, identifier)
    seconds = min(start, file.duration_seconds)
    url = f"{service.settings.root_path}/watch/{identifier}?t={seconds:.3f}&timeline=1"
    return WatchedVideo(
        video=await asyncio.to_thread(service.describe_moment, file, seconds),
        seconds=seconds,
        cues=await service.cues_of(file),
        timeline=await find_timeline(service, identifier) if with_timeline else None,
        timeline_url=None if with_timeline or service.timelines is None else url,
    )


def _num_results(service: SearchService, request: Request) -> int:
    text, maximum = request.query_params.get("n", str(DEFAULT_RESULTS)), service.settings.max_results
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise HTTPException(422, f"n={text} is not a number of results. Use 1 to {maximum}.")
    return check_top_k(int(text), maximum=maximum)


def _filter_of(service: SearchService, fields: Fields) -> Filter:
    path = dict(fields).get("path")
    return make_filter(form_conditions(fields), path, service.column_types, service.column_values)


def _query_of(service: SearchService, fields: Fields, *, has_example: bool) -> ClientQuery:
    texts, unwanted = ([value for name, value in fields if name == kind] for kind in ("q", "not"))
    weight = form_number(dict(fields).get("subtitles"), "subtitles", SUBTITLE_WEIGHT, maximum=MAX_SUBTITLE_WEIGHT)
    limit = service.settings.max_query_letters
    return read_query(texts, unwanted, subtitle_weight=weight, max_letters=limit, has_example=has_example)


def _more_url(service: SearchService, request: Request, found: list[VideoResponse], num: int) -> str | None:
    maximum = service.settings.max_results
    if len(found) < num or num >= min(maximum, len(service.served_files.files)):
        return None
    return str(request.url.include_query_params(n=min(2 * num, maximum)).replace(scheme="", netloc=""))
