"""A classifier that compares image embeddings with one embedding of each class, as CLIP classifies without training."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from side4video.models.backbones.autocast import without_autocast
from side4video.models.backbones.loading import FrozenBackbone


class TextClassifier(nn.Module):
    """Logits from the cosine of a video and of each class (arXiv 2103.00020, section 3.1.2).

    A video is the mean of its frames' embeddings, each of unit length before and all of it after. With one frame these
    are CLIP's own zero-shot logits.

    Args:
        num_classes: C.
        embed_dim: E, of the space that images and sentences share.

    Attributes:
        classes: (C, E), one embedding for each class; zeros until `load_classes`.
        logit_scale: natural logarithm of what cosines are multiplied with; 100 until `load_classes`.
    """

    def __init__(self, *, num_classes: int, embed_dim: int) -> None:
        super().__init__()
        self.classes = nn.Parameter(torch.zeros(num_classes, embed_dim))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(100.0)))

    def forward(self, frames: Float[Tensor, "B T E"]) -> Float[Tensor, "B C"]:
        """Logits of videos, from the embeddings of their frames."""
        videos = F.normalize(F.normalize(frames.float(), dim=-1).mean(dim=1), dim=-1)
        return self.logit_scale.exp() * videos.to(self.classes.dtype) @ F.normalize(self.classes, dim=-1).T

    @torch.no_grad()
    def load_classes(self, classes: Float[Tensor, "C E"], logit_scale: Float[Tensor, ""]) -> None:
        """Take over what a text tower says of the classes, and its logit scale."""
        self.classes.copy_(classes)
        self.logit_scale.copy_(logit_scale)


@torch.no_grad()
def embed_frames(backbone: FrozenBackbone, pooled: Float[Tensor, "B T D"]) -> Float[Tensor, "B T E"]:
    """Image embeddings of frames, not normalised, from what the backbone's own final norm made of its summary.

    Raises:
        ValueError: the backbone was loaded without its projection.
    """
    if backbone.projection is None:
        raise ValueError(f"{backbone.name} shares no space with texts as it is loaded. Give projection_width.")
    with without_autocast(pooled.device.type):
        return backbone.projection(pooled.to(backbone.dtype))


class ZeroShotModel(nn.Module):
    """Clips in, logits out, and nothing trained: the frozen image model beside sentences about the classes.

    Args:
        backbone: loaded with its projection.
        classifier: of the same space.
    """

    def __init__(self, *, backbone: FrozenBackbone, classifier: TextClassifier) -> None:
        super().__init__()
        self.backbone, self.classifier = backbone, classifier

    def forward(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B C"]:
        """Logits of normalised clips."""
        (tokens,) = self.backbone.iterate(clips, [self.backbone.num_blocks - 1])
        return self.classifier(embed_frames(self.backbone, self.backbone.pool(tokens)))
