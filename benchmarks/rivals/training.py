"""One rival trained on the pixels of a set and scored: AdamW, linear warm-up, cosine to zero, label smoothing."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from measuring.saved_bytes import SavedBytes
from rivals import Rival
from rivals.data_sets import PixelSet
from side4video.models.backbones.loading import FrozenBackbone

LABEL_SMOOTHING = 0.1
WEIGHT_DECAY = 0.05
WARM_UP = 0.1
"""Part of the steps, 0 to 1."""


@dataclass(frozen=True)
class Schedule:
    """The length of the training, the same for all rivals."""

    epochs: int
    batch: int


def build(rival: Rival, backbone: FrozenBackbone, *, num_classes: int, num_frames: int, seed: int) -> nn.Module:
    """A new model; the seed determines its initial weights."""
    torch.manual_seed(seed)
    return rival.build(backbone, num_classes=num_classes, num_frames=num_frames, **rival.options)


def run_rival(
    rival: Rival,
    backbone: FrozenBackbone,
    data: PixelSet,
    rows: Sequence[int],
    held: PixelSet,
    held_rows: Sequence[int],
    *,
    held_copies: int,
    num_classes: int,
    lr: float,
    seed: int,
    schedule: Schedule,
) -> dict[str, Any]:
    """Train on some rows of one set and score rows of another, the mean of `held_copies` copies of each.

    Returns:
        "accuracy", 0 to 1, and "seconds" of the training.
    """
    model = build(rival, backbone, num_classes=num_classes, num_frames=data.pixels.shape[2], seed=seed).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=WEIGHT_DECAY)
    generator = torch.Generator().manual_seed(seed)
    total = schedule.epochs * math.ceil(len(rows) / schedule.batch)
    step, started = 0, time.perf_counter()
    for epoch in range(schedule.epochs):
        order = torch.randperm(len(rows), generator=generator).tolist()
        for part in torch.tensor([rows[place] for place in order]).tensor_split(total // schedule.epochs):
            for group in optimizer.param_groups:
                group["lr"] = lr * _share(step, total)
            clips, labels = data.batch(part.tolist(), epoch % data.pixels.shape[1])
            loss(model, rival, clips, labels).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
    seconds = time.perf_counter() - started
    return {"accuracy": _accuracy(model.eval(), rival, held, held_rows, held_copies), "seconds": seconds}


def loss(model: nn.Module, rival: Rival, clips: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with label smoothing."""
    return F.cross_entropy(_logits(model, rival, clips), labels, label_smoothing=LABEL_SMOOTHING)


def saved_bytes_per_clip(model: nn.Module, rival: Rival, data: PixelSet) -> int:
    """Bytes that autograd keeps per additional clip of a training step; a clip in both directions counts as two."""
    found = []
    for count in (1, 2):
        clips, labels = data.batch(range(count), 0)
        with SavedBytes([*model.parameters(), *model.buffers(), clips]) as saved:
            loss(model.train(), rival, clips, labels)
        found.append(saved.total)
    return (found[1] - found[0]) // (2 if data.both_ways else 1)


def _logits(model: nn.Module, rival: Rival, clips: Tensor) -> Tensor:
    return model(clips.repeat_interleave(rival.frame_ratio, dim=1)).float()


def _share(step: int, total: int) -> float:
    warm_up = max(1, round(WARM_UP * total))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (total - warm_up)))


@torch.no_grad()
def _accuracy(model: nn.Module, rival: Rival, held: PixelSet, rows: Sequence[int], copies: int) -> float:
    right, seen = 0, 0
    for start in range(0, len(rows), 8):
        batches = [held.batch(rows[start : start + 8], copy) for copy in range(copies)]
        scores = torch.stack([_logits(model, rival, clips).softmax(dim=1) for clips, _ in batches]).mean(dim=0)
        labels = batches[0][1]
        right, seen = right + int((scores.argmax(dim=1) == labels).sum()), seen + len(labels)
    return right / seen
