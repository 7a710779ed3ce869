"""Full fine-tuning: the image model on every frame, class tokens averaged, everything trained in float32."""

import copy

import torch
from torch import Tensor, nn

from methods.trunk import ClassTokenHead, embed, run_blocks
from side4video.models.backbones.loading import FrozenBackbone


class FullFineTuning(nn.Module):
    """A trained copy of the trunk and a classifier.

    Args:
        backbone: copied, so that the shared one stays unchanged.
        num_classes: C.
        num_frames: T.
        checkpointed: keep only what each block reads and run it again in the backward pass.
    """

    def __init__(
        self, backbone: FrozenBackbone, *, num_classes: int, num_frames: int, checkpointed: bool = False
    ) -> None:
        super().__init__()
        self.num_frames, self.checkpointed = num_frames, checkpointed
        self.vit = copy.deepcopy(backbone.model).to(torch.float32).requires_grad_(True)
        self.head = ClassTokenHead(self.vit.norm, backbone.width, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, T, 3, H, W) to logits (B, C)."""
        x = run_blocks(self.vit.blocks, embed(self.vit, clips.flatten(0, 1)), checkpointed=self.checkpointed)
        return self.head(x, self.num_frames)


build = FullFineTuning
