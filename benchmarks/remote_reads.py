"""Bytes of videos read from a store and from a web server: indexing, training, predicting, and again with the cache.

python benchmarks/remote_reads.py

Makes a clip of 10 seconds and a film of 10 minutes (640 x 360 noise, H.264 in mp4, 10 frames per second, a key frame
every 5 seconds), puts them into an S3 server on this machine (moto), and reads them by s3:// and http:// addresses
without loader processes. Counts the content that was requested; bytes do not depend on the machine. About 2 minutes.
"""

import datetime
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import torch
import tyro
from moto.server import ThreadedMotoServer

from long_videos import NUM_FRAMES, SETTINGS
from side4video.adapters.adapter import Adapter, save_adapter
from side4video.atomic_files import write_json
from side4video.config import dump_config, parse_config
from side4video.data.datasets import TrainClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.sampling import FrameSampling
from side4video.data.transforms import TrainTransform
from side4video.inference.predictor import Predictor
from side4video.models.build import build_model
from side4video.search.index_model import load_index_model
from side4video.search.indexing import update_index
from side4video.search.stores.open_store import open_store
from side4video.video import remote_cache, remote_file
from side4video.video.decoding import VideoCache
from side4video.video.remote import video_path

FRAMES_PER_SECOND, KEY_FRAMES, HEIGHT, WIDTH, REPEATED_SECONDS = 10, 50, 360, 640, 10
BUCKET = "videos"


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    out: Path = Path("docs/figures/remote-reads.json")
    seconds: tuple[int, ...] = (10, 600)


def write_film(path: Path, seconds: int) -> None:
    """Ten seconds of noise, encoded once and repeated without encoding them again."""
    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        options = {"g": str(KEY_FRAMES), "keyint_min": str(KEY_FRAMES), "sc_threshold": "0", "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={**options, "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        packets = []
        length = FRAMES_PER_SECOND * REPEATED_SECONDS
        for _ in range(length):
            picture = generator.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            packets += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        packets += stream.encode()
        kept = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets]
        for repetition in range(seconds // REPEATED_SECONDS):
            for content, pts, dts, is_key in kept:
                packet = av.Packet(content)
                packet.stream, packet.is_keyframe = stream, is_key
                packet.time_base = stream.codec_context.time_base
                packet.pts, packet.dts = pts + repetition * length, dts + repetition * length
                container.mux(packet)


def index(address: str, folder: Path) -> int:
    """Index a video; returns the number of its windows."""
    settings = folder / "model.yaml"
    settings.write_text(dump_config(parse_config(SETTINGS, source="benchmark")))
    store = open_store(folder / "index", create=True)
    model = load_index_model(settings, device="cpu")
    report = update_index(store, model, [address], address=folder / "index", workers=0)
    store.close()
    return report.windows


def train(address: str, folder: Path) -> int:
    """Read one training clip of the whole video."""
    clips = TrainClips(
        [LabelledVideo(path=video_path(address), label=0, name=address)],
        sampling=FrameSampling(num_frames=NUM_FRAMES),
        transform=TrainTransform(image_size=32, mean=[0.5] * 3, std=[0.5] * 3),
        seed=0,
        cache=VideoCache(folder / "frame-tables"),
    )
    clips.read(0, [0])
    return 1


def predict(address: str, folder: Path) -> int:
    """Classify a video by one clip."""
    content = {key: SETTINGS[key] for key in ("backbone", "side", "data")}
    config, device = parse_config(content, source="benchmark"), torch.device("cpu")
    model = build_model(config, num_classes=2, device=device)
    adapter = Adapter(config=config, class_names=("a", "b"), fingerprint=model.backbone.fingerprint)
    save_adapter(folder, model, adapter)
    Predictor(folder, device="cpu").predict(address)
    return 1


MEASUREMENTS: dict[str, Callable[[str, Path], int]] = {"index": index, "training": train, "predict": predict}
"""By name: a function that reads a video once, and returns the number of clips."""


@contextmanager
def counted() -> Iterator[list[int]]:
    """The bytes of each answer with content."""
    sizes: list[int] = []
    read = remote_file.RemoteContent._read

    def read_and_count(content: remote_file.RemoteContent, start: int, length: int) -> bytes:
        found = read(content, start, length)
        sizes.append(len(found))
        return found

    remote_file.RemoteContent._read = read_and_count  # type: ignore[method-assign]
    try:
        yield sizes
    finally:
        remote_file.RemoteContent._read = read  # type: ignore[method-assign]


def measure(name: str, address: str, cache: Path) -> tuple[int, int, int]:
    """Clips, requests and bytes of one run in which nothing is in memory."""
    remote_file._shared_content.cache_clear()
    remote_cache._opened.cache_clear()
    os.environ.update(SIDE4VIDEO_CACHE=str(cache))
    with tempfile.TemporaryDirectory() as folder, counted() as sizes:
        clips = MEASUREMENTS[name](address, Path(folder))
    return clips, len(sizes), sum(sizes)


def measure_all(port: int, seconds: int, folder: Path) -> list[dict[str, Any]]:
    """One row for each kind of address and work."""
    film = folder / f"{seconds}.mp4"
    write_film(film, seconds)
    web = f"http://127.0.0.1:{port}/{BUCKET}/{film.name}"
    httpx.put(web, content=film.read_bytes(), headers={"x-amz-acl": "public-read"}, timeout=60).raise_for_status()
    rows = []
    for kind, address in (("s3", f"s3://{BUCKET}/{film.name}"), ("http", web)):
        for name in MEASUREMENTS:
            cache = folder / f"cache {kind} {name} {seconds}"
            clips, requests, size = measure(name, address, cache)
            _, _, again = measure(name, address, cache)
            row = {"address": kind, "work": name, "seconds": seconds, "file_bytes": film.stat().st_size}
            rows.append({**row, "clips": clips, "requests": requests, "bytes": size, "bytes_again": again})
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| address | work | video | file, MB | clips | requests | MB read | MB per clip | MB in a second run |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        what = f"{row['address']}:// | {row['work']} | {row['seconds']} s | {row['file_bytes'] / 1e6:.1f}"
        read = f"{row['bytes'] / 1e6:.1f} | {row['bytes'] / row['clips'] / 1e6:.2f} | {row['bytes_again'] / 1e6:.1f}"
        lines.append(f"| {what} | {row['clips']} | {row['requests']} | {read} |")
    return "\n".join(lines)


def main(given: list[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__, args=given)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        AWS_REGION="us-east-1",
        SIDE4VIDEO_REMOTE_CACHE_GB="1",
    )
    httpx.put(f"http://127.0.0.1:{port}/{BUCKET}").raise_for_status()
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = [row for seconds in arguments.seconds for row in measure_all(port, seconds, Path(folder))]
    finally:
        server.stop()
    print(table(rows))
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    about = {"date": str(datetime.date.today()), "command": "python benchmarks/remote_reads.py", "machine": machine}
    write_json(
        arguments.out, {**about, "versions": {name: version(name) for name in ("av", "fsspec", "s3fs")}, "rows": rows}
    )


if __name__ == "__main__":
    main()
