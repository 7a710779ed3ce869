"""DiST (Qing et al. 2023, arXiv 2309.07911): a light temporal stream and an integration stream next to a frozen ViT.

The temporal stream sees twice as many frames as the ViT. After each block the integration stream takes the frozen
tokens and what the temporal stream found, and gives back to it. Classes are told by their similarity to text features.
"""

import torch
import torch.nn.functional as F
from timm.layers import QuickGELU
from torch import Tensor, nn

from methods.layers import CrossAttention, quick_mlp
from methods.trunk import frozen_blocks
from side4video.models.backbones.loading import FrozenBackbone

INTEGRATION_WIDTH = 384
TEMPORAL_WIDTH = 96
FRAME_RATIO = 2
"""Frames of the temporal stream for each frame of the ViT."""
EMBEDDING_WIDTH = {768: 512, 1024: 768}
"""Width of CLIP's joint embedding, by the width of its ViT."""
LOGIT_SCALE = 100.0


class TemporalNet(nn.Module):
    """Convolution over time, then over space, with a residual; on (B, T, h, w, c)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.in_time = nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0))
        self.in_space = nn.Conv3d(width, width, (1, 3, 3), padding=(0, 1, 1))
        self.activation = QuickGELU()

    def forward(self, t: Tensor) -> Tensor:
        # moved channels are PyTorch's channels_last_3d: convolutions read it without a copy
        y = self.in_space(self.activation(self.in_time(self.norm(t).movedim(-1, 1))))
        return self.activation(t + y.movedim(1, -1))


class IntegrationNet(nn.Module):
    """Sum of an MLP on each token and a bottleneck with a convolution over time; on (B, T, 1 + N, c)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.temporal_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = quick_mlp(width, ratio=1)
        self.down = nn.Conv3d(width, width // 4, 1)
        self.convolution = nn.Conv3d(width // 4, width // 4, (3, 1, 1), padding=(1, 0, 0))
        self.activation = QuickGELU()
        self.up = nn.Conv3d(width // 4, width, 1)

    def forward(self, m: Tensor) -> Tensor:
        m = m.to(self.norm.weight.dtype)  # once: autocast would keep a 32-bit copy for each of the two norms
        y = self.temporal_norm(m).movedim(-1, 1).unsqueeze(-1)  # (B, c, T, 1 + N, 1)
        y = self.up(self.activation(self.convolution(self.down(y))))
        return self.mlp(self.norm(m)) + y.squeeze(-1).movedim(1, -1)


class DiSTLayer(nn.Module):
    """The trained parts for one block of the ViT."""

    def __init__(self, backbone_width: int, *, width: int, temporal_width: int, num_frames: int, last: bool) -> None:
        super().__init__()
        self.last = last
        self.input = nn.Linear(backbone_width, width)
        self.temporal = TemporalNet(temporal_width)
        self.to_temporal = nn.Linear(width, temporal_width)
        kernel = (FRAME_RATIO, 1, 1)
        self.to_integration = nn.Conv3d(temporal_width, width, kernel, stride=kernel)
        self.class_token = nn.Parameter(torch.randn(1, num_frames, 1, width) * 0.02)
        self.integration = IntegrationNet(width)

    def forward(self, t: Tensor, r: Tensor | None, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Temporal (B, 2T, h, w, Ct), integration (B, T, 1 + N, Ci) and frozen (B, T, 1 + N, D) to t', m', r'."""
        t = self.temporal(t)
        m = self.input(tokens)
        m = m if r is None else m + r
        given = self.to_integration(t.movedim(-1, 1)).movedim(1, -1).flatten(2, 3)  # (B, T, N, Ci)
        # joined in the number type of the convolution: torch.cat would make 32 bits of all
        class_token = self.class_token.to(given.dtype).expand(len(t), -1, -1, -1)
        mixed = m + torch.cat([class_token, given], 2)
        if not self.last:  # the temporal stream after the last block is not read
            back = self.to_temporal(m[:, :, 1:]).unflatten(2, t.shape[2:4])
            t = t + back.repeat_interleave(FRAME_RATIO, 1)
        return t, mixed, self.integration(mixed)


class Pooling(nn.Module):
    """A token attends to others, then an MLP; one norm for all that attention reads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(width, max(1, width // 64))
        self.mlp = quick_mlp(width)

    def forward(self, token: Tensor, others: Tensor) -> Tensor:
        others = self.norm(others)
        token = token + self.attention(self.norm(token), others)
        return token + self.mlp(self.mlp_norm(token))


class AdaPooling(nn.Module):
    """A spatial token reads each frame, a temporal one the spatial tokens of a clip."""

    def __init__(self, width: int, num_frames: int) -> None:
        super().__init__()
        self.spatial, self.temporal = Pooling(width), Pooling(width)
        self.positions_in_time = nn.Parameter(torch.randn(num_frames, width) * 0.02)

    def forward(self, s: Tensor, a: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Spatial (B*T, 1, c) and temporal token (B, 1, c), features (B*T, 1 + N, c)."""
        s = self.spatial(s, features)
        return s, self.temporal(a, s.view(len(a), -1, s.shape[-1]) + self.positions_in_time)


class DiST(nn.Module):
    """Frozen ViT, both streams, pooling and cosine classifier.

    Args:
        backbone: the shared trunk.
        num_classes: C.
        num_frames: T, of the ViT; clips have twice as many.
        num_poolings: 2 (Something-Something) or 4 (Kinetics).
        width: channels of the integration stream.
        temporal_width: channels of the temporal stream.
    """

    def __init__(
        self,
        backbone: FrozenBackbone,
        *,
        num_classes: int,
        num_frames: int,
        num_poolings: int = 2,
        width: int = INTEGRATION_WIDTH,
        temporal_width: int = TEMPORAL_WIDTH,
    ) -> None:
        super().__init__()
        self.backbone, side = backbone, backbone.patch_size
        self.stem = nn.Conv3d(3, temporal_width, (5, side, side), stride=(1, side, side), padding=(2, 0, 0))
        last = backbone.num_blocks - 1
        self.layers = nn.ModuleList(
            DiSTLayer(
                backbone.width,
                width=width,
                temporal_width=temporal_width,
                num_frames=num_frames,
                last=number == last,
            )
            for number in range(last + 1)
        )
        self.spatial_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.temporal_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.poolings = nn.ModuleList(AdaPooling(width, num_frames) for _ in range(num_poolings))
        self.project_class_token = nn.Linear(backbone.width, width)
        self.norm = nn.LayerNorm(width)
        embedding = EMBEDDING_WIDTH.get(backbone.width, backbone.width)
        self.project = nn.Parameter(torch.randn(width, embedding) * width**-0.5)
        # random in place of the frozen text features of the class names: equal in size
        self.register_buffer("text", F.normalize(torch.randn(num_classes, embedding), dim=-1))

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, 2T, 3, H, W) to logits (B, C)."""
        t = self.stem(clips.transpose(1, 2)).movedim(1, -1)
        mixed, r, tokens = None, None, None
        thinned = clips[:, ::FRAME_RATIO]
        for layer, x in zip(self.layers, frozen_blocks(self.backbone, thinned), strict=True):
            tokens = x.unflatten(0, thinned.shape[:2])
            t, mixed, r = layer(t, r, tokens)
        features = (r + mixed).flatten(0, 1)
        s = self.spatial_token.expand(len(features), -1, -1)
        a = self.temporal_token.expand(len(clips), -1, -1)
        for pooling in self.poolings:
            s, a = pooling(s, a, features)
        embedding = self.norm(a.squeeze(1) + self.project_class_token(tokens[:, :, 0].mean(1))) @ self.project
        return LOGIT_SCALE * F.normalize(embedding, dim=-1) @ self.text.T


build = DiST
