"""Frozen tokens of single frames, and the scores of windows from them: a frame passes the frozen model once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from side4video.models.backbones.loading import BlockTokens
from side4video.models.video_model import VideoModel
from side4video.tasks.clips import autocast, class_scores

CHUNK_FRAMES = 16
"""Frames per pass of the frozen model. Their tokens are kept until the last window that sees them."""


@dataclass(frozen=True)
class EncodedFrame:
    """One frame as the side network reads it.

    Attributes:
        pixels: (3, S, S), normalised.
        tokens: for each read block, patches (N, D) and summary (1, D).

    >>> frame = EncodedFrame(torch.zeros(3, 32, 32), ((torch.zeros(16, 192), torch.zeros(1, 192)),))
    >>> len(frame.tokens), frame.tokens[0][0].shape
    (1, torch.Size([16, 192]))
    """

    pixels: Float[Tensor, "3 S S"]
    tokens: tuple[tuple[Tensor, Tensor], ...]


class WindowScorer:
    """Computes class scores of windows from frames that are encoded one by one.

    Args:
        model: the model; it is put in eval mode.
        transform: maps uint8 (T, 3, H, W) to float (1, T, 3, S, S): the centre crop of evaluation.
        device: device of the model.
        windows_per_pass: windows per forward pass of the trained part.
        multi_label: whether scores are sigmoids instead of a softmax.

    >>> from pathlib import Path
    >>> from side4video.adapters.adapter import load_adapter
    >>> from side4video.timeline.find import build_scorer
    >>> device = torch.device("cpu")
    >>> scorer = build_scorer(*load_adapter(Path("adapter"), device=device), device)
    >>> window = scorer.encode(torch.zeros(4, 3, 32, 32, dtype=torch.uint8))
    >>> scorer.score([window]).shape
    torch.Size([1, 2])
    """

    def __init__(
        self,
        model: VideoModel,
        *,
        transform: Callable[[Tensor], Tensor],
        device: torch.device,
        windows_per_pass: int,
        multi_label: bool = False,
    ) -> None:
        self.model = model.eval()
        self.transform = transform
        self.device = device
        self.windows_per_pass = windows_per_pass
        self.multi_label = multi_label

    @torch.inference_mode()
    def encode(self, frames: Iterable[UInt8[Tensor, "3 H W"]]) -> list[EncodedFrame]:
        """Run the frozen model on each frame; frames may differ in size."""
        pixels = torch.cat([self.transform(frame[None])[0] for frame in frames]).to(self.device)  # (F, 3, S, S)
        with autocast(self.device, "auto"):
            blocks = [
                (tokens.patches[0], tokens.summary[0])
                for tokens in self.model.backbone.iterate(pixels[None], self.model.read_blocks)
            ]
        return [
            EncodedFrame(pixels[place], tuple((patches[place], summary[place]) for patches, summary in blocks))
            for place in range(len(pixels))
        ]

    @torch.inference_mode()
    def score(self, windows: Sequence[Sequence[EncodedFrame]]) -> Float[Tensor, "W C"]:
        """Scores of windows of T frames, on the CPU."""
        scores = []
        for start in range(0, len(windows), self.windows_per_pass):
            part = windows[start : start + self.windows_per_pass]
            pixels = torch.stack([torch.stack([frame.pixels for frame in window]) for window in part])
            with autocast(self.device, "auto"):
                logits = self.model.classify(pixels, self._blocks(part))
            scores.append(class_scores(logits, multi_label=self.multi_label).cpu())
        return torch.cat(scores)

    def _blocks(self, windows: Sequence[Sequence[EncodedFrame]]) -> Iterator[BlockTokens]:
        """The tokens of each read block, (W, T, N, D), one block at a time."""
        for place, block in enumerate(self.model.read_blocks):
            patches, summary = (
                torch.stack([torch.stack([frame.tokens[place][kind] for frame in window]) for window in windows])
                for kind in (0, 1)
            )
            yield BlockTokens(block, patches, summary)
