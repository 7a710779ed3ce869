"""Evaluation of retrieval: scores every caption with every video."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from side4video.adapters.adapter import load_adapter, read_adapter_for
from side4video.config import DataConfig, EvalConfig
from side4video.data.lists.captions import CaptionList
from side4video.data.loading.batch import Batch
from side4video.distributed.processes import (
    WAIT_MINUTES,
    joined_processes,
    print_once,
)
from side4video.models.retrieval_model import RetrievalModel
from side4video.models.similarity import Similarity, VideoFeatures
from side4video.models.video_model import choose_device
from side4video.tasks.clip_batches import shared_test_batches
from side4video.tasks.clips import check_resize, frozen_dtype, video_cache_of_adapter
from side4video.tasks.retrieval.data import caption_clips, print_unread_text, read_caption_data
from side4video.tasks.retrieval.dual_softmax import TEMPERATURE
from side4video.tasks.retrieval.embeddings import embed_texts_distributed, embed_videos_distributed
from side4video.tasks.retrieval.metrics import retrieval_scores, text_to_video_ranks
from side4video.tasks.retrieval.score_matrix import score_matrix
from side4video.tasks.retrieval.scores import NUM_SHOWN, QueryResult, RetrievalEvaluation
from side4video.tasks.trained_videos import print_trained_videos
from side4video.tasks.unread import NoReadableVideosError


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

    Unreadable videos are reported; they and their captions are not in the scores. Each of several processes passes its
    own batches, and all get the same result.

    Args:
        model: put in eval mode.
        captions: the captioned videos.
        batches: one view of each of its videos, in order.
        similarity: the similarity of captions and videos.
        settings: ties, dual softmax, videos per forward pass.
        device: device of the model.

    Raises:
        NoReadableVideosError: no video can be read.
    """
    found, unread = embed_videos_distributed(
        model,
        batches,
        device=device,
        chunk=settings.batch,
        num_videos=len(captions.videos),
        precision=settings.precision,
    )
    if not found:
        raise NoReadableVideosError(unread, captions.source)
    read = list(found)
    queries = [(caption, column) for column, index in enumerate(read) for caption in captions.captions[index]]
    sentences = [caption for caption, _ in queries]
    texts = embed_texts_distributed(model, sentences, device=device, precision=settings.precision)
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

    Processes started together by torchrun or SLURM take a share each, and all return the same result.

    Raises:
        DataError: invalid evaluation set.
        ValueError, FileNotFoundError: invalid or missing adapter, or several views of a video.
    """
    adapter = read_adapter_for("retrieval", folder)
    if settings.clips > 1 or settings.crops > 1:
        raise ValueError(
            f"eval.clips = {settings.clips} and eval.crops = {settings.crops}: task retrieval embeds one view of each "
            "video. Use 1 clip and 1 crop."
        )
    config = adapter.config.model_copy(update={"data": data, "eval": settings})
    place = choose_device(device)
    with joined_processes(place, timeout_minutes=timeout_minutes):
        check_resize(config)
        captioned = read_caption_data(data.model_copy(update={"train": None}))
        for note in captioned.notes:
            print_once(note)
        for warning in captioned.warnings:
            print_once(f"warning: {warning}")
        if captioned.test is None:
            raise ValueError("No evaluation set: give --data.test.")
        trained_on, seed = adapter.config.data, adapter.config.seed
        print_trained_videos(captioned.test.videos, trained_on, lambda data: read_caption_data(data, seed=seed).train)
        print_unread_text(captioned.test, config=config.text)
        model, _ = load_adapter(folder, device=place, backbone_weights=backbone_weights, dtype=frozen_dtype(settings))
        assert isinstance(model, RetrievalModel)
        tables = video_cache_of_adapter(folder, data)
        clips = caption_clips(captioned.test, config=config, model=model, video_cache=tables)
        batches = shared_test_batches(clips, config)
        return evaluate_retrieval(
            model, captioned.test, batches, similarity=config.text.similarity, settings=settings, device=place
        )
