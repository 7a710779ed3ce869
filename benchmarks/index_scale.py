"""Build and search an index of 1 and 10 million windows of mean vectors: seconds, bytes, memory and recall.

python benchmarks/index_scale.py --out docs/figures/index-scale.json --folder /tmp/index-scale

The index grows as that of `side4video index` does: videos of 100 windows each, 4,000 windows per commit, and files
compacted at 500,000 windows and whenever they have doubled, all by the package's own LanceDB store with its own
settings. At each size it is searched. The vectors are made up: all share a direction, as CLIP's embeddings do; each
video belongs to one of `TOPICS` topics and has a direction of its own, and its windows differ from each other. A window
has one frame, its mean in 16 bits, so that the vectors are what fills the disk.

Questions are windows plus noise, of two kinds: near to their window (cosine about 0.75), and far (about 0.4), as texts
are from pictures. Recall counts the 10 and the 500 windows with the largest products among all, by brute force.

Each step runs in its own process, so that its peak memory is its own. Processor seconds count the store's work without
making vectors, over all threads; unlike seconds of the clock they hardly depend on what else the machine does.
A killed benchmark continues where it was: its figures so far are in the output file, the index in the folder.
"""

import json
import multiprocessing
import os
import platform
import resource
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from side4video.atomic_files import write_json
from side4video.search.index_writer import OPTIMISE_WINDOWS
from side4video.search.stores.filters import Filter
from side4video.search.stores.lance_store import LanceStore
from side4video.search.stores.records import IndexedFile, IndexInfo, Window

WIDTH, TOPICS, WINDOWS_PER_VIDEO, CHUNK = 512, 2000, 100, 4000
SHARED, TOPIC, OWN, WINDOW = 1.0, 0.7, 0.7, 0.5
"""Lengths of what a window's vector is added up from."""
KINDS = {"near": 0.9, "far": 2.5}
"""Length of the noise that makes a question of a window."""
TOP_K, SHORTLIST = 10, 500


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    out: Path = Path("docs/figures/index-scale.json")
    folder: Path = Path("/tmp/side4video-index-scale")
    """For the index; removed at the end. A run that was killed continues with it."""
    sizes: tuple[int, ...] = (1_000_000, 10_000_000)
    """Windows, in ascending order; multiples of 4,000."""
    questions: int = 100
    """Of each kind."""
    keep: bool = False
    """Do not remove the folder at the end."""


def directions(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Random directions of length 1."""
    return normalised(generator.standard_normal((*shape, WIDTH), np.float32))


def normalised(numbers: np.ndarray) -> np.ndarray:
    return numbers / np.linalg.norm(numbers, axis=-1, keepdims=True)


_shared = directions(np.random.default_rng(0))
_topics = directions(np.random.default_rng(1), TOPICS)


def chunk_means(number: int) -> np.ndarray:
    """(CHUNK, WIDTH) mean vectors of length 1 up to rounding to 16 bits; equal for equal numbers."""
    generator = np.random.default_rng((2, number))
    videos = CHUNK // WINDOWS_PER_VIDEO
    own = (
        SHARED * _shared + TOPIC * _topics[generator.integers(0, TOPICS, videos)] + OWN * directions(generator, videos)
    )
    means = normalised(own.repeat(WINDOWS_PER_VIDEO, axis=0) + WINDOW * directions(generator, CHUNK))
    return means.astype(np.float16).astype(np.float32)


def chunk_windows(number: int) -> list[Window]:
    """The windows of `chunk_means`."""
    weights, seconds = np.ones(1, np.float32), np.full(1, 5.0, np.float32)
    windows = []
    for row, mean in enumerate(chunk_means(number)):
        place = row % WINDOWS_PER_VIDEO
        if not place:
            video = (number * CHUNK + row) // WINDOWS_PER_VIDEO
            path = f"/videos/{video // 1000:04d}/{video:08d}.mp4"
            file = IndexedFile(path, f"{video:064x}", 50_000_000, 1_700_000_000_000_000_000 + video, 505.0)
        windows.append(
            Window(file, place, 5.0 * place, 5.0 * place + 10, mean[None].astype(np.float16), weights, seconds, mean)
        )
    return windows


def questions(kind: str, count: int) -> np.ndarray:
    """(count, WIDTH), of windows of the first chunks, which an index of any size holds."""
    generator = np.random.default_rng(3)
    means = chunk_means(0)[generator.permutation(CHUNK)[:count]]
    return normalised(means + KINDS[kind] * directions(generator, count))


@contextmanager
def counted(row: dict[str, Any], name: str) -> Iterator[None]:
    """Add the seconds of a block, of the clock and of this process's threads, to a row of figures."""
    clock, used = time.perf_counter(), os.times()
    yield
    now = os.times()
    for key, seconds in (
        (f"{name}_seconds", time.perf_counter() - clock),
        (f"{name}_processor_seconds", now.user + now.system - used.user - used.system),
    ):
        row[key] = round(row.get(key, 0.0) + seconds, 2)


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def grow(folder: Path, size: int, row: dict[str, Any]) -> dict[str, Any]:
    """Add windows up to the next time that files are compacted, and compact them; adds to the figures of `row`."""
    store = LanceStore(str(folder))
    store.write_info(IndexInfo("made up", "", "mean-pool", 1, WIDTH, 10.0, 5.0, version("side4video")))
    begin = store.count_windows()
    for number in range(begin // CHUNK, min(size, max(OPTIMISE_WINDOWS, 2 * begin)) // CHUNK):
        windows = chunk_windows(number)
        with counted(row, "add"):
            store.replace(sorted({window.file.path for window in windows}), windows)
    row["peak_add_mb"] = max(row.get("peak_add_mb", 0), peak_mb())
    with counted(row, "optimise"):
        store.optimise()
    return row | {
        "windows": store.count_windows(),
        "bytes": bytes_of(folder),
        "index_bytes": bytes_of(folder / "windows.lance/_indices"),
        "peak_optimise_mb": max(row.get("peak_optimise_mb", 0), peak_mb()),
    }


def truth(size: int, count: int) -> dict[str, np.ndarray]:
    """(count, SHORTLIST) numbers of the best windows of all, best first, of each kind of question; by brute force."""
    asked = np.concatenate([questions(kind, count) for kind in KINDS])
    scores, places = np.empty((len(asked), 0), np.float32), np.empty((len(asked), 0), np.int64)
    for number in range(size // CHUNK):
        own = asked @ normalised(chunk_means(number)).T  # as the store reads them
        scores = np.concatenate([scores, own], axis=1)
        places = np.concatenate([places, np.broadcast_to(np.arange(CHUNK) + number * CHUNK, own.shape)], axis=1)
        best = np.argpartition(-scores, SHORTLIST, axis=1)[:, :SHORTLIST]
        scores, places = (np.take_along_axis(array, best, axis=1) for array in (scores, places))
    places = np.take_along_axis(places, np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return dict(zip(KINDS, np.split(places, len(KINDS)), strict=True))


def search(folder: Path, size: int, count: int) -> dict[str, Any]:
    """Ask one question after the other."""
    best = truth(size, count)
    row: dict[str, Any] = {"peak_before_mb": peak_mb()}
    store = LanceStore(str(folder))
    with counted(row, "first_question"):
        store.nearest(questions("near", 1)[0], limit=SHORTLIST, filter=Filter())
    for kind in KINDS:
        row[kind] = _ask(store, questions(kind, count), best[kind])
    return row | {"peak_mb": peak_mb()}


def _ask(store: LanceStore, asked: np.ndarray, best: np.ndarray) -> dict[str, Any]:
    clock, of_ten, of_all = [], [], []
    row: dict[str, Any] = {}
    for vector, expected in zip(asked, best.tolist(), strict=True):
        begin = time.perf_counter()
        with counted(row, "all"):
            found = store.nearest(vector, limit=SHORTLIST, filter=Filter())
        clock.append(time.perf_counter() - begin)
        places = [int(window.file.path[-12:-4]) * WINDOWS_PER_VIDEO + window.number for window in found]
        of_ten.append(len({*places[:TOP_K]} & {*expected[:TOP_K]}) / TOP_K)
        of_all.append(len({*places} & {*expected}) / SHORTLIST)
    p50, p95 = np.percentile(clock, (50, 95)).tolist()
    return {
        "recall_at_10": round(float(np.mean(of_ten)), 4),
        "recall_at_500": round(float(np.mean(of_all)), 4),
        "processor_ms": round(row["all_processor_seconds"] / len(asked) * 1e3, 1),
        "p50_ms": round(p50 * 1e3, 1),
        "p95_ms": round(p95 * 1e3, 1),
    }


def list_files(folder: Path) -> dict[str, Any]:
    """What `index` does first, and a search with a filter: read the list of all videos."""
    store = LanceStore(str(folder))
    row: dict[str, Any] = {"peak_before_mb": peak_mb()}
    with counted(row, "list"):
        videos = len(store.files())
    return row | {"videos": videos, "peak_mb": peak_mb()}


def own_process(step: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a step in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(step, *arguments).result()


def main(command: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__, args=command)
    figures: dict[str, Any] = {"date": "", "results": [], "build": {}}
    if arguments.folder.exists() and arguments.out.exists():
        figures = json.loads(arguments.out.read_text())
    shown = ["benchmarks/index_scale.py", *(sys.argv[1:] if command is None else command)]
    figures |= {
        "date": str(date.today()),
        "command": shlex.join(["python", *shown]),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads_of_lance": os.environ.get("LANCE_CPU_THREADS", "all"),
        },
        "versions": {name: version(name) for name in ("lancedb", "numpy")},
        "generator": {
            name.lower(): globals()[name]
            for name in ("WIDTH", "TOPICS", "WINDOWS_PER_VIDEO", "SHARED", "TOPIC", "OWN", "WINDOW", "KINDS")
        },
    }
    for size in arguments.sizes:
        if any(row["windows"] == size for row in figures["results"]):
            continue
        while figures["build"].get("windows", 0) < size:
            figures["build"] = own_process(grow, arguments.folder, size, figures["build"])
            print(figures["build"], flush=True)
            write_json(arguments.out, figures)
        row = {
            **figures["build"],
            "search": own_process(search, arguments.folder, size, arguments.questions),
            "list": own_process(list_files, arguments.folder),
        }
        print(row, flush=True)
        figures["results"].append(row)
        write_json(arguments.out, figures)
    if not arguments.keep:
        shutil.rmtree(arguments.folder)


if __name__ == "__main__":
    main()
