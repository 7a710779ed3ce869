"""Which clips each step of a training run takes.

The order follows from the seed and the step alone, so a run resumes at any step without having saved anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from side4video.data.datasets import ClipKey


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
