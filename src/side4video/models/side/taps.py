"""Taps: map the frozen tokens of a backbone block to side tokens.

In training the tokens need no gradient. The backward pass stores one copy of them for the gradient of the tap's weight,
in the dtype of the step or in 8 bits. With "tight" memory, tokens that require a gradient get none.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from side4video.models.backbones.autocast import without_autocast
from side4video.models.side.int8_tokens import Int8Tokens, int8_linear, to_int8
from side4video.models.side.recompute import recompute

Memory = Literal["plain", "exact", "tight"]
"""What training stores for the backward pass, see `SideBlock`."""

SIDE_LAYER_NORM_EPS = 1e-5


class PreNormTap(nn.Module):
    """Linear(LayerNorm(z)); the LayerNorm's affine part is folded into the linear layer.

    Args:
        backbone_width: D, channels of the frozen tokens.
        width: d, channels of the side network.
        memory: "tight" stores the normalised tokens in 8 bits for the backward pass.

    >>> PreNormTap(192, 64)(torch.zeros(2, 8, 4, 192)).shape
    torch.Size([2, 8, 4, 64])
    """

    def __init__(self, backbone_width: int, width: int, *, memory: Memory = "plain") -> None:
        super().__init__()
        self.norm = nn.LayerNorm(backbone_width, eps=SIDE_LAYER_NORM_EPS)
        self.linear = nn.Linear(backbone_width, width)
        self.memory = memory

    def forward(self, tokens: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows d"]:
        """Map frozen tokens (..., D) to side tokens (..., d)."""
        with without_autocast(tokens.device.type):  # which would store copies in other dtypes
            normalised = F.layer_norm(tokens, self.norm.normalized_shape, eps=self.norm.eps)
            weight = self.linear.weight * self.norm.weight  # W diag(gamma)
            bias = self.linear.bias + self.linear.weight @ self.norm.bias
        linear = int8_linear if self.memory == "tight" else F.linear
        return linear(normalised.to(compute_dtype(weight)), weight, bias)


class PostNormTap(nn.Module):
    """LayerNorm(Linear(z)).

    Args:
        backbone_width: D, channels of the frozen tokens.
        width: d, channels of the side network.
        memory: "plain" stores the tokens and the output of the linear layer. "exact" stores only the tokens as the
            backbone returns them, "tight" only the tokens in 8 bits; both run the linear layer again in the backward
            pass.

    >>> PostNormTap(192, 64)(torch.zeros(2, 8, 4, 192)).shape
    torch.Size([2, 8, 4, 64])
    """

    def __init__(self, backbone_width: int, width: int, *, memory: Memory = "plain") -> None:
        super().__init__()
        self.linear = nn.Linear(backbone_width, width)
        self.norm = nn.LayerNorm(width, eps=SIDE_LAYER_NORM_EPS)
        self.memory = memory

    def forward(self, tokens: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows d"]:
        """Map frozen tokens (..., D) to side tokens (..., d)."""
        tokens = tokens.to(compute_dtype(self.linear.weight))
        if self.memory == "plain":
            return self._map(tokens.clone(memory_format=torch.contiguous_format))  # a view would keep the whole tensor
        if self.memory == "exact" or not torch.is_grad_enabled():
            return recompute(self._map, tokens)
        kept, dtype = to_int8(tokens), tokens.dtype
        first = [tokens]
        del tokens  # the first run reads `first`, the second the stored tokens

        def part(values: Tensor, scales: Tensor) -> Tensor:
            return self._map(first.pop() if first else Int8Tokens(values, scales).restore(dtype))

        return recompute(part, kept.values, kept.scales)

    def _map(self, tokens: Tensor) -> Tensor:
        return layer_norm(self.linear(tokens), self.norm)


def layer_norm(x: Float[Tensor, "*rows d"], norm: nn.LayerNorm) -> Float[Tensor, "*rows d"]:
    """LayerNorm in the dtype of `x` (sums in 32 bits), without autocast, which would store 32-bit copies."""
    assert norm.bias is not None
    with without_autocast(x.device.type):
        return F.layer_norm(x, norm.normalized_shape, norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps)


def compute_dtype(weight: Tensor) -> torch.dtype:
    """The dtype in which linear layers compute here: autocast's if it is on, otherwise the weight's."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
