"""The frozen tokens that probes read: computed for a whole clip set and cached on disk."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from side4video.atomic_files import write_tensors
from side4video.config import ProbeConfig, RunConfig
from side4video.data.datasets import TestClips
from side4video.data.loading.batch import Batch
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.backbones.token_identity import token_identity
from side4video.models.probes import coarse_patches
from side4video.video.remote import state_or_none


@dataclass(frozen=True)
class ProbeTokens:
    """Tokens of V views, with the video and the class of each view.

    Attributes:
        pooled: (V, T, D), float32, pooled summary of each frame.
        patches: number of each backbone block -> its patches (V, T, G, D), float16.
        videos: (V,), list index of each view's video.
        labels: (V,), class of each view.

    >>> labels = torch.tensor([0, 1])
    >>> tokens = ProbeTokens(torch.zeros(2, 8, 16), {3: torch.zeros(2, 8, 49, 16)}, torch.arange(2), labels)
    >>> tokens.read(-1).shape, tokens.read(3).shape
    (torch.Size([2, 8, 16]), torch.Size([2, 8, 49, 16]))
    """

    pooled: Float[Tensor, "V T D"]
    patches: dict[int, Float[Tensor, "V T G D"]]
    videos: Int[Tensor, " V"]
    labels: Int[Tensor, " V"]

    def read(self, block: int) -> Tensor:
        """Return the tokens that a probe of this block reads; -1: the pooled summaries."""
        return self.pooled if block < 0 else self.patches[block]

    def parts(self, config: ProbeConfig, size: int = 64) -> Iterator[Any]:
        """Yield what the probe of these settings reads, `size` views at a time."""
        if config.name != "combined":
            yield from self.read(config.block).split(size)
            return
        blocks = {part.block for part in config.parts}
        for start in range(0, len(self.labels), size):
            yield {block: self.read(block)[start : start + size] for block in blocks}

    def to_tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, as stored in a file."""
        patches = {f"block{block}": tokens for block, tokens in self.patches.items()}
        return {"pooled": self.pooled, "videos": self.videos, "labels": self.labels} | patches

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "ProbeTokens":
        """Restore a result of `to_tensors`."""
        patches = {
            int(name.removeprefix("block")): tokens for name, tokens in tensors.items() if name.startswith("block")
        }
        return cls(tensors["pooled"], patches, tensors["videos"], tensors["labels"])


def probe_blocks(num_blocks: int) -> tuple[int, ...]:
    """Return the blocks from which probes choose: an early one, one after two thirds, the last.

    >>> probe_blocks(12)
    (3, 7, 11)
    """
    return tuple(sorted({num_blocks // 4, max(num_blocks * 2 // 3 - 1, 0), num_blocks - 1}))


def load_probe_tokens(
    clips: TestClips, batches: Iterable[Batch], *, backbone: FrozenBackbone, config: RunConfig
) -> ProbeTokens:
    """Return the tokens of a clip set without augmentation; they are cached in `config.data.cache`, if it is set.

    Raises:
        ValueError: no video of the set can be read.
    """
    blocks = probe_blocks(backbone.num_blocks)
    folder = config.data.cache
    path = None if folder is None else folder / f"probes-{_digest(clips, backbone, config, blocks)}.safetensors"
    if path is not None and path.is_file():
        return ProbeTokens.from_tensors(load_file(path))
    tokens = _compute(batches, backbone, blocks)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, tokens.to_tensors(), {"format": "pt"})
    return tokens


@torch.no_grad()
def _compute(batches: Iterable[Batch], backbone: FrozenBackbone, blocks: Sequence[int]) -> ProbeTokens:
    device = next(backbone.parameters()).device
    pooled: list[Tensor] = []
    labels: list[Tensor] = []
    videos: list[int] = []
    patches: dict[int, list[Tensor]] = defaultdict(list)
    for batch in tqdm(batches, desc="tokens for probes", unit="batch", dynamic_ncols=True, leave=False):
        if not batch.views:
            continue
        for tokens in backbone.iterate(batch.clips.to(device), {*blocks, backbone.num_blocks - 1}):
            if tokens.block in blocks:
                patches[tokens.block].append(coarse_patches(tokens.patches).half().cpu())
            if tokens.block == backbone.num_blocks - 1:
                pooled.append(backbone.pool(tokens).float().cpu())
        labels.append(batch.labels)
        videos += [index for index, views in zip(batch.indices, batch.views, strict=True) for _ in range(views)]
    if not pooled:
        raise ValueError("No video of the set can be read. Check it with side4video check-data.")
    stacked = {block: torch.cat(parts) for block, parts in patches.items()}
    return ProbeTokens(torch.cat(pooled), stacked, torch.tensor(videos), torch.cat(labels))


def _digest(clips: TestClips, backbone: FrozenBackbone, config: RunConfig, blocks: Sequence[int]) -> str:
    """Hash everything that the tokens depend on."""
    videos = [
        (str(v.path.resolve()), state_or_none(v.path), v.label, v.reverse, v.start_seconds, v.end_seconds)
        for v in clips.videos
    ]
    content = [
        1,
        token_identity(backbone),
        asdict(clips.sampling),
        clips.num_clips,
        clips.transform.num_crops,  # type: ignore[attr-defined]
        config.test_resize,
        config.eval.model_dump(mode="json").get("crop_style"),
        clips.frame_template,
        clips.fps,
        list(blocks),
        videos,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
