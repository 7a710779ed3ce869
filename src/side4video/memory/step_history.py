"""Bytes that are alive at every moment of a step, for any number of clips, derived from one step that was run.

For fake tensors. Two properties are used: the size of a storage either does not depend on the number of clips or is
proportional to it; and identical blocks allocate and free the same bytes, one after the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch

from side4video.memory.tracking import AllocationTracker


class StepHistory(AllocationTracker):
    """Follows the storages of a step; use `peak_of` and `highest_of` instead of `peak` and `highest`.

    Bytes are complex numbers here: c + p j means c bytes plus p bytes per clip.

    >>> with StepHistory(1_000_003) as history:
    ...     weights = torch.zeros(256)  # 1024 bytes for any number of clips
    ...     clips = torch.zeros(1_000_003, 2, device="meta")  # 8 bytes per clip
    >>> history.peak_of(10)
    {'workspace': 1104}

    Args:
        clips: number of clips of the step that is run. A storage whose bytes are a multiple of it counts as one that
            grows with the clips. Use a prime number that is larger than every other size, or 1 if you later ask only
            for 1 clip.
    """

    current: dict[str, Any]

    def __init__(self, clips: int) -> None:
        super().__init__()
        self._clips = clips
        self._moments: list[dict[str, complex]] = []
        self._part_start: tuple[int, dict[str, complex]] | None = None
        self._part_storages: set[int] = set()  # storages that were allocated in the part
        self._times: dict[int, int] = {}  # how many storages each storage of a part represents
        self._frees_repeats = False

    def peak_of(self, clips: int) -> dict[str, int]:
        """Bytes alive, by category, at the moment when their sum is largest in a step of `clips` clips."""
        sizes = self._sizes(clips)
        return dict(zip(self.current, sizes[np.argmax(sizes.sum(axis=1))].tolist(), strict=True))

    def highest_of(self, clips: int) -> dict[str, int]:
        """Largest bytes of each category in a step of `clips` clips; categories may peak at different moments."""
        return dict(zip(self.current, self._sizes(clips).max(axis=0).tolist(), strict=True))

    def begin_part(self) -> None:
        """Start a part: what happens until `end_part` is counted several times, one after the other."""
        assert self._part_start is None, "parts cannot be nested"
        self._part_start = len(self._moments), dict(self.current)
        self._note_peak()

    def end_part(self, times: int) -> None:
        """End the part, which represents `times` identical ones: each adds, or frees, the same bytes."""
        assert self._part_start is not None
        first, start = self._part_start
        more = {
            category: (times - 1) * (size - start.get(category, 0))
            for category, size in self.current.items()
            if size != start.get(category, 0)
        }
        # Bytes change evenly from one part to the next: the extremes are in the first, noted already, and in the last.
        self._moments += [_sum(moment, more) for moment in self._moments[first:]]
        self.current.update(_sum(self.current, more))
        self._times |= dict.fromkeys(self._part_storages, times)
        self._part_start, self._part_storages = None, set()

    @contextmanager
    def freeing_repeats(self) -> Iterator[None]:
        """Inside the `with` block, freeing a storage of a part frees it for all parts that it represents."""
        self._frees_repeats = True
        try:
            yield
        finally:
            self._frees_repeats = False

    def _size(self, storage: torch.UntypedStorage) -> Any:
        per_clip, rest = divmod(storage.nbytes(), self._clips)
        return complex(storage.nbytes(), 0) if rest else complex(0, per_clip)

    def _add(self, tensor: torch.Tensor, category: str | None, out_of: Any = None) -> None:
        before = len(self._alive)
        super()._add(tensor, category, out_of)
        if self._part_start is not None and len(self._alive) > before:
            self._part_storages.add(tensor.untyped_storage()._cdata)

    def _free(self, key: int, _reference: Any) -> None:
        times = self._times.pop(key, 1)
        self._part_storages.discard(key)
        _, category, size = self._alive.pop(key)
        self.current[category] -= size * (times if self._frees_repeats else 1)

    def _note_peak(self) -> None:
        self._moments.append(dict(self.current))

    def _sizes(self, clips: int) -> np.ndarray:
        """Bytes of each category at every moment, (moments, categories)."""
        return (self._table.real + clips * self._table.imag).astype(np.int64)

    @cached_property
    def _table(self) -> np.ndarray:
        return np.array([[moment.get(category, 0) for category in self.current] for moment in self._moments])


def _sum(first: dict[str, complex], second: dict[str, complex]) -> dict[str, complex]:
    return first | {category: first.get(category, 0) + more for category, more in second.items()}
