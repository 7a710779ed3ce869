"""The loaders that bring the batches of a training run or an evaluation."""

from typing import Any

import torch
from torch.utils.data import DataLoader

from side4video.data.datasets import TestClips, TrainClips
from side4video.data.loading.batch import Batch, collate
from side4video.data.loading.order import TrainOrder
from side4video.data.loading.worker_processes import WorkerContext, start_worker
from side4video.data.loading.worker_status import MonitoredClips
from side4video.data.loading.worker_watchdog import ClipLoader, Remaining

PREFETCHED_BATCHES = 2  # per worker
TIMEOUT_SECONDS = 300.0
"""How long a worker may take to read a clip where nothing else is said."""


def train_loader(
    dataset: TrainClips, order: TrainOrder, *, workers: int, timeout_seconds: float = TIMEOUT_SECONDS
) -> DataLoader[Batch]:
    """Batches of the whole rest of a run, in its order: iterate once, the worker processes stay.

    Workers are started afresh, not forked, so a script that calls this needs `if __name__ == "__main__":`. One that
    reads a clip for longer than it may, or is crashed by its decoder, is replaced within seconds, and the video counts
    as one that cannot be read. Where one ends otherwise a `LostWorkerError` is raised here within seconds, which names
    the video that it was reading.

    Args:
        dataset: what the order's keys choose from.
        order: of this process, from the step where it starts or resumes.
        workers: processes that read videos; 0 reads them in this one. Their number does not change the batches.
        timeout_seconds: that a worker may take for a clip; without effect without workers.
    """
    workers = min(workers, len(order))
    return ClipLoader(**_options(dataset, workers, timeout_seconds), batch_sampler=Remaining(order))


def test_loader(
    dataset: TestClips,
    *,
    batch_clips: int,
    workers: int,
    timeout_seconds: float = TIMEOUT_SECONDS,  # noqa: PT028
    world: int = 1,  # noqa: PT028 - this is no test, for all its name
    rank: int = 0,  # noqa: PT028
) -> DataLoader[Batch]:
    """Batches in the order of the list, each clip once.

    Args:
        dataset: clips with all their views.
        batch_clips: clips in a batch.
        workers, timeout_seconds: as in `train_loader`.
        world, rank: number of processes, and which of them this is: it takes every `world`-th clip from `rank` on.
    """
    mine = range(rank, len(dataset), world)
    workers = min(workers, -(-len(mine) // batch_clips))
    batches = [mine[start : start + batch_clips] for start in range(0, len(mine), batch_clips)]
    return ClipLoader(**_options(dataset, workers, timeout_seconds), batch_sampler=Remaining(batches))


test_loader.__test__ = False  # type: ignore[attr-defined]


def _options(dataset: TrainClips | TestClips, workers: int, timeout_seconds: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "dataset": dataset,
        "collate_fn": collate,
        "num_workers": workers,
        "pin_memory": torch.cuda.is_available(),
        "generator": torch.Generator().manual_seed(0),  # else each iteration draws from the global generator
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
