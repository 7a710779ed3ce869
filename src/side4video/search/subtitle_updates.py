"""Update the subtitles of an index to the files on disk, without embedding anything again."""

import json
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import av
from tqdm import tqdm

from side4video.data.lists.video_finder import scan_folder
from side4video.search.stores.records import IndexedFile, VideoSubtitles
from side4video.search.stores.store import Store
from side4video.search.window_clips import stat_file
from side4video.subtitles.cues import Cue
from side4video.subtitles.sidecars import SubtitleError, match_sidecars, read_sidecar
from side4video.subtitles.tracks import read_tracks
from side4video.tasks.unread import UnreadVideo


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
    again if a size or time has changed, and after a failure.

    Args:
        store: the store of the index.
        paths: the videos whose subtitles are compared; others keep theirs.
    """
    files, known, report = store.files(), store.subtitles(), SubtitleReport()
    changed: dict[str, VideoSubtitles | None] = dict.fromkeys(known.keys() - files.keys())
    sidecars: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for path in tqdm(sorted(files.keys() & set(paths)), desc="subtitles", unit="video", leave=False, delay=1):
        folder, name = os.path.split(path)
        if folder not in sidecars:
            sidecars[folder] = match_sidecars(scan_folder(Path(folder)), videos=(name,))
        own = [(Path(folder, other), language) for other, language in sidecars[folder].get(name, ())]
        state = _state(files[path], [place for place, _ in own])
        if path not in known or known[path].state != state:
            num_unread = len(report.unread)
            cues = _read(files[path], own, report)
            changed[path] = VideoSubtitles(state if len(report.unread) == num_unread else "", cues)
    if changed:
        store.set_subtitles(changed)
    report.videos = sum(bool(one and one.cues) for one in (known | changed).values())
    return report


def _state(file: IndexedFile, sidecars: Collection[Path]) -> str:
    """Sizes and times of a video and its subtitle files."""
    states: list[list[str | int]] = []
    for path in sidecars:
        try:
            states.append([path.name, *stat_file(path)])
        except OSError:
            states.append([path.name])
    return json.dumps([file.size, file.modified, states])


def _read(file: IndexedFile, sidecars: Collection[tuple[Path, str]], report: SubtitleReport) -> tuple[Cue, ...]:
    cues: set[Cue] = set()
    try:
        cues.update(read_tracks(Path(file.path)))
    except (av.FFmpegError, OSError, ValueError) as error:
        report.unread.append(UnreadVideo(file.path, f"its text tracks cannot be read ({error})."))
    for path, language in sidecars:
        try:
            found = read_sidecar(path, language=language)
        except SubtitleError as error:
            report.unread.append(UnreadVideo(str(path), str(error)))
            continue
        cues.update(found.cues)
        if found.encoding == "cp1252":
            report.windows_1252.append(str(path))
    return tuple(sorted(cues))
