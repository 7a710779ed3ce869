"""Sends a file of this machine to a browser, by byte ranges."""

import asyncio
import os

from fastapi.responses import FileResponse, Response
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from side4video.web.remote_response import range_of


class RangedFileResponse(FileResponse):
    """A file with byte ranges, as `remote_response` sends videos of stores: Range headers that are invalid or name
    several ranges count as none. A client that has the file gets status 304.

    >>> RangedFileResponse("clip.mp4", media_type="video/mp4").media_type
    'video/mp4'
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        state = await asyncio.to_thread(os.stat, self.path)
        self.set_stat_headers(state)
        known = [tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")]
        if self.headers["etag"] in known:
            kept = {name: self.headers[name] for name in ("etag", "cache-control") if name in self.headers}
            await Response(status_code=304, headers=kept)(scope, receive, send)
            return
        if range_of(headers.get("range"), state.st_size) is None:
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() != b"range"]}
        await super().__call__(scope, receive, send)
