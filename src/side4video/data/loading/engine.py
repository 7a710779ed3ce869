"""Where clips are read and computed: in this process with its loader processes, or on a Ray cluster."""

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol, TypeVar

from side4video.data.datasets import TestClips
from side4video.data.loading.batch import Batch
from side4video.data.loading.loader import test_loader
from side4video.data.loading.worker_watchdog import LostWorkerError
from side4video.distributed.ray_engine import Compute, RayWorkers, map_on_ray
from side4video.video.decoding import VideoCache

Result = TypeVar("Result")

_CHUNK_CLIPS = 16
"""Clips that a reading actor does at a time, and loses with its machine: enough to make starting a loader cheap."""
_CHUNKS_PER_READER = 4
"""Short lists have smaller chunks, so that all readers have work until the end."""
_ATTEMPTS = 3
"""How often the rest of a chunk is read again after its loader process was lost, for example to a lack of memory."""


class Engine(Protocol):
    """Reads the clips of a set and computes a result of each.

    >>> engine: Engine = LocalEngine(workers=0)
    """

    def run(
        self, clips: TestClips, compute: Compute, *, batch_clips: int, timeout_seconds: float
    ) -> Iterator[tuple[int, Any]]:
        """Yield index and result of each clip as they arrive, each once; `in_order` sorts them.

        Args:
            clips: the clips to read.
            compute: from batches to pairs of index and result, one for each clip and for each failure.
            batch_clips: clips in a batch.
            timeout_seconds: the longest time for reading a clip.
        """


@dataclass(frozen=True)
class LocalEngine:
    """This process, with loader processes.

    Attributes:
        workers: number of loader processes; 0: read in this process.

    >>> from side4video import Predictor
    >>> Predictor("adapter", device="cpu").features(["clip.mp4"], engine=LocalEngine(workers=0)).paths
    ('clip.mp4',)
    """

    workers: int

    def run(
        self, clips: TestClips, compute: Compute, *, batch_clips: int, timeout_seconds: float
    ) -> Iterator[tuple[int, Any]]:
        """See `Engine.run`; results are in order."""
        return compute(
            test_loader(clips, batch_clips=batch_clips, workers=self.workers, timeout_seconds=timeout_seconds)
        )


@dataclass(frozen=True)
class RayEngine:
    """The actors of a Ray cluster. Each reading actor has a loader process of its own, which a video may crash.

    Attributes:
        workers: from `connected_to_ray`.

    >>> RayEngine(RayWorkers(readers=6, models=2, on_gpus=True)).workers.readers
    6
    """

    workers: RayWorkers

    def run(
        self, clips: TestClips, compute: Compute, *, batch_clips: int, timeout_seconds: float
    ) -> Iterator[tuple[int, Any]]:
        """See `Engine.run`; results are in no order."""
        size = max(1, min(_CHUNK_CLIPS, len(clips) // (_CHUNKS_PER_READER * self.workers.readers)))
        clips = clips.with_absolute_paths()
        chunks = [(start, clips.part(start, start + size)) for start in range(0, len(clips), size)]
        tables = f"side4video-ray-{token_hex(8)}"
        read = partial(_read, batch_clips=batch_clips, timeout_seconds=timeout_seconds, tables=tables)
        return map_on_ray(chunks, workers=self.workers, num_results=len(clips), read=read, compute=compute)


def in_order(results: Iterable[tuple[int, Result]]) -> Iterator[Result]:
    """Sort results by their index, from 0 on; each is yielded as soon as all before it have arrived.

    >>> list(in_order([(1, "b"), (0, "a"), (2, "c")]))
    ['a', 'b', 'c']
    """
    waiting: dict[int, Result] = {}
    index = 0
    for other, result in results:
        waiting[other] = result
        while index in waiting:
            yield waiting.pop(index)
            index += 1


def _read(chunk: tuple[int, TestClips], *, batch_clips: int, timeout_seconds: float, tables: str) -> Iterator[Batch]:
    """Read a chunk in a loader process, with the indices of the whole set."""
    start, clips = chunk
    clips.cache = _machine_cache(tables)
    done = 0
    for attempt in range(1, _ATTEMPTS + 1):
        first = done
        try:
            rest = clips.part(first, len(clips))
            for batch in test_loader(rest, batch_clips=batch_clips, workers=1, timeout_seconds=timeout_seconds):
                yield _shifted(batch, start + first)
                done += len(batch) + len(batch.failures)
            return
        except LostWorkerError:
            if attempt == _ATTEMPTS:
                raise


def _shifted(batch: Batch, by: int) -> Batch:
    failures = [replace(failure, index=failure.index + by) for failure in batch.failures]
    return replace(batch, indices=[index + by for index in batch.indices], failures=failures)


@cache
def _machine_cache(name: str) -> VideoCache:
    """Frame tables that the actors on a machine share; removed when one of them ends."""
    cache = VideoCache(Path(tempfile.gettempdir()) / name)
    weakref.finalize(cache, shutil.rmtree, Path(tempfile.gettempdir()) / name, ignore_errors=True)
    return cache
