"""The contrastive loss of text-video retrieval, over the batch of all processes, whole or in micro-batches."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

MAX_LOGIT_SCALE = math.log(100)
"""CLIP's bound on the natural logarithm of what similarities are multiplied with (arXiv 2103.00020, section 2.5)."""


def contrastive_loss(similarity: Float[Tensor, "B B"], logit_scale: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Mean of the text-to-video and video-to-text cross-entropy; caption i belongs to video i and to no other."""
    logits = logit_scale.clamp(max=MAX_LOGIT_SCALE).exp() * similarity
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
