"""Explanations: computes how much each place of each frame adds to the margin of a class.

The method is Integrated Gradients (Sundararajan et al. 2017, arXiv 1703.01365) on the inputs of the trained part: the
frozen tokens and, with a stem, the pixels; for some probes, optical flow. There are two kinds of paths:

* appearance: from a grey clip to a still clip, whose tokens are the clip's mean over time, and whose flow is 0;
* change: for each frame, from the clip in which this frame is the mean of the others, and its flow 0, to the clip
  itself.

The evidence of a frame is therefore what the margin loses without it (occlusion in time, Zeiler & Fergus 2013, arXiv
1311.2901). The gradients distribute it over the frame's places. A single path for all frames would show little about
time: a network that reads differences would give every frame the same weight as the one that changed. The gradient at
the clip alone is no alternative: the LayerNorm that reads a token makes gradient x token zero.
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

from side4video.config.probe import FLOW_BLOCK
from side4video.models.backbones.loading import BlockTokens
from side4video.models.optical_flow import FLOW_GRID, clip_flow
from side4video.models.probe_model import ProbeHead, ProbeModel
from side4video.models.probes import AttentiveProbe
from side4video.models.side.side_block import SideBlock
from side4video.models.side.side_network import SideNetwork
from side4video.models.video_model import VideoModel
from side4video.tasks.clips import class_scores

STEPS = 5
"""Number of points of the Gauss-Legendre rule on each path."""

PASS_BYTES = 16 * 2**20
"""Largest size of the frozen tokens and pixels of one pass; one clip may have more. With small models a pass takes
several points of several paths. With large ones it takes one: activations need about ten times as much memory."""

TrainedInputs = dict[tuple[str, int], Tensor]
"""Inputs of the trained part for a batch of clips, by kind and block: "pixels" (B, T, 3, S, S), "patches" (B, T, N, D),
"summary" (B, T, 1, D), "pooled" (B, T, D) and "flow" (B, T, F, 2)."""


@dataclass(frozen=True)
class ClassEvidence:
    """Evidence in a clip for a class; negative values are evidence against it.

    The unit is the margin: the class's logit minus the mean logit of all other classes.

    Attributes:
        name: name of the class.
        score: score of the class for this clip alone, 0 to 1.
        change_places: (T, R, C), what the margin loses without a frame, distributed over its patches, top row first.
        change_frames: (T,), the same for the whole frame: the sum of its patches and its summary token.
        appearance_places: (R, C), what each patch adds that does not change over time.
        appearance: what a still clip adds to a grey one: the sum of its patches and its summary token.
        change: what the clip adds to a still one. This is not the sum of `change_frames`: if several frames contain the
            same evidence, the margin loses nothing without one of them.

    >>> from side4video import Predictor
    >>> [evidence] = Predictor("adapter", device="cpu").explain("clip.mp4", classes=["clockwise"]).classes
    >>> evidence.name, evidence.change_frames.shape, evidence.appearance_places.shape
    ('clockwise', (4,), (4, 4))
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
    """Evidence for classes in one clip of a video, by place and by frame.

    Attributes:
        path: path of the video.
        pictures: uint8 (T, S, S, 3), RGB: the cropped frames that the model received.
        frame_seconds: time of each frame in seconds since the start of the video. None: times are unknown.
        classes: evidence for each requested class.
        attention: (T, G, G), only for attentive probes: weight of each place of each frame, the same for all classes;
            the sum is 1. None for other models.

    >>> from side4video import Predictor
    >>> explanation = Predictor("adapter", device="cpu").explain("clip.mp4", classes=["clockwise"])
    >>> explanation.pictures.shape, explanation.classes[0].change_places.shape  # (T, S, S, 3), (T, R, C)
    ((4, 32, 32, 3), (4, 4, 4))
    """

    path: Path
    pictures: UInt8[ndarray, "T S S 3"]
    frame_seconds: tuple[float, ...] | None
    classes: tuple[ClassEvidence, ...]
    attention: Float[ndarray, "T G G"] | None = None

    def to_json(self) -> dict[str, Any]:
        """All attributes except `pictures`, as plain lists, numbers and dictionaries."""
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
    model: VideoModel,
    clip: Float[Tensor, "T 3 S S"],
    *,
    labels: Sequence[int] | None,
    class_names: Sequence[str],
    multi_label: bool = False,
) -> tuple[ClassEvidence, ...]:
    """Compute the evidence for some classes in one clip.

    The cost is one pass of the frozen model, and the work of `STEPS` x (1 + T) forward and backward passes of the
    trained part.

    Args:
        model: the model. It is switched to eval mode and stays in it.
        clip: normalised frames, on the model's device.
        labels: the classes to explain; None: the best one.
        class_names: names of the model's outputs, at least two.
        multi_label: whether scores are sigmoids instead of a softmax.
    """
    model.eval()
    shown, grey = _read_inputs(model, clip[None]), _read_inputs(model, torch.zeros_like(clip[None, :1]))
    still = {key: value.mean(dim=1, keepdim=True).expand_as(value) for key, value in shown.items()}
    still |= {key: torch.zeros_like(value) for key, value in shown.items() if key == ("flow", FLOW_BLOCK)}
    grey = {key: value.expand_as(shown[key]) for key, value in grey.items()}
    with torch.no_grad():
        logits, still_logits, grey_logits = (_logits(model, read)[0] for read in (shown, still, grey))
    chosen = [int(logits.argmax())] if labels is None else list(labels)
    with _plain_memory_mode(model.side):
        appearances = _integrate(model, grey, still, chosen)
        changes = _integrate_frames(model, shown, chosen)
    return tuple(
        ClassEvidence(
            name=class_names[label],
            score=float(class_scores(logits, multi_label=multi_label)[label]),
            change_places=_sum_by_patch(model, change).numpy(),
            change_frames=_sum_by_frame(change).numpy(),
            appearance_places=_sum_by_patch(model, appearance).sum(dim=0).numpy(),
            appearance=float(_margin(still_logits, label) - _margin(grey_logits, label)),
            change=float(_margin(logits, label) - _margin(still_logits, label)),
        )
        for label, appearance, change in zip(chosen, appearances, changes, strict=True)
    )


@torch.no_grad()
def attention_weights(model: VideoModel, clip: Float[Tensor, "T 3 S S"]) -> Float[ndarray, "T G G"] | None:
    """Attention weights of an attentive probe in one clip; None for other models."""
    probe = model.head.classifier if isinstance(model.head, ProbeHead) else None
    if not isinstance(probe, AttentiveProbe):
        return None
    (tokens,) = model.backbone.iterate(clip[None], model.read_blocks)
    return probe.attention(tokens.patches)[0].unflatten(1, (probe.grid, probe.grid)).cpu().numpy()


@contextmanager
def _plain_memory_mode(side: SideNetwork) -> Iterator[None]:
    """Memory mode "plain": the other modes give no gradient to the tokens, or only once."""
    before = [block.memory for block in side.blocks if isinstance(block, SideBlock)]
    side.set_memory("plain")
    try:
        yield
    finally:
        for block, memory in zip(side.blocks, before, strict=True):
            assert isinstance(block, SideBlock)
            block.set_memory(memory)


@torch.no_grad()
def _read_inputs(model: VideoModel, clips: Float[Tensor, "B T 3 S S"]) -> TrainedInputs:
    read: TrainedInputs = {("pixels", 0): clips.float()}
    for tokens in model.backbone.iterate(clips, model.read_blocks):
        read["patches", tokens.block] = tokens.patches.float()
        read["summary", tokens.block] = tokens.summary.float()
        if tokens.block == model.backbone.num_blocks - 1:
            read["pooled", tokens.block] = model.backbone.pool(tokens).float()
    if isinstance(model, ProbeModel) and FLOW_BLOCK in model.probe_blocks:
        read["flow", FLOW_BLOCK] = clip_flow(clips, model.backbone)
    return read


def _logits(model: VideoModel, read: TrainedInputs) -> Float[Tensor, "B C"]:
    blocks = (BlockTokens(b, read["patches", b], read["summary", b]) for b in model.read_blocks)
    flow = {kind: value for (kind, _), value in read.items() if kind == "flow"}  # only probes read flow
    pooled = read.get(("pooled", model.backbone.num_blocks - 1))
    return model.classify(read["pixels", 0], blocks, pooled, **flow).float()


def _margin(logits: Float[Tensor, "*rows C"], label: int) -> Float[Tensor, "*rows"]:
    own = logits[..., label]
    return own - (logits.sum(dim=-1) - own) / (logits.shape[-1] - 1)


def _copies_per_pass(read: TrainedInputs) -> int:
    """Number of copies of a batch of inputs that fit one pass, at least 1."""
    return max(1, PASS_BYTES // sum(value.nbytes for value in read.values()))


def _integrate(
    model: VideoModel, start: TrainedInputs, end: TrainedInputs, labels: Sequence[int]
) -> list[TrainedInputs]:
    """Integrated gradients of each class's margin on the paths from `start` to `end`, in the shape of `end`."""
    nodes, weights = (torch.from_numpy(values).float() for values in np.polynomial.legendre.leggauss(STEPS))
    found: list[TrainedInputs] = [{key: torch.zeros_like(value) for key, value in end.items()} for _ in labels]
    for points in torch.arange(STEPS).split(_copies_per_pass(end)):
        shares = [float(node + 1) / 2 for node in nodes[points]]
        between = {
            key: torch.cat([torch.lerp(start[key], end[key], share) for share in shares]).requires_grad_()
            for key in end
        }
        with torch.enable_grad():
            logits = _logits(model, between)
        for label, total in zip(labels, found, strict=True):
            margin = _margin(logits, label).sum()  # in eval mode the clips of a batch are independent
            grads = torch.autograd.grad(margin, list(between.values()), retain_graph=True, allow_unused=True)
            for key, grad in zip(between, grads, strict=True):
                if grad is not None:
                    by_point = grad.unflatten(0, (len(points), -1))
                    mean = torch.tensordot(weights[points].to(grad.device) / 2, by_point, dims=1)
                    total[key] += mean * (end[key] - start[key])
    return found


def _integrate_frames(model: VideoModel, shown: TrainedInputs, labels: Sequence[int]) -> list[TrainedInputs]:
    """Like `_integrate`, with one path per frame, on which only that frame changes, from the mean of the others."""
    num_frames = shown["pixels", 0].shape[1]
    found: list[TrainedInputs] = [{key: torch.zeros_like(value) for key, value in shown.items()} for _ in labels]
    for frames in torch.arange(num_frames if num_frames > 1 else 0).split(_copies_per_pass(shown)):
        paths = torch.arange(len(frames))
        end = {key: value.expand(len(frames), *value.shape[1:]) for key, value in shown.items()}
        without = {key: value.clone() for key, value in end.items()}
        for (kind, _), value in without.items():
            others = (value.sum(dim=1) - value[paths, frames]) / (num_frames - 1)
            value[paths, frames] = torch.zeros_like(others) if kind == "flow" else others
        for total, part in zip(found, _integrate(model, without, end, labels), strict=True):
            for key, value in part.items():
                total[key][0, frames] = value[paths, frames]
    return found


def _sum_by_patch(model: VideoModel, evidence: TrainedInputs) -> Float[Tensor, "T R C"]:
    """The sum of pixels, patches and flow, by patch."""
    rows = model.backbone.image_size // model.backbone.patch_size
    pixels = evidence["pixels", 0][0].sum(dim=1)  # (T, S, S)
    total = pixels.unflatten(2, (rows, -1)).unflatten(1, (rows, -1)).sum(dim=(2, 4))
    patches = (values[0].sum(dim=-1) for (kind, _), values in evidence.items() if kind == "patches")
    total = sum((part.unflatten(1, (rows, rows)) for part in patches), total)
    for flow in (values[0].sum(dim=-1) for (kind, _), values in evidence.items() if kind == "flow"):  # (T, F)
        own = torch.arange(FLOW_GRID, device=flow.device) * rows // FLOW_GRID
        total.flatten(1).index_add_(1, (own[:, None] * rows + own).flatten(), flow)
    return total.cpu()


def _sum_by_frame(evidence: TrainedInputs) -> Float[Tensor, " T"]:
    """The sum of all evidence, by frame."""
    return torch.stack([values[0].flatten(1).sum(dim=-1) for values in evidence.values()]).sum(dim=0).cpu()
