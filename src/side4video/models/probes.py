"""Probes: small classifiers that read the frozen model's tokens directly, without a side network.

They show what a side network has to beat: appearance (linear), amount of motion (motion), place and order of motion
(space-time), all of it with learned attention (attentive).
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from side4video.models.side.side_block import centre_in_time

ProbeName = Literal["linear", "motion", "space-time", "attentive"]
PROJECTION_SEED = 0
"""Of the space-time probe's random channels: every run projects alike."""


def average_to_grid(patches: Float[Tensor, "B T N D"], grid: int) -> Float[Tensor, "B T G D"]:
    """Average patch tokens over `grid` x `grid` equal parts of the frame, G = grid^2, rows first.

    >>> average_to_grid(torch.arange(4.0).reshape(1, 1, 4, 1), 1).item()
    1.5
    """
    side = math.isqrt(patches.shape[2])
    if grid == side:
        return patches
    frames = patches.unflatten(2, (side, side)).flatten(0, 1).movedim(-1, 1)  # (B T, D, rows, columns)
    return F.adaptive_avg_pool2d(frames, grid).flatten(2).transpose(1, 2).unflatten(0, patches.shape[:2])


class Probe(nn.Module):
    """Features of a clip's frozen tokens, standardised, and a linear layer.

    Args:
        num_features: F.
        num_classes: C.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("scale", torch.ones(num_features))
        self.linear = nn.Linear(num_features, num_classes)

    def features(self, x: Float[Tensor, "B T *N D"]) -> Float[Tensor, "B F"]:
        """What the linear layer reads of a clip, before it is standardised."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "B T *N D"]) -> Float[Tensor, "B C"]:
        """Logits from the tokens that the probe reads."""
        return self.linear((self.features(x) - self.mean) * self.scale)


class LinearProbe(Probe):
    """Appearance: the mean over time of each frame's pooled summary (B, T, D).

    Args:
        width: D.
        num_classes: C.
    """

    def __init__(self, *, width: int, num_classes: int) -> None:
        super().__init__(width, num_classes)

    def features(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """The mean frame."""
        return x.float().mean(dim=1)


class MotionProbe(Probe):
    """Amount of motion: the mean absolute difference of neighbouring frames' patches, on a grid of places.

    Args:
        width: D.
        num_classes: C.
        grid: rows and columns of places; 1: pooled over the whole frame.
    """

    def __init__(self, *, width: int, num_classes: int, grid: int = 1) -> None:
        super().__init__(grid**2 * width, num_classes)
        self.grid = grid

    def features(self, x: Float[Tensor, "B T N D"]) -> Float[Tensor, "B F"]:
        """How much each channel changes in each place."""
        change = x.float().diff(dim=1).abs().mean(dim=1, keepdim=True)
        return average_to_grid(change, self.grid).flatten(1)


class SpaceTimeProbe(Probe):
    """Place and order of motion: patches minus their mean over the clip, on a grid of places, frame by frame.

    Args:
        width: D.
        num_classes: C.
        num_frames: T.
        grid: rows and columns of places.
        channels: random ones that the D channels are projected to, so that few clips can fill them.
    """

    projection: Tensor

    def __init__(self, *, width: int, num_classes: int, num_frames: int, grid: int = 7, channels: int = 32) -> None:
        super().__init__(num_frames * grid**2 * channels, num_classes)
        self.grid = grid
        generator = torch.Generator().manual_seed(PROJECTION_SEED)
        self.register_buffer("projection", torch.randn(width, channels, generator=generator) * width**-0.5)

    def features(self, x: Float[Tensor, "B T N D"]) -> Float[Tensor, "B F"]:
        """How each place differs from its own mean, frame by frame."""
        return (centre_in_time(average_to_grid(x.float(), self.grid)) @ self.projection).flatten(1)


class AttentiveProbe(Probe):
    """Cross-attention of a learned query over all patches of all frames, with positions in time and space.

    After V-JEPA 2 (arXiv 2506.09985) and STEP (arXiv 2503.24298), which shows that positions in time decide whether an
    attentive probe sees order.

    Args:
        width: D.
        num_classes: C.
        num_frames: T.
        grid: rows and columns that patches are averaged to.
        num_heads: of the attention; divides D.
        dropout: probability, 0..1, on the attention's output.
    """

    def __init__(
        self, *, width: int, num_classes: int, num_frames: int, grid: int = 7, num_heads: int = 3, dropout: float = 0.5
    ) -> None:
        super().__init__(width, num_classes)
        self.grid = grid
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(width)
        self.times = nn.Parameter(torch.randn(num_frames, 1, width) * 0.02)
        self.places = nn.Parameter(torch.randn(grid**2, width) * 0.02)
        self.query = nn.Parameter(torch.randn(num_heads, width // num_heads))
        self.key_value = nn.Linear(width, 2 * width)
        self.dropout = nn.Dropout(dropout)

    def _keys_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.norm(average_to_grid(x.float(), self.grid)) + self.times + self.places
        keys, values = self.key_value(tokens.flatten(1, 2)).chunk(2, dim=-1)  # (B, T G, D)
        return tuple(part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in (keys, values))  # type: ignore[return-value]

    def attention(self, x: Float[Tensor, "B T N D"]) -> Float[Tensor, "B T G"]:
        """How much each place of each frame counts: mean over the heads; sums to 1 over a clip."""
        keys, _ = self._keys_and_values(x)  # (B, heads, T G, D / heads)
        scores = torch.einsum("hd,bhnd->bhn", self.query, keys) * keys.shape[-1] ** -0.5
        return scores.softmax(dim=-1).mean(dim=1).unflatten(-1, (x.shape[1], -1))

    def features(self, x: Float[Tensor, "B T N D"]) -> Float[Tensor, "B D"]:
        """The values that the query attends to."""
        keys, values = self._keys_and_values(x)
        query = self.query[None, :, None].expand(len(x), -1, -1, -1)  # (B, heads, 1, D / heads)
        return self.dropout(F.scaled_dot_product_attention(query, keys, values).flatten(1))
