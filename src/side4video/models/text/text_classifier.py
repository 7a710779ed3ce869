"""A classifier that compares image embeddings with one embedding per class, as CLIP's zero-shot classifier does."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from side4video.models.backbones.autocast import without_autocast
from side4video.models.backbones.loading import FrozenBackbone


class TextClassifier(nn.Module):
    """Logits from the cosine similarity of a video and each class (arXiv 2103.00020, section 3.1.2).

    The embedding of a video is the normalised mean of the normalised embeddings of its frames. With one frame, the
    logits are CLIP's own zero-shot logits.

    Args:
        num_classes: C.
        embed_dim: E, width of the space shared by images and texts.

    Attributes:
        classes: (C, E), one embedding per class; zeros until `load_classes`.
        logit_scale: natural logarithm of the factor on the cosines; ln 100 until `load_classes`.
        logit_bias: what is added to every logit, as in models of the sigmoid loss; 0 until `load_classes`. It is not
            saved, because it changes no probability of a class.

    >>> classifier = TextClassifier(num_classes=2, embed_dim=3)
    >>> classifier.load_classes(torch.eye(3)[:2], logit_scale=torch.tensor(0.0))
    >>> classifier(torch.tensor([[[0.0, 2.0, 0.0], [0.0, 1.0, 0.0]]])).tolist()  # one video of two frames
    [[0.0, 1.0]]
    """

    def __init__(self, *, num_classes: int, embed_dim: int) -> None:
        super().__init__()
        self.classes = nn.Parameter(torch.zeros(num_classes, embed_dim))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(100.0)))
        self.logit_bias = 0.0

    def forward(self, frames: Float[Tensor, "B T E"]) -> Float[Tensor, "B C"]:
        """Logits of videos from the embeddings of their frames."""
        videos = F.normalize(F.normalize(frames.float(), dim=-1).mean(dim=1), dim=-1)
        cosines = videos.to(self.classes.dtype) @ F.normalize(self.classes, dim=-1).T
        return self.logit_scale.exp() * cosines + self.logit_bias

    @torch.no_grad()
    def load_classes(
        self,
        classes: Float[Tensor, "C E"],
        logit_scale: Float[Tensor, ""],
        logit_bias: Float[Tensor, ""] | None = None,
    ) -> None:
        """Set the class embeddings, the logit scale and the bias, as a text tower gives them."""
        self.classes.copy_(classes)
        self.logit_scale.copy_(logit_scale)
        self.logit_bias = 0.0 if logit_bias is None else float(logit_bias)


@torch.no_grad()
def embed_frames(backbone: FrozenBackbone, pooled: Float[Tensor, "B T D"]) -> Float[Tensor, "B T E"]:
    """Project pooled summary tokens to the space shared with texts: image embeddings of frames, not normalised.

    Args:
        backbone: loaded with its projection.
        pooled: result of `FrozenBackbone.pool`.

    Raises:
        ValueError: the backbone was loaded without its projection.
    """
    if backbone.projection is None:
        raise ValueError(f"{backbone.name} was loaded without its projection to the text space. Set projection_width.")
    with without_autocast(pooled.device.type):
        return backbone.projection(pooled.to(backbone.dtype))


class ZeroShotModel(nn.Module):
    """Zero-shot classification of clips: the frozen image model and class embeddings, without training.

    Args:
        backbone: loaded with its projection, E channels wide.
        classifier: class embeddings in the same space.

    >>> from side4video import load_backbone
    >>> backbone = load_backbone(
    ...     "vit_tiny_patch16_224", weights="random", image_size=32, model_args={"depth": 1}, projection_width=64
    ... )
    >>> model = ZeroShotModel(backbone=backbone, classifier=TextClassifier(num_classes=5, embed_dim=64))
    >>> model(torch.zeros(2, 8, 3, 32, 32)).shape
    torch.Size([2, 5])
    """

    def __init__(self, *, backbone: FrozenBackbone, classifier: TextClassifier) -> None:
        super().__init__()
        self.backbone, self.classifier = backbone, classifier

    def forward(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B C"]:
        """Logits of normalised clips."""
        (tokens,) = self.backbone.iterate(clips, [self.backbone.num_blocks - 1])
        return self.classifier(embed_frames(self.backbone, self.backbone.pool(tokens)))
