"""The recognition model: frozen backbone, side network and classification head."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from side4video.config import RunConfig
from side4video.distributed.processes import launched_processes, local_rank
from side4video.models.backbones.loading import BlockTokens, FrozenBackbone, load_backbone
from side4video.models.heads import ClassificationHead
from side4video.models.side.side_block import SideBlock
from side4video.models.side.side_network import SideNetwork, resolve_taps
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.stored_clips import StoredClips
from side4video.models.text.text_classifier import TextClassifier, embed_frames
from side4video.system.devices import best_kind, is_gpu, num_devices, prefers_bfloat16, supported_dtype


class VideoModel(SideTunedModel):
    """Classifies clips. Only the side network and the head are trained.

    Args:
        backbone: the frozen image model; it stays in eval mode even after `train()`.
        side: the side network.
        head: the classification head; or a module of your own that maps side tokens (B, T, N, d) to logits (B, C).

    >>> from side4video import load_backbone
    >>> backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=32, model_args={"depth": 2})
    >>> side = SideNetwork(backbone_width=192, num_patches=4, patch_size=16, taps=[0, 1], width=64)
    >>> model = VideoModel(backbone=backbone, side=side, head=ClassificationHead(width=64, num_classes=5))
    >>> model(torch.zeros(2, 8, 3, 32, 32)).shape
    torch.Size([2, 5])
    """

    def __init__(self, *, backbone: FrozenBackbone, side: SideNetwork, head: ClassificationHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.side = side
        self.head = head
        self.head_reads_backbone = getattr(head, "probe", None) is not None  # heads of others may have no `probe`
        last = (backbone.num_blocks - 1,) if self.head_reads_backbone else ()
        self.read_blocks = tuple(sorted({*side.taps, *last}))

    def forward(self, clips: Float[Tensor, "B T 3 H W"] | StoredClips) -> Float[Tensor, "B C"]:
        """Logits of normalised clips (B, T, 3, H, W). For stored clips the backbone does not run."""
        if isinstance(clips, StoredClips):
            return self.classify(clips.frames(), clips.iterate(self.backbone.dtype), clips.pooled)
        self.check_clips(clips)
        return self.classify(clips, self.backbone.iterate(clips, self.read_blocks))

    def classify(
        self,
        frames: Float[Tensor, "B T 3 H W"],
        blocks: Iterable[BlockTokens],
        pooled: Float[Tensor, "B T D"] | None = None,
    ) -> Float[Tensor, "B C"]:
        """Logits of clips from their frozen tokens. Gradients reach every input that requires them.

        Args:
            frames: normalised pixels, for the stem; without a stem only B and T are read.
            blocks: tokens of all `read_blocks`, in ascending order.
            pooled: result of `FrozenBackbone.pool` for the last block; by default computed if the head needs it.
        """
        x = self.side.begin(frames)
        for tokens in blocks:
            x = self.side.advance(x, block=tokens.block, patches=tokens.patches, summary=tokens.summary)
            if self.head_reads_backbone and pooled is None and tokens.block == self.backbone.num_blocks - 1:
                pooled = self.backbone.pool(tokens)
        if not self.head_reads_backbone:
            return self.head(x)
        if pooled is not None and isinstance(self.head.probe, TextClassifier):
            pooled = embed_frames(self.backbone, pooled)
        return self.head(x, pooled)

    @property
    def has_side_features(self) -> bool:
        """Whether there is a side network, as opposed to a probe alone."""
        return bool(self.side.taps)

    def features(self, clips: Float[Tensor, "B T 3 H W"]) -> tuple[Float[Tensor, "B F"] | None, Float[Tensor, "B D"]]:
        """Feature vectors of clips: what the head's linear layer reads, and the frozen model's mean over frames.

        The first is None without a side network. The second is the summary token of the last block after the final norm
        (`FrozenBackbone.pool`), averaged over frames. Neither is normalised.
        """
        self.check_clips(clips)
        last = self.backbone.num_blocks - 1
        x = self.side.begin(clips)
        for tokens in self.backbone.iterate(clips, {*self.side.taps, last}):
            x = self.side.advance(x, block=tokens.block, patches=tokens.patches, summary=tokens.summary)
        frozen = self.backbone.pool(tokens).mean(dim=1)
        return (self.head.features(x) if self.has_side_features else None), frozen

    def finetuned_parameters(self) -> list[nn.Parameter]:
        """The text classifier of a fused head that starts from class names."""
        probe = getattr(self.head, "probe", None)
        return list(probe.parameters()) if isinstance(probe, TextClassifier) else []


def build_video_model(
    config: RunConfig, *, num_classes: int, device: torch.device, backbone: FrozenBackbone | None = None
) -> VideoModel:
    """Add a new side network and head, seeded by `config.seed`, to `backbone`; by default it is loaded.

    Raises:
        ValueError: taps, width or weights do not fit the backbone.
    """
    side = config.side
    text_width = None
    if config.head.init == "text":
        from side4video.models.text.text_settings import (
            check_pair,
            text_embed_dim,
        )  # others need no open_clip

        check_pair(config.backbone, config.text)
        text_width = text_embed_dim(config.text.name, dict(config.text.model_args))
    backbone = backbone or build_backbone(config, device=device, projection_width=text_width)
    with seeded_weights(config):
        network = build_side_network(config, backbone)
        head = ClassificationHead(
            width=side.width,
            num_classes=num_classes,
            variant=side.variant,
            dropout=config.head.dropout,
            probe_width=backbone.width if config.head.fused else None,
            text_width=text_width,
            frozen_probe=config.head.frozen_probe,
            grid=config.head.grid,
            pooled_norm=config.head.pooled_norm,
        )
    return VideoModel(backbone=backbone, side=network, head=head).to(device)


def build_backbone(config: RunConfig, *, device: torch.device, projection_width: int | None = None) -> FrozenBackbone:
    """Load the backbone of the settings; see `load_backbone` for the projection."""
    return load_backbone(
        config.backbone.name,
        weights=config.backbone.weights,
        image_size=config.backbone.image_size,
        dtype=backbone_dtype(config.backbone.dtype, device),
        quantise=config.backbone.quantise,
        chunk_frames=config.backbone.chunk_frames,
        model_args=dict(config.backbone.model_args),
        projection_width=projection_width,
        weights_key=config.backbone.weights_key,
        activation=config.backbone.activation,
        position_grid=config.backbone.position_grid,
    )


def build_side_network(config: RunConfig, backbone: FrozenBackbone, *, summary_position: bool = False) -> SideNetwork:
    """Build a new side network for a backbone."""
    side = config.side
    network = SideNetwork(
        backbone_width=backbone.width,
        num_patches=backbone.num_patches,
        patch_size=backbone.patch_size,
        taps=resolve_taps(side.taps, backbone.num_blocks),
        width=side.width,
        num_heads=side.num_heads,
        variant=side.variant,
        stem=side.stem,
        attention=side.attention,
        summary_position=summary_position,
        centred=side.centred,
        patch_grid=side.patch_grid,
        temporal_difference=side.temporal_difference,
        correlation=side.correlation,
        memory=config.train.memory,
    )
    if side.initial_values == "scaled" and side.variant == "post-norm":  # pre-norm blocks always start this way
        for block in network.blocks:
            assert isinstance(block, SideBlock)
            block.init_scaled_weights()
    return network


@contextmanager
def seeded_weights(config: RunConfig) -> Iterator[None]:
    """Seed torch's global generator with the run's seed inside the `with` block, and restore it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        yield


def backbone_dtype(name: str, device: torch.device) -> torch.dtype:
    """Dtype of the frozen part; "auto": bfloat16 on CUDA and XPU, float32 elsewhere (16 bits are slower on CPUs)."""
    if name == "auto":
        name = "bfloat16" if prefers_bfloat16(device) else "float32"
    return supported_dtype(getattr(torch, name), device)


def choose_device(name: str | torch.device) -> torch.device:
    """The device called `name`; "auto": the first that this machine has of CUDA or ROCm, XPU, MPS, CPU.

    Raises:
        ValueError: the name is not a device, or this machine has no such device.
    """
    name = str(name)
    kind = best_kind() if name == "auto" else name
    if kind in {"cuda", "xpu"} and num_devices(kind) and launched_processes() > 1:
        kind = f"{kind}:{local_rank() if num_devices(kind) > 1 else 0}"  # some schedulers show each process one
    try:
        device = torch.device(kind)
    except RuntimeError:
        raise ValueError(f"device = {name!r} is not known. Use auto, cpu, cuda, cuda:1, xpu or mps.") from None
    if is_gpu(device) and (device.index or 0) >= num_devices(device.type):
        raise ValueError(
            f"device = {name!r}: this machine has {num_devices(device.type)} {device.type} devices. Use cpu or auto."
        )
    return device
