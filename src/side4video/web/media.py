"""Serve videos, clips and frames of them by the identifier of an indexed file."""

import asyncio
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse, Response

from side4video.atomic_files import replacing
from side4video.moments.clips import WHOLE_SIZE
from side4video.moments.subtitles import webvtt_text
from side4video.search.file_states import reason_of
from side4video.search.stores.records import IndexedFile
from side4video.video.playback import picture_at
from side4video.video.remote import is_address, video_path
from side4video.video.video_error import VideoError
from side4video.web.api import find_file, to_http_error
from side4video.web.file_response import RangedFileResponse
from side4video.web.remote_response import remote_response
from side4video.web.served_files import identify
from side4video.web.service import SearchService
from side4video.web.transcode_workers import ClipTask, NotDecodedError, decode_in_subprocess, make_clip
from side4video.web.video_responses import MAX_TRANSCODED_SECONDS, playable_media_type

Seconds = Annotated[float, Query(ge=0, allow_inf_nan=False, description="seconds")]

_PLAYER_PIXELS = 854
_CACHED = {"cache-control": "private, max-age=3600"}
_REVALIDATED = {"cache-control": "private, no-cache"}  # revalidated with the response's ETag


def media_routes(service: SearchService) -> APIRouter:
    """The routes below /videos, /clips, /moments, /subtitles and /posters."""
    router = APIRouter(tags=["videos"])

    @router.head("/videos/{identifier}", include_in_schema=False)
    @router.get("/videos/{identifier}", response_class=FileResponse)
    async def video(request: Request, identifier: str) -> Response:
        """The file itself, with byte ranges; 404 if browsers cannot play it: use /clips."""
        file = await find_file(service, identifier)
        try:
            media_type = await asyncio.to_thread(playable_media_type, file)
        except VideoError as error:
            raise HTTPException(404, error.reason) from None
        if media_type is None:
            raise HTTPException(404, "Browsers cannot play this file. Use /clips/{identifier}.mp4.")
        if not is_address(file.path):
            return RangedFileResponse(file.path, media_type=media_type, headers=_REVALIDATED)
        try:
            return await remote_response(request, file, {**_REVALIDATED, "content-type": media_type})
        except OSError as error:
            raise HTTPException(502, f"The store of this video cannot be read: {reason_of(error)}") from None

    @router.get("/clips/{identifier}.mp4", response_class=FileResponse)
    async def clip(identifier: str, start: Seconds, end: Seconds) -> FileResponse:
        """A part of a video as H.264 with AAC sound, transcoded on the first request."""
        file = await find_file(service, identifier)
        return await _make_part(service, file, start, end, longest=MAX_TRANSCODED_SECONDS, largest_side=_PLAYER_PIXELS)

    @router.get("/moments/{identifier}.mp4", response_class=FileResponse)
    async def moment(identifier: str, start: Seconds, end: Seconds) -> FileResponse:
        """A part of a video as a file to keep: as `search --cut` writes it, in the size of the video."""
        file, longest = await find_file(service, identifier), service.settings.max_clip_seconds
        response = await _make_part(service, file, start, end, longest=longest, largest_side=WHOLE_SIZE)
        stem = Path(service.videos.name_of(file.path)).stem
        name = quote(f"{stem}-{start:07.2f}s.mp4")
        response.headers["content-disposition"] = f"attachment; filename*=utf-8''{name}"
        return response

    @router.get("/subtitles/{identifier}.vtt", response_class=Response)
    async def subtitles(
        identifier: str,
        language: Annotated[str, Query(max_length=100, description="empty: unknown")] = "",
        start: Annotated[float, Query(ge=0, allow_inf_nan=False, description="time at which the clip starts")] = 0.0,
    ) -> Response:
        """The subtitles of a video in one language, as WebVTT."""
        cues = [cue for cue in await service.cues_of(await find_file(service, identifier)) if cue.language == language]
        shifted = [
            (max(cue.start_seconds - start, 0), cue.end_seconds - start, cue.text)
            for cue in cues
            if cue.end_seconds > start
        ]
        return Response(webvtt_text(shifted), media_type="text/vtt; charset=utf-8", headers=_REVALIDATED)

    @router.get("/posters/{identifier}", response_class=Response)
    async def poster(identifier: str, seconds: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0) -> Response:
        """The frame of a video at a given time, as JPEG; after the end, the last one."""
        return await _make_poster(service, await find_file(service, identifier), seconds)

    return router


async def _make_part(
    service: SearchService, file: IndexedFile, start: float, end: float, *, longest: float, largest_side: int
) -> FileResponse:
    if not 0 < end - start <= longest + 0.01:
        raise HTTPException(422, f"The end must be after the start, and at most {longest:g} seconds later.")

    async def make(out: Path) -> None:
        task = ClipTask(video_path(file.path), out, start, end, largest_side)
        await decode_in_subprocess(make_clip, task, seconds=service.settings.decode_seconds)

    key = f"clip {identify(file.path)} {file.modified} {start:.3f} {end:.3f} {largest_side}"
    try:
        made = await service.clips.get(key, ".mp4", make)
    except NotDecodedError as error:
        raise to_http_error(error) from None
    return RangedFileResponse(made, media_type="video/mp4", headers=_CACHED)


async def _make_poster(service: SearchService, file: IndexedFile, seconds: float) -> Response:
    seconds = min(seconds, file.duration_seconds)

    async def make(out: Path) -> None:
        await asyncio.to_thread(_write_poster, video_path(file.path), seconds, out)

    try:
        made = await service.posters.get(f"poster {identify(file.path)} {file.modified} {seconds:.2f}", ".jpg", make)
    except VideoError as error:
        raise HTTPException(422, error.reason) from None
    content = await asyncio.to_thread(made.read_bytes)  # small files, requested by the dozen
    return Response(content, media_type="image/jpeg", headers=_CACHED)


def _write_poster(path: Path, seconds: float, out: Path) -> None:
    picture = picture_at(path, seconds)
    with replacing(out) as temporary:
        picture.save(temporary, "JPEG", quality=85)
