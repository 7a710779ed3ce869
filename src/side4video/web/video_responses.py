"""Describe search results and videos for clients: names, and the URLs to show them."""

import os
from collections.abc import Iterable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlencode

from side4video.checking.escaping import escape_surrogates
from side4video.search.results import SearchResult
from side4video.search.stores.records import IndexedFile
from side4video.search.stores.serialisation import path_to_text
from side4video.system.paths import common_folder
from side4video.video.playback import browser_type
from side4video.video.remote import is_address, video_path
from side4video.video.video_error import VideoError
from side4video.web.responses import CueResponse, MatchResponse, VideoResponse
from side4video.web.served_files import NotServedError, ServedFiles, identify

MAX_TRANSCODED_SECONDS = 60.0
"""Maximum length of a clip that is transcoded for the browser."""


class VideoResponses:
    """Describes videos for clients.

    Args:
        files: the files that may be shown.
        root: the sub-path of all URLs; empty: none.
        max_download_seconds: longer parts have no URL of a file.

    >>> VideoResponses(ServedFiles({}), root="", max_download_seconds=600).name_of("/videos/dog.mp4")
    '/videos/dog.mp4'
    """

    def __init__(self, files: ServedFiles, *, root: str, max_download_seconds: float) -> None:
        self._files, self._root, self._max_download_seconds = files, root, max_download_seconds
        self._common_folder = ""

    def set_paths(self, paths: Iterable[str]) -> None:
        """Names become relative to the folder that holds all these videos."""
        self._common_folder = common_folder(list(paths))

    def name_of(self, path: str) -> str:
        """A path relative to the folder that holds all videos of the index, in valid Unicode."""
        return escape_surrogates(os.path.relpath(path, self._common_folder) if self._common_folder else path)

    def describe(self, found: SearchResult, *, score: bool = True, at: float | None = None) -> VideoResponse:
        """A result with its URLs.

        Args:
            found: the result.
            score: False for videos that no query found.
            at: time of the link and the picture, for a player that goes on after the part. Default: the start, and the
                frame that matches best.
        """
        file, identifier, root = found.file, identify(found.file.path), self._root
        best = max(found.matches, key=lambda match: match.similarity, default=None)
        shown = (found.start_seconds + found.end_seconds) / 2 if best is None else best.seconds
        end = found.end_seconds if at is None else file.duration_seconds
        start, video, problem = self._player(file, identifier, found.start_seconds, end)
        part = urlencode({"start": f"{found.start_seconds:.3f}", "end": f"{found.end_seconds:.3f}"})
        is_short = found.end_seconds - found.start_seconds <= self._max_download_seconds
        return VideoResponse(
            id=identifier,
            name=self.name_of(file.path),
            path=path_to_text(file.path),
            content=file.content,
            score=found.score if score else None,
            subtitle_score=found.subtitle_score,
            weak=found.is_weak,
            start_seconds=found.start_seconds,
            end_seconds=found.end_seconds,
            duration_seconds=file.duration_seconds,
            matches=[MatchResponse(**asdict(match)) for match in found.matches],
            subtitles=[CueResponse(**asdict(cue)) for cue in found.subtitles],
            metadata=dict(file.metadata),
            poster=None if problem else f"{root}/posters/{identifier}?seconds={shown if at is None else at:.3f}",
            video=video,
            video_starts_at=start,
            link=None if problem else f"{root}/watch/{identifier}?t={found.start_seconds if at is None else at:.3f}",
            download=f"{root}/moments/{identifier}.mp4?{part}" if is_short and not problem else None,
            problem=problem,
        )

    def _player(
        self, file: IndexedFile, identifier: str, start_seconds: float, end_seconds: float
    ) -> tuple[float, str | None, str | None]:
        """Where the video of the URL starts in the file, the URL, and the reason if it cannot be shown."""
        try:
            self._files.find(identifier)
            if playable_media_type(file) is not None:
                return 0.0, f"{self._root}/videos/{identifier}", None
        except (NotServedError, VideoError) as error:
            return 0.0, None, str(error) if isinstance(error, NotServedError) else error.reason
        end = min(end_seconds, start_seconds + MAX_TRANSCODED_SECONDS)
        part = urlencode({"start": f"{start_seconds:.3f}", "end": f"{end:.3f}"})
        return start_seconds, f"{self._root}/clips/{identifier}.mp4?{part}", None


def playable_media_type(file: IndexedFile) -> str | None:
    """The media type of a file that browsers can play; None if it must be transcoded."""
    return _browser_type(file.path, file.modified)


@lru_cache(maxsize=4096)
def _browser_type(path: str, modified: int) -> str | None:
    del modified  # part of the cache key: a changed file is inspected again
    return browser_type(video_path(path) if is_address(path) else Path(path))
