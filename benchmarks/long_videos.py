"""Seconds and bytes read per window of films of 10 minutes, 1 hour and 4 hours: index, timeline, training on segments.

python benchmarks/long_videos.py

Makes films of moving squares (H.264 in mp4, 10 frames per second, a key frame every 5 seconds), repeats each
measurement in fresh processes without loader processes, all films in turn, and reports medians: wall and processor
seconds, and the bytes that read calls asked for (`rchar` of /proc/self/io, page cache included; Linux). A process also
measures a film of one minute: the difference, per further window, leaves out what every start takes. About 8 minutes on
two idle cores.

To measure another way to go through a film, write a function from `Film` to the number of windows, and add it to
`MEASUREMENTS`.
"""

import contextlib
import datetime
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
import torch
import tyro

from side4video.adapters.adapter import Adapter, save_adapter
from side4video.atomic_files import write_json
from side4video.config import dump_config, parse_config
from side4video.data.datasets import TrainClips
from side4video.data.lists.annotations import read_video_list
from side4video.data.loading.loader import train_loader
from side4video.data.loading.order import TrainOrder
from side4video.data.sampling import FrameSampling
from side4video.data.transforms import TrainTransform
from side4video.inference.predictor import Predictor
from side4video.models.build import build_model
from side4video.search.index_model import load_index_model
from side4video.search.indexing import update_index
from side4video.search.stores.open_store import open_store
from side4video.video.decoding import VideoCache

FRAMES_PER_SECOND, KEY_FRAMES, HEIGHT, WIDTH = 10, 50, 96, 128
REPEATED_SECONDS = 60
SEGMENT_SECONDS = 10
NUM_FRAMES = 4  # of a window
SETTINGS: dict[str, Any] = {
    "task": "retrieval",
    "backbone": {
        "name": "vit_base_patch16_clip_quickgelu_224",
        "weights": "random",
        "image_size": 32,
        "model_args": {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2},
    },
    "text": {
        "name": "ViT-B-16-quickgelu",
        "weights": "random",
        "max_words": 12,
        "model_args": {"embed_dim": 16, "width": 32, "heads": 2, "layers": 2, "context_length": 16},
    },
    "side": {"width": 16},
    "data": {"num_frames": NUM_FRAMES},
}
"""A model so small that reading the film takes most of the time."""


@dataclass(frozen=True)
class Film:
    """A film, and an empty folder for what the measured work writes."""

    path: Path
    seconds: int
    folder: Path


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    out: Path = Path("docs/figures/long-videos.json")
    minutes: tuple[int, ...] = (10, 60, 240)
    """Lengths of films, 2 or more."""
    rounds: int = 3
    """Repetitions of each measurement."""
    only: tuple[str, ...] = ()
    """Names of measurements. Default: all."""
    one: str | None = None
    """Internal: a measurement to run in this process, as JSON."""

    def __post_init__(self) -> None:
        if min(self.minutes) < 2:
            raise ValueError(
                f"minutes: {min(self.minutes)} is too short: a film of one minute is subtracted. Use 2 or more."
            )


def make_film(path: Path, minutes: int) -> None:
    """One minute of moving squares, encoded once and repeated without encoding it again."""
    with av.open(str(path), "w") as container:
        options = {
            "g": str(KEY_FRAMES),
            "keyint_min": str(KEY_FRAMES),
            "sc_threshold": "0",
            "preset": "fast",
            "crf": "35",
        }
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        packets = []
        for number in range(FRAMES_PER_SECOND * REPEATED_SECONDS):
            picture = np.full((HEIGHT, WIDTH, 3), number % 200, np.uint8)
            picture[20:60, number % 90 : number % 90 + 30] = 230
            packets += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        packets += stream.encode()
        kept = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets]
        length = FRAMES_PER_SECOND * REPEATED_SECONDS
        for repetition in range(minutes * 60 // REPEATED_SECONDS):
            for content, pts, dts, is_key in kept:
                packet = av.Packet(content)
                packet.stream, packet.is_keyframe = stream, is_key
                packet.time_base = stream.codec_context.time_base
                packet.pts, packet.dts = pts + repetition * length, dts + repetition * length
                container.mux(packet)


def index(film: Film) -> int:
    """Make an index of the film; the model is loaded before time counts."""
    settings = film.folder / "model.yaml"
    settings.write_text(dump_config(parse_config(SETTINGS, source="benchmark")))
    model = load_index_model(settings, device="cpu")
    store = open_store(film.folder / "index", create=True)
    with measured():
        report = update_index(store, model, [str(film.path)], address=film.folder / "index", workers=0)
    store.close()
    return report.windows


def timeline(film: Film) -> int:
    """Find the timeline of the film; the adapter is loaded before time counts."""
    content = {key: SETTINGS[key] for key in ("backbone", "side", "data")}
    config, device = parse_config(content, source="benchmark"), torch.device("cpu")
    model = build_model(config, num_classes=2, device=device)
    adapter = Adapter(config=config, class_names=("a", "b"), fingerprint=model.backbone.fingerprint)
    save_adapter(film.folder, model, adapter)
    predictor = Predictor(film.folder, device="cpu")
    with measured():
        return predictor.timeline(film.path).num_windows


def train_on_segments(film: Film) -> int:
    """Read one training clip of each segment of 10 seconds, in random order."""
    listing = film.folder / "segments.csv"
    starts = range(0, film.seconds, SEGMENT_SECONDS)
    lines = [f"{film.path},{'ab'[place % 2]},{start},{start + SEGMENT_SECONDS}" for place, start in enumerate(starts)]
    listing.write_text("path,label,start,end\n" + "\n".join(lines) + "\n")
    transform = TrainTransform(image_size=32, mean=[0.5] * 3, std=[0.5] * 3)
    with measured():
        clips = TrainClips(
            read_video_list(listing).videos,
            sampling=FrameSampling(num_frames=NUM_FRAMES),
            transform=transform,
            seed=0,
            cache=VideoCache(film.folder / "frame-tables"),
        )
        order = TrainOrder(
            num_samples=len(clips), global_batch=8, micro_batch=8, seed=0, total_steps=-(-len(clips) // 8)
        )
        return sum(len(batch) for batch in train_loader(clips, order, workers=0))


MEASUREMENTS: dict[str, Callable[[Film], int]] = {
    "index": index,
    "timeline": timeline,
    "training on segments": train_on_segments,
}
"""By name: a function that goes through a film, counts in a `measured` block, and returns the number of windows."""


_found: dict[str, float] = {}


@contextlib.contextmanager
def measured():
    """Count the seconds and bytes of the block."""
    wall, processor, read = time.perf_counter(), time.process_time(), bytes_read()
    yield
    _found.update(
        seconds=time.perf_counter() - wall,
        processor_seconds=time.process_time() - processor,
        bytes=bytes_read() - read,
    )


def bytes_read() -> int:
    """Bytes that the read calls of this process returned so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def run_one(name: str, path: str, seconds: int) -> None:
    """Measure in this process, and print the result as JSON."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):  # progress bars
        short = Path(folder) / "short.mp4"
        make_film(short, 1)
        films = [(short, 60), (short, 60), (Path(path), seconds)]  # the first one loads libraries
        found = []
        for number, (film, length) in enumerate(films):
            own = Film(film, length, Path(folder) / str(number))
            own.folder.mkdir()
            found.append({"windows": MEASUREMENTS[name](own)} | _found)
    _, start, whole = found
    further = {key: whole[key] - start[key] for key in whole}
    per_window = {f"{key}_per_further_window": further[key] / further["windows"] for key in _found}
    print(json.dumps(whole | per_window))


def measure(name: str, path: Path, minutes: int) -> dict[str, float]:
    """One measurement in a fresh process."""
    what = json.dumps([name, str(path), minutes * 60])
    done = subprocess.run([sys.executable, __file__, "--one", what], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def summarise(runs: list[dict[str, float]]) -> dict[str, float]:
    """Medians, in all and per window."""
    found = {key: median(run[key] for run in runs) for key in runs[0]}
    in_all = ("seconds", "processor_seconds", "bytes")
    return found | {f"{key}_per_window": found[key] / found["windows"] for key in in_all}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| work | film | windows | seconds | CPU ms per window | per further window | kB read | per further window |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        numbers = [f"{row['windows']:,.0f}", f"{row['seconds']:.1f}"]
        for key, factor in (("processor_seconds", 1000), ("bytes", 1 / 1000)):
            numbers += [f"{factor * row[f'{key}_per_{which}']:.2f}" for which in ("window", "further_window")]
        lines.append(f"| {row['task']} | {row['minutes']} min | {' | '.join(numbers)} |")
    return "\n".join(lines)


def main(given: list[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__, args=given)
    if arguments.one is not None:
        run_one(*json.loads(arguments.one))
        return
    names = arguments.only or tuple(MEASUREMENTS)
    with tempfile.TemporaryDirectory() as folder:
        films = {minutes: Path(folder) / f"{minutes}.mp4" for minutes in arguments.minutes}
        for minutes, path in films.items():
            make_film(path, minutes)
        runs: dict[tuple[str, int], list[dict[str, float]]] = {(name, m): [] for name in names for m in films}
        for number in range(arguments.rounds):
            for (name, minutes), own in runs.items():
                own.append(measure(name, films[minutes], minutes))
                print(f"round {number + 1}: {name}, {minutes} minutes: {own[-1]['seconds']:.1f} s", flush=True)
        rows = [
            {"task": name, "minutes": minutes, "file_bytes": films[minutes].stat().st_size, **summarise(own)}
            for (name, minutes), own in runs.items()
        ]
    print(table(rows))
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    versions = {name: version(name) for name in ("av", "torch")}
    command = "python benchmarks/long_videos.py" + f" --rounds {arguments.rounds}" * (arguments.rounds != 3)
    about = {"date": str(datetime.date.today()), "command": command, "machine": machine}
    settings = {key: value for key, value in asdict(arguments).items() if key in {"minutes", "rounds"}}
    write_json(arguments.out, about | {"versions": versions, **settings, "rows": rows})


if __name__ == "__main__":
    main()
