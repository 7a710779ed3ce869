"""Text-video retrieval: captions and videos read, embedded and scored."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from side4video.adapters.adapter import load_adapter, read_adapter_for
from side4video.config import DataConfig, EvalConfig, RunConfig
from side4video.data.datasets import Failure, TestClips
from side4video.data.lists.captions import CaptionList, check_caption_list, read_caption_list
from side4video.data.loading.batch import Batch
from side4video.distributed.processes import (
    WAIT_MINUTES,
    gather_objects,
    is_main_process,
    joined_processes,
    num_processes,
    print_once,
    process_rank,
)
from side4video.models.retrieval_model import RetrievalModel
from side4video.models.similarity import Similarity, TextFeatures, VideoFeatures
from side4video.models.text.text_tower import tokenise
from side4video.models.video_model import choose_device
from side4video.tasks.clip_batches import shared_test_batches
from side4video.tasks.clips import autocast, evaluation_clips
from side4video.tasks.retrieval.dual_softmax import TEMPERATURE
from side4video.tasks.retrieval.retrieval_evaluation import NUM_SHOWN, QueryResult, RetrievalEvaluation
from side4video.tasks.retrieval.retrieval_metrics import retrieval_scores, text_to_video_ranks
from side4video.tasks.retrieval.scoring import score_matrix
from side4video.tasks.subset import choose_videos, describe_choice
from side4video.tasks.unread import NoneReadError, UnreadVideo

TEXTS_PER_PASS = 64


@dataclass(frozen=True)
class RetrievalData:
    """The captioned videos of a run, checked."""

    train: CaptionList | None
    test: CaptionList | None
    warnings: tuple[str, ...]
    """What is odd about the files, in sentences."""
    choice: str | None = None
    """Which part of the training videos was chosen, in a sentence."""


def read_caption_data(config: DataConfig, *, seed: int | None = None) -> RetrievalData:
    """Read and check the captioned videos named in `config`.

    Args:
        config: which sets there are.
        seed: of the run; `config.fraction` chooses training videos by it, which keep all their captions.

    Raises:
        DataError: anything that would fail later; all problems of a file at once.
        ValueError: no set is named.
    """
    warnings: list[str] = []

    def read(source: Path | None, root: Path | None, split: str) -> CaptionList | None:
        if source is None:
            return None
        listed = read_caption_list(
            source,
            captions=config.captions,
            root=root,
            format=config.format,
            split=split,
            outside_root=config.outside_root,
        )
        checked = check_caption_list(listed, allow_missing=config.allow_missing)
        warnings.extend(f"{source}: {warning}" for warning in checked.warnings)
        return checked.captions

    train = read(config.train, config.root, "train")
    test = read(config.test, config.test_root or config.root, "test")
    if train is None and test is None:
        raise ValueError("No videos: give --data.train and --data.test, files of videos and their captions.")
    choice = None
    if train is not None:
        kept = choose_videos(["all"] * len(train.videos), config=config, seed=seed)
        choice = describe_choice(len(kept), len(train.videos), config)
        train = replace(
            train,
            videos=tuple(train.videos[place] for place in kept),
            captions=tuple(train.captions[place] for place in kept),
        )
    return RetrievalData(train, test, tuple(warnings), choice)


@torch.inference_mode()
def embed_videos(
    model: RetrievalModel,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    chunk: int,
    on_failure: Callable[[Failure], None],
) -> Iterator[tuple[int, VideoFeatures]]:
    """Place in the list and features, on the CPU, of each video that can be read; puts the model in eval mode.

    Args:
        model: where `device` says.
        batches: one view of each video.
        device: where the model is.
        chunk: videos per forward pass.
        on_failure: called with each video that cannot be read.
    """
    model.eval()
    for batch in batches:
        for failure in batch.failures:
            on_failure(failure)
        if not len(batch):
            continue
        with autocast(device, "auto" if device.type == "cuda" else "fp32"):
            parts = [model.embed_videos(part.to(device)).map(torch.Tensor.cpu) for part in batch.clips.split(chunk)]
        features = VideoFeatures.concatenate(parts)
        for place, index in enumerate(batch.indices):
            yield index, features.map(lambda tensor, place=place: tensor[place : place + 1])  # type: ignore[misc]


def embed_videos_together(
    model: RetrievalModel, batches: Iterable[Batch], *, device: torch.device, chunk: int, num_videos: int, shared: bool
) -> tuple[dict[int, VideoFeatures], tuple[UnreadVideo, ...]]:
    """Features, by place in the list, of all videos that can be read, and those that cannot, in the list's order.

    Args:
        model: where `device` says; put in eval mode.
        batches: one view of each video.
        device: where the model is.
        chunk: videos per forward pass.
        num_videos: of the list.
        shared: each of several processes gives batches of its own, and all get everything.
    """
    failures: list[Failure] = []
    found = dict(
        tqdm(
            embed_videos(model, batches, device=device, chunk=chunk, on_failure=failures.append),
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
def embed_texts(model: RetrievalModel, captions: Sequence[str], *, device: torch.device) -> TextFeatures:
    """Features of captions, on the CPU; puts the model in eval mode."""
    model.eval()
    parts = []
    starts = range(0, len(captions), TEXTS_PER_PASS)
    for start in tqdm(starts, desc="captions", unit="batch", dynamic_ncols=True, leave=False, delay=2):
        ids, mask = tokenise(captions[start : start + TEXTS_PER_PASS], max_words=model.max_words)
        with autocast(device, "auto" if device.type == "cuda" else "fp32"):
            parts.append(model.embed_texts(ids.to(device), mask.to(device)).map(torch.Tensor.cpu))
    return TextFeatures.concatenate(parts)


def _embed_texts_together(model: RetrievalModel, captions: Sequence[str], *, device: torch.device) -> TextFeatures:
    """As `embed_texts`, in equal shares of all processes."""
    size = -(-len(captions) // num_processes())
    mine = captions[process_rank() * size : (process_rank() + 1) * size]
    parts = gather_objects(embed_texts(model, mine, device=device) if mine else None)
    return TextFeatures.concatenate([part for part in parts if part is not None])


def evaluate_retrieval(
    model: RetrievalModel,
    captions: CaptionList,
    batches: Iterable[Batch],
    *,
    similarity: Similarity,
    settings: EvalConfig,
    device: torch.device,
) -> RetrievalEvaluation:
    """Embed every video and every caption once, score all pairs and rank them, in both directions.

    Videos that cannot be read are reported; they and their captions are not in the scores. With several processes each
    gives its own batches, and all get the same result.

    Args:
        model: put in eval mode and left there.
        captions: the set.
        batches: one view of each of its videos, in their order.
        similarity: how captions and videos are compared.
        settings: ties, dual softmax, videos per forward pass.
        device: where the model is.

    Raises:
        NoneReadError: none of the videos can be read.
    """
    found, unread = embed_videos_together(
        model, batches, device=device, chunk=settings.batch, num_videos=len(captions.videos), shared=True
    )
    if not found:
        reasons = "; ".join(f"{video.name}: {video.reason}" for video in unread[:10])
        message = f"None of the {len(captions.videos)} videos of {captions.source} can be read: {reasons}"
        raise NoneReadError(message, unread)
    read = list(found)
    queries = [(caption, column) for column, index in enumerate(read) for caption in captions.captions[index]]
    texts = _embed_texts_together(model, [caption for caption, _ in queries], device=device)
    videos = VideoFeatures.concatenate(list(found.values()))
    columns = np.array([column for _, column in queries])
    scores = score_matrix(texts, videos, similarity=similarity, device=device)
    temperature = TEMPERATURE if settings.dual_softmax else None
    names = [captions.videos[index].name for index in read]
    return RetrievalEvaluation(
        source=captions.source,
        split=captions.split,
        similarity=similarity,
        num_videos=len(read),
        num_captions=len(queries),
        scores=retrieval_scores(scores, columns, ties=settings.ties),
        dual_softmax=None
        if temperature is None
        else retrieval_scores(scores, columns, ties=settings.ties, dual_softmax_temperature=temperature),
        queries=_query_results(queries, names, scores, text_to_video_ranks(scores, columns, ties=settings.ties)),
        unread=unread,
    )


def _query_results(
    queries: Sequence[tuple[str, int]], names: Sequence[str], scores: np.ndarray, ranks: np.ndarray
) -> tuple[QueryResult, ...]:
    results = []
    for row, (caption, column) in enumerate(queries):
        best = np.argsort(-scores[row], kind="stable")[:NUM_SHOWN]
        results.append(
            QueryResult(
                caption=caption,
                video=names[column],
                rank=float(ranks[row]),
                best=tuple(names[index] for index in best),
                best_scores=tuple(float(scores[row, index]) for index in best),
            )
        )
    return tuple(results)


def evaluate_retrieval_adapter(
    folder: Path,
    *,
    data: DataConfig,
    settings: EvalConfig,
    device: str = "auto",
    backbone_weights: str | None = None,
    timeout_minutes: float = WAIT_MINUTES,
) -> RetrievalEvaluation:
    """Load an adapter and score it on the captioned videos of `data.test`; arguments as in `evaluate_adapter`.

    Processes that torchrun or SLURM started together take a share each, and all return the same.

    Raises:
        DataError: the set cannot be used.
        ValueError, FileNotFoundError: the adapter cannot be used.
    """
    read_adapter_for("retrieval", folder)
    place = choose_device(device)
    with joined_processes(place, timeout_minutes=timeout_minutes):
        captioned = read_caption_data(data.model_copy(update={"train": None}))
        for warning in captioned.warnings:
            print_once(f"warning: {warning}")
        if captioned.test is None:
            raise ValueError("No evaluation set: give --data.test.")
        model, adapter = load_adapter(folder, device=place, backbone_weights=backbone_weights)
        assert isinstance(model, RetrievalModel)
        config = adapter.config.model_copy(update={"data": data, "eval": settings})
        clips = caption_clips(captioned.test, config=config, model=model)
        batches = shared_test_batches(clips, config)
        return evaluate_retrieval(
            model, captioned.test, batches, similarity=config.text.similarity, settings=settings, device=place
        )


def caption_clips(captions: CaptionList, *, config: RunConfig, model: RetrievalModel) -> TestClips:
    """One view of each video, without randomness."""
    videos = [replace(video, label=index) for index, video in enumerate(captions.videos)]
    return evaluation_clips(videos, config=config, backbone=model.backbone, num_clips=1, num_crops=1)
