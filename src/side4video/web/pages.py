"""The search page. The server renders it completely, so it works without scripts; its script replaces the results."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from side4video.search.stores.filters import Filter
from side4video.video.video_error import VideoError
from side4video.web.answers import ClassesAnswer, FoundAnswer
from side4video.web.api import Clip, find_like, refusal
from side4video.web.questions import DEFAULT_RESULTS, check_number, check_text, form_conditions, make_filter
from side4video.web.service import SearchService
from side4video.web.transcode_workers import NotDecodedError

_FILTER_FIELDS = ("where", "min:", "max:", "has:", "path")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The content of the lower part of the page.

    Attributes:
        title: the heading.
        results: videos, best first.
        seconds: time that the search took; None: there was no query.
        classes: classes of an uploaded clip.
        problem: an error message that replaces the results.
        more: URL of the same query with more results.
    """

    title: str
    results: list[FoundAnswer] = field(default_factory=list)
    seconds: float | None = None
    classes: ClassesAnswer | None = None
    problem: str | None = None
    more: str | None = None


class Pages:
    """Renders the pages of a service."""

    def __init__(self, service: SearchService) -> None:
        self.service = service
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
        )
        environment.filters |= {
            "clock": clock,
            "length_of": length_of,
            "file_name": os.path.basename,
            "folder_name": os.path.dirname,
            "short_name": lambda path: "/".join(Path(path).parts[-2:]),
        }
        self._page = environment.get_template("page.html.jinja")
        self._docs = environment.get_template("docs.html.jinja")

    def page(self, request: Request, shown: Shown, *, status: int = 200) -> HTMLResponse:
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
            filter_query=urlencode(filters),
            unfiltered=without_filters(request),
        )
        return HTMLResponse(content, status_code=status, headers={"cache-control": "no-store"})

    def docs(self, schema: dict[str, Any]) -> HTMLResponse:
        """The documentation of the API, from its OpenAPI schema."""
        return HTMLResponse(self._docs.render(schema=schema))


def page_routes(service: SearchService, pages: Pages) -> APIRouter:
    """The routes of the page."""
    router = APIRouter(include_in_schema=False)
    settings = service.settings

    def number(request: Request) -> int:
        given = request.query_params.get("n", str(DEFAULT_RESULTS))
        return check_number(int(given) if given.isdigit() else 0, most=settings.max_results)

    def filter_of(request: Request) -> Filter:
        return make_filter(form_conditions(request), request.query_params.get("path"), service.column_kinds)

    def more(request: Request, found: list[FoundAnswer]) -> str | None:
        asked = number(request)
        if len(found) < asked or asked >= settings.max_results:
            return None
        return str(
            request.url.include_query_params(n=min(2 * asked, settings.max_results)).replace(scheme="", netloc="")
        )

    @router.get("/", response_class=HTMLResponse)
    async def home(request: Request) -> HTMLResponse:
        text = request.query_params.get("q", "")
        if not text.strip():
            return pages.page(request, Shown(title="From this index", results=await service.some_videos()))
        text = check_text(text, max_letters=settings.max_query_letters)
        filter = filter_of(request)
        answer = await service.search(text, top_k=number(request), filter=filter)
        shown = Shown(
            title=f"“{text}”", results=answer.results, seconds=answer.seconds, more=more(request, answer.results)
        )
        return pages.page(request, shown)

    @router.get("/like/{identifier}", response_class=HTMLResponse)
    async def like(request: Request, identifier: str) -> HTMLResponse:
        conditions, path = list(form_conditions(request)), request.query_params.get("path")
        answer = await find_like(service, identifier, top_k=number(request), where=conditions, path=path)
        name = service.name_of(service.library.files[identifier].path)
        shown = Shown(
            title=f"Like {name}", results=answer.results, seconds=answer.seconds, more=more(request, answer.results)
        )
        return pages.page(request, shown)

    @router.post("/like", response_class=HTMLResponse)
    async def like_upload(request: Request, clip: Clip) -> HTMLResponse:
        filter = filter_of(request)
        if not clip.filename:
            raise HTTPException(422, "No file was chosen.")
        try:
            async with service.uploaded(clip.file) as uploaded:
                classes = await service.classify(uploaded) if service.classifier is not None else None
                answer = await service.search_like(uploaded, top_k=DEFAULT_RESULTS, filter=filter)
        except (NotDecodedError, VideoError) as error:
            raise refusal(error) from None
        shown = Shown(title=f"Like {clip.filename}", results=answer.results, seconds=answer.seconds, classes=classes)
        return pages.page(request, shown)

    return router


def without_filters(request: Request) -> str:
    """The URL of the same query without filters."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name == "q"]
    path = "/" if request.method == "POST" else request.url.path
    return path + (f"?{urlencode(kept)}" if kept else "")


def length_of(seconds: float) -> str:
    """Format the duration of a video.

    >>> length_of(2.04), length_of(75.0)
    ('2.0 s', '1:15.0')
    """
    return f"{seconds:.1f} s" if seconds < 59.95 else clock(seconds)


def clock(seconds: float) -> str:
    """Format a time like a video player, with tenths of a second.

    >>> clock(3.25), clock(75.0), clock(3671.98)
    ('0:03.2', '1:15.0', '1:01:12.0')
    """
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"
