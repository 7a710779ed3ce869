"""Linear probe: the frozen image model and a linear classifier on the mean of its class tokens. The floor."""

from torch import Tensor, nn

from methods.trunk import ClassTokenHead, frozen_blocks
from side4video.models.backbones.loading import FrozenBackbone


class LinearProbe(nn.Module):
    """Frozen trunk, trained linear layer."""

    def __init__(self, backbone: FrozenBackbone, *, num_classes: int, num_frames: int) -> None:
        super().__init__()
        self.backbone, self.num_frames = backbone, num_frames
        self.head = ClassTokenHead(backbone.model.norm, backbone.width, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, T, 3, H, W) to logits (B, C)."""
        (x,) = frozen_blocks(self.backbone, clips, [self.backbone.num_blocks - 1])
        return self.head(x, self.num_frames)


build = LinearProbe
