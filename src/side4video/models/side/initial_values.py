"""Initial values of the paper's CLIP retrieval models, which differ from the values of its recognition models."""

import torch
from torch import nn

from side4video.models.side.motion import TemporalDifference
from side4video.models.side.side_block import FrameAttention, TemporalConvolution
from side4video.models.side.side_network import SideNetwork

RETRIEVAL_STD = 0.02
"""Standard deviation of the weights of linear layers and pointwise convolutions."""


@torch.no_grad()
def init_retrieval_weights(side: SideNetwork, *others: nn.Module) -> None:
    """Draw the initial values of a pre-norm side network for retrieval, from torch's global generator.

    Weights of all linear layers are drawn from N(0, `RETRIEVAL_STD`), also in `others`; their biases are set to 0.
    Exceptions: queries, keys and values are drawn from N(0, 1 / sqrt(d)). The convolutions over time keep their biases,
    and their depth-wise weights are drawn from N(0, 1 / sqrt(d)). Stem, position table, norms and the gates of
    `temporal_difference` do not change.

    Args:
        side: the side network, d channels.
        others: more modules whose linear layers are drawn.

    >>> side = SideNetwork(backbone_width=32, num_patches=4, patch_size=16, taps=[0], width=64)
    >>> init_retrieval_weights(side)
    >>> side.blocks[0].mlp.expand.bias.any().item()
    False
    """
    parts = [part for module in (side, *others) for part in module.modules()]
    convolutions = [part for part in parts if isinstance(part, TemporalConvolution)]
    pointwise = {layer for convolution in convolutions for layer in (convolution.expand, convolution.project)}
    gates = {part.linear for part in parts if isinstance(part, TemporalDifference)}
    for part in parts:
        if isinstance(part, nn.Linear) and part not in gates:
            nn.init.normal_(part.weight, std=RETRIEVAL_STD)
            if part not in pointwise:
                nn.init.zeros_(part.bias)
    for convolution in convolutions:
        nn.init.normal_(convolution.depthwise.weight, std=side.width**-0.5)
    for attention in parts:
        if isinstance(attention, FrameAttention):
            nn.init.normal_(attention.query.weight, std=side.width**-0.5)
            nn.init.normal_(attention.key_value.weight, std=side.width**-0.5)
