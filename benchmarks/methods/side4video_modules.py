"""Side4Video the usual way: the same model, of PyTorch's ready-made modules, tokens moved to where each wants them.

Convolutions and BatchNorm read (B, d, T, h, w), attention (tokens, B*T, d), the rest channels last; the taps' norms
have their affine parts and keep all tokens. It shows what the arrangement of `side4video.models` is worth.
"""

import torch
from torch import Tensor, nn

from methods.trunk import frozen_blocks
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.side.side_network import resolve_num_heads, resolve_taps


class TemporalConvolution(nn.Module):
    """Three convolutions without activations."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Conv3d(width, width, 1)
        self.depthwise = nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0), groups=width)
        self.project = nn.Conv3d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.depthwise(self.expand(x)))


class SideBlock(nn.Module):
    """Tap, fuse, convolution over time, attention inside frames, MLP."""

    def __init__(self, backbone_width: int, width: int) -> None:
        super().__init__()
        self.tap = nn.Sequential()
        self.tap.norm, self.tap.linear = nn.LayerNorm(backbone_width), nn.Linear(backbone_width, width)
        self.temporal_norm, self.temporal = nn.BatchNorm3d(width), TemporalConvolution(width)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, resolve_num_heads(width, None))
        self.mlp_norm = nn.BatchNorm3d(width)
        self.mlp = nn.Sequential()
        self.mlp.expand, self.mlp.activation = nn.Linear(width, 4 * width), nn.GELU()
        self.mlp.project = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        """Side tokens (B, d, T, h, w) and frozen tokens (B, T, 1 + N, D) to side tokens."""
        read = self.tap(tokens)
        size = x.shape[2:]
        x = 0.5 * x + 0.5 * read[:, :, 1:].permute(0, 3, 1, 2).unflatten(-1, size[1:])
        x = x + self.temporal(self.temporal_norm(x))
        y = x.permute(3, 4, 0, 2, 1).flatten(2, 3).flatten(0, 1) + positions[:, None]  # (N, B*T, d)
        y = self.attention_norm(torch.cat([shift(read[:, :, 0]).flatten(0, 1)[None], y]))
        y, _ = self.attention(y[1:], y, y, need_weights=False)
        x = x + y.unflatten(0, size[1:]).unflatten(2, (len(x), -1)).permute(2, 4, 3, 0, 1)
        return x + self.mlp(self.mlp_norm(x).movedim(1, -1)).movedim(-1, 1)


def shift(c: Tensor) -> Tensor:
    """Class tokens (B, T, d): half of the channels from the next frame, half from the last, zeros at the ends."""
    half = c.shape[-1] // 2
    shifted = torch.zeros_like(c)
    shifted[:, :-1, :half] = c[:, 1:, :half]
    shifted[:, 1:, half:] = c[:, :-1, half:]
    return shifted


class Side4VideoOfModules(nn.Module):
    """Frozen ViT, side network and classifier; pre-norm variant. Parameter names are those of `SideNetwork`."""

    def __init__(
        self,
        backbone: FrozenBackbone,
        *,
        num_classes: int,
        num_frames: int,  # noqa: ARG002 - every method has it; this one takes clips of any length
        width: int,
        taps: str,
    ) -> None:
        super().__init__()
        self.backbone, side = backbone, backbone.patch_size
        self.taps = resolve_taps(taps, backbone.num_blocks)
        self.stem = nn.Conv3d(3, width, (3, side, side), stride=(1, side, side), padding=(1, 0, 0))
        self.stem_norm = nn.BatchNorm3d(width)
        self.positions = nn.Parameter(torch.randn(backbone.num_patches, width) * 0.01)
        self.blocks = nn.ModuleList(SideBlock(backbone.width, width) for _ in self.taps)
        self.norm = nn.BatchNorm3d(width)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, T, 3, H, W) to logits (B, C)."""
        x = self.stem_norm(self.stem(clips.transpose(1, 2)))
        for block, tokens in zip(self.blocks, frozen_blocks(self.backbone, clips, self.taps), strict=True):
            x = block(x, tokens.unflatten(0, clips.shape[:2]), self.positions)
        return self.linear(self.norm(x).mean(dim=(2, 3, 4)))


build = Side4VideoOfModules
