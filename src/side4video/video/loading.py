"""The order of a training run and the loaders that bring its batches.

The order follows from the seed and the step alone, so a run resumes at any step without having saved a thing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from side4video.video.datasets import Clip, ClipKey, Failure, TestClips, TrainClips
from side4video.video.lost_workers import ClipLoader, Remaining
from side4video.video.worker_notes import NotingClips
from side4video.video.worker_processes import WorkerContext, start_worker

PREFETCHED_BATCHES = 2  # per worker
TIMEOUT_SECONDS = 300.0
"""How long a worker may take to read a clip where nothing else is said."""


@dataclass
class Batch:
    """Clips side by side.

    `clips` is float (views of all clips, T, 3, S, S), or what a token cache has instead of them, and `labels` long
    (views of all clips,), clip after clip; `views`, `indices`, `names` and `about` have one entry per clip. `failures`
    are the videos that could not be read; where nothing could, `clips` has the shape (0,) and `len(batch)` is 0.
    """

    clips: Any
    labels: Tensor
    views: list[int]
    indices: list[int]
    names: list[str]
    failures: list[Failure]
    about: list[Any] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of clips, each of which may have several views."""
        return len(self.views)

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, from where a GPU reads faster. Called by the loader."""
        return replace(self, clips=self.clips.pin_memory(), labels=self.labels.pin_memory())


def collate(samples: Sequence[Clip | Failure]) -> Batch:
    """Put samples side by side; failures are set apart, none is lost."""
    clips = [sample for sample in samples if isinstance(sample, Clip)]
    frames = torch.cat([clip.frames for clip in clips]) if clips else torch.empty(0)
    labels = torch.tensor([label for clip in clips for label in clip.labels], dtype=torch.long)
    if get_worker_info() is not None:
        _share(frames)
        _share(labels)
    return Batch(
        clips=frames,
        labels=labels,
        views=[len(clip.labels) for clip in clips],
        indices=[clip.index for clip in clips],
        names=[clip.name for clip in clips],
        failures=[sample for sample in samples if isinstance(sample, Failure)],
        about=[clip.about for clip in clips],
    )


def _share(tensor: Tensor) -> None:
    """Put a worker's tensor where the main process can see it.

    PyTorch would do that in a thread, when the next video is read; if there is no room, that thread is all who notices.
    """
    try:
        tensor.share_memory_()
    except RuntimeError as error:
        raise RuntimeError(
            f"There is no shared memory for a batch of {tensor.nbytes / 1e6:,.0f} MB: {error}. Use fewer workers "
            "(--data.workers); in a container allow more of it, such as docker run --shm-size 8g."
        ) from error


def steps_per_epoch(num_samples: int, global_batch: int) -> int:
    """Optimizer steps in one epoch: `ceil(num_samples / global_batch)`, for example 3 for 10 samples by 4."""
    return -(-num_samples // global_batch)


@dataclass(frozen=True, kw_only=True)
class TrainOrder:
    """Which clips each step of a run takes; a batch sampler that yields one micro-batch of `ClipKey` at a time.

    An epoch is a permutation drawn from (seed, epoch), cut into `steps_per_epoch` batches whose sizes differ by one
    at most: every clip once, and no tiny last batch. A batch is cut in the same way into a share per process, and a
    share into micro-batches. All processes have the same number of micro-batches in a step (one of them may be empty
    where `micro_batch` is 1).

    Example: 10 samples and `global_batch` 4 give steps of 4, 3 and 3 clips.

    Args:
        num_samples: clips in an epoch.
        global_batch: clips in an optimizer step, over all processes, at most.
        micro_batch: clips that one process computes at a time, at most.
        seed: of the run, from 0.
        total_steps: where the run ends.
        start_step: where iterating starts: 0, or where a run is resumed.
        world, rank: number of processes, and which of them this is.
    """

    num_samples: int
    global_batch: int
    micro_batch: int
    seed: int
    total_steps: int
    start_step: int = 0
    world: int = 1
    rank: int = 0

    def __post_init__(self) -> None:
        for name in ("num_samples", "global_batch", "micro_batch", "world"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} leaves nothing to train on. Use 1 or more.")
        if not 0 <= self.rank < self.world:
            raise ValueError(f"{self.rank = } is outside 0 to {self.world - 1}. Each process has its own rank.")
        if not 0 <= self.start_step <= self.total_steps:
            raise ValueError(f"{self.start_step = } is outside the run of {self.total_steps} steps.")
        if self.num_samples // self.steps_per_epoch < self.world:
            raise ValueError(
                f"{self.num_samples} clips in batches of {self.global_batch} leave some of {self.world} processes "
                "without a clip. Use a larger global_batch, more clips or fewer processes."
            )

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which each clip is seen once."""
        return steps_per_epoch(self.num_samples, self.global_batch)

    def epoch(self, step: int) -> int:
        """The epoch, from 0, that a step belongs to."""
        return step // self.steps_per_epoch

    def step_size(self, step: int) -> int:
        """Clips in a step over all processes: what its loss is averaged over."""
        return len(self._bounds(step))

    def num_micro_batches(self, step: int) -> int:
        """Micro-batches of a step in each process."""
        largest_share = -(-self.step_size(step) // self.world)
        return -(-largest_share // self.micro_batch)

    def step_batches(self, step: int) -> list[list[ClipKey]]:
        """The micro-batches of a step in this process."""
        epoch, chosen = self.epoch(step), self._bounds(step)
        batch = _permutation(self.num_samples, self.seed, epoch)[chosen.start : chosen.stop]
        share = np.array_split(batch, self.world)[self.rank]
        parts = np.array_split(share, self.num_micro_batches(step))
        return [[ClipKey(epoch, int(index)) for index in part] for part in parts]

    def _bounds(self, step: int) -> range:
        """Where the step's batch lies in the epoch's permutation, as `numpy.array_split` cuts it."""
        size, larger = divmod(self.num_samples, self.steps_per_epoch)
        place = step % self.steps_per_epoch
        start = place * size + min(place, larger)
        return range(start, start + size + (place < larger))

    def __iter__(self) -> Iterator[list[ClipKey]]:
        """Micro-batches from `start_step` to the end of the run, over all epochs."""
        for step in range(self.start_step, self.total_steps):
            yield from self.step_batches(step)

    def __len__(self) -> int:
        """Micro-batches from `start_step` to the end of the run."""
        return sum(self.num_micro_batches(step) for step in range(self.start_step, self.total_steps))


@lru_cache(maxsize=2)
def _permutation(num_samples: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(num_samples)


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
            "dataset": NotingClips(dataset, workers, context, timeout_seconds=timeout_seconds),
            "multiprocessing_context": context,
            "worker_init_fn": start_worker,
            "prefetch_factor": PREFETCHED_BATCHES,
        }
    return options
