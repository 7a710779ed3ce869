"""The image model that every method shares: run with gradient through it, or frozen and read block by block."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from side4video.models.backbones.loading import FrozenBackbone


def embed(vit: nn.Module, images: Tensor) -> Tensor:
    """Images (B*T, 3, H, W) to the tokens that the first block reads, (B*T, 1 + N, D), class token first."""
    return vit.norm_pre(vit._pos_embed(vit.patch_embed(images)))


def frozen_blocks(backbone: FrozenBackbone, clips: Tensor, blocks: Iterable[int] | None = None) -> Iterator[Tensor]:
    """Tokens (B*T, 1 + N, D) after some blocks, by default all, one after the other; nothing is kept.

    This is `FrozenBackbone.iterate`, with its chunks of frames, but for the class token, which is not split off:
    putting it back would cost the methods that read all tokens at once a copy.
    """
    wanted = set(range(backbone.num_blocks) if blocks is None else blocks)
    # Entered anew for every block: a context that spans a yield would leak to the caller.
    with torch.no_grad(), torch.autocast(clips.device.type, enabled=False):
        x, ropes = backbone._embed(clips.flatten(0, 1))
    handed_over = False
    for number in range(max(wanted) + 1):
        with torch.no_grad(), torch.autocast(clips.device.type, enabled=False):
            x = backbone._run_block(x, number, ropes, in_place=not handed_over)
        handed_over = number in wanted
        if handed_over:
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
