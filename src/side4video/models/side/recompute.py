"""Computing a part of the network again in the backward pass instead of keeping what it computed (exact gradients).

What autograd would save inside the part is dropped, its inputs are kept, and the backward pass runs it once more.
BatchNorm layers inside remember the statistics of the first run: they are neither computed nor counted twice.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Statistics = tuple[Tensor, Tensor, Tensor, int | None]
"""Mean, variance and inverse standard deviation of each channel; rows of all processes where they are over these."""


@dataclass
class Run:
    """What the layers of a recomputed part know of it."""

    again: bool
    """Whether this is the run of the backward pass, whose last output nobody reads."""
    statistics: dict[nn.Module, Statistics] = field(default_factory=dict)
    """Of each BatchNorm layer, from the first run."""


_current: ContextVar[Run | None] = ContextVar("run of a recomputed part", default=None)


def current_run() -> Run | None:
    """The run of a recomputed part that is going on in this thread; None outside of one."""
    return _current.get()


def recompute(part: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
    """`part(*inputs)`, of which autograd keeps the inputs alone; the same as a plain call where no gradient is wanted.

    Args:
        part: computes a tensor from tensors. It must do the same when it is called again, and nothing else: dropout
            is not repeated. Each BatchNorm layer may run once in it.
        inputs: what it reads apart from parameters.
    """
    if not torch.is_grad_enabled():
        return part(*inputs)
    first = Run(again=False)
    again = Run(again=True, statistics=first.statistics)
    return checkpoint(
        part,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (_running(first), _running(again)),
    )


@contextmanager
def _running(run: Run) -> Iterator[None]:
    token = _current.set(run)
    try:
        yield
    finally:
        _current.reset(token)
