"""The web application: page, API, videos, and their shared error handling."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from side4video.search.video_index import IndexReplacedError
from side4video.web.api import api_routes
from side4video.web.media import media_routes
from side4video.web.page_content import PageContent
from side4video.web.page_routes import page_routes
from side4video.web.pages import Pages
from side4video.web.security_middleware import SecurityMiddleware
from side4video.web.service import SearchService


def make_app(service: SearchService) -> FastAPI:
    """The application of a service. The service starts and stops with the application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    # FastAPI's documentation pages load scripts from other servers, so this app serves its own /docs.
    app = FastAPI(
        title="side4video",
        version=version("side4video"),
        description="Search your own videos by words or by an example.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    pages = Pages(service)
    app.add_middleware(SecurityMiddleware, settings=service.settings)
    app.include_router(page_routes(pages))
    app.include_router(api_routes(service))
    app.include_router(media_routes(service))
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return pages.docs(app.openapi())

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        return _error_response(request, pages, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid_request(request: Request, error: RequestValidationError) -> Response:
        reasons = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
        return _error_response(request, pages, 422, reasons)

    @app.exception_handler(IndexReplacedError)
    async def index_replaced(request: Request, _: IndexReplacedError) -> Response:
        reason = "The index was made again with another model or other settings. Restart the server."
        return _error_response(request, pages, 503, reason)

    @app.exception_handler(Exception)
    async def server_error(request: Request, error: Exception) -> Response:
        return _error_response(
            request, pages, 500, f"Internal error ({type(error).__name__}). The server has printed a traceback."
        )

    return app


def _error_response(request: Request, pages: Pages, status: int, reason: str) -> Response:
    """An error response: the page for browsers, JSON for other clients."""
    if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/"):
        return pages.page(request, PageContent(title="Error", problem=reason), status=status)
    return JSONResponse({"detail": reason}, status_code=status)
