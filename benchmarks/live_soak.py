"""An hour's worth of a live stream at fast pace: memory and lag of `Predictor.watch` must not grow.

    python benchmarks/live_soak.py runs/mine

A thread of this process sends frames as MPEG-TS over HTTP on loopback, as fast as they are encoded; the reader decodes
all of them. The model sees the newest window as often as it can. Prints the resident memory as the stream goes on.
"""

import contextlib
import datetime
import os
import platform
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import numpy as np
import torch
import tyro

from side4video.atomic_files import write_json
from side4video.inference.predictor import Predictor
from side4video.video.live_reader import LiveEnd

PERIOD = 50  # different frames; then they repeat


@dataclass(frozen=True)
class Arguments:
    """Watch a long stream and print memory and lag."""

    adapter: tyro.conf.Positional[Path]
    """Adapter or run folder."""
    minutes: float = 60.0
    """Length of the stream, in its own time."""
    fps: int = 25
    """Frames per second of the stream."""
    size: int = 128
    """Height and width of its frames."""
    reports: int = 10
    """Lines to print."""
    out: Path = Path("docs/figures/live-soak.json")
    """File for the lines."""


def send(target, arguments: Arguments) -> None:
    """Encode the stream into a file object."""
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 255, (PERIOD, arguments.size // 8, arguments.size // 8, 3), dtype=np.uint8)
    pictures = pictures.repeat(8, axis=1).repeat(8, axis=2)
    with av.open(target, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=arguments.fps, options={"preset": "ultrafast", "g": "50"})
        stream.height = stream.width = arguments.size
        stream.pix_fmt = "yuv420p"
        for number in range(round(arguments.minutes * 60 * arguments.fps)):
            frame = av.VideoFrame.from_ndarray(pictures[number % PERIOD], format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def serve(arguments: Arguments) -> HTTPServer:
    """Serve the stream to one client."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError, av.FFmpegError):  # the client left
                send(self.wfile, arguments)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    arguments = tyro.cli(Arguments)
    predictor = Predictor(arguments.adapter)
    server = serve(arguments)
    started, next_report = time.monotonic(), 0.0
    step = arguments.minutes * 60 / arguments.reports
    print("     minute  resident MB      windows      dropped        lag s")
    found, rows = None, []
    stream = predictor.watch(f"http://127.0.0.1:{server.server_port}/live.ts", reconnect_seconds=0)
    for windows, found in enumerate(stream, start=1):
        if isinstance(found, LiveEnd):
            break
        if found.seconds >= next_report:
            rows.append(
                {
                    "minute": round(found.seconds / 60, 1),
                    "resident_mb": round(resident_mb(), 1),
                    "windows": windows,
                    "dropped_frames": found.dropped_frames,
                    "lag_seconds": round(found.lag_seconds, 3),
                }
            )
            print("  ".join(f"{value:>11}" for value in rows[-1].values()), flush=True)
            next_report += step
    seconds = time.monotonic() - started
    reason = found.reason if isinstance(found, LiveEnd) else "no end"
    print(f"{reason} {arguments.minutes:g} minutes in {seconds:.0f} s; {resident_mb():.1f} MB at the end")
    server.shutdown()
    about = {
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python", *sys.argv]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
    }
    write_json(arguments.out, {**about, "minutes": arguments.minutes, "seconds": round(seconds, 1), "rows": rows})


if __name__ == "__main__":
    main()
