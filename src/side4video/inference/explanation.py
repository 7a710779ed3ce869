"""Where and when a model looked: how much each place of each frame adds to the margin of a class.

The method is Integrated Gradients (Sundararajan et al. 2017, arXiv 1703.01365) on what the trained part reads: the
frozen tokens, and the pixels where there is a stem. There are two kinds of paths:

* appearance: from a grey clip to a still one, whose tokens are the clip's mean over time;
* change: for each frame, from the clip in which this frame is the mean of the others to the clip itself.

The evidence of a frame is thus what the margin loses without it (occlusion in time, Zeiler & Fergus 2013, arXiv
1311.2901), and the gradients share it out among the frame's places. One path for all frames at once would say little
about time: in a network that sees differences every frame is then as different as the one that changed. Nor would the
gradient at the clip alone do: the LayerNorm that reads a token makes gradient x token zero.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from side4video.models.backbones.loading import BlockTokens
from side4video.models.probe_model import ProbeHead
from side4video.models.probes import AttentiveProbe
from side4video.models.side.side_block import SideBlock
from side4video.models.side.side_network import SideNetwork
from side4video.models.video_model import VideoModel

STEPS = 5
"""Points of the Gauss-Legendre rule on each path."""

Read = dict[tuple[str, int], Tensor]
"""What the trained part reads of clips, by kind and block: "pixels" (B, T, 3, S, S), "patches" (B, T, N, D),
"summary" (B, T, 1, D) and "pooled" (B, T, D)."""


@dataclass(frozen=True)
class ClassEvidence:
    """What in a clip speaks for a class; negative evidence speaks against it.

    The unit is the margin: the class's logit minus the mean logit of all other classes.

    Attributes:
        name: of the class.
        score: its softmax score, 0 to 1, of this clip alone.
        change_places: (T, R, C), what the margin loses without a frame, shared out among its patches, rows from the
            top.
        change_frames: (T,), the same, of the frame as a whole: the sum of its patches and of its summary token.
        appearance_places: (R, C), what a patch adds that does not change over time.
        appearance: what a still clip adds to a grey one: the sum of its patches and of its summary token.
        change: what the clip adds to a still one. This is not the sum of `change_frames`: the same evidence can be in
            several frames, and then none of them alone is missed.
    """

    name: str
    score: float
    change_places: Float[ndarray, "T R C"]
    change_frames: Float[ndarray, " T"]
    appearance_places: Float[ndarray, "R C"]
    appearance: float
    change: float


@dataclass(frozen=True)
class Explanation:
    """Where and when a model looked in one clip of a video.

    Attributes:
        path: of the video.
        pictures: uint8 (T, S, S, 3), RGB: the frames as the model saw them, cropped.
        frame_seconds: when each frame is shown, in seconds since the start of the video; None where times are unknown.
        classes: evidence for each class that was asked for.
        attention: (T, G, G), attentive probes alone: how much each place of each frame counts, whatever the class; the
            sum is 1. None for other models.
    """

    path: Path
    pictures: UInt8[ndarray, "T S S 3"]
    frame_seconds: tuple[float, ...] | None
    classes: tuple[ClassEvidence, ...]
    attention: Float[ndarray, "T G G"] | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures, as plain lists, numbers and dictionaries."""
        return {
            "path": str(self.path),
            "unit": "logit of the class minus the mean logit of the other classes",
            "frame_seconds": self.frame_seconds,
            "attention": None if self.attention is None else self.attention.tolist(),
            "classes": [
                {name: value.tolist() if isinstance(value, ndarray) else value for name, value in vars(one).items()}
                for one in self.classes
            ],
        }


def explain_clip(
    model: VideoModel, clip: Float[Tensor, "T 3 S S"], *, labels: Sequence[int] | None, class_names: Sequence[str]
) -> tuple[ClassEvidence, ...]:
    """Evidence for some classes in one clip.

    Costs one pass of the frozen model, and `STEPS` x (1 + T) forward and backward passes of the trained part.

    Args:
        model: put in eval mode and left there.
        clip: normalised frames, on the model's device.
        labels: the classes; None: the best one.
        class_names: of the model's outputs, at least two.
    """
    model.eval()
    shown, grey = _read(model, clip[None]), _read(model, torch.zeros_like(clip[None, :1]))
    still = {key: value.mean(dim=1, keepdim=True).expand_as(value) for key, value in shown.items()}
    grey = {key: value.expand_as(shown[key]) for key, value in grey.items()}
    with torch.no_grad():
        logits, still_logits, grey_logits = (_logits(model, read)[0] for read in (shown, still, grey))
    chosen = [int(logits.argmax())] if labels is None else list(labels)
    with _plain_memory(model.side):
        appearances = _integrate(model, grey, still, chosen)
        changes = _integrate_frames(model, shown, chosen)
    return tuple(
        ClassEvidence(
            name=class_names[label],
            score=float(logits.softmax(dim=0)[label]),
            change_places=_places(model, change).numpy(),
            change_frames=_frames(change).numpy(),
            appearance_places=_places(model, appearance).sum(dim=0).numpy(),
            appearance=float(_margin(still_logits, label) - _margin(grey_logits, label)),
            change=float(_margin(logits, label) - _margin(still_logits, label)),
        )
        for label, appearance, change in zip(chosen, appearances, changes, strict=True)
    )


@torch.no_grad()
def attention_of(model: VideoModel, clip: Float[Tensor, "T 3 S S"]) -> Float[ndarray, "T G G"] | None:
    """Where an attentive probe attends in one clip; None for other models."""
    probe = model.head.classifier if isinstance(model.head, ProbeHead) else None
    if not isinstance(probe, AttentiveProbe):
        return None
    (tokens,) = model.backbone.iterate(clip[None], model.read_blocks)
    return probe.attention(tokens.patches)[0].unflatten(1, (probe.grid, probe.grid)).cpu().numpy()


@contextmanager
def _plain_memory(side: SideNetwork) -> Iterator[None]:
    """The other modes give no gradient to the tokens, or one only once."""
    before = [block.memory for block in side.blocks if isinstance(block, SideBlock)]
    side.set_memory("plain")
    try:
        yield
    finally:
        for block, memory in zip(side.blocks, before, strict=True):
            assert isinstance(block, SideBlock)
            block.set_memory(memory)


@torch.no_grad()
def _read(model: VideoModel, clips: Float[Tensor, "B T 3 S S"]) -> Read:
    read: Read = {("pixels", 0): clips.float()}
    for tokens in model.backbone.iterate(clips, model.read_blocks):
        read["patches", tokens.block] = tokens.patches.float()
        read["summary", tokens.block] = tokens.summary.float()
        if tokens.block == model.backbone.num_blocks - 1:
            read["pooled", tokens.block] = model.backbone.pool(tokens).float()
    return read


def _logits(model: VideoModel, read: Read) -> Float[Tensor, "B C"]:
    blocks = (BlockTokens(b, read["patches", b], read["summary", b]) for b in model.read_blocks)
    return model.classify(read["pixels", 0], blocks, read.get(("pooled", model.backbone.num_blocks - 1))).float()


def _margin(logits: Float[Tensor, "*rows C"], label: int) -> Float[Tensor, "*rows"]:
    own = logits[..., label]
    return own - (logits.sum(dim=-1) - own) / (logits.shape[-1] - 1)


def _integrate(model: VideoModel, start: Read, end: Read, labels: Sequence[int]) -> list[Read]:
    """For each class its margin's integrated gradients from one reading to another, shaped like the reading."""
    nodes, weights = np.polynomial.legendre.leggauss(STEPS)
    found: list[Read] = [{key: torch.zeros_like(value) for key, value in end.items()} for _ in labels]
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        between = {key: torch.lerp(start[key], end[key], float(node)).requires_grad_() for key in end}
        with torch.enable_grad():
            logits = _logits(model, between)
        for label, total in zip(labels, found, strict=True):
            margin = _margin(logits, label).sum()  # clips of a batch do not touch each other in eval mode
            grads = torch.autograd.grad(margin, list(between.values()), retain_graph=True, allow_unused=True)
            for key, grad in zip(between, grads, strict=True):
                if grad is not None:
                    total[key] += float(weight) * grad * (end[key] - start[key])
    return found


def _integrate_frames(model: VideoModel, shown: Read, labels: Sequence[int]) -> list[Read]:
    """As `_integrate`, with a path for each frame on which only that frame changes, from the mean of the others."""
    num_frames = shown["pixels", 0].shape[1]
    found: list[Read] = [{key: torch.zeros_like(value) for key, value in shown.items()} for _ in labels]
    for frame in range(num_frames if num_frames > 1 else 0):
        without = {key: value.clone() for key, value in shown.items()}
        for value in without.values():
            value[:, frame] = (value.sum(dim=1) - value[:, frame]) / (num_frames - 1)
        for total, part in zip(found, _integrate(model, without, shown, labels), strict=True):
            for key, value in part.items():
                total[key][:, frame] = value[:, frame]
    return found


def _places(model: VideoModel, evidence: Read) -> Float[Tensor, "T R C"]:
    """The sum of what has a place, by patch."""
    rows = model.backbone.image_size // model.backbone.patch_size
    pixels = evidence["pixels", 0][0].sum(dim=1)  # (T, S, S)
    total = pixels.unflatten(2, (rows, -1)).unflatten(1, (rows, -1)).sum(dim=(2, 4))
    patches = (values[0].sum(dim=-1) for (kind, _), values in evidence.items() if kind == "patches")
    return sum((part.unflatten(1, (rows, rows)) for part in patches), total).cpu()


def _frames(evidence: Read) -> Float[Tensor, " T"]:
    """The sum of everything, by frame."""
    return torch.stack([values[0].flatten(1).sum(dim=-1) for values in evidence.values()]).sum(dim=0).cpu()
