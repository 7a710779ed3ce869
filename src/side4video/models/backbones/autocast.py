"""Switches autocast off for modules that compute in their own dtype, and gradients for frozen ones."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def without_autocast(device_type: str) -> Iterator[None]:
    """Disable autocast inside the `with` block. If it is off already, do nothing, as for exported programs.

    Args:
        device_type: "cpu", "cuda" ...

    >>> with torch.autocast("cpu", dtype=torch.bfloat16), without_autocast("cpu"):
    ...     (torch.ones(1, 1) @ torch.ones(1, 1)).dtype
    torch.float32
    """
    if not torch.is_autocast_enabled(device_type):
        yield
        return
    with torch.autocast(device_type, enabled=False):
        yield


@contextmanager
def frozen(device_type: str) -> Iterator[None]:
    """Disable gradients and autocast inside the `with` block."""
    with torch.no_grad(), without_autocast(device_type):
        yield
