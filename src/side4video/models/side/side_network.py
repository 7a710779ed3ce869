"""The side network: a stem that reads the pixels and one side block per tapped block of the frozen backbone."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from side4video.models.side.batch_norm import TokenBatchNorm
from side4video.models.side.side_block import SideBlock, Variant, centre_in_time
from side4video.models.side.taps import Memory
from side4video.models.side.token_grid import average_patches

HEAD_WIDTH = 64
"""Default number of channels per attention head."""


def resolve_taps(taps: str | Sequence[int], num_blocks: int) -> tuple[int, ...]:
    """Return the 0-based numbers of the backbone blocks whose output the side network reads.

    Args:
        taps: "all" blocks (the paper's full models), "every-second" (1, 3, 5, ...: its light models and ViT-E/14), or
            block numbers in ascending order; negative ones count from the end.
        num_blocks: number of blocks of the backbone.

    Raises:
        ValueError: `taps` is unknown, empty, out of range or not in ascending order.

    >>> resolve_taps("every-second", 6), resolve_taps([0, -1], 6)
    ((1, 3, 5), (0, 5))
    """
    if taps == "all":
        return tuple(range(num_blocks))
    if taps == "every-second":
        return tuple(range(1, num_blocks, 2))
    if isinstance(taps, str):
        raise ValueError(f"{taps = } is not known. Use 'all', 'every-second' or a list of block numbers.")
    if any(not -num_blocks <= tap < num_blocks for tap in taps):
        raise ValueError(f"{taps = } must be in -{num_blocks}..{num_blocks - 1}: the backbone has {num_blocks} blocks.")
    resolved = tuple(tap % num_blocks for tap in taps)
    if not resolved or list(resolved) != sorted(set(resolved)):
        raise ValueError(f"{taps = } must be a non-empty list of different blocks in ascending order.")
    return resolved


def resolve_num_heads(width: int, num_heads: int | None) -> int:
    """Number of attention heads: `num_heads`, or by default one per 64 channels, at least one.

    Raises:
        ValueError: the width is odd or not divisible by the heads.

    >>> resolve_num_heads(320, None)
    5
    """
    heads = num_heads or max(1, width // HEAD_WIDTH)
    if width < 2 or width % 2 or width % heads:
        remedy = f"Use a multiple of {2 * heads}, or set num_heads to a divisor of {width}."
        raise ValueError(f"{width = } must be even and divisible by its {heads} attention heads. {remedy}")
    return heads


class SideNetwork(nn.Module):
    """The trained part that turns frozen image tokens into spatial-temporal tokens (arXiv 2311.15769, figure 2).

    Args:
        backbone_width: D, channels of the frozen tokens.
        num_patches: N, patches per frame.
        patch_size: p, pixels; the stem divides frames into the same patches as the backbone.
        taps: 0-based numbers of the tapped backbone blocks, ascending; see `resolve_taps`.
        width: d, channels; even and divisible by the heads.
        num_heads: attention heads; None: one per 64 channels.
        variant: "pre-norm" (the paper's CLIP models) or "post-norm" (its ViT-E/14).
        stem: False removes the stem: the side tokens start at zero and depend only on the frozen tokens.
        attention: False removes the attention of every block and the position table.
        summary_position: add a first row for the summary token to the position table, as in the paper's CLIP
            retrieval models.
        centred: subtract the mean over the clip's frames from the outputs of stem and taps, so that the network reads
            changes instead of appearance; use it with a fused head.
        patch_grid: rows and columns to which patches are averaged first; None: all patches.
        temporal_difference, correlation: options of each block that detect motion, see `SideBlock`.
        memory: "plain", "exact" or "tight": what training stores for the backward pass, see `SideBlock`. It does not
            change weights or outputs.

    All options from `stem` on, except `summary_position`, go beyond the paper. docs/background/few-clips.md and
    docs/background/memory.md explain when they help.

    Raises:
        ValueError: the width is odd or not divisible by the heads, or `patch_grid` is finer than the patches.

    >>> side = SideNetwork(backbone_width=768, num_patches=196, patch_size=16, taps=range(12), width=320)
    >>> sum(parameter.numel() for parameter in side.parameters()) // 10**6  # million trained parameters
    21
    """

    def __init__(
        self,
        *,
        backbone_width: int,
        num_patches: int,
        patch_size: int,
        taps: Sequence[int],
        width: int = 320,
        num_heads: int | None = None,
        variant: Variant = "pre-norm",
        stem: bool = True,
        attention: bool = True,
        summary_position: bool = False,
        centred: bool = False,
        patch_grid: int | None = None,
        temporal_difference: bool = False,
        correlation: int = 0,
        memory: Memory = "plain",
    ) -> None:
        super().__init__()
        heads = resolve_num_heads(width, num_heads)
        if patch_grid is not None and patch_grid**2 > num_patches:
            raise ValueError(
                f"{patch_grid = } is finer than the backbone's patches ({num_patches} per frame). Use a smaller number."
            )
        self.width = width
        self.patch_grid = patch_grid
        self.num_patches = num_patches = patch_grid**2 if patch_grid else num_patches
        self.taps = tuple(taps)
        self.centred = centred
        kernel, stride = (3, patch_size, patch_size), (1, patch_size, patch_size)
        self.stem = nn.Conv3d(3, width, kernel, stride, padding=(1, 0, 0)) if stem else None
        self.stem_norm = TokenBatchNorm(width) if stem else None
        scale = 0.01 if variant == "pre-norm" else 0.02
        rows = num_patches + summary_position
        self.positions = nn.Parameter(torch.randn(rows, width) * scale) if attention else None
        self.blocks = nn.ModuleList(
            SideBlock(
                backbone_width=backbone_width,
                width=width,
                num_heads=heads,
                variant=variant,
                attention=attention,
                centred=centred,
                temporal_difference=temporal_difference,
                correlation=correlation,
                memory=memory,
            )
            for _ in self.taps
        )

    def set_memory(self, memory: Memory) -> None:
        """Change what training stores for the backward pass, see `SideBlock`."""
        for block in self.blocks:
            assert isinstance(block, SideBlock)
            block.set_memory(memory)

    def begin(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B T N d"]:
        """Compute the first side tokens from the pixels; without a stem they are zeros."""
        if self.stem is None or self.stem_norm is None:
            return clips.new_zeros(*clips.shape[:2], self.num_patches, self.width)
        x = self.stem(clips.transpose(1, 2))  # (B, d, T, H / p, W / p)
        x = self.coarsen(self.stem_norm(x.flatten(3).permute(0, 2, 3, 1)))
        return centre_in_time(x) if self.centred else x

    def advance(
        self,
        x: Float[Tensor, "B T N d"],
        *,
        block: int,
        patches: Float[Tensor, "B T N D"],
        summary: Float[Tensor, "B T 1 D"],
    ) -> Float[Tensor, "B T N d"]:
        """Run the side block after backbone block `block`; if that block is not tapped, return `x` unchanged."""
        if block not in self.taps:
            return x
        return self.blocks[self.taps.index(block)](x, self.coarsen(patches), summary, self.positions)

    def coarsen(self, patches: Float[Tensor, "B T N D"]) -> Float[Tensor, "B T M D"]:
        """Average patches to `patch_grid`; patches already averaged, such as cached ones, do not change."""
        return patches if patches.shape[2] == self.num_patches else average_patches(patches, self.num_patches)
