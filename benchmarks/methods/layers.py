"""Layers that several methods have in common."""

import torch.nn.functional as F
from timm.layers import QuickGELU
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """Multi-head attention of queries (B, Q, d) to memory (B, K, d), with biases and an output projection."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, width)

    def forward(self, query: Tensor, memory: Tensor) -> Tensor:
        """Mixed values, (B, Q, d)."""
        parts = (self.query(query), *self.key_value(memory).chunk(2, dim=-1))
        heads = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        return self.project(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


def quick_mlp(width: int, *, ratio: int = 4, dropout: float = 0.0) -> nn.Sequential:
    """Linear, QuickGELU, dropout, linear."""
    return nn.Sequential(
        nn.Linear(width, ratio * width), QuickGELU(), nn.Dropout(dropout), nn.Linear(ratio * width, width)
    )
