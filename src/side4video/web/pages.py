"""The search page. The server renders it completely, so it works without scripts; its script replaces the results."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import UploadFile as StarletteUploadFile

from side4video.search.results import split_at
from side4video.search.stores.filters import Filter, write_condition
from side4video.search.subtitle_index import SUBTITLE_WEIGHT
from side4video.video.video_error import VideoError
from side4video.web.api import Clip, find_file, find_timeline, find_videos, to_http_error
from side4video.web.page_content import PageContent, WatchedVideo
from side4video.web.queries import ClientQuery, read_query
from side4video.web.request_parameters import (
    DEFAULT_RESULTS,
    check_top_k,
    form_conditions,
    form_number,
    make_filter,
)
from side4video.web.responses import CueResponse, VideoResponse
from side4video.web.service import SearchService
from side4video.web.transcode_workers import NotDecodedError

LONG_VALUE = 40
"""Characters of a value of metadata; longer ones are shown after the others."""
_FILTER_FIELDS = ("where", "min:", "max:", "has:", "path")


class Pages:
    """Renders the pages of a service.

    >>> from side4video.search.video_index import VideoIndex
    >>> from side4video.web.settings import ServeSettings
    >>> index = VideoIndex.open("index", model="retrieval", device="cpu")
    >>> pages = Pages(SearchService(index, ServeSettings()))
    >>> request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"q=a+disc", "headers": []})
    >>> pages.page(request, PageContent(title="a disc")).status_code
    200
    >>> index.close()
    """

    def __init__(self, service: SearchService) -> None:
        self.service = service
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
        )
        environment.filters |= {
            "format_time": format_time,
            "format_duration": format_duration,
            "file_name": os.path.basename,
            "condition": lambda column, value: write_condition(column, "=", value),
            "folder_name": os.path.dirname,
            "languages": lambda cues: list(dict.fromkeys(cue.language for cue in cues)),
            "marked": mark_words,
            "short_first": lambda metadata: sorted(metadata.items(), key=lambda pair: len(str(pair[1])) > LONG_VALUE),
            "short_name": lambda path: "/".join(Path(path).parts[-2:]),
        }
        self._page = environment.get_template("page.html.jinja")
        self._docs = environment.get_template("docs.html.jinja")

    def page(
        self,
        request: Request,
        shown: PageContent,
        *,
        status: int = 200,
        fields: Sequence[tuple[str, str]] | None = None,
    ) -> HTMLResponse:
        """The page with the given content in its lower part; `fields` of the form, by default those of the URL."""
        given = [(name, value) for name, value in fields or request.query_params.multi_items() if value.strip()]
        filters = [(name, value) for name, value in given if name.startswith(_FILTER_FIELDS)]
        texts = [value for name, value in given if name == "q"]
        content = self._page.render(
            shown=shown,
            info=self.service.info(),
            texts=texts,
            given=dict(given),
            wheres=[value for name, value in given if name == "where"],
            filters=filters,
            chips=[(_describe_filter(*one), _without(request, given, *one)) for one in filters],
            filter_query=urlencode(filters),
            unfiltered=_url(request, [one for one in given if one not in filters and one[0] != "n"]),
            default_weight=SUBTITLE_WEIGHT,
            root=self.service.settings.root_path,
        )
        return HTMLResponse(content, status_code=status, headers={"cache-control": "no-store"})

    def docs(self, schema: dict[str, Any]) -> HTMLResponse:
        """The documentation of the API, from its OpenAPI schema."""
        return HTMLResponse(self._docs.render(schema=schema, root=self.service.settings.root_path))


def page_routes(service: SearchService, pages: Pages) -> APIRouter:
    """The routes of the page."""
    router = APIRouter(include_in_schema=False)
    settings, root = service.settings, service.settings.root_path

    def num_results(request: Request) -> int:
        text = request.query_params.get("n", str(DEFAULT_RESULTS))
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise HTTPException(422, f"n={text} is not a number of results. Use 1 to {settings.max_results}.")
        return check_top_k(int(text), maximum=settings.max_results)

    def filter_of(fields: Sequence[tuple[str, str]]) -> Filter:
        path = dict(fields).get("path")
        return make_filter(form_conditions(fields), path, service.column_types, service.column_values)

    def more_url(request: Request, found: list[VideoResponse]) -> str | None:
        num = num_results(request)
        if len(found) < num or num >= min(settings.max_results, len(service.served_files.files)):
            return None
        return str(request.url.include_query_params(n=min(2 * num, settings.max_results)).replace(scheme="", netloc=""))

    def query_of(fields: Sequence[tuple[str, str]], *, has_example: bool) -> ClientQuery:
        texts, unwanted = ([value for name, value in fields if name == kind] for kind in ("q", "not"))
        weight = form_number(dict(fields).get("subtitles"), "subtitles", SUBTITLE_WEIGHT)
        limit = settings.max_query_letters
        return read_query(texts, unwanted, subtitle_weight=weight, max_letters=limit, has_example=has_example)

    async def results(request: Request, query: ClientQuery, like: str | None) -> HTMLResponse:
        fields = request.query_params.multi_items()
        found = await find_videos(service, query, like, top_k=num_results(request), filter=filter_of(fields))
        name = None if like is None else service.videos.name_of(service.served_files.files[like].path)
        shown = PageContent(
            title=query.title if name is None else replace(query, example=like, example_name=name).title,
            results=found.results,
            seconds=found.seconds,
            warning=found.warning,
            computed=found.computed,
            more_url=more_url(request, found.results),
            like=None if like is None or name is None else (like, name),
        )
        return pages.page(request, shown)

    async def results_of_upload(
        request: Request, fields: list[tuple[str, str]], clip: UploadFile, query: ClientQuery
    ) -> HTMLResponse:
        filter = filter_of(fields)
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

    @router.get("/", response_class=HTMLResponse)
    async def home(request: Request) -> HTMLResponse:
        fields = [(name, value) for name, value in request.query_params.multi_items() if value.strip()]
        if not any(name in ("q", "not", "like") for name, _ in fields):
            return pages.page(request, PageContent(title="Videos in this index", results=await service.sample_videos()))
        like = dict(fields).get("like")
        return await results(request, query_of(fields, has_example=like is not None), like)

    @router.get("/like/{identifier}", response_class=HTMLResponse)
    async def like(request: Request, identifier: str) -> HTMLResponse:
        return await results(request, ClientQuery(), identifier)

    @router.post("/like", response_class=HTMLResponse)
    async def like_upload(request: Request, clip: Clip) -> HTMLResponse:
        fields = request.query_params.multi_items()
        if not clip.filename:
            raise HTTPException(422, "No file was selected.")
        return await results_of_upload(request, fields, clip, ClientQuery())

    @router.post("/combine", response_class=HTMLResponse)
    async def combine(request: Request) -> Response:
        async with request.form() as form:
            fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str) and value.strip()]
            clip = form.get("clip")
            if isinstance(clip, StarletteUploadFile) and clip.filename:
                query = query_of(fields, has_example=True)
                return await results_of_upload(request, fields, clip, query)  # type: ignore[arg-type]
        return RedirectResponse(f"{root}/?{urlencode(fields)}", status_code=303)

    @router.get("/watch/{identifier}", response_class=HTMLResponse)
    async def watch(
        request: Request,
        identifier: str,
        t: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
        timeline: bool = False,
    ) -> HTMLResponse:
        file = await find_file(service, identifier)
        seconds = min(t, file.duration_seconds)
        part = await asyncio.to_thread(service.describe_moment, file, seconds)
        url = f"{root}/watch/{identifier}?t={seconds:.3f}&timeline=1"
        watched = WatchedVideo(
            video=part,
            seconds=seconds,
            cues=await service.cues_of(file),
            timeline=await find_timeline(service, identifier) if timeline else None,
            timeline_url=None if timeline or service.timelines is None else url,
        )
        return pages.page(request, PageContent(title=os.path.basename(part.name), watched=watched))  # noqa: PTH119

    return router


def _describe_filter(name: str, value: str) -> str:
    """A filter of the form, for reading: `year ≥ 2020`."""
    signs = {"min": "≥", "max": "≤", "has": "contains"}
    kind, _, column = name.partition(":")
    if kind in signs:
        return f"{column} {signs[kind]} {value}"
    return value if name == "where" else f"{name} {value}"


def _without(request: Request, fields: Sequence[tuple[str, str]], name: str, value: str) -> str:
    """The URL of the same query without one filter."""
    return _url(request, [one for one in fields if one != (name, value)])


def _url(request: Request, fields: Sequence[tuple[str, str]]) -> str:
    """The URL of a query; that of an upload has no results, so it leads to the page with these fields."""
    path = request.scope.get("root_path", "") + "/" if request.method == "POST" else request.url.path
    return path + (f"?{urlencode(fields)}" if fields else "")


def mark_words(cue: CueResponse) -> list[tuple[str, bool]]:
    """The text of a cue in pieces, each with whether it is a found word.

    >>> mark_words(CueResponse(text="A dog.", start_seconds=1, end_seconds=2, language="", found=[(2, 5)]))
    [('A ', False), ('dog', True), ('.', False)]
    """
    return split_at(cue.text, cue.found)


def format_duration(seconds: float) -> str:
    """Format the duration of a video.

    >>> format_duration(2.04), format_duration(75.0)
    ('2.0 s', '1:15.0')
    """
    return f"{seconds:.1f} s" if seconds < 59.95 else format_time(seconds)


def format_time(seconds: float) -> str:
    """Format a time like a video player, with tenths of a second.

    >>> format_time(3.25), format_time(75.0), format_time(3671.98)
    ('0:03.2', '1:15.0', '1:01:12.0')
    """
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"
