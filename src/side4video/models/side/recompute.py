"""Recomputes a part of the network in the backward pass instead of storing its activations (exact gradients).

Autograd stores only the inputs of the part, and the backward pass runs it again. BatchNorm layers reuse the statistics
of the first run, so statistics are neither computed nor counted twice.

`torch.compile` leaves recomputed parts out and compiles the rest. With memory "plain" it compiles everything, and
chooses itself what to store.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Statistics = tuple[Tensor, Tensor, Tensor, int | None]
"""Mean, variance and inverse standard deviation per channel; number of rows of all processes if synchronised."""


@dataclass
class RecomputePass:
    """A forward pass of a recomputed part, visible to its layers.

    >>> RecomputePass(is_recomputation=False).statistics
    {}
    """

    is_recomputation: bool
    """Whether this pass runs in the backward pass; its last output is not used."""
    statistics: dict[nn.Module, Statistics] = field(default_factory=dict)
    """Statistics of each BatchNorm layer from the first pass."""


_current_pass: ContextVar[RecomputePass | None] = ContextVar("pass of a recomputed part", default=None)


def current_pass() -> RecomputePass | None:
    """The current pass of a recomputed part in this thread; None outside a recomputed part."""
    return _current_pass.get()


def recompute(part: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
    """Call `part(*inputs)`; autograd stores only the inputs. Without gradients it is a plain call.

    Args:
        part: computes a tensor from tensors. It must be deterministic and without side effects: dropout is not
            repeated. Each BatchNorm layer may run once in it.
        inputs: its inputs other than parameters.

    >>> x = torch.ones(2, requires_grad=True)
    >>> recompute(torch.exp, x).sum().backward()
    >>> torch.equal(x.grad, torch.ones(2).exp())
    True
    """
    return _recompute(part, *inputs) if torch.is_grad_enabled() else part(*inputs)


@torch.compiler.disable(reason='recomputed parts are not compiled; memory="plain" (--train.memory plain) has none')
def _recompute(part: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
    first = RecomputePass(is_recomputation=False)
    second = RecomputePass(is_recomputation=True, statistics=first.statistics)
    return checkpoint(
        part,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (_Active(first), _Active(second)),
    )


class _Active:
    """Makes a pass the current one. Several backward passes over one graph (`retain_graph`) enter it one by one."""

    def __init__(self, run: RecomputePass) -> None:
        self._run = run

    def __enter__(self) -> None:
        self._token = _current_pass.set(self._run)

    def __exit__(self, *_: object) -> None:
        _current_pass.reset(self._token)
