"""The frozen tokens that probes read: computed for a whole clip set and cached on disk."""

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from side4video.atomic_files import write_tensors
from side4video.config import ProbeConfig, RunConfig
from side4video.config.probe import FLOW_BLOCK, block_read
from side4video.data.datasets import TestClips
from side4video.data.loading.batch import Batch
from side4video.data.transforms import is_mirrored
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.backbones.token_identity import token_identity
from side4video.models.optical_flow import clip_flow, mirror_flow
from side4video.models.probes import coarse_patches
from side4video.video.file_access import content_state


@dataclass(frozen=True)
class ProbeTokens:
    """Tokens of V views of M clips, with the list index and the class of each view.

    Every clip has the same number of views, one after the other. As *rows*, views are numbered 0..V-1 and, if mirrored
    clips keep or exchange their class, mirrored views V..2V-1: their patches are mirrored on the grid. That is cheaper
    than reading mirrored frames, and nearly the same for a model trained on mirrored pictures.

    Attributes:
        pooled: (V, T, D), float32, pooled summary of each frame.
        patches: number of each backbone block -> its patches (V, T, G, D), float16.
        flow: (V, T, F, 2), float16, optical flow of the frames, see `optical_flow`.
        videos: (V,), list index of each view's video.
        labels: (V,), class of each view.
        mirrored_labels: (V,), class of each mirrored view; None: probes are not trained on mirrored views.

    >>> labels, videos = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 5, 5])
    >>> patches, flow = {3: torch.zeros(4, 8, 49, 16)}, torch.zeros(4, 8, 784, 2)
    >>> tokens = ProbeTokens(torch.zeros(4, 8, 16), patches, flow, videos, labels)
    >>> tokens.read(-1).shape, tokens.read(3).shape
    (torch.Size([4, 8, 16]), torch.Size([4, 8, 49, 16]))
    >>> tokens.places.tolist(), tokens.clip_labels.tolist(), tokens.rows_of(np.array([1])).tolist()
    ([0, 5], [0, 1], [2, 3])
    """

    pooled: Float[Tensor, "V T D"]
    patches: dict[int, Float[Tensor, "V T G D"]]
    flow: Float[Tensor, "V T F 2"]
    videos: Int[Tensor, " V"]
    labels: Int[Tensor, " V"]
    mirrored_labels: Int[Tensor, " V"] | None = None

    @cached_property
    def places(self) -> Int[ndarray, " M"]:
        """List index of each clip."""
        return self.videos.unique_consecutive().numpy()

    @cached_property
    def views(self) -> int:
        """Number of views of each clip."""
        return len(self.videos) // len(self.places)

    @cached_property
    def clip_labels(self) -> Int[ndarray, " M"]:
        """Class of each clip."""
        return self.labels[:: self.views].numpy()

    @cached_property
    def row_labels(self) -> Int[ndarray, " rows"]:
        """Class of each row."""
        mirrored = [] if self.mirrored_labels is None else [self.mirrored_labels]
        return torch.cat([self.labels, *mirrored]).numpy()

    @cached_property
    def row_clips(self) -> Int[ndarray, " rows"]:
        """Clip of each row, 0..M-1."""
        clips = np.arange(len(self.videos)) // self.views
        return clips if self.mirrored_labels is None else np.tile(clips, 2)

    def rows_of(self, clips: Int[ndarray, " clips"]) -> Int[ndarray, " rows"]:
        """Return the rows of the clips' views as they are, not mirrored."""
        return (clips[:, None] * self.views + np.arange(self.views)).ravel()

    def only(self, places: Int[ndarray, " clips"]) -> "ProbeTokens":
        """Return the tokens of some clips, by list index.

        >>> labels, pooled, flow = torch.tensor([0, 1]), torch.zeros(2, 8, 16), torch.zeros(2, 8, 784, 2)
        >>> ProbeTokens(pooled, {}, flow, torch.tensor([4, 7]), labels).only(np.array([7])).places.tolist()
        [7]
        """
        if np.array_equal(places, self.places):
            return self
        return self._rows(torch.from_numpy(self.rows_of(np.flatnonzero(np.isin(self.places, places)))))

    def without_mirrored_crops(self, num_crops: int) -> "ProbeTokens":
        """Return the tokens without the views that `EvalTransform` mirrors, which may show another class.

        >>> labels, pooled, flow = torch.zeros(10), torch.zeros(10, 8, 16), torch.zeros(10, 8, 784, 2)
        >>> ProbeTokens(pooled, {}, flow, torch.zeros(10), labels).without_mirrored_crops(10).views
        5
        """
        return self._rows(torch.nonzero(~is_mirrored(len(self.labels), num_crops))[:, 0])

    def _rows(self, rows: Int[Tensor, " rows"]) -> "ProbeTokens":
        return replace(
            self,
            pooled=self.pooled[rows],
            patches={block: tokens[rows] for block, tokens in self.patches.items()},
            flow=self.flow[rows],
            videos=self.videos[rows],
            labels=self.labels[rows],
            mirrored_labels=None if self.mirrored_labels is None else self.mirrored_labels[rows],
        )

    def for_probe(self, config: ProbeConfig) -> "ProbeTokens":
        """Return the tokens without mirrored views, if a probe of these settings would learn wrong classes from them.

        A clip and its mirrored view have the same pooled summary. Where mirrored clips exchange their class, a probe
        that reads it would learn both classes from each clip.
        """
        if block_read(config) != -1 or self.mirrored_labels is None or torch.equal(self.mirrored_labels, self.labels):
            return self
        return replace(self, mirrored_labels=None)

    def training_rows(self, clips: Int[ndarray, " clips"], limit: int) -> Int[ndarray, " rows"]:
        """Return the rows to train on: of each clip its middle view, that mirrored, a view further out, and so on.

        As many per clip as are at most `limit` for all M clips, and at least one. If it is one, every second clip of a
        class is mirrored.

        >>> labels, pooled, flow = torch.zeros(3, dtype=torch.long), torch.zeros(3, 8, 16), torch.zeros(3, 8, 784, 2)
        >>> tokens = ProbeTokens(pooled, {}, flow, torch.zeros(3), labels, mirrored_labels=labels)
        >>> tokens.training_rows(np.array([0]), limit=3).tolist()
        [1, 4, 0]
        """
        outwards = np.argsort(np.abs(np.arange(self.views) - (self.views - 1) / 2), kind="stable")
        shifts = outwards[:, None] + np.array([0] if self.mirrored_labels is None else [0, len(self.labels)])
        chosen = shifts.ravel()[: max(1, limit // len(self.places))]
        rows = clips[:, None] * self.views + chosen
        if self.mirrored_labels is not None and len(chosen) == 1:
            rows[self.is_second[clips]] += len(self.labels)
        return rows.ravel()

    @cached_property
    def is_second(self) -> Bool[ndarray, " M"]:
        """Whether each clip is the second, fourth, ... of its class."""
        seen: Counter[int] = Counter()
        numbers = []
        for label in self.clip_labels.tolist():
            seen[label] += 1
            numbers.append(seen[label])
        return np.array(numbers) % 2 == 0

    def read(self, block: int) -> Tensor:
        """Return what a probe of this block reads, see `block_read`."""
        if block == FLOW_BLOCK:
            return self.flow
        return self.pooled if block < 0 else self.patches[block]

    def parts(self, config: ProbeConfig, size: int = 64, *, mirrored: bool = False) -> Iterator[Any]:
        """Yield what the probe of these settings reads, `size` views at a time."""
        blocks = {block_read(part) for part in config.singles}
        for start in range(0, len(self.labels), size):
            tokens = {block: self.read(block)[start : start + size] for block in blocks}
            if mirrored:
                tokens = {block: mirrored_view(part, block) for block, part in tokens.items()}
            yield tokens if config.name == "combined" else tokens[block_read(config)]

    def to_tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, as stored in a file."""
        patches = {f"block{block}": tokens for block, tokens in self.patches.items()}
        fields = {"pooled": self.pooled, "flow": self.flow, "videos": self.videos, "labels": self.labels}
        return fields | patches

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "ProbeTokens":
        """Restore a result of `to_tensors`."""
        patches = {
            int(name.removeprefix("block")): tokens for name, tokens in tensors.items() if name.startswith("block")
        }
        return cls(tensors["pooled"], patches, tensors["flow"], tensors["videos"], tensors["labels"])


def mirrored_view(tokens: Tensor, block: int) -> Tensor:
    """What a probe of this block reads (`block_read`) of mirrored views."""
    if block == FLOW_BLOCK:
        return mirror_flow(tokens)
    return tokens if block < 0 else mirror(tokens)


def mirror(patches: Float[Tensor, "V T G D"]) -> Float[Tensor, "V T G D"]:
    """Exchange left and right of the grid of patches.

    >>> mirror(torch.arange(4.0).reshape(1, 1, 4, 1)).flatten().tolist()
    [1.0, 0.0, 3.0, 2.0]
    """
    side = math.isqrt(patches.shape[2])
    return patches.unflatten(2, (side, side)).flip(3).flatten(2, 3)


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
    flow: list[Tensor] = []
    patches: dict[int, list[Tensor]] = defaultdict(list)
    for batch in tqdm(batches, desc="tokens for probes", unit="batch", dynamic_ncols=True, leave=False):
        if not batch.views:
            continue
        for tokens in backbone.iterate(batch.clips.to(device), {*blocks, backbone.num_blocks - 1}):
            if tokens.block in blocks:
                patches[tokens.block].append(coarse_patches(tokens.patches).half().cpu())
            if tokens.block == backbone.num_blocks - 1:
                pooled.append(backbone.pool(tokens).float().cpu())
        flow.append(clip_flow(batch.clips, backbone).half())
        labels.append(batch.labels)
        videos += [index for index, views in zip(batch.indices, batch.views, strict=True) for _ in range(views)]
    if not pooled:
        raise ValueError("No video of the set can be read. Check it with side4video check-data.")
    stacked = {block: torch.cat(parts) for block, parts in patches.items()}
    return ProbeTokens(torch.cat(pooled), stacked, torch.cat(flow), torch.tensor(videos), torch.cat(labels))


def _digest(clips: TestClips, backbone: FrozenBackbone, config: RunConfig, blocks: Sequence[int]) -> str:
    """Hash everything that the tokens depend on."""
    videos = [
        (str(v.path.resolve()), content_state(v.path), v.label, v.reverse, v.start_seconds, v.end_seconds)
        for v in clips.videos
    ]
    content = [
        2,
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
