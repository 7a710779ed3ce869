"""A model without a side network: a frozen backbone and a probe on its tokens."""

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from side4video.config import RunConfig
from side4video.config.probe import FLOW_BLOCK, block_read
from side4video.models.backbones.loading import BlockTokens, FrozenBackbone
from side4video.models.heads import ClassificationHead
from side4video.models.optical_flow import clip_flow
from side4video.models.probes import CombinedProbe, Probe, build_probe
from side4video.models.side.side_network import SideNetwork
from side4video.models.video_model import VideoModel, build_backbone


class ProbeHead(ClassificationHead):
    """A probe as the head of a `VideoModel`.

    >>> from side4video.models.probes import LinearProbe
    >>> ProbeHead(LinearProbe(width=16, num_classes=5))(torch.zeros(2, 8, 16)).shape
    torch.Size([2, 5])
    """

    def __init__(self, probe: Probe | CombinedProbe) -> None:
        nn.Module.__init__(self)
        self.classifier = probe
        self.probe = None  # this is not a fused head

    def forward(self, x: Tensor | Mapping[int, Tensor], pooled: Tensor | None = None) -> Float[Tensor, "B C"]:  # noqa: ARG002
        """Logits from the tokens that the probe reads."""
        return self.classifier(x)


class ProbeModel(VideoModel):
    """Classifies clips with a probe on the frozen tokens.

    Args:
        backbone: the frozen image model.
        probe: the probe; fit it, or load its weights, later.
        block: backbone block whose patches the probe reads; -1: the pooled summary of the last block; `FLOW_BLOCK`:
            optical flow of the frames. A combined probe has its own blocks.
        num_frames: T of all clips, if the probe compares frames; None: any.

    Raises:
        ValueError: the backbone has no such block.

    >>> from side4video.models.backbones.loading import load_backbone
    >>> from side4video.models.probes import LinearProbe
    >>> backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=32, model_args={"depth": 2})
    >>> model = ProbeModel(backbone=backbone, probe=LinearProbe(width=192, num_classes=5), block=-1)
    >>> model(torch.zeros(2, 8, 3, 32, 32)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self, *, backbone: FrozenBackbone, probe: Probe | CombinedProbe, block: int, num_frames: int | None = None
    ) -> None:
        self.probe_blocks = probe.blocks if isinstance(probe, CombinedProbe) else (block,)
        for own in self.probe_blocks:
            if not FLOW_BLOCK <= own < backbone.num_blocks:
                raise ValueError(
                    f"probe.block = {own}, but {backbone.name} has {backbone.num_blocks} blocks, from 0 on."
                )
        no_side = SideNetwork(
            backbone_width=backbone.width,
            num_patches=backbone.num_patches,
            patch_size=backbone.patch_size,
            taps=(),
            width=64,
            stem=False,
            attention=False,
        )
        super().__init__(backbone=backbone, side=no_side, head=ProbeHead(probe))
        self.num_frames = num_frames
        last = backbone.num_blocks - 1
        self.read_blocks = tuple(sorted({last if own == -1 else own for own in self.probe_blocks if own != FLOW_BLOCK}))

    def classify(
        self,
        frames: Float[Tensor, "B T 3 H W"],
        blocks: Iterable[BlockTokens],
        pooled: Float[Tensor, "B T D"] | None = None,
        flow: Float[Tensor, "B T G 2"] | None = None,
    ) -> Float[Tensor, "B C"]:
        """Logits of clips whose frozen tokens are given; see `VideoModel.classify`.

        `flow` is the result of `clip_flow`, by default computed if the probe needs it.

        Raises:
            ValueError: clips of another number of frames than those that the probe was fitted on.
        """
        if self.num_frames is not None and frames.shape[1] != self.num_frames:
            raise ValueError(
                f"This probe compares frames and was fitted on clips of {self.num_frames}; these have "
                f"{frames.shape[1]}. Use data.num_frames {self.num_frames}."
            )
        read: dict[int, Tensor] = {} if pooled is None else {-1: pooled}
        for tokens in blocks:
            read[tokens.block] = tokens.patches
            if -1 in self.probe_blocks and -1 not in read and tokens.block == self.backbone.num_blocks - 1:
                read[-1] = self.backbone.pool(tokens)
        if FLOW_BLOCK in self.probe_blocks:
            read[FLOW_BLOCK] = clip_flow(frames, self.backbone) if flow is None else flow
        if missing := [block for block in self.probe_blocks if block not in read]:
            raise ValueError(f"The probe reads backbone blocks {missing}, which were not given.")
        return self.head(read if isinstance(self.head.classifier, CombinedProbe) else read[self.probe_blocks[0]])


def build_probe_model(config: RunConfig, *, num_classes: int, device: torch.device) -> ProbeModel:
    """Load the backbone and add the probe of `config.probe`, which is not fitted yet.

    Raises:
        ValueError: the settings do not suit the backbone.
    """
    backbone = build_backbone(config, device=device)
    frames, compares = config.data.num_frames, any(one.name != "linear" for one in config.probe.singles)
    probe = build_probe(config.probe, width=backbone.width, num_frames=frames, num_classes=num_classes)
    block = block_read(config.probe)
    model = ProbeModel(backbone=backbone, probe=probe, block=block, num_frames=frames if compares else None)
    return model.to(device)
