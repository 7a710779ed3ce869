"""Taps: how a side block reads the frozen tokens behind its backbone block.

The tokens need no gradient. All that the backward pass keeps of them is one copy for the gradient of the tap's weight,
in the number type of the step, or in 8 bits.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from side4video.models.eight_bit import eight_bit_linear

SIDE_LAYER_NORM_EPS = 1e-5


class PreNormTap(nn.Module):
    """Linear(LayerNorm(z)); the LayerNorm's affine part is folded into the linear layer.

    Args:
        backbone_width: D, channels of the frozen tokens.
        width: d, channels of the side network.
        eight_bit: keep the normalised tokens in 8 bits for the backward pass.
    """

    def __init__(self, backbone_width: int, width: int, *, eight_bit: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(backbone_width, eps=SIDE_LAYER_NORM_EPS)
        self.linear = nn.Linear(backbone_width, width)
        self.eight_bit = eight_bit

    def forward(self, tokens: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows d"]:
        """Map frozen tokens (..., D) to side tokens (..., d)."""
        with torch.autocast(tokens.device.type, enabled=False):  # it would make, and keep, copies in other number types
            with torch.no_grad():
                normalised = F.layer_norm(tokens, self.norm.normalized_shape, eps=self.norm.eps)
            weight = self.linear.weight * self.norm.weight  # W diag(gamma)
            bias = self.linear.bias + self.linear.weight @ self.norm.bias
        return _linear(normalised, weight, bias, eight_bit=self.eight_bit)


class PostNormTap(nn.Module):
    """LayerNorm(Linear(z)); arguments as for `PreNormTap`."""

    def __init__(self, backbone_width: int, width: int, *, eight_bit: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(backbone_width, width)
        self.norm = nn.LayerNorm(width, eps=SIDE_LAYER_NORM_EPS)
        self.eight_bit = eight_bit

    def forward(self, tokens: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows d"]:
        """Map frozen tokens (..., D) to side tokens (..., d)."""
        x = _linear(tokens.detach(), self.linear.weight, self.linear.bias, eight_bit=self.eight_bit)
        return layer_norm(x, self.norm)


def layer_norm(x: Float[Tensor, "*rows d"], norm: nn.LayerNorm) -> Float[Tensor, "*rows d"]:
    """A LayerNorm in the number type of `x` (sums in 32 bits): autocast would make, and keep, 32-bit copies."""
    assert norm.bias is not None
    with torch.autocast(x.device.type, enabled=False):
        return F.layer_norm(x, norm.normalized_shape, norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps)


def step_dtype(weight: Tensor) -> torch.dtype:
    """The number type in which linear layers compute here: autocast's where it is on, else that of the weight."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


def _linear(tokens: Tensor, weight: Tensor, bias: Tensor, *, eight_bit: bool) -> Tensor:
    tokens = tokens.to(step_dtype(weight))
    return (eight_bit_linear if eight_bit else F.linear)(tokens, weight, bias)
