"""Update the subtitles of an index to the files on disk or in stores, without embedding anything again."""

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import av
from tqdm import tqdm

from side4video.data.lists.video_finder import scan_folder
from side4video.search.file_states import reason_of, state_of_file
from side4video.search.stores.records import IndexedFile, VideoSubtitles
from side4video.search.stores.store import Store
from side4video.subtitles.cues import Cue
from side4video.subtitles.sidecars import SubtitleError, match_sidecars, read_sidecar
from side4video.subtitles.tracks import read_tracks
from side4video.tasks.unread import UnreadVideo
from side4video.video.remote import StoreError, can_list, video_path

_READING_THREADS = 8


@dataclass
class SubtitleReport:
    """The result of an update of subtitles.

    Attributes:
        videos: number of videos of the index with subtitles.
        unread: subtitle files and tracks that cannot be read, with the reason.
        windows_1252: subtitle files that are not in Unicode and were read as Windows-1252.

    >>> SubtitleReport(videos=3).unread
    []
    """

    videos: int = 0
    unread: list[UnreadVideo] = field(default_factory=list)
    windows_1252: list[str] = field(default_factory=list)


def update_subtitles(store: Store, paths: Collection[str]) -> SubtitleReport:
    """Read new and changed subtitles of videos, and remove those of videos that the index no longer has.

    Subtitles are text tracks of a video file, and the files next to it (`side4video.subtitles.sidecars`). They are read
    again if a size or time has changed, and after a failure. If a store does not answer, its videos keep theirs. Web
    servers cannot list the files next to a video: only its text tracks are read.

    Args:
        store: the store of the index.
        paths: the videos whose subtitles are compared; others keep theirs.
    """
    files, known, report = store.files(), store.subtitles(), SubtitleReport()
    changed: dict[str, VideoSubtitles | None] = dict.fromkeys(known.keys() - files.keys())
    due = []
    folders: dict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted(files.keys() & set(paths)):
        folder, name = os.path.split(path)
        folders[folder][name] = path
    for folder, names in folders.items():
        if (sidecars := _sidecars_in(video_path(folder), names, report)) is None:
            continue
        for name, path in names.items():
            own = [(video_path(folder) / other, language) for other, language in sidecars.get(name, ())]
            state = _state(files[path], [place for place, _ in own])
            if path not in known or known[path].state != state:
                due.append((path, own, state))
    with ThreadPoolExecutor(_READING_THREADS) as pool:
        results = pool.map(lambda one: _read(one[0], one[1]), due)
        progress = tqdm(results, desc="subtitles", unit="video", total=len(due), leave=False, delay=1)
        for (path, _, state), found in zip(due, progress, strict=True):
            report.unread += found.unread
            report.windows_1252 += found.windows_1252
            if not (found.store_failed and path in known):
                changed[path] = VideoSubtitles("" if found.unread else state, found.cues)
    if changed:
        store.set_subtitles(changed)
    report.videos = sum(bool(one and one.cues) for one in (known | changed).values())
    return report


def _sidecars_in(
    folder: Path, names: Iterable[str], report: SubtitleReport
) -> Mapping[str, list[tuple[str, str]]] | None:
    """The subtitle files of each video in a folder, and of the files with these names, whose suffixes may be unknown.

    None if its store does not answer.
    """
    if not can_list(folder):
        return {}
    try:
        return match_sidecars(scan_folder(folder), videos=names)
    except StoreError as error:
        report.unread.append(UnreadVideo(str(folder), reason_of(error)))
        return None


def _state(file: IndexedFile, sidecars: Collection[Path]) -> str:
    """Sizes and times of a video and its subtitle files."""
    states: list[list[str | int]] = []
    for path in sidecars:
        try:
            states.append([path.name, *state_of_file(path)])
        except OSError:
            states.append([path.name])
    return json.dumps([file.size, file.modified, states])


@dataclass
class _Found:
    """The subtitles of a video. `store_failed`: its store did not answer, so nothing is known."""

    cues: tuple[Cue, ...] = ()
    unread: list[UnreadVideo] = field(default_factory=list)
    windows_1252: list[str] = field(default_factory=list)
    store_failed: bool = False


def _read(video: str, sidecars: Collection[tuple[Path, str]]) -> _Found:
    cues: set[Cue] = set()
    result = _Found()
    try:
        cues.update(read_tracks(video_path(video)))
    except (av.FFmpegError, OSError, ValueError) as error:
        result.store_failed = isinstance(error, StoreError)
        result.unread.append(UnreadVideo(video, f"its text tracks cannot be read ({error})."))
    for path, language in sidecars:
        try:
            found = read_sidecar(path, language=language)
        except SubtitleError as error:
            result.store_failed |= isinstance(error.__cause__, StoreError)
            result.unread.append(UnreadVideo(str(path), str(error)))
            continue
        cues.update(found.cues)
        if found.encoding == "cp1252":
            result.windows_1252.append(str(path))
    result.cues = tuple(sorted(cues))
    return result
