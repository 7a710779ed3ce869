"""Seconds that changes of a large index take in its store: moved videos, new metadata, replaced videos.

python benchmarks/index_changes.py --out docs/figures/index-changes.json

The videos are made as in `video_search.py`, each of one window; nothing is decoded or embedded. Each change starts
from the same index. `optimise`, which `side4video index` does at its end, is measured separately after each change.
"""

import datetime
import os
import platform
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from side4video.atomic_files import write_json
from side4video.search.changes import Changes
from side4video.search.index_writer import COMMIT_SECONDS, IndexWriter
from side4video.search.stores.lance_store import LanceStore
from side4video.search.stores.records import Window
from video_search import CHUNK, NUM_FRAMES, Videos, build_store, path_of, windows_of


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    out: Path = Path("docs/figures/index-changes.json")
    videos: int = 100_000
    """In the index."""
    changed: tuple[int, ...] = (1, 100, 1_000, 10_000)
    """Videos that are changed together."""
    folder: Path | None = None
    """For the indexes, which are removed again; by default the system's temporary folder."""


def move(store: LanceStore, paths: Sequence[str]) -> None:
    """As if their folder had another name."""
    files = store.files()
    moved = {f"/renamed{path}": (path, (files[path].size, files[path].modified)) for path in paths}
    writer = IndexWriter(store, files, None, commit_seconds=COMMIT_SECONDS)
    writer.write_known(Changes(copied=moved))
    writer.remove(paths)


def set_metadata(store: LanceStore, paths: Sequence[str]) -> None:
    """Another year for each."""
    store.set_metadata({path: {"year": float(number)} for number, path in enumerate(paths)})


def replace_windows(store: LanceStore, paths: Sequence[str]) -> None:
    """As many windows as before."""
    store.replace(paths, [window for windows in store.windows_of(paths) for window in windows])


def replace_by_others(store: LanceStore, paths: Sequence[str]) -> None:
    """Windows after one of them was removed."""
    windows = [window for windows in store.windows_of(paths) for window in windows]
    store.replace(paths, [replace(window, number=window.number + 1) for window in windows])


CHANGES: tuple[Callable[[LanceStore, Sequence[str]], None], ...] = (
    move,
    set_metadata,
    replace_windows,
    replace_by_others,
)


def measure(arguments: Arguments, folder: Path) -> list[dict[str, Any]]:
    """A row for each change and number of videos."""
    videos, rows = Videos(), []

    def chunks() -> Iterator[list[Window]]:
        for start in range(0, arguments.videos, CHUNK):
            frames, weights, means = (array[: arguments.videos - start] for array in videos.chunk(start // CHUNK))
            yield windows_of(start, frames, weights, means)

    build_store(folder / "index", chunks(), "wti", NUM_FRAMES)
    order = np.random.default_rng(0).permutation(arguments.videos)
    for change in CHANGES:
        for count in arguments.changed:
            copy = shutil.copytree(folder / "index", folder / "copy", copy_function=os.link)  # no file changes
            store = LanceStore(str(copy))
            store.files()
            begin = time.perf_counter()
            change(store, [path_of(place) for place in sorted(order[:count].tolist())])
            row: dict[str, Any] = {"change": change.__name__, "videos": count}
            row["seconds"] = round(time.perf_counter() - begin, 3)
            if store.count_windows() != arguments.videos:
                raise RuntimeError(f"{row}: {store.count_windows()} windows, not {arguments.videos}.")
            begin = time.perf_counter()
            store.optimise()
            row["optimise_seconds"] = round(time.perf_counter() - begin, 3)
            print(row, flush=True)
            rows.append(row)
            store.close()
            shutil.rmtree(copy)
    return rows


def main(command: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__, args=command)
    folder = Path(tempfile.mkdtemp(prefix="side4video-changes-", dir=arguments.folder))
    try:
        rows = measure(arguments, folder)
    finally:
        shutil.rmtree(folder)
    written = {
        "date": str(datetime.date.today()),
        "command": shlex.join(
            ["python", *(sys.argv if command is None else ["benchmarks/index_changes.py", *command])]
        ),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("lancedb", "numpy")},
        "videos": arguments.videos,
        "results": rows,
    }
    write_json(arguments.out, written)


if __name__ == "__main__":
    main()
