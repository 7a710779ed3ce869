"""BatchNorm3d for channels-last tokens, whose statistics can be remembered between two runs of the same batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from side4video.models.recompute import Statistics, current_run


class TokenBatchNorm(nn.BatchNorm1d):
    """BatchNorm3d for channels-last tokens: statistics per channel over all clips, frames and patches.

    Where a part of the network is recomputed in the backward pass, statistics are computed and counted once.
    """

    def forward(self, input: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows d"]:
        """Normalise (..., d) over every axis but the last."""
        rows = input.flatten(0, -2)
        if not self.training:
            return super().forward(rows).view_as(input)
        run = current_run()
        statistics = run.statistics.get(self) if run else None
        if statistics is None:
            statistics = self._measure(rows)
            if run:
                run.statistics[self] = statistics
        return _Normalise.apply(rows, self.weight, self.bias, *statistics, self.eps).view_as(input)

    @torch.no_grad()
    def _measure(self, rows: Tensor) -> Statistics:
        """Statistics of the batch; the running ones follow them."""
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        _, mean, inverse_std = torch.native_batch_norm(
            rows, None, None, self.running_mean, self.running_var, True, self.momentum or 0.0, self.eps
        )
        return mean, inverse_std.pow(-2) - self.eps, inverse_std


@contextmanager
def keep_running_statistics(model: nn.Module) -> Iterator[None]:
    """Put the running statistics of all BatchNorm layers back when the block ends, as if it had not run."""
    layers = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    buffers = [buffer for layer in layers for buffer in layer.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)


class _Normalise(torch.autograd.Function):
    """Batch normalisation with statistics that are given, and the gradient that counts them as computed from the batch.

    The first run and the second take the same way here, so that they agree to the bit.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        inverse_std: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(rows, weight, mean, inverse_std)
        ctx.eps = eps
        return F.batch_norm(rows, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, mean, inverse_std = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:3])
        grads = torch.ops.aten.native_batch_norm_backward(
            grad.contiguous(), rows, weight, None, None, mean, inverse_std, True, ctx.eps, wanted
        )
        return *grads, None, None, None, None
