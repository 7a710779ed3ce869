"""The classification head: turns side tokens into logits."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from side4video.models.side.batch_norm import TokenBatchNorm
from side4video.models.side.side_block import Variant
from side4video.models.side.token_grid import average_grid
from side4video.models.text.text_classifier import TextClassifier


class ClassificationHead(nn.Module):
    """BatchNorm (pre-norm variant only), mean over frames and patches or over the cells of a grid, linear.

    A fused head (beyond the paper) adds the logits of a linear probe on the frozen model's summary token. Its side part
    starts at zero, so training starts from the probe's predictions.

    Args:
        width: d, channels of the side tokens.
        num_classes: C.
        variant: variant of the side network.
        dropout: dropout probability of the pooled features, 0..1.
        probe_width: D, channels of the frozen summary token that the fused head reads; None: the head is not fused.
        text_width: E, replaces `probe_width`: the fused head compares image embeddings with class name embeddings.
        frozen_probe: do not train the probe; only the side part of the logits is trained.
        grid: average the side tokens to this number of frames, rows and columns before the linear layer, so that it
            reads positions in time and space (beyond the paper); None: average them to one vector.
        pooled_norm: normalise the pooled side features with another BatchNorm, over clips. Small but consistent
            differences between clips then count as much as large ones (beyond the paper).

    >>> ClassificationHead(width=64, num_classes=5)(torch.zeros(2, 8, 196, 64)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        *,
        width: int,
        num_classes: int,
        variant: Variant = "pre-norm",
        dropout: float = 0.0,
        probe_width: int | None = None,
        text_width: int | None = None,
        frozen_probe: bool = False,
        grid: tuple[int, int, int] | None = None,
        pooled_norm: bool = False,
    ) -> None:
        super().__init__()
        self.grid = grid
        num_features = width * math.prod(grid or (1,))
        self.norm = TokenBatchNorm(width) if variant == "pre-norm" else nn.Identity()
        self.pooled_norm = TokenBatchNorm(num_features) if pooled_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(num_features, num_classes)
        self.probe: nn.Linear | TextClassifier | None = None
        if text_width:
            self.probe = TextClassifier(num_classes=num_classes, embed_dim=text_width)
        elif probe_width:
            self.probe = nn.Linear(probe_width, num_classes)
            nn.init.zeros_(self.probe.weight)
            nn.init.zeros_(self.probe.bias)
        if self.probe is not None:
            self.probe.requires_grad_(not frozen_probe)
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def features(self, x: Float[Tensor, "B T N d"]) -> Float[Tensor, "B F"]:
        """One feature vector per clip: d numbers, or d for each cell of the grid."""
        x = self.norm(x)
        pooled = x.mean(dim=(1, 2)) if self.grid is None else average_grid(x, self.grid).flatten(1)
        return self.pooled_norm(pooled)

    def forward(
        self, x: Float[Tensor, "B T N d"], pooled: Float[Tensor, "B T D"] | None = None
    ) -> Float[Tensor, "B C"]:
        """Logits from the side tokens and, for a fused head, each frame's frozen summary features or embedding."""
        logits = self.linear(self.dropout(self.features(x)))
        if self.probe is None:
            return logits
        if pooled is None:
            raise ValueError("A fused head needs the frozen model's pooled features: pooled=backbone.pool(tokens).")
        if isinstance(self.probe, TextClassifier):
            return logits + self.probe(pooled)
        return logits + self.probe(self.dropout(pooled.mean(dim=1).to(self.probe.weight.dtype)))

    @property
    def has_unset_probe(self) -> bool:
        """Whether this is a fused head whose probe or classes are not set yet."""
        if self.probe is None:
            return False
        start = self.probe.classes if isinstance(self.probe, TextClassifier) else self.probe.weight
        return not bool(start.any())

    @torch.no_grad()
    def load_probe(self, weight: Float[Tensor, "C D"], bias: Float[Tensor, " C"]) -> None:
        """Copy the weights of a fitted linear probe into the fused head."""
        if not isinstance(self.probe, nn.Linear):
            raise ValueError("This head has no probe. Build it with probe_width, the backbone's width.")
        self.probe.weight.copy_(weight)
        self.probe.bias.copy_(bias)

    def load_classes(self, classes: Float[Tensor, "C E"], logit_scale: Float[Tensor, ""]) -> None:
        """Copy the class name embeddings and the logit scale of a text tower into the fused head."""
        if not isinstance(self.probe, TextClassifier):
            raise ValueError("This head has no text classifier. Build it with text_width.")
        self.probe.load_classes(classes, logit_scale)
