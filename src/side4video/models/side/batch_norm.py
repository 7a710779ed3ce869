"""BatchNorm3d for channels-last tokens; a recomputed forward pass reuses the statistics of the first one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from side4video.distributed.processes import num_processes, sum_over_processes
from side4video.models.side.recompute import Statistics, current_pass


class TokenBatchNorm(nn.BatchNorm1d):
    """BatchNorm3d for channels-last tokens: statistics per channel over all clips, frames and patches.

    If a part of the network is recomputed in the backward pass, its statistics are computed and counted once. With
    `synced`, statistics cover the clips of all processes, on any device; all processes must then run the same passes.

    One row alone, such as a single clip before `pooled_norm`, has no variance: the running statistics normalise it and
    do not change.

    >>> TokenBatchNorm(8)(torch.randn(2, 4, 9, 8)).shape
    torch.Size([2, 4, 9, 8])
    """

    synced = False

    def forward(self, input: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows d"]:
        """Normalise (..., d) over every axis except the last."""
        rows = input.flatten(0, -2)
        synced = self.synced and num_processes() > 1
        if not self.training or (len(rows) == 1 and not synced):
            running = self.running_mean, self.running_var
            return F.batch_norm(rows, *running, self.weight, self.bias, training=False, eps=self.eps).view_as(input)
        run = current_pass()
        statistics = run.statistics.get(self) if run else None
        if statistics is None:
            statistics = self._measure_all(rows) if synced else self._measure(rows)
            if run:
                run.statistics[self] = statistics
        return _Normalise.apply(rows, self.weight, self.bias, *statistics, self.eps).view_as(input)

    @torch.no_grad()
    def _measure(self, rows: Tensor) -> Statistics:
        """Compute the statistics of the batch and update the running statistics."""
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        _, mean, inverse_std = torch.native_batch_norm(
            rows, None, None, self.running_mean, self.running_var, True, self.momentum or 0.0, self.eps
        )
        return mean, inverse_std.pow(-2) - self.eps, inverse_std, None

    @torch.no_grad()
    def _measure_all(self, rows: Tensor) -> Statistics:
        """Compute the statistics over all processes and update the running statistics."""
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        x = rows.double()
        sums = torch.cat([x.sum(dim=0), x.square().sum(dim=0), x.new_tensor([len(x)])])
        sum_over_processes(sums)
        total = int(sums[-1].item())
        mean, square = (sums[:-1] / total).chunk(2)
        variance = (square - mean.square()).clamp(min=0)
        for running, value in ((self.running_mean, mean), (self.running_var, variance * total / max(1, total - 1))):
            assert running is not None
            running.lerp_(value.to(running.dtype), self.momentum or 0.0)
        inverse_std = (variance + self.eps).rsqrt()
        return mean.float(), variance.float(), inverse_std.float(), total


@contextmanager
def keep_running_statistics(model: nn.Module) -> Iterator[None]:
    """Restore the running statistics of all BatchNorm layers at the end of the `with` block."""
    layers = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    buffers = [buffer for layer in layers for buffer in layer.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)


class _Normalise(torch.autograd.Function):
    """Batch normalisation with given statistics; its gradient treats the statistics as computed from the batch.

    The first run and the recomputation use the same code, so their results are bit-identical.
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
        total: int | None,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(rows, weight, mean, inverse_std)
        ctx.eps, ctx.total = eps, total
        return F.batch_norm(rows, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, mean, inverse_std = ctx.saved_tensors
        if ctx.total is not None:
            return (
                *_backward_over_processes(grad, rows, weight, mean, inverse_std, ctx.total),
                None,
                None,
                None,
                None,
                None,
            )
        wanted = list(ctx.needs_input_grad[:3])
        grads = torch.ops.aten.native_batch_norm_backward(
            grad.contiguous(), rows, weight, None, None, mean, inverse_std, True, ctx.eps, wanted
        )
        return *grads, None, None, None, None, None


def _backward_over_processes(
    grad: Tensor, rows: Tensor, weight: Tensor, mean: Tensor, inverse_std: Tensor, total: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the rows, the weight and the bias; the latter two only from this process's rows."""
    grad, normalised = grad.float(), (rows.float() - mean) * inverse_std
    grad_bias, grad_weight = grad.sum(dim=0), (grad * normalised).sum(dim=0)
    sums = sum_over_processes(torch.stack([grad_bias, grad_weight]).double()) / total
    mean_grad, mean_product = sums.float()
    grad_rows = weight.float() * inverse_std * (grad - mean_grad - normalised * mean_product)
    return grad_rows.to(rows.dtype), grad_weight.to(weight.dtype), grad_bias.to(weight.dtype)
