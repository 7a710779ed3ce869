"""Names what a live stream shows now: the part of `predict` for addresses, devices and standard input."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from side4video.system.console import has_all_characters
from side4video.video.remote import is_video_address

if TYPE_CHECKING:
    from side4video.inference.predictor import Predictor
    from side4video.timeline.live import LivePrediction
    from side4video.timeline.timeline import TimelineSettings


def is_live(given: str) -> bool:
    """Whether an input of `predict` is a live stream and not a file.

    >>> [is_live(text) for text in ("rtsp://camera/1", "-", "/dev/video0", "film.mp4", "s3://bucket/film.mp4")]
    [True, True, True, False, False]
    """
    return given == "-" or ("://" in given and not is_video_address(given)) or given.startswith("/dev/video")


def print_live(
    predictor: "Predictor",
    address: str,
    *,
    settings: "TimelineSettings",
    top_k: int,
    reconnect_seconds: float,
    lines: Path | None,
) -> int:
    """Print the best classes of the newest window until the stream ends or a signal comes; returns the exit code.

    Ctrl-C and SIGTERM are how a stream is left: the exit code is 0. It is 1 if the stream was lost.

    Args:
        predictor: the model.
        address: of the stream.
        settings: windows; `min_score` hides classes below it.
        top_k: number of classes.
        reconnect_seconds: see `LiveReader`.
        lines: file for a JSON object per line, `-` for standard output; None: text on standard output.
    """
    from side4video.timeline.live import LiveEnd
    from side4video.training.stopping import StopSignals

    end, count, last = None, 0, None
    try:
        with StopSignals() as stop, stop.raising_immediately("The stream is left."), _opened(lines) as file:
            predictions = predictor.watch(
                address,
                window_seconds=settings.window_seconds,
                stride_seconds=settings.stride_seconds,
                top_k=top_k,
                reconnect_seconds=reconnect_seconds,
                report=lambda text: print(text, file=sys.stderr, flush=True),
            )
            for found in predictions:
                if isinstance(found, LiveEnd):
                    end = found
                    break
                count, last = count + 1, found
                _write(found, file, predictor.least_scores(settings.min_score), as_json=lines is not None)
    except KeyboardInterrupt as signal:
        print(f"{address}: {signal}", file=sys.stderr)
    except BrokenPipeError:  # the reader of standard output has enough; Python flushes it again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    dropped = 0 if last is None else last.dropped_frames
    summary = f"{count} windows, {dropped} frames dropped because the model was slower than the stream"
    print(f"{address}: {end.reason if end else 'left.'} {summary}.", file=sys.stderr)
    return 1 if end is not None and end.is_error else 0


@contextmanager
def _opened(lines: Path | None) -> Iterator[IO[str]]:
    """The file for the lines."""
    from side4video.output_targets import STANDARD_OUTPUT, follow_links, standard_output

    if lines is None or str(lines) in STANDARD_OUTPUT:
        yield standard_output()
        return
    lines = follow_links(lines)
    lines.parent.mkdir(parents=True, exist_ok=True)
    with lines.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def _write(found: "LivePrediction", file: IO[str], least: dict[str, float], *, as_json: bool) -> None:
    from side4video.moments.moment import clock_time

    if as_json:
        print(json.dumps(found.to_json(), ensure_ascii=not has_all_characters(file)), file=file, flush=True)
        return
    shown = ", ".join(f"{name} {score:.1%}" for name, score in found.classes if score >= least[name])
    print(f"{clock_time(found.seconds, decimals=1):>9}  {shown or '-'}", file=file, flush=True)
