"""Data loaders for training and evaluation."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from side4video.data.datasets import TestClips, TrainClips
from side4video.data.loading.batch import Batch, collate
from side4video.data.loading.order import TrainOrder
from side4video.data.loading.process_support import is_importing_main, warn_about_reading_here, why_no_processes
from side4video.data.loading.worker_exits import IMPORTED_UNGUARDED
from side4video.data.loading.worker_processes import WorkerContext, start_worker
from side4video.data.loading.worker_status import MonitoredClips
from side4video.data.loading.worker_watchdog import ClipLoader, ResumableSampler
from side4video.system.devices import pins_memory

PREFETCHED_BATCHES = 2  # per worker
TIMEOUT_SECONDS = 300.0
"""Default for the time that a worker may take to read a clip."""


def train_loader(
    dataset: TrainClips, order: TrainOrder, *, workers: int, timeout_seconds: float = TIMEOUT_SECONDS
) -> DataLoader[Batch]:
    """Load the rest of a run in its order: iterate once, the worker processes stay.

    Workers import the script that starts them, so a script that calls this needs `if __name__ == "__main__":`. Without
    it, in programs from standard input and in daemon processes, the videos are read in this process, with a warning. A
    worker that exceeds the timeout or whose decoder crashes is replaced within seconds, and the video counts as
    unreadable. If a worker ends otherwise, iterating raises a `LostWorkerError` within seconds that names the video it
    was reading.

    Args:
        dataset: the clips that the order's keys select from.
        order: of this process, from the step where it starts or resumes.
        workers: processes that read videos; 0: read in this process. Their number does not change the batches.
        timeout_seconds: the longest time a worker may take for a clip; ignored without workers.
    """
    workers = _usable(min(workers, len(order)))
    return ClipLoader(**_options(dataset, workers, timeout_seconds), batch_sampler=ResumableSampler(order))


def test_loader(
    dataset: TestClips,
    *,
    batch_clips: int,
    workers: int,
    timeout_seconds: float = TIMEOUT_SECONDS,  # noqa: PT028
    world: int = 1,  # noqa: PT028 - not a test despite its name
    rank: int = 0,  # noqa: PT028
    chosen: Sequence[int] | None = None,  # noqa: PT028
) -> DataLoader[Batch]:
    """Load clips in the order of the list, each clip once.

    Args:
        dataset: clips with all their views.
        batch_clips: clips in a batch.
        workers, timeout_seconds: see `train_loader`.
        world, rank: number of processes and rank of this one; it reads every `world`-th clip from `rank` on.
        chosen: indices of the clips to load; None: all.
    """
    own_indices = (range(len(dataset)) if chosen is None else chosen)[rank::world]
    workers = _usable(min(workers, -(-len(own_indices) // batch_clips)))
    batches = [own_indices[start : start + batch_clips] for start in range(0, len(own_indices), batch_clips)]
    return ClipLoader(**_options(dataset, workers, timeout_seconds), batch_sampler=ResumableSampler(batches))


test_loader.__test__ = False  # type: ignore[attr-defined]


def _usable(workers: int) -> int:
    """The number of workers, or 0 with a warning where processes cannot be started."""
    if workers and is_importing_main():
        os._exit(IMPORTED_UNGUARDED)  # the process that started this one reads the videos itself
    if workers and (reason := why_no_processes()):
        warn_about_reading_here(reason)
        return 0
    return workers


def _options(dataset: TrainClips | TestClips, workers: int, timeout_seconds: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "dataset": dataset,
        "collate_fn": collate,
        "num_workers": workers,
        "pin_memory": pins_memory(),
        "generator": torch.Generator().manual_seed(0),  # otherwise each iteration draws from the global generator
    }
    if workers:
        context = WorkerContext()
        options |= {
            "dataset": MonitoredClips(dataset, workers, context, timeout_seconds=timeout_seconds),
            "multiprocessing_context": context,
            "worker_init_fn": start_worker,
            "prefetch_factor": PREFETCHED_BATCHES,
        }
    return options
