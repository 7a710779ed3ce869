"""Prints and writes the timelines of `predict --timeline`."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from side4video.commands.moment_output import MomentOutput
from side4video.system.paths import folded_name, relative_names

if TYPE_CHECKING:
    from side4video.data.loading.engine import RayEngine
    from side4video.inference.predictor import Predictor
    from side4video.tasks.unread import UnreadVideo
    from side4video.timeline.timeline import Timeline, TimelineSettings


def check_timeline_files(out: Path, paths: Sequence[Path]) -> None:
    """Check that the files of the timelines replace no others.

    Raises:
        FileExistsError: they do.
    """
    from side4video.earlier_outputs import refuse_other_files
    from side4video.timeline.files import SUFFIXES

    refuse_other_files([out / name for name in _names(paths)], SUFFIXES, flag="--out")


def print_timelines(
    predictor: "Predictor",
    paths: Sequence[Path],
    *,
    settings: "TimelineSettings",
    out: Path | None,
    json: Path | None,
    output: MomentOutput,
    cluster: "RayEngine | None" = None,
) -> int:
    """Find the timeline of each video, print it and write the files; returns the exit code.

    The actors of a Ray cluster do the work if one is given.
    """
    from side4video.atomic_files import write_json
    from side4video.tasks.unread import UnreadVideo
    from side4video.timeline.files import write_timeline
    from side4video.timeline.timeline import DEFAULT_WINDOW_SECONDS

    if settings.window_seconds is None and not predictor.knows_window:
        print(
            f"The adapter does not state the length of its training clips: windows have {DEFAULT_WINDOW_SECONDS:g} "
            "seconds. Set --window-seconds to the length of the actions."
        )
    timelines, failures = [], []
    names = dict(zip(paths, _names(paths), strict=True))
    for path, found in zip(paths, _find_all(predictor, paths, settings, cluster), strict=True):
        if isinstance(found, UnreadVideo):
            failures.append({"path": str(path), "reason": found.reason})
            print(f"{path}: {found.reason}", file=sys.stderr)
            continue
        timelines.append(found)
        print("\n".join(_lines(found, settings.window_seconds)))
        if out is not None:
            print(f"written to {write_timeline(out, found, name=names[path])}")
    if json is not None:
        write_json(json, {"timelines": [timeline.to_json() for timeline in timelines], "unread": failures})
    moments = [moment for timeline in timelines for moment in timeline.moments]
    output.write(moments, title=paths[0].name if len(paths) == 1 else f"{len(paths)} videos")
    return 1 if failures else 0


@dataclass(frozen=True)
class _FindTimelines:
    """Finds the timelines of pairs of index and path."""

    predictor: "Predictor"
    settings: "TimelineSettings"

    def on_device(self, name: str) -> "_FindTimelines":
        return replace(self, predictor=self.predictor.on_device(name))

    def __call__(self, items: Iterable[tuple[int, Path]]) -> "Iterator[tuple[int, Timeline | UnreadVideo]]":
        for index, path in items:
            yield index, _find(self.predictor, path, self.settings)


def _find_all(
    predictor: "Predictor", paths: Sequence[Path], settings: "TimelineSettings", cluster: "RayEngine | None"
) -> "Iterator[Timeline | UnreadVideo]":
    """The timeline of each video, in order."""
    if cluster is None:
        yield from (_find(predictor, path, settings) for path in paths)
        return
    from side4video.data.loading.engine import in_order
    from side4video.distributed.ray_engine import map_on_ray
    from side4video.timeline.timeline import Timeline

    items = [(index, path.absolute()) for index, path in enumerate(paths)]
    compute = _FindTimelines(predictor, settings)
    results = map_on_ray(items, workers=cluster.workers, num_results=len(items), compute=compute)
    for path, found in zip(paths, in_order(results), strict=True):
        yield replace(found, path=path) if isinstance(found, Timeline) else found


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
    >>> _names([Path("a/film.mp4"), Path("A/film.mp4")])
    ['a/film.mp4', 'A/film.mp4-2']
    """
    whole = [PurePosixPath(name) for name in relative_names(list(map(str, paths)))]
    shared = Counter(folded_name(str(name.with_suffix(""))) for name in whole)
    names = [
        str(name if shared[folded_name(str(name.with_suffix("")))] > 1 else name.with_suffix("")) for name in whole
    ]
    seen: Counter[str] = Counter()
    for place, folded in enumerate(map(folded_name, names)):
        seen[folded] += 1
        names[place] += f"-{seen[folded]}" * (seen[folded] > 1)
    return names
