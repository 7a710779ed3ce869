"""Counts the bytes that PyTorch allocates, and the peak of a step.

Distinct storages are counted: views count once. Real tensors and those of `FakeTensorMode`, which take no memory, are
supported. The internal workspace of a kernel is not counted.
"""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WORKSPACE = "workspace"
"""Category of every storage that has no other category."""


_DEVICE_QUERY = torch.ops.prim.device.default
"""The most frequent operation of fake tensors; it allocates nothing."""


class AllocationTracker(TorchDispatchMode):
    """Follows the storages that operations allocate and free inside a `with` block.

    Attributes:
        current: bytes alive now, by category.
        peak: bytes alive, by category, at the moment when their sum was largest.
        highest: largest bytes of each category; categories may peak at different moments.

    >>> with AllocationTracker() as tracker:
    ...     x = torch.zeros(256)  # 1024 bytes
    ...     y = x + (x + 1)
    ...     del x
    >>> sum(tracker.peak.values()), sum(tracker.current.values())
    (3072, 1024)
    """

    def __init__(self) -> None:
        super().__init__()
        self.current: dict[str, int] = {}
        self.peak: dict[str, int] = {}
        self.highest: dict[str, int] = {}
        self._peak_total = 0
        self._label = WORKSPACE
        self._alive: dict[int, tuple[Any, str, int]] = {}  # by storage: weak reference, category, bytes

    @property
    def peak_bytes(self) -> int:
        """Largest sum of bytes alive at one moment."""
        return self._peak_total

    def count(self, tensors: Iterable[Tensor], category: str, *, out_of: Iterable[str] | None = None) -> None:
        """Put the storages of tensors into a category; unknown storages are counted from now on.

        Args:
            tensors: the tensors.
            category: their new category.
            out_of: categories that storages may be moved out of; by default all.
        """
        for tensor in tensors:
            self._add(tensor, category, out_of)
        self._note_peak()

    def count_module(self, module: nn.Module, category: str) -> None:
        """Put parameters and buffers of a module into a category."""
        self.count([*module.parameters(), *module.buffers()], category)

    @contextmanager
    def labelling(self, category: str) -> Iterator[None]:
        """Put storages that are allocated inside the `with` block into a category."""
        before, self._label = self._label, category
        try:
            yield
        finally:
            self._label = before

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), named: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and count what it returns. Called by PyTorch."""
        result = function(*arguments, **(named or {}))
        if function is _DEVICE_QUERY:
            return result
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor, None)
        self._note_peak()
        return result

    def _add(self, tensor: Tensor, category: str | None, out_of: Iterable[str] | None = None) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        known = self._alive.get(key)
        if known is not None:
            reference, before, size = known
            if category is None or category == before or (out_of is not None and before not in out_of):
                return
            self.current[before] -= size
        else:
            reference, size = weakref.ref(storage, partial(self._free, key)), self._size(storage)
        category = category or self._label
        self._alive[key] = (reference, category, size)
        self.current[category] = self.current.get(category, 0) + size

    def _free(self, key: int, _reference: Any) -> None:
        _, category, size = self._alive.pop(key)
        self.current[category] -= size

    def _size(self, storage: torch.UntypedStorage) -> int:
        return storage.nbytes()

    def _note_peak(self) -> None:
        for category, size in self.current.items():
            if size > self.highest.get(category, 0):
                self.highest[category] = size
        total = sum(self.current.values())
        if total > self._peak_total:
            self._peak_total, self.peak = total, dict(self.current)
