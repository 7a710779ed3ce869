"""Side4Video, this package's own, in each memory mode."""

from torch import nn

from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.heads import ClassificationHead
from side4video.models.side.side_network import SideNetwork, resolve_taps
from side4video.models.video_model import VideoModel


def build(
    backbone: FrozenBackbone,
    *,
    num_classes: int,
    num_frames: int,  # noqa: ARG001 - every method has it; this one takes clips of any length
    width: int,
    taps: str,
    memory: str = "plain",
) -> nn.Module:
    """A side network of `width` channels on "all" or "every-second" block, and a classifier."""
    side = SideNetwork(
        backbone_width=backbone.width,
        num_patches=backbone.num_patches,
        patch_size=backbone.patch_size,
        taps=resolve_taps(taps, backbone.num_blocks),
        width=width,
        memory=memory,
    )
    head = ClassificationHead(width=width, num_classes=num_classes)
    return VideoModel(backbone=backbone, side=side, head=head)
