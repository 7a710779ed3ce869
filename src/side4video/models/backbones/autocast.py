"""Parts that compute in their own number type, whatever autocast says around them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def without_autocast(device_type: str) -> Iterator[None]:
    """Switch autocast off where it is on; elsewhere nothing is switched, so that exported programs hold no trace of it.

    Args:
        device_type: "cpu", "cuda" ...
    """
    if not torch.is_autocast_enabled(device_type):
        yield
        return
    with torch.autocast(device_type, enabled=False):
        yield
