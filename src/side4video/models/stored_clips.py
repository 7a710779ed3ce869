"""Clips with cached frozen tokens, which a `VideoModel` reads instead of pixels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from side4video.models.backbones.loading import BlockTokens
from side4video.models.side.int8_tokens import Int8Tokens
from side4video.shapes import Clips, FrameEmbeddings


@dataclass(frozen=True)
class StoredClips:
    """The inputs of a side network and its head for B clips of T frames.

    Attributes:
        blocks: number of each tapped backbone block -> its tokens (B, T, 1 + N, D), the summary token first.
        pooled: (B, T, D), float32, result of `FrozenBackbone.pool` for the last block; None: not stored.
        pixels: (B, T, 3, H, W), 0 to 255, for a side network with a stem; None: not stored.
        mean, std: of each channel, to normalise the pixels.

    >>> from side4video.models.side.int8_tokens import to_int8
    >>> tokens = to_int8(torch.zeros(2, 8, 1 + 4, 64))
    >>> clips = StoredClips({3: tokens}, pooled=None, pixels=None, mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> [(part.block, part.patches.shape) for part in clips.iterate(torch.float32)]
    [(3, torch.Size([2, 8, 4, 64]))]
    """

    blocks: Mapping[int, Int8Tokens]
    pooled: FrameEmbeddings | None
    pixels: UInt8[Tensor, "B T 3 H W"] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __len__(self) -> int:
        """B, the number of clips."""
        return len(self._tensors()[0])

    def to(self, device: torch.device, *, non_blocking: bool = False) -> "StoredClips":
        """Copy to another device; the tokens are transferred in 8 bits."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def split(self, size: int) -> Sequence["StoredClips"]:
        """Split into parts of `size` clips; the last part may be smaller."""
        starts = range(0, len(self), size)
        return [self._map(lambda tensor, start=start: tensor[start : start + size]) for start in starts]  # type: ignore[misc]

    def with_reversed(self) -> "StoredClips":
        """Each clip and its reversed copy. The frozen model reads single frames, so the order of tokens is reversed."""
        return self._map(lambda tensor: torch.stack([tensor, tensor.flip(1)], dim=1).flatten(0, 1))

    def _map(self, change: Callable[[Tensor], Tensor]) -> "StoredClips":
        """The clips with `change` applied to each tensor; the first axis is B."""
        return replace(
            self,
            blocks={
                block: Int8Tokens(change(tokens.values), change(tokens.scales)) for block, tokens in self.blocks.items()
            },
            pooled=None if self.pooled is None else change(self.pooled),
            pixels=None if self.pixels is None else change(self.pixels),
        )

    def _tensors(self) -> list[Tensor]:
        others = [tensor for tensor in (self.pooled, self.pixels) if tensor is not None]
        return [tokens.values for tokens in self.blocks.values()] + others

    def frames(self) -> Clips:
        """The pixels for the stem, float32 (B, T, 3, H, W); height and width are 0 if no pixels are stored."""
        if self.pixels is None:
            like = self._tensors()[0]
            return torch.empty(*like.shape[:2], 3, 0, 0, device=like.device)
        return normalise_pixels(self.pixels, self.mean, self.std)

    def iterate(self, dtype: torch.dtype) -> Iterator[BlockTokens]:
        """Yield the stored blocks in ascending order, one at a time, restored to `dtype`."""
        for block in sorted(self.blocks):
            tokens = self.blocks[block].restore(dtype)
            yield BlockTokens(block, tokens[:, :, 1:], tokens[:, :, :1])


def normalise_pixels(pixels: UInt8[Tensor, "B T 3 H W"], mean: Sequence[float], std: Sequence[float]) -> Clips:
    """Normalise pixels from 0..255 to mean 0 and standard deviation 1, float32."""
    return (pixels.float() / 255 - _channels(mean, pixels)) / _channels(std, pixels)


def denormalise_pixels(clips: Clips, mean: Sequence[float], std: Sequence[float]) -> UInt8[Tensor, "B T 3 H W"]:
    """Convert normalised clips back to 0..255 exactly. Values outside (noise of random erasing) are clipped."""
    return ((clips.float() * _channels(std, clips) + _channels(mean, clips)) * 255).round().clamp(0, 255).byte()


def _channels(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device).reshape(3, 1, 1)
