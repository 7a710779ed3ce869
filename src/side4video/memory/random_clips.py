"""Random clips for a training step: pixels, or stored tokens with `data.cache`."""

from dataclasses import dataclass

import torch
from torch import Tensor

from side4video.config import RunConfig
from side4video.models.side.int8_tokens import Int8Tokens, to_int8
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.stored_clips import StoredClips


@dataclass(frozen=True)
class ClipBatch:
    """A batch of clips.

    Attributes:
        clips: the clips that the training loop holds.
        seen: the clips that the model sees: the same, or a copy if they are mixed.
        labels: int64 (B,).

    >>> clips = torch.zeros(2, 4, 3, 32, 32)
    >>> len(ClipBatch(clips, clips, torch.tensor([0, 1])).tensors())
    2
    """

    clips: Tensor | StoredClips
    seen: Tensor | StoredClips
    labels: Tensor

    def tensors(self) -> list[Tensor]:
        """The tensors of the batch, each once."""
        found = [self.labels]
        for clips in (self.clips,) if self.clips is self.seen else (self.clips, self.seen):
            if isinstance(clips, Tensor):
                found.append(clips)
                continue
            found += [part for tokens in clips.blocks.values() for part in (tokens.values, tokens.scales)]
            found += [tensor for tensor in (clips.pooled, clips.pixels) if tensor is not None]
        return found


@dataclass(frozen=True, kw_only=True)
class RandomClips:
    """Draws random clips of the size that the settings and the model need.

    Attributes:
        config: all settings.
        model: the model.
        num_classes: C.
        device: device of the clips.
        copied: the model sees a copy of the clips, as with mixup and cutmix.

    >>> from pathlib import Path
    >>> from side4video.adapters.adapter import load_adapter
    >>> model, adapter = load_adapter(Path("adapter"), device=torch.device("cpu"))
    >>> clips = RandomClips(config=adapter.config, model=model, num_classes=2, device=torch.device("cpu"))
    >>> clips.draw(5).clips.shape
    torch.Size([5, 4, 3, 32, 32])
    """

    config: RunConfig
    model: SideTunedModel
    num_classes: int
    device: torch.device
    copied: bool = False

    def draw(self, clips: int) -> ClipBatch:
        """A batch of `clips` clips on the device."""
        labels = torch.randint(self.num_classes, (clips,), device=self.device)
        if self.config.data.cache is not None:
            stored = self._stored(clips)
            return ClipBatch(stored, stored, labels)
        side = self.model.backbone.image_size
        pixels = torch.randn(clips, self.config.data.num_frames, 3, side, side, device=self.device)
        return ClipBatch(pixels, pixels.clone() if self.copied else pixels, labels)

    def _stored(self, clips: int) -> StoredClips:
        model, frames = self.model, self.config.data.num_frames
        backbone = model.backbone
        shape = (clips, frames, 1 + backbone.num_patches, backbone.width)
        groups = to_int8(torch.zeros(1, backbone.width)).scales.shape[-1]

        def tokens() -> Int8Tokens:
            values = torch.randint(-127, 128, shape, dtype=torch.int8, device=self.device)
            return Int8Tokens(values, torch.rand(*shape[:3], groups, device=self.device).half())

        pooled = self.config.head.fused or bool(self.config.eval.probe)
        pixels = (clips, frames, 3, backbone.image_size, backbone.image_size)
        return StoredClips(
            {block: tokens() for block in model.side.taps},
            torch.randn(clips, frames, backbone.width, device=self.device) if pooled else None,
            None if model.side.stem is None else torch.randint(256, pixels, dtype=torch.uint8, device=self.device),
            backbone.mean,
            backbone.std,
        )
