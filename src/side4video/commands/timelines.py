"""Prints and writes the timelines of `predict --timeline`."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from side4video.commands.moment_output import MomentOutput
from side4video.system.paths import relative_names

if TYPE_CHECKING:
    from side4video.inference.predictor import Predictor
    from side4video.tasks.unread import UnreadVideo
    from side4video.timeline.timeline import Timeline, TimelineSettings


def print_timelines(
    predictor: "Predictor",
    paths: Sequence[Path],
    *,
    settings: "TimelineSettings",
    out: Path | None,
    json: Path | None,
    output: MomentOutput,
) -> int:
    """Find the timeline of each video, print it and write the files; returns the exit code.

    Processes started by torchrun or SLURM share the videos. Only the main process prints and writes.
    """
    from side4video.atomic_files import write_json
    from side4video.distributed.processes import distribute, is_main_process, print_once
    from side4video.tasks.unread import UnreadVideo
    from side4video.timeline.files import write_timeline
    from side4video.timeline.timeline import DEFAULT_WINDOW_SECONDS

    if settings.window_seconds is None and not predictor.knows_window:
        print_once(
            f"The adapter does not state the length of its training clips: windows have {DEFAULT_WINDOW_SECONDS:g} "
            "seconds. Set --window-seconds to the length of the actions."
        )
    timelines, failures = [], []
    names = dict(zip(paths, _names(paths), strict=True))
    for path, found in zip(paths, distribute(paths, lambda path: _find(predictor, path, settings)), strict=True):
        if isinstance(found, UnreadVideo):
            failures.append({"path": str(path), "reason": found.reason})
            if is_main_process():
                print(f"{path}: {found.reason}", file=sys.stderr)
            continue
        timelines.append(found)
        print_once("\n".join(_lines(found, settings.window_seconds)))
        if out is not None and is_main_process():
            print(f"written to {write_timeline(out, found, name=names[path])}")
    if is_main_process():
        if json is not None:
            write_json(json, {"timelines": [timeline.to_json() for timeline in timelines], "unread": failures})
        moments = [moment for timeline in timelines for moment in timeline.moments]
        output.write(moments, title=paths[0].name if len(paths) == 1 else f"{len(paths)} videos")
    return 1 if failures else 0


def _find(predictor: "Predictor", path: Path, settings: "TimelineSettings") -> "Timeline | UnreadVideo":
    from side4video.tasks.unread import UnreadVideo
    from side4video.video.decoding import VideoError

    try:
        return predictor.timeline(path, **asdict(settings))
    except VideoError as error:
        return UnreadVideo(str(path), error.reason)


def _lines(timeline: "Timeline", requested: float | None) -> list[str]:
    from side4video.moments.moment import clock_time

    size = f"{timeline.num_windows} windows of {timeline.window_seconds:g} s every {timeline.stride_seconds:g} s"
    if requested is not None and timeline.window_seconds < requested:
        size = f"one window, for the video is shorter than {requested:g} s"
    rows = [
        (clock_time(one.start_seconds, decimals=1), clock_time(one.end_seconds, decimals=1), one.name, one.score)
        for one in timeline.moments
    ]
    width = max((len(row[2]) for row in rows), default=0)
    lines = [f"{timeline.path}: {clock_time(timeline.duration_seconds, decimals=1)}, {size}"]
    lines += [f"  {start:>9}  {end:>9}  {name:{width}}  {score:.2f}" for start, end, name, score in rows]
    return lines if rows else [*lines, "  nothing scores --min-score or more for --min-seconds"]


def _names(paths: Sequence[Path]) -> list[str]:
    """Names of output files: relative to the deepest common folder, without suffix where that is unique.

    Names that differ in case only count as equal, since they are one file on Windows and macOS.

    >>> _names([Path("a/film.mp4"), Path("a/Film.mkv"), Path("b/film.mp4")])
    ['a/film.mp4', 'a/Film.mkv', 'b/film']
    """
    names = [PurePosixPath(name) for name in relative_names(list(map(str, paths)))]
    shared = Counter(str(name.with_suffix("")).casefold() for name in names)
    return [str(name if shared[str(name.with_suffix("")).casefold()] > 1 else name.with_suffix("")) for name in names]
