"""The search page. The server renders it completely, so it works without scripts; its script replaces the results."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from side4video.moments.moment import clock_time
from side4video.search.results import split_at
from side4video.search.stores.filters import write_condition
from side4video.search.stores.numbers import value_text
from side4video.search.subtitle_index import SUBTITLE_WEIGHT
from side4video.web.page_content import PageContent
from side4video.web.request_parameters import MAX_CONDITIONS
from side4video.web.responses import CueResponse
from side4video.web.service import SearchService

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
            "value_text": value_text,
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
        filters = [(name, value) for name, value in given if name.startswith(_FILTER_FIELDS)][: MAX_CONDITIONS + 1]
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
    return clock_time(round(seconds, 1), decimals=1)
