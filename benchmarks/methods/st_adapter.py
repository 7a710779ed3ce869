"""ST-Adapter (Pan et al. 2022, arXiv 2206.13559): bottlenecks with a convolution over time inside a frozen ViT.

An adapter stands on the residual stream before the MLP of each block ("12x384"), and in the larger form before the
attention too ("24x384"), so that gradients cross the whole image model.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.trunk import ClassTokenHead, embed, run_blocks
from side4video.models.backbones.loading import FrozenBackbone

ADAPTER_WIDTH = 384
DROPOUT = 0.5


class Adapter(nn.Module):
    """Linear, depth-wise convolution over three frames, linear, on patches only; starts as the identity."""

    def __init__(self, width: int, inner: int, *, grid: tuple[int, int], num_frames: int) -> None:
        super().__init__()
        self.grid, self.num_frames = grid, num_frames
        self.down = nn.Linear(width, inner)
        self.convolution = nn.Conv3d(inner, inner, (3, 1, 1), padding=(1, 0, 0), groups=inner)
        self.up = nn.Linear(inner, width)
        for bias in (self.down.bias, self.up.bias, self.convolution.bias, self.convolution.weight):
            nn.init.zeros_(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Add the adapter's output to the patches of (B*T, 1 + N, D); the class token passes."""
        y = self.down(x[:, 1:])
        y = y.unflatten(1, self.grid).unflatten(0, (-1, self.num_frames)).permute(0, 4, 1, 2, 3)  # (B, a, T, h, w)
        with torch.backends.cudnn.flags(enabled=False):  # cuDNN is slow with depth-wise convolutions in 3-D
            y = self.convolution(y)
        y = self.up(y.permute(0, 2, 3, 4, 1).flatten(2, 3).flatten(0, 1))
        return x + F.pad(y, (0, 0, 1, 0))


class AdaptedBlock(nn.Module):
    """A frozen block of the ViT with one or two adapters."""

    def __init__(self, block: nn.Module, before_mlp: Adapter, before_attention: Adapter | None) -> None:
        super().__init__()
        self.block, self.before_mlp = block, before_mlp
        self.before_attention = before_attention or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.before_attention(x)
        x = self.before_mlp(x + self.block.attn(self.block.norm1(x)))
        return x + self.block.mlp(self.block.norm2(x))


class STAdapter(nn.Module):
    """Frozen ViT with adapters, and a classifier.

    Args:
        backbone: the shared trunk.
        num_classes: C.
        num_frames: T.
        per_block: adapters in each block, 1 or 2.
        width: channels inside an adapter.
        checkpointed: keep only what each block reads and run it again in the backward pass.
    """

    def __init__(
        self,
        backbone: FrozenBackbone,
        *,
        num_classes: int,
        num_frames: int,
        per_block: int = 1,
        width: int = ADAPTER_WIDTH,
        checkpointed: bool = False,
    ) -> None:
        super().__init__()
        self.vit, self.num_frames, self.checkpointed = backbone.model, num_frames, checkpointed

        def adapter() -> Adapter:
            return Adapter(backbone.width, width, grid=self.vit.patch_embed.grid_size, num_frames=num_frames)

        self.blocks = nn.ModuleList(
            AdaptedBlock(block, adapter(), adapter() if per_block == 2 else None) for block in self.vit.blocks
        )
        self.head = ClassTokenHead(self.vit.norm, backbone.width, num_classes, dropout=DROPOUT)
        nn.init.normal_(self.head.linear.weight, std=0.02)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, T, 3, H, W) to logits (B, C)."""
        x = run_blocks(self.blocks, embed(self.vit, clips.flatten(0, 1)), checkpointed=self.checkpointed)
        return self.head(x, self.num_frames)


build = STAdapter
