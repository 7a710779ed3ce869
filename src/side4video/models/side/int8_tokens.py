"""Tokens in 8 bits, and a linear layer that stores its input in 8 bits for the backward pass.

Each group of channels of each token has its own scale, so a few large channels do not make the others less precise.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8
from torch import Tensor
from torch.autograd.function import once_differentiable

LARGEST_GROUP = 64
"""Maximum number of channels that share a scale: a group is the largest divisor of the width up to this."""
LARGEST = 127
SMALLEST_SCALE = 2.0**-24  # smallest positive float16


@dataclass(frozen=True)
class Int8Tokens:
    """Tokens (..., D) as 8-bit integers and scales: 1 + 2 / 64 bytes per value.

    Attributes:
        values: integers from -127 to 127.
        scales: float16, one per group of channels; a token's value is the integer times its group's scale.

    >>> to_int8(torch.tensor([[0.0, 0.5, 1.0, -1.0]])).values.tolist()
    [[0, 64, 127, -127]]
    """

    values: Int8[Tensor, "*rows D"]
    scales: Float[Tensor, "*rows groups"]

    def restore(self, dtype: torch.dtype) -> Float[Tensor, "*rows D"]:
        """Convert back to `dtype`. A value is off by at most half its group's scale: 1/254 of the group's maximum."""
        groups = self.values.to(dtype).unflatten(-1, (self.scales.shape[-1], -1))
        return groups.mul_(self.scales.unsqueeze(-1).to(dtype)).flatten(-2)


def to_int8(tokens: Float[Tensor, "*rows D"]) -> Int8Tokens:
    """Round tokens to 8 bits. Their absolute values must be at most 127 x 65504, the range of a float16 scale.

    A group whose values are all below 0.008 is rounded more coarsely: its scale is at the lower limit of float16.
    """
    width = tokens.shape[-1]
    group = next(size for size in range(LARGEST_GROUP, 0, -1) if width % size == 0)
    groups = tokens.detach().unflatten(-1, (-1, group))
    largest = torch.linalg.vector_norm(groups, ord=torch.inf, dim=-1)
    scales = (largest.float() / LARGEST).clamp_(min=SMALLEST_SCALE).half()
    values = (groups / scales.unsqueeze(-1)).round_().clamp_(-LARGEST, LARGEST)
    return Int8Tokens(values.to(torch.int8).flatten(-2), scales)


class _Int8Linear(torch.autograd.Function):
    """A linear layer for inputs without gradient; it computes the weight's gradient from the rounded input."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        kept = to_int8(tokens)
        ctx.save_for_backward(kept.values, kept.scales)
        return F.linear(tokens, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        tokens = Int8Tokens(*ctx.saved_tensors).restore(grad.dtype)
        rows = grad.flatten(0, -2)
        return None, rows.T @ tokens.flatten(0, -2), rows.sum(0)


def int8_linear(
    tokens: Float[Tensor, "*rows D"], weight: Float[Tensor, "d D"], bias: Float[Tensor, " d"]
) -> Float[Tensor, "*rows d"]:
    """`F.linear` that stores `tokens` in 8 bits, a quarter of the memory of 32 bits; `tokens` get no gradient."""
    return _Int8Linear.apply(tokens, weight.to(tokens.dtype), bias.to(tokens.dtype))
