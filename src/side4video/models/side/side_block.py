"""The side block: tap, fuse, convolution over time, attention inside frames, channel MLP (arXiv 2311.15769, section 3).

Tokens are channels-last, (B, T, N, d), throughout. A 1x1x1 convolution is then a linear layer, BatchNorm3d is a
BatchNorm over rows, and no tensor is permuted.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from side4video.models.side.batch_norm import TokenBatchNorm
from side4video.models.side.motion import TemporalDifference, TokenCorrelation
from side4video.models.side.recompute import current_pass, recompute
from side4video.models.side.taps import SIDE_LAYER_NORM_EPS, Memory, PostNormTap, PreNormTap, layer_norm

Variant = Literal["pre-norm", "post-norm"]
"""`pre-norm`: side network of the paper's CLIP models; `post-norm`: side network of its ViT-E/14."""


class TemporalConvolution(nn.Module):
    """Pointwise convolution, depth-wise convolution over three frames, pointwise convolution; no activations.

    >>> TemporalConvolution(16)(torch.zeros(2, 8, 4, 16)).shape
    torch.Size([2, 8, 4, 16])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, width)
        self.depthwise = nn.Conv1d(width, width, kernel_size=3, padding=1, groups=width)
        self.project = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B T N d"]) -> Float[Tensor, "B T N d"]:
        """Mix each token with the same place in the frames before and after."""
        return self.project(self._mix_frames(self.expand(x)))

    def _mix_frames(self, x: Tensor) -> Tensor:
        # Three shifted products: on channels-last tokens this needs no copy into (B N, d, T) and back.
        before, here, after = self.depthwise.weight.to(x.dtype).squeeze(1).unbind(-1)  # (d,) each
        mixed = torch.addcmul(self.depthwise.bias.to(x.dtype), x, here)  # type: ignore[union-attr]
        if x.shape[1] == 1:
            return mixed
        mixed = mixed + F.pad(x[:, :-1] * before, (0, 0, 0, 0, 1, 0))
        return mixed + F.pad(x[:, 1:] * after, (0, 0, 0, 0, 0, 1))


class FrameAttention(nn.Module):
    """Multi-head attention inside each frame. Queries are the patches; keys and values include the summary token.

    >>> FrameAttention(64, num_heads=2)(torch.zeros(2, 8, 1 + 4, 64)).shape
    torch.Size([2, 8, 4, 64])
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, width)

    def forward(self, y: Float[Tensor, "B T M d"]) -> Float[Tensor, "B T N d"]:
        """Attend with the last N = M - 1 tokens of each frame as queries; token 0 is the summary token."""
        # The query of the summary token is computed and dropped: a slice of y would copy all other tokens once more.
        query = self._split_heads(self.query(y))[:, :, 1:]
        key, value = (self._split_heads(part) for part in self.key_value(y).chunk(2, dim=-1))
        mixed = F.scaled_dot_product_attention(query, key, value)  # (B T, heads, N, d / heads)
        return self.project(mixed.transpose(1, 2).reshape(*y.shape[:2], -1, y.shape[-1]))

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class ChannelMLP(nn.Module):
    """Linear d -> 4d, exact GELU, linear 4d -> d.

    >>> ChannelMLP(16)(torch.zeros(2, 8, 4, 16)).shape
    torch.Size([2, 8, 4, 16])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, 4 * width)
        self.project = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "B T N d"], *, read: bool = True) -> Float[Tensor, "B T N d"]:
        """Mix the channels of each token; `read=False`: only the gradient is used, not the result."""
        hidden = self.expand(x)
        weight, bias = self.project.weight.to(hidden.dtype), self.project.bias.to(hidden.dtype)
        return _GeluLinear.apply(hidden, weight, bias, read)


class _GeluLinear(torch.autograd.Function):
    """Linear(GELU(h)) that stores only h: GELU(h), as large as h, is recomputed for the weight's gradient."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, read: bool) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        if not read:
            return hidden.new_zeros(1).expand(*hidden.shape[:-1], len(bias))  # takes no memory and no time
        return F.linear(F.gelu(hidden), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        hidden, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        grad_weight = rows.T @ F.gelu(hidden).flatten(0, -2)
        grad_hidden = torch.ops.aten.gelu_backward(grad @ weight, hidden)
        return grad_hidden, grad_weight, rows.sum(0), None


def shift_summary(c: Float[Tensor, "B T 1 d"]) -> Float[Tensor, "B T 1 d"]:
    """Join half of the next frame's summary token and half of the previous frame's; zeros at the ends.

    >>> shift_summary(torch.arange(1.0, 7.0).reshape(1, 3, 1, 2)).flatten().tolist()
    [3.0, 0.0, 5.0, 2.0, 0.0, 4.0]
    """
    from_next, from_last = c.chunk(2, dim=-1)
    from_next = F.pad(from_next[:, 1:], (0, 0, 0, 0, 0, 1))
    from_last = F.pad(from_last[:, :-1], (0, 0, 0, 0, 1, 0))
    return torch.cat([from_next, from_last], dim=-1)


def centre_in_time(x: Float[Tensor, "B T N d"]) -> Float[Tensor, "B T N d"]:
    """Subtract each token's mean over the frames of its clip, so that only its changes remain.

    >>> centre_in_time(torch.tensor([1.0, 2.0, 6.0]).reshape(1, 3, 1, 1)).flatten().tolist()
    [-2.0, -1.0, 3.0]
    """
    return x - x.mean(dim=1, keepdim=True)


class SideBlock(nn.Module):
    """One block of the side network, after one tapped block of the frozen backbone.

    Args:
        backbone_width: D, channels of the frozen tokens.
        width: d, channels of the side network; even.
        num_heads: attention heads; divides d.
        variant: position of the norms, see `Variant`.
        attention: False removes the attention and the summary token (beyond the paper).
        centred: read only the changes of the frozen tokens, see `centre_in_time` (beyond the paper).
        temporal_difference: first gate the fused tokens by their changes, see `TemporalDifference` (beyond the paper).
        correlation: radius in rows and columns of the correlation with the next frame, which is added to the tokens,
            see `TokenCorrelation` (beyond the paper). 0: off.
        memory: what training stores for the backward pass. "plain": everything that autograd needs. "exact": the fused
            tokens and the tap's input; the rest is recomputed, with the same gradients. "tight": like "exact", but
            the tap's input in 8 bits, which rounds only the gradients of the tap's own parameters.

    >>> block = SideBlock(backbone_width=192, width=64, num_heads=1, variant="pre-norm")
    >>> x, patches, summary = torch.zeros(2, 8, 4, 64), torch.zeros(2, 8, 4, 192), torch.zeros(2, 8, 1, 192)
    >>> block(x, patches, summary, positions=torch.zeros(4, 64)).shape
    torch.Size([2, 8, 4, 64])
    """

    def __init__(
        self,
        *,
        backbone_width: int,
        width: int,
        num_heads: int,
        variant: Variant,
        attention: bool = True,
        centred: bool = False,
        temporal_difference: bool = False,
        correlation: int = 0,
        memory: Memory = "plain",
    ) -> None:
        super().__init__()
        self.pre_norm = variant == "pre-norm"
        self.centred = centred
        self.memory = memory
        self.tap = (PreNormTap if self.pre_norm else PostNormTap)(backbone_width, width, memory=memory)
        self.correlation = TokenCorrelation(width, correlation) if correlation else None
        self.difference = TemporalDifference(width) if temporal_difference else None
        self.temporal_norm = TokenBatchNorm(width)
        self.temporal = TemporalConvolution(width)
        self.attention_norm = nn.LayerNorm(width, eps=SIDE_LAYER_NORM_EPS) if attention else None
        self.attention = FrameAttention(width, num_heads) if attention else None
        self.mlp_norm = TokenBatchNorm(width)
        self.mlp = ChannelMLP(width)
        if self.pre_norm:  # the paper's post-norm models start from PyTorch's defaults
            self.init_scaled_weights()

    def set_memory(self, memory: Memory) -> None:
        """Change what training stores for the backward pass; see the argument `memory` of the class."""
        self.memory = self.tap.memory = memory

    def forward(
        self,
        x: Float[Tensor, "B T N d"],
        patches: Float[Tensor, "B T N D"],
        summary: Float[Tensor, "B T 1 D"],
        positions: Float[Tensor, "M d"] | None,
    ) -> Float[Tensor, "B T N d"]:
        """Fuse frozen tokens into the side tokens `x` and run the block.

        `positions` are added before the attention; None without attention. They have M = N rows, or M = N + 1 with a
        first row for the summary token.
        """
        x = 0.5 * x + 0.5 * self._read(patches)
        if self.correlation is not None:
            x = x + self.correlation(patches)
        shifted = None if positions is None else shift_summary(self._read(summary))
        if self.memory == "plain":
            return self._mix(x, shifted, positions)
        return recompute(self._mix, x, shifted, positions)

    def _mix(self, x: Tensor, summary: Tensor | None, positions: Tensor | None) -> Tensor:
        """The part of the block after the tap, from the fused tokens on."""
        if self.difference is not None:
            x = self.difference(x)
        x = x + (self.temporal(self.temporal_norm(x)) if self.pre_norm else self.temporal_norm(self.temporal(x)))
        if summary is not None and positions is not None:
            x = x + self._attend(_prepend_summary(x, summary, positions))
        if not self.pre_norm:
            return x + self.mlp_norm(self.mlp(x))
        run = current_pass()
        return x + self.mlp(self.mlp_norm(x), read=run is None or not run.is_recomputation)

    def _read(self, tokens: Tensor) -> Tensor:
        return centre_in_time(self.tap(tokens)) if self.centred else self.tap(tokens)

    def _attend(self, y: Tensor) -> Tensor:
        assert self.attention is not None
        assert self.attention_norm is not None
        if self.pre_norm:
            return self.attention(layer_norm(y, self.attention_norm))
        return layer_norm(self.attention(y), self.attention_norm)

    @torch.no_grad()
    def init_scaled_weights(self) -> None:
        """Draw the initial values of the paper's CLIP recognition models, whose deviations depend on the width d.

        They come from torch's global generator. Norms, biases of other layers and convolutions do not change.
        """
        width = self.temporal_norm.num_features
        attention = self.attention
        if attention is not None:
            for layer in (attention.query, attention.key_value):
                nn.init.normal_(layer.weight, std=width**-0.5)
            nn.init.normal_(attention.project.weight, std=width**-0.5 * 24**-0.5)
            for layer in (attention.query, attention.key_value, attention.project):
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.mlp.project.weight, std=width**-0.5 * 24**-0.5)
        for layer in (self.mlp.expand, self.tap.linear):
            nn.init.normal_(layer.weight, std=(2 * width) ** -0.5)


def _prepend_summary(x: Tensor, summary: Tensor, positions: Tensor) -> Tensor:
    own, patches = positions.to(x.dtype).tensor_split([len(positions) - x.shape[2]])
    return torch.cat([summary + own if len(own) else summary, x + patches], dim=2)  # (B, T, 1 + N, d)
