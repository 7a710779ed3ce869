"""Reading clips from shards, next to the same files on disk and to the streaming reader of the webdataset library.

python benchmarks/shards.py --out docs/figures/shards.json

Makes clips of moving detail, writes them as files and with `write-shards`, and reads 8 frames of each clip in one
process, in random order and shard by shard, with the page cache filled and emptied. The library gives the bytes of one
video after the other, which are decoded by the same code from a file in memory.
"""

import datetime
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tyro
import webdataset

from decoding import make_clip
from side4video.atomic_files import write_json
from side4video.cli import main as side4video
from side4video.data.lists.annotations import read_video_list
from side4video.video.decoding import open_video
from side4video.video.file_access import open_bytes
from side4video.video.shard_index import shard_index

NUM_FRAMES, KEY_FRAMES = 8, 12
IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    out: Path = Path("docs/figures/shards.json")
    clips: int = 24
    different: int = 4
    """Clips that are encoded; the others are copies of them."""
    per_shard: int = 8
    size: tuple[int, int] = (320, 240)
    """Width and height of the clips, in pixels."""
    rounds: int = 3


def make_files(folder: Path, arguments: Arguments) -> None:
    """Two classes of clips, and shards of them."""
    width, height = arguments.size
    for number in range(arguments.different):
        make_clip(folder / f"{number}.mp4", width=width, height=height, key_frames=KEY_FRAMES + number)
    for number in range(arguments.clips):
        place = folder / "files" / "ab"[number % 2] / f"{number:05d}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / f"{number % arguments.different}.mp4", place)
    flags = ["--out", str(folder / "shards"), "--max-count", str(arguments.per_shard), "--processes", "1"]
    assert side4video(["write-shards", str(folder / "files"), *flags]) == 0


def forget(folder: Path) -> None:
    """Remove the files of a folder from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_whole(path: Path) -> None:
    """All bytes of a video."""
    with open_bytes(path) as file:
        file.read()


def read_frames(path: Path) -> None:
    """Eight frames of a clip, as training decodes them."""
    with open_video(path) as video:
        video.read_pictures(np.linspace(0, video.num_frames - 1, NUM_FRAMES).astype(int).tolist())


def stream(shards: Sequence[Path]) -> Iterator[bytes]:
    """The videos, as the library's reader gives them, in the order of the shards."""
    for sample in webdataset.WebDataset(list(map(str, shards)), shardshuffle=False):
        yield sample["mp4"]


def decode_bytes(content: bytes) -> None:
    """Eight frames of a video in memory."""
    with tempfile.NamedTemporaryFile(dir=IN_MEMORY, suffix=".mp4") as file:
        file.write(content)
        file.flush()
        read_frames(Path(file.name))


def orders(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """The order of the shards, and a random one."""
    permutation = np.random.default_rng(0).permutation(len(paths))
    return {"in order": list(paths), "random": [paths[place] for place in permutation]}


def measure(folder: Path, arguments: Arguments) -> list[dict[str, Any]]:
    """Rows of reader, order, state of the page cache and clips per second; readers take turns in each round."""
    files, members = ([v.path for v in read_video_list(folder / name).videos] for name in ("files", "shards"))
    shards = sorted((folder / "shards").glob("*.tar"))
    runs: dict[tuple[str, str, str], Callable[[], Any]] = {}
    for what, read, take in (("bytes", read_whole, len), ("8 frames", read_frames, decode_bytes)):
        for name, paths in (("files", files), ("shards", members)):
            for order, chosen in orders(paths).items():
                runs[what, name, order] = lambda read=read, chosen=chosen: [read(path) for path in chosen]  # type: ignore[misc]
        runs[what, "webdataset library", "in order"] = lambda take=take: [take(one) for one in stream(shards)]  # type: ignore[misc]
    rows = []
    for cache in ("filled", "emptied"):
        seconds: dict[tuple[str, str, str], list[float]] = {key: [] for key in runs}
        busy: dict[tuple[str, str, str], list[float]] = {key: [] for key in runs}
        for _ in range(arguments.rounds):
            for key, run in runs.items():
                if cache == "emptied":
                    forget(folder)
                start, start_busy = time.perf_counter(), time.process_time()
                run()
                seconds[key].append(time.perf_counter() - start)
                busy[key].append(time.process_time() - start_busy)
        for (what, reader, order), taken in seconds.items():
            rate = len(files) / median(taken)
            cpu = median(busy[what, reader, order]) / len(files) * 1000
            row = {"read": what, "reader": reader, "order": order, "page_cache": cache}
            rows.append(row | {"clips_per_second": round(rate, 1), "processor_ms_per_clip": round(cpu, 2)})
            print(f"{what:9} {reader:20} {order:9} cache {cache:8} {rate:8.1f} clips/s, {cpu:7.2f} ms", flush=True)
    return rows


def measure_index(folder: Path) -> dict[str, float]:
    """Seconds to list a shard of 10,000 small members, and to read its index."""
    shard = folder / "many" / "0.tar"
    shard.parent.mkdir()
    with webdataset.TarWriter(str(shard)) as writer:
        for number in range(10_000):
            writer.write(
                {"__key__": f"{number:06d}", "mp4": b"x" * 20_000, "txt": "a caption", "json": {"url": "u" * 300}}
            )
    times = []
    for _ in range(2):
        start = time.perf_counter()
        shard_index(shard)
        times.append(time.perf_counter() - start)
    return {"samples": 10_000, "seconds_listed": times[0], "seconds_known": times[1]}


def main() -> None:
    """Measure, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).absolute()
        os.environ["SIDE4VIDEO_CACHE"] = str(folder / "cache")
        make_files(folder, arguments)
        clip_bytes = [path.stat().st_size for path in (folder / "files").rglob("*.mp4")]
        rows = measure(folder, arguments)
        index = measure_index(folder)
    print(index)
    content = {
        "date": str(datetime.date.today()),
        "command": "python benchmarks/shards.py",
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("av", "webdataset")},
        "clips": {"number": arguments.clips, "size": arguments.size, "mean_bytes": int(np.mean(clip_bytes))},
        "rows": rows,
        "index": index,
    }
    write_json(arguments.out, content)


if __name__ == "__main__":
    main()
