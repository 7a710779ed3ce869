"""The tokens of a batch of clips after one block of a frozen image model."""

from dataclasses import dataclass

from side4video.shapes import SummaryTokens, Tokens


@dataclass(frozen=True)
class BlockTokens:
    """The tokens of a batch of clips after one block of the backbone.

    Attributes:
        block: index of the block, from 0.
        patches: (B, T, N, D), one token per patch, row by row from the top left.
        summary: (B, T, 1, D), one token per frame: the class token, or the mean of the patches if the model has no
            class token (SigLIP). Register and distillation tokens are dropped.

    >>> import torch
    >>> tokens = BlockTokens(block=11, patches=torch.zeros(2, 8, 196, 768), summary=torch.zeros(2, 8, 1, 768))
    >>> tokens.patches.shape[:2]
    torch.Size([2, 8])
    """

    block: int
    patches: Tokens
    summary: SummaryTokens
