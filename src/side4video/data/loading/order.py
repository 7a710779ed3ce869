"""Which clips each training step uses.

The order follows from the seed and the step alone, so a run resumes at any step without saved generator state.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from side4video.data.datasets import ClipKey
from side4video.data.loading.balanced_draws import BalancedDraws


def steps_per_epoch(num_samples: int, global_batch: int) -> int:
    """Optimizer steps in one epoch: `ceil(num_samples / global_batch)`, for example 3 for 10 samples by 4."""
    return -(-num_samples // global_batch)


@dataclass(frozen=True, kw_only=True)
class TrainOrder:
    """Which clips each step of a run uses: a batch sampler that yields one micro-batch of `ClipKey` at a time.

    An epoch is a permutation drawn from (seed, epoch), split into `steps_per_epoch` batches whose sizes differ by at
    most one: every clip once, and no tiny last batch. In the same way a batch is split into one share per process, and
    a share into micro-batches. All processes have the same number of micro-batches in a step (with `micro_batch` 1, one
    of them may be empty).

    >>> order = TrainOrder(num_samples=10, global_batch=4, micro_batch=2, seed=0, total_steps=6)
    >>> [order.step_size(step) for step in range(3)]
    [4, 3, 3]
    >>> [len(batch) for batch in order.step_batches(0)]
    [2, 2]

    Args:
        num_samples: clips in an epoch.
        global_batch: maximum number of clips in an optimizer step, over all processes.
        micro_batch: maximum number of clips that one process computes at a time.
        seed: of the run, from 0.
        total_steps: where the run ends.
        start_step: where iteration starts: 0, or the step where a run is resumed.
        world, rank: number of processes, and rank of this one.
        draws: draws an epoch in which every class fills the same share. Default: every clip once.
    """

    num_samples: int
    global_batch: int
    micro_batch: int
    seed: int
    total_steps: int
    start_step: int = 0
    world: int = 1
    rank: int = 0
    draws: BalancedDraws | None = None

    def __post_init__(self) -> None:
        for name in ("num_samples", "global_batch", "micro_batch", "world"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be 1 or more.")
        if not 0 <= self.rank < self.world:
            raise ValueError(
                f"{self.rank = } is outside 0 to {self.world - 1}. Give each process a rank in this range."
            )
        if not 0 <= self.start_step <= self.total_steps:
            raise ValueError(f"{self.start_step = } is outside the run of {self.total_steps} steps.")
        if self.num_samples // self.steps_per_epoch < self.world:
            raise ValueError(
                f"{self.num_samples} clips in batches of {self.global_batch} leave some of {self.world} processes "
                "without a clip. Use a larger global_batch, more clips or fewer processes."
            )

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which each clip is used once."""
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

    @property
    def has_empty_micro_batches(self) -> bool:
        """Whether a process has fewer clips than another in a step, and so a micro-batch without any."""
        ends = (0, self.steps_per_epoch - 1)  # the largest and the smallest step of an epoch
        return self.micro_batch == 1 and any(self.step_size(step) % self.world for step in ends)

    def step_batches(self, step: int) -> list[list[ClipKey]]:
        """The micro-batches of a step in this process."""
        epoch, chosen = self.epoch(step), self._bounds(step)
        places = np.arange(chosen.start, chosen.stop)
        share = np.array_split(places, self.world)[self.rank]
        parts = np.array_split(share, self.num_micro_batches(step))
        return [self._keys(epoch, part) for part in parts]

    def _keys(self, epoch: int, places: np.ndarray) -> list[ClipKey]:
        """The clips at some places of an epoch."""
        if self.draws is not None:
            return [ClipKey(*map(int, row)) for row in self.draws.epoch(epoch)[places]]
        return [ClipKey(epoch, int(index)) for index in _permutation(self.num_samples, self.seed, epoch)[places]]

    def _bounds(self, step: int) -> range:
        """The step's part of the epoch's permutation, split like `numpy.array_split`."""
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
