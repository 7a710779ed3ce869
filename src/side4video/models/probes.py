"""Probes: small classifiers that read the frozen model's tokens directly, without a side network.

They are the baselines of a side network. Each reads one cue: appearance (linear), amount of motion (motion), place
and order of motion (space-time), direction of motion (correlation). Two read the frames themselves: which way (flow)
and how fast (speed) pixels move. The combined probe is a weighted sum of these, and the attentive probe learns which
tokens to read.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from side4video.config import ProbeConfig
from side4video.config.probe import block_read
from side4video.models.optical_flow import ORIENTATIONS, SPEEDS, direction_histograms, speed_histograms
from side4video.models.side.motion import correlate
from side4video.models.side.side_block import centre_in_time

COARSE_GRID = 7
"""Rows and columns to which all probes first average patches: a quarter of a ViT's 14 x 14, equally accurate."""
RADIUS = 2
"""The correlation probe compares each place with the places up to this many rows and columns away."""
PROJECTION_SEED = 0
"""Seed of the space-time probe's random channels; every run uses the same projection."""


def average_to_grid(patches: Float[Tensor, "B T N D"], grid: int) -> Float[Tensor, "B T G D"]:
    """Average patch tokens over `grid` x `grid` equal parts of the frame, G = grid^2, row by row.

    >>> average_to_grid(torch.arange(4.0).reshape(1, 1, 4, 1), 1).item()
    1.5
    """
    side = math.isqrt(patches.shape[2])
    if grid == side:
        return patches
    frames = patches.unflatten(2, (side, side)).flatten(0, 1).movedim(-1, 1)  # (B T, D, rows, columns)
    return F.adaptive_avg_pool2d(frames, grid).flatten(2).transpose(1, 2).unflatten(0, patches.shape[:2])


def coarse_patches(patches: Float[Tensor, "B T N D"]) -> Float[Tensor, "B T G D"]:
    """Average patches to `COARSE_GRID` rows and columns; frames with fewer patches keep their grid."""
    return average_to_grid(patches.float(), min(COARSE_GRID, math.isqrt(patches.shape[2])))


def changes_in_time(x: Float[Tensor, "B T N D"]) -> Float[Tensor, "B T N D"]:
    """Subtract each place's mean over the clip; exactly 0 if nothing changes, as rounding errors would become features.

    >>> changes_in_time(torch.full((1, 7, 1, 1), 0.1)).abs().max().item()
    0.0
    """
    return centre_in_time(x - x[:, :1])


class Probe(nn.Module):
    """Base class of the probes: a linear layer on standardised features of a clip's frozen tokens.

    Args:
        num_features: F.
        num_classes: C.

    >>> class LastFrame(Probe):
    ...     def features(self, x):
    ...         return x[:, -1].float()
    >>> LastFrame(16, num_classes=5)(torch.zeros(2, 8, 16)).shape
    torch.Size([2, 5])
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("scale", torch.ones(num_features))
        self.linear = nn.Linear(num_features, num_classes)

    def features(self, x: Float[Tensor, "B T *N D"]) -> Float[Tensor, "B F"]:
        """The features of each clip, before standardisation."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "B T *N D"]) -> Float[Tensor, "B C"]:
        """Logits from the tokens that the probe reads."""
        return self.linear((self.features(x) - self.mean) * self.scale)


class LinearProbe(Probe):
    """Appearance: the mean over time of each frame's pooled summary (B, T, D).

    Args:
        width: D.
        num_classes: C.

    >>> LinearProbe(width=16, num_classes=5)(torch.zeros(2, 8, 16)).shape
    torch.Size([2, 5])
    """

    def __init__(self, *, width: int, num_classes: int) -> None:
        super().__init__(width, num_classes)

    def features(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """Mean over the frames."""
        return x.float().mean(dim=1)


class MotionProbe(Probe):
    """Amount of motion: the mean absolute difference of neighbouring frames' patches, on a grid of places.

    Args:
        width: D.
        num_classes: C.
        grid: rows and columns of places; 1: pooled over the whole frame.

    >>> MotionProbe(width=16, num_classes=5)(torch.zeros(2, 8, 49, 16)).shape
    torch.Size([2, 5])
    """

    def __init__(self, *, width: int, num_classes: int, grid: int = 1) -> None:
        super().__init__(grid**2 * width, num_classes)
        self.grid = grid

    def features(self, x: Float[Tensor, "B T N D"]) -> Float[Tensor, "B F"]:
        """Mean absolute change of each channel in each place."""
        change = coarse_patches(x).diff(dim=1).abs().mean(dim=1, keepdim=True)
        return average_to_grid(change, self.grid).flatten(1)


class SpaceTimeProbe(Probe):
    """Place and order of motion: patches minus their mean over the clip, on a grid of places, frame by frame.

    Args:
        width: D.
        num_classes: C.
        num_frames: T.
        grid: rows and columns of places.
        channels: number of random channels to which the D channels are projected; keep it small for few clips.

    >>> SpaceTimeProbe(width=16, num_classes=5, num_frames=8)(torch.zeros(2, 8, 49, 16)).shape
    torch.Size([2, 5])
    """

    projection: Tensor

    def __init__(self, *, width: int, num_classes: int, num_frames: int, grid: int = 7, channels: int = 32) -> None:
        super().__init__(num_frames * grid**2 * channels, num_classes)
        self.grid = grid
        generator = torch.Generator().manual_seed(PROJECTION_SEED)
        self.register_buffer("projection", torch.randn(width, channels, generator=generator) * width**-0.5)

    def features(self, x: Float[Tensor, "B T N D"]) -> Float[Tensor, "B F"]:
        """Difference of each place from its mean over the clip, frame by frame."""
        return (changes_in_time(average_to_grid(coarse_patches(x), self.grid)) @ self.projection).flatten(1)


class CorrelationProbe(Probe):
    """Direction of motion: cosines of tokens with their neighbours in the next frame, on a grid of places.

    Tokens are normalised over channels. Then cosines are computed twice. After subtracting the mean over the frame they
    show the motion of the whole picture; after subtracting the mean over the clip, motion before a static background.

    Args:
        num_classes: C.
        num_frames: T, 2 or more.
        grid: rows and columns to which the cosines are averaged.

    >>> CorrelationProbe(num_classes=5, num_frames=8)(torch.zeros(2, 8, 49, 16)).shape
    torch.Size([2, 5])
    """

    def __init__(self, *, num_classes: int, num_frames: int, grid: int = 3) -> None:
        super().__init__(2 * (num_frames - 1) * grid**2 * (2 * RADIUS + 1) ** 2, num_classes)
        self.grid = grid

    def features(self, x: Float[Tensor, "B T N D"]) -> Float[Tensor, "B F"]:
        """Cosines of neighbours for each pair of frames and each place."""
        x = coarse_patches(x)
        x = F.layer_norm(x, x.shape[-1:])
        centred = (x - x.mean(dim=2, keepdim=True), changes_in_time(x))
        return torch.cat([average_to_grid(correlate(part, RADIUS), self.grid).flatten(1) for part in centred], dim=1)


class FlowProbe(Probe):
    """Direction of motion, finer than tokens: histograms of optical flow between neighbouring frames.

    Args:
        num_classes: C.
        num_frames: T, 2 or more.
        grid: rows and columns of the histograms' places.

    >>> FlowProbe(num_classes=5, num_frames=8, grid=3)(torch.zeros(2, 8, 784, 2)).shape
    torch.Size([2, 5])
    """

    def __init__(self, *, num_classes: int, num_frames: int, grid: int = 3) -> None:
        super().__init__((num_frames - 1) * 3 * ORIENTATIONS * grid**2, num_classes)
        self.grid = grid

    def features(self, x: Float[Tensor, "B T G 2"]) -> Float[Tensor, "B F"]:
        """The histograms of all pairs of frames, from `optical_flow`."""
        return direction_histograms(x, self.grid).flatten(1)


class SpeedProbe(Probe):
    """Speed of motion: how many pixels move how fast between neighbouring frames.

    Args:
        num_classes: C.
        num_frames: T, 2 or more.
        grid: rows and columns of places.

    >>> SpeedProbe(num_classes=5, num_frames=8, grid=3)(torch.zeros(2, 8, 784, 2)).shape
    torch.Size([2, 5])
    """

    def __init__(self, *, num_classes: int, num_frames: int, grid: int = 1) -> None:
        super().__init__((num_frames - 1) * len(SPEEDS) * grid**2, num_classes)
        self.grid = grid

    def features(self, x: Float[Tensor, "B T G 2"]) -> Float[Tensor, "B F"]:
        """The shares of all pairs of frames, from `optical_flow`."""
        return speed_histograms(x, self.grid).flatten(1)


class CombinedProbe(nn.Module):
    """Several cues: the weighted sum of other probes' logits (late fusion).

    Args:
        parts: what each part reads (`block_read`) and its probe.
        weights: weight of each part's logits.

    >>> parts = [(-1, LinearProbe(width=16, num_classes=5)), (3, MotionProbe(width=16, num_classes=5))]
    >>> probe = CombinedProbe(parts, weights=[0.5, 0.7])
    >>> probe({-1: torch.zeros(2, 8, 16), 3: torch.zeros(2, 8, 49, 16)}).shape
    torch.Size([2, 5])
    """

    def __init__(self, parts: Sequence[tuple[int, Probe]], weights: Sequence[float]) -> None:
        super().__init__()
        self.blocks = tuple(block for block, _ in parts)
        self.parts = nn.ModuleList(probe for _, probe in parts)
        self.weights = tuple(weights)

    def forward(self, x: Mapping[int, Tensor]) -> Float[Tensor, "B C"]:
        """Logits from what each part reads: tokens by block, or see `block_read`."""
        logits = [part(x[block]) for block, part in zip(self.blocks, self.parts, strict=True)]
        return torch.stack([weight * own for weight, own in zip(self.weights, logits, strict=True)]).sum(dim=0)


class AttentiveProbe(Probe):
    """Cross-attention of a learned query over all patches of all frames, with positions in time and space.

    It follows V-JEPA 2 (arXiv 2506.09985) and STEP (arXiv 2503.24298). STEP shows that an attentive probe needs
    positions in time to recognise order.

    Args:
        width: D.
        num_classes: C.
        num_frames: T.
        grid: rows and columns to which patches are averaged.
        num_heads: attention heads; must divide D.
        dropout: dropout probability of the attention's output, 0..1.

    >>> probe = AttentiveProbe(width=16, num_classes=5, num_frames=8)
    >>> probe.attention(torch.zeros(2, 8, 49, 16)).shape
    torch.Size([2, 8, 49])
    """

    def __init__(
        self, *, width: int, num_classes: int, num_frames: int, grid: int = 7, num_heads: int = 4, dropout: float = 0.5
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
        tokens = self.norm(average_to_grid(coarse_patches(x), self.grid)) + self.times + self.places
        keys, values = self.key_value(tokens.flatten(1, 2)).chunk(2, dim=-1)  # (B, T G, D)
        return tuple(part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in (keys, values))

    def attention(self, x: Float[Tensor, "B T N D"]) -> Float[Tensor, "B T G"]:
        """Attention weight of each place of each frame: mean over the heads; the weights of a clip sum to 1."""
        keys, _ = self._keys_and_values(x)  # (B, heads, T G, D / heads)
        scores = torch.einsum("hd,bhnd->bhn", self.query, keys) * keys.shape[-1] ** -0.5
        return scores.softmax(dim=-1).mean(dim=1).unflatten(-1, (x.shape[1], -1))

    def features(self, x: Float[Tensor, "B T N D"]) -> Float[Tensor, "B D"]:
        """The values, weighted by attention."""
        keys, values = self._keys_and_values(x)
        query = self.query[None, :, None].expand(x.shape[0], -1, -1, -1)  # (B, heads, 1, D / heads)
        return self.dropout(F.scaled_dot_product_attention(query, keys, values).flatten(1))


def build_probe(config: ProbeConfig, *, width: int, num_frames: int, num_classes: int) -> Probe | CombinedProbe:
    """Build the probe of the settings; it is not fitted yet.

    Args:
        config: settings of the probe.
        width: D, channels of the frozen tokens.
        num_frames: T, frames of a clip.
        num_classes: C.

    Raises:
        ValueError: the settings name no probe, or the probe compares frames and `num_frames` is 1.
    """
    singles = [build_single(own, width=width, num_frames=num_frames, num_classes=num_classes) for own in config.singles]
    return join_parts(config, singles)


def join_parts(config: ProbeConfig, singles: Sequence[Probe]) -> Probe | CombinedProbe:
    """Return the combined probe of the parts of its settings, or the only one."""
    if config.name != "combined":
        return singles[0]
    blocks = [block_read(own) for own in config.singles]
    return CombinedProbe([*zip(blocks, singles, strict=True)], [part.weight for part in config.parts])


def build_single(config: ProbeConfig, *, width: int, num_frames: int, num_classes: int) -> Probe:
    """Build a probe that is not a combined one; see `build_probe`."""
    if config.name == "linear":
        return LinearProbe(width=width, num_classes=num_classes)
    if num_frames < 2:
        raise ValueError(f"data.num_frames = {num_frames}: the probe {config.name} compares frames. Use 2 or more.")
    if config.name == "motion":
        return MotionProbe(width=width, num_classes=num_classes, grid=config.grid)
    if config.name == "correlation":
        return CorrelationProbe(num_classes=num_classes, num_frames=num_frames, grid=config.grid)
    if config.name == "flow":
        return FlowProbe(num_classes=num_classes, num_frames=num_frames, grid=config.grid)
    if config.name == "speed":
        return SpeedProbe(num_classes=num_classes, num_frames=num_frames, grid=config.grid)
    if config.name == "space-time":
        return SpaceTimeProbe(
            width=width, num_classes=num_classes, num_frames=num_frames, grid=config.grid, channels=config.channels
        )
    if config.name == "attentive":
        return AttentiveProbe(width=width, num_classes=num_classes, num_frames=num_frames, grid=config.grid)
    raise ValueError(f"probe.name = {config.name!r} names no probe.")
