"""Sends a video of a store to a browser, by byte ranges."""

import asyncio
import io
import re
from collections.abc import AsyncIterator

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from side4video.search.stores.records import IndexedFile
from side4video.video.remote import video_path
from side4video.video.remote_file import BLOCK_BYTES, open_bytes


def range_of(header: str | None, size: int) -> range | None:
    """The bytes that a Range header asks for; None: all. Several ranges and invalid headers count as none (RFC 9110).

    >>> range_of("bytes=10-", 100), range_of("bytes=-10", 100), range_of("bytes=0-9", 100), range_of("lines=1", 100)
    (range(10, 100), range(90, 100), range(0, 10), None)
    >>> len(range_of("bytes=100-", 100))  # cannot be satisfied
    0
    """
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").strip(), re.ASCII)
    if found is None or found[0].endswith("=-"):
        return None
    first, last = found[1], found[2]
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


async def remote_response(request: Request, file: IndexedFile, headers: dict[str, str]) -> Response:
    """The response to a request for an indexed file at an address. Blocks are fetched while they are sent.

    Args:
        request: the client's request; its headers Range and If-Range count.
        file: the file in its indexed state.
        headers: further headers, with the content type.

    Raises:
        OSError: the store does not answer.
    """
    tag = f'"{file.modified:x}-{file.size:x}"'
    headers = {**headers, "etag": tag, "accept-ranges": "bytes"}
    is_current = request.headers.get("if-range") in (None, tag)
    part = range_of(request.headers.get("range"), file.size) if is_current else None
    if part is not None and not part:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{file.size}"})
    sent = range(file.size) if part is None else part
    headers["content-length"] = str(len(sent))
    if part is not None:
        headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    opened = await asyncio.to_thread(open_bytes, video_path(file.path))
    return StreamingResponse(_blocks(opened, sent), status_code=status, headers=headers)


async def _blocks(file: io.BufferedReader, part: range) -> AsyncIterator[bytes]:
    with file:
        file.seek(part.start)
        missing = len(part)
        while missing:
            block = await asyncio.to_thread(file.read, min(BLOCK_BYTES, missing))
            if not block:
                return
            missing -= len(block)
            yield block
