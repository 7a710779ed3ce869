"""Embeds videos and captions, in one process or several."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from tqdm import tqdm

from side4video.data.datasets import Failure
from side4video.data.loading.batch import Batch
from side4video.distributed.processes import (
    gather_objects,
    is_main_process,
    num_processes,
    process_rank,
)
from side4video.models.retrieval_model import RetrievalModel
from side4video.models.similarity import TextFeatures, VideoFeatures
from side4video.models.video_model import choose_device
from side4video.shapes import Clips
from side4video.tasks.clips import autocast, check_outputs
from side4video.tasks.unread import UnreadVideo, separate_failures

TEXTS_PER_PASS = 64

Item = TypeVar("Item")


@torch.inference_mode()
def embed_clips(
    model: RetrievalModel, clips: Clips, *, device: torch.device, chunk: int, precision: str = "auto"
) -> VideoFeatures:
    """The features of clips (V, T, 3, H, W), on the CPU; see `EmbedBatches`."""
    model.eval()
    with autocast(device, precision):
        parts = [model.embed_videos(part.to(device)).map(torch.Tensor.cpu) for part in clips.split(chunk)]
    features = VideoFeatures.concatenate(parts)
    check_outputs(features.frames)
    return features


@dataclass(frozen=True)
class EmbedBatches:
    """Embeds batches with one view of each video: yields the index and the features, on the CPU, or the failure.

    Attributes:
        model: the model, on `device`; put in eval mode.
        device: device of the model.
        chunk: videos per forward pass.
        precision: "auto" or "fp32", as `eval.precision`.

    >>> from side4video import Embedder
    >>> embedder = Embedder("retrieval", device="cpu")
    >>> list(EmbedBatches(embedder.model, embedder.device, chunk=8)([]))
    []
    """

    model: RetrievalModel
    device: torch.device
    chunk: int
    precision: str = "auto"

    def on_device(self, name: str) -> "EmbedBatches":
        """The same with its model on another device."""
        device = choose_device(name)
        return replace(self, model=self.model.to(device), device=device)

    def __call__(self, batches: Iterable[Batch]) -> Iterator[tuple[int, VideoFeatures | Failure]]:
        """Yield the index of each video with its features, or with the failure."""
        for batch in batches:
            yield from ((failure.index, failure) for failure in batch.failures)
            if not len(batch):
                continue
            features = embed_clips(
                self.model, batch.clips, device=self.device, chunk=self.chunk, precision=self.precision
            )
            for place, index in enumerate(batch.indices):
                row = slice(place, place + 1)
                yield index, features.map(lambda tensor, row=row: tensor[row].clone())  # type: ignore[misc]


def show_progress(items: Iterable[Item], *, total: int, silent: bool = False) -> Iterable[Item]:
    """Show a bar that counts videos, unless `silent`."""
    return tqdm(
        items, desc="videos", unit="video", total=total, dynamic_ncols=True, leave=False, delay=1, disable=silent
    )


def embed_videos_distributed(
    model: RetrievalModel,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    chunk: int,
    num_videos: int,
    precision: str = "auto",
) -> tuple[dict[int, VideoFeatures], tuple[UnreadVideo, ...]]:
    """The features of all readable videos by index in the list, and the unreadable videos, in the list's order.

    Each process has its own batches, and all get all features.

    Args:
        model: the model, on `device`; put in eval mode.
        batches: one view of each video.
        device: device of the model.
        chunk: videos per forward pass.
        num_videos: length of the list.
        precision: "auto" or "fp32", as `eval.precision`.
    """
    own = EmbedBatches(model, device, chunk, precision)
    silent = not is_main_process()
    embedded = dict(show_progress(own(batches), total=-(-num_videos // num_processes()), silent=silent))
    model.backbone.finish_passes()
    parts = gather_objects(embedded)
    return separate_failures({index: found for part in parts for index, found in part.items()})


@torch.inference_mode()
def embed_texts(
    model: RetrievalModel, captions: Sequence[str], *, device: torch.device, precision: str = "auto"
) -> TextFeatures:
    """Features of captions, on the CPU; puts the model in eval mode."""
    model.eval()
    parts = []
    starts = range(0, len(captions), TEXTS_PER_PASS)
    for start in tqdm(starts, desc="captions", unit="batch", dynamic_ncols=True, leave=False, delay=2):
        ids, mask = model.tokenise(captions[start : start + TEXTS_PER_PASS])
        with autocast(device, precision):
            parts.append(model.embed_texts(ids.to(device), mask.to(device)).map(torch.Tensor.cpu))
    features = TextFeatures.concatenate(parts)
    check_outputs(features.sentence)
    return features


def embed_texts_distributed(
    model: RetrievalModel, captions: Sequence[str], *, device: torch.device, precision: str = "auto"
) -> TextFeatures:
    """Like `embed_texts`, with equal shares for all processes."""
    size = -(-len(captions) // num_processes())
    share = captions[process_rank() * size : (process_rank() + 1) * size]
    parts = gather_objects(embed_texts(model, share, device=device, precision=precision) if share else None)
    return TextFeatures.concatenate([part for part in parts if part is not None])
