"""The search page. The server renders it completely, so it works without scripts; its script replaces the results."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from side4video.search.stores.filters import Filter, write_condition
from side4video.video.video_error import VideoError
from side4video.web.api import Clip, find_similar, to_http_error
from side4video.web.request_parameters import DEFAULT_RESULTS, check_text, check_top_k, form_conditions, make_filter
from side4video.web.responses import ClassesResponse, VideoResponse
from side4video.web.service import SearchService
from side4video.web.transcode_workers import NotDecodedError

_FILTER_FIELDS = ("where", "min:", "max:", "has:", "path")


@dataclass(frozen=True, kw_only=True)
class PageContent:
    """The content of the lower part of the page.

    Attributes:
        title: the heading.
        results: videos, best first.
        seconds: time that the search took; None: there was no query.
        classes: classes of an uploaded clip.
        problem: an error message that replaces the results.
        warning: a message above the results.
        more_url: URL of the same query with more results.

    >>> PageContent(title="Error", problem="The query is empty.").results
    []
    """

    title: str
    results: list[VideoResponse] = field(default_factory=list)
    seconds: float | None = None
    classes: ClassesResponse | None = None
    problem: str | None = None
    warning: str | None = None
    more_url: str | None = None


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
            "short_name": lambda path: "/".join(Path(path).parts[-2:]),
        }
        self._page = environment.get_template("page.html.jinja")
        self._docs = environment.get_template("docs.html.jinja")

    def page(self, request: Request, shown: PageContent, *, status: int = 200) -> HTMLResponse:
        """The page with the given content in its lower part."""
        given = [(name, value) for name, value in request.query_params.multi_items() if value.strip()]
        filters = [(name, value) for name, value in given if name.startswith(_FILTER_FIELDS)]
        content = self._page.render(
            shown=shown,
            info=self.service.info(),
            text=request.query_params.get("q", ""),
            given=dict(given),
            wheres=[value for name, value in given if name == "where"],
            filters=filters,
            chips=[(_describe_filter(*one), _without(request, *one)) for one in filters],
            filter_query=urlencode(filters),
            unfiltered=without_filters(request),
            root=self.service.settings.root_path,
        )
        return HTMLResponse(content, status_code=status, headers={"cache-control": "no-store"})

    def docs(self, schema: dict[str, Any]) -> HTMLResponse:
        """The documentation of the API, from its OpenAPI schema."""
        return HTMLResponse(self._docs.render(schema=schema, root=self.service.settings.root_path))


def page_routes(service: SearchService, pages: Pages) -> APIRouter:
    """The routes of the page."""
    router = APIRouter(include_in_schema=False)
    settings = service.settings

    def num_results(request: Request) -> int:
        text = request.query_params.get("n", str(DEFAULT_RESULTS))
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise HTTPException(422, f"n={text} is not a number of results. Use 1 to {settings.max_results}.")
        return check_top_k(int(text), maximum=settings.max_results)

    def read_filter(request: Request) -> Filter:
        return make_filter(
            form_conditions(request), request.query_params.get("path"), service.column_types, service.column_values
        )

    def more_url(request: Request, found: list[VideoResponse]) -> str | None:
        num = num_results(request)
        if len(found) < num or num >= min(settings.max_results, len(service.served_files.files)):
            return None
        return str(request.url.include_query_params(n=min(2 * num, settings.max_results)).replace(scheme="", netloc=""))

    @router.get("/", response_class=HTMLResponse)
    async def home(request: Request) -> HTMLResponse:
        text = request.query_params.get("q", "")
        if not text.strip():
            return pages.page(request, PageContent(title="Videos in this index", results=await service.sample_videos()))
        text = check_text(text, max_letters=settings.max_query_letters)
        filter = read_filter(request)
        response = await service.search(text, top_k=num_results(request), filter=filter)
        shown = PageContent(
            title=f"“{text}”",
            results=response.results,
            seconds=response.seconds,
            warning=response.warning,
            more_url=more_url(request, response.results),
        )
        return pages.page(request, shown)

    @router.get("/like/{identifier}", response_class=HTMLResponse)
    async def like(request: Request, identifier: str) -> HTMLResponse:
        conditions, path = list(form_conditions(request)), request.query_params.get("path")
        response = await find_similar(service, identifier, top_k=num_results(request), where=conditions, path=path)
        name = service.name_of(service.served_files.files[identifier].path)
        shown = PageContent(
            title=f"Similar to {name}",
            results=response.results,
            seconds=response.seconds,
            more_url=more_url(request, response.results),
        )
        return pages.page(request, shown)

    @router.post("/like", response_class=HTMLResponse)
    async def like_upload(request: Request, clip: Clip) -> HTMLResponse:
        filter = read_filter(request)
        if not clip.filename:
            raise HTTPException(422, "No file was selected.")
        try:
            async with service.uploaded(clip.file) as uploaded:
                classes = await service.classify(uploaded) if service.classifier is not None else None
                response = await service.search_like(uploaded, top_k=DEFAULT_RESULTS, filter=filter)
        except (NotDecodedError, VideoError) as error:
            raise to_http_error(error) from None
        shown = PageContent(
            title=f"Similar to {clip.filename}", results=response.results, seconds=response.seconds, classes=classes
        )
        return pages.page(request, shown)

    return router


def _describe_filter(name: str, value: str) -> str:
    """A filter of the form, for reading: `year ≥ 2020`."""
    signs = {"min": "≥", "max": "≤", "has": "contains"}
    kind, _, column = name.partition(":")
    if kind in signs:
        return f"{column} {signs[kind]} {value}"
    return value if name == "where" else f"{name} {value}"


def _without(request: Request, name: str, value: str) -> str:
    """The URL of the same query without one filter."""
    kept = [one for one in request.query_params.multi_items() if one != (name, value) and one[1].strip()]
    path = request.scope.get("root_path", "") + "/" if request.method == "POST" else request.url.path
    return path + (f"?{urlencode(kept)}" if kept else "")


def without_filters(request: Request) -> str:
    """The URL of the same query without filters."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name == "q"]
    path = request.scope.get("root_path", "") + "/" if request.method == "POST" else request.url.path
    return path + (f"?{urlencode(kept)}" if kept else "")


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
