"""The image model that every method shares: run with gradient through it, or frozen and read block by block."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from side4video.models.backbones import FrozenBackbone


def embed(vit: nn.Module, images: Tensor) -> Tensor:
    """Images (B*T, 3, H, W) to the tokens that the first block reads, (B*T, 1 + N, D), class token first."""
    return vit.norm_pre(vit._pos_embed(vit.patch_embed(images)))


def frozen_blocks(backbone: FrozenBackbone, clips: Tensor) -> Iterator[Tensor]:
    """Tokens behind each block, (B*T, 1 + N, D), computed one at a time in the backbone's own dtype; nothing is kept.

    Unlike `FrozenBackbone.iterate` it does not split off the class token: that would cost the methods which read all
    tokens at once a copy.
    """
    for block in (None, *backbone.model.blocks):
        # Entered anew for every block: a context that spans a yield would leak to the caller.
        with torch.no_grad(), torch.autocast(clips.device.type, enabled=False):
            if block is None:
                x = embed(backbone.model, clips.flatten(0, 1).to(backbone.dtype))
                continue
            x = block(x)
        yield x


def run_blocks(blocks: Sequence[Callable[[Tensor], Tensor]], x: Tensor, *, checkpointed: bool) -> Tensor:
    """One block after the other, with gradient; checkpointed: only their inputs are kept, the rest is run again."""
    for block in blocks:
        if checkpointed and torch.is_grad_enabled():
            # Blocks draw no random numbers themselves, see `aim.py`, so no generator state has to be kept.
            x = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False)
        else:
            x = block(x)
    return x


class ClassTokenHead(nn.Module):
    """Class token of each frame, mean over the frames, the image model's final norm, dropout, linear classifier.

    Args:
        norm: of the image model; frozen or trained, as the method wants it.
        width: D.
        num_classes: C.
        dropout: probability.
    """

    def __init__(self, norm: nn.Module, width: int, num_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = norm
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """Tokens (B*T, 1 + N, D) to logits (B, C)."""
        pooled = x[:, 0].unflatten(0, (-1, num_frames)).mean(1)
        return self.linear(self.dropout(self.norm(pooled)))
