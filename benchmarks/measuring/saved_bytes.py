"""Counts the bytes that a forward pass saves for the backward pass.

Distinct storages are counted: views, and tensors that are saved twice, count once. Real tensors and those of
`FakeTensorMode`, which take no memory, are supported.
"""

from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor


class SavedBytes:
    """Counts the bytes that autograd saves for the backward pass inside a `with` block.

    Args:
        exclude: tensors that exist anyway, such as the parameters of the model; their storages are not counted.

    Attributes:
        total: bytes of the distinct storages that were saved so far.
    """

    def __init__(self, exclude: Iterable[Tensor] = ()) -> None:
        self._excluded = [tensor.untyped_storage() for tensor in exclude]
        self._known = {storage._cdata for storage in self._excluded}
        self._kept: list[Any] = []  # kept alive, so that no address is used twice
        self.total = 0
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            self._known.add(storage._cdata)
            self._kept.append(storage)
            self.total += storage.nbytes()
        return tensor

    def __enter__(self) -> Self:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)
