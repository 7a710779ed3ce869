"""Evaluates recognition: scores every video once, in one or several processes."""

from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from side4video.adapters.adapter import Thresholds, load_adapter, read_adapter_for
from side4video.config import DataConfig, EvalConfig
from side4video.data.loading.batch import Batch
from side4video.distributed.processes import WAIT_MINUTES, gather_objects, is_main_process, joined_processes, print_once
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.video_model import VideoModel, choose_device
from side4video.tasks.clip_batches import shared_test_batches
from side4video.tasks.clips import (
    autocast,
    check_outputs,
    check_resize,
    class_scores,
    evaluation_clips,
    frozen_dtype,
    pool_views,
    video_cache_of_adapter,
)
from side4video.tasks.recognition.data import as_evaluated, mirrored_views_warning, read_data
from side4video.tasks.recognition.multi_label_scores import MultiLabelEvaluation, multi_label_evaluation
from side4video.tasks.recognition.scores import Evaluation, evaluation_from_scores
from side4video.tasks.recognition.thresholds import choose_thresholds, unchosen_thresholds
from side4video.tasks.trained_videos import print_trained_videos
from side4video.tasks.unread import UnreadVideo


@torch.no_grad()
def score_views(
    model: nn.Module,
    clips: Float[Tensor, "V T 3 H W"],
    *,
    device: torch.device,
    chunk: int,
    precision: str = "auto",
    multi_label: bool = False,
) -> Float[Tensor, "V C"]:
    """Scores of clips, `chunk` at a time, in the precision of `eval.precision`; sets eval mode.

    They are softmax scores, or sigmoid scores if `multi_label`.

    Raises:
        FloatingPointError: a score is not a finite number.
    """
    model.eval()
    with autocast(device, precision):
        scores = [class_scores(model(part.to(device)), multi_label=multi_label) for part in clips.split(chunk)]
    return check_outputs(torch.cat(scores))


class ThresholdsFrom(NamedTuple):
    """Choose the thresholds of several labels on the evaluated set itself.

    >>> ThresholdsFrom("validation.csv").source
    'validation.csv'
    """

    source: str
    """Name of the set, without folders: adapters that are shared contain it."""


def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    class_names: tuple[str, ...],
    device: torch.device,
    settings: EvalConfig,
    several: Thresholds | ThresholdsFrom | None = None,
) -> Evaluation | MultiLabelEvaluation:
    """Score every video once; the scores of a video's views are joined. Unreadable videos are reported.

    Each of several processes passes its own batches, and all get the same result.

    Args:
        model: maps clips to logits; it stays in eval mode.
        batches: batches of a test loader.
        class_names: classes in the order of the model's outputs.
        device: device of the model.
        settings: views per forward pass, precision, and how views are joined.
        several: thresholds, if the set is multi-label, or that they are chosen on it; None: each video has one class.

    Raises:
        NoReadableVideosError: no video could be read.
    """
    found: list[tuple[int, Tensor, Tensor, str]] = []  # index in the list, scores, label, name
    unread: list[tuple[int, UnreadVideo]] = []
    views = 1
    for batch in tqdm(
        batches, desc="evaluate", unit="batch", dynamic_ncols=True, leave=False, disable=not is_main_process()
    ):
        unread += [(failure.index, UnreadVideo(failure.name, failure.reason)) for failure in batch.failures]
        if not batch.views:
            continue
        views = batch.views[0]
        by_view = score_views(
            model,
            batch.clips,
            device=device,
            chunk=settings.batch,
            precision=settings.precision,
            multi_label=several is not None,
        ).cpu()
        scores = [pool_views(part, settings, class_names=class_names) for part in by_view.split(batch.views)]
        labels = [part[0] for part in batch.labels.split(batch.views)]
        found += zip(batch.indices, scores, labels, batch.names, strict=True)
    if isinstance(model, SideTunedModel):
        model.backbone.finish_passes()
    found = sorted((row for part in gather_objects(found) for row in part), key=itemgetter(0))
    unread = sorted((row for part in gather_objects(unread) for row in part), key=itemgetter(0))
    all_scores = (torch.stack([row[1] for row in found]) if found else torch.zeros(0, len(class_names))).numpy()
    all_labels = (torch.stack([row[2] for row in found]) if found else torch.zeros(0, dtype=torch.long)).numpy()
    about: dict[str, Any] = {
        "names": [row[3] for row in found],
        "class_names": class_names,
        "views": max(gather_objects(views)),
        "unread": tuple(video for _, video in unread),
    }
    if several is None:
        return evaluation_from_scores(all_scores, all_labels, **about)
    if isinstance(several, ThresholdsFrom):
        several = (
            choose_thresholds(all_scores, all_labels, source=several.source, class_names=class_names)
            if found
            else unchosen_thresholds(len(class_names))
        )
    return multi_label_evaluation(all_scores, all_labels, thresholds=several, unlabelled=settings.unlabelled, **about)


def read_evaluation(content: dict[str, Any]) -> Evaluation | MultiLabelEvaluation:
    """Restore the scores of an evaluation from its JSON, of one or several labels per video."""
    return (MultiLabelEvaluation if "cooccurrence" in content else Evaluation).from_json(content)


def evaluate_adapter(
    folder: Path,
    *,
    data: DataConfig,
    settings: EvalConfig,
    device: str = "auto",
    backbone_weights: str | None = None,
    timeout_minutes: float = WAIT_MINUTES,
) -> Evaluation | MultiLabelEvaluation:
    """Load an adapter and score it on `data.test`; labels are matched with its classes by name.

    With several labels, the adapter's thresholds are used.

    Processes started by torchrun or SLURM share the videos, and all return the same result.

    Args:
        folder: an adapter folder, a run folder, or a name on the Hugging Face hub.
        data: names the evaluation set.
        settings: number of views of each video, and of views per forward pass.
        device: "auto", "cpu", "cuda", ...
        backbone_weights: local weights of the backbone; by default the weights used in training.
        timeout_minutes: maximum time that a process waits for the others.

    Raises:
        DataError: the set cannot be used, or has classes that the adapter does not know.
        ValueError, FileNotFoundError: the adapter cannot be used.
    """
    adapter = read_adapter_for("recognition", folder)
    config = adapter.config.model_copy(update={"data": data, "eval": settings})
    place = choose_device(device)
    with joined_processes(place, timeout_minutes=timeout_minutes):
        check_resize(config)
        data_read = data if data.arrow_of_time else data.model_copy(update={"multi_label": adapter.multi_label})
        videos = read_data(data_read, class_names=adapter.class_names, test_only=True)
        for note in videos.notes:
            print_once(note)
        mirrored = mirrored_views_warning(adapter.class_names, settings.crops)
        for warning in (*videos.warnings, *filter(None, [mirrored])):
            print_once(f"warning: {warning}")
        if videos.test is None:
            raise ValueError("No evaluation set: give --data.test.")
        trained_on, seed = adapter.config.data, adapter.config.seed
        print_trained_videos(videos.test.videos, trained_on, lambda data: read_data(data, seed=seed).train)
        model, _ = load_adapter(folder, device=place, backbone_weights=backbone_weights, dtype=frozen_dtype(settings))
        assert isinstance(model, VideoModel)
        tables = video_cache_of_adapter(folder, data)
        clips = evaluation_clips(
            as_evaluated(videos.test, data),
            config=config,
            backbone=model.backbone,
            video_cache=tables,
            num_labels=videos.num_labels,
        )
        batches = shared_test_batches(clips, config)
        return evaluate(
            model,
            batches,
            class_names=adapter.class_names,
            device=place,
            settings=settings,
            several=adapter.thresholds,
        )
