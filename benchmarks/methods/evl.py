"""EVL (Lin et al. 2022, arXiv 2208.03550): a transformer decoder reads the frozen blocks with one learned query.

Each decoder layer reads one of the last blocks, as soon as that block has run: its tokens, with a convolution over
time, positions in time and the attention between neighbouring frames added. Nothing of other blocks is kept.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from methods.layers import CrossAttention, quick_mlp
from methods.trunk import frozen_blocks
from side4video.models.backbones.loading import FrozenBackbone

DROPOUT = 0.5


class NeighbourAttention(nn.Module):
    """What a patch attends to in the frame before and after, as a sum of one learned vector per relative offset.

    Queries and keys are the frozen block's own, averaged over its heads, so that no gradient flows through them.

    Args:
        width: D.
        grid: patches in a column and in a row, equal.
    """

    def __init__(self, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = grid
        self.before = nn.Parameter(torch.zeros((2 * rows - 1) * (2 * columns - 1), width))
        self.after = nn.Parameter(torch.zeros_like(self.before))
        row, column = (
            part.flatten() for part in torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        )
        row = row[None, :] - row[:, None] + rows - 1
        column = column[None, :] - column[:, None] + columns - 1
        self.register_buffer("offset", row * (2 * columns - 1) + column, persistent=False)  # (N, N), query first

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """Frozen queries and keys (B, T, heads, N, D / heads) to (B, T, N, D)."""
        from_before = self._mix(attention_maps(query[:, 1:], key[:, :-1]), self.before)
        from_after = self._mix(attention_maps(query[:, :-1], key[:, 1:]), self.after)
        nothing = from_before.new_zeros(len(query), 1, *from_before.shape[2:])
        return torch.cat([nothing, from_before], 1) + torch.cat([from_after, nothing], 1)

    def _mix(self, maps: Tensor, table: Tensor) -> Tensor:
        vectors = table.to(maps.dtype)[self.offset]  # (N, N, D): as large as a batch's tokens, but freed at once
        mixed = torch.bmm(maps.flatten(0, 1).transpose(0, 1), vectors)  # (N, B * (T - 1), D)
        return mixed.transpose(0, 1).unflatten(0, maps.shape[:2])


@torch.no_grad()
def attention_maps(query: Tensor, key: Tensor) -> Tensor:
    """Softmax of queries against keys (B, T, heads, N, D / heads), averaged over the heads: (B, T, N, N)."""
    scale = query.shape[-1] ** -0.5
    total = None  # head by head: all of them at once would be twelve times the result
    for q, k in zip(query.unbind(2), key.unbind(2), strict=True):
        maps = (q * scale @ k.transpose(-1, -2)).softmax(-1).to(query.dtype)
        total = maps if total is None else total.add_(maps)
    return total.div_(query.shape[2])


class DecoderLayer(nn.Module):
    """The query attends to the frozen tokens of all frames, then an MLP."""

    def __init__(self, width: int, num_heads: int, *, grid: tuple[int, int], num_frames: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, width, 3, padding=1, groups=width)
        self.positions_in_time = nn.Parameter(torch.zeros(num_frames, width))
        self.neighbours = NeighbourAttention(width, grid)
        self.query_norm, self.token_norm, self.mlp_norm = (nn.LayerNorm(width) for _ in range(3))
        self.attention = CrossAttention(width, num_heads)
        self.mlp = quick_mlp(width, dropout=DROPOUT)

    def forward(self, x: Tensor, tokens: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Advance the state (B, 1, D) by the frozen tokens (B, T, 1 + N, D), queries and keys of one block."""
        tokens = tokens + self._convolve(tokens) + self.positions_in_time.to(tokens.dtype).unsqueeze(1)
        tokens = tokens + nn.functional.pad(self.neighbours(query, key), (0, 0, 1, 0))
        memory = self.token_norm(tokens.flatten(1, 2))
        x = x + self.attention(self.query_norm(x), memory)
        return x + self.mlp(self.mlp_norm(x))

    def _convolve(self, tokens: Tensor) -> Tensor:
        in_time = tokens.permute(0, 2, 3, 1).flatten(0, 1)  # (B * (1 + N), D, T)
        return self.convolution(in_time).unflatten(0, (len(tokens), -1)).permute(0, 3, 1, 2)


class EVL(nn.Module):
    """Frozen ViT, decoder and classifier.

    Args:
        backbone: the shared trunk.
        num_classes: C.
        num_frames: T.
        num_layers: decoder layers, each reads one of the last blocks; None: all blocks (Something-Something).
    """

    def __init__(
        self, backbone: FrozenBackbone, *, num_classes: int, num_frames: int, num_layers: int | None = None
    ) -> None:
        super().__init__()
        num_layers = num_layers or backbone.num_blocks
        if num_layers > backbone.num_blocks:
            raise ValueError(f"{num_layers = }: the image model has {backbone.num_blocks} blocks. Use at most as many.")
        self.backbone, width = backbone, backbone.width
        self.num_heads = backbone.model.blocks[0].attn.num_heads
        grid = backbone.model.patch_embed.grid_size
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.layers = nn.ModuleList(
            DecoderLayer(width, self.num_heads, grid=grid, num_frames=num_frames) for _ in range(num_layers)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Dropout(DROPOUT), nn.Linear(width, num_classes))

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, T, 3, H, W) to logits (B, C)."""
        x = self.query.expand(len(clips), -1, -1)
        for layer, features in zip(self.layers, self._read(clips), strict=True):
            x = layer(x, *features)
        return self.head(x.squeeze(1))

    def _read(self, clips: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Of each block read: tokens (B, T, 1 + N, D), queries and keys of its patches (B, T, heads, N, D / heads)."""
        first, found = self.backbone.num_blocks - len(self.layers), []
        width = self.backbone.width

        def keep(_module: nn.Module, _inputs: tuple[Tensor], output: Tensor) -> None:
            found.append(output[:, 1:, : 2 * width])  # queries and keys of the patches of some frames

        with ExitStack() as hooks:
            for block in self.backbone.model.blocks[first:]:
                hooks.enter_context(block.attn.qkv.register_forward_hook(keep))
            for x in frozen_blocks(self.backbone, clips, range(first, self.backbone.num_blocks)):
                parts = torch.cat(found).unflatten(-1, (2, self.num_heads, -1))  # (B * T, N, 2, heads, D / heads)
                found.clear()
                query, key = parts.unflatten(0, clips.shape[:2]).permute(3, 0, 1, 4, 2, 5)
                yield x.unflatten(0, clips.shape[:2]), query, key


build = EVL
