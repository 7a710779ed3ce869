"""The bytes that are alive at every moment of a step, for any number of clips; they follow from one step that was run.

For tensors without memory. Two things are used: a storage has as many bytes whatever the number of clips, or so many
for each clip; and blocks that are alike do the same to memory, one after the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch

from side4video.memory.tracking import AllocationTracker


class StepHistory(AllocationTracker):
    """Follows the storages of a step, and has `peak_of` and `highest_of` in place of `peak` and `highest`.

    Bytes are complex numbers here: c + p j are c bytes, and p for each clip.

    Args:
        clips: of the step that is run. A storage whose bytes are a multiple of it is one that grows with the clips: a
            prime number that is larger than everything else will do, and so will 1, if 1 alone is asked for later.
    """

    current: dict[str, Any]

    def __init__(self, clips: int) -> None:
        super().__init__()
        self._clips = clips
        self._moments: list[dict[str, complex]] = []
        self._part_start: tuple[int, dict[str, complex]] | None = None
        self._of_part: set[int] = set()  # storages that were allocated in the part
        self._times: dict[int, int] = {}  # for how many a storage stands that was allocated in a part
        self._frees_for_all = False

    def peak_of(self, clips: int) -> dict[str, int]:
        """Bytes alive, by category, at the moment of a step of so many clips when their sum is largest."""
        sizes = self._sizes(clips)
        return dict(zip(self.current, sizes[np.argmax(sizes.sum(axis=1))].tolist(), strict=True))

    def highest_of(self, clips: int) -> dict[str, int]:
        """Bytes of each category, in a step of so many clips, when it alone is largest."""
        return dict(zip(self.current, self._sizes(clips).max(axis=0).tolist(), strict=True))

    def begin_part(self) -> None:
        """What happens from here to `end_part` is counted several times, as if it happened one after the other."""
        assert self._part_start is None, "parts lie side by side"
        self._part_start = len(self._moments), dict(self.current)
        self._note_peak()

    def end_part(self, times: int) -> None:
        """End the part, which stands for `times` of its kind: each adds, or frees, what this one did."""
        assert self._part_start is not None
        first, start = self._part_start
        more = {
            category: (times - 1) * (size - start.get(category, 0))
            for category, size in self.current.items()
            if size != start.get(category, 0)
        }
        # Bytes change evenly from one to the next: the most extreme are the first, which is there, and the last.
        self._moments += [_sum(moment, more) for moment in self._moments[first:]]
        self.current.update(_sum(self.current, more))
        self._times |= dict.fromkeys(self._of_part, times)
        self._part_start, self._of_part = None, set()

    @contextmanager
    def freeing_for_all(self) -> Iterator[None]:
        """What parts allocated and the `with` block frees, it frees for all that they stand for."""
        self._frees_for_all = True
        try:
            yield
        finally:
            self._frees_for_all = False

    def _size(self, storage: torch.UntypedStorage) -> Any:
        per_clip, rest = divmod(storage.nbytes(), self._clips)
        return complex(storage.nbytes(), 0) if rest else complex(0, per_clip)

    def _add(self, tensor: torch.Tensor, category: str | None, out_of: Any = None) -> None:
        before = len(self._alive)
        super()._add(tensor, category, out_of)
        if self._part_start is not None and len(self._alive) > before:
            self._of_part.add(tensor.untyped_storage()._cdata)

    def _free(self, key: int, _reference: Any) -> None:
        times = self._times.pop(key, 1)
        self._of_part.discard(key)
        _, category, size = self._alive.pop(key)
        self.current[category] -= size * (times if self._frees_for_all else 1)

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
