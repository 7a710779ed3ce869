"""Embeds videos and captions, in one process or several."""

from collections.abc import Callable, Iterable, Iterator, Sequence

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
from side4video.shapes import Clips
from side4video.tasks.clips import autocast, check_outputs
from side4video.tasks.unread import UnreadVideo

TEXTS_PER_PASS = 64


@torch.inference_mode()
def embed_clips(
    model: RetrievalModel, clips: Clips, *, device: torch.device, chunk: int, precision: str = "auto"
) -> VideoFeatures:
    """The features of clips (V, T, 3, H, W), on the CPU; see `embed_videos`."""
    model.eval()
    with autocast(device, precision):
        parts = [model.embed_videos(part.to(device)).map(torch.Tensor.cpu) for part in clips.split(chunk)]
    features = VideoFeatures.concatenate(parts)
    check_outputs(features.frames)
    return features


def embed_videos(
    model: RetrievalModel,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    chunk: int,
    on_failure: Callable[[Failure], None],
    precision: str = "auto",
) -> Iterator[tuple[int, VideoFeatures]]:
    """Yield the index and the features, on the CPU, of each readable video; puts the model in eval mode.

    Args:
        model: the model, on `device`.
        batches: one view of each video.
        device: device of the model.
        chunk: videos per forward pass.
        on_failure: called with each video that cannot be read.
        precision: "auto" or "fp32", as `eval.precision`.
    """
    for batch in batches:
        for failure in batch.failures:
            on_failure(failure)
        if not len(batch):
            continue
        features = embed_clips(model, batch.clips, device=device, chunk=chunk, precision=precision)
        for place, index in enumerate(batch.indices):
            yield index, features.map(lambda tensor, place=place: tensor[place : place + 1])  # type: ignore[misc]


def embed_videos_distributed(
    model: RetrievalModel,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    chunk: int,
    num_videos: int,
    shared: bool,
    precision: str = "auto",
) -> tuple[dict[int, VideoFeatures], tuple[UnreadVideo, ...]]:
    """The features of all readable videos by index in the list, and the unreadable videos, in the list's order.

    Args:
        model: the model, on `device`; put in eval mode.
        batches: one view of each video.
        device: device of the model.
        chunk: videos per forward pass.
        num_videos: length of the list.
        shared: each process has its own batches, and all processes get all features.
        precision: "auto" or "fp32", as `eval.precision`.
    """
    failures: list[Failure] = []
    found = dict(
        tqdm(
            embed_videos(model, batches, device=device, chunk=chunk, on_failure=failures.append, precision=precision),
            desc="videos",
            unit="video",
            total=-(-num_videos // num_processes()) if shared else num_videos,
            dynamic_ncols=True,
            leave=False,
            delay=1,
            disable=shared and not is_main_process(),
        )
    )
    if shared:
        found = {index: features for part in gather_objects(found) for index, features in part.items()}
        failures = [failure for part in gather_objects(failures) for failure in part]
    unread = tuple(UnreadVideo(one.name, one.reason) for one in sorted(failures, key=lambda one: one.index))
    return {index: found[index] for index in sorted(found)}, unread


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
